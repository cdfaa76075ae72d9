"""XGBoost by continued training, through `xgboost.train` and through its scikit-learn classes."""

import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

try:
    import xgboost
except ImportError as error:
    raise ImportError('gpbt.boosting needs XGBoost, which is not installed: pip install "gpbt[boosting]"') from error

from gpbt_adapters.trainables.boosting.common import EstimatorTrainable, NativeTrainable
from gpbt_core.errors import ConfigError

__all__ = ["XGBModelTrainable", "XGBoostTrainable"]

_FILE = "model.ubj"

_SHAPE = "it settles what the trees' sums mean"
_SETTLED: Mapping[str, str] = {
    **dict.fromkeys(("objective", "base_score", "multi_strategy"), _SHAPE),
    **dict.fromkeys(
        (
            "lambdarank_pair_method", "lambdarank_num_pair_per_sample", "lambdarank_normalization",
            "lambdarank_score_normalization", "lambdarank_unbiased", "lambdarank_bias_norm",
        ),
        "XGBoost ranks as it did for the first trees",
    ),
    "num_parallel_tree": "XGBoost keeps the first trees' number for all that are added",
}  # fmt: skip
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("num_class", "booster"), _SHAPE),
    **dict.fromkeys(("seed", "random_state", "seed_per_iteration"), "each step has a seed of its own, from the run's"),
    **dict.fromkeys(
        ("n_estimators", "num_boost_round"), "the number of rounds is the number of steps, which the run decides"
    ),
    **dict.fromkeys(("early_stopping_rounds", "process_type", "refresh_leaf"), "it is no matter of adding trees"),
    "verbosity": "it changes nothing",
}
FIXED: Mapping[str, str] = {**_SETTLED, **_REFUSED}


def check_estimator(estimator: Any, who: str) -> None:
    """Refuses an estimator that cannot be trained by adding trees.

    Raises:
        ConfigError: It is a random forest, or has a parameter that prevents this.
    """
    if isinstance(estimator, xgboost.XGBRFClassifier | xgboost.XGBRFRegressor):
        raise ConfigError(
            f"{who}: {type(estimator).__name__} is not supported: a random forest averages its trees and has no use "
            f"for earlier ones; use XGBClassifier or XGBRegressor"
        )
    _check(estimator.get_params(), who)


def _check(params: Mapping[str, Any], who: str) -> None:
    """Refuses parameters under which trees cannot be added."""
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
    """Lists the named texts in XGBoost's own dump of its parameters, those of the tree first."""
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
    # Silent: an unknown parameter is reported as not read back, which is an error rather than a warning.
    return _values_of(xgboost.Booster({**params, "verbosity": 0}, [data]))


def grow(
    estimator: xgboost.XGBModel,
    before: xgboost.XGBModel | None,
    data: tuple[Any, Any],
    options: Mapping[str, Any],
    *,
    rounds: int,
    seed: int,
) -> xgboost.XGBModel:
    """Fits an estimator on top of another one's trees; `n_estimators` then counts all rounds."""
    trees = None if before is None else before.get_booster()
    estimator.set_params(n_estimators=rounds, random_state=seed)
    grown = estimator.fit(*data, **{"verbose": False, **options, "xgb_model": trees})
    return grown.set_params(n_estimators=rounds_of(grown))


def rounds_of(estimator: xgboost.XGBModel) -> int:
    """The number of rounds that a fitted estimator has trained."""
    return int(estimator.get_booster().num_boosted_rounds())


def missing_defaults(estimator: xgboost.XGBModel) -> dict[str, Any]:  # noqa: ARG001 - as LightGBM's
    """The settings that continued training needs: none."""
    return {}


def trained_values(estimator: xgboost.XGBModel) -> dict[str, str]:
    """Reads the parameters, as texts, under which the last trees were trained."""
    return _values_of(estimator.get_booster())


