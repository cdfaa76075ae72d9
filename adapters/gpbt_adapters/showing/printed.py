"""The views of a run drawn with matplotlib, for print.

The same as `figures`, without the texts on hover. Figures are made without pyplot, so nothing global changes and no
figure stays open.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colors, ticker
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from gpbt_adapters.showing.figures.curves import PANELS, figure_names, shown_scores
from gpbt_adapters.showing.figures.parts import log_ticks, nines_ticks, shortened
from gpbt_adapters.showing.figures.time import KINDS, PARTS, bars_of, time_unit
from gpbt_adapters.showing.palette import BEST, CALM, GRID, INK, MUTED, PALE, PART, SCALE, STATUS, sensible_range
from gpbt_adapters.views import (
    PENDING,
    Axis,
    Importance,
    Line,
    Run,
    curves,
    savings,
    schedules,
    scores,
    state_of,
    times,
    tree,
    trials,
)
from gpbt_adapters.views import axes as axes_of
from gpbt_adapters.views.words import number
from gpbt_core.records import Status

__all__ = ["curve", "genealogy", "importance", "parallel", "schedule", "score", "spent", "stopping", "workers"]

_BEST_FIRST = colors.LinearSegmentedColormap.from_list("gpbt", list(SCALE))
_BEST_LAST = _BEST_FIRST.reversed()

_INACTIVE = -0.15
"""The height of a parameter that is not active, on axes from 0 to 1."""


class _Figure(Figure):
    """A figure that a notebook shows without `%matplotlib inline`, as its own type does not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def genealogy(run: Run) -> Figure:
    """The tree: a column for each generation, lines from parents to children, color by score."""
    view, state = tree(run), state_of(run)
    table = view.trials
    figure, axes = _figure(9, min(9.0, 2.2 + 0.13 * view.rows))
    size = float(np.clip(2600 / view.rows**1.3, 3, 60))
    points = np.column_stack([view.x, view.y])
    inner = view.fertile[view.edges[:, 1]]
    few = len(table) < 1000
    for chosen, color, width in ((~inner, PALE, 0.7 if few else 0.1), (inner, MUTED, 0.9 if few else 0.3)):
        axes.add_collection(LineCollection(list(points[view.edges[chosen]]), colors=color, linewidths=width, zorder=1))
    completed = table.having(Status.COMPLETED)
    bounds = _norm(table.score[completed], run)
    drawn = axes.scatter(
        view.x[completed], view.y[completed], size, table.score[completed], cmap=_map(run), norm=bounds, zorder=3,
        label=f"completed ({len(completed)})", linewidths=0,
    )  # fmt: skip
    fates = (
        ("stopped early", [Status.STOPPED], "v", STATUS[Status.STOPPED]),
        ("failed", [Status.FAILED], "x", STATUS[Status.FAILED]),
        ("cancelled", [Status.CANCELLED], "_", STATUS[Status.CANCELLED]),
        ("in training", list(PENDING), "o", STATUS[Status.RUNNING]),
    )
    for name, statuses, marker, color in fates:
        ids = table.having(*statuses)
        if ids.size:
            fill: dict[str, Any] = {"c": color} if marker in "x_" else {"facecolors": "none", "edgecolors": color}
            axes.scatter(
                view.x[ids], view.y[ids], size, marker=marker, linewidths=1.0 if few else 0.5, zorder=2,
                label=f"{name} ({len(ids)})", **fill,
            )  # fmt: skip
    best = points[list(view.best)]
    if len(best):
        axes.plot(
            *best.T, color=BEST, linewidth=2, marker="o", markerfacecolor="none", markersize=max(6, size**0.5 + 3),
            zorder=4, label="the best line",
        )  # fmt: skip
        figure.colorbar(drawn, ax=axes, label="score", shrink=0.8, pad=0.02).outline.set_visible(False)
    axes.set(ylim=(1.02, -0.02), yticks=[])
    axes.spines["left"].set_visible(False)
    _generations(axes, state.generations)
    _legend(axes, size)
    return figure


def score(run: Run) -> Figure:
    """Scores over generations: of each trial in the order of the slots, the best, the median, the best so far."""
    view = scores(run)
    table = view.trials
    figure, axes = _figure(9, 4)
    counts = np.bincount(table.generation, minlength=1)
    size = 16 if len(table) < 1000 else 3
    for name, status, marker, color in (
        ("completed", Status.COMPLETED, "o", CALM),
        ("stopped early", Status.STOPPED, "v", STATUS[Status.STOPPED]),
    ):
        ids = table.having(status)
        at = table.generation[ids]
        x = at + 0.8 * ((table.place[ids] + 0.5) / counts[at] - 0.5)
        if ids.size:
            axes.scatter(x, table.score[ids], size, color, marker=marker, alpha=0.5, linewidths=0, label=name)
    generations = np.arange(len(view.best))
    axes.plot(generations, view.median, ":", color=MUTED, linewidth=1.5, marker=".", label="median")
    axes.plot(generations, view.best, color=INK, linewidth=1, marker=".", label="best of the generation")
    axes.step(generations, view.so_far, color=BEST, linewidth=2, marker=".", where="post", label="best so far")
    _score_axis(axes, table.score, run)
    _generations(axes, state_of(run).generations)
    _legend(axes, size)
    return figure


