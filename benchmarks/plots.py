"""Plots of the results as SVG elements, with matplotlib; equal results give equal plots."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.collection import ProblemRuns

__all__ = ["anytime", "boxes"]

# Color-blind safe (Okabe and Ito 2008), the reference first.
_COLORS = (
    "#D55E00",
    "#0072B2",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999999",
    "#8B5A2B",
    "#6A3D9A",
)


def anytime(name: str, problem: ProblemRuns, entrants: Sequence[str]) -> str:
    """Best validation score so far over steps trained: medians over seeds, quartiles of the first entrant as a band."""
    names = [entrant for entrant in entrants if entrant in problem.runs]
    figure, axes = _figure(7.5, 4.2)
    finals = []
    for place, entrant in enumerate(names):
        # Runs of one entrant have one budget: it is part of the entrant's name.
        curves = np.array([run.curve for run in problem.runs[entrant].values()])
        low, median, high = (
            problem.score(1.0) * np.quantile(curves, share, axis=0, method="nearest") for share in (0.25, 0.5, 0.75)
        )
        steps = np.arange(1, curves.shape[1] + 1)
        color = _COLORS[place % len(_COLORS)]
        axes.plot(
            steps, median, color=color, lw=2.2 if place == 0 else 1.4, label=entrant, zorder=3 if place == 0 else 2
        )
        if place == 0:
            axes.fill_between(steps, low, high, color=color, alpha=0.15, lw=0)
        finals.append(median[np.isfinite(median)])
    if problem.direction == "minimize" and all((curve > 0).all() for curve in finals):
        axes.set_yscale("log")  # losses fall by orders of magnitude
    _focus(axes, finals, rising=problem.direction == "maximize")
    axes.set_xlabel("steps trained")
    axes.set_ylabel("best validation score so far")
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return _svg(figure, f"anytime {name}")


def boxes(name: str, problem: ProblemRuns, entrants: Sequence[str]) -> str:
    """Test scores of the chosen models: a box per entrant, a dot per seed."""
    names = [entrant for entrant in entrants if entrant in problem.runs][::-1]
    figure, axes = _figure(7.5, 0.6 + 0.34 * len(names))
    scores = [problem.score(1.0) * problem.losses(entrant, "test") for entrant in names]
    axes.boxplot(
        scores,
        orientation="horizontal",
        tick_labels=names,
        showfliers=False,
        widths=0.6,
        medianprops={"color": _COLORS[0], "lw": 2},
        boxprops={"color": "#555"},
        whiskerprops={"color": "#999"},
        capprops={"color": "#999"},
    )
    for place, values in enumerate(scores, start=1):
        nudges = np.random.default_rng(0).uniform(-0.16, 0.16, len(values))
        axes.plot(values, place + nudges, "o", ms=3, color=_COLORS[1], alpha=0.5, mew=0)
    axes.set_xlabel("test score")
    return _svg(figure, f"boxes {name}")


def _focus(axes: Any, curves: Sequence[Any], *, rising: bool) -> None:
    """Crops the first steps, whose large changes would hide everything else."""
    ends = np.array([curve[-1] for curve in curves if len(curve)])
    early = np.array([curve[min(len(curve) - 1, len(curve) // 5)] for curve in curves if len(curve)])
    if not len(ends):
        return
    best, worst = (ends.max(), early.min()) if rising else (ends.min(), early.max())
    if best == worst:
        return
    if axes.get_yscale() == "log":  # the margin is a factor: below the best there is still something above zero
        axes.set_ylim(*sorted((best * (best / worst) ** 0.06, worst * (worst / best) ** 0.06)))
        return
    margin = 0.06 * abs(best - worst)
    axes.set_ylim(*sorted((best + np.sign(best - worst) * margin, worst - np.sign(best - worst) * margin)))


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, color="#ddd", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _svg(figure: Any, salt: str) -> str:
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none", "font.size": 9}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
