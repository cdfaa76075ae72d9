"""The views of a run as figures of Plotly: plain dicts of "data" and "layout", for which Plotly need not be installed.

Reports, dashboard and notebooks show these same figures. Whatever comes from a config or a reason is escaped here, as
Plotly takes a part of HTML in its texts. From `MANY` points on the graphics card draws.
"""

import html
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gpbt_adapters.palette import BEST, CALM, GRID, INK, MUTED, PALE, SCALE, STATUS, number, sensible_range
from gpbt_adapters.views import (
    PENDING,
    Axis,
    Line,
    Run,
    Savings,
    Schedules,
    Scores,
    Tree,
    Trials,
    axes,
    savings,
    schedules,
    scores,
    state_of,
    tree,
    trials,
)
from gpbt_core.records import Status

__all__ = ["FIGURES", "Figure", "genealogy", "importance", "parallel", "schedule", "score", "stopping"]

Figure = dict[str, Any]

MANY = 3000
"""Points from which on WebGL is faster than SVG by so much that its blurred lines are worth it."""

_FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", "color": INK, "size": 13}
_SCALE = [[i / (len(SCALE) - 1), colour] for i, colour in enumerate(SCALE)]


def genealogy(run: Run) -> Figure:
    """The tree: a column for each generation, lines from parents to children, colour by score."""
    return _genealogy(tree(run), state_of(run).generations, minimize=_minimizes(run))


def score(run: Run) -> Figure:
    """Scores over generations: each trial's in the order of its slots, the best, the median, the best so far."""
    return _score(scores(run), state_of(run).generations, minimize=_minimizes(run))


def schedule(run: Run) -> Figure:
    """The best schedule and those of the newest parents, for each hyperparameter over steps."""
    return _schedule(schedules(run))


def parallel(run: Run) -> Figure:
    """Parallel coordinates of all trials with a score; drag along an axis to choose."""
    return _parallel(trials(run), axes(state_of(run).settings.space), minimize=_minimizes(run))


def importance(found: Mapping[int, Mapping[str, float]]) -> Figure:
    """Which hyperparameters mattered when: a row for each, the one that mattered most on top.

    Args:
        found: By generation, the share of each hyperparameter; see `views.shares`.
    """
    names = sorted(
        {name for shares in found.values() for name in shares},
        key=lambda name: sum(shares.get(name, 0.0) for shares in found.values()),
    )
    rows = [[round(shares.get(name, 0.0), 4) for shares in found.values()] for name in names]
    few = len(found) * len(names) <= 300
    trace = {
        "type": "heatmap",
        "x": [str(generation) for generation in found],
        "y": list(range(len(names))),
        "z": rows,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "#f5f6f8"], [0.5, "#6baed6"], [1, "#08306b"]],
        "xgap": 2 if few else 0,
        "ygap": 2 if few else 0,
        "text": [[_escape(name)] * len(found) for name in names],
        "texttemplate": "%{z:.0%}" if few else "",
        "hovertemplate": "%{text}, generation %{x}: %{z:.1%}<extra></extra>",
        "showscale": False,
    }
    layout = _layout(
        height=110 + max(26 * len(names), 60),
        xaxis={
            **_axis(),
            "type": "category",
            "title": {"text": "generation", "standoff": 8, "font": {"size": 12}},
            "showgrid": False,
        },
        yaxis={
            **_axis(),
            "tickvals": list(range(len(names))),
            "ticktext": [_escape(name, 24) for name in names],
            "showgrid": False,
            "automargin": True,
        },
    )
    return {"data": [trace] if found and names else [], "layout": layout}


def stopping(run: Run) -> Figure:
    """The steps of each generation: trained to the end, trained by trials that were stopped, and spared."""
    return _stopping(savings(run), state_of(run).generations)


# --------------------------------------------------------------------------------------------------------- genealogy


