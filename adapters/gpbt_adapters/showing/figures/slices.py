"""The scores of completed trials over each hyperparameter as a figure, one panel per hyperparameter."""

import math
from typing import Any

import numpy as np

from gpbt_adapters.showing.figures.parts import (
    MOST,
    Figure,
    base_layout,
    domain_of,
    drawn_of,
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
from gpbt_adapters.views.columns import Ints
from gpbt_core.records import Status

__all__ = ["slices"]


def slices(run: Run) -> Figure:
    """The scores of completed trials over each hyperparameter; the last tenth of the generations stands out."""
    state = state_of(run)
    return _slices(trials(run), axes(state.settings.space), state.final, minimize=minimizes(run))


def _slices(table: Trials, found: tuple[Axis, ...], best: int | None, *, minimize: bool) -> Figure:
    completed = table.having(Status.COMPLETED)
    columns = min(3, max(1, len(found)))
    rows = math.ceil(len(found) / columns)
    plot = 210 * rows
    layout = base_layout(70 + 210 * columns, height=plot + 120, legend={**legend_above(), "y": 1 + 26 / plot})
    layout |= {"hovermode": "closest", "annotations": []}
    layout["margin"] |= {"t": 80}
    if not completed.size:
        return {"data": [], "layout": layout}
    ids = thinned(completed, max(100, MOST // max(1, len(found))))
    recent = table.generation[ids] >= math.floor(0.9 * int(table.generation.max()))
    groups = (
        (
            f"earlier trials {drawn_of(int((~recent).sum()), len(completed) - _late(table, completed))}",
            ids[~recent],
            PALE,
        ),
        (f"trials of the last generations {drawn_of(int(recent.sum()), _late(table, completed))}", ids[recent], CALM),
        *([(f"the best (trial {best})", np.array([best]), BEST)] if best is not None else []),
    )
    y = score_axis(sensible_range(table.score[completed], minimize=minimize))
    data: list[dict[str, Any]] = []
    for place, axis in enumerate(found):
        row, column = divmod(place, columns)
        left, right = domain_of(column, columns, 0.06)
        top, bottom = (1 - edge for edge in domain_of(row, rows, 60 / plot))
        suffix = "" if place == 0 else str(place + 1)
        layout[f"xaxis{suffix}"] = {**value_axis(axis), "domain": [left, right], "anchor": f"y{suffix}"}
        more = {"matches": "y"} if place else {}
        layout[f"yaxis{suffix}"] = {**y, "domain": [bottom, top], "anchor": f"x{suffix}", **more}
        if column:
            layout[f"yaxis{suffix}"] |= {"showticklabels": False, "title": {}}
        layout["annotations"].append(panel_title(named([axis.name], 34)[0], left, top))
        for name, members, colour in groups:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "xaxis": f"x{suffix}",
                    "yaxis": f"y{suffix}",
                    "name": name,
                    "legendgroup": name,
                    "showlegend": place == 0,
                    "x": short([axis.at(table.configs[i]) for i in members.tolist()]),
                    "y": short(table.score[members]),
                    "text": [f"trial {i}" for i in members.tolist()],
                    "marker": {
                        "color": colour,
                        "size": 9 if colour == BEST else 5,
                        "opacity": 1 if colour == BEST else 0.75,
                    },
                    "hovertemplate": "%{text}: %{y}<extra></extra>",
                }
            )
    return {"data": data, "layout": layout}


def _late(table: Trials, ids: Ints) -> int:
    return int((table.generation[ids] >= math.floor(0.9 * int(table.generation.max()))).sum())
