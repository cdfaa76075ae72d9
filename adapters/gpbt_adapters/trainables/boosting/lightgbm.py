"""LightGBM by continued training, through `lightgbm.train` and through its scikit-learn classes."""

import difflib
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import numpy as np

try:
    import lightgbm
except ImportError as error:
    raise ImportError('gpbt.boosting needs LightGBM, which is not installed: pip install "gpbt[boosting]"') from error

from gpbt_adapters.trainables.boosting.common import EstimatorTrainable, NativeTrainable, Recent
from gpbt_core.errors import ConfigError

__all__ = ["LGBMModelTrainable", "LightGBMTrainable"]

_FILE = "model.txt"

_ALIASES_OF = {
    "boosting": "boost boosting_type",
    "objective": "app loss application objective_type",
    "num_class": "num_classes",
    "num_iterations": "n_iter nrounds max_iter num_tree num_round "
    "num_trees num_rounds n_estimators num_iteration num_boost_round",
    "early_stopping_round": "early_stopping n_iter_no_change early_stopping_rounds",
    "verbosity": "verbose",
    "seed": "random_seed random_state",
    "bagging_seed": "bagging_fraction_seed",
    "data_random_seed": "data_seed",
    "max_bin": "max_bins",
    "bin_construct_sample_cnt": "subsample_for_bin",
    "linear_tree": "linear_trees",
    "enable_bundle": "bundle is_enable_bundle",
    "is_enable_sparse": "sparse is_sparse enable_sparse",
    "two_round": "two_round_loading use_two_round_loading",
    "pre_partition": "is_pre_partition",
    "categorical_feature": "cat_column cat_feature categorical_column categorical_features",
    "learning_rate": "eta shrinkage_rate",
    "num_leaves": "max_leaf num_leaf max_leaves max_leaf_nodes",
    "min_data_in_leaf": "min_data min_samples_leaf min_child_samples min_data_per_leaf",
    "min_sum_hessian_in_leaf": "min_hessian min_sum_hessian min_child_weight min_sum_hessian_per_leaf",
    "bagging_fraction": "bagging sub_row subsample",
    "pos_bagging_fraction": "pos_bagging pos_sub_row pos_subsample",
    "neg_bagging_fraction": "neg_bagging neg_sub_row neg_subsample",
    "bagging_freq": "subsample_freq",
    "feature_fraction": "sub_feature colsample_bytree",
    "feature_fraction_bynode": "colsample_bynode sub_feature_bynode",
    "drop_rate": "rate_drop",
    "extra_trees": "extra_tree",
    "lambda_l1": "reg_alpha l1_regularization",
    "lambda_l2": "lambda reg_lambda l2_regularization",
    "min_gain_to_split": "min_split_gain",
    "max_delta_step": "max_leaf_output max_tree_output",
    "monotone_penalty": "mc_penalty ms_penalty monotone_splits_penalty",
    "top_k": "topk",
    "is_unbalance": "unbalance unbalanced_sets",
    "num_threads": "n_jobs nthread nthreads num_thread",
}
ALIASES: Mapping[str, str] = {alias: name for name, aliases in _ALIASES_OF.items() for alias in aliases.split()}
"""LightGBM's aliases of all training parameters, by the name that it dumps (see Parameters in its documentation)."""

_BINS = "the data is binned once, for all models"
_SHAPE = "it settles what the trees' sums mean"
_OTHERS = "it matters to GOSS or DART alone, which are not supported"
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
        (
            "data_sample_strategy", "top_rate", "other_rate", "drop_rate", "max_drop", "skip_drop", "uniform_drop",
            "xgboost_dart_mode",
        ),
        _OTHERS,
    ),
    **dict.fromkeys(
        ("seed", "bagging_seed", "feature_fraction_seed", "extra_seed", "objective_seed", "drop_seed"),
        "each step has a seed of its own, from the run's",
    ),
    "num_iterations": "the number of rounds is the number of steps, which the run decides",
    "early_stopping_round": "the run decides how many trees are added",
    "verbosity": "it changes nothing",
}  # fmt: skip
FIXED: Mapping[str, str] = {
    **_FIXED_NAMES,
    **{alias: _FIXED_NAMES[name] for alias, name in ALIASES.items() if name in _FIXED_NAMES},
}
_SETTLED = {
    name: reason
    for name, reason in FIXED.items()
    if ALIASES.get(name, name) in ("objective", "boost_from_average", "reg_sqrt")
}
_REFUSED = {name: reason for name, reason in FIXED.items() if name not in _SETTLED}

