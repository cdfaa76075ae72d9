"""Other libraries' descriptions of spaces, read into ours.

They are read by what they look like, so that none of these libraries is imported here or needs to be installed. What
has no exact counterpart is refused, not approximated.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.space.conditions import Wanted
from gpbt_core.space.parameters import Categorical, Float, Int, Parameter, Plain, typed

__all__ = ["configspace_parameters", "optuna_parameters", "scipy_parameters"]

_MOST_VALUES = 2**16  # of a controlling parameter: a condition is read by trying each


def optuna_parameters(distributions: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of Optuna distributions.

    Args:
        distributions: By name.

    Raises:
        ConfigError: A distribution of another kind, or one that no parameter can be.
    """
    return _each("Space.from_optuna", distributions, _optuna)


def _optuna(distribution: Any) -> Parameter:
    kinds = {base.__name__ for base in type(distribution).__mro__}  # UniformDistribution and its kin derive from these
    if "FloatDistribution" in kinds:
        return Float(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if "IntDistribution" in kinds:
        return Int(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if "CategoricalDistribution" in kinds:
        return Categorical(distribution.choices)
    raise ConfigError(
        f"wanted a FloatDistribution, an IntDistribution or a CategoricalDistribution, got {distribution!r}"
    )


def scipy_parameters(distributions: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of lists and frozen scipy.stats distributions.

    Args:
        distributions: By name.

    Raises:
        ConfigError: A distribution of another kind, or one that no parameter can be.
    """
    return _each("Space.from_scipy", distributions, _scipy)


def _scipy(distribution: Any) -> Parameter:
    kind = getattr(getattr(distribution, "dist", None), "name", None)
    if kind == "uniform":
        return Float(*distribution.support())
    if kind == "randint":
        return Int(*distribution.support())
    if kind in ("loguniform", "reciprocal"):
        loc = distribution.args[2] if len(distribution.args) > 2 else distribution.kwds.get("loc", 0)
        if loc != 0:
            raise ConfigError(
                f"wanted a {kind} without loc, got loc={loc!r}: its logarithm is not uniform; shift it later"
            )
        return Float(*distribution.support(), log=True)
    if isinstance(distribution, (list, tuple, range, np.ndarray)):
        choices: Any = distribution  # what is in them Categorical checks
        return Categorical(choices)
    raise ConfigError(
        "wanted a list of choices, or a frozen uniform, loguniform (reciprocal) or randint of scipy.stats, got "
        f"{kind or distribution!r}"
    )


def configspace_parameters(configspace: Any) -> tuple[dict[str, Parameter], Wanted]:
    """The parameters of a ConfigSpace, and for each conditional one the pairs of a name and its values.

    Args:
        configspace: A `ConfigSpace.ConfigurationSpace`.

    Raises:
        ConfigError: It is something else; a hyperparameter or a condition that has no counterpart; forbidden clauses.
    """
    who = "Space.from_configspace"
    if not hasattr(configspace, "conditions") or not hasattr(configspace, "forbidden_clauses"):
        raise ConfigError(f"{who}: wanted a ConfigSpace.ConfigurationSpace, got {configspace!r}")
    if configspace.forbidden_clauses:
        raise ConfigError(
            f"{who}: wanted no forbidden clauses, got {list(configspace.forbidden_clauses)!r}; say them as conditions, "
            "or fail the trials that break them"
        )
    parameters = _each(who, configspace, _configspace)
    conditions: dict[str, dict[str, tuple[Plain, ...]]] = {}
    for condition in configspace.conditions:
        child = condition.child.name
        try:
            for parent, values in _pairs(condition, parameters):
                own = conditions.setdefault(child, {})
                before = set(typed(own.get(parent, values)))
                own[parent] = tuple(value for value in values if (type(value), value) in before)
        except ConfigError as error:
            raise ConfigError(f"{who}, the condition {condition}: {error}") from None
    return parameters, {name: list(pairs.items()) for name, pairs in conditions.items()}


def _configspace(hyperparameter: Any) -> Parameter:
    kind = type(hyperparameter).__name__
    if kind == "UniformFloatHyperparameter":
        return Float(hyperparameter.lower, hyperparameter.upper, log=hyperparameter.log)
    if kind == "UniformIntegerHyperparameter":
        return Int(hyperparameter.lower, hyperparameter.upper, log=hyperparameter.log)
    if kind == "OrdinalHyperparameter":
        return Categorical(hyperparameter.sequence)
    if kind == "Constant":
        return Categorical([hyperparameter.value])
    if kind != "CategoricalHyperparameter":
        raise ConfigError(f"wanted a uniform, categorical, ordinal or constant hyperparameter, got {hyperparameter}")
    if len(set(hyperparameter.probabilities)) > 1:
        raise ConfigError(f"wanted choices of equal weight, got {hyperparameter}; leave the weights out")
    return Categorical(hyperparameter.choices)


def _pairs(condition: Any, parameters: Mapping[str, Parameter]) -> list[tuple[str, tuple[Plain, ...]]]:
    """The (parent, values) pairs that must all hold for a condition to do so."""
    if type(condition).__name__ == "AndConjunction":
        return [pair for component in condition.components for pair in _pairs(component, parameters)]
    parent, *others = sorted(_parents(condition))
    if others:
        raise ConfigError(f"wanted alternatives on one parameter, got them on {[parent, *others]}")
    parameter = parameters[parent]
    if isinstance(parameter, Float) or parameter.bins > _MOST_VALUES:
        raise ConfigError(f"wanted it to be on a parameter of at most {_MOST_VALUES} values, got {parameter!r}")
    values = parameter.choices if isinstance(parameter, Categorical) else range(parameter.low, parameter.high + 1)
    return [(parent, tuple(value for value in values if condition.satisfied_by_value({parent: value})))]


def _parents(condition: Any) -> set[str]:
    """The names that a condition, or what it is composed of, looks at."""
    if hasattr(condition, "components"):
        return {name for component in condition.components for name in _parents(component)}
    return {condition.parent.name}


def _each(who: str, described: Mapping[str, Any], read: Callable[[Any], Parameter]) -> dict[str, Parameter]:
    """Reads each description; errors say which it was."""
    if not isinstance(described, Mapping):
        raise ConfigError(f"{who}: wanted a dict by name, got {described!r}")
    parameters = {}
    for name, one in described.items():
        try:
            parameters[name] = read(one)
        except ConfigError as error:
            raise ConfigError(f"{who}, parameter {name!r}: {error}") from None
    return parameters