def curve(run: Run) -> Figure:
    """The scores along the lines of the best trial and of the newest parents, over their steps, before all others.

    Below, a panel for each of the first figures that the trainables report.
    """
    view = curves(run)
    names = figure_names(view)[:PANELS]
    figure = _Figure(figsize=(9, 4 + 1.6 * len(names)), layout="constrained", facecolor="white")
    axes, *panels = np.ravel(
        figure.subplots(1 + len(names), sharex=True, squeeze=False, height_ratios=[4, *[1.6] * len(names)])
    )
    behind = (
        (view.others, PALE, "-", f"others ({len(view.others)})"),
        (view.stopped, STATUS[Status.STOPPED], ":", f"stopped early ({len(view.stopped)})"),
    )
    for lines, color, style, label in behind:
        pieces = [np.column_stack([line.steps, line.scores]) for line in lines]
        axes.add_collection(LineCollection(pieces, colors=color, linestyles=style, linewidths=0.6, label=label))
    ends = [(line.steps[-1], line.scores[-1]) for line in view.stopped]
    if ends:
        axes.scatter(*zip(*ends, strict=True), 16, marker="v", facecolors="none", edgecolors=STATUS[Status.STOPPED])
    marked = [*((line, CALM, 0.9) for line in view.parents), *([(view.best, BEST, 2.0)] if view.best else [])]
    for line, color, width in marked:
        said = "the best" if line is view.best else "the newest parents" if line is view.parents[0] else None
        axes.plot(line.steps, line.scores, color=color, linewidth=width, marker=".", label=said)
    for panel, name in zip(panels, names, strict=True):
        _plain(panel)
        panel.set_title(_text(shortened([name], 50)[0]), fontsize=9, loc="left", fontweight="bold")
        panel.grid(axis="y", color=GRID)
        values = [value for line, *_ in marked for _, value in line.figures.get(name, ())]
        if min(values) > 0 and max(values) > 100 * min(values):
            panel.set_yscale("log")
        for line, color, width in marked:
            panel.plot(*zip(*line.figures.get(name, [(np.nan, np.nan)]), strict=True), color=color, linewidth=width)
    _plain(axes)
    shown = shown_scores(view, minimize=_minimizes(run))
    _score_axis(axes, shown, run)
    (panels[-1] if panels else axes).set_xlabel("steps along the line")
    if shown.size:
        axes.autoscale(axis="x")
        _legend(axes)
    return figure


def _score_axis(axes: Axes, values: Any, run: Run) -> None:
    bounds = sensible_range(values, minimize=_minimizes(run))
    if bounds is not None:
        low, high = bounds
        if low > 0 and high > 100 * low:
            axes.set(yscale="log", ylim=(low / 1.2, high * 1.2))
        else:
            axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.set_ylabel("score")
    axes.grid(axis="y", color=GRID)


def schedule(run: Run) -> Figure:
    """The best schedule and those of the newest parents over steps, one panel per hyperparameter."""
    view = schedules(run)
    columns = min(3, max(1, len(view.axes)))
    rows = max(1, math.ceil(len(view.axes) / columns))
    figure = _Figure(figsize=(9, 0.6 + 1.9 * rows), layout="constrained", facecolor="white")
    grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
    shown = (*view.parents, *(() if view.best is None else (view.best,)))
    end = max((line.schedule.steps for line in shown), default=1)
    titles = shortened([axis.name for axis in view.axes], 32)
    for axes, axis, title in zip(grid, view.axes, titles, strict=False):
        _plain(axes)
        for line in view.parents:
            axes.plot(*_staircase(line, axis), color=CALM, linewidth=0.8, alpha=0.35)
        if view.best is not None:
            axes.plot(*_staircase(view.best, axis), color=BEST, linewidth=2)
        axes.set_title(_text(title), fontsize=9, loc="left", fontweight="bold")
        axes.grid(color=GRID)
        if not any(axis.name in part.config for line in shown for part in line.schedule.segments):
            said = "not active in these schedules" if shown else "no trial is completed"
            axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=MUTED)
        axes.set_xlim(0, end)
        _values(axes, axis)
    for axes in grid[len(view.axes) :]:
        axes.set_visible(False)
    for axes in grid[max(0, len(view.axes) - columns) : len(view.axes)]:
        axes.set_xlabel("step")
    handles = [axes.plot([], [], color=BEST, linewidth=2)[0] for axes in grid[:1]]
    names = ["no trial is completed" if view.best is None else f"the best (trial {view.best.trial})"]
    if view.parents:
        handles += grid[0].plot([], [], color=CALM, linewidth=0.8)
        names.append(f"the newest parents ({len(view.parents)})")
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    return figure


