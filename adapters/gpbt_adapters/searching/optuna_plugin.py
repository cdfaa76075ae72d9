"""Offers Optuna's samplers to the registry; Optuna itself is imported when one is built.

It stands outside the package `gpbt.optuna`, whose import needs Optuna.
"""

from typing import Any

from gpbt_core.hookspecs import hookimpl
from gpbt_core.searcher import Searcher, SearcherSpec

__all__ = ["gpbt_searchers"]


@hookimpl
def gpbt_searchers() -> list[SearcherSpec]:
    """Offers them to the registry."""
    return [
        SearcherSpec(name="optuna", summary="Any of Optuna's samplers, such as optuna:GPSampler.", build=_optuna),
    ]


def _optuna(variant: str | None = None, **options: Any) -> Searcher:
    from gpbt_adapters.searching.optuna import sampler_named
    from gpbt_adapters.searching.optuna.searcher import OptunaSearcher

    return OptunaSearcher(sampler_named(variant, options))
