"""Control lines keep their founders' configs to the end, at no other cost than their slots."""

import math
from typing import Any

import pytest

from gpbt_core import ConfigError, Float, Optimizer, Record, Search, Space, Status, Verdict
from gpbt_core.controls import Controlled, control_of
from gpbt_core.genealogy import schedule
from gpbt_core.testing import check_reproduction

SPACE = Space(omega=Float(0, 1))


def trained(optimizer: Optimizer) -> Optimizer:
    """A run under a score that judges too early: what a high omega costs until step 9 pays off at step 10."""
    done: dict[int | None, float] = {None: 0.0}
    while not optimizer.finished:
        for trial in optimizer.ask():
            value = done[trial.parent]
            for step in range(1, trial.steps + 1):
                value += trial.config["omega"]
                loss = value if trial.start_step + step < 10 else -value
                if optimizer.report(trial.id, step, loss) is Verdict.STOP:
                    break
            done[trial.id] = value
            optimizer.tell(trial.id, loss)
    return optimizer


def run(controls: int, **changes: Any) -> Optimizer:
    setup: dict[str, Any] = {"population": 12, "steps": 10, "preset": "greedy", "searcher": Search("random")}
    return trained(Optimizer(SPACE, controls=controls, **(setup | changes)))


def on_control_lines(optimizer: Optimizer) -> dict[int, list[Record]]:
    """The trials on control lines by founder."""
    lines: dict[int, list[Record]] = {}
    for record in optimizer.records:
        founder = control_of(optimizer.settings.reproduction, optimizer.records, record.trial)
        if founder is not None:
            lines.setdefault(founder, []).append(record)
    return lines


@pytest.mark.parametrize(("population", "preset"), [(8, "gpbt"), (25, "gpbt"), (12, "greedy"), (25, "greedy")])
def test_the_first_founders_keep_their_configs_to_the_end_and_are_never_stopped(population: int, preset: str) -> None:
    optimizer = run(3, population=population, preset=preset)
    lines = on_control_lines(optimizer)
    assert sorted(lines) == [0, 1, 2]
    for founder, records in lines.items():
        assert all(record.status is Status.COMPLETED for record in records)
        (segment,) = schedule(optimizer.state, records[-1].trial.id).segments
        assert (segment.config, segment.steps) == (optimizer.records[founder].trial.config, 10)
    stopped = any(record.status is Status.STOPPED for record in optimizer.records)
    assert stopped == (preset == "greedy")


def test_controls_are_part_of_the_budget() -> None:
    without, with_some = run(0, trial_stopping=None), run(3, trial_stopping=None)
    assert with_some.state.tally.trained <= with_some.budget == without.budget


def test_a_constant_config_that_beats_all_schedules_is_the_result() -> None:
    scores = []
    for seed in range(5):
        optimizer = run(4, seed=seed)
        constant = min(records[-1].loss or math.inf for records in on_control_lines(optimizer).values())
        assert optimizer.best.score <= constant
        scores.append((optimizer.best.score, run(0, seed=seed).best.score))
    assert sum(with_controls < without for with_controls, without in scores) >= 3


def test_a_line_that_fails_ends_and_the_others_go_on() -> None:
    optimizer = Optimizer(SPACE, population=6, steps=6, controls=2, preset="steady")
    while not optimizer.finished:
        for trial in optimizer.ask():
            if trial.id == 0:
                optimizer.fail(trial.id, "it diverged")
            else:
                optimizer.tell(trial.id, trial.config["omega"])
    lines = on_control_lines(optimizer)
    assert len(lines[0]) == 1
    assert lines[1][-1].trial.start_step + lines[1][-1].trial.steps == 6


def test_a_run_with_controls_can_be_stored() -> None:
    optimizer = run(2)
    assert Optimizer.from_dict(optimizer.to_dict()).records == optimizer.records


@pytest.mark.parametrize("rule", [Controlled(controls=1), Controlled(controls=3, steady=True)])
def test_the_rule_passes_the_kit(rule: Controlled) -> None:
    check_reproduction(rule)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": -1}, "controls: must be .* at least 0, got -1"),
        ({"controls": True}, "controls: must be .* got True"),
        ({"controls": 12}, r"controlled: controls must be below \d+, the number of slots of the smallest generation"),
        ({"controls": 2, "preset": "pbt"}, "controls: the rule must be genealogical to have control lines, got 'trunc"),
        ({"controls": 2, "select_by": "posterior"}, "controls: the rule must be genealogical .* got 'posterior'"),
    ],
)
def test_controls_that_a_run_cannot_have_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Optimizer(SPACE, population=12, steps=10, **changes)