def _genealogy(view: Tree, generations: int, *, minimize: bool) -> Figure:
    table = view.trials
    kind = _kind(len(table))
    height = int(np.clip(160 + 15 * view.rows, 320, 900))
    size = float(np.clip(0.8 * (height - 120) / view.rows, 3.5, 13))
    texts = _hover(table)
    inner = view.fertile[view.edges[:, 1]]
    leaves, lines = _edges(view, view.edges[~inner]), _edges(view, view.edges[inner])
    few = len(table) < 1000
    data = [
        {**_line_trace(kind, *leaves, colour=PALE, width=1 if few else 0.5), "opacity": 0.8 if few else 0.15},
        _line_trace(kind, *lines, colour=MUTED, width=1.3 if few else 0.8),
    ]
    data += _points(view, kind, size, texts, minimize=minimize)
    if len(view.best) > 1:
        data.append(_line_trace(kind, view.x[list(view.best)], view.y[list(view.best)], colour=BEST, width=3))
    if view.best:
        data.append(_best_marks(view, kind, size, texts))
    layout = _layout(
        height=height,
        xaxis=_generations_axis(generations),
        yaxis={"visible": False, "range": [1.02, -0.02], "fixedrange": False},
        legend=_legend(),
        dragmode="pan",
        hovermode="closest",
    )
    return {"data": data, "layout": layout}


def _points(view: Tree, kind: str, size: float, texts: list[str], *, minimize: bool) -> Iterator[Figure]:
    """A trace for each fate, so that each has its shape and its entry in the legend."""
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
        ids = table.having(*statuses)
        if not ids.size:
            continue
        ids = ids[np.argsort(table.loss[ids], kind="stable")]  # the legend has the colour of the first
        if name == "completed":
            marker = {**marker, "color": _short(table.score[ids])}  # noqa: PLW2901 - the one that is coloured by score
        yield {
            "type": kind,
            "mode": "markers",
            "name": f"{name} ({len(ids)})",
            "x": _short(view.x[ids]),
            "y": _short(view.y[ids]),
            "marker": marker,
            "text": [texts[i] for i in ids],
            "customdata": ids.tolist(),
            "hovertemplate": "%{text}<extra></extra>",
        }


def _best_marks(view: Tree, kind: str, size: float, texts: list[str]) -> Figure:
    ids = list(view.best)
    return {
        "type": kind,
        "mode": "markers",
        "name": "the best line",
        "x": _short(view.x[ids]),
        "y": _short(view.y[ids]),
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
        "colorscale": _scale(minimize=minimize),
        "line": {"width": 0},
        "colorbar": {
            "title": {"text": "score", "side": "top"},
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
    """The ends of lines, one after the other; NaN lifts the pen."""
    gaps = np.full(len(pairs), np.nan)
    x = np.column_stack([view.x[pairs[:, 0]], view.x[pairs[:, 1]], gaps]).ravel()
    y = np.column_stack([view.y[pairs[:, 0]], view.y[pairs[:, 1]], gaps]).ravel()
    return x, y


# ------------------------------------------------------------------------------------------------------------ scores


def _score(view: Scores, planned: int, *, minimize: bool) -> Figure:
    table = view.trials
    kind = _kind(len(table))
    counts = np.bincount(table.generation, minlength=1)
    data: list[Figure] = []
    fates = (
        ("completed", Status.COMPLETED, {"color": CALM, "opacity": 0.55, "symbol": "circle"}),
        ("stopped early", Status.STOPPED, {"color": STATUS[Status.STOPPED], "symbol": "triangle-down-open"}),
    )
    size = 7 if len(table) < 1000 else 4
    for name, status, marker in fates:
        ids = table.having(status)
        if ids.size:
            at = table.generation[ids]
            data.append(
                {
                    "type": kind,
                    "mode": "markers",
                    "name": name,
                    "x": _short(at + 0.8 * ((table.place[ids] + 0.5) / counts[at] - 0.5)),
                    "y": _short(table.score[ids]),
                    "marker": {"size": size, **marker},
                    "text": [f"trial {i}" for i in ids.tolist()],
                    "hovertemplate": "%{text}: %{y}<extra></extra>",
                }
            )
    generations = list(range(len(view.best)))
    for name, values, line in (
        ("median", view.median, {"color": MUTED, "width": 2, "dash": "dot"}),
        ("best of the generation", view.best, {"color": INK, "width": 1.5}),
        ("best so far", view.so_far, {"color": BEST, "width": 3, "shape": "hv"}),
    ):
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": generations,
                "y": _short(values),
                "line": line,
                "marker": {"size": 6, "color": line["color"]},
                "connectgaps": True,
                "hovertemplate": "generation %{x}: %{y}<extra>" + name + "</extra>",
            }
        )
    y = {**_axis(), "title": {"text": "score", "font": {"size": 12}}}
    bounds = sensible_range(table.score, minimize=minimize)
    if bounds is not None:
        if bounds[0] > 0 and bounds[1] > 100 * bounds[0]:
            y |= {"type": "log", "range": _padded(math.log10(bounds[0]), math.log10(bounds[1])), "dtick": 1}
        else:
            y |= {"range": _padded(*bounds)}
    layout = _layout(
        height=420,
        xaxis=_generations_axis(planned),
        yaxis=y,
        legend=_legend(),
        hovermode="closest",
    )
    return {"data": data, "layout": layout}


