"""The state itself: immutable records of the progress of a run, without any code that changes them."""

from typing import Any, TypeVar

import attrs

from gpbt_core.persistent import Key, Ranking, Vector
from gpbt_core.records import Record
from gpbt_core.reproduction import Keep, Plan
from gpbt_core.state.settings import Settings

__all__ = ["Generation", "Open", "State", "Tally", "View", "with_"]

T = TypeVar("T")


def with_(value: T, **changes: Any) -> T:
    """A copy of a `View`, `Open`, `Tally` or `State` with some fields changed; ten times as fast as `attrs.evolve`.

    Examples:
        >>> with_(Tally(trained=3), saved=1)
        Tally(trained=3, saved=1, refilled=0)
    """
    fields = value.__dict__ | changes
    assert len(fields) == len(value.__dict__), f"with_: there are fields that it does not have in {sorted(changes)}"
    made = object.__new__(value.__class__)
    object.__setattr__(made, "__dict__", fields)
    return made


@attrs.frozen(slots=False)  # made at every event, which takes twice as long with slots
class View:
    """The results that decisions for the next slot may use: those of the generation's slots 0 .. end - 1.

    Attributes:
        end: How many slots are in it.
        used: The steps that they trained.
        best: The best loss of a completed trial; inf if there is none.
        reported: For each step below the segment's length the losses reported there; empty without trial stopping.
    """

    end: int
    used: int
    best: float
    reported: tuple[Ranking, ...]


@attrs.frozen
class Generation:
    """A closed generation.

    Attributes:
        first: The id of its first trial.
        count: How many trials were asked.
        plan: Which parent each trial had.
        best: The best loss of a trial completed when it closed; inf where there was none.
    """

    first: int
    count: int
    plan: Plan
    best: float


@attrs.frozen(slots=False)  # made at every event, which takes twice as long with slots
class Open:
    """The generation whose slots are being asked.

    Attributes:
        index: The generation, from 0.
        first: The id of its first trial.
        steps: The length of its segments.
        plan: Which parent each slot has.
        keep: What is certain about the next parents before they are chosen; None: nothing.
        asked: How many slots were asked.
        ended: How many trials have ended.
        prefix: How many leading slots have ended.
        view: The results that decisions for slot `asked` may use.
        ready: Whether slot `asked` may open now.
        over: Whether no slot will open any more.
        candidates: With `keep`, the (loss, id) of those that may still be among the next parents, best first; without
            it empty, as all of them may.
        litters: Of each parent, in the order of the plan, its best children that are or were candidates, at most
            `keep.per_parent`; empty if unlimited.
        latecomers: Ids of trials of earlier generations that ended in this one; the completed are candidates too.
    """

    index: int
    first: int
    steps: int
    plan: Plan
    keep: Keep | None
    asked: int
    ended: int
    prefix: int
    view: View
    ready: bool
    over: bool
    candidates: Ranking
    litters: Vector[tuple[Key, ...]]
    latecomers: tuple[int, ...]


@attrs.frozen(slots=False)  # likewise
class Tally:
    """Steps counted.

    Attributes:
        trained: Trained by ended trials; those of a failed or cancelled trial that reported nothing count as trained.
        saved: Not trained, as a trial was stopped or ended early by the caller, or as a slot was cancelled.
        refilled: Trained by ended trials in slots that were opened with saved steps.
    """

    trained: int = 0
    saved: int = 0
    refilled: int = 0


@attrs.frozen(slots=False)  # made at every event, which takes twice as long with slots
class State:
    """The state of a run.

    Attributes:
        settings: The settings of the run.
        generations: The total number of generations.
        records: Every trial asked, by id.
        closed: The closed generations, in order.
        open: The open one; if `finished`, the one that an extension would open.
        best: The (loss, id) of the completed trial with the lowest loss; None where there is none.
        queue: Ids of requeued trials, in order.
        late: Ids of trials of closed generations that have not ended; only with a quorum below 1.
        released: Ids of ended trials whose checkpoints are no longer needed, in the order of release.
        extinct: Whether the run ended because no trial could become a parent.
        tally: Steps counted.
        whole: The (loss, id) of the best end of a complete line; of the best of the deepest trials before one is
            complete. None where there is none, and in runs that do not revisit lines.
        held: In runs that revisit lines: ids of the trials on lines that may still be revisited, ascending.
    """

    settings: Settings
    generations: int
    records: Vector[Record]
    closed: Vector[Generation]
    open: Open
    best: Key | None
    queue: tuple[int, ...]
    late: tuple[int, ...]
    released: Vector[int]
    extinct: bool
    tally: Tally
    whole: Key | None = None
    held: tuple[int, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether no trial will be asked any more, unless the run is extended."""
        return self.extinct or (self.open.index >= self.generations and not self.queue)

    @property
    def final(self) -> int | None:
        """The id of the best trial so far; None before one is completed.

        The one with the lowest loss. In a finished run whose reproduction rule selects by something other than scores,
        the first of the rule's parents.
        """
        if self.settings.reproduction.select_by != "score" and self.finished and self.open.plan.parents:
            return self.open.plan.parents[0]
        return None if self.best is None else self.best[1]
