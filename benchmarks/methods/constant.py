"""Plain search for a constant config: random search, and CMA-ES on the unit cube.

Each evaluation is a new model trained over its whole length.
"""

import numpy as np

from benchmarks.ledger import Ledger
from benchmarks.method import Method
from benchmarks.methods.support import evaluate, library

__all__ = ["METHODS"]


def _random(ledger: Ledger) -> None:
    rng = np.random.default_rng(ledger.seed)
    while ledger.remaining:
        evaluate(ledger, ledger.space.sample(rng))


def _cmaes(ledger: Ledger) -> None:
    cmaes = library("cmaes", install="cmaes")
    size = len(ledger.space)
    sigma = float(_CMAES_SETTINGS["sigma"])
    if size == 1:
        raise ValueError("cmaes: the space must have at least 2 parameters, got 1")
    search = cmaes.CMA(
        mean=np.full(size, 0.5),
        sigma=sigma,
        bounds=np.tile([0.0, 1.0], (size, 1)),
        seed=ledger.seed,
        n_max_resampling=100,
    )
    while ledger.remaining:
        asked = [search.ask() for _ in range(search.population_size)]
        told = [(u, evaluate(ledger, ledger.space.decode(u))) for u in asked]
        search.tell([(u, min(loss, np.finfo(float).max)) for u, loss in told])


_CMAES_SETTINGS = {"mean": 0.5, "sigma": 0.3}

METHODS = {
    "random": Method(summary="random search, constant HPs", run=_random),
    "cmaes": Method(
        summary="CMA-ES on the unit cube, constant HPs, by cmaes",
        run=_cmaes,
        packages=("cmaes",),
        settings=_CMAES_SETTINGS,
    ),
}