@attrs.define(kw_only=True, eq=False)
class XGBoostTrainable(NativeTrainable[xgboost.Booster, xgboost.DMatrix]):
    """Trains an XGBoost booster natively; its model is the Booster.

    Attributes:
        data: Creates the training data. Called once per segment; cache what is slow to read.
        params: Parameters that are not tuned.
        obj: A custom objective, as for `xgboost.train`: maps predictions and the DMatrix to gradients and Hessians, one
            per row (and class). None: the objective in `params`.

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

    obj: Callable[[Any, xgboost.DMatrix], tuple[Any, Any]] | None = None
    _booster: xgboost.Booster | None = attrs.field(init=False, default=None)
    _saved: bytearray | None = attrs.field(init=False, default=None)  # trees that no booster has been made from yet
    _grown: bool = attrs.field(init=False, default=False)  # whether the booster has been trained since it was made

    refused: ClassVar[Mapping[str, str]] = _REFUSED
    settled: ClassVar[Mapping[str, str]] = _SETTLED

    def _check_params(self, params: Mapping[str, Any]) -> None:
        _check(params, type(self).__name__)
        if callable(params.get("objective")):
            raise ConfigError(
                f"{type(self).__name__}: params['objective'] must be a name, got a function; pass the function as obj="
            )

    def _begin(self) -> None:
        super()._begin()
        self._saved = self._booster = None

    def _end(self) -> None:
        super()._end()
        self._saved = self._booster = None

    def _current(self) -> xgboost.Booster | None:
        return self._ready(self._wanted()) if self._begun and self._steps else None

    def _ready(self, wanted: Mapping[str, Any]) -> xgboost.Booster:
        """The booster, made from the saved trees and the wanted values if need be."""
        if self._booster is None:
            assert self._data is not None
            self._booster = xgboost.Booster({**self.params, **wanted}, [self._data])
            if self._saved is not None:
                self._booster.load_model(self._saved)
            self._saved, self._grown = None, False
        return self._booster

    def _drop(self) -> None:
        """Keeps the trees alone, for a booster that knows nothing else of the one before."""
        if self._booster is not None and self._steps:
            self._saved = self._booster.save_raw("ubj")
        self._booster = None

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        self._drop()
        # Silent: an unknown parameter is reported as not read back, which is an error rather than a warning.
        with xgboost.config_context(verbosity=0):
            return _values_of(self._ready(wanted))

    def _grow(self, model: xgboost.Booster | None, wanted: Mapping[str, Any], seed: int) -> xgboost.Booster:
        assert self._data is not None
        if model is None or self._grown:
            self._drop()
            model = self._ready(wanted)
        self._grown = True
        model.set_param({"seed": seed})
        for round_ in range(self.rounds):
            model.update(self._data, round_, self.obj)
        return model

    def _values(self, model: xgboost.Booster) -> Mapping[str, Any]:
        return _values_of(model)

    def _store(self, model: xgboost.Booster, path: Path) -> None:
        model.save_model(path / _FILE)

    def _fetch(self, path: Path) -> None:
        self._saved = bytearray((path / _FILE).read_bytes())


@attrs.define(kw_only=True, eq=False)
class XGBModelTrainable(EstimatorTrainable[xgboost.XGBModel]):
    """Trains one of XGBoost's scikit-learn classes; its model is the fitted estimator.

    Attributes:
        estimator: Creates the estimator with the parameters that are not tuned.
        data: Creates inputs and targets. Called once per segment; cache what is slow to read.
        fit_options: Further arguments of `fit`, such as sample_weight or base_margin.
    """

    refused: ClassVar[Mapping[str, str]] = _REFUSED
    settled: ClassVar[Mapping[str, str]] = _SETTLED
    own_options: ClassVar[frozenset[str]] = frozenset({"X", "y", "xgb_model"})

    def _check_estimator(self, estimator: xgboost.XGBModel) -> None:
        check_estimator(estimator, type(self).__name__)

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        live = self._made(wanted).get_xgb_params()
        # Includes the objective, which has its own hyperparameters, but nothing that names columns of the data. `fit`
        # determines the number of classes.
        left_out = {"monotone_constraints", "interaction_constraints"} - wanted.keys()
        params = {"num_class": 1, **{name: value for name, value in live.items() if name not in left_out}}
        return _probe_with(params, xgboost.DMatrix([[0.0]], label=[0.0]))

    def _grow(self, model: xgboost.XGBModel | None, wanted: Mapping[str, Any], seed: int) -> xgboost.XGBModel:
        assert self._data is not None
        return grow(self._made(wanted), model, self._data, self.fit_options, rounds=self.rounds, seed=seed)

    def _values(self, model: xgboost.XGBModel) -> Mapping[str, Any]:
        return trained_values(model)

    def _store(self, model: xgboost.XGBModel, path: Path) -> None:
        model.save_model(path / _FILE)

    def _fetch(self, path: Path) -> xgboost.XGBModel:
        model = self._made(self._wanted())
        model.load_model(path / _FILE)
        return model.set_params(n_estimators=rounds_of(model))

    def _evaluation(self, model: xgboost.XGBModel) -> dict[str, Any]:
        return {"evals_result": getattr(model, "evals_result_", None)}

    def _set_evaluation(self, model: xgboost.XGBModel, evaluation: Mapping[str, Any]) -> None:
        if evaluation.get("evals_result") is not None:
            model.evals_result_ = evaluation["evals_result"]

    def _made(self, wanted: Mapping[str, Any]) -> xgboost.XGBModel:
        estimator = self.estimator()
        known = estimator.get_params().keys()
        unknown = sorted(wanted.keys() - known)
        if unknown:
            close = difflib.get_close_matches(unknown[0], known, n=1)
            raise ConfigError(
                f"{type(self).__name__}: {type(estimator).__name__} has no parameters {unknown}; "
                + (f"did you mean {close[0]!r}?" if close else f"it has {sorted(known)}")
            )
        return estimator.set_params(**wanted)
