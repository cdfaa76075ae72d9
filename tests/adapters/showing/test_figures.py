"""Figures as plain data: what is told apart, what is said, and how narrow they may become."""

import itertools
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters.showing.figures import FIGURES, importance
from gpbt_adapters.showing.figures.parts import nice_ticks, shortened
from gpbt_adapters.showing.palette import STATUS
from gpbt_adapters.views import Importance, Timing, noted
from gpbt_core import Categorical, Float, Int, Optimizer, Space, Status, When
from looked_at import run_of
from toy_runs import run_small, small
from toy_trainables import Descent


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


class _Telling(Descent):
    def figures(self) -> dict[str, float]:
        return {"train_loss": abs(self.weight), "<b>norm</b>": 2.0}


@pytest.fixture(scope="module")
def trained() -> Optimizer:
    """A run with times and figures, with stopped trials."""
    return run_small(small(preset="greedy", population=12), _Telling).optimizer


def test_learning_curves_end_where_trials_were_stopped_and_have_a_panel_for_each_figure(trained: Optimizer) -> None:
    figure = FIGURES["curve"](trained)
    assert {trace["type"] for trace in figure["data"]} == {"scatter"}
    stopped = [record for record in trained.records if record.status is Status.STOPPED]
    (ends,) = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    assert sorted(ends["x"]) == sorted(record.trial.start_step + record.steps for record in stopped)
    titles = [one["text"] for one in figure["layout"]["annotations"]]
    assert titles == ["<b>train_loss</b>", "<b>&lt;b&gt;norm&lt;/b&gt;</b>"]
    best = [trace for trace in figure["data"] if trace["name"].startswith("the best")]
    assert [trace["yaxis"] for trace in best] == ["y", "y2", "y3"]
    assert best[1]["x"][:-1] == [r.trial.start_step + r.steps for r in trained.lineage(trained.best.trial.id)]


def test_each_trial_has_a_bar_in_the_row_of_its_worker(trained: Optimizer) -> None:
    figure = FIGURES["workers"](trained)
    assert {trace["type"] for trace in figure["data"]} == {"bar"}
    assert sum(len(trace["x"]) for trace in figure["data"]) == len(trained.records)
    best = next(trace for trace in figure["data"] if trace["name"] == "the best line")
    assert len(best["x"]) == len(trained.lineage(trained.best.trial.id))


