"""The scores of completed trials over each hyperparameter as a figure, one panel per hyperparameter."""

import math
from collections.abc import Iterable
from typing import Any

from gpbt_adapters.showing.figures.parts import (
    MOST,
    Figure,
    base_layout,
    columns_of,
    domain_of,
    drawn_of,
    escaped,
    legend_above,
    minimizes,
    named,
    panel_title,
    score_axis,
    short,
    thinned,
)
from gpbt_adapters.showing.figures.schedules import value_axis
from gpbt_adapters.showing.palette import BEST, CALM, PALE, sensible_range
from gpbt_adapters.views import Axis, Run, Trials, axes, state_of, trials
from gpbt_adapters.views.words import number
from gpbt_core.records import Status

__all__ = ["slices"]


def slices(run: Run) -> Figure:
    """The scores of completed trials over each hyperparameter; later generations are darker."""
    state = state_of(run)
    return _slices(trials(run), axes(state.settings.space), state.final, minimize=minimizes(run))


def _slices(table: Trials, found: tuple[Axis, ...], best: int | None, *, minimize: bool) -> Figure:
    completed = table.having(Status.COMPLETED)
    columns = columns_of(len(found))
    rows = math.ceil(len(found) / columns)
    plot = 210 * rows
    layout = base_layout(70 + 210 * columns, height=plot + 120, legend={**legend_above(), "y": 1 + 26 / plot})
    layout |= {"hovermode": "closest", "annotations": []}
    layout["margin"] |= {"t": 80}
    layout["meta"] |= {"panels": len(found)}
    ids = thinned(completed, max(100, MOST // len(found)))
    names = named([axis.name for axis in found], 34)
    y = score_axis(sensible_range(table.score[completed], minimize=minimize))
    data: list[Figure] = []
    for place, axis in enumerate(found):
        row, column = divmod(place, columns)
        left, right = domain_of(column, columns, 0.06)
        top, bottom = (1 - edge for edge in domain_of(row, rows, 60 / plot))
        suffix = "" if place == 0 else str(place + 1)
        layout[f"xaxis{suffix}"] = {**value_axis(axis), "domain": [left, right], "anchor": f"y{suffix}"}
        layout[f"yaxis{suffix}"] = {**y, "domain": [bottom, top], "anchor": f"x{suffix}"}
        if column:
            layout[f"yaxis{suffix}"] |= {"showticklabels": False, "title": {}}
        layout["annotations"].append(panel_title(names[place], left, top, place))
        panel = {"type": "scatter", "mode": "markers", "xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        panel |= {"meta": escaped(axis.name), "hovertemplate": "%{text}: %{y}<extra></extra>"}
        marker = {"size": 6, "opacity": 0.8, **_by_generation(table, ids.tolist(), bar=place == 0)}
        name = f"completed {drawn_of(len(ids), len(completed))}"
        data.append(
            {**panel, **_points(table, axis, ids.tolist()), "marker": marker, "name": name, "showlegend": False}
        )
        if best is not None:
            name, marker = f"the best (trial {best})", {"size": 10, "color": BEST}
            more = {"name": name, "legendgroup": "best", "showlegend": place == 0}
            data.append({**panel, **_points(table, axis, [best]), "marker": marker, **more})
    return {"data": data if completed.size else [], "layout": layout}


def _points(table: Trials, axis: Axis, ids: Iterable[int]) -> Figure:
    configs = {i: table.configs[i] for i in ids}
    return {
        "x": short([axis.at(config) for config in configs.values()]),
        "y": short(table.score[list(configs)]),
        "text": [
            f"trial {i}, {escaped(axis.name)} = {escaped(number(config.get(axis.name, math.nan)))}"
            for i, config in configs.items()
        ],
    }


def _by_generation(table: Trials, ids: list[int], *, bar: bool) -> dict[str, Any]:
    last = max(1, int(table.generation.max(initial=0)))
    marker: dict[str, Any] = {"color": table.generation[ids].tolist(), "cmin": 0, "cmax": last}
    marker["colorscale"] = [[0, PALE], [1, CALM]]
    if bar:
        title = {"text": "generation", "side": "top", "font": {"size": 12}}
        more = {"tickfont": {"size": 11}, "exponentformat": "e", "thickness": 12, "outlinewidth": 0}
        marker["colorbar"] = {"title": title, "dtick": math.ceil(last / 5), **more}
    return marker
