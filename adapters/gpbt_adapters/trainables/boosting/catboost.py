"""CatBoost by continued training, through `catboost.CatBoost` and through its scikit-learn classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

try:
    import catboost
except ImportError as error:
    raise ImportError('gpbt.boosting needs CatBoost, which is not installed: pip install "gpbt[catboost]"') from error

from gpbt_adapters.trainables.boosting.common import EstimatorTrainable, NativeTrainable
from gpbt_core.errors import ConfigError

__all__ = ["CatBoostModelTrainable", "CatBoostTrainable"]

_FILE = "model.cbm"

_ALIASES_OF = {
    "iterations": "n_estimators num_boost_round num_trees",
    "learning_rate": "eta",
    "depth": "max_depth",
    "l2_leaf_reg": "reg_lambda",
    "rsm": "colsample_bylevel",
    "border_count": "max_bin",
    "min_data_in_leaf": "min_child_samples",
    "max_leaves": "num_leaves",
    "random_seed": "random_state",
    "loss_function": "objective",
}
ALIASES: Mapping[str, str] = {alias: name for name, aliases in _ALIASES_OF.items() for alias in aliases.split()}
"""CatBoost's synonyms, by the name under which it reports the value."""

_SHAPE = "it settles what the trees' sums mean"
_JOINT = "CatBoost resets it when it adds trees to a model"
_RUN = "the run decides how many trees are added"
_FIXED_NAMES = {
    **dict.fromkeys(("loss_function", "classes_count", "boost_from_average", "nan_mode"), _SHAPE),
    **dict.fromkeys(
        ("model_shrink_rate", "model_shrink_mode", "langevin", "diffusion_temperature", "posterior_sampling"), _JOINT
    ),
    **dict.fromkeys(
        ("od_type", "od_wait", "od_pval", "early_stopping_rounds", "use_best_model", "best_model_min_trees"), _RUN
    ),
    "grow_policy": "CatBoost cannot join trees of different policies in one model",
    "iterations": "the number of rounds is the number of steps, which the run decides",
    "random_seed": "each step has a seed of its own, from the run's",
}
FIXED: Mapping[str, str] = {
    **_FIXED_NAMES,
    **{alias: _FIXED_NAMES[name] for alias, name in ALIASES.items() if name in _FIXED_NAMES},
}
_SETTLED = {
    name: reason
    for name, reason in FIXED.items()
    if ALIASES.get(name, name) in ("loss_function", "boost_from_average", "nan_mode", "grow_policy")
}
_REFUSED = {name: reason for name, reason in FIXED.items() if name not in _SETTLED}

_QUIET = ("logging_level", "verbose", "silent", "verbose_eval", "metric_period")
_OF_TREES = ("grow_policy", "bootstrap_type", "boosting_type", "score_function", "sampling_frequency")
"""Parameters that decide which others CatBoost accepts."""


def _canonical(params: Mapping[str, Any]) -> dict[str, Any]:
    return {ALIASES.get(name, name): value for name, value in params.items()}


