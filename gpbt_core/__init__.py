"""gpbt finds schedules of hyperparameters while the models train: a pure ask/tell core.

A `Space` says what to tune, an `Optimizer` which model to continue, under which config and for how long, and its
`best` has the schedule that came out. Everything else is a rule or a searcher that can be exchanged.
"""

from typing import TYPE_CHECKING, Any

from gpbt_core.controls import Controlled
from gpbt_core.early_stopping import EarlyStoppingSpec, Improvement, Quantile
from gpbt_core.errors import (
    ConfigError,
    ExtinctError,
    GpbtError,
    NoResultError,
    PluginError,
    ProtocolError,
    SearcherError,
    UnsupportedSpaceError,
)
from gpbt_core.optimizer import Best, Needs, Optimizer, TrialResult
from gpbt_core.presets import PRESETS
from gpbt_core.records import Record, Schedule, Segment, Status, Trial, Verdict
from gpbt_core.reproduction import Genealogical, Independent, ReproductionRule, ReproductionSpec, Truncation
from gpbt_core.rule import Rule
from gpbt_core.searcher import Family, Query, Search, Searcher, SearcherSpec
from gpbt_core.space import Categorical, Config, Float, Int, Space, When

if TYPE_CHECKING:
    from gpbt_core.hookspecs import hookimpl as hookimpl

__all__ = [
    "PRESETS",
    "Best",
    "Categorical",
    "Config",
    "ConfigError",
    "Controlled",
    "EarlyStoppingSpec",
    "ExtinctError",
    "Family",
    "Float",
    "Genealogical",
    "GpbtError",
    "Improvement",
    "Independent",
    "Int",
    "Needs",
    "NoResultError",
    "Optimizer",
    "PluginError",
    "ProtocolError",
    "Quantile",
    "Query",
    "Record",
    "ReproductionRule",
    "ReproductionSpec",
    "Rule",
    "Schedule",
    "Search",
    "Searcher",
    "SearcherError",
    "SearcherSpec",
    "Segment",
    "Space",
    "Status",
    "Trial",
    "TrialResult",
    "Truncation",
    "UnsupportedSpaceError",
    "Verdict",
    "When",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name == "hookimpl":  # pluggy is needed by those who write plugins, not by those who tune
        from gpbt_core.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module 'gpbt_core' has no attribute {name!r}")
