"""The searchers that gpbt ships, and a rule that uses the model of one, offered through an entry point as any plugin.

A searcher's libraries are imported when it is built, so listing the searchers costs nothing.
"""

from typing import Any

from gpbt_core.hookspecs import hookimpl
from gpbt_core.reproduction import Reproduction, ReproductionSpec
from gpbt_core.searcher import Searcher, SearcherSpec

__all__ = ["gpbt_reproductions", "gpbt_searchers"]


@hookimpl
def gpbt_searchers() -> list[SearcherSpec]:
    """Offers them to the registry."""
    return [
        SearcherSpec(name="gp", summary="Gaussian process of the family history; the default.", build=_gp),
        SearcherSpec(name="pb2", summary="Population based bandit: a GP of score changes over time.", build=_pb2),
        SearcherSpec(name="cmaes", summary="CMA-ES warm-started from the family history.", build=_cmaes),
        SearcherSpec(name="random", summary="Uniform in the unit cube of the space.", build=_random),
        SearcherSpec(name="sobol", summary="Scrambled Sobol points, one sequence per generation.", build=_sobol),
        SearcherSpec(
            name="perturb", summary="Explore of population based training: scale or resample.", build=_perturb
        ),
        SearcherSpec(name="tpe", summary="Tree-structured Parzen estimator of the family history.", build=_tpe),
    ]


@hookimpl
def gpbt_reproductions() -> list[ReproductionSpec]:
    """Offers them to the registry."""
    return [
        ReproductionSpec(
            name="posterior", summary="genealogical, ranked by the posterior mean of the model gp", build=_posterior
        ),
    ]


def _posterior(**options: Any) -> Reproduction:
    from gpbt_searchers.gp.selection import Posterior

    return Posterior(**options)


def _gp(**options: Any) -> Searcher:
    from gpbt_searchers.gp import GaussianProcess

    return GaussianProcess(**options)


def _pb2(**options: Any) -> Searcher:
    from gpbt_searchers.pb2 import PB2

    return PB2(**options)


def _cmaes(**options: Any) -> Searcher:
    from gpbt_searchers.cmaes import CMAES

    return CMAES(**options)


def _random(**options: Any) -> Searcher:
    from gpbt_searchers.uniform import Random

    return Random(**options)


def _sobol(**options: Any) -> Searcher:
    from gpbt_searchers.sobol import Sobol

    return Sobol(**options)


def _perturb(**options: Any) -> Searcher:
    from gpbt_searchers.perturb import Perturb

    return Perturb(**options)


def _tpe(**options: Any) -> Searcher:
    from gpbt_searchers.tpe import TPE

    return TPE(**options)
