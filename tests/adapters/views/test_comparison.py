"""Runs side by side: repeats form groups, and groups are paired by seed."""

from typing import Any

import pytest
from scipy.stats import wilcoxon

from gpbt_adapters import views
from gpbt_core import Categorical, ConfigError, Float, Optimizer, Space
from looked_at import EVIL, run_of


def _run(seed: int, score: float, *, searcher: str = "random", **settings: Any) -> Optimizer:
    given = {"space": Space(rate=Float(0, 1)), "population": 3, "steps": 1, "preset": "random", **settings}
    optimizer = Optimizer(**given, seed=seed, searcher=searcher)
    for trial in optimizer.ask(3):
        optimizer.tell(trial, score + trial.id)
    return optimizer


def test_repeats_form_groups_which_are_paired_by_seed() -> None:
    scores = {"random": [3.0, 5, 2, 8, 4, 7], "sobol": [2.5, 5, 1, 9, 3, 5]}
    runs = {
        f"{kind}, seed={seed}": _run(seed, score, searcher=kind)
        for kind, found in scores.items()
        for seed, score in enumerate(found)
    }
    view = views.compare({**runs, "sobol, seed=9": _run(9, 0.0, searcher="sobol")})
    assert [(group.name, len(group.runs)) for group in view.groups] == [("random", 6), ("sobol", 7)]
    (pairing,) = view.pairings
    gains = [other - one for one, other in zip(*scores.values(), strict=True)]
    assert (pairing.pairs, pairing.won, pairing.lost) == (6, 1, 4)
    assert pairing.gain == pytest.approx(sum(gains) / 6)
    assert pairing.p == pytest.approx(wilcoxon(gains).pvalue)
    assert "1 of 6 pairs won, 1 equal, 0.583 worse on average (Wilcoxon p = " in str(view)


def test_gains_are_in_the_direction_of_the_runs() -> None:
    runs = [_run(s, s + better, searcher=kind, direction="maximize") for kind, better in KINDS for s in (0, 1)]
    (pairing,) = views.compare(runs).pairings
    assert (pairing.won, pairing.lost, pairing.gain) == (0, 2, -1)
    assert pairing.p != pairing.p  # NaN: too few pairs


KINDS = (("random", 0.0), ("sobol", 1.0))


def test_the_curve_is_the_best_score_over_the_steps_trained() -> None:
    optimizer = run_of(40)
    (run, _) = views.compare([optimizer, run_of(3)]).runs
    assert run.scores[-1] == run.score == optimizer.best.score
    assert run.trained[-1] == sum(record.steps for record in optimizer.records)
    assert list(run.trained) == sorted(run.trained)
    assert list(run.scores) == sorted(run.scores, reverse=True)


def test_runs_without_a_result_are_shown_without_a_score() -> None:
    empty, other = Optimizer(Space(rate=Float(0, 1)), population=2, steps=1), _run(0, 1.0)
    (first, second) = views.compare([empty, other]).runs
    assert (first.best, first.line, list(first.trained)) == (None, None, [])
    assert second.best == 0
    assert "run 1" in str(views.compare([empty, other]))


def test_spaces_that_differ_share_axes_with_room_for_all_values() -> None:
    one = _run(0, 1.0, space=Space(rate=Float(0.1, 1, log=True), kind=Categorical(["a", "b"])))
    other = _run(0, 1.0, space=Space(rate=Float(0.5, 9, log=True), kind=Categorical(["b", "c"]), size=Float(0, 1)))
    axes = {axis.name: axis for axis in views.compare([one, other]).axes}
    assert axes.keys() == {"rate", "kind", "size"}
    assert (axes["rate"].scale, axes["rate"].low, axes["rate"].high) == ("log", 0.1, 9)
    assert axes["kind"].labels == ("a", "b", "c")


def test_a_notebook_and_a_terminal_take_no_name_for_markup() -> None:
    view = views.compare({EVIL: _run(0, 1.0), "\x1b[2J": _run(1, 1.0)})
    assert EVIL not in view._repr_html_()
    assert "\x1b" not in str(view)


@pytest.mark.parametrize(
    ("runs", "words"),
    [([], "at least two, got 0"), ([_run(0, 1.0)], "got 1"), ([_run(0, 1.0), run_of(3, direction="maximize")], "same")],
)
def test_what_cannot_be_compared_is_refused(runs: list[Optimizer], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        views.compare(runs)
