"""Spaces from those of Optuna, scipy and ConfigSpace.

None of these libraries is imported here: their objects are recognized by their attributes and the names of their
classes. A distribution without an exact counterpart is refused, not approximated.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Parameter, Space, When
from gpbt_core.space.parameters import Plain, typed

__all__ = ["from_configspace", "from_optuna", "from_scipy"]

P = TypeVar("P")

_MOST_VALUES = 2**16  # of a controlling parameter, since reading a condition tries each value


def from_optuna(distributions: Mapping[str, Any]) -> Space:
    """The space of Optuna distributions.

    Args:
        distributions: By name, `FloatDistribution`, `IntDistribution` or `CategoricalDistribution`.

    Raises:
        ConfigError: A distribution is of another kind, or has a choice that is not a plain value.

    Examples:
        >>> import optuna
        >>> from_optuna({"lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True)})
        Space({'lr': Float(1e-05, 1.0, log=True)})
    """
    return Space(_each("from_optuna", distributions, _optuna))


def _optuna(distribution: Any) -> Parameter:
    kinds = {base.__name__ for base in type(distribution).__mro__}  # deprecated ones derive from these three
    if "FloatDistribution" in kinds:
        return Float(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if "IntDistribution" in kinds:
        return Int(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if "CategoricalDistribution" in kinds:
        return Categorical(distribution.choices)
    raise ConfigError(
        "a distribution must be a FloatDistribution, an IntDistribution or a CategoricalDistribution, got "
        f"{distribution!r}"
    )


def from_scipy(distributions: Mapping[str, Any]) -> Space:
    """The space of `param_distributions` as scikit-learn's `RandomizedSearchCV` takes them.

    The dict may also contain parameters of gpbt.

    Args:
        distributions: By name, a list of choices, a frozen distribution of scipy.stats: `uniform`, `loguniform` (also
            called `reciprocal`) or `randint`, or a parameter of gpbt: `Float`, `Int`, `Categorical`, or one of them in
            a `When`.

    Raises:
        ConfigError: A distribution is of another kind, or a choice is not a plain value.

    Examples:
        >>> from scipy.stats import loguniform
        >>> from_scipy({"alpha": loguniform(1e-4, 1), "solver": ["adam", "sgd"]})
        Space({'alpha': Float(0.0001, 1.0, log=True), 'solver': Categorical(['adam', 'sgd'])})
    """
    return Space(_each("from_scipy", distributions, _scipy))


def _scipy(distribution: Any) -> Parameter | When:
    if isinstance(distribution, Parameter | When):
        return distribution
    kind = getattr(getattr(distribution, "dist", None), "name", None)
    if kind == "uniform":
        return Float(*distribution.support())
    if kind == "randint":
        return Int(*distribution.support())
    if kind in ("loguniform", "reciprocal"):
        loc = distribution.args[2] if len(distribution.args) > 2 else distribution.kwds.get("loc", 0)
        if loc != 0:
            raise ConfigError(
                f"a {kind} must have no loc, got loc={loc!r}, with which its logarithm is not uniform; add the loc "
                "where you train"
            )
        return Float(*distribution.support(), log=True)
    if isinstance(distribution, (list, tuple, range, np.ndarray)):
        choices: Any = distribution  # Categorical checks what is in them
        return Categorical(choices)
    raise ConfigError(
        "a distribution must be a list of choices, or a frozen uniform, loguniform (reciprocal) or randint of "
        "scipy.stats, got "
        f"{kind or distribution!r}"
    )


def from_configspace(configspace: Any) -> Space:
    """The space of a ConfigSpace.

    Ordinal hyperparameters become `Categorical`, constants a `Categorical` of one choice.

    Args:
        configspace: A `ConfigSpace.ConfigurationSpace` of uniform, categorical (of equal weights), ordinal and constant
            hyperparameters. Conditions may be of any kind that can be written as lists of values of discrete
            parameters, all of which must hold.

    Raises:
        ConfigError: It is something else, has forbidden clauses, or a hyperparameter or condition without an exact
            counterpart.
    """
    who = "from_configspace"
    if not hasattr(configspace, "conditions") or not hasattr(configspace, "forbidden_clauses"):
        raise ConfigError(f"{who}: the space must be a ConfigSpace.ConfigurationSpace, got {configspace!r}")
    if configspace.forbidden_clauses:
        raise ConfigError(
            f"{who}: the space must have no forbidden clauses, got {list(configspace.forbidden_clauses)!r}; write them "
            "as conditions, or fail the trials that break them"
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
    return Space(
        {
            name: When(parameter, conditions[name]) if name in conditions else parameter
            for name, parameter in parameters.items()
        }
    )


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
        raise ConfigError(f"a hyperparameter must be uniform, categorical, ordinal or constant, got {hyperparameter}")
    if len(set(hyperparameter.probabilities)) > 1:
        raise ConfigError(f"choices must have equal weights, got {hyperparameter}; leave the weights out")
    return Categorical(hyperparameter.choices)


def _pairs(condition: Any, parameters: Mapping[str, Parameter]) -> list[tuple[str, tuple[Plain, ...]]]:
    """The (parent, values) pairs that must all hold for a condition to do so."""
    if type(condition).__name__ == "AndConjunction":
        return [pair for component in condition.components for pair in _pairs(component, parameters)]
    parent, *others = sorted(_parents(condition))
    if others:
        raise ConfigError(f"alternatives must be on one parameter, got {[parent, *others]}")
    parameter = parameters[parent]
    if isinstance(parameter, Float) or parameter.bins > _MOST_VALUES:
        raise ConfigError(f"it must be on a parameter of at most {_MOST_VALUES} values, got {parameter!r}")
    values = parameter.choices if isinstance(parameter, Categorical) else range(parameter.low, parameter.high + 1)
    return [(parent, tuple(value for value in values if condition.satisfied_by_value({parent: value})))]


def _parents(condition: Any) -> set[str]:
    """The names of the parameters that a condition, or its components, depends on."""
    if hasattr(condition, "components"):
        return {name for component in condition.components for name in _parents(component)}
    return {condition.parent.name}


def _each(who: str, described: Mapping[str, Any], read: Callable[[Any], P]) -> dict[str, P]:
    """Reads each description; errors name the parameter."""
    if not isinstance(described, Mapping):
        raise ConfigError(f"{who}: the distributions must be a dict by name, got {described!r}")
    parameters = {}
    for name, one in described.items():
        try:
            parameters[name] = read(one)
        except ConfigError as error:
            raise ConfigError(f"{who}, parameter {name!r}: {error}") from None
    return parameters