# --------------------------------------------------------------------------------------------------------- schedules


def _schedule(view: Schedules) -> Figure:
    columns = min(3, max(1, len(view.axes)))
    rows = math.ceil(len(view.axes) / columns)
    plot = 200 * rows
    layout = _layout(height=plot + 130, legend={**_legend(), "y": 1 + 26 / plot}, hovermode="closest")
    layout["margin"] |= {"t": 80, "l": 80}
    data: list[Figure] = []
    titles = []
    end = max((line.schedule.steps for line in _lines(view)), default=1)
    for place, axis in enumerate(view.axes):
        row, column = divmod(place, columns)
        left, right = _share(column, columns, 0.09)
        top, bottom = (1 - edge for edge in _share(row, rows, 55 / plot))
        suffix = "" if place == 0 else str(place + 1)
        layout[f"xaxis{suffix}"] = {
            **_axis(),
            "domain": [left, right],
            "anchor": f"y{suffix}",
            "range": [0, end],
            "title": {"text": "step", "standoff": 4, "font": {"size": 12}} if row == rows - 1 else {},
        }
        layout[f"yaxis{suffix}"] = {**_value_axis(axis), "domain": [bottom, top], "anchor": f"x{suffix}"}
        titles.append(_title(_escape(axis.name), left, top))
        data += _schedule_traces(view, axis, suffix, legend=place == 0)
    layout["annotations"] = titles
    return {"data": data, "layout": layout}


def _schedule_traces(view: Schedules, axis: Axis, suffix: str, *, legend: bool) -> Iterator[Figure]:
    if view.parents:
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for line in view.parents:
            steps, values = _staircase(line, axis)
            xs += [*steps, None]
            ys += [*values, None]
            said = f"trial {line.trial}, score {number(line.score)}<br>{_escape(axis.name)} = "
            texts += [f"{said}{value}" for value in _said(line, axis)] + [""]
        more = f", {view.omitted} more not shown" if view.omitted else ""
        yield {
            **_panel(suffix, xs, ys),
            "name": f"the newest parents ({len(view.parents)}{more})",
            "legendgroup": "parents",
            "showlegend": legend,
            "text": texts,
            "line": {"color": CALM, "width": 1.2},
            "opacity": 0.45 if len(view.parents) < 15 else 0.25,
            "hovertemplate": "%{text}, step %{x}<extra></extra>",
        }
    if view.best is not None:
        steps, values = _staircase(view.best, axis)
        yield {
            **_panel(suffix, steps, values),
            "name": f"the best (trial {view.best.trial})",
            "legendgroup": "best",
            "showlegend": legend,
            "text": _said(view.best, axis),
            "line": {"color": BEST, "width": 3},
            "hovertemplate": _escape(axis.name) + " = %{text}, step %{x}<extra>the best</extra>",
        }


