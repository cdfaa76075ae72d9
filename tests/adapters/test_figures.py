"""Figures as plain data: what is told apart, what is said, and how narrow they may become."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters.figures import FIGURES, importance
from gpbt_adapters.figures.parts import nice_ticks
from gpbt_adapters.palette import STATUS
from gpbt_core import Categorical, Float, Int, Optimizer, Space, Status, When
from looked_at import run_of


def _run_in(space: Space, count: int) -> Optimizer:
    optimizer = Optimizer(space, population=8, steps=4, preset="random", seed=0)
    for trial in itertools.islice(itertools.chain.from_iterable(iter(optimizer.ask, ())), count):
        optimizer.tell(trial.id, float(trial.id))
    return optimizer


def test_fates_are_told_apart_by_shape_and_the_best_line_is_marked() -> None:
    optimizer = run_of(1000, population=30)
    traces = FIGURES["genealogy"](optimizer)["data"]
    shapes = {trace["name"].split(" (")[0]: trace["marker"]["symbol"] for trace in traces if "marker" in trace}
    assert {"completed", "stopped early", "failed", "the best line"} <= shapes.keys()
    assert len(set(shapes.values())) == len(shapes)
    assert STATUS[Status.FAILED] != STATUS[Status.STOPPED]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_how_narrow_it_may_become(name: str) -> None:
    few, many = (
        FIGURES[name](_run_in(Space({f"p{i}": Float(0, 1) for i in range(count)}), 3))["layout"]["meta"]["leastWidth"]
        for count in (1, 12)
    )
    assert 0 < few <= many
    assert (few < many) == (name in {"parallel", "schedule"})


def test_a_parameter_that_is_not_active_in_any_schedule_is_said_to_be_so() -> None:
    space = Space(kind=Categorical(["a"]), rate=Float(0, 1), other=Int(1, 3))
    texts = [one["text"] for one in FIGURES["schedule"](_run_in(space, 3))["layout"]["annotations"]]
    assert texts == ["<b>kind</b>", "<b>rate</b>", "<b>other</b>"]
    space = Space(kind=Categorical(["a", "b"]), rate=When(Float(0, 1), {"kind": ["a"]}))
    optimizer = Optimizer(space, population=8, steps=4, preset="random", seed=0)
    for trial in optimizer.ask(8):
        optimizer.tell(trial.id, 0.0 if trial.config["kind"] == "b" else 1.0)
    assert optimizer.records[optimizer.best.trial.id].trial.config["kind"] == "b"
    texts = [one["text"] for one in FIGURES["schedule"](optimizer)["layout"]["annotations"]]
    assert "not active in these" in texts


def test_long_names_keep_the_ends_that_tell_them_apart() -> None:
    names = [f"encoder.attention.block.{i}.dropout_probability.{end}" for i, end in enumerate(["first", "second"])]
    (trace,) = FIGURES["parallel"](_run_in(Space({name: Float(0, 1) for name in names}), 3))["data"]
    labels = [one["label"] for one in trace["dimensions"][1:3]]
    assert labels[0].endswith(".first")
    assert labels[1].endswith(".second")
    assert max(map(len, labels)) <= 18
    shown = importance({0: dict.fromkeys(names, 0.5)})["layout"]["yaxis"]["ticktext"]
    assert len(set(shown)) == 2


def test_axes_of_parallel_coordinates_have_ticks_at_both_ends_and_show_them_exactly() -> None:
    space = Space(width=Int(16, 4096, log=True), rate=Float(1e-5, 1, log=True), layers=Int(1, 8), share=Float(0, 0.9))
    (trace,) = FIGURES["parallel"](_run_in(space, 4))["data"]
    texts = {one["label"]: one["ticktext"] for one in trace["dimensions"] if "ticktext" in one}
    assert texts["width"] == ["16", "100", "1000", "4096"]
    assert texts["rate"] == ["1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]
    assert texts["layers"] == ["1", "2", "4", "6", "8"]
    assert texts["share"] == ["0", "0.2", "0.4", "0.6", "0.8", "0.9"]


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), whole=st.booleans())
def test_ticks_are_even_and_lie_on_the_axis(low: float, width: float, *, whole: bool) -> None:
    high = low + width
    ticks = nice_ticks(low, high, whole=whole)
    slack = 1e-6 * max(abs(low), abs(high), 1)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert len(ticks) <= 7
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-3, abs_tol=slack) for step in steps)
    if whole:
        assert all(tick == round(tick) for tick in ticks)


@pytest.mark.parametrize("trials", [40, 4000])
def test_lines_of_scores_are_drawn_by_what_draws_the_points_that_they_lie_over(trials: int) -> None:
    data: list[dict[str, Any]] = FIGURES["score"](run_of(trials, population=max(12, trials // 5)))["data"]
    assert len({trace["type"] for trace in data}) == 1
    assert [trace["name"] for trace in data][-1] == "best so far"
