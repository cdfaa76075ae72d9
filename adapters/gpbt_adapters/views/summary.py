"""A run in a few figures."""

import math
from collections.abc import Mapping

import attrs

from gpbt_adapters.views.columns import (
    PENDING,
    Run,
    sign_of,
    state_of,
)
from gpbt_core.records import Status

__all__ = ["Overview", "overview"]


@attrs.frozen(kw_only=True)
class Overview:
    """A run in a few figures.

    Attributes:
        direction: "minimize" or "maximize".
        seed: The run's.
        generation: Which one is open, from 0; `generations` after the end.
        generations: How many there are to be.
        finished: Whether nothing more will be asked.
        extinct: Whether it ended because nothing was left to be a parent.
        counts: How many trials there are of each status, those of which there are any.
        best: The best trial's id; None while none is completed.
        score: Its score; NaN while there is none.
        best_by: What made it the best: "score", or what the run's rule of selection goes by, where that is another one.
        steps: The steps trained by trials that have ended.
        budget: The steps that the run may train.
    """

    direction: str
    seed: int
    generation: int
    generations: int
    finished: bool
    extinct: bool
    counts: Mapping[Status, int]
    best: int | None
    score: float
    best_by: str
    steps: int
    budget: int

    @property
    def heading(self) -> str:
        """What the score is."""
        return "best score" if self.best_by == "score" else f"score of the best by {self.best_by}"

    @property
    def nothing(self) -> str:
        """What is to be said in place of the best trial while there is none."""
        return "no trial was completed" if self.finished else "no trial is completed yet"

    @property
    def pending(self) -> int:
        """How many trials are in training, or wait for it."""
        return sum(count for status, count in self.counts.items() if status in PENDING)


def overview(run: Run) -> Overview:
    """A run in a few figures."""
    state = state_of(run)
    settings = state.settings
    counts = dict.fromkeys(Status, 0)
    for record in state.records:
        counts[record.status] += 1
    lengths = settings.lengths
    loss = None if state.final is None else state.records[state.final].loss
    return Overview(
        direction=settings.direction,
        seed=settings.seed,
        generation=state.open.index,
        generations=state.generations,
        finished=state.finished,
        extinct=state.extinct,
        counts={status: count for status, count in counts.items() if count},
        best=state.final,
        score=math.nan if loss is None else sign_of(state) * loss + 0.0,
        best_by="score" if state.best is None or state.final == state.best[1] else settings.reproduction.select_by,
        steps=state.tally.trained,
        budget=settings.population * (sum(lengths) + lengths[-1] * (state.generations - len(lengths))),
    )
