"""Scores over generations as a figure."""

import numpy as np

from gpbt_adapters.showing.figures.parts import (
    MOST,
    Figure,
    base_layout,
    drawn_of,
    generations_axis,
    legend_above,
    minimizes,
    score_axis,
    short,
    thinned,
)
from gpbt_adapters.showing.palette import BEST, CALM, INK, MUTED, STATUS, sensible_range
from gpbt_adapters.views import Run, Scores, scores, state_of
from gpbt_core.records import Status

__all__ = ["score"]


def score(run: Run) -> Figure:
    """Scores over generations: of each trial in the order of the slots, the best, the median, the best so far."""
    return _score(scores(run), state_of(run).generations, minimize=minimizes(run))


def _score(view: Scores, planned: int, *, minimize: bool) -> Figure:
    table = view.trials
    counts = np.bincount(table.generation, minlength=1)
    data: list[Figure] = []
    faint = {"opacity": 0.4} if len(table) >= 1000 else {}
    fates = (
        ("completed", Status.COMPLETED, {"color": CALM, "opacity": 0.55, "symbol": "circle"}),
        ("stopped early", Status.STOPPED, {"color": STATUS[Status.STOPPED], "symbol": "triangle-down-open"} | faint),
    )
    size = 7 if len(table) < 1000 else 4
    for name, status, marker in fates:
        every = table.having(status)
        ids = thinned(every, max(1, MOST * len(every) // max(1, len(table))) if len(table) > MOST else MOST)
        if ids.size:
            at = table.generation[ids]
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{name} {drawn_of(len(ids), len(every))}",
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
                "type": "scatter",
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
    y = score_axis(sensible_range(table.score, minimize=minimize))
    layout = base_layout(
        320,
        height=440,
        xaxis=generations_axis(planned),
        yaxis=y,
        legend=legend_above(),
        hovermode="closest",
    )
    return {"data": data, "layout": layout}
