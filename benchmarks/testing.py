"""The conformance kit of problems: checks what the ledger and the comparison of methods rely on.

It raises AssertionError with the expected and the actual outcome, and needs no test runner.
"""

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.problem import Problem, verify_problem
from gpbt_core.errors import ConfigError

__all__ = ["check_first_step", "check_problem"]


@attrs.frozen(kw_only=True, eq=False)
class _Step:
    """One step of training: its initial state and its outcome."""

    state: Any
    config: Mapping[str, Any]
    score: float
    after: Any


def check_problem(problem: Problem, *, seed: int = 0, steps: int = 3) -> None:
    """Checks that a problem is a pure function of seed and configs, and that a run does not alter its states.

    - Its space, direction, models and steps are what a run can be made with, and its seeds go up to 2**32 - 1.
    - The same state, trained twice under the same config, gets the same score.
    - The same seed and configs give the same scores from the start.
    - A state that others were trained from, and that was tested, trains and tests as it did before.
    - Scores are numbers, on validation NaN where a model diverges, and finite on test where they were on validation.

    Args:
        problem: The problem, at a size at which some dozen steps take no time.
        seed: Seed of the models and of the configs drawn.
        steps: How many steps each line of training has, at least 1.

    Raises:
        AssertionError: A property does not hold.

    Examples:
        >>> from benchmarks.problem import Options
        >>> from benchmarks.problems import PROBLEMS
        >>> check_problem(PROBLEMS["nqm"].build(Options(smoke=True)))
    """
    try:
        verify_problem(problem)
    except ConfigError as error:
        raise AssertionError(str(error)) from error
    check_first_step(problem, seed=seed)
    with threadpool_limits(limits=1):  # as in a run: sums have a fixed order
        problem.start(2**32 - 1)
        line, again = (_line(problem, seed, steps) for _ in range(2))
        for number, (first, second) in enumerate(zip(line, again, strict=True), start=1):
            _same(problem, f"trained twice from seed {seed}, step {number}", first.score, second.score)
        alive = [step for step in line if math.isfinite(step.score)]
        if not alive:
            raise _broken(problem, f"at least one of {steps} steps must have a finite validation score, got none")
        tests = [_number(problem, "test", problem.test(step.after)) for step in alive]
        if not all(math.isfinite(test) for test in tests):
            raise _broken(problem, f"test scores must be finite where validation scores are, got {tests}")
        for step in line:
            for other in reversed(line):
                _trained(problem, step.state, other.config)
        for step, test in zip(alive, tests, strict=True):
            score = _trained(problem, step.state, step.config)[1]
            _same(problem, "trained again from a state that has had children and a test", step.score, score)
            _same(problem, "tested again", test, _number(problem, "test", problem.test(step.after)))


def check_first_step(problem: Problem, *, seed: int = 0) -> None:
    """Checks that two models from one state do not interact: the cheap part of `check_problem`, with two steps.

    Raises:
        AssertionError: Their first scores differ or are invalid.
    """
    with threadpool_limits(limits=1):
        config = problem.space.sample(np.random.default_rng(seed))
        state = problem.start(seed)
        first, second = (_trained(problem, state, config)[1] for _ in range(2))
    _same(problem, "trained twice from one initial state", first, second)


def _line(problem: Problem, seed: int, steps: int) -> list[_Step]:
    """Trains one model, each step under another config; a step that diverges is recorded and skipped."""
    rng = np.random.default_rng(seed)
    state, line = problem.start(seed), []
    for _ in range(steps):
        config = problem.space.sample(rng)
        after, score = _trained(problem, state, config)
        line.append(_Step(state=state, config=config, score=score, after=after))
        state = after if math.isfinite(score) else state
    return line


def _trained(problem: Problem, state: Any, config: Mapping[str, Any]) -> tuple[Any, float]:
    answer: Any = problem.train(state, config)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise _broken(problem, f"train must return a state and a score, got {answer!r}")
    return answer[0], _number(problem, "train", answer[1])


def _number(problem: Problem, function: str, score: Any) -> float:
    try:
        return float(score) if math.isfinite(score) else math.nan  # as the ledger takes it
    except TypeError as error:
        raise _broken(problem, f"{function} must give a number as score, got {score!r}") from error


def _same(problem: Problem, when: str, first: float, second: float) -> None:
    if first != second and not (math.isnan(first) and math.isnan(second)):
        raise _broken(
            problem,
            f"{when}: the score must be the same as before, got {first!r} and then {second!r}; train and test must not "
            "change the state that they get (copy before changing in place), and all noise must come from the state",
        )


def _broken(problem: Problem, message: str) -> AssertionError:
    return AssertionError(f"problem {type(problem).__name__}: {message}")
