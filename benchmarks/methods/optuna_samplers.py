"""Optuna's samplers and pruners, as its documentation uses them: constant HPs, one trial after the other.

With a shape they search over schedules of that shape as practitioners do: a decay of the rate, or ramps. Losses are
minimized; a diverged model has an infinite one. What pruning saves, later trials spend.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.ledger import Ledger
from benchmarks.method import Method
from benchmarks.methods.support import Line, active, library, shaped_space
from benchmarks.shapes import SHAPES, Shape
from gpbt_core.space import Categorical, Int, Space

__all__ = ["METHODS"]

Make = Callable[[Any, Ledger], Any]


def _search(sampler: Make, pruner: Make, shape: Shape = SHAPES["constant"]) -> Callable[[Ledger], None]:
    def run(ledger: Ledger) -> None:
        space = shaped_space(ledger, shape)
        optuna = library("optuna", install="optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                study_name=f"seed {ledger.seed}",  # Hyperband hashes the name to assign trials to brackets
                sampler=sampler(optuna, ledger),
                pruner=pruner(optuna, ledger),
            )
            distributions = _distributions(optuna, space)
            while ledger.remaining:
                trial = study.ask(distributions)
                params = active(space, trial.params)
                loss = _train(ledger, trial, shape.configs(ledger.space, ledger.rate, params, ledger.steps))
                if loss is None:
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                else:
                    study.tell(trial, loss)

    return run


def _train(ledger: Ledger, trial: Any, configs: list[Mapping[str, Any]]) -> float | None:
    """The last loss of a model under the trial's configs; None where it was pruned."""
    line = Line(ledger, configs)
    loss = float("inf")
    for step in range(1, ledger.steps + 1):
        loss = ledger.loss(line.train())
        trial.report(loss, step)
        if not line.is_alive:
            break
        if step < ledger.steps and trial.should_prune():
            line.release()
            return None
    line.release()
    return loss


def _distributions(optuna: Any, space: Space) -> dict[str, Any]:
    return {name: _distribution(optuna.distributions, parameter) for name, parameter in space.parameters.items()}


def _distribution(distributions: Any, parameter: Any) -> Any:
    if isinstance(parameter, Categorical):
        return distributions.CategoricalDistribution(parameter.choices)
    if isinstance(parameter, Int):
        return distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    return distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def _nothing(optuna: Any, _: Ledger) -> Any:
    return optuna.pruners.NopPruner()


def _median(optuna: Any, _: Ledger) -> Any:
    return optuna.pruners.MedianPruner()


def _hyperband(optuna: Any, ledger: Ledger) -> Any:
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=ledger.steps, reduction_factor=3)


def _tpe(optuna: Any, ledger: Ledger) -> Any:
    return optuna.samplers.TPESampler(seed=ledger.seed)


def _gp(optuna: Any, ledger: Ledger) -> Any:
    library("torch", install="torch")  # the sampler imports it late, with a less helpful error
    return optuna.samplers.GPSampler(seed=ledger.seed)


def _shaped(shape: Shape) -> dict[str, Method]:
    """TPE, and TPE with Hyperband, over schedules of a shape."""
    return {
        f"optuna-tpe-{shape.name}": Method(
            summary=f"TPE by Optuna over {shape.summary}",
            run=_search(_tpe, _nothing, shape),
            packages=("optuna",),
            settings={"shape": shape.name},
        ),
        f"optuna-tpe-hyperband-{shape.name}": Method(
            summary=f"TPE with Hyperband by Optuna over {shape.summary}",
            run=_search(_tpe, _hyperband, shape),
            packages=("optuna",),
            settings={"shape": shape.name, "min_resource": 1, "reduction_factor": 3},
        ),
    }


METHODS = {
    "optuna-tpe": Method(
        summary="TPE, constant HPs, by Optuna", run=_search(_tpe, _nothing), packages=("optuna",), settings={}
    ),
    "optuna-tpe-hyperband": Method(
        summary="TPE with Hyperband, by Optuna (BOHB's idea)",
        run=_search(_tpe, _hyperband),
        packages=("optuna",),
        settings={"min_resource": 1, "reduction_factor": 3},
    ),
    "optuna-tpe-median": Method(
        summary="TPE with the median pruner, by Optuna", run=_search(_tpe, _median), packages=("optuna",)
    ),
    "optuna-gp": Method(summary="GPSampler, constant HPs, by Optuna", run=_search(_gp, _nothing), packages=("optuna",)),
    **_shaped(SHAPES["cosine"]),
    **_shaped(SHAPES["linear"]),
    **_shaped(SHAPES["ramps"]),
}
