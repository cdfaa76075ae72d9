"""Why the best schedule is one config all the time, or ends early."""

import pytest

from gpbt_adapters.views import story
from gpbt_core import Float, Optimizer, Space


def _run(score: dict[str, float], **settings: object) -> Optimizer:
    """A run whose losses are the config's rate, plus what a trial's depth adds."""
    given = {"population": 9, "steps": 10, "searcher": "random", "seed": 1, "trial_stopping": None, **settings}
    optimizer = Optimizer(Space(rate=Float(0, 1)), **given)  # type: ignore[arg-type]  # as above
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial, score["rate"] * trial.config["rate"] + score["depth"] * trial.depth)
    return optimizer


@pytest.mark.parametrize(
    ("settings", "only"),
    [({}, True), ({"reproduction": ("genealogical", {"parents": None, "c": 9.0})}, False)],
)
def test_a_schedule_that_ends_early_says_what_went_on_from_it(settings: dict[str, object], *, only: bool) -> None:
    optimizer = _run({"rate": 1.0, "depth": 1.0}, **settings)
    (early,) = story(optimizer)
    best = optimizer.best
    assert early.startswith(f"The best schedule ends after step {best.trial.start_step + best.trial.steps} of 10: ")
    went = [record for record in optimizer.records if record.trial.parent == best.trial.id]
    if len(went) == 1:
        assert ": the only trial that continued from its weights scored worse by " in early
    else:
        assert f": of {len(went)} trials that continued from its weights, all scored worse by " in early
    assert (len(went) == 1) is only


def test_a_schedule_that_never_changes_says_what_else_was_tried() -> None:
    optimizer = _run({"rate": 1.0, "depth": -0.0001}, preset="greedy")
    told = story(optimizer)
    constant = len(optimizer.best.schedule.segments) == 1
    assert any("the same config from start to end" in sentence for sentence in told) is constant
    assert constant
    assert "tried from the same weights" in told[0]
    assert "scored worse" in told[0]


def test_a_run_with_control_lines_says_what_the_schedule_gains_over_them() -> None:
    optimizer = _run({"rate": 1.0, "depth": -0.01}, controls=2)
    rates = [record.trial.config["rate"] for record in optimizer.records[:2]]
    assert not any("control line" in sentence for sentence in story(_run({"rate": 1.0, "depth": -0.01})))
    constant = min(rates) - 0.01 * optimizer.best.trial.depth
    told = story(optimizer)[-1]
    assert told.startswith("The best of 2 control lines, configs that were held from start to end, scored ")
    assert f"scored {constant:.6g}:" in told
    assert told.endswith(f"the schedule gains {constant - optimizer.best.score:.3g}.")


def test_a_control_line_that_is_the_best_says_that_no_schedule_beat_it() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=6, steps=6, controls=2, searcher="random")
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial, float(optimizer.lineage(trial.id)[0].trial.id != 1) - 0.1 * trial.depth)
    assert "The best schedule is one of 2 control lines: no other beat a constant config" in story(optimizer)[-1]


def test_control_lines_that_all_fail_leave_the_gain_unknown() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=6, steps=6, controls=1, searcher="random")
    while not optimizer.finished:
        for trial in optimizer.ask():
            if trial.id == 0:
                optimizer.fail(trial, "it diverged")
            else:
                optimizer.tell(trial, trial.config["rate"])
    assert story(optimizer)[-1].startswith("None of 1 control line reached step ")


def test_without_a_result_there_is_no_story() -> None:
    assert story(Optimizer(Space(rate=Float(0, 1)), population=4, steps=4)) == ()
