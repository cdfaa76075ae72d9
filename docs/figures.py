"""Draws the figures of the documentation from a run that is made here: `python docs/figures.py`, in the root.

Each is an SVG under docs/assets. The texts around them name what they show, so look at both after a change.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from benchmarks.problem import Options
from benchmarks.problems.optimum import best_constant, best_schedule, greedy_schedule
from benchmarks.problems.quadratic import Moments, Quadratic, noisy_quadratic
from gpbt import Best, Optimizer, Verdict
from gpbt.plots import plot_genealogy

ASSETS = Path(__file__).parent / "assets"
STEPS = 10
COLORS = {"greedy": "#d95f02", "best constant": "#7570b3", "best schedule": "#555555", "gpbt": "#00796b"}


def tuned(problem: Quadratic) -> Optimizer:
    """The run that docs/why-schedules.md makes."""
    optimizer = Optimizer(problem.space, population=25, steps=STEPS, direction="maximize", seed=0)
    models: dict[int | None, Moments] = {None: problem.start(0)}
    while not optimizer.finished:
        for trial in optimizer.ask(count=4):
            state = models[trial.parent]
            for step in range(1, trial.steps + 1):
                state, score = problem.train(state, trial.config)
                if optimizer.report(trial.id, step, score) is Verdict.STOP:
                    break
            optimizer.tell(trial.id)
            models[trial.id] = state
    return optimizer


def values(best: Best) -> NDArray[np.float64]:
    """A schedule as an array (steps, 2) of learning rates and momenta."""
    configs = [best.schedule.at(step) for step in range(STEPS)]
    return np.array([[config["lr"], config["momentum"]] for config in configs])


def scores(problem: Quadratic, configs: NDArray[np.float64]) -> list[float]:
    """The score before and after each step under a schedule."""
    state = problem.start(0)
    found = [float(problem.score(state))]
    for lr, momentum in configs:
        state, score = problem.train(state, {"lr": lr, "momentum": momentum})
        found.append(score)
    return found


def draw_schedules(problem: Quadratic, best: Best) -> None:
    """Four schedules of the learning rate as momentum makes it felt, and what the loss is under each."""
    found = {
        "greedy": greedy_schedule(problem, STEPS)[1],
        "best constant": np.repeat(best_constant(problem, STEPS)[1], STEPS, axis=0),
        "best schedule": best_schedule(problem, STEPS)[1],
        "gpbt": values(best),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, configs in found.items():
        style = {"color": COLORS[name], "linestyle": "--" if name == "best schedule" else "-", "linewidth": 1.8}
        curve = scores(problem, configs)
        rates = configs[:, 0] / (1 - configs[:, 1])
        left.step(np.arange(STEPS + 1), [*rates, rates[-1]], where="post", **style)
        right.plot(range(STEPS + 1), curve, label=f"{name}, {curve[-1]:.3f}", **style)
    left.set(yscale="log", xlabel="step", ylabel="learning rate / (1 - momentum)", yticks=[0.05, 0.1, 0.2, 0.4, 0.8])
    left.yaxis.set_major_formatter("{x:g}")
    left.minorticks_off()
    right.set(xlabel="step", ylabel="$-\\log_{10}$ loss")
    right.legend(frameon=False, loc="lower right", fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, "schedules.svg")


def draw_genealogy(optimizer: Optimizer) -> None:
    """The genealogy, as anybody gets it from the library."""
    figure = plot_genealogy(optimizer, backend="matplotlib")
    figure.set_size_inches(9, 4)
    save(figure, "genealogy.svg")


def save(figure: mpl.figure.Figure, name: str) -> None:
    """Writes an SVG that is the same each time that its content is."""
    figure.savefig(ASSETS / name, metadata={"Date": None})


if __name__ == "__main__":
    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "gpbt", "font.size": 10, "svg.fonttype": "none"})
    task = noisy_quadratic(Options())
    run = tuned(task)
    draw_schedules(task, run.best)
    draw_genealogy(run)