_DEFAULTS = {
    # Otherwise LightGBM times two ways of building histograms, and the faster one affects the last bits of the trees.
    "deterministic": True,
    "force_col_wise": True,
    # Otherwise features that no split under this config could use are dropped for good, even for later configs.
    "feature_pre_filter": False,
    # Otherwise it depends on the step's seed, and a resumed run would bin large data from another sample.
    "data_random_seed": 1,
    "verbosity": -1,
}


_RECENT: Recent[lightgbm.Booster] = Recent()

_NO_EARLY_STOPPING = "early stopping is not supported: the run decides how many trees are added"


def _canonical(params: Mapping[str, Any]) -> dict[str, Any]:
    return {ALIASES.get(name, name): value for name, value in params.items()}


def check_estimator(estimator: lightgbm.LGBMModel, who: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Refuses an estimator, or options of its `fit`, under which trees cannot be added.

    Raises:
        ConfigError: It is a random forest, uses DART or GOSS, stops early, or has offsets.
    """
    params = estimator.get_params()
    _check(params, who)
    own = {*lightgbm.LGBMModel().get_params(), *type(estimator)._get_param_names()}  # noqa: SLF001 - scikit-learn's way
    _check_names([name for name in params if name not in own], who)
    for name in ("init_score", "eval_init_score"):
        _check_offsets(options.get(name), who)
    early = type(lightgbm.early_stopping(1, verbose=False))
    if any(isinstance(callback, early) for callback in options.get("callbacks") or ()):
        raise ConfigError(f"{who}: {_NO_EARLY_STOPPING}")


def _check(params: Mapping[str, Any], who: str) -> None:
    """Refuses parameters under which trees cannot be added."""
    goss = (
        "GOSS uses all rows for its first 1 / learning_rate rounds, and counts them anew in each step; "
        "use bagging_fraction with bagging_freq=1"
    )
    forest = "a random forest averages its trees, and has no use for earlier ones; use 'gbdt'"
    reasons = {
        ("boosting", "dart"): "DART rescales trees that are there, so a child would change what its parent learnt; "
        "use 'gbdt'",
        ("boosting", "rf"): forest,
        ("boosting", "random_forest"): forest,
        ("boosting", "goss"): goss,
        ("data_sample_strategy", "goss"): goss,
    }
    canonical = _canonical(params)
    for (name, value), reason in reasons.items():
        if canonical.get(name) == value:
            raise ConfigError(f"{who}: {name}={value!r} is not supported: {reason}")
    if canonical.get("early_stopping_round"):
        raise ConfigError(f"{who}: {_NO_EARLY_STOPPING}")


def _check_names(names: Iterable[str], who: str) -> None:
    """Refuses names that LightGBM does not know; it would ignore them, and gpbt has switched its warnings off."""
    for name in names:
        if _names() and name not in _names():
            close = difflib.get_close_matches(name, _names(), n=1)
            raise ConfigError(
                f"{who}: LightGBM does not know the parameter {name!r}; "
                + (f"did you mean {close[0]!r}?" if close else "leave it out")
            )


@functools.cache
def _names() -> frozenset[str]:
    """All parameters that LightGBM knows, with their aliases; empty if this version does not tell."""
    found = getattr(lightgbm.basic, "_ConfigAliases", None)  # there is no public list
    if found is None:
        return frozenset()
    found.get("seed")  # makes it read the list
    return frozenset(name for names in (found.aliases or {}).values() for name in names)


def _check_sampling(wanted: Mapping[str, Any], params: Mapping[str, Any], who: str) -> None:
    """Refuses to tune fractions of rows while row sampling is off, which is LightGBM's default."""
    fractions = {"bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction"}
    names = [name for name in wanted if ALIASES.get(name, name) in fractions]
    if names and "bagging_freq" not in _canonical(wanted) and not _canonical(params).get("bagging_freq"):
        raise ConfigError(
            f"{who}: hyperparameters {names} change nothing while bagging_freq (subsample_freq), the number of rounds "
            f"after which rows are drawn anew, is 0; set it to 1, or tune it too"
        )


def _check_offsets(given: Any, who: str) -> None:
    if given is not None:
        raise ConfigError(
            f"{who}: expected data without init_score: LightGBM puts the sums of the trees so far in its place, so "
            f"later steps would train without it. Take it off the target, or use XGBoost with base_margin; and make a "
            f"new Dataset each time, since training leaves an init_score in it"
        )


def _values_of(booster: lightgbm.Booster) -> dict[str, str]:
    """Reads the parameters that LightGBM writes with every model, under its own names and all aliases."""
    lines = booster.model_to_string(num_iteration=1).partition("\nparameters:\n")[2].splitlines()
    pairs = [line[1:-1].partition(": ") for line in lines if line.startswith("[") and line.endswith("]")]
    values = {name: value for name, _, value in pairs}
    return {**{alias: values[name] for alias, name in ALIASES.items() if name in values}, **values}


def _set(estimator: lightgbm.LGBMModel, values: Mapping[str, Any]) -> lightgbm.LGBMModel:
    """Sets parameters under every alias that an estimator has, since LightGBM picks one of several by its own rule."""
    wanted = _canonical(values)
    names = {name: ALIASES.get(name, name) for name in estimator.get_params()}
    known = {name: wanted[canonical] for name, canonical in names.items() if canonical in wanted}
    new = {name: value for name, value in wanted.items() if name not in names.values()}
    return estimator.set_params(**known, **new)


def _probe_with(params: Mapping[str, Any]) -> dict[str, str]:
    return _values_of(lightgbm.Booster({**_DEFAULTS, **params}, _probe_data()))


@functools.cache
def _probe_data() -> lightgbm.Dataset:
    """Two samples, never trained on: a Dataset used in training keeps a predictor that may have been freed."""
    data = lightgbm.Dataset(np.array([[0.0], [1.0]]), label=np.array([0.0, 1.0]), params={"verbosity": -1})
    return data.construct()


def missing_defaults(estimator: lightgbm.LGBMModel) -> dict[str, Any]:
    """The settings that continued training needs and that the estimator does not set."""
    return {name: value for name, value in _DEFAULTS.items() if name not in _canonical(estimator.get_params())}


def grow(
    estimator: lightgbm.LGBMModel,
    before: lightgbm.LGBMModel | None,
    data: tuple[Any, Any],
    options: Mapping[str, Any],
    *,
    rounds: int,
    seed: int,
) -> lightgbm.LGBMModel:
    """Fits an estimator on top of another one's trees; `n_estimators` then counts all rounds."""
    _set(estimator, {"n_estimators": rounds, "random_state": seed})
    grown = estimator.fit(*data, **{**options, "init_model": None if before is None else before.booster_})
    return _set(grown, {"n_estimators": rounds_of(grown)})


def rounds_of(estimator: lightgbm.LGBMModel) -> int:
    """The number of rounds that a fitted estimator has trained; fewer than requested if no split is possible."""
    return int(estimator.booster_.current_iteration())


def trained_values(estimator: lightgbm.LGBMModel) -> dict[str, str]:
    """Reads the parameters, as texts, under which the last trees were trained."""
    return _values_of(estimator.booster_)


_EVALUATION = {"evals_result": "_evals_result", "best_score": "_best_score", "best_iteration": "_best_iteration"}
"""The evaluation results of a fitted estimator, and the fields in which it stores them."""


@attrs.define(kw_only=True, eq=False)
class LightGBMTrainable(NativeTrainable[lightgbm.Booster, lightgbm.Dataset]):
    """Trains a LightGBM booster natively; its model is the Booster.

    Attributes:
        data: Creates the training data, with free_raw_data=False and without init_score. Called once per segment; cache
            what is slow to read, but not the Dataset, which training changes.
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

    refused: ClassVar[Mapping[str, str]] = _REFUSED
    settled: ClassVar[Mapping[str, str]] = _SETTLED

    def _check_params(self, params: Mapping[str, Any]) -> None:
        _check(params, type(self).__name__)
        _check_names(params, type(self).__name__)

    def _checked(self, dataset: lightgbm.Dataset) -> lightgbm.Dataset:
        if dataset.free_raw_data:
            raise ConfigError(
                f"{type(self).__name__}: expected a Dataset with free_raw_data=False: training goes on from what the "
                f"trees so far predict for the raw data"
            )
        _check_offsets(dataset.init_score, type(self).__name__)
        return dataset

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        _check_sampling(wanted, self._params(wanted), type(self).__name__)
        return _probe_with(_canonical(wanted))

    def _grow(self, model: lightgbm.Booster | None, wanted: Mapping[str, Any], seed: int) -> lightgbm.Booster:
        assert self._data is not None
        params = {**self._params(wanted), "seed": seed, "num_iterations": self.rounds}
        # Otherwise LightGBM writes the model as text and reads it back.
        grown = lightgbm.train(params, self._data, init_model=model, keep_training_booster=True)
        if model is None:
            _check_offsets(self._data.get_init_score(), type(self).__name__)  # as from a file beside a data file
        return grown

    def _values(self, model: lightgbm.Booster) -> Mapping[str, Any]:
        return _values_of(model)

    def _store(self, model: lightgbm.Booster, path: Path) -> None:
        model.save_model(path / _FILE)

    def _fetch(self, path: Path) -> lightgbm.Booster:
        return _RECENT.fetch(path / _FILE, lambda file: lightgbm.Booster(model_file=file))

    def _params(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        return {**_DEFAULTS, **_canonical(self.params), **_canonical(wanted)}


@attrs.define(kw_only=True, eq=False)
class LGBMModelTrainable(EstimatorTrainable[lightgbm.LGBMModel]):
    """Trains one of LightGBM's scikit-learn classes; its model is the fitted estimator.

    Attributes:
        estimator: Creates the estimator with the parameters that are not tuned.
        data: Creates inputs and targets. Called once per segment; cache what is slow to read.
        fit_options: Further arguments of `fit`, such as sample_weight; no init_score, and no early stopping.
    """

    refused: ClassVar[Mapping[str, str]] = _REFUSED
    settled: ClassVar[Mapping[str, str]] = _SETTLED

    own_options: ClassVar[frozenset[str]] = frozenset({"X", "y", "init_model"})

    def _check_estimator(self, estimator: lightgbm.LGBMModel) -> None:
        check_estimator(estimator, type(self).__name__, self.fit_options)

    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        live = self._made(wanted).get_params()
        _check_sampling(wanted, live, type(self).__name__)
        tuned = _canonical(wanted)
        # With every alias that the estimator has, since the engine chooses among them.
        return _probe_with({name: value for name, value in live.items() if ALIASES.get(name, name) in tuned})

    def _grow(self, model: lightgbm.LGBMModel | None, wanted: Mapping[str, Any], seed: int) -> lightgbm.LGBMModel:
        assert self._data is not None
        return grow(self._made(wanted), model, self._data, self.fit_options, rounds=self.rounds, seed=seed)

    def _values(self, model: lightgbm.LGBMModel) -> Mapping[str, Any]:
        return trained_values(model)

    def _store(self, model: lightgbm.LGBMModel, path: Path) -> None:
        model.booster_.save_model(path / _FILE)

    def _fetch(self, path: Path) -> lightgbm.LGBMModel:
        # These classes have no loader. Fit one with a tree more than the saved model, and cut that tree off.
        assert self._data is not None
        before = lightgbm.Booster(model_file=path / _FILE)
        trees = before.num_trees()

        def cut(env: Any) -> None:
            if env.model.num_trees() > trees:  # no tree is added if no split is possible
                env.model.rollback_one_iter()

        options = {**self.fit_options, "init_model": before, "callbacks": [cut]}
        model = _set(self._made(self._wanted()), {"n_estimators": 1}).fit(*self._data, **options)
        return _set(model, {"n_estimators": before.current_iteration()})

    def _evaluation(self, model: lightgbm.LGBMModel) -> dict[str, Any]:
        return {name: getattr(model, field) for name, field in _EVALUATION.items()}

    def _set_evaluation(self, model: lightgbm.LGBMModel, evaluation: Mapping[str, Any]) -> None:
        for name, value in evaluation.items():
            setattr(model, _EVALUATION[name], value)

    def _made(self, wanted: Mapping[str, Any]) -> lightgbm.LGBMModel:
        estimator = self.estimator()
        return _set(estimator, {**missing_defaults(estimator), **wanted})