def _panel(suffix: str, x: list[Any], y: list[Any]) -> Figure:
    return {"type": "scatter", "mode": "lines", "xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "x": x, "y": y}


def _staircase(line: Line, axis: Axis) -> tuple[list[float], list[float | None]]:
    """Both ends of each segment; nothing where the parameter is not active."""
    steps: list[float] = []
    values: list[float | None] = []
    for segment in line.schedule.segments:
        value = axis.at(segment.config)
        steps += [segment.start_step, segment.start_step + segment.steps]
        values += [None if math.isnan(value) else value] * 2
    return steps, values


def _said(line: Line, axis: Axis) -> list[str]:
    """The values of `_staircase` as text."""
    texts = [_escape(number(segment.config.get(axis.name, math.nan))) for segment in line.schedule.segments]
    return [text for text in texts for _ in range(2)]


def _value_axis(axis: Axis) -> Figure:
    if axis.scale == "category":
        return {
            **_axis(),
            "range": [axis.low, axis.high],
            "tickvals": list(range(len(axis.labels))),
            "ticktext": [_escape(label, 8) for label in axis.labels],
        }
    if axis.scale == "log":
        low, high = math.log10(axis.low), math.log10(axis.high)
        return {
            **_axis(),
            "type": "log",
            "range": _padded(low, high),
            "dtick": max(1, round((high - low) / 4)),
            "exponentformat": "power",
        }
    ticks = {"tickformat": "d"} if axis.whole else {}
    return {**_axis(), "range": _padded(axis.low, axis.high), "nticks": 5, **ticks}


def _lines(view: Schedules) -> Iterable[Line]:
    return (*view.parents, *(() if view.best is None else (view.best,)))


# ------------------------------------------------------------------------------------------------------------ others


def _parallel(table: Trials, found: tuple[Axis, ...], *, minimize: bool) -> Figure:
    ids = table.having(Status.COMPLETED)
    ids = ids[np.argsort(-table.loss[ids], kind="stable")]  # the best are drawn last, over the others
    configs = [table.configs[i] for i in ids.tolist()]
    dimensions = [
        {"label": "generation", "values": table.generation[ids].tolist(), "tickformat": "d", "range": None},
        *(_dimension(axis, configs) for axis in found),
    ]
    last = int(table.generation.max()) if len(table) else 0
    dimensions[0]["range"] = [0, max(1, last)]
    dimensions[0]["tickvals"] = sorted({round(i) for i in np.linspace(0, max(1, last), min(last + 1, 10) + 1)})
    bounds = sensible_range(table.score[ids], minimize=minimize)
    shown = np.clip(table.score[ids], *bounds) if bounds else table.score[ids]
    # An axis on which the tenth that is worst ends where the others do: outliers would leave no room to choose in.
    dimensions.append(
        {"label": "score", "values": _short(shown), "range": list(bounds or (0, 1)), "tickformat": ".4~g"}
    )
    line = {"color": _short(shown), "colorscale": _scale(minimize=minimize)}
    if bounds is not None:
        line |= {"cmin": bounds[0], "cmax": bounds[1]}
    layout = _layout(height=420)
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


def _dimension(axis: Axis, configs: list[Mapping[str, Any]]) -> Figure:
    values = np.array([axis.at(config) for config in configs], dtype=np.float64)
    low, high = axis.low, axis.high
    made: Figure = {"label": _escape(axis.name, 18)}  # ticks, unlike labels, are shown as they are
    if axis.scale == "log":
        values, low, high = np.log10(values), math.log10(low), math.log10(high)
        decades = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
        ticks = [float(d) for d in decades] if len(decades) > 1 else [low, high]
        made |= {"tickvals": ticks, "ticktext": [f"{10**tick:.3g}" for tick in ticks]}
    elif axis.scale == "category":
        made |= {"tickvals": list(range(len(axis.labels))), "ticktext": [_cut(one, 14) for one in axis.labels]}
    else:
        ticks = np.linspace(low, high, 5).tolist() if low < high else [low]
        ticks = sorted({float(round(tick)) for tick in ticks}) if axis.whole else ticks
        made |= {"tickvals": ticks, "ticktext": [f"{tick:.3g}" for tick in ticks]}
    if low == high:
        low, high = low - 0.5, high + 0.5
    if np.isnan(values).any():  # a place of its own, below the others, for where the parameter is not active
        below = low - 0.12 * (high - low)
        values = np.where(np.isnan(values), below, values)
        low = below
        made["tickvals"], made["ticktext"] = [below, *made["tickvals"]], ["inactive", *made["ticktext"]]
    return {**made, "values": _short(values), "range": [low, high]}


def _stopping(view: Savings, planned: int) -> Figure:
    generations = list(range(len(view.completed)))
    bars = (
        ("trained, not stopped", view.completed, {"color": STATUS[Status.COMPLETED]}),
        ("trained, then stopped", view.stopped, {"color": "#9fb3c8"}),
        ("spared by stopping", view.untrained, {"color": "#ffffff", "line": {"color": "#9fb3c8", "width": 1.5}}),
    )
    data = [
        {
            "type": "bar",
            "name": name,
            "x": generations,
            "y": values.tolist(),
            "marker": marker,
            "width": 0.6,
            "hovertemplate": "generation %{x}: %{y} steps<extra>" + name + "</extra>",
        }
        for name, values, marker in bars
    ]
    layout = _layout(
        height=320,
        barmode="stack",
        xaxis=_generations_axis(planned),
        yaxis={**_axis(), "title": {"text": "steps", "font": {"size": 12}}, "rangemode": "tozero"},
        legend=_legend(),
    )
    return {"data": data, "layout": layout}


# ------------------------------------------------------------------------------------------------------------- parts


def _layout(**more: Any) -> Figure:
    return {
        "font": _FONT,
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": PALE, "align": "left", "font": {"color": INK, "size": 12}},
        "uirevision": "kept",  # a new generation leaves zoom and choices as they are
        **more,
    }


def _axis() -> Figure:
    return {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": PALE,
        "tickcolor": PALE,
        "ticks": "outside",
        "tickfont": {"size": 11},
    }


def _generations_axis(count: int) -> Figure:
    pad = 0.5 if count < 30 else 0.02 * count
    axis = {
        **_axis(),
        "title": {"text": "generation", "standoff": 8, "font": {"size": 12}},
        "range": [-pad, count - 1 + pad],
    }
    axis |= {"showgrid": False, "dtick": 1} if count <= 25 else {"showgrid": False, "tickformat": "d"}
    return axis


def _legend() -> Figure:
    return {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}}


