"""The vocabulary of a run: frozen facts, with no behavior but look-ups.

Everything here is immutable and cheap to share. Other modules decide what follows from these facts.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from gpbt_core.space.config import Config

__all__ = ["Record", "Schedule", "Segment", "Status", "Trial", "Verdict"]


class Status(enum.Enum):
    """The status of a trial."""

    RUNNING = "running"
    STOPPING = "stopping"  # `report` returned STOP; waiting for the last score
    QUEUED = "queued"  # requeued after its worker was lost; the next ask hands it out again
    COMPLETED = "completed"  # trained its segment, or as much as the caller chose, and got a finite score
    STOPPED = "stopped"  # ended early because `report` returned STOP; cannot be a parent or the best
    FAILED = "failed"  # got NaN, infinity or a reason; cannot be a parent, and searchers see that it failed
    CANCELLED = "cancelled"  # given up by the caller; has no part in any decision

    __hash__ = object.__hash__  # right for singletons; enum's own is slow Python, and runs on every event


class Verdict(enum.Enum):
    """The return value of `report`: continue the segment, or stop now and tell the last score.

    STOP is true and CONTINUE is false, so that `if optimizer.report(...): break` works as in other libraries.
    """

    CONTINUE = "continue"
    STOP = "stop"

    def __bool__(self) -> bool:
        return self is Verdict.STOP


@attrs.frozen(kw_only=True)
class Trial:
    """One order to train: from the parent's weights, under a config, for a segment.

    Attributes:
        id: Counts all trials of a run from 0, in the order of their slots.
        parent: The id of the trial whose weights it starts from; None: from scratch.
        generation: The round of the whole population, from 0.
        depth: The number of trials before this one on its line, from 0.
        config: A value for every active parameter of the space; a dict that refuses changes.
        steps: The length of the segment in steps, at least 1 (0: score the parent's weights again, without training).
        start_step: The number of steps that its line trained before this trial, from 0.
        attempt: How often the trial was requeued before it was handed out this time, from 0. It distinguishes a worker
            that was given up from its replacement. Trials that differ only in it are equal. No searcher or rule may
            depend on it, because the result of a run must not depend on its workers.
    """

    id: int
    parent: int | None
    generation: int
    depth: int
    config: Config
    steps: int
    start_step: int
    attempt: int = attrs.field(default=0, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Record:
    """A trial and its outcome.

    Attributes:
        trial: The trial.
        status: Its status.
        loss: The told score as a loss (lower is better); None unless completed or stopped.
        steps: The steps trained in this segment. For a completed trial, all of them or as many as the caller told;
            otherwise, the last reported step. A trial that failed or was cancelled without a report counts its whole
            segment, because it may have trained that much.
        reports: The reported (step within the segment from 1, loss) pairs, in order of step; a loss may be inf. A
            tuple once the trial has ended.
        reason: Why it failed or was cancelled; None otherwise.
        limits: While it runs, the loss above which it stops, for each step before the end of the segment (inf: no
            limit). Fixed when the trial was asked; empty if trials are not stopped.
        notes: What the caller noted about the training, JSON-able, such as figures and times; None: nothing. As with
            `Trial.attempt`, records that differ only in it are equal, and no searcher or rule may depend on it.
    """

    trial: Trial
    status: Status
    loss: float | None = None
    steps: int = 0
    reports: Sequence[tuple[int, float]] = ()
    reason: str | None = None
    limits: tuple[float, ...] = ()
    notes: Mapping[str, Any] | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Segment:
    """A part of a schedule: `config` is in force for `steps` steps from step `start_step` (0-based) on."""

    config: Config
    start_step: int
    steps: int


@attrs.frozen
class Schedule:
    """The configs along a lineage, each with the steps for which it was in force.

    Attributes:
        segments: The segments in training order; each starts where the one before it ended.
    """

    segments: tuple[Segment, ...]

    @property
    def steps(self) -> int:
        """The length of the whole schedule in steps."""
        return sum(segment.steps for segment in self.segments)

    def at(self, step: int) -> Config:
        """The config in force at a step.

        Args:
            step: 0-based, below `steps`.

        Raises:
            IndexError: The schedule has no such step.
        """
        for segment in self.segments:
            if segment.start_step <= step < segment.start_step + segment.steps:
                return segment.config
        raise IndexError(f"Schedule.at: step must be from 0 to {self.steps - 1}, got {step!r}")
