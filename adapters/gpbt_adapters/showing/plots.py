"""The views of a run as plots for a notebook: interactive with Plotly, or for print with matplotlib.

Each function takes an optimizer or a state, and returns a figure of the library. It shows and writes nothing.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from gpbt_adapters.showing import figures
from gpbt_adapters.views import Run, shares, state_of
from gpbt_core.errors import ConfigError

__all__ = [
    "Backend",
    "plot_curves",
    "plot_genealogy",
    "plot_importance",
    "plot_parallel",
    "plot_schedule",
    "plot_scores",
    "plot_stopping",
    "plot_time",
    "plot_workers",
]

T = TypeVar("T")

Backend = Literal["plotly", "matplotlib"]
"""The library that draws a plot."""


def plot_genealogy(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots the genealogy: a column for each generation, lines from parents to children, color by score.

    Args:
        run: An optimizer or a state, finished or not.
        backend: The library that draws the plot.

    Returns:
        A `plotly.graph_objects.Figure` or a `matplotlib.figure.Figure`.

    Raises:
        ConfigError: The backend is unknown.
        ImportError: The backend is not installed.

    Examples:
        >>> from gpbt import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=2, preset="random")
        >>> for trial in optimizer.ask(3):
        ...     optimizer.tell(trial.id, trial.config["rate"])
        >>> plot_genealogy(optimizer, backend="matplotlib").axes[0].get_xlabel()
        'generation'
    """
    return _plot(run, backend, figures.genealogy, "genealogy")


def plot_scores(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots the scores over generations: of all trials, the best, the median, and the best so far.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.score, "score")


def plot_curves(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots the learning curves of the best trial and of the newest parents, over the steps of their lines.

    Other trials are pale behind them. Below, a panel for each of the first figures that the trainables report, such as
    a training loss.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.curve, "curve")


def plot_schedule(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots the best schedule and those of the newest parents over steps, one panel per hyperparameter.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.schedule, "schedule")


def plot_parallel(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots the completed trials in parallel coordinates, colored by score.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.parallel, "parallel")


def plot_importance(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots the importance of each hyperparameter in each closed generation, where it is above the noise floor.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    known = {generation: shares(run, generation) for generation in range(len(state_of(run).closed))}
    found = {generation: share for generation, share in known.items() if share is not None}
    return _plot(found, backend, figures.importance, "importance")


def plot_stopping(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots how many steps each generation trained, and how many early stopping saved.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.stopping, "stopping")


def plot_time(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots where the time of the workers went, by generation: training, loading, saving, searching, waiting.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.spent, "spent")


def plot_workers(run: Run, *, backend: Backend = "plotly") -> Any:
    """Plots which worker trained which trials when, as a Gantt chart.

    Arguments, return value and errors are those of `plot_genealogy`.
    """
    return _plot(run, backend, figures.workers, "workers")


def _plot(run: T, backend: str, described: Callable[[T], figures.Figure], name: str) -> Any:
    if backend not in ("plotly", "matplotlib"):
        raise ConfigError(f'plot_{name}: expected the backend "plotly" or "matplotlib", got {backend!r}')
    try:
        if backend == "plotly":
            from plotly.graph_objects import Figure

            return Figure(described(run))
        from gpbt_adapters.showing import printed
    except ImportError as error:
        raise ImportError(f'plots: {backend} is not installed: pip install "gpbt[report]"') from error
    return getattr(printed, name)(run)
