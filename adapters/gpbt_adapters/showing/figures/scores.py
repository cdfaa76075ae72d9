"""Scores over generations as a figure."""

import numpy as np

from gpbt_adapters.showing.figures.parts import (
    Figure,
    base_layout,
    generations_axis,
    kind_of,
    legend_above,
    minimizes,
    score_axis,
    short,
)
from gpbt_adapters.showing.palette import BEST, CALM, INK, MUTED, STATUS
from gpbt_adapters.views import Run, Scores, scores, state_of
from gpbt_core.records import Status

__all__ = ["score"]


def score(run: Run) -> Figure:
    """Scores over generations: of each trial in the order of the slots, the best, the median, the best so far."""
    return _score(scores(run), state_of(run).generations, minimize=minimizes(run))


def _score(view: Scores, planned: int, *, minimize: bool) -> Figure:
    table = view.trials
    kind = kind_of(len(table))
    counts = np.bincount(table.generation, minlength=1)
    data: list[Figure] = []
    faint = {"opacity": 0.4} if len(table) >= 1000 else {}
    fates = (
        ("completed", Status.COMPLETED, {"color": CALM, "opacity": 0.55, "symbol": "circle"}),
        ("stopped early", Status.STOPPED, {"color": STATUS[Status.STOPPED], "symbol": "triangle-down-open"} | faint),
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
                    "x": short(at + 0.8 * ((table.place[ids] + 0.5) / counts[at] - 0.5)),
                    "y": short(table.score[ids]),
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
                "type": kind,  # otherwise the lines would be behind the points
                "mode": "lines+markers",
                "name": name,
                "x": generations,
                "y": short(values),
                "line": line,
                "marker": {"size": 6, "color": line["color"]},
                "connectgaps": True,
                "hovertemplate": "generation %{x}: %{y}<extra>" + name + "</extra>",
            }
        )
    layout = base_layout(
        600,
        height=440,
        xaxis=generations_axis(planned),
        yaxis=score_axis(table.score, minimize=minimize),
        legend=legend_above(),
        hovermode="closest",
    )
    return {"data": data, "layout": layout}
