"""XGBoost by continued training, through `xgboost.train` and through its scikit-learn classes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

try:
    import xgboost
except ImportError as error:
    raise ImportError('gpbt.boosting needs XGBoost, which is not installed: pip install "gpbt[boosting]"') from error

from gpbt_adapters.trainables.boosting.common import BoostingTrainable
from gpbt_core.errors import ConfigError

__all__ = ["XGBModelTrainable", "XGBoostTrainable"]

_FILE = "model.ubj"

_SHAPE = "it settles what the trees' sums mean"
_FIXED = {
    **dict.fromkeys(("objective", "num_class", "base_score", "multi_strategy", "booster"), _SHAPE),
    **dict.fromkeys(("seed", "random_state", "seed_per_iteration"), "each step has a seed of its own, from the run's"),
    **dict.fromkeys(
        ("n_estimators", "num_boost_round"), "the number of rounds is the number of steps, which the run decides"
    ),
    **dict.fromkeys(("early_stopping_rounds", "process_type", "refresh_leaf"), "it is no matter of adding trees"),
    **dict.fromkeys(
        (
            "lambdarank_pair_method", "lambdarank_num_pair_per_sample", "lambdarank_normalization",
            "lambdarank_score_normalization", "lambdarank_unbiased", "lambdarank_bias_norm",
        ),
        "XGBoost ranks as it did for the first trees",
    ),
    "num_parallel_tree": "XGBoost keeps the first trees' number for all that are added",
    "verbosity": "it changes nothing",
}  # fmt: skip


def _check(params: Mapping[str, Any], who: str) -> None:
    """Refuses what cannot be trained by adding trees."""
    reasons = {
        "dart": "DART rescales trees that are there, so a child would change what its parent learnt",
        "gblinear": "gblinear has one set of coefficients and no trees to add",
    }
    booster = params.get("booster")
    if booster in reasons:
        raise ConfigError(f"{who}: booster={booster!r} is not supported: {reasons[booster]}; use 'gbtree'")
    for name in ("early_stopping_rounds", "process_type"):
        if params.get(name) not in (None, "default"):
            raise ConfigError(
                f"{who}: {name}={params[name]!r} is not supported: the run decides how many trees are added"
            )
    for callback in params.get("callbacks") or ():
        if isinstance(callback, xgboost.callback.EarlyStopping):
            raise ConfigError(
                f"{who}: the callback EarlyStopping is not supported: the run decides how many trees are added"
            )


def _flat(config: Any) -> dict[str, str]:
    """Lists the named texts anywhere in XGBoost's own dump of its parameters; the tree's come before others."""
    found: dict[str, str] = {}
    if isinstance(config, list):
        for item in config:
            found = {**_flat(item), **found}
    elif isinstance(config, Mapping):
        for key in sorted(config, key=lambda key: key != "gradient_booster"):
            value = config[key]
            found = {**({key: value} if isinstance(value, str) else _flat(value)), **found}
    return found


def _values_of(booster: xgboost.Booster) -> dict[str, str]:
    return _flat(json.loads(booster.save_config())["learner"])


def _probe_with(params: Mapping[str, Any], data: xgboost.DMatrix) -> dict[str, str]:
    # Silent: an unknown parameter is reported as not read back, which is an error and not only a warning.
    return _values_of(xgboost.Booster({**params, "verbosity": 0}, [data]))


@attrs.define(kw_only=True, eq=False)
class XGBoostTrainable(BoostingTrainable[xgboost.Booster]):
    """Trains an XGBoost booster natively; its model is the Booster.

    Attributes:
        data: Makes the training data. Called once per segment; cache what is slow to read.
        params: Parameters that are not tuned.

    Examples:
        >>> import numpy as np
        >>> x = np.arange(20.0).reshape(20, 1)
        >>> data = xgboost.DMatrix(x, label=x[:, 0])
        >>> trainable = XGBoostTrainable(
        ...     data=lambda: data,
        ...     params={"nthread": 1},
        ...     score=lambda booster: float(np.abs(booster.predict(data) - x[:, 0]).mean()),
        ... )
        >>> trainable.setup({"eta": 0.5, "max_depth": 2}, seed=0)
        >>> trainable.applied()
        {'eta': 0.5, 'max_depth': 2}
        >>> first = trainable.step()
        >>> trainable.step() < first
        True
        >>> trainable.model.num_boosted_rounds()
        20
    """

    data: Callable[[], xgboost.DMatrix]
    params: Mapping[str, Any] = attrs.field(factory=dict)
    _matrix: xgboost.DMatrix | None = attrs.field(init=False, default=None)

    refused: ClassVar[Mapping[str, str]] = _FIXED

    def __attrs_post_init__(self) -> None:
        """Refuses parameters under which trees cannot be added.

        Raises:
            ConfigError: A booster other than gbtree, or early stopping.
        """
        _check(self.params, type(self).__name__)

    def _begin(self) -> None:
        self._matrix = self.data()

    def _end(self) -> None:
        self._matrix = None

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._matrix is not None
        return _probe_with({**self.params, **wanted}, self._matrix)

    def _grow(self, model: xgboost.Booster | None, wanted: Mapping[str, Any], seed: int) -> xgboost.Booster:
        assert self._matrix is not None
        params = {**self.params, **wanted, "seed": seed}
        return xgboost.train(params, self._matrix, num_boost_round=self.rounds, xgb_model=model, verbose_eval=False)

    def _values(self, model: xgboost.Booster) -> Mapping[str, Any]:
        return _values_of(model)

    def _store(self, model: xgboost.Booster, path: Path) -> None:
        model.save_model(path / _FILE)

    def _fetch(self, path: Path, wanted: Mapping[str, Any]) -> xgboost.Booster:
        booster = xgboost.Booster({**self.params, **wanted})
        booster.load_model(path / _FILE)
        return booster


@attrs.define(kw_only=True, eq=False)
class XGBModelTrainable(BoostingTrainable[xgboost.XGBModel]):
    """Trains one of XGBoost's scikit-learn classes; its model is the fitted estimator.

    Attributes:
        estimator: Makes the estimator with the parameters that are not tuned.
        data: Makes inputs and targets. Called once per segment; cache what is slow to read.
        fit_options: Further arguments of `fit`, such as sample_weight or base_margin.
    """

    estimator: Callable[[], xgboost.XGBModel]
    data: Callable[[], tuple[Any, Any]]
    fit_options: Mapping[str, Any] = attrs.field(factory=dict)
    _data: tuple[Any, Any] | None = attrs.field(init=False, default=None)

    refused: ClassVar[Mapping[str, str]] = _FIXED

    def _begin(self) -> None:
        _check(self.estimator().get_params(), type(self).__name__)
        self._data = self.data()

    def _end(self) -> None:
        self._data = None

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        live = self._made(wanted).get_xgb_params()
        # With the objective, which has hyperparameters of its own, but not with what names columns of the data; and fit
        # settles how many classes there are.
        left_out = {"monotone_constraints", "interaction_constraints"} - wanted.keys()
        params = {"num_class": 1, **{name: value for name, value in live.items() if name not in left_out}}
        return _probe_with(params, xgboost.DMatrix([[0.0]], label=[0.0]))

    def _grow(self, model: xgboost.XGBModel | None, wanted: Mapping[str, Any], seed: int) -> xgboost.XGBModel:
        assert self._data is not None
        grown = self._made(wanted).set_params(n_estimators=self.rounds, random_state=seed)
        before = None if model is None else model.get_booster()
        return grown.fit(*self._data, xgb_model=before, verbose=False, **self.fit_options)

    def _values(self, model: xgboost.XGBModel) -> Mapping[str, Any]:
        return _values_of(model.get_booster())

    def _store(self, model: xgboost.XGBModel, path: Path) -> None:
        model.save_model(path / _FILE)

    def _fetch(self, path: Path, wanted: Mapping[str, Any]) -> xgboost.XGBModel:
        model = self._made(wanted)
        model.load_model(path / _FILE)
        return model

    def _made(self, wanted: Mapping[str, Any]) -> xgboost.XGBModel:
        estimator = self.estimator()
        unknown = sorted(wanted.keys() - estimator.get_params().keys())
        if unknown:
            raise ConfigError(
                f"{type(self).__name__}: {type(estimator).__name__} has no parameters {unknown}; it has "
                f"{sorted(estimator.get_params())}"
            )
        return estimator.set_params(**wanted)
