"""Plots in a notebook, by both backends, at all sizes."""

import io
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.showing import plots
from gpbt_adapters.views.notebook import run_html
from gpbt_core import Categorical, ConfigError, Float, Int, Optimizer, Space
from looked_at import EVIL, SPACE, advance, run_of
from toy_runs import small_run
from toy_trainables import Descent

ALL = ["genealogy", "scores", "curves", "schedule", "parallel", "stopping", "time", "workers"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("trials", [0, 3, 60])
def test_matplotlib_draws_every_view_at_every_size(name: str, trials: int) -> None:
    pytest.importorskip("matplotlib")
    figure = getattr(plots, f"plot_{name}")(run_of(trials, direction="maximize"), backend="matplotlib")
    figure.savefig(io.BytesIO(), dpi=30)


@pytest.mark.parametrize("name", ["curves", "time", "workers"])
def test_a_run_with_times_and_figures_is_drawn_and_shown_by_a_notebook(name: str) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")

    class Telling(Descent):
        def figures(self) -> dict[str, float]:
            return {"train_loss": abs(self.weight)}

    optimizer = small_run(Telling).optimizer
    figure = getattr(plots, f"plot_{name}")(optimizer, backend="matplotlib")
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert getattr(plots, f"plot_{name}")(optimizer).data


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("trials", [0, 60])
def test_plotly_takes_every_figure(name: str, trials: int) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    figure = getattr(plots, f"plot_{name}")(run_of(trials))
    assert isinstance(figure, graph_objects.Figure)
    assert bool(figure.data) or trials == 0 or name in {"time", "workers"}  # nobody noted times


@pytest.mark.parametrize("backend", ["plotly", "matplotlib"])
def test_importance_is_drawn_by_both(backend: Any) -> None:
    pytest.importorskip(backend)
    assert plots.plot_importance(run_of(16, trial_stopping=None), backend=backend)
    assert plots.plot_importance(run_of(3), backend=backend)


def test_printed_axes_have_ticks_to_read_values_by_and_titles_that_differ() -> None:
    pytest.importorskip("matplotlib")
    names = [f"{part}.block.attention.dropout_probability" for part in ("encoder", "decoder")]
    space = Space(
        {"batch": Int(16, 256, log=True), "many": Categorical(list(range(25))), **{name: Float(0, 1) for name in names}}
    )
    optimizer = Optimizer(space, population=4, steps=2, preset="random")
    for trial in optimizer.ask(4):
        optimizer.tell(trial.id, 0.0)
    figure = plots.plot_schedule(optimizer, backend="matplotlib")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len({axes.get_title(loc="left") for axes in panels}) == 4
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["20", "50", "100", "200"]
    assert len(panels[1].get_yticks()) <= 10


def test_a_printed_axis_of_1_minus_x_is_labelled_with_values() -> None:
    pytest.importorskip("matplotlib")
    optimizer = Optimizer(Space(beta=Float(0.9, 0.999, log="1-x")), population=4, steps=2, preset="random")
    for trial in optimizer.ask(4):
        optimizer.tell(trial.id, 0.0)
    (axes,) = plots.plot_schedule(optimizer, backend="matplotlib").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.9", "0.99", "0.999"]
    texts = {text.get_text() for text in plots.plot_parallel(optimizer, backend="matplotlib").axes[0].texts}
    assert {"0.9", "0.999"} <= texts


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected the backend"):
        plots.plot_scores(run_of(3), backend="bokeh")  # type: ignore[arg-type]  # what is refused


def test_a_notebook_shows_the_best_schedule_as_a_table() -> None:
    optimizer = run_of(60)
    shown = run_html(optimizer)
    assert shown.count("<tr>") == 1 + len(optimizer.best.schedule.segments)
    assert EVIL not in shown


def test_a_notebook_shows_a_study_under_its_name(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from gpbt_adapters.storing.journal import open_study

    with open_study(
        tmp_path / "runs.db", EVIL, SPACE, durability="process", population=12, steps=10, searcher="random", seed=3
    ) as study:
        advance(study, 5)
        shown = study._repr_html_()
    assert "best score" in shown
    assert "alert" in shown
    assert EVIL not in shown


def test_a_notebook_shows_a_run_in_which_nothing_is_completed() -> None:
    assert "no trial is completed yet" in run_html(run_of(0))
