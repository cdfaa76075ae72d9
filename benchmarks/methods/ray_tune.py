"""Ray Tune's own PBT and PB2 schedulers, driven in this process instead of by Ray's actors.

The schedulers decide everything that they decide in a run of Ray: initial configs, quantiles, who copies whom, new
configs. What is ours is the part of Ray's controller that they call: statuses, checkpoints and the order of results.
So a run takes as long as its training and is the same every time; with actors it takes minutes. The schedulers are
synchronous (all trials are compared at the same step), since what the asynchronous mode finds depends on how fast and
how many the workers happen to be. On `nqm` three runs of Ray itself, actors and all, ended at .509, .476 and .465,
twelve of these at .492 +- .031.

Fed correctly: ranges are Ray's own distributions (PBT) or bounds on the unit cube, where log ranges are even (PB2,
which knows no log scale, integers or choices: their bins lie side by side on the cube); the new config is set after the
copy of the weights; a perturbed value outside of the space is clipped to it, as Ray leaves that to its user.
"""

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from benchmarks.ledger import Ledger
from benchmarks.method import Method
from benchmarks.methods.support import active, inside, library
from benchmarks.randomness import global_randomness
from gpbt_core.space import Categorical, Config, Int

__all__ = ["METHODS", "drive"]

INTERVAL = 1  # steps between perturbations
_COMMON = {
    "time_attr": "training_iteration",
    "metric": "loss",
    "mode": "min",
    "perturbation_interval": INTERVAL,
    "log_config": False,
    "synch": True,
}
_INSTALL = "ray[tune]"

Decode = Callable[[Mapping[str, Any]], Config]


@attrs.frozen
class Snapshot:
    """A checkpoint: the ledger's entry that ends in it, and is trained no further."""

    entry: int


@attrs.define
class Controller:
    """The part of Ray's TuneController that the schedulers call.

    Attributes:
        trials: All trials of the population.
        snapshots: The model of each trial as it stands, by trial id; none before the first step.
        search_alg: None: the schedulers themselves make the configs.
    """

    trials: list[Any]
    snapshots: dict[str, Snapshot] = attrs.Factory(dict)
    search_alg: None = None

    def get_trials(self) -> list[Any]:
        """All trials."""
        return self.trials

    def get_live_trials(self) -> set[Any]:
        """The trials that have not finished."""
        return {trial for trial in self.trials if not trial.is_finished()}

    def pause_trial(self, trial: Any, should_checkpoint: bool = True) -> None:  # noqa: FBT001, FBT002  # Ray's signature
        """Stops a trial until it is its turn again."""
        if should_checkpoint:
            self.save(trial, None)
        trial.set_status("PAUSED")

    def _schedule_trial_save(self, trial: Any, result: dict[str, Any] | None = None) -> Snapshot:
        return self.save(trial, result)

    def save(self, trial: Any, result: dict[str, Any] | None) -> Snapshot:
        """Stores the trial's current model as its latest checkpoint."""
        train = library("ray.train._internal.session", install=_INSTALL)
        snapshot = self.snapshots[trial.trial_id]
        trial.run_metadata.checkpoint_manager._latest_checkpoint_result = train._TrainingResult(  # noqa: SLF001  # as the schedulers do
            checkpoint=snapshot, metrics=result or {}
        )
        return snapshot


def drive(ledger: Ledger, scheduler: Any, decode: Decode) -> None:
    """Trains a population of `ledger.models` under a scheduler until the budget is spent.

    Args:
        ledger: The ledger that trains all models.
        scheduler: One of Ray's, for the metric "loss" (mode "min") and the time "training_iteration".
        decode: From a trial's config, as the scheduler makes it, to a config of the space.
    """
    experiment = library("ray.tune.experiment", install=_INSTALL)
    trials = [experiment.Trial("benchmark", trial_id=f"{index:05d}", stub=True) for index in range(ledger.models)]
    controller = Controller(trials)
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    worst = -math.inf
    for time in range(INTERVAL, ledger.steps + 1, INTERVAL):
        for trial in trials:
            trial.set_status("RUNNING")
            loss = _segment(ledger, controller, trial, decode)
            worst = max(worst, loss) if math.isfinite(loss) else worst
            # A diverged model reports the worst loss so far, since one without a number would never be replaced.
            reported = loss if math.isfinite(loss) else max(worst, 0.0)
            result = {"training_iteration": time, "loss": reported, "config": trial.config}
            controller.save(trial, result)
            decision = scheduler.on_trial_result(controller, trial, result)
            if decision == "PAUSE":
                controller.pause_trial(trial)


def _segment(ledger: Ledger, controller: Controller, trial: Any, decode: Decode) -> float:
    """Restores the trial's latest checkpoint, sets its config, trains to the next perturbation: its last loss."""
    parent = trial.checkpoint.entry if trial.checkpoint is not None else None
    if parent is not None and not ledger.is_alive(parent):
        return math.inf  # diverged, and not replaced since
    entry = ledger.begin(decode(trial.config), parent=parent)
    controller.snapshots[trial.trial_id] = Snapshot(entry)
    return ledger.loss(ledger.train(entry, INTERVAL))


def _pbt(ledger: Ledger) -> None:
    tune = library("ray.tune", install=_INSTALL)
    schedulers = library("ray.tune.schedulers", install=_INSTALL)
    space = ledger.space

    def clipped(config: dict[str, Any]) -> dict[str, Any]:
        return {name: inside(space.parameters[name], value) for name, value in config.items()}

    with _quiet(), global_randomness(ledger.seed):
        scheduler = schedulers.PopulationBasedTraining(
            hyperparam_mutations={name: _range(tune, parameter) for name, parameter in space.parameters.items()},
            custom_explore_fn=clipped,
            **_COMMON,
        )
        drive(ledger, scheduler, lambda config: space.validate(active(space, clipped(dict(config)))))


def _pb2(ledger: Ledger) -> None:
    pb2 = library("ray.tune.schedulers.pb2", install=_INSTALL)
    names = ledger.space.names
    with _quiet(), global_randomness(ledger.seed):
        scheduler = pb2.PB2(hyperparam_bounds={name: [0.0, 1.0] for name in names}, **_COMMON)
        drive(ledger, scheduler, lambda config: ledger.space.decode(np.array([config[name] for name in names])))


def _range(tune: Any, parameter: Any) -> Any:
    """A parameter as Ray's distribution; choices as a list, of which neighbors are perturbations."""
    if isinstance(parameter, Categorical):
        return list(parameter.choices)
    if isinstance(parameter, Int):  # Ray's upper bound is exclusive
        return (tune.lograndint if parameter.log else tune.randint)(parameter.low, parameter.high + 1)
    return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences scikit-learn's warnings about the GP's bounds and Ray's log of each exploit."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _method(summary: str, run: Callable[[Ledger], None]) -> Method:
    settings = {"perturbation_interval": INTERVAL, "synch": True, "quantile_fraction": 0.25}
    return Method(summary=summary, run=run, packages=("ray",), settings=settings)


METHODS = {
    "ray-pbt": _method("PBT, by Ray Tune's scheduler", _pbt),
    "ray-pb2": _method("PB2, by Ray Tune's scheduler", _pb2),
}
