"""The conformance kit of problems passes those that are one and names what is wrong with the others."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from counting import Counting, InPlace, Untestable

from benchmarks.testing import check_first_step, check_problem


@attrs.frozen(kw_only=True)
class Ageing(Counting):
    """Each use of the problem, and none of the state, makes the score worse."""

    uses: Any = attrs.field(factory=itertools.count)

    def train(self, state: float, config: Mapping[str, Any]) -> tuple[float, float]:
        state, score = super().train(state, config)
        return state, score + next(self.uses)


@attrs.frozen(kw_only=True)
class Spoiling(Counting):
    """A test changes what is tested."""

    def start(self, seed: int) -> Any:
        return (float(seed), [])

    def train(self, state: Any, config: Mapping[str, Any]) -> tuple[Any, float]:
        total, _ = state
        return (total + config["rate"], []), total + config["rate"]

    def test(self, state: Any) -> float:
        state[1].append(None)
        return float(state[0] + len(state[1]))


@attrs.frozen(kw_only=True)
class Bare(Counting):
    """Forgets to return the score."""

    def train(self, state: float, config: Mapping[str, Any]) -> Any:
        return state + config["rate"]


@attrs.frozen(kw_only=True)
class Wordy(Counting):
    """Says its score instead of giving it."""

    def train(self, state: float, config: Mapping[str, Any]) -> Any:
        return state + config["rate"], "good"


def test_a_problem_that_is_one_passes() -> None:
    check_problem(Counting())
    check_problem(Counting(limit=12.0))  # some of its models diverge


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (InPlace(), "trained twice from one initial state.*copy before changing in place"),
        (Ageing(), "all noise must come from the state"),
        (Bare(), "train must return a state and a score, got "),
        (Wordy(), "train must give a number as score, got 'good'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_first_step_shows_the_worst_mistakes(problem: Counting, said: str) -> None:
    for check in (check_first_step, check_problem):
        with pytest.raises(AssertionError, match=f"problem {type(problem).__name__}: .*{said}"):
            check(problem)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Untestable(), "test scores must be finite"),
        (Spoiling(), "tested again"),
        (Counting(limit=-1.0), "at least one of 3 steps must have a finite validation score, got none"),
        (Counting(steps=0), "steps must be an int of at least 1, got 0"),
        (Counting(space={"rate": 1.0}), "space must be a Space, got {'rate': 1.0}"),  # type: ignore[arg-type]
        (None, "problem NoneType: space must be a Space"),
    ],
)
def test_the_whole_kit_shows_the_rest(problem: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_problem(problem)


def test_a_first_step_that_diverges_both_times_is_no_mistake() -> None:
    assert math.isnan(Counting(limit=-1.0).train(0.0, {"rate": 1.0})[1])
    check_first_step(Counting(limit=-1.0))