def parallel(run: Run) -> Figure:
    """Parallel coordinates of all completed trials; the best are drawn over the others."""
    table, found = trials(run), axes_of(state_of(run).settings.space)
    ids = table.having(Status.COMPLETED)
    ids = ids[np.argsort(-table.loss[ids], kind="stable")]
    norm = _norm(table.score[ids], run)
    heights = [_unit(axis, [table.configs[i] for i in ids.tolist()]) for axis in found]
    heights.append(np.clip(norm(table.score[ids]), 0, 1) if ids.size else np.zeros(0))
    names = [*(axis.name for axis in found), "score"]
    figure, axes = _figure(max(6.0, 1.5 * len(names)), 4)
    lines = [np.column_stack([np.arange(len(names)), row]) for row in np.array(heights).T]
    color = _map(run)(norm(table.score[ids])) if ids.size else None
    thin = float(np.clip(60 / max(1, len(ids)), 0.05, 1))
    axes.add_collection(LineCollection(lines, colors=color, linewidths=0.4 + thin, alpha=0.1 + 0.8 * thin))
    for place, axis in enumerate(found):
        _scale_beside(axes, place, axis, inactive=bool((heights[place] < 0).any()))
    _scale_ends(axes, len(found), [(0, f"{norm.vmin:.4g}"), (1, f"{norm.vmax:.4g}")])
    axes.set(xlim=(-0.1, len(names) - 0.75), ylim=(-0.2, 1.05), yticks=[])
    axes.set_xticks(range(len(names)), [_text(name) for name in shortened(names, 18)], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(ScalarMappable(norm, _map(run)), ax=axes, label="score", shrink=0.8, pad=0.02)
    return figure


def importance(found: Mapping[int, Importance]) -> Figure:
    """The importance of hyperparameters: a row for each, a column for each generation; numbers above the floor."""
    names = sorted(
        {name for one in found.values() for name in one},
        key=lambda name: -sum(one[name] for one in found.values() if name in one.named),
    )
    figure, axes = _figure(max(4.0, 1.5 + 0.8 * len(found)), 1.2 + 0.35 * max(1, len(names)))
    axes.set_xlabel("generations" if all(one.enough for one in found.values()) else "generations (?: too few trials)")
    if not names:
        axes.set(xticks=[], yticks=[], title="no closed generation")
        return figure
    rows = np.array([[one[name] if name in one.named else 0.0 for one in found.values()] for name in names])
    axes.imshow(rows, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(rows):
        if share > 0:
            axes.text(
                column, row, f"{share:.0%}", ha="center", va="center", fontsize=8, color="white" if share > 0.6 else INK
            )
    labels = [f"{g if one.first == g else f'{one.first}-{g}'}{'' if one.enough else ' ?'}" for g, one in found.items()]
    axes.set_xticks(range(len(found)), labels)
    axes.set_yticks(range(len(names)), [_text(name) for name in names])
    axes.spines[:].set_visible(False)
    return figure


def stopping(run: Run) -> Figure:
    """The steps of each generation: of trials that were not stopped, of stopped trials, and saved."""
    view = savings(run)
    figure, axes = _figure(9, 3)
    generations = np.arange(len(view.completed))
    axes.bar(generations, view.completed, 0.6, color=STATUS[Status.COMPLETED], label="trained, not stopped")
    axes.bar(generations, view.stopped, 0.6, view.completed, color=PART, label="trained, then stopped")
    below = view.completed + view.stopped
    axes.bar(generations, view.untrained, 0.6, below, color="white", edgecolor=PART, label="saved by stopping")
    axes.set_ylabel("steps")
    axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    _generations(axes, state_of(run).generations)
    _legend(axes)
    return figure


def spent(run: Run) -> Figure:
    """The time of all workers, by generation."""
    view = times(run)
    unit, size = time_unit(view.all / max(1, len(view.training)))
    figure, axes = _figure(9, 3)
    generations, below = np.arange(len(view.training)), np.zeros(len(view.training))
    for (name, seconds), color in zip(view.parts, PARTS, strict=True):
        axes.bar(generations, seconds / size, 0.6, below, color=color, label=name)
        below += seconds / size
    axes.set_ylabel(f"{unit} of workers")
    _generations(axes, state_of(run).generations)
    _legend(axes)
    return figure


def workers(run: Run) -> Figure:
    """Which worker trained what when: a row for each worker, a bar for each trial."""
    view = times(run)
    unit, size = time_unit(view.wall)
    bars, _ = bars_of(view, state_of(run))
    figure, axes = _figure(9, 1.2 + min(0.25 * max(view.workers, 1), 6))
    for kind, color in KINDS.items():
        own = [bar for bar in bars if bar.kind == kind]
        if own:
            lengths = np.array([bar.end - bar.begin for bar in own]) / size
            rows, begins = [bar.worker + 1 for bar in own], np.array([bar.begin for bar in own]) / size
            axes.barh(rows, lengths, 0.8, begins, color=color, edgecolor="white", linewidth=0.3, label=kind)
    axes.set(xlim=(0, view.wall / size or 1), ylim=(max(view.workers, 1) + 0.5, 0.5), xlabel=unit, ylabel="worker")
    axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    if bars:
        _legend(axes)
    return figure


# ------------------------------------------------------------------------------------------------------------- parts


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(PALE)
    axes.tick_params(color=PALE, labelcolor=INK, labelsize=8)
    axes.set_axisbelow(True)


def _generations(axes: Axes, count: int) -> None:
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_xlabel("generation")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))


