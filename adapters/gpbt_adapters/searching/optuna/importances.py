"""Optuna's importance measure, applied to our records."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from gpbt_adapters.searching.optuna.quiet import quiet
from gpbt_adapters.searching.optuna.searcher import frozen_trials
from gpbt_core.records import Record
from gpbt_core.space import Space

__all__ = ["ped_anova"]


def ped_anova(space: Space, records: Sequence[Record]) -> dict[str, float]:
    """The importance of each parameter that completed trials had; empty where there are fewer than two of these."""
    if sum(record.loss is not None for record in records) < 2:
        return {}
    with quiet():
        warnings.filterwarnings(
            "ignore", message="Target and region quantiles select the same set", category=UserWarning
        )
        study = optuna.create_study()
        study.add_trials(frozen_trials(space, records))
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
