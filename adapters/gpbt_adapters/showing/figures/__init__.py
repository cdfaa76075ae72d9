"""The views of a run as Plotly figures: plain dicts of "data" and "layout", which do not need Plotly installed.

Reports, the dashboard and notebooks show the same figures. This package escapes everything that comes from a config or
a reason, because Plotly interprets some HTML in its texts. Of more than `parts.MOST` trials, they show some.
"""

from collections.abc import Callable, Mapping

from gpbt_adapters.showing.figures.compared import compared_schedules, compared_scores
from gpbt_adapters.showing.figures.coordinates import parallel
from gpbt_adapters.showing.figures.curves import PANELS, curve, figure_names
from gpbt_adapters.showing.figures.parts import Figure
from gpbt_adapters.showing.figures.savings import stopping
from gpbt_adapters.showing.figures.schedules import schedule
from gpbt_adapters.showing.figures.scores import score
from gpbt_adapters.showing.figures.shares import importance
from gpbt_adapters.showing.figures.slices import slices
from gpbt_adapters.showing.figures.time import spent, with_more_workers, workers
from gpbt_adapters.showing.figures.tree import genealogy
from gpbt_adapters.views import Run

__all__ = [
    "FIGURES",
    "PANELS",
    "Figure",
    "compared_schedules",
    "compared_scores",
    "curve",
    "figure_names",
    "genealogy",
    "importance",
    "parallel",
    "schedule",
    "score",
    "slices",
    "spent",
    "stopping",
    "workers",
]

FIGURES: Mapping[str, Callable[[Run], Figure]] = {
    "genealogy": genealogy,
    "score": score,
    "curve": curve,
    "schedule": schedule,
    "parallel": parallel,
    "slices": slices,
    "stopping": stopping,
    "spent": spent,
    "workers": workers,
    "more": with_more_workers,
}
"""The figures by the name under which pages show them."""
