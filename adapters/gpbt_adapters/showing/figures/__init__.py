"""The views of a run as figures of Plotly: plain dicts of "data" and "layout", for which Plotly need not be installed.

Reports, dashboard and notebooks show these same figures. Whatever comes from a config or a reason is escaped here, as
Plotly takes a part of HTML in its texts. From `parts.MANY` points on the graphics card draws.
"""

from collections.abc import Callable, Mapping

from gpbt_adapters.showing.figures.coordinates import parallel
from gpbt_adapters.showing.figures.curves import curve
from gpbt_adapters.showing.figures.parts import Figure
from gpbt_adapters.showing.figures.savings import stopping
from gpbt_adapters.showing.figures.schedules import schedule
from gpbt_adapters.showing.figures.scores import score
from gpbt_adapters.showing.figures.shares import importance
from gpbt_adapters.showing.figures.tree import genealogy
from gpbt_adapters.views import Run

__all__ = ["FIGURES", "Figure", "curve", "genealogy", "importance", "parallel", "schedule", "score", "stopping"]

FIGURES: Mapping[str, Callable[[Run], Figure]] = {
    "genealogy": genealogy,
    "score": score,
    "curve": curve,
    "schedule": schedule,
    "parallel": parallel,
    "stopping": stopping,
}
"""By the name under which pages show them."""
