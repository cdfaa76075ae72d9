"""The vocabulary of a run: frozen facts, without behaviour beyond looking themselves up.

Everything here is immutable and cheap to share; what may follow from these facts is decided elsewhere.
"""

import enum

import attrs

from gpbt_core.space.config import Config

__all__ = ["Record", "Schedule", "Segment", "Status", "Trial", "Verdict"]


class Status(enum.Enum):
    """Where a trial stands."""

    RUNNING = "running"
    STOPPING = "stopping"  # `report` answered STOP; its last score is awaited
    QUEUED = "queued"  # given back by a lost worker; the next ask hands it out again
    COMPLETED = "completed"  # trained its segment, or as much of it as its caller chose, and was told a finite score
    STOPPED = "stopped"  # ended early on the verdict of `report`; neither a parent nor the best
    FAILED = "failed"  # told NaN, infinity or a reason; no parent, searchers see it as failed
    CANCELLED = "cancelled"  # given up by the caller; takes part in nothing

    __hash__ = object.__hash__  # as good for singletons; enum's own is written in Python, on the path of every event


class Verdict(enum.Enum):
    """The answer of `report`: continue the segment, or stop now and tell the last score.

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
        parent: The id of the trial whose weights to start from; None: from scratch.
        generation: The round of the whole population, from 0.
        depth: How many trials lie before this one on its own line, from 0.
        config: A value for every active parameter of the space; a dict that refuses changes.
        steps: The length of the segment in steps, at least 1 (0: score the parent's weights again, without training).
        start_step: The steps already behind its line, from 0.
        attempt: How often the trial was given back before it was handed out this time, from 0. It tells a worker that
            was given up from the one that took its place. Trials that differ in it alone are equal, and no searcher or
            rule may depend on it, as the result of a run must not depend on its workers.
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
    """A trial and what became of it.

    Attributes:
        trial: The order.
        status: Where it stands.
        loss: The told value as a loss (lower is better); None unless completed or stopped.
        steps: The steps trained in this segment. Once completed all of them, or as many as the caller told; otherwise
            the last reported one. A trial that failed or was cancelled without a report counts its whole segment, as
            it may have trained that much.
        reports: The reported (step within the segment from 1, loss) pairs, steps rising; a loss may be inf.
        reason: Why it failed or was cancelled, in words; None otherwise.
        limits: While it runs, for each step below the segment's length the loss above which it is to stop (inf: none);
            fixed when the trial was asked; empty where trials are not stopped.
    """

    trial: Trial
    status: Status
    loss: float | None = None
    steps: int = 0
    reports: tuple[tuple[int, float], ...] = ()
    reason: str | None = None
    limits: tuple[float, ...] = ()


@attrs.frozen(kw_only=True)
class Segment:
    """A stretch of a schedule: `config` held for `steps` steps from step `start_step` (0-based) on."""

    config: Config
    start_step: int
    steps: int


@attrs.frozen
class Schedule:
    """The configs along a lineage with the steps that each held for.

    Attributes:
        segments: In the order of training; each starts where the one before it ended.
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
