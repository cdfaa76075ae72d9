"""Schedules over steps as a figure, one panel per hyperparameter."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gpbt_adapters.showing.figures.parts import (
    Figure,
    base_layout,
    columns_of,
    domain_of,
    escaped,
    legend_above,
    log_ticks,
    named,
    nines_ticks,
    padded,
    panel_title,
    plain_axis,
)
from gpbt_adapters.showing.palette import BEST, CALM, MUTED
from gpbt_adapters.views import Axis, Line, Run, Schedules, schedules
from gpbt_adapters.views.words import number

__all__ = ["panel", "said", "schedule", "schedule_panels", "staircase", "value_axis"]


def schedule(run: Run) -> Figure:
    """The best schedule and those of the newest parents over steps, one panel per hyperparameter."""
    return _schedule(schedules(run))


def _schedule(view: Schedules) -> Figure:
    shown = (*view.parents, *(() if view.best is None else (view.best,)))
    return schedule_panels(view.axes, shown, lambda axis, suffix, legend: _traces(view, axis, suffix, legend=legend))


def schedule_panels(
    axes: Sequence[Axis], lines: Sequence[Line], traces: Callable[[Axis, str, bool], Iterable[Figure]]
) -> Figure:
    """A panel for each hyperparameter.

    Args:
        axes: The hyperparameters.
        lines: The schedules that are drawn.
        traces: Draws them for a hyperparameter, given the suffix of the panel's axes and whether to name them.
    """
    columns = columns_of(len(axes))
    rows = math.ceil(len(axes) / columns)
    plot = 200 * rows
    names = named([axis.name for axis in axes], 38)
    room = max(200, *(8 * len(name) for name in names), 0)  # for a title, in pixels
    layout = base_layout(
        70 + room * columns, height=plot + 130, legend={**legend_above(), "y": 1 + 26 / plot}, hovermode="closest"
    )
    layout["margin"] |= {"t": 80, "l": 80}
    layout["meta"] |= {"panels": len(axes)}
    data: list[Figure] = []
    titles = []
    end = max((line.schedule.steps for line in lines), default=1)
    for place, axis in enumerate(axes):
        row, column = divmod(place, columns)
        left, right = domain_of(column, columns, 0.09)
        top, bottom = (1 - edge for edge in domain_of(row, rows, 55 / plot))
        suffix = "" if place == 0 else str(place + 1)
        layout[f"xaxis{suffix}"] = {
            **plain_axis(),
            "domain": [left, right],
            "anchor": f"y{suffix}",
            "range": [0, end],
            "title": {"text": "step", "standoff": 4, "font": {"size": 12}} if row == rows - 1 else {},
        }
        layout[f"yaxis{suffix}"] = {**value_axis(axis), "domain": [bottom, top], "anchor": f"x{suffix}"}
        titles.append(panel_title(names[place], left, top, place))
        if not any(axis.name in part.config for line in lines for part in line.schedule.segments):
            titles.append(_nothing((left + right) / 2, (bottom + top) / 2, place, some=bool(lines)))
        data += traces(axis, suffix, place == 0)
    layout["annotations"] = titles
    return {"data": data, "layout": layout}


def _traces(view: Schedules, axis: Axis, suffix: str, *, legend: bool) -> Iterator[Figure]:
    if view.parents:
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for line in view.parents:
            steps, values = staircase(line, axis)
            xs += [*steps, None]
            ys += [*values, None]
            start = f"trial {line.trial}, score {number(line.score)}<br>{escaped(axis.name)} = "
            texts += [f"{start}{value}" for value in said(line, axis)] + [""]
        more = f", {view.omitted} more not shown" if view.omitted else ""
        yield {
            **panel(axis, suffix, xs, ys),
            "name": f"the newest parents ({len(view.parents)}{more})",
            "legendgroup": "parents",
            "showlegend": legend,
            "text": texts,
            "line": {"color": CALM, "width": 1.2},
            "opacity": 0.45 if len(view.parents) < 15 else 0.25,
            "hovertemplate": "%{text}, step %{x}<extra></extra>",
        }
    if view.best is not None:
        steps, values = staircase(view.best, axis)
        yield {
            **panel(axis, suffix, steps, values),
            "name": f"the best (trial {view.best.trial})",
            "legendgroup": "best",
            "showlegend": legend,
            "text": said(view.best, axis),
            "line": {"color": BEST, "width": 3},
            "hovertemplate": escaped(axis.name) + " = %{text}, step %{x}<extra>the best</extra>",
        }


def _nothing(x: float, y: float, place: int, *, some: bool) -> Figure:
    text = "not active in these schedules" if some else "no trial is completed"
    at: Figure = {
        "name": str(place),
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "middle",
    }
    return {**at, "text": text, "showarrow": False, "font": {"size": 12, "color": MUTED}}


def panel(axis: Axis, suffix: str, x: list[Any], y: list[Any]) -> Figure:
    """A trace of lines in the panel whose axes have this suffix."""
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "meta": escaped(axis.name)}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, **axes}


def staircase(line: Line, axis: Axis) -> tuple[list[float], list[float | None]]:
    """Both ends of each segment in which the parameter is active."""
    steps: list[float] = []
    values: list[float | None] = []
    for segment in line.schedule.segments:
        value = axis.at(segment.config)
        steps += [segment.start_step, segment.start_step + segment.steps]
        values += [None if math.isnan(value) else value] * 2
    return steps, values


def said(line: Line, axis: Axis) -> list[str]:
    """The values of `staircase` as text."""
    texts = [escaped(number(segment.config.get(axis.name, math.nan))) for segment in line.schedule.segments]
    return [text for text in texts for _ in range(2)]


def value_axis(axis: Axis) -> Figure:
    """The axis on which the values of a hyperparameter are drawn."""
    if axis.scale == "category":
        every = math.ceil(len(axis.labels) / 10)  # as many as there is room for
        return {
            **plain_axis(),
            "range": [axis.low, axis.high],
            "tickvals": list(range(0, len(axis.labels), every)),
            "ticktext": named(axis.labels, 12)[::every],
        }
    if axis.scale == "log":
        low, high = math.log10(axis.low), math.log10(axis.high)
        made = {**plain_axis(), "type": "log", "range": padded(low, high)}
        if axis.high >= 100 * axis.low:
            return {**made, "dtick": max(1, round((high - low) / 4))}
        ticks = log_ticks(axis.low, axis.high, whole=axis.whole)
        return {**made, "tickvals": ticks, "ticktext": [number(tick) for tick in ticks]}
    if axis.scale == "1-x":
        ticks = nines_ticks(axis.low, axis.high)
        texts = [axis.text(tick) for tick in ticks]
        return {**plain_axis(), "range": padded(axis.low, axis.high), "tickvals": ticks, "ticktext": texts}
    form = {"tickformat": "d"} if axis.whole else {}
    return {**plain_axis(), "range": padded(axis.low, axis.high), "nticks": 6, **form}