def _legend(axes: Axes, size: float = 36.0) -> None:
    """A legend above the plot, with visible points however small (an area in square points) those of the plot are."""
    scale = max(1.0, (20 / size) ** 0.5)
    axes.legend(
        markerscale=scale, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize=8, borderaxespad=0
    )


def _values(axes: Axes, axis: Axis) -> None:
    if axis.scale == "category":
        every = math.ceil(len(axis.labels) / 10)  # as many as there is room for
        labels = [_text(label) for label in shortened(axis.labels, 14)[::every]]
        axes.set_yticks(range(0, len(axis.labels), every), labels)
        axes.set_ylim(axis.low, axis.high)
        return
    if axis.scale == "log":
        axes.set_yscale("log")
    pad = 1.3 if axis.scale == "log" else 0.06 * (axis.high - axis.low) or 0.5
    low, high = (axis.low / pad, axis.high * pad) if axis.scale == "log" else (axis.low - pad, axis.high + pad)
    axes.set_ylim(low, high)
    if axis.scale == "log" and axis.high < 100 * axis.low:
        ticks = log_ticks(axis.low, axis.high, whole=axis.whole)
        axes.set_yticks(ticks, [number(tick) for tick in ticks])
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if axis.scale == "1-x":
        ticks = nines_ticks(axis.low, axis.high)
        axes.set_yticks(ticks, [axis.text(tick) for tick in ticks])
    if axis.whole and axis.scale == "linear":
        axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=5))


def _staircase(line: Line, axis: Axis) -> tuple[list[int], list[float]]:
    steps: list[int] = []
    values: list[float] = []
    for segment in line.schedule.segments:
        steps += [segment.start_step, segment.start_step + segment.steps]
        values += [axis.at(segment.config)] * 2
    return steps, values


def _unit(axis: Axis, configs: list[Any]) -> Any:
    """Heights from 0 to 1; below 0 if the parameter is not active."""
    values = np.array([axis.at(config) for config in configs], dtype=np.float64)
    low, high = axis.low, axis.high
    if axis.scale == "log":
        values, low, high = np.log(values), math.log(low), math.log(high)
    heights = (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)
    return np.where(np.isnan(heights), _INACTIVE, heights)


def _scale_beside(axes: Axes, place: int, axis: Axis, *, inactive: bool) -> None:
    if axis.scale == "category":
        span = axis.high - axis.low
        labels = list(enumerate(shortened(axis.labels, 14)))[:: math.ceil(len(axis.labels) / 20)]
        marks = [((i - axis.low) / span, label) for i, label in labels]
    else:
        marks = [(0.0, axis.text(axis.low)), (1.0, axis.text(axis.high))]
    if inactive:
        marks.append((_INACTIVE, "inactive"))
    _scale_ends(axes, place, marks)


def _scale_ends(axes: Axes, place: int, marks: list[tuple[float, str]]) -> None:
    axes.plot([place, place], [0, 1], color=MUTED, linewidth=1, zorder=3)
    for height, text in marks:
        axes.text(
            place + 0.03, height, _text(text), fontsize=7, color=INK, va="center", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6},
        )  # fmt: skip


def _text(text: str) -> str:
    """Text escaped so that matplotlib finds no formulas in it."""
    return text.replace("$", r"\$")


def _norm(values: Any, run: Run) -> colors.Normalize:
    low, high = sensible_range(values, minimize=_minimizes(run)) or (0.0, 1.0)
    return colors.Normalize(low, high)


def _map(run: Run) -> colors.Colormap:
    return _BEST_FIRST if _minimizes(run) else _BEST_LAST


def _minimizes(run: Run) -> bool:
    return state_of(run).settings.direction == "minimize"
