"""How far a result can be trusted, in runs whose answer is known."""

import statistics
from collections.abc import Callable
from typing import Any

import pytest

from gpbt_adapters.views import Finding, Importance, Replays, trust
from gpbt_adapters.views.findings import amount, edges, repeats
from gpbt_core import Categorical, Float, Int, Optimizer, Space, Trial, When


def _run(space: Space, loss: Callable[[Trial], float | None], **settings: Any) -> Optimizer:
    given = {"population": 12, "steps": 4, "searcher": "random", "trial_stopping": None, "seed": 1, **settings}
    optimizer = Optimizer(space, **given)
    while not optimizer.finished:
        for trial in optimizer.ask():
            told = loss(trial)
            if told is None:
                optimizer.fail(trial, f"trial {trial.id} broke")
            else:
                optimizer.tell(trial, told)
    return optimizer


def _one(found: tuple[Finding, ...], words: str) -> Finding:
    (only,) = (one for one in found if words in one.text)
    return only


KINDS = Space(kind=Categorical(["a", "b"]))


@pytest.mark.parametrize(("noise", "level"), [(0.01, "good"), (5.0, "look")])
def test_the_best_stands_above_the_noise_if_repeats_differ_less(noise: float, level: str) -> None:
    def loss(trial: Trial) -> float:
        return float(trial.config["kind"] == "b") + noise * (trial.id * 7 % 12) / 12

    optimizer = _run(KINDS, loss, preset="random", steps=1)
    groups = [
        [r.loss for r in optimizer.records if r.trial.config["kind"] == kind and r.loss is not None] for kind in "ab"
    ]
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups)
    found = repeats(optimizer)
    assert found.trials == 12
    assert found.spread == pytest.approx((squares / 10) ** 0.5)
    gap = min(groups[1]) - min(groups[0])
    finding = _one(trust(optimizer), "repeated a config from the same weights differ")
    assert amount(found.spread) in finding.text
    assert f"The best is {amount(gap)} better than the next config" in finding.text
    assert finding.level == level
    assert ("may be luck" in finding.text) == (level == "look")


def test_exact_repeats_do_not_pass_for_the_absence_of_luck() -> None:
    optimizer = _run(KINDS, lambda trial: float(trial.config["kind"] == "b"), preset="random", steps=1)
    finding = _one(trust(optimizer), "scored the same")
    assert finding.level == "unknown"


def test_without_repeats_luck_is_unknown_until_the_schedule_is_replayed() -> None:
    optimizer = _run(Space(rate=Float(0, 1)), lambda trial: trial.config["rate"], preset="random")
    assert _one(trust(optimizer), "Replay the schedule").level == "unknown"
    schedule, score = optimizer.best.schedule, optimizer.best.score
    lucky = Replays(schedule=schedule, seeds=(1, 2, 3), scores=((score + 0.9,), (score + 1.0,), (score + 1.1,)))
    finding = _one(trust(optimizer, replays=lucky), "part was luck")
    assert finding.level == "look"
    assert "is 1 better" in finding.text
    fair = Replays(schedule=schedule, seeds=(1, 2, 3), scores=((score - 0.1,), (score,), (score + 0.1,)))
    assert _one(trust(optimizer, replays=fair), "within their spread").level == "good"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (Space(lr=Float(1e-5, 1, log=True)), [("lr", "stayed", "lower", 1e-5)]),
        (Space(lr=Float(0, 1)), []),  # there is nothing below 0
        (Space(lr=Float(-1, 1)), [("lr", "stayed", "lower", -1)]),
        (Space(lr=Int(2, 9)), [("lr", "stayed", "lower", 2)]),
        (Space(lr=Float(0.5, 0.99, log="1-x")), [("lr", "stayed", "lower", 0.5)]),
        (Space(lr=Categorical([1, 2])), []),
    ],
)
def test_a_best_config_at_a_bound_is_told_unless_the_bound_is_0(
    space: Space, told: list[tuple[str, str, str, float]]
) -> None:
    (parameter,) = space.parameters.values()
    low = parameter.choices[0] if isinstance(parameter, Categorical) else parameter.low
    optimizer = _run(
        space, lambda trial: float(trial.config["lr"] != low), preset="random", known_configs=[{"lr": low}]
    )
    assert [(one.name, one.where, one.bound, one.value) for one in edges(optimizer)] == told
    finding = _one(trust(optimizer), "at its lower bound" if told else "inside the ranges")
    assert finding.level == ("look" if told else "good")


def test_a_parameter_that_is_not_active_is_at_no_bound() -> None:
    space = Space(kind=Categorical(["a", "b"]), rate=When(Float(1, 2), {"kind": ["b"]}))
    optimizer = _run(space, lambda trial: float(trial.config["kind"] == "b"), preset="random")
    assert edges(optimizer) == ()


def test_what_changed_configs_gained_is_told_beside_siblings_that_kept_theirs() -> None:
    # The loss depends on the present config alone: a sibling that keeps the config repeats its parent's loss.
    optimizer = _run(
        Space(rate=Float(0, 1)), lambda trial: trial.config["rate"] + 0.001, preset="steady", population=16
    )
    line = optimizer.lineage(optimizer.best.trial.id)
    gained = (line[0].loss or 0) - (line[-1].loss or 0)
    changes = len({record.trial.config["rate"] for record in line}) - 1
    finding = _one(trust(optimizer), "Where its config changed")
    assert finding.level == "good"
    assert f"({changes} of {changes} change" in finding.text
    assert f"the new configs were {amount(gained)} better in sum" in finding.text


def test_failures_are_told_by_reason() -> None:
    optimizer = _run(Space(rate=Float(0, 1)), lambda t: None if t.id % 4 == 1 else 1.0, preset="random")
    finding = _one(trust(optimizer), "failed")
    assert finding.level == "look"
    assert finding.text == "3 of 12 trials failed (3: trial 1 broke)."


def _importance(**shares: float) -> Importance:
    floor = dict.fromkeys(shares, 0.4)
    named = tuple(name for name, share in shares.items() if share > floor[name])
    return Importance(shares=shares, low=shares, high=shares, floor=floor, named=named, first=0, trials=9)


@pytest.mark.parametrize(
    ("found", "words", "level"),
    [
        ([(1, 0), (0.5, 0.5)], "No hyperparameter is clearly without effect", "good"),
        ([(1, 0), (0.7, 0.3)], "No hyperparameter is clearly without effect", "good"),  # more than half of the floor
        ([(1, 0), (0.9, 0.1)], "b showed no effect above chance", "look"),
        ([(0.4, 0.4), (0.4, 0.4)], "too few trials", "unknown"),
        ([(1, 0), (0.4, 0.4), (0.4, 0.4)], "Only 1 of 3 generations", "unknown"),
    ],
)
def test_importance_says_no_more_than_it_knows(found: list[tuple[float, float]], words: str, level: str) -> None:
    optimizer = _run(Space(a=Float(0, 1), b=Float(0, 1)), lambda trial: trial.config["a"], preset="random")
    given = {generation: _importance(a=a, b=b) for generation, (a, b) in enumerate(found)}
    assert _one(trust(optimizer, given), words).level == level


def test_a_run_without_a_result_tells_its_failures_only() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=4)
    assert trust(optimizer) == ()
    (trial,) = optimizer.ask()
    optimizer.fail(trial, "no data")
    (finding,) = trust(optimizer)
    assert "no data" in finding.text
