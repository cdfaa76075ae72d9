"""gpbt finds schedules of hyperparameters while the models train: weights and hyperparameters in one run.

This package is the one name to import. It has no code of its own: each name is looked up where it is implemented when
you first use it, so `import gpbt` costs next to nothing and loads no library that you do not use. What needs a library
is behind a door of its own: `gpbt.pytorch`, `gpbt.lightning`, `gpbt.transformers`, `gpbt.jax`, `gpbt.sb3`,
`gpbt.keras`, `gpbt.sklearn`, `gpbt.boosting`, `gpbt.ray`, `gpbt.optuna`, `gpbt.spaces`, `gpbt.plots`, `gpbt.loggers`,
`gpbt.dashboard`, `gpbt.checkpoints`; conformance kits are in `gpbt.testing`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpbt_adapters.running.driver import Result as Result
    from gpbt_adapters.running.driver import run as run
    from gpbt_adapters.running.finalists import Reevaluated as Reevaluated
    from gpbt_adapters.running.finalists import reevaluate as reevaluate
    from gpbt_adapters.running.pools import WorkersLostError as WorkersLostError
    from gpbt_adapters.running.replay import Replay as Replay
    from gpbt_adapters.running.replay import Replays as Replays
    from gpbt_adapters.running.replay import replay as replay
    from gpbt_adapters.running.replay import replays as replays
    from gpbt_adapters.running.search_cv import GPBTSearchCV as GPBTSearchCV
    from gpbt_adapters.showing.report import report as report
    from gpbt_adapters.showing.report import write_comparison as write_comparison
    from gpbt_adapters.showing.report import write_report as write_report
    from gpbt_adapters.storing.checkpoints import (
        CheckpointError as CheckpointError,
    )
    from gpbt_adapters.storing.checkpoints import (
        CheckpointStore as CheckpointStore,
    )
    from gpbt_adapters.storing.checkpoints import (
        open_store as open_store,
    )
    from gpbt_adapters.storing.journal import (
        Journal as Journal,
    )
    from gpbt_adapters.storing.journal import (
        JournalError as JournalError,
    )
    from gpbt_adapters.storing.journal import (
        Study as Study,
    )
    from gpbt_adapters.storing.journal import (
        check_journal as check_journal,
    )
    from gpbt_adapters.storing.journal import (
        copy_journal as copy_journal,
    )
    from gpbt_adapters.storing.journal import (
        export_study as export_study,
    )
    from gpbt_adapters.storing.journal import (
        import_study as import_study,
    )
    from gpbt_adapters.storing.journal import (
        open_study as open_study,
    )
    from gpbt_adapters.trainables.testing import check_trainable as check_trainable
    from gpbt_adapters.trainables.trainable import (
        HyperparameterNotAppliedError as HyperparameterNotAppliedError,
    )
    from gpbt_adapters.trainables.trainable import (
        Trainable as Trainable,
    )
    from gpbt_adapters.trainables.trainable import (
        verify_applied as verify_applied,
    )
    from gpbt_adapters.views.comparison import Comparison as Comparison
    from gpbt_adapters.views.comparison import compare as compare
    from gpbt_adapters.views.frames import to_frame as to_frame
    from gpbt_adapters.views.importances import Importance as Importance
    from gpbt_adapters.views.importances import importance as importance
    from gpbt_adapters.views.story import story as story
    from gpbt_core import (
        PRESETS as PRESETS,
    )
    from gpbt_core import (
        Best as Best,
    )
    from gpbt_core import (
        Categorical as Categorical,
    )
    from gpbt_core import (
        Config as Config,
    )
    from gpbt_core import (
        ConfigError as ConfigError,
    )
    from gpbt_core import (
        Controlled as Controlled,
    )
    from gpbt_core import (
        EarlyStoppingSpec as EarlyStoppingSpec,
    )
    from gpbt_core import (
        ExtinctError as ExtinctError,
    )
    from gpbt_core import (
        Family as Family,
    )
    from gpbt_core import (
        Float as Float,
    )
    from gpbt_core import (
        Genealogical as Genealogical,
    )
    from gpbt_core import (
        GpbtError as GpbtError,
    )
    from gpbt_core import (
        Improvement as Improvement,
    )
    from gpbt_core import (
        Independent as Independent,
    )
    from gpbt_core import (
        Int as Int,
    )
    from gpbt_core import (
        Needs as Needs,
    )
    from gpbt_core import (
        NoResultError as NoResultError,
    )
    from gpbt_core import (
        Optimizer as Optimizer,
    )
    from gpbt_core import (
        PluginError as PluginError,
    )
    from gpbt_core import (
        ProtocolError as ProtocolError,
    )
    from gpbt_core import (
        Quantile as Quantile,
    )
    from gpbt_core import (
        Query as Query,
    )
    from gpbt_core import (
        Record as Record,
    )
    from gpbt_core import (
        ReproductionRule as ReproductionRule,
    )
    from gpbt_core import (
        ReproductionSpec as ReproductionSpec,
    )
    from gpbt_core import (
        Rule as Rule,
    )
    from gpbt_core import (
        Schedule as Schedule,
    )
    from gpbt_core import (
        Search as Search,
    )
    from gpbt_core import (
        Searcher as Searcher,
    )
    from gpbt_core import (
        SearcherError as SearcherError,
    )
    from gpbt_core import (
        SearcherSpec as SearcherSpec,
    )
    from gpbt_core import (
        Segment as Segment,
    )
    from gpbt_core import (
        Space as Space,
    )
    from gpbt_core import (
        Status as Status,
    )
    from gpbt_core import (
        Trial as Trial,
    )
    from gpbt_core import (
        TrialResult as TrialResult,
    )
    from gpbt_core import (
        Truncation as Truncation,
    )
    from gpbt_core import (
        UnsupportedSpaceError as UnsupportedSpaceError,
    )
    from gpbt_core import (
        Verdict as Verdict,
    )
    from gpbt_core import (
        When as When,
    )
    from gpbt_core import (
        hookimpl as hookimpl,
    )
    from gpbt_core.reproduction import Closing as Closing
    from gpbt_core.reproduction import Keep as Keep
    from gpbt_core.reproduction import Plan as Plan
    from gpbt_core.reproduction import Slot as Slot
    from gpbt_core.reproduction import litters as litters
    from gpbt_core.testing import (
        check_early_stopping as check_early_stopping,
    )
    from gpbt_core.testing import (
        check_reproduction as check_reproduction,
    )
    from gpbt_core.testing import (
        check_searcher as check_searcher,
    )

_HOMES = {
    "Closing": "gpbt_core.reproduction",
    "Keep": "gpbt_core.reproduction",
    "Plan": "gpbt_core.reproduction",
    "Slot": "gpbt_core.reproduction",
    "litters": "gpbt_core.reproduction",
    "Best": "gpbt_core",
    "Categorical": "gpbt_core",
    "CheckpointError": "gpbt_adapters.storing.checkpoints",
    "CheckpointStore": "gpbt_adapters.storing.checkpoints",
    "Comparison": "gpbt_adapters.views.comparison",
    "Config": "gpbt_core",
    "ConfigError": "gpbt_core",
    "Controlled": "gpbt_core",
    "EarlyStoppingSpec": "gpbt_core",
    "ExtinctError": "gpbt_core",
    "Family": "gpbt_core",
    "Float": "gpbt_core",
    "GPBTSearchCV": "gpbt_adapters.running.search_cv",
    "Genealogical": "gpbt_core",
    "GpbtError": "gpbt_core",
    "HyperparameterNotAppliedError": "gpbt_adapters.trainables.trainable",
    "Importance": "gpbt_adapters.views.importances",
    "Improvement": "gpbt_core",
    "Independent": "gpbt_core",
    "Int": "gpbt_core",
    "Journal": "gpbt_adapters.storing.journal",
    "JournalError": "gpbt_adapters.storing.journal",
    "Needs": "gpbt_core",
    "NoResultError": "gpbt_core",
    "Optimizer": "gpbt_core",
    "PRESETS": "gpbt_core",
    "PluginError": "gpbt_core",
    "ProtocolError": "gpbt_core",
    "Quantile": "gpbt_core",
    "Query": "gpbt_core",
    "Record": "gpbt_core",
    "Reevaluated": "gpbt_adapters.running.finalists",
    "Replay": "gpbt_adapters.running.replay",
    "Replays": "gpbt_adapters.running.replay",
    "ReproductionRule": "gpbt_core",
    "ReproductionSpec": "gpbt_core",
    "Result": "gpbt_adapters.running.driver",
    "Rule": "gpbt_core",
    "Schedule": "gpbt_core",
    "Search": "gpbt_core",
    "Searcher": "gpbt_core",
    "SearcherError": "gpbt_core",
    "SearcherSpec": "gpbt_core",
    "Segment": "gpbt_core",
    "Space": "gpbt_core",
    "Status": "gpbt_core",
    "Study": "gpbt_adapters.storing.journal",
    "Trainable": "gpbt_adapters.trainables.trainable",
    "Trial": "gpbt_core",
    "TrialResult": "gpbt_core",
    "Truncation": "gpbt_core",
    "UnsupportedSpaceError": "gpbt_core",
    "Verdict": "gpbt_core",
    "When": "gpbt_core",
    "WorkersLostError": "gpbt_adapters.running.pools",
    "check_early_stopping": "gpbt_core.testing",
    "check_reproduction": "gpbt_core.testing",
    "check_searcher": "gpbt_core.testing",
    "check_trainable": "gpbt_adapters.trainables.testing",
    "check_journal": "gpbt_adapters.storing.journal",
    "compare": "gpbt_adapters.views.comparison",
    "copy_journal": "gpbt_adapters.storing.journal",
    "export_study": "gpbt_adapters.storing.journal",
    "hookimpl": "gpbt_core",
    "import_study": "gpbt_adapters.storing.journal",
    "importance": "gpbt_adapters.views.importances",
    "open_store": "gpbt_adapters.storing.checkpoints",
    "open_study": "gpbt_adapters.storing.journal",
    "reevaluate": "gpbt_adapters.running.finalists",
    "replay": "gpbt_adapters.running.replay",
    "replays": "gpbt_adapters.running.replay",
    "report": "gpbt_adapters.showing.report",
    "run": "gpbt_adapters.running.driver",
    "story": "gpbt_adapters.views.story",
    "to_frame": "gpbt_adapters.views.frames",
    "verify_applied": "gpbt_adapters.trainables.trainable",
    "write_comparison": "gpbt_adapters.showing.report",
    "write_report": "gpbt_adapters.showing.report",
}

__all__ = [
    "PRESETS",
    "Best",
    "Categorical",
    "CheckpointError",
    "CheckpointStore",
    "Closing",
    "Comparison",
    "Config",
    "ConfigError",
    "Controlled",
    "EarlyStoppingSpec",
    "ExtinctError",
    "Family",
    "Float",
    "GPBTSearchCV",
    "Genealogical",
    "GpbtError",
    "HyperparameterNotAppliedError",
    "Importance",
    "Improvement",
    "Independent",
    "Int",
    "Journal",
    "JournalError",
    "Keep",
    "Needs",
    "NoResultError",
    "Optimizer",
    "Plan",
    "PluginError",
    "ProtocolError",
    "Quantile",
    "Query",
    "Record",
    "Reevaluated",
    "Replay",
    "Replays",
    "ReproductionRule",
    "ReproductionSpec",
    "Result",
    "Rule",
    "Schedule",
    "Search",
    "Searcher",
    "SearcherError",
    "SearcherSpec",
    "Segment",
    "Slot",
    "Space",
    "Status",
    "Study",
    "Trainable",
    "Trial",
    "TrialResult",
    "Truncation",
    "UnsupportedSpaceError",
    "Verdict",
    "When",
    "WorkersLostError",
    "check_early_stopping",
    "check_journal",
    "check_reproduction",
    "check_searcher",
    "check_trainable",
    "compare",
    "copy_journal",
    "export_study",
    "hookimpl",
    "import_study",
    "importance",
    "litters",
    "open_store",
    "open_study",
    "reevaluate",
    "replay",
    "replays",
    "report",
    "run",
    "story",
    "to_frame",
    "verify_applied",
    "write_comparison",
    "write_report",
]


if not TYPE_CHECKING:  # so that type checkers report a name that does not exist

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'gpbt' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value  # found once, and from then on as fast as any module's attribute
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
