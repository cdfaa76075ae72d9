"""Offers differential evolution to gpbt.

Only the offer lives here: gpbt imports this module whenever it lists the plugins, so what the searcher needs is
imported when it is built.
"""

from gpbt_core import Searcher, SearcherSpec, hookimpl

__all__ = ["gpbt_searchers"]


def _build(*, weight: float = 0.8, crossover: float = 0.9) -> Searcher:
    from gpbt_searcher_de.searcher import DifferentialEvolution

    return DifferentialEvolution(weight=weight, crossover=crossover)


@hookimpl
def gpbt_searchers() -> list[SearcherSpec]:
    """Called once by gpbt's registry."""
    return [SearcherSpec(name="de", summary="Differential evolution over the family history.", build=_build)]
