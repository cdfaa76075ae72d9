"""Completed trials in parallel coordinates as a figure."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpbt_adapters.showing.figures.parts import (
    Figure,
    base_layout,
    color_scale,
    minimizes,
    named,
    nice_ticks,
    nines_ticks,
    short,
    shortened,
)
from gpbt_adapters.showing.palette import sensible_range
from gpbt_adapters.views import Axis, Run, Trials, axes, state_of, trials
from gpbt_adapters.views.words import number
from gpbt_core.records import Status

__all__ = ["parallel"]


def parallel(run: Run) -> Figure:
    """Parallel coordinates of all completed trials; drag along an axis to select."""
    return _parallel(trials(run), axes(state_of(run).settings.space), minimize=minimizes(run))


def _parallel(table: Trials, found: tuple[Axis, ...], *, minimize: bool) -> Figure:
    ids = table.having(Status.COMPLETED)
    ids = ids[np.argsort(-table.loss[ids], kind="stable")]  # draws the best last, over the others
    configs = [table.configs[i] for i in ids.tolist()]
    dimensions = [
        {"label": "generation", "values": table.generation[ids].tolist(), "tickformat": "d", "range": None},
        *map(_dimension, found, named([axis.name for axis in found], 18), itertools.repeat(configs)),
    ]
    last = int(table.generation.max()) if len(table) else 0
    dimensions[0]["range"] = [0, max(1, last)]
    dimensions[0]["tickvals"] = sorted({round(i) for i in np.linspace(0, max(1, last), min(last + 1, 10) + 1)})
    bounds = sensible_range(table.score[ids], minimize=minimize)
    shown = np.clip(table.score[ids], *bounds) if bounds else table.score[ids]
    # The axis cuts off the worst tenth where the others end: with outliers, there would be no room to select in.
    dimensions.append({"label": "score", "values": short(shown), "range": list(bounds or (0, 1))})
    if bounds is not None:
        ticks = _with_ends(bounds[0], nice_ticks(*bounds), bounds[1])
        dimensions[-1] |= {"tickvals": ticks, "ticktext": [f"{tick:.4g}" for tick in ticks]}
    line = {"color": short(shown), "colorscale": color_scale(minimize=minimize)}
    if bounds is not None:
        line |= {"cmin": bounds[0], "cmax": bounds[1]}
    layout = base_layout(120 + 90 * len(dimensions), height=420)
    layout["margin"] |= {"l": 60, "r": 60, "t": 60, "b": 30}
    trace = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": line,
        "labelangle": -20 if len(dimensions) > 8 else 0,
        "labelfont": {"size": 12},
        "tickfont": {"size": 11},
        "rangefont": {"size": 1, "color": "rgba(0,0,0,0)"},
    }
    return {"data": [trace] if ids.size else [], "layout": layout}


def _dimension(axis: Axis, label: str, configs: list[Mapping[str, Any]]) -> Figure:
    values = np.array([axis.at(config) for config in configs], dtype=np.float64)
    low, high = axis.low, axis.high
    made: Figure = {"label": label}
    if axis.scale == "log":
        values, low, high = np.log10(values), math.log10(low), math.log10(high)
        between = range(math.floor(low) + 1, math.ceil(high))
        inside = [float(d) for d in between]
        ticks = _with_ends(low, inside, high)
        made |= {"tickvals": ticks, "ticktext": [number(10**tick) for tick in ticks]}
    elif axis.scale == "category":
        every = math.ceil(len(axis.labels) / 25)  # as many as there is room for
        made |= {"tickvals": list(range(0, len(axis.labels), every))}
        made |= {"ticktext": shortened(axis.labels, 14)[::every]}  # ticks, unlike labels, are not escaped
    else:
        inside = [] if low == high else _inside(axis)
        ticks = _with_ends(low, inside, high)
        made |= {"tickvals": ticks, "ticktext": [axis.text(tick) for tick in ticks]}
    if low == high:
        low, high = low - 0.5, high + 0.5
    if np.isnan(values).any():  # a separate place, below the others, for a parameter that is not active
        below = low - 0.12 * (high - low)
        values = np.where(np.isnan(values), below, values)
        low = below
        made["tickvals"], made["ticktext"] = [below, *made["tickvals"]], ["inactive", *made["ticktext"]]
    return {**made, "values": short(values), "range": [low, high]}


def _inside(axis: Axis) -> list[float]:
    """Ticks of a numeric axis that is not drawn in powers of ten."""
    low, high = axis.low, axis.high
    return nines_ticks(low, high) if axis.scale == "1-x" else nice_ticks(low, high, whole=axis.whole)


def _with_ends(low: float, inside: list[float], high: float) -> list[float]:
    """Ticks at both ends, because an axis is drawn from first to last, and those between that leave them room."""
    room = 0.06 * (high - low)
    return sorted({low, *(tick for tick in inside if min(tick - low, high - tick) > room), high})