def _full(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by CatBoost's own names; silent and without log files, unless they say otherwise."""
    own = _canonical(params)
    quiet = {} if any(name in own for name in _QUIET) else {"logging_level": "Silent"}
    return {"allow_writing_files": False, **quiet, **own}


def _check(params: Mapping[str, Any], who: str) -> None:
    """Refuses parameters under which trees cannot be added."""
    own = _canonical(params)
    for name in ("od_type", "od_wait", "od_pval", "early_stopping_rounds"):
        if own.get(name) is not None:
            raise ConfigError(f"{who}: {name}={own[name]!r} is not supported: {_RUN}")
    for name in ("model_shrink_rate", "langevin", "posterior_sampling"):
        if own.get(name):
            raise ConfigError(f"{who}: {name}={own[name]!r} is not supported: {_JOINT}")


def _values_of(model: catboost.CatBoost) -> dict[str, Any]:
    values = model.get_all_params()
    return {**{alias: values[name] for alias, name in ALIASES.items() if name in values}, **values}


def _probe_with(wanted: Mapping[str, Any], params: Mapping[str, Any], who: str) -> dict[str, Any]:
    """Lets CatBoost parse parameters, which it does only in training: one tree on two rows."""
    context = {name: value for name, value in _canonical(params).items() if name in _OF_TREES}
    model = catboost.CatBoost({**_full({**context, **wanted}), "iterations": 1, "thread_count": 1})
    try:
        model.fit(catboost.Pool([[0.0], [1.0]], [0.0, 1.0]))
    except catboost.CatBoostError as error:
        raise ConfigError(
            f"{who}: hyperparameters {dict(wanted)} must be accepted by CatBoost, which says: {error}"
        ) from error
    return _values_of(model)


def _more(params: Mapping[str, Any], before: catboost.CatBoost | None, rounds: int, seed: int) -> dict[str, Any]:
    """The parameters for some more trees."""
    more = {**params, "iterations": rounds, "random_seed": seed}
    if before is not None:
        more.pop("boost_from_average", None)  # the first trees have settled it, and CatBoost refuses it
    return more


def _copy(model: catboost.CatBoost | None) -> catboost.CatBoost | None:
    """A model to begin with: CatBoost changes it, so that a second child of the same parent would train otherwise."""
    return None if model is None else model.copy()


@attrs.define(kw_only=True, eq=False)
class CatBoostTrainable(NativeTrainable[catboost.CatBoost, catboost.Pool]):
    """Trains a CatBoost model; its model is a `catboost.CatBoost`.

    Attributes:
        data: Creates the training data. Called once per segment; cache what is slow to read.
        params: Parameters that are not tuned.

    Examples:
        >>> import numpy as np
        >>> x = np.arange(200.0).reshape(200, 1)
        >>> pool = catboost.Pool(x, x[:, 0])
        >>> trainable = CatBoostTrainable(
        ...     data=lambda: pool,
        ...     params={"loss_function": "RMSE", "thread_count": 1},
        ...     score=lambda model: float(np.abs(model.predict(x) - x[:, 0]).mean()),
        ... )
        >>> trainable.setup({"learning_rate": 0.5, "depth": 2}, seed=0)
        >>> trainable.applied()
        {'learning_rate': 0.5, 'depth': 2}
        >>> first = trainable.step()
        >>> trainable.step() < first
        True
        >>> trainable.model.tree_count_
        20
    """

    refused: ClassVar[Mapping[str, str]] = _REFUSED
    settled: ClassVar[Mapping[str, str]] = _SETTLED

    def _check_params(self, params: Mapping[str, Any]) -> None:
        _check(params, type(self).__name__)

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return _probe_with(wanted, self.params, type(self).__name__)

    def _grow(self, model: catboost.CatBoost | None, wanted: Mapping[str, Any], seed: int) -> catboost.CatBoost:
        params = {**_full(self.params), **_canonical(wanted)}
        return catboost.CatBoost(_more(params, model, self.rounds, seed)).fit(self._data, init_model=_copy(model))

    def _values(self, model: catboost.CatBoost) -> Mapping[str, Any]:
        return _values_of(model)

    def _store(self, model: catboost.CatBoost, path: Path) -> None:
        model.save_model(str(path / _FILE))

    def _fetch(self, path: Path) -> catboost.CatBoost:
        return catboost.CatBoost().load_model(str(path / _FILE))


@attrs.define(kw_only=True, eq=False)
class CatBoostModelTrainable(EstimatorTrainable[catboost.CatBoost]):
    """Trains a CatBoostClassifier, CatBoostRegressor or CatBoostRanker; its model is the fitted estimator.

    Attributes:
        estimator: Creates the estimator with the parameters that are not tuned.
        data: Creates inputs and targets. Called once per segment; cache what is slow to read.
        fit_options: Further arguments of `fit`, such as sample_weight or cat_features.
    """

    refused: ClassVar[Mapping[str, str]] = _REFUSED
    settled: ClassVar[Mapping[str, str]] = _SETTLED
    own_options: ClassVar[frozenset[str]] = frozenset({"X", "y", "init_model"})

    def _check_estimator(self, estimator: catboost.CatBoost) -> None:
        _check(estimator.get_params(), type(self).__name__)
        if self.fit_options.get("early_stopping_rounds") is not None or self.fit_options.get("use_best_model"):
            raise ConfigError(f"{type(self).__name__}: early stopping is not supported: {_RUN}")

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return _probe_with(wanted, self.estimator().get_params(), type(self).__name__)

    def _grow(self, model: catboost.CatBoost | None, wanted: Mapping[str, Any], seed: int) -> catboost.CatBoost:
        assert self._data is not None
        estimator = self._made(wanted, model, seed)
        return estimator.fit(*self._data, **{**self.fit_options, "init_model": _copy(model)})

    def _values(self, model: catboost.CatBoost) -> Mapping[str, Any]:
        return _values_of(model)

    def _store(self, model: catboost.CatBoost, path: Path) -> None:
        model.save_model(str(path / _FILE))

    def _fetch(self, path: Path) -> catboost.CatBoost:
        return self._made(self._wanted(), None, 0).load_model(str(path / _FILE))

    def _made(self, wanted: Mapping[str, Any], before: catboost.CatBoost | None, seed: int) -> catboost.CatBoost:
        """A new estimator: a synonym of a parameter that is set already cannot be set on the old one."""
        estimator = self.estimator()
        params = {**_full(estimator.get_params()), **_canonical(wanted)}
        return type(estimator)(**_more(params, before, self.rounds, seed))
