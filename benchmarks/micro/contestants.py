"""Searchers and Optuna's samplers as plain optimizers, called by name.

A searcher gets one generation and, before each proposal, the whole record so far; a sampler gets a study of its own.
Nothing here measures.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from gpbt_core.records import Record, Status, Trial
from gpbt_core.registry import registry
from gpbt_core.searcher import Family, Query, Searcher
from gpbt_core.space import Categorical, Config, Float, Int, Parameter, Space

__all__ = ["Contestant", "contestant", "optuna_distributions", "searcher_named"]

OPTUNA = "optuna:"


class Contestant(Protocol):
    """An optimizer with an ask-and-tell interface."""

    def ask(self) -> Mapping[str, Any]:
        """Returns a config."""

    def tell(self, config: Mapping[str, Any], loss: float) -> None:
        """Receives the loss of the last config asked for."""

    def add(self, config: Mapping[str, Any], loss: float) -> None:
        """Receives a result that it did not ask for."""


class OneGeneration:
    """A searcher whose family history contains all told results."""

    def __init__(self, searcher: Searcher, space: Space, seed: int) -> None:
        self._searcher = searcher
        self._space = space
        self._seed = seed
        self._records: tuple[Record, ...] = ()

    def ask(self) -> Mapping[str, Any]:
        """Returns a config."""
        slot, told = len(self._records), self._records
        query = Query(space=self._space, slot=slot, seed=self._seed, family=lambda: Family(told=told))
        return self._searcher.propose(query, np.random.default_rng([self._seed, slot]))

    def tell(self, config: Mapping[str, Any], loss: float) -> None:
        """Receives the loss of the last config asked for."""
        trial = Trial(
            id=len(self._records), parent=None, generation=0, depth=0, config=Config(config), steps=1, start_step=0
        )
        self._records = (*self._records, Record(trial=trial, status=Status.COMPLETED, loss=loss, steps=1))

    add = tell


class OptunaStudy:
    """One of Optuna's samplers with a study in memory."""

    def __init__(self, sampler: str, space: Space, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
        self._distributions = optuna_distributions(space)
        self._trial: optuna.Trial | None = None

    def ask(self) -> Mapping[str, Any]:
        """Returns a config."""
        self._trial = self._study.ask(self._distributions)
        return self._trial.params

    def tell(self, config: Mapping[str, Any], loss: float) -> None:  # noqa: ARG002 - the study has it
        """Receives the loss of the last config asked for."""
        assert self._trial is not None
        self._study.tell(self._trial, loss)

    def add(self, config: Mapping[str, Any], loss: float) -> None:
        """Receives a result that it did not ask for."""
        import optuna

        trial = optuna.trial.create_trial(params=dict(config), distributions=self._distributions, value=loss)
        self._study.add_trial(trial)


def searcher_named(name: str) -> Searcher:
    """The searcher that an installed plugin offers under a name, without options.

    Raises:
        PluginError: There is none.
    """
    return registry().searcher(name)


def contestant(name: str) -> Callable[[Space, int], Contestant]:
    """Returns a function that creates a contestant from a space and a seed.

    Args:
        name: The name of a searcher, or that of a sampler of Optuna's behind "optuna:".
    """
    if name.startswith(OPTUNA):
        return lambda space, seed: OptunaStudy(name.removeprefix(OPTUNA), space, seed)
    found = searcher_named(name)
    return lambda space, seed: OneGeneration(found, space, seed)


def optuna_distributions(space: Space) -> dict[str, Any]:
    """A space without conditions as Optuna's distributions."""
    return {name: _distribution(parameter) for name, parameter in space.parameters.items()}


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case Categorical():
            return CategoricalDistribution(parameter.choices)
        case Float():
            assert parameter.log != "1-x"  # no function of these has one
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case Int():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
