"""A searcher that asks one of Optuna's samplers: a family history to a study, the study to a config.

Study and sampler are created for each proposal and dropped after it, so a proposal depends only on the query.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseGASampler, BaseSampler, BruteForceSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from gpbt_adapters.searching.optuna.distributions import Dimension, dimensions
from gpbt_adapters.searching.optuna.quiet import quiet
from gpbt_adapters.searching.optuna.samplers import checked, prepared
from gpbt_core.errors import UnsupportedSpaceError
from gpbt_core.records import Record, Trial
from gpbt_core.searcher import Query
from gpbt_core.space import Space

__all__ = ["OptunaSearcher", "frozen_trials"]

_LARGE = 1e100


def _checked(_searcher: "OptunaSearcher", _attribute: "attrs.Attribute[BaseSampler]", value: object) -> None:
    checked(value)


@attrs.frozen(eq=False)
class OptunaSearcher:
    """Proposes what one of Optuna's samplers proposes after the family history.

    The history becomes the trials of a study that minimizes: told ones complete, stopped ones too, with their last
    loss; failed ones failed, which Optuna's samplers pass over; pending ones running. A sampler knows neither the
    parent nor the generation of a trial. In a conditional space it is asked for the active parameters alone.

    A genetic sampler's own generations are the history cut into rows of its `population_size`, by rising id, as they
    would be in a study of its own: with fewer scored trials than that it draws at random.

    Attributes:
        sampler: Any instance; it is copied for each proposal and never used itself. Its own seed plays no part, and
            neither must numpy's global generator: `gpbt.testing.check_searcher` shows whether it does.

    Raises:
        ConfigError: It is no sampler, one that depends on its own memory (CMA-ES, quasi-Monte Carlo, grids), or one
            with a `constraints_func`.

    Examples:
        >>> from gpbt import Float
        >>> searcher = OptunaSearcher(optuna.samplers.TPESampler(n_startup_trials=5))
        >>> space = Space(lr=Float(1e-5, 1, log=True))
        >>> config = searcher.propose(Query(space=space), np.random.default_rng(0))
        >>> space.validate(config) == config
        True
    """

    sampler: BaseSampler = attrs.field(validator=_checked)

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`.

        Raises:
            UnsupportedSpaceError: The sampler tries every config and the space is infinite, or it fixes a value
                outside the space.
        """
        with quiet():
            _check_space(self.sampler, query.space)
            sampler = prepared(self.sampler, query.space, rng)
            study = optuna.create_study(sampler=sampler)
            study.add_trials(_trials(query, sampler))
            return _suggested(query.space, study.ask())


def _check_space(sampler: BaseSampler, space: Space) -> None:
    if isinstance(sampler, BruteForceSampler):
        for name, dimension in dimensions(space).items():
            if isinstance(dimension.distribution, FloatDistribution):
                raise UnsupportedSpaceError(
                    f"optuna:BruteForceSampler: the space must have only steps, integers and categories, got the "
                    f"continuous {name}={space.parameters[name]!r}; give it a step"
                )


def _suggested(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    """A value of each active parameter, those that control others first."""
    found: dict[str, Any] = {}
    described = dimensions(space)
    for name in _controlling_first(space):
        needs = space.conditions.get(name, ())
        if all(control in found and _among(found[control], values) for control, values in needs):
            found[name] = described[name].suggest(trial, name)
    return {name: found[name] for name in space.names if name in found}


def _among(value: Any, allowed: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in allowed)


def _controlling_first(space: Space) -> Iterator[str]:
    waiting = list(space.names)
    done: set[str] = set()
    while waiting:  # conditions form no cycles
        ready = [name for name in waiting if all(control in done for control, _ in space.conditions.get(name, ()))]
        yield from ready
        done.update(ready)
        waiting = [name for name in waiting if name not in done]


def _trials(query: Query, sampler: BaseSampler) -> list[FrozenTrial]:
    """The family history as Optuna's trials, with what a genetic sampler keeps in them."""
    return frozen_trials(
        query.space, query.history, query.pending, _generation_key(sampler), getattr(sampler, "population_size", None)
    )


def frozen_trials(
    space: Space,
    told: Sequence[Record],
    pending: Sequence[Trial] = (),
    key: str | None = None,
    row: int | None = None,
) -> list[FrozenTrial]:
    """Records as Optuna's trials, by rising id.

    Args:
        space: The space of their configs.
        told: The finished trials.
        pending: The trials that have not finished.
        key: The attribute for a genetic sampler's generation; None: no such attribute.
        row: Number of scored trials in one of its generations, at least 1.
    """
    described = dimensions(space)
    records = {record.trial.id: record for record in told}
    scale = _scale([record.loss for record in told if record.loss is not None])
    made: list[FrozenTrial] = []
    scored = 0
    for trial in sorted([*(record.trial for record in told), *pending], key=lambda trial: trial.id):
        record = records.get(trial.id)
        attributes: dict[str, Any] = {}
        if key is not None and record is not None and record.loss is not None:
            attributes[key] = scored // (row or 1)
            scored += 1
        made.append(_trial(trial, record, described, scale, attributes))
    return made


def _scale(losses: Sequence[float]) -> float:
    """A power of 2 that brings losses whose squares would overflow to about 1; else 1. No sampler minds the unit."""
    largest = max(map(abs, losses), default=0.0)
    return 2.0 ** -math.frexp(largest)[1] if largest > _LARGE else 1.0


def _trial(
    trial: Trial,
    record: Record | None,
    described: Mapping[str, Dimension],
    scale: float,
    attributes: dict[str, Any],
) -> FrozenTrial:
    if record is None:
        state, value = TrialState.RUNNING, None
    elif record.loss is None:
        state, value = TrialState.FAIL, None
    else:
        state, value = TrialState.COMPLETE, scale * record.loss
    return create_trial(
        state=state,
        value=value,
        params={name: described[name].to_optuna(value) for name, value in trial.config.items()},
        distributions={name: described[name].distribution for name in trial.config},
        system_attrs=attributes,
    )


def _generation_key(sampler: BaseSampler) -> str | None:
    """Under which attribute a genetic sampler looks for a trial's generation; None: it is no such sampler."""
    if not isinstance(sampler, BaseGASampler):
        return None
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    study.ask()
    sampler.get_trial_generation(study, study.trials[0])  # stores the generation under that attribute
    (key,) = study.trials[0].system_attrs
    return str(key)