def test_many_trials_become_few_bars_that_cover_the_same_time() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=2400, steps=1, preset="random", max_concurrent=2400)
    for trial in optimizer.ask(2400):
        times = {"run": 0, "begin": trial.id // 4 + 0.1, "loading": 0, "training": 0.9, "saving": 0, "searching": 0}
        timing = Timing(worker=f"here:{trial.id % 4}", **times)
        optimizer.tell(trial, 0.5, notes=noted(timing, {}))
    figure = FIGURES["workers"](optimizer)
    assert 0 < sum(len(trace["x"]) for trace in figure["data"]) <= 2000
    assert max(
        b + x for trace in figure["data"] for b, x in zip(trace["base"], trace["x"], strict=True)
    ) == pytest.approx(600 / 60)
    assert "pauses of less than" in figure["layout"]["xaxis"]["title"]["text"]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_how_narrow_it_may_become(name: str) -> None:
    few, many = (
        FIGURES[name](_run_in(Space({f"p{i}": Float(0, 1) for i in range(count)}), 3))["layout"]["meta"]["leastWidth"]
        for count in (1, 12)
    )
    assert 0 < few <= many
    assert (few < many) == (name in {"parallel", "schedule", "slices"})


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
    assert "not active in these schedules" in texts


def _importance(names: list[str], *, first: int = 0, named: tuple[str, ...] = ()) -> Importance:
    equal = dict.fromkeys(names, 1 / len(names))
    return Importance(shares=equal, low=equal, high=equal, floor=equal, named=named, first=first, trials=9)


def test_importance_shows_numbers_above_the_noise_floor_alone_and_which_generations_were_pooled() -> None:
    figure = importance({0: _importance(["a", "b"]), 3: _importance(["a", "b"], first=1, named=("b",))})
    (trace,) = figure["data"]
    assert trace["x"] == ["0 ?", "1-3"]
    assert trace["text"] == [["", ""], ["", "50%"]]  # a, then b on top
    assert "by chance up to 50%; 9 trials<br>not enough trials to tell" in trace["customdata"][0][1]
    assert "too few trials" in figure["layout"]["xaxis"]["title"]["text"]


def test_long_names_keep_the_ends_that_tell_them_apart() -> None:
    names = [f"encoder.attention.block.{i}.dropout_probability.{end}" for i, end in enumerate(["first", "second"])]
    (trace,) = FIGURES["parallel"](_run_in(Space({name: Float(0, 1) for name in names}), 3))["data"]
    labels = [one["label"] for one in trace["dimensions"][1:3]]
    assert labels[0].endswith(".first")
    assert labels[1].endswith(".second")
    assert max(map(len, labels)) <= 18
    shown = importance({0: _importance(names)})["layout"]["yaxis"]["ticktext"]
    assert len(set(shown)) == 2


def test_two_different_names_never_read_the_same() -> None:
    blocks = [f"{part}.block.{i}.attention.dropout_probability" for part in ("encoder", "decoder") for i in (1, 2)]
    choices = [f"pretrained_on_{place}_images" for place in ("a_few", "a_lot_of")]
    space = Space({**{name: Float(0, 1) for name in blocks}, "start": Categorical(choices)})
    run = _run_in(space, 3)
    schedules = FIGURES["schedule"](run)["layout"]
    (parallel,) = FIGURES["parallel"](run)["data"]
    assert len({title["text"] for title in schedules["annotations"]}) == 5
    assert len(set(schedules["yaxis5"]["ticktext"])) == 2
    assert len({one["label"] for one in parallel["dimensions"]}) == 7
    assert len(set(importance({0: _importance(blocks)})["layout"]["yaxis"]["ticktext"])) == 4
    hover = next(trace["text"][0] for trace in FIGURES["genealogy"](run)["data"] if "text" in trace)
    assert len({line.split(" = ")[0] for line in hover.split("<br>")}) == len(hover.split("<br>"))


@given(names=st.lists(st.text("ab.", min_size=1, max_size=30), max_size=6, unique=True), most=st.integers(3, 12))
def test_shortened_names_stay_different(names: list[str], most: int) -> None:
    made = shortened(names, most)
    assert len(set(made)) == len(names)
    assert all(short == name for short, name in zip(made, names, strict=True) if len(name) <= most)


def test_no_axis_writes_numbers_with_prefixes() -> None:
    optimizer = Optimizer(Space(decay=Float(0, 1e-4)), population=8, steps=4, preset="random", seed=0)
    for trial in optimizer.ask(8):
        optimizer.tell(trial.id, 1e-6 * trial.config["decay"])
    for describe in FIGURES.values():
        figure = describe(optimizer)
        axes = [value for key, value in figure["layout"].items() if re.match("[xy]axis", key)]
        bars = [trace["marker"]["colorbar"] for trace in figure["data"] if "colorbar" in trace.get("marker", ())]
        assert all(one["exponentformat"] == "e" for one in (*axes, *bars) if one.get("visible", True))


def test_a_short_logarithmic_axis_has_ticks_to_read_values_by() -> None:
    space = Space(batch=Int(16, 256, log=True), rate=Float(1e-5, 1, log=True), few=Int(2, 4, log=True))
    layout = FIGURES["schedule"](_run_in(space, 3))["layout"]
    assert layout["yaxis"]["ticktext"] == ["20", "50", "100", "200"]
    assert "tickvals" not in layout["yaxis2"]  # powers of ten, of which there are enough
    assert layout["yaxis3"]["ticktext"] == ["2", "3", "4"]


def test_an_axis_of_1_minus_x_gives_each_decade_the_same_room_and_is_labelled_with_values() -> None:
    run = _run_in(Space(beta=Float(0.9, 0.99999, log="1-x"), narrow=Float(0.8, 0.98, log="1-x")), 5)
    layout = FIGURES["schedule"](run)["layout"]
    assert layout["yaxis"]["ticktext"] == ["0.9", "0.99", "0.999", "0.9999", "0.99999"]
    assert layout["yaxis"]["tickvals"] == [1, 2, 3, 4, 5]
    assert layout["yaxis2"]["ticktext"] == ["0.8", "0.9", "0.95", "0.98"]
    (trace,) = FIGURES["parallel"](run)["data"]
    beta = next(one for one in trace["dimensions"] if one["label"] == "beta")
    assert beta["ticktext"] == ["0.9", "0.99", "0.999", "0.9999", "0.99999"]
    assert all(1 <= value <= 5 for value in beta["values"])


def test_many_categories_are_not_written_over_one_another() -> None:
    space = Space(many=Categorical([f"choice_{i:02d}" for i in range(25)]))
    run = _run_in(space, 3)
    axis = FIGURES["schedule"](run)["layout"]["yaxis"]
    assert 5 <= len(axis["tickvals"]) <= 10
    assert [axis["ticktext"][i] for i in (0, 1)] == [f"choice_{axis['tickvals'][i]:02d}" for i in (0, 1)]
    space = Space(many=Categorical([f"choice_{i:03d}" for i in range(100)]))
    (trace,) = FIGURES["parallel"](_run_in(space, 3))["data"]
    assert len(trace["dimensions"][1]["ticktext"]) == len(trace["dimensions"][1]["tickvals"]) <= 25


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
