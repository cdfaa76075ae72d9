"""Learning curves along lines as a figure: the score on top, below it the figures that the trainables report."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpbt_adapters.showing.figures.parts import (
    Figure,
    base_layout,
    legend_above,
    minimizes,
    named,
    padded,
    panel_title,
    plain_axis,
    score_axis,
    short,
)
from gpbt_adapters.showing.palette import BEST, CALM, PALE, STATUS, sensible_range
from gpbt_adapters.views import Curve, Curves, Run, curves
from gpbt_core.records import Status

__all__ = ["PANELS", "curve", "figure_names", "shown_scores"]

PANELS = 4
"""The maximum number of figures of the trainables that have a panel."""

POINTS = 400
"""The maximum number of points of a line; longer lines are thinned out evenly."""

HEIGHT, PANEL, GAP = 330, 130, 62
"""Heights in pixels: of the scores, of a panel, and between two panels."""


def curve(run: Run) -> Figure:
    """The scores along the lines of the best trial and of the newest parents, over their steps, before all others."""
    return _curves(curves(run), minimize=minimizes(run))


def _curves(view: Curves, *, minimize: bool) -> Figure:
    data = [
        _lines(view.others, "", PALE, 1, name=f"others ({len(view.others)})", size=3),
        _lines(view.stopped, "", STATUS[Status.STOPPED], 1, name=f"stopped early ({len(view.stopped)})", dash="dot"),
        _ends(view.stopped),
    ]
    data += _marked(view, "", legend=True)
    names = figure_names(view)[:PANELS]
    plot = HEIGHT + (PANEL + GAP) * len(names)
    bounds = sensible_range(shown_scores(view, minimize=minimize), minimize=minimize)
    layout = base_layout(
        320,
        height=plot + 112,
        xaxis={**plain_axis(), "anchor": "y"},
        yaxis={**score_axis(bounds), "domain": [1 - HEIGHT / plot, 1]},
        legend=legend_above(),
        hovermode="closest",
    )
    titles = []
    for place, (name, title) in enumerate(zip(names, named(names, 50), strict=True)):
        top = HEIGHT + GAP + place * (PANEL + GAP)
        domain = [max(0.0, 1 - (top + PANEL) / plot), 1 - top / plot]
        suffix = str(place + 2)
        layout[f"xaxis{suffix}"] = {**plain_axis(), "anchor": f"y{suffix}", "matches": "x"}
        layout[f"yaxis{suffix}"] = {**plain_axis(), "domain": domain, "anchor": f"x{suffix}", "nticks": 5}
        layout[f"yaxis{suffix}"] |= _figure_axis(view, name)
        titles.append(panel_title(title, 0, domain[1], place + 1))
        data += _marked(_figures(view, name), suffix, legend=False, figure=f", {title}")
    last = f"xaxis{len(names) + 1}" if names else "xaxis"
    layout[last]["title"] = {"text": "steps along the line", "standoff": 4, "font": {"size": 12}}
    layout["annotations"] = titles
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def figure_names(view: Curves) -> list[str]:
    """The names of the figures along the lines, the most frequent first."""
    counts: dict[str, int] = {}
    for line in _all(view):
        for name, points in line.figures.items():
            counts[name] = counts.get(name, 0) + len(points)
    return sorted(counts, key=lambda name: -counts[name])


def _marked(view: Curves, suffix: str, *, legend: bool, figure: str = "") -> Iterable[Figure]:
    """The newest parents and the best, on the axes of one panel."""
    if view.parents:
        more = f", {view.omitted} more not shown" if view.omitted else ""
        name = f"the newest parents ({len(view.parents)}{more})"
        yield {
            **_lines(view.parents, suffix, CALM, 1.4, name=name, said=figure),
            "opacity": 0.6 if len(view.parents) < 15 else 0.35,
            "legendgroup": "parents",
            "showlegend": legend,
        }
    if view.best is not None:
        yield {
            **_lines((view.best,), suffix, BEST, 3, name=f"the best (trial {view.best.trial})", said=figure),
            "legendgroup": "best",
            "showlegend": legend,
        }


def _figures(view: Curves, name: str) -> Curves:
    """The same lines with a figure in place of the scores."""

    def changed(line: Curve) -> Curve:
        points = line.figures.get(name, ())
        return Curve(trial=line.trial, steps=tuple(s for s, _ in points), scores=tuple(value for _, value in points))

    return Curves(
        best=None if view.best is None else changed(view.best),
        parents=tuple(map(changed, view.parents)),
        omitted=view.omitted,
        others=(),
        stopped=(),
        left_out=0,
    )


def _figure_axis(view: Curves, name: str) -> Figure:
    values = [value for line in _all(view) for _, value in line.figures.get(name, ())]
    low, high = min(values), max(values)
    if low > 0 and high > 100 * low:
        return {"type": "log", "dtick": max(1, round(math.log10(high / low) / 4))}
    return {"range": padded(low, high)}


def shown_scores(view: Curves, *, minimize: bool) -> Any:
    """The scores that the axis shows: those of the marked lines, and the better three quarters of the others."""
    behind = np.array([score for line in (*view.others, *view.stopped) for score in line.scores])
    worst = np.quantile(behind, 0.75 if minimize else 0.25) if behind.size else 0.0
    return np.array(
        [
            *(score for line in _all(view) for score in line.scores),
            *behind[behind <= worst if minimize else behind >= worst],
        ]
    )


def _all(view: Curves) -> tuple[Curve, ...]:
    return (*view.parents, *(() if view.best is None else (view.best,)))


def _lines(
    shown: Iterable[Curve],
    suffix: str,
    color: str,
    width: float,
    *,
    name: str,
    said: str = "",
    dash: str = "solid",
    size: int = 4,
) -> Figure:
    x: list[Any] = []
    y: list[Any] = []
    text: list[str] = []
    for line in shown:
        points = list(range(len(line.steps)))
        if len(points) > POINTS:
            points = sorted({round(i * (len(points) - 1) / (POINTS - 1)) for i in range(POINTS)})
        x += [*(line.steps[i] for i in points), None]
        y += [*short([line.scores[i] for i in points]), None]
        text += [f"trial {line.trial}{said}"] * (len(points) + 1)
    return {
        "type": "scatter",
        "mode": "lines+markers",  # a founder with one step is a point, which a line alone would not show
        "name": name,
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "x": x,
        "y": y,
        "text": text,
        "line": {"color": color, "width": width, "dash": dash},
        "marker": {"size": size, "color": color},
        "hovertemplate": "%{text}, step %{x}: %{y}<extra></extra>",
    }


def _ends(stopped: Iterable[Curve]) -> Figure:
    """Where trials were stopped."""
    ends = [line for line in stopped if line.steps]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "stopped early",
        "x": [line.steps[-1] for line in ends],
        "y": short([line.scores[-1] for line in ends]),
        "text": [f"trial {line.trial}" for line in ends],
        "marker": {"size": 7, "color": STATUS[Status.STOPPED], "symbol": "triangle-down-open"},
        "hovertemplate": "%{text}, stopped at step %{x}: %{y}<extra></extra>",
        "showlegend": False,
    }