def _title(text: str, x: float, y: float) -> Figure:
    return {
        "text": f"<b>{text}</b>",
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12},
    }


def _line_trace(kind: str, x: Any, y: Any, *, colour: str, width: float) -> Figure:
    return {
        "type": kind,
        "mode": "lines",
        "x": _short(x),
        "y": _short(y),
        "line": {"color": colour, "width": width},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _hover(table: Trials) -> list[str]:
    """What is said of each trial when the pointer is on it."""
    texts = []
    parents, starts, ends = (
        table.parent.tolist(),
        table.start_step.tolist(),
        (table.start_step + table.trained).tolist(),
    )
    for i, status in enumerate(table.status):
        said = [f"<b>trial {i}</b> · {status.value}", f"score {number(float(table.score[i]))}"]
        said.append(f"steps {starts[i]}-{ends[i]}" + (f" · child of {parents[i]}" if parents[i] >= 0 else ""))
        said += [f"{_escape(name, 30)} = {_escape(number(value), 40)}" for name, value in table.configs[i].items()][:20]
        reason = table.reasons[i]
        if reason:
            said.append(f"<i>{_escape(reason, 120)}</i>")
        texts.append("<br>".join(said))
    return texts


def _escape(text: str, most: int = 60) -> str:
    """Text that Plotly shows as it is, cut off behind so many characters."""
    return html.escape(_cut(text, most), quote=False)  # Plotly knows no entities for quotes


def _cut(text: str, most: int) -> str:
    short = text if len(text) <= most else text[: most - 1] + "…"
    return " ".join(short.split())


def _scale(*, minimize: bool) -> list[list[Any]]:
    if minimize:
        return _SCALE
    return [[share, colour] for (share, _), (_, colour) in zip(_SCALE, reversed(_SCALE), strict=True)]


def _short(values: npt.ArrayLike) -> list[float | None]:
    """Six digits are enough to draw with, and half as long; None for what is not finite."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in np.asarray(values, dtype=np.float64).tolist()]


def _padded(low: float, high: float) -> list[float]:
    pad = 0.06 * (high - low) or abs(low) * 0.05 or 0.5
    return [low - pad, high + pad]


def _share(place: int, count: int, gap: float) -> tuple[float, float]:
    width = (1 - gap * (count - 1)) / count
    start = place * (width + gap)
    return start, min(1.0, start + width)


def _kind(points: int) -> str:
    return "scattergl" if points >= MANY else "scatter"


def _minimizes(run: Run) -> bool:
    return state_of(run).settings.direction == "minimize"


FIGURES: Mapping[str, Callable[[Run], Figure]] = {
    "genealogy": genealogy,
    "score": score,
    "schedule": schedule,
    "parallel": parallel,
    "stopping": stopping,
}
"""By the name under which pages show them."""
