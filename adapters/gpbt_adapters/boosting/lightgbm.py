"""LightGBM by continued training, through `lightgbm.train` and through its scikit-learn classes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np

try:
    import lightgbm
except ImportError as error:
    raise ImportError(
        'gpbt_adapters.boosting needs LightGBM, which is not installed: pip install "gpbt[boosting]"'
    ) from error

from gpbt_adapters.boosting.common import BoostingTrainable
from gpbt_core.errors import ConfigError

__all__ = ["LGBMModelTrainable", "LightGBMTrainable"]

_FILE = "model.txt"

ALIASES: Mapping[str, str] = {
    "boosting_type": "boosting",
    "boost": "boosting",
    "application": "objective",
    "app": "objective",
    "n_estimators": "num_iterations",
    "num_boost_round": "num_iterations",
    "num_round": "num_iterations",
    "num_rounds": "num_iterations",
    "num_trees": "num_iterations",
    "n_iter": "num_iterations",
    "early_stopping_rounds": "early_stopping_round",
    "random_state": "seed",
    "random_seed": "seed",
    "max_bins": "max_bin",
    "subsample_for_bin": "bin_construct_sample_cnt",
    "linear_trees": "linear_tree",
    "eta": "learning_rate",
    "shrinkage_rate": "learning_rate",
    "num_leaf": "num_leaves",
    "max_leaves": "num_leaves",
    "max_leaf_nodes": "num_leaves",
    "min_data": "min_data_in_leaf",
    "min_data_per_leaf": "min_data_in_leaf",
    "min_child_samples": "min_data_in_leaf",
    "min_samples_leaf": "min_data_in_leaf",
    "min_child_weight": "min_sum_hessian_in_leaf",
    "min_sum_hessian": "min_sum_hessian_in_leaf",
    "min_hessian": "min_sum_hessian_in_leaf",
    "bagging": "bagging_fraction",
    "subsample": "bagging_fraction",
    "sub_row": "bagging_fraction",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction",
    "sub_feature": "feature_fraction",
    "colsample_bynode": "feature_fraction_bynode",
    "sub_feature_bynode": "feature_fraction_bynode",
    "reg_alpha": "lambda_l1",
    "l1_regularization": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "lambda": "lambda_l2",
    "l2_regularization": "lambda_l2",
    "min_split_gain": "min_gain_to_split",
    "max_tree_output": "max_delta_step",
    "max_leaf_output": "max_delta_step",
}
"""LightGBM's names for what it dumps under another one (its documentation, Parameters); it has more aliases than
these."""

_BINS = "the data is binned once, for all models"
_SHAPE = "it settles what the trees' sums mean"
_FIXED_NAMES = {
    **dict.fromkeys(
        (
            "max_bin", "max_bin_by_feature", "min_data_in_bin", "bin_construct_sample_cnt", "data_random_seed",
            "enable_bundle", "is_enable_sparse", "use_missing", "zero_as_missing", "feature_pre_filter", "linear_tree",
            "categorical_feature", "pre_partition", "two_round", "precise_float_parser", "forcedbins_filename",
        ),
        _BINS,
    ),
    **dict.fromkeys(("objective", "num_class", "boosting", "boost_from_average", "reg_sqrt"), _SHAPE),
    **dict.fromkeys(
        ("seed", "bagging_seed", "feature_fraction_seed", "extra_seed", "objective_seed", "drop_seed"),
        "each step has a seed of its own, from the run's",
    ),
    "num_iterations": "the number of rounds is the number of steps, which the run decides",
    "early_stopping_round": "the run decides how many trees are added",
    "verbosity": "it changes nothing",
}  # fmt: skip
_FIXED = {
    **_FIXED_NAMES,
    **{alias: _FIXED_NAMES[name] for alias, name in ALIASES.items() if name in _FIXED_NAMES},
}

_DEFAULTS = {
    # LightGBM else times two ways of building histograms, and which is faster decides the last bits of the trees.
    "deterministic": True,
    "force_col_wise": True,
    # Features that no split under this config could use are else thrown out for good, also for later configs.
    "feature_pre_filter": False,
    # Else it follows from the step's seed, and a resumed run would bin large data from another sample.
    "data_random_seed": 1,
    "verbosity": -1,
}


def _canonical(params: Mapping[str, Any]) -> dict[str, Any]:
    return {ALIASES.get(name, name): value for name, value in params.items()}


def _check(params: Mapping[str, Any], who: str) -> None:
    """Refuses what cannot be trained by adding trees."""
    reasons = {
        "dart": "DART rescales trees that are there, so a child would change what its parent learnt",
        "rf": "a random forest averages its trees, and has no use for earlier ones",
        "random_forest": "a random forest averages its trees, and has no use for earlier ones",
    }
    boosting = _canonical(params).get("boosting")
    if boosting in reasons:
        raise ConfigError(f"{who}: boosting={boosting!r} is not supported: {reasons[boosting]}; use 'gbdt'")
    if _canonical(params).get("early_stopping_round"):
        raise ConfigError(f"{who}: early stopping is not supported: the run decides how many trees are added")


def _values_of(booster: lightgbm.Booster) -> dict[str, str]:
    """Reads the parameters that LightGBM writes with every model, under its own names and all aliases."""
    lines = booster.model_to_string(num_iteration=1).partition("\nparameters:\n")[2].splitlines()
    pairs = [line[1:-1].partition(": ") for line in lines if line.startswith("[") and line.endswith("]")]
    values = {name: value for name, _, value in pairs}
    return {**{alias: values[name] for alias, name in ALIASES.items() if name in values}, **values}


def _probe_with(params: Mapping[str, Any]) -> dict[str, str]:
    # Not with the training data: a Dataset that has trained holds on to a predictor that may be gone, and crashes.
    data = lightgbm.Dataset(np.array([[0.0], [1.0]]), label=np.array([0.0, 1.0]), params={"verbosity": -1})
    return _values_of(lightgbm.Booster({**_DEFAULTS, **params}, data))


@attrs.define(kw_only=True, eq=False)
class LightGBMTrainable(BoostingTrainable[lightgbm.Booster]):
    """Trains a LightGBM booster natively; its model is the Booster.

    Attributes:
        data: Makes the training data, with free_raw_data=False. Called once per segment; cache what is slow to read,
            but not the Dataset, which training changes.
        params: Parameters that are not tuned.

    Examples:
        >>> import numpy as np
        >>> x = np.arange(200.0).reshape(200, 1)
        >>> trainable = LightGBMTrainable(
        ...     data=lambda: lightgbm.Dataset(x, label=x[:, 0], free_raw_data=False),
        ...     params={"num_threads": 1},
        ...     score=lambda booster: float(np.abs(booster.predict(x) - x[:, 0]).mean()),
        ... )
        >>> trainable.setup({"learning_rate": 0.5, "num_leaves": 4}, seed=0)
        >>> trainable.applied()
        {'learning_rate': 0.5, 'num_leaves': 4}
        >>> first = trainable.step()
        >>> trainable.step() < first
        True
        >>> trainable.model.num_trees()
        20
    """

    data: Callable[[], lightgbm.Dataset]
    params: Mapping[str, Any] = attrs.field(factory=dict)
    _dataset: lightgbm.Dataset | None = attrs.field(init=False, default=None)

    fixed: ClassVar[Mapping[str, str]] = _FIXED

    def __attrs_post_init__(self) -> None:
        """Refuses parameters under which trees cannot be added.

        Raises:
            ConfigError: DART, random forests, or early stopping.
        """
        _check(self.params, type(self).__name__)

    def _begin(self) -> None:
        dataset = self.data()
        if dataset.free_raw_data:
            raise ConfigError(
                f"{type(self).__name__}: wanted a Dataset with free_raw_data=False: training goes on from what the "
                f"trees so far predict for the raw data"
            )
        self._dataset = dataset

    def _end(self) -> None:
        self._dataset = None

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return _probe_with(_canonical(wanted))

    def _grow(self, model: lightgbm.Booster | None, wanted: Mapping[str, Any], seed: int) -> lightgbm.Booster:
        assert self._dataset is not None
        params = {**self._params(wanted), "seed": seed}
        return lightgbm.train(params, self._dataset, num_boost_round=self.rounds, init_model=model)

    def _values(self, model: lightgbm.Booster) -> Mapping[str, Any]:
        return _values_of(model)

    def _store(self, model: lightgbm.Booster, path: Path) -> None:
        model.save_model(path / _FILE)

    def _fetch(self, path: Path, wanted: Mapping[str, Any]) -> lightgbm.Booster:  # noqa: ARG002 - the file has them
        return lightgbm.Booster(model_file=path / _FILE)

    def _params(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        return {**_DEFAULTS, **_canonical(self.params), **_canonical(wanted)}


@attrs.define(kw_only=True, eq=False)
class LGBMModelTrainable(BoostingTrainable[lightgbm.LGBMModel]):
    """Trains one of LightGBM's scikit-learn classes; its model is the fitted estimator.

    Attributes:
        estimator: Makes the estimator with the parameters that are not tuned.
        data: Makes inputs and targets. Called once per segment; cache what is slow to read.
        fit_options: Further arguments of `fit`, such as sample_weight.
    """

    estimator: Callable[[], lightgbm.LGBMModel]
    data: Callable[[], tuple[Any, Any]]
    fit_options: Mapping[str, Any] = attrs.field(factory=dict)
    _data: tuple[Any, Any] | None = attrs.field(init=False, default=None)

    fixed: ClassVar[Mapping[str, str]] = _FIXED

    def _begin(self) -> None:
        _check(self.estimator().get_params(), type(self).__name__)
        self._data = self.data()

    def _end(self) -> None:
        self._data = None

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        live = self._made(wanted).get_params()
        return _probe_with({name: live[name] for name in wanted})

    def _grow(self, model: lightgbm.LGBMModel | None, wanted: Mapping[str, Any], seed: int) -> lightgbm.LGBMModel:
        grown = self._made(wanted).set_params(n_estimators=self.rounds, random_state=seed)
        return self._fitted(grown, None if model is None else model.booster_)

    def _values(self, model: lightgbm.LGBMModel) -> Mapping[str, Any]:
        return _values_of(model.booster_)

    def _store(self, model: lightgbm.LGBMModel, path: Path) -> None:
        model.booster_.save_model(path / _FILE)

    def _fetch(self, path: Path, wanted: Mapping[str, Any]) -> lightgbm.LGBMModel:
        # These classes cannot be loaded. So one is fitted, a tree further than the saved one was, and that is cut off.
        before = lightgbm.Booster(model_file=path / _FILE)
        trees = before.num_trees()

        def cut(env: Any) -> None:
            if env.model.num_trees() > trees:  # none was added if no split is possible
                env.model.rollback_one_iter()

        return self._fitted(self._made(wanted).set_params(n_estimators=1), before, callbacks=[cut])

    def _fitted(self, model: lightgbm.LGBMModel, before: lightgbm.Booster | None, **options: Any) -> lightgbm.LGBMModel:
        assert self._data is not None
        return model.fit(*self._data, init_model=before, **{**self.fit_options, **options})

    def _made(self, wanted: Mapping[str, Any]) -> lightgbm.LGBMModel:
        estimator = self.estimator()
        defaults = {name: value for name, value in _DEFAULTS.items() if name not in _canonical(estimator.get_params())}
        return estimator.set_params(**{**defaults, **wanted})
