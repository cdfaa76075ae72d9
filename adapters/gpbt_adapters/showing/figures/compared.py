"""Runs side by side, as figures: their best scores over the steps trained, and their best schedules."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from gpbt_adapters.showing.figures.parts import (
    Figure,
    base_layout,
    escaped,
    legend_above,
    named,
    plain_axis,
    score_axis,
    short,
)
from gpbt_adapters.showing.figures.schedules import panel, said, schedule_panels, staircase
from gpbt_adapters.showing.palette import SERIES, sensible_range
from gpbt_adapters.views import Axis, Compared, Comparison, Group

__all__ = ["compared_schedules", "compared_scores"]

GRID = 200
"""The number of steps at which the mean of a group is taken."""


def compared_scores(view: Comparison) -> Figure:
    """The best score of each run over the steps that it had trained; for groups of several runs, their mean, too."""
    data: list[Figure] = []
    names = named([run.name for run in view.runs], 40)
    several = len(view.groups) < len(view.runs)
    for run, name in zip(view.runs, names, strict=True):
        if run.trained.size:
            alone = len(view.groups[run.group].runs) == 1
            data.append(
                {
                    **_line(run.trained.tolist(), short(run.scores), run.group),
                    "name": name,
                    "showlegend": alone,
                    "legendgroup": str(run.group),
                    "opacity": 1 if alone else 0.4,
                    "hovertemplate": "%{y} after %{x} steps<extra>" + name + "</extra>",
                }
            )
            data[-1]["line"] |= {"width": 2.5 if alone else 1}
    for place, (group, name) in enumerate(
        zip(view.groups, named([group.name for group in view.groups], 40), strict=True)
    ):
        steps, means = _mean(view, group)
        if len(group.runs) > 1 and steps:
            label = f"{name} (mean of {len(group.runs)})"
            data.append(
                {
                    **_line(steps, short(means), place),
                    "name": label,
                    "legendgroup": str(place),
                    "hovertemplate": "%{y} after %{x} steps<extra>" + label + "</extra>",
                }
            )
    found = [score for run in view.runs if run.trained.size for score in _sampled(run, _grid([run])).tolist()]
    bounds = sensible_range(np.array(found), minimize=view.direction == "minimize")
    layout = base_layout(
        320,
        height=430 if several or len(view.runs) < 5 else 480,
        xaxis={**plain_axis(), "title": {"text": "steps trained", "standoff": 4, "font": {"size": 12}}},
        yaxis={**score_axis(bounds), "title": {"text": "best score so far", "font": {"size": 12}}},
        legend=legend_above(),
        hovermode="closest",
    )
    return {"data": data, "layout": layout}


def compared_schedules(view: Comparison) -> Figure:
    """The best schedules of all runs, a panel for each hyperparameter."""
    shown = [run for run in view.runs if run.line is not None]
    names = dict(zip((run.name for run in shown), named([run.name for run in shown], 40), strict=True))

    def traces(axis: Axis, suffix: str, legend: bool) -> Iterator[Figure]:  # noqa: FBT001 - a callback
        drawn = set()
        for run in shown:
            assert run.line is not None  # as selected
            steps, values = staircase(run.line, axis)
            group = view.groups[run.group]
            name = escaped(group.name, 40) if len(group.runs) > 1 else names[run.name]
            yield {
                **panel(axis, suffix, steps, values),
                "name": name,
                "legendgroup": str(run.group),
                "showlegend": legend and run.group not in drawn,
                "text": said(run.line, axis),
                "line": {"color": SERIES[run.group % len(SERIES)], "width": 2},
                "opacity": 1 if len(group.runs) == 1 else 0.6,
                "hovertemplate": escaped(axis.name) + " = %{text}, step %{x}<extra>" + names[run.name] + "</extra>",
            }
            drawn.add(run.group)

    return schedule_panels(view.axes, [run.line for run in shown if run.line is not None], traces)


def _line(x: list[int], y: list[float | None], place: int) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) == 1 else "lines",
        "x": x,
        "y": y,
        "line": {"color": SERIES[place % len(SERIES)], "width": 3, "shape": "hv"},
    }


def _grid(runs: Sequence[Compared]) -> npt.NDArray[np.int64]:
    """Evenly spaced steps, from where all of the runs have a score."""
    first, last = max(int(run.trained[0]) for run in runs), max(int(run.trained[-1]) for run in runs)
    return np.unique(np.linspace(first, last, GRID).astype(np.int64))


def _sampled(run: Compared, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The best score of a run after so many steps."""
    return run.scores[np.searchsorted(run.trained, steps, side="right") - 1]


def _mean(view: Comparison, group: Group) -> tuple[list[int], list[float]]:
    """The mean best score of the runs of a group."""
    runs = [view.runs[i] for i in group.runs if view.runs[i].trained.size]
    if not runs:
        return [], []
    steps = _grid(runs)
    return steps.tolist(), np.mean([_sampled(run, steps) for run in runs], axis=0).tolist()
