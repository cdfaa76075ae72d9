"""The key figures of a run."""

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
    """The key figures of a run.

    Attributes:
        direction: "minimize" or "maximize".
        seed: The seed of the run.
        generation: The open generation, from 0; `generations` after the end.
        generations: The number of generations.
        revisions: How many of them revise the best line.
        finished: Whether the run has ended.
        extinct: Whether it ended because no trial could become a parent.
        counts: The number of trials of each status that occurs.
        best: The id of the best trial; None if no trial is completed.
        score: The score of the best trial; NaN if there is none.
        best_by: What the best trial was selected by: "score", or the name of the measure that the reproduction rule
            ranks by.
        steps: The steps trained by trials that have ended.
        budget: The number of steps of the run as planned: population x steps, and those of extensions. A run that
            spends saved steps on further trials may train a few more.
    """

    direction: str
    seed: int
    generation: int
    generations: int
    revisions: int
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
        """The label of the score."""
        return "best score" if self.best_by == "score" else f"score of the best by {self.best_by}"

    @property
    def nothing(self) -> str:
        """The text to show while there is no best trial."""
        return "no trial was completed" if self.finished else "no trial is completed yet"

    @property
    def spent(self) -> str:
        """The steps trained, beside those planned."""
        if self.steps <= self.budget:
            return f"{self.steps:,} of {self.budget:,} planned steps"
        more = f"{self.steps - self.budget:,} in place of steps saved by stopping"
        return f"{self.budget:,} planned steps and {more}"

    @property
    def revised(self) -> str:
        """How many generations revise the best line, if any."""
        return f"{self.revisions} of them {'revises' if self.revisions == 1 else 'revise'} the best line" * (
            self.revisions > 0
        )

    @property
    def pending(self) -> int:
        """The number of trials in training or waiting for it."""
        return sum(count for status, count in self.counts.items() if status in PENDING)


def overview(run: Run) -> Overview:
    """Returns the key figures of a run."""
    state = state_of(run)
    settings = state.settings
    counts = dict.fromkeys(Status, 0)
    for record in state.records:
        counts[record.status] += 1
    loss = None if state.final is None else state.records[state.final].loss
    return Overview(
        direction=settings.direction,
        seed=settings.seed,
        generation=state.open.index,
        generations=state.generations,
        revisions=sum(map(settings.is_revision, range(state.generations))),
        finished=state.finished,
        extinct=state.extinct,
        counts={status: count for status, count in counts.items() if count},
        best=state.final,
        score=math.nan if loss is None else sign_of(state) * loss + 0.0,
        best_by="score" if state.best is None or state.final == state.best[1] else settings.reproduction.select_by,
        steps=state.tally.trained,
        budget=settings.steps_of(state.generations),
    )
