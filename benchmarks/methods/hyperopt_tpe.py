"""hyperopt's TPE by its `fmin`: constant HPs, one trial after the other."""

import contextlib
import logging
import math
from typing import Any

import numpy as np

from benchmarks.ledger import Ledger
from benchmarks.method import Method
from benchmarks.methods.support import active, evaluate, inside, library
from gpbt_core.space import Categorical, Int, Parameter

__all__ = ["METHODS"]


def _run(ledger: Ledger) -> None:
    hyperopt = library("hyperopt", install="hyperopt")
    logging.getLogger("hyperopt").setLevel(logging.CRITICAL)  # it logs the end of the budget as an error
    parameters = ledger.space.parameters

    def objective(values: dict[str, Any]) -> dict[str, Any]:
        config = active(ledger.space, {name: inside(parameters[name], value) for name, value in values.items()})
        loss = evaluate(ledger, config)
        if math.isinf(loss):
            return {"status": hyperopt.STATUS_FAIL}
        return {"status": hyperopt.STATUS_OK, "loss": loss}

    with contextlib.suppress(hyperopt.exceptions.AllTrialsFailed):  # there is no result, and none is needed
        hyperopt.fmin(
            objective,
            {name: _expression(hyperopt.hp, name, parameter) for name, parameter in parameters.items()},
            algo=hyperopt.tpe.suggest,
            max_evals=ledger.budget,  # an upper bound: the ledger ends the search
            rstate=np.random.default_rng(ledger.seed),
            verbose=False,
            show_progressbar=False,
        )


def _expression(hp: Any, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return hp.choice(name, list(parameter.choices))
    low, high = parameter.low, parameter.high
    if isinstance(parameter, Int):
        # Rounded to integers, so half a unit at either end gives the bounds their share.
        low, high = low - 0.5, high + 0.5
        return (
            hp.qloguniform(name, math.log(low), math.log(high), 1) if parameter.log else hp.quniform(name, low, high, 1)
        )
    return hp.loguniform(name, math.log(low), math.log(high)) if parameter.log else hp.uniform(name, low, high)


METHODS = {
    "hyperopt-tpe": Method(summary="TPE, constant HPs, by hyperopt", run=_run, packages=("hyperopt",)),
}
