"""Plots of a run, by plotly or matplotlib."""

from gpbt_adapters.showing.plots import (
    Backend,
    plot_curves,
    plot_genealogy,
    plot_importance,
    plot_parallel,
    plot_schedule,
    plot_scores,
    plot_stopping,
    plot_time,
    plot_workers,
)

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
