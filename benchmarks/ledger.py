"""The ledger of one run: it trains, counts every step, and keeps the model that validation chooses.

A method trains only through the ledger. All methods therefore get the same space, the same initial weights and
the same number of steps, and the choice of the tested model is the same rule for all: the best validation score of all
scored steps of all models, the earliest where several are equal. The ledger holds no test: whoever has the problem
tests the chosen model once the run is over.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import attrs

from benchmarks.problem import Direction, Problem, rate_of, verify_problem
from gpbt_core.space import Space

__all__ = ["BudgetSpent", "Entry", "Ledger"]


class BudgetSpent(Exception):  # noqa: N818  # the regular end of a run, not an error
    """The budget is spent. Ends a method from inside any library that drives it; the runner expects it."""


@attrs.define(kw_only=True)
class Entry:
    """One stretch of training: a model (new, or a copy of a parent's) under one config.

    Attributes:
        id: Counts the entries of a run from 0.
        parent: The entry whose model was copied; None: from the initial weights.
        start: The steps already behind the model when this entry began.
        config: The hyperparameters of all its steps.
        scores: One per step, in the problem's direction; NaN last where it diverged.
        clock: For each score, how many steps the whole run had trained by then, from 1.
    """

    id: int
    parent: int | None
    start: int
    config: Mapping[str, Any]
    scores: list[float] = attrs.Factory(list)
    clock: list[int] = attrs.Factory(list)


class Ledger:
    """The interface of a method: begin an entry and train it step by step until `BudgetSpent`.

    Attributes:
        space: The space to search.
        rate: The parameter that a practitioner would decay; None if there is none.
        direction: Direction of the scores that `train` returns.
        models: For how many models of `steps` steps the budget pays: the size of a population that trains to the end.
        steps: The length of one model's training.
        seed: For the method's own randomness; the problem uses the same one.
        budget: Total number of steps, `models * steps`.
        used: Steps trained so far.
        entries: All entries by id.
        training_seconds: Wall time spent inside the problem.

    Example:
        >>> from benchmarks.problem import Options
        >>> from benchmarks.problems import PROBLEMS
        >>> ledger = Ledger(PROBLEMS["nqm"].build(Options()), models=1, steps=10, seed=0)
        >>> entry = ledger.begin({"lr": 0.0319, "momentum": 0.826})
        >>> round(ledger.train(entry, 10), 3)
        0.399
        >>> ledger.train(entry)
        Traceback (most recent call last):
        ...
        benchmarks.ledger.BudgetSpent
    """

    def __init__(self, problem: Problem, *, models: int, steps: int, seed: int) -> None:
        verify_problem(problem)
        if models < 1 or steps < 1:
            raise ValueError(f"Ledger: the budget must be at least 1 model of 1 step, got {models} x {steps}")
        self._train = problem.train  # and not the problem, which knows the test scores
        self.space: Space = problem.space
        self.rate = rate_of(problem)
        self.direction: Direction = problem.direction
        self.models = models
        self.steps = steps
        self.seed = seed
        self.budget = models * steps
        self.used = 0
        self.entries: list[Entry] = []
        self.training_seconds = 0.0
        self._initial = problem.start(seed)
        self._states: dict[int, Any] = {}
        self._best: tuple[float, int, int, Any] | None = None

    @property
    def remaining(self) -> int:
        """Steps that can still be trained."""
        return self.budget - self.used

    def loss(self, score: float) -> float:
        """A score as a loss, lower is better; a diverged model's is infinite."""
        if not math.isfinite(score):
            return math.inf
        return score if self.direction == "minimize" else -score

    def begin(self, config: Mapping[str, Any], parent: int | None = None) -> int:
        """Copies a model and sets its hyperparameters; costs nothing until it is trained.

        Args:
            config: A config of the space.
            parent: The entry whose current model to copy; None: the initial weights of the seed.

        Returns:
            The id of the new entry.

        Raises:
            ConfigError: The config is not in the space.
            ValueError: The parent is unknown, released, or has diverged.
        """
        config = self.space.validate(config)
        if parent is None:
            state, start = self._initial, 0
        elif parent not in self._states:
            raise ValueError(f"Ledger.begin: the parent must have a live model, got {parent!r}")
        else:
            state, start = self._states[parent], self.entries[parent].start + len(self.entries[parent].scores)
        entry = Entry(id=len(self.entries), parent=parent, start=start, config=config)
        self.entries.append(entry)
        self._states[entry.id] = state
        return entry.id

    def train(self, entry: int, steps: int = 1) -> float:
        """Continues training an entry's model.

        Args:
            entry: An id of `begin`; it may have been trained before.
            steps: At least 1. A model that diverges is trained no further, and its state is released.

        Returns:
            The score after the last step trained; NaN where it diverged.

        Raises:
            BudgetSpent: No step is left; the steps until then are recorded.
            ValueError: The entry is unknown, released, or has diverged, or `steps` is below 1.
        """
        if steps < 1:
            raise ValueError(f"Ledger.train: steps must be at least 1, got {steps!r}")
        if entry not in self._states:
            raise ValueError(f"Ledger.train: the entry must have a live model, got {entry!r}")
        score = math.nan
        for _ in range(steps):
            score = self._step(self.entries[entry])
            if math.isnan(score):
                break
        return score

    def release(self, entry: int) -> None:
        """Releases an entry's model; the best model is kept separately."""
        self._states.pop(entry, None)

    def is_alive(self, entry: int) -> bool:
        """Whether the entry's model can be trained or copied."""
        return entry in self._states

    def best(self) -> tuple[float, int, int]:
        """The validation score of the chosen model, its entry, and its step within the entry from 1.

        Raises:
            RuntimeError: No step of the run has a finite score.
        """
        score, entry, step, _ = self._chosen()
        return score, entry, step

    def chosen_model(self) -> Any:
        """The state of the chosen model, as it was after the step that `best` names.

        Raises:
            RuntimeError: No step of the run has a finite score.
        """
        return self._chosen()[3]

    def _chosen(self) -> tuple[float, int, int, Any]:
        if self._best is None:
            raise RuntimeError("Ledger: a run must have a finite score, got none in all its steps")
        return self._best

    def _step(self, entry: Entry) -> float:
        if self.remaining < 1:
            raise BudgetSpent
        began = time.perf_counter()
        state, score = self._train(self._states[entry.id], entry.config)
        self.training_seconds += time.perf_counter() - began
        self.used += 1
        score = float(score) if math.isfinite(score) else math.nan
        entry.scores.append(score)
        entry.clock.append(self.used)
        if math.isnan(score):
            self.release(entry.id)
            return score
        self._states[entry.id] = state
        if self._best is None or self.loss(score) < self.loss(self._best[0]):
            self._best = score, entry.id, len(entry.scores), state
        return score
