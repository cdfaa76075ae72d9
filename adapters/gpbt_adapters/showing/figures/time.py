"""Where the time of a run went, as figures: by generation, by worker, and with more workers."""

from collections.abc import Sequence

import attrs

from gpbt_adapters.showing.figures.parts import (
    Figure,
    base_layout,
    generations_axis,
    legend_above,
    plain_axis,
    short,
)
from gpbt_adapters.showing.palette import BEST, CALM, MUTED, PALE, PART, SCALE, STATUS
from gpbt_adapters.views import Run, Times, estimates, state_of, times
from gpbt_adapters.views.words import duration
from gpbt_core.genealogy import lineage
from gpbt_core.records import Status
from gpbt_core.state import State

__all__ = ["KINDS", "PARTS", "bars_of", "spent", "time_unit", "with_more_workers", "workers"]

BARS = 2000
"""The maximum number of bars of workers; where there would be more, neighbors become one bar."""


PARTS = (SCALE[2], SCALE[4], SCALE[6], BEST, MUTED, PALE)
"""The colors of the parts of the time."""

KINDS = {
    "the best line": BEST,
    "even generations": CALM,
    "odd generations": PART,
    "failed": STATUS[Status.FAILED],
}
"""The colors of the bars of workers."""


def spent(run: Run) -> Figure:
    """The time of all workers, by generation."""
    view = times(run)
    unit, size = time_unit(view.all / max(1, len(view.training)))
    data = [
        {
            "type": "bar",
            "name": name,
            "x": list(range(len(seconds))),
            "y": short(seconds / size),
            "text": [duration(one) for one in seconds.tolist()],
            "textposition": "none",
            "marker": {"color": color},
            "width": 0.6,
            "hovertemplate": "generation %{x}: %{text}<extra>" + name + "</extra>",
        }
        for (name, seconds), color in zip(view.parts, PARTS, strict=True)
    ]
    layout = base_layout(
        320,
        height=340,
        barmode="stack",
        xaxis=generations_axis(state_of(run).generations),
        yaxis=_time_axis(f"{unit} of workers"),
        legend=legend_above(),
    )
    return {"data": data if view.known else [], "layout": layout}


@attrs.frozen
class _Bar:
    """A trial, or several that follow one another on a worker."""

    kind: str
    worker: int
    begin: float
    end: float
    first: int
    last: int


def workers(run: Run) -> Figure:
    """Which worker trained what when: a row for each worker, a bar for each trial."""
    view, state = times(run), state_of(run)
    unit, size = time_unit(view.wall)
    bars, pause = bars_of(view, state)
    data: list[Figure] = []
    for kind, color in KINDS.items():
        own = [bar for bar in bars if bar.kind == kind]
        if own:
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": kind,
                    "y": [bar.worker + 1 for bar in own],
                    "base": short([bar.begin / size for bar in own]),
                    "x": short([(bar.end - bar.begin) / size for bar in own]),
                    "text": [_said(bar) for bar in own],
                    "textposition": "none",
                    "marker": {"color": color, "line": {"color": "#ffffff", "width": 0.5 if len(bars) < 400 else 0}},
                    "hovertemplate": "%{text}<extra></extra>",
                }
            )
    title = unit if not pause else f"{unit}; pauses of less than {duration(pause)} are not shown"
    layout = base_layout(
        320,
        height=int(130 + min(max(22 * view.workers, 60), 640)),
        barmode="overlay",
        bargap=0.25 if view.workers <= 40 else 0,
        xaxis={**_time_axis(title), "range": [0, view.wall / size or 1], "showgrid": True},
        yaxis={
            **plain_axis(),
            "title": {"text": "worker", "font": {"size": 12}},
            "range": [max(view.workers, 1) + 0.5, 0.5],
            "showgrid": False,
            **({"dtick": 1} if view.workers <= 24 else {"tickformat": "d"}),
        },
        legend=legend_above(),
        hovermode="closest",
    )
    return {"data": data, "layout": layout}


def with_more_workers(run: Run) -> Figure:
    """How long the run would have taken with other numbers of workers, and how long it took."""
    found, view = estimates(run), times(run)
    unit, size = time_unit(max((one.seconds for one in found), default=1.0))
    data = []
    if found:
        data = [
            {
                "type": "bar",
                "name": "estimate",
                "x": [str(one.workers) for one in found],
                "y": short([one.seconds / size for one in found]),
                "text": [duration(one.seconds) for one in found],
                "textposition": "outside",
                "cliponaxis": False,
                "width": 0.6,
                "marker": {"color": [CALM if one.workers != view.workers else MUTED for one in found]},
                "customdata": [f"{one.busy:.0%}" for one in found],
                "hovertemplate": "%{x} workers: %{text}, busy %{customdata} of their time<extra>estimate</extra>",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"as it was ({duration(view.wall)})",
                "x": [str(view.workers)],
                "y": [view.wall / size],
                "marker": {"color": BEST, "size": 11, "symbol": "diamond"},
                "hovertemplate": "%{x} workers, as it was: " + duration(view.wall) + "<extra></extra>",
            },
        ]
    layout = base_layout(
        320,
        height=320,
        xaxis={
            **plain_axis(),
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [str(count) for count in sorted({*(one.workers for one in found), view.workers})],
            "title": {"text": "workers", "font": {"size": 12}},
            "showgrid": False,
        },
        yaxis=_time_axis(unit),
        legend=legend_above(),
    )
    return {"data": data, "layout": layout}


def bars_of(view: Times, state: State) -> tuple[list[_Bar], float]:
    """At most `BARS` bars, and the pauses in seconds that were given up for it; 0 if none."""
    best = frozenset(record.trial.id for record in lineage(state, state.final)) if state.final is not None else ()
    bars = []
    for one in view.spans:
        kind = "even generations" if one.generation % 2 == 0 else "odd generations"
        if one.trial in best:
            kind = "the best line"
        elif state.records[one.trial].status is Status.FAILED:
            kind = "failed"
        bars.append(_Bar(kind, one.worker, one.begin, one.begin + one.timing.busy, one.trial, one.trial))
    return _merged(bars, view.wall)


def _merged(bars: Sequence[_Bar], wall: float) -> tuple[list[_Bar], float]:
    found, pause = list(bars), 0.0
    while len(found) > BARS and pause < wall:
        pause = 2 * pause or wall / 2000
        last: dict[tuple[int, str], _Bar] = {}
        made: list[_Bar] = []
        for bar in found:
            before = last.get((bar.worker, bar.kind))
            if before is not None and bar.begin - before.end <= pause:
                last[bar.worker, bar.kind] = attrs.evolve(before, end=max(before.end, bar.end), last=bar.last)
                continue
            if before is not None:
                made.append(before)
            last[bar.worker, bar.kind] = bar
        found = sorted([*made, *last.values()], key=lambda bar: bar.begin)
    return found, pause


def _said(bar: _Bar) -> str:
    trials = f"trial {bar.first}" if bar.first == bar.last else f"trials {bar.first} to {bar.last}"
    return f"worker {bar.worker + 1}, {trials}: {duration(bar.end - bar.begin)}, from {duration(bar.begin)} on"


def _time_axis(title: str) -> Figure:
    return {**plain_axis(), "title": {"text": title, "font": {"size": 12}}, "rangemode": "tozero"}


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which to show durations of this size, and its seconds."""
    return ("seconds", 1.0) if seconds < 180 else ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)
