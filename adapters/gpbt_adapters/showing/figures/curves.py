"""Learning curves along lines as a figure."""

from typing import Any

import numpy as np

from gpbt_adapters.showing.figures.parts import Figure, base_layout, legend_above, minimizes, plain_axis, score_axis
from gpbt_adapters.showing.palette import BEST, CALM, sensible_range
from gpbt_adapters.views import Curve, Curves, Run, curves

__all__ = ["curve"]


def curve(run: Run) -> Figure:
    """The scores along the lines of the best trial and of the newest parents, over their steps."""
    return _curves(curves(run), minimize=minimizes(run))


def _curves(view: Curves, *, minimize: bool) -> Figure:
    data: list[Figure] = []
    if view.parents:
        more = f", {view.omitted} more not shown" if view.omitted else ""
        data.append(
            {
                **_lines(view.parents),
                "name": f"the newest parents ({len(view.parents)}{more})",
                "line": {"color": CALM, "width": 1.2},
                "opacity": 0.45 if len(view.parents) < 15 else 0.25,
                "hovertemplate": "%{text}, step %{x}: %{y}<extra></extra>",
            }
        )
    if view.best is not None:
        data.append(
            {
                **_lines((view.best,)),
                "name": f"the best (trial {view.best.trial})",
                "line": {"color": BEST, "width": 3},
                "hovertemplate": "step %{x}: %{y}<extra>the best</extra>",
            }
        )
    y = score_axis(sensible_range(np.array([score for line in _all(view) for score in line.scores]), minimize=minimize))
    layout = base_layout(
        320,
        height=440,
        xaxis={**plain_axis(), "title": {"text": "step", "standoff": 4, "font": {"size": 12}}},
        yaxis=y,
        legend=legend_above(),
        hovermode="closest",
    )
    return {"data": data, "layout": layout}


def _all(view: Curves) -> tuple[Curve, ...]:
    return (*view.parents, *(() if view.best is None else (view.best,)))


def _lines(shown: tuple[Curve, ...]) -> Figure:
    x: list[Any] = []
    y: list[Any] = []
    text: list[str] = []
    for line in shown:
        x += [*line.steps, None]
        y += [*line.scores, None]
        text += [f"trial {line.trial}"] * (len(line.steps) + 1)
    # A founder with one step is a point, which a line alone would not show.
    return {"type": "scatter", "mode": "lines+markers", "x": x, "y": y, "text": text, "marker": {"size": 4}}
