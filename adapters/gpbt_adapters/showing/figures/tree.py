"""The genealogy as a figure."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from gpbt_adapters.showing.figures.parts import (
    MOST,
    Figure,
    base_layout,
    color_scale,
    drawn_of,
    generations_axis,
    hover_texts,
    legend_above,
    line_trace,
    minimizes,
    short,
    thinned,
)
from gpbt_adapters.showing.palette import BEST, MUTED, PALE, STATUS, sensible_range
from gpbt_adapters.views import PENDING, Run, Tree, state_of, tree
from gpbt_adapters.views.columns import Ints
from gpbt_core.records import Status

__all__ = ["genealogy"]


def genealogy(run: Run) -> Figure:
    """The tree: a column for each generation, lines from parents to children, color by score."""
    return _genealogy(tree(run), state_of(run).generations, minimize=minimizes(run))


def _genealogy(view: Tree, generations: int, *, minimize: bool) -> Figure:
    table = view.trials
    height = int(np.clip(180 + 15 * view.rows, 340, 900))
    size = float(np.clip(0.8 * (height - 140) / view.rows, 3.5, 13))
    best = np.array(view.best, dtype=np.int64)
    ids = thinned(np.arange(len(table)), first=np.union1d(thinned(np.flatnonzero(view.fertile), MOST // 2), best))
    texts = hover_texts(table, ids)
    edges = view.edges[np.isin(view.edges[:, 1], ids)]
    inner = view.fertile[edges[:, 1]]
    leaves, lines = _edges(view, edges[~inner]), _edges(view, edges[inner])
    few = len(table) < 1000
    data = [
        {**line_trace(*leaves, color=PALE, width=1 if few else 0.5), "opacity": 0.8 if few else 0.15},
        line_trace(*lines, color=MUTED, width=1.3 if few else 0.8),
    ]
    data += _points(view, ids, size, texts, minimize=minimize)
    if len(view.best) > 1:
        data.append(line_trace(view.x[list(view.best)], view.y[list(view.best)], color=BEST, width=3))
    if view.best:
        data.append(_best_marks(view, size, texts))
    layout = base_layout(
        int(np.clip(30 * generations, 320, 1100)),
        height=height,
        xaxis=generations_axis(generations),
        yaxis={"visible": False, "range": [1.02, -0.02], "fixedrange": False},
        legend=legend_above(),
        dragmode="pan",
        hovermode="closest",
    )
    return {"data": data, "layout": layout}


def _points(view: Tree, drawn: Ints, size: float, texts: Mapping[int, str], *, minimize: bool) -> Iterator[Figure]:
    """A trace for each status, so that each has its own shape and legend entry."""
    table = view.trials
    bounds = sensible_range(table.score[table.having(Status.COMPLETED)], minimize=minimize)
    fates = (
        ("completed", [Status.COMPLETED], {"symbol": "circle", "size": size, **_scored(bounds, minimize=minimize)}),
        ("stopped early", [Status.STOPPED], _hollow("triangle-down-open", size, Status.STOPPED)),
        ("failed", [Status.FAILED], _hollow("x-thin-open", size, Status.FAILED)),
        ("cancelled", [Status.CANCELLED], _hollow("line-ew-open", size, Status.CANCELLED)),
        ("in training", list(PENDING), _hollow("circle-open", size, Status.RUNNING)),
    )
    for name, statuses, marker in fates:
        every = table.having(*statuses)
        ids = np.intersect1d(every, drawn, assume_unique=True)
        if not ids.size:
            continue
        ids = ids[np.argsort(table.loss[ids], kind="stable")]  # the legend takes the color of the first
        if name == "completed":
            marker = {**marker, "color": short(table.score[ids])}  # noqa: PLW2901 - the only one colored by score
        yield {
            "type": "scatter",
            "mode": "markers",
            "name": f"{name} {drawn_of(len(ids), len(every))}",
            "x": short(view.x[ids]),
            "y": short(view.y[ids]),
            "marker": marker,
            "text": [texts[i] for i in ids],
            "customdata": ids.tolist(),
            "hovertemplate": "%{text}<extra></extra>",
        }


def _best_marks(view: Tree, size: float, texts: Mapping[int, str]) -> Figure:
    ids = list(view.best)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "the best line",
        "x": short(view.x[ids]),
        "y": short(view.y[ids]),
        "marker": {"symbol": "circle-open", "size": max(size + 3, 8), "color": BEST, "line": {"width": 2.5}},
        "text": [texts[i] for i in ids],
        "customdata": ids,
        "hovertemplate": "%{text}<extra>the best line</extra>",
    }


def _scored(bounds: tuple[float, float] | None, *, minimize: bool) -> Figure:
    if bounds is None:
        return {"color": STATUS[Status.COMPLETED]}
    return {
        "cmin": bounds[0],
        "cmax": bounds[1],
        "colorscale": color_scale(minimize=minimize),
        "line": {"width": 0},
        "colorbar": {
            "title": {"text": "score", "side": "top", "font": {"size": 12}},
            "tickfont": {"size": 11},
            "exponentformat": "e",
            "thickness": 12,
            "outlinewidth": 0,
            "len": 0.9,
            "tickcolor": MUTED,
            "x": 1.01,
        },
    }


def _hollow(symbol: str, size: float, status: Status) -> Figure:
    width = 2.0 if size > 6 else 1.2
    return {"symbol": symbol, "size": size, "color": STATUS[status], "line": {"width": width, "color": STATUS[status]}}


def _edges(view: Tree, pairs: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The end points of lines, one after the other; NaN ends a line."""
    gaps = np.full(len(pairs), np.nan)
    x = np.column_stack([view.x[pairs[:, 0]], view.x[pairs[:, 1]], gaps]).ravel()
    y = np.column_stack([view.y[pairs[:, 0]], view.y[pairs[:, 1]], gaps]).ravel()
    return x, y
