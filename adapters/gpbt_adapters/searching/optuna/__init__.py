"""Optuna's samplers as searchers: each learns from one family history, given to it as the trials of a fresh study.

By name it is `searcher="optuna:GPSampler"`, with options `searcher=("optuna:TPESampler", {"multivariate": True})`, and
from an instance `OptunaSearcher(sampler)`. Importing this needs Optuna, and nothing else of gpbt_adapters imports it.

    distributions  parameters to Optuna's distributions, values there and back
    samplers       which samplers can be used, how they are made, and made ready for a proposal
    searcher       a history to a study, a study to a config
    importances    which parameters matter, by Optuna's measure
"""

try:
    import optuna as _optuna  # noqa: F401 - tells a missing extra from a broken module
except ImportError as error:
    raise ImportError('gpbt.optuna needs Optuna, which is not installed: pip install "gpbt[optuna]"') from error

from gpbt_adapters.searching.optuna.samplers import sampler_named
from gpbt_adapters.searching.optuna.searcher import OptunaSearcher

__all__ = ["OptunaSearcher", "sampler_named"]
