"""How scikit-learn's estimators continue training: which ones can, what may change meanwhile, and what they cache.

All knowledge of estimator internals in this package is here. Each rule names the class that it applies to and what goes
wrong without it. (Checked against the source of scikit-learn 1.4 to 1.9.)
"""

import importlib
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import attrs
import joblib
import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import unique_labels

from gpbt_adapters.trainables.boosting.common import parsed
from gpbt_core.errors import ConfigError

__all__ = [
    "Continuation",
    "all_labels",
    "continuation",
    "current_values",
    "live_values",
    "preparation",
    "prepare",
    "random_states",
    "set_live",
    "silent_under",
    "train",
]

Estimator: TypeAlias = Any  # scikit-learn ships no types; every estimator is duck-typed
Way: TypeAlias = Literal["passes", "members", "iterations"]

FIXED: Mapping[str, frozenset[str]] = {
    # The shapes of the weights, and other state that only the first pass sets up.
    "BaseMultilayerPerceptron": frozenset({"hidden_layer_sizes", "loss"}),
    "BaseGradientBoosting": frozenset({"loss", "init"}),
    # Later fits bin again and read the old trees by bin number, so other bins would change the predictions.
    "BaseHistGradientBoosting": frozenset({"loss", "max_bins", "categorical_features"}),
    "BaseSGD": frozenset({"average"}),  # switching on finds no averaged weights, switching off discards them
    # Cloned once per class or output; another estimator would never be used.
    "OneVsRestClassifier": frozenset({"estimator"}),
    "OneVsOneClassifier": frozenset({"estimator"}),
    "_MultiOutputEstimator": frozenset({"estimator"}),
    "BaseMixture": frozenset(
        {"n_components", "covariance_type", "weight_concentration_prior_type", "init_params", "n_init"}
    ),
    "_BaseKMeans": frozenset({"n_clusters"}),
    "MiniBatchKMeans": frozenset({"init", "init_size", "batch_size"}),
    "Birch": frozenset({"branching_factor", "threshold"}),
    "LatentDirichletAllocation": frozenset({"n_components", "doc_topic_prior", "topic_word_prior"}),
    "IncrementalPCA": frozenset({"n_components"}),
    "_BaseNMF": frozenset({"n_components"}),
    "MiniBatchNMF": frozenset({"init", "beta_loss", "forget_factor", "batch_size", "max_iter", "transform_max_iter"}),
    "_BaseSparseCoding": frozenset({"n_components"}),
    "MiniBatchDictionaryLearning": frozenset({"fit_algorithm", "dict_init"}),
    "BernoulliRBM": frozenset({"n_components", "batch_size"}),
    "CategoricalNB": frozenset({"min_categories"}),
    "BernoulliNB": frozenset({"binarize"}),  # its counts are of features binarized at the old threshold
    # Each pass subtracts the current smoothing from variances that include the previous pass's smoothing.
    "GaussianNB": frozenset({"var_smoothing", "priors"}),
    # Its scores assume that all trees were grown on as many features and samples as the newest.
    "IsolationForest": frozenset({"max_features", "max_samples"}),
}
"""Parameters that an estimator of a class (or one derived from it) fixes at its first pass."""

UNREAD: Mapping[str, frozenset[str]] = {
    "BaseSGD": frozenset({"max_iter", "tol", "n_iter_no_change", "validation_fraction"}),
    "BaseMultilayerPerceptron": frozenset({"max_iter", "tol", "n_iter_no_change", "validation_fraction"}),
    "BaseGradientBoosting": frozenset({"tol", "validation_fraction"}),
    "BaseHistGradientBoosting": frozenset({"tol", "n_iter_no_change", "validation_fraction", "scoring"}),
    "MiniBatchKMeans": frozenset({"max_iter", "tol", "max_no_improvement", "n_init"}),
    "LatentDirichletAllocation": frozenset({"max_iter", "learning_method", "evaluate_every", "perp_tol"}),
    "IncrementalPCA": frozenset({"batch_size"}),
    "MiniBatchNMF": frozenset({"max_no_improvement"}),
    "MiniBatchDictionaryLearning": frozenset({"max_iter", "tol", "max_no_improvement", "batch_size", "shuffle"}),
    "BernoulliRBM": frozenset({"n_iter"}),
}
"""Parameters that a class (or one derived from it) reads only where it decides itself how long to train or how to
split a pass into batches, which never happens here."""

READ_UNDER: Mapping[str, Mapping[str, tuple[str, Callable[[Any], bool], str]]] = {
    "BaseSGD": {
        "eta0": ("learning_rate", lambda value: value != "optimal", "'constant', 'invscaling' or 'adaptive'"),
        "power_t": ("learning_rate", lambda value: value == "invscaling", "'invscaling'"),
        "l1_ratio": ("penalty", lambda value: value == "elasticnet", "'elasticnet'"),
        "epsilon": (
            "loss",
            lambda value: value in {"huber", "epsilon_insensitive", "squared_epsilon_insensitive"},
            "'huber', 'epsilon_insensitive' or 'squared_epsilon_insensitive'",
        ),
    },
    "BaseMultilayerPerceptron": {
        "momentum": ("solver", lambda value: value == "sgd", "'sgd'"),
        "nesterovs_momentum": ("solver", lambda value: value == "sgd", "'sgd'"),
        "learning_rate": ("solver", lambda value: value == "sgd", "'sgd'"),
        "power_t": ("learning_rate", lambda value: value == "invscaling", "'invscaling'"),
        "beta_1": ("solver", lambda value: value == "adam", "'adam'"),
        "beta_2": ("solver", lambda value: value == "adam", "'adam'"),
        "epsilon": ("solver", lambda value: value == "adam", "'adam'"),
    },
    "BaseGradientBoosting": {
        "alpha": ("loss", lambda value: value in {"huber", "quantile"}, "'huber' or 'quantile'"),
    },
    "HistGradientBoostingRegressor": {"quantile": ("loss", lambda value: value == "quantile", "'quantile'")},
    "LGBMModel": {"subsample": ("subsample_freq", lambda value: value > 0, "1 or more")},
}
"""Parameters that a class (or one derived from it) reads only under some values of another parameter: the name of
that parameter, a predicate for these values, and the values in words."""

ENGINES: Mapping[str, str] = {"XGBModel": "xgboost", "LGBMModel": "lightgbm"}
"""The base classes of other libraries' estimators that grow by adding trees, and the modules that implement it."""

RESERVED = frozenset({"warm_start", "early_stopping", "random_state"})
"""Parameters that continued training sets itself."""

ONE_PER_TARGET = frozenset({"OneVsRestClassifier", "OneVsOneClassifier", "_MultiOutputEstimator"})
"""Classes that train a clone of their estimator for each class or output."""

PASSIVE_AGGRESSIVE = frozenset({"PassiveAggressiveClassifier", "PassiveAggressiveRegressor"})
"""Classes that in newer scikit-learn copy their C into `eta0` on construction and read only `eta0`."""

OPTIMIZER_FIELDS: Mapping[str, str] = {
    "learning_rate_init": "learning_rate_init",
    "learning_rate": "lr_schedule",
    "power_t": "power_t",
    "momentum": "momentum",
    "nesterovs_momentum": "nesterov",
    "beta_1": "beta_1",
    "beta_2": "beta_2",
    "epsilon": "epsilon",
}
"""The parameters of a perceptron that its optimizer copies on construction, and the fields that hold them."""


@attrs.frozen(kw_only=True)
class Continuation:
    """How an estimator continues training.

    Attributes:
        way: "passes": one `partial_fit` over the data each; "members": `fit` adds members up to a total;
            "iterations": `fit` starts from the solution so far.
        count: The parameter that counts members or iterations; None for passes.
        fixed: Parameters that must not change once training has begun.
        reserved: Parameters that continued training sets itself, so no config may set them.
        unread: Parameters that training in this way never reads, so setting them has no effect.
    """

    way: Way
    count: str | None
    fixed: frozenset[str]
    reserved: frozenset[str]
    unread: frozenset[str]


def continuation(estimator: Estimator) -> Continuation:
    """Determines how an estimator can continue training.

    Raises:
        ConfigError: It cannot, or one of its settings prevents it.

    >>> from sklearn.linear_model import SGDClassifier
    >>> continuation(SGDClassifier()).way
    'passes'
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> continuation(KNeighborsClassifier())  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    ConfigError: KNeighborsClassifier cannot be trained on: expected partial_fit, or warm_start together with ...
    """
    who = type(estimator).__name__
    settings = estimator.get_params(deep=False)
    bases = {base.__name__ for base in type(estimator).__mro__}
    engine = _engine(estimator)
    if engine is not None:
        engine.check_estimator(estimator, who)
        return Continuation(
            way="members",
            count="n_estimators",
            fixed=frozenset(engine.FIXED) & frozenset(settings),
            reserved=frozenset({"n_estimators", "random_state", "early_stopping_rounds"}) & frozenset(settings),
            unread=frozenset({"verbosity"}) & frozenset(settings),
        )
    if hasattr(estimator, "partial_fit") and settings.get("solver") != "lbfgs":  # MLPRegressor has it, but it raises
        way, count = "passes", None
    elif "warm_start" in settings and "n_estimators" in settings:
        way, count = "members", "n_estimators"
    elif "warm_start" in settings and "max_iter" in settings:
        way, count = ("members" if "BaseHistGradientBoosting" in bases else "iterations"), "max_iter"
    else:
        raise ConfigError(
            f"{who} cannot be trained on: expected partial_fit, or warm_start together with n_estimators or max_iter, "
            f"and it has neither; a search that starts each fit anew is the tool for it"
        )
    if settings.get("solver") == "liblinear":
        raise ConfigError(f"{who}: solver='liblinear' starts each fit anew; choose another solver, 'lbfgs' or 'saga'")
    if way == "passes" and settings.get("class_weight") == "balanced":
        raise ConfigError(
            f"{who}: class_weight must not be 'balanced', which partial_fit does not support; pass the weights of the "
            f"samples instead, sample_weight=compute_sample_weight('balanced', y), or class_weight as a dict"
        )
    if settings.get("early_stopping") is True or (
        "early_stopping" not in settings and settings.get("n_iter_no_change") is not None
    ):
        stopper = "early_stopping" if "early_stopping" in settings else "n_iter_no_change"
        raise ConfigError(
            f"{who}: expected {stopper} off, got {settings[stopper]!r}: an estimator that ends its training by itself "
            f"does not train the steps it is asked for; leave the stopping to the optimizer"
        )
    stoppers = frozenset() if "early_stopping" in settings else frozenset({"n_iter_no_change"})
    found = Continuation(
        way=way,  # type: ignore[arg-type]  # one of the three literals, chosen above
        count=count,
        fixed=_named(FIXED, bases),
        reserved=(RESERVED | stoppers | ({count} if count else frozenset())) & frozenset(settings),
        unread=_unread(bases, way, settings),
    )
    return _with_inner(found, continuation(settings["estimator"])) if bases & ONE_PER_TARGET else found


def prepare(estimator: Estimator, seed: int) -> None:
    """Prepares a new estimator for continued training by setting what `preparation` returns."""
    estimator.set_params(**preparation(estimator, seed))


def preparation(estimator: Estimator, seed: int) -> dict[str, Any]:
    """The settings of a new estimator: warm start on, early stopping off, random states from `seed`.

    A random state is a generator that advances, not a number: with a number, each pass over the data would draw the
    same order again.
    """
    engine = _engine(estimator)
    if engine is not None:  # each step draws its own seed from this one, see `train`
        return {**random_states(estimator, seed), **engine.missing_defaults(estimator)}
    changes: dict[str, Any] = {
        name: np.random.RandomState(state)  # the only kind that scikit-learn takes
        for name, state in random_states(estimator, seed).items()
    }
    if hasattr(estimator, "warm_start"):
        changes["warm_start"] = True
    if getattr(estimator, "early_stopping", None) == "auto":
        changes["early_stopping"] = False
    return changes


def random_states(estimator: Estimator, seed: int) -> dict[str, int]:
    """Derives a separate number for each random state of an estimator, including nested ones, from one seed.

    A random state that holds a string is skipped: TargetEncoder's default is "deprecated", and any other value warns.
    """
    names = sorted(
        name
        for name, value in estimator.get_params(deep=True).items()
        if name.split("__")[-1] == "random_state" and not isinstance(value, str)
    )
    numbers = np.random.SeedSequence(seed).generate_state(len(names))
    return {name: int(number) for name, number in zip(names, numbers, strict=True)}


def train(
    estimator: Estimator,
    how: Continuation,
    features: Any,
    target: Any,
    *,
    iterations: int,
    labels: Any = None,
    fit_params: Mapping[str, Any] | None = None,
) -> None:
    """Trains an estimator for `iterations` more passes, members or iterations.

    Args:
        estimator: Prepared by `prepare`; changed in place.
        how: Its continuation.
        features: Samples by features, all of the training data.
        target: One entry or row per sample, or None.
        iterations: At least 1.
        labels: All labels, as `all_labels` gives them; for the first pass of a classifier.
        fit_params: Further arguments of `fit` or `partial_fit`, such as sample weights.

    Raises:
        RuntimeError: It trained less than requested.
    """
    extra = dict(fit_params or {})
    if how.way == "passes":
        for _ in range(iterations):
            known = {"classes": labels} if labels is not None and _first_pass(estimator) else {}
            estimator.partial_fit(features, target, **known, **extra)
        return
    engine = _engine(estimator)
    if engine is not None:
        so_far, seed = _trained(estimator, how), estimator.random_state
        own_seed = int(np.random.SeedSequence((seed, so_far)).generate_state(1)[0]) % 2**31
        before = estimator if so_far else None
        engine.grow(estimator, before, (features, target), extra, rounds=iterations, seed=own_seed)
        estimator.set_params(random_state=seed)
        return
    assert how.count is not None
    so_far = _trained(estimator, how) if how.way == "members" else 0
    estimator.set_params(**{how.count: so_far + iterations})
    with _convergence_expected():
        estimator.fit(features, target, **extra)
    if how.way == "members" and _trained(estimator, how) != so_far + iterations:
        raise RuntimeError(
            f"{type(estimator).__name__}: expected {so_far + iterations} {how.count} after this step, got "
            f"{_trained(estimator, how)}: it ended its training by itself"
        )


def all_labels(estimator: Estimator, target: Any) -> Any:
    """The labels to pass to the first `partial_fit` of a classifier; None for anything else."""
    if not is_classifier(estimator):
        return None
    if np.ndim(target) == 2 and "OneVsRestClassifier" in {base.__name__ for base in type(estimator).__mro__}:
        raise ConfigError(
            f"{type(estimator).__name__}: y must have one label per sample, got {np.shape(target)[1]} columns, with "
            f"which its partial_fit does not work; use MultiOutputClassifier, which also trains one classifier per "
            f"column"
        )
    if "_MultiOutputEstimator" in {base.__name__ for base in type(estimator).__mro__}:
        return [np.unique(column) for column in np.asarray(target).T]
    return np.unique(target) if np.ndim(target) == 1 else unique_labels(target)


def set_live(estimator: Estimator, config: Mapping[str, Any]) -> None:
    """Sets parameters of an estimator, trained or not, wherever they act, including objects built from them.

    Args:
        estimator: Changed in place.
        config: Parameter names, nested ones joined by two underscores, and their values.

    Raises:
        ConfigError: A value cannot be set on a model that continues training.
    """
    rate = getattr(estimator, "learning_rate", None)
    before = _fitted(estimator)
    estimator.set_params(**config)
    after = _fitted(estimator)
    lost = sorted(name for name, value in before.items() if not _kept(value, after.get(name)))
    if lost:
        raise ConfigError(
            f"{type(estimator).__name__}: set_params must keep what was trained, but set_params({', '.join(config)}) "
            f"changed or removed {', '.join(lost)}; set the parameters without starting anew"
        )
    for part, own in _parts(estimator, config):
        set_live(part, own)
    bases = {base.__name__ for base in type(estimator).__mro__}
    if "BaseMultilayerPerceptron" in bases:
        _update_optimizer(estimator)
    if "BaseGradientBoosting" in bases:
        _keep_contributions(estimator, rate)
    if bases & PASSIVE_AGGRESSIVE:
        estimator.eta0 = estimator.C


def current_values(estimator: Estimator, names: Iterable[str]) -> dict[str, Any]:
    """The values of the named parameters that exist; calls `get_params` in full only if one is nested."""
    wanted = list(names)
    if any("__" in name for name in wanted):
        values = estimator.get_params(deep=True)
        return {name: values[name] for name in wanted if name in values}
    return {name: getattr(estimator, name) for name in wanted if hasattr(estimator, name)}


def live_values(estimator: Estimator, names: Mapping[str, Any], *, trained: bool = False) -> dict[str, Any]:
    """Reads parameters back from where they act: an optimizer's field, the estimator of each class.

    Args:
        estimator: Trained or not.
        names: The names to read; a mapping, whose values are ignored.
        trained: Whether it was trained since a parameter was last set. The values of XGBoost's and LightGBM's
            estimators are then those under which the last trees were trained.

    Returns:
        The live values; where the estimators of several classes disagree, a tuple with each one's. A parameter that
        the estimator does not have is left out.
    """
    live = current_values(estimator, names)
    engine = _engine(estimator)
    if engine is not None:
        values = engine.trained_values(estimator) if trained else {}
        return {name: parsed(values.get(name, value), like=value) for name, value in live.items()}
    if "C" in live and PASSIVE_AGGRESSIVE & {base.__name__ for base in type(estimator).__mro__}:
        live["C"] = estimator.eta0
    optimizer = getattr(estimator, "_optimizer", None)
    if optimizer is not None:
        held = {name: field for name, field in OPTIMIZER_FIELDS.items() if name in live and hasattr(optimizer, field)}
        live.update({name: getattr(optimizer, field) for name, field in held.items()})
        if "learning_rate_init" in held and getattr(optimizer, "lr_schedule", None) == "constant":
            live["learning_rate_init"] = optimizer.learning_rate  # the factor of the next update
    for part, own in _parts(estimator, live):
        for name, value in live_values(part, own).items():
            full = f"estimator__{name}"
            if value != live[full]:
                live[full] = (live[full], value)
    return live


def silent_under(estimator: Estimator, name: str) -> tuple[str, Callable[[Any], bool], str] | None:
    """The parameter that decides whether the estimator reads another one; None: it always reads it.

    Returns:
        The name of that parameter, a predicate for the values that enable reading, and these values in words.
    """
    for base in type(estimator).__mro__:
        found = READ_UNDER.get(base.__name__, {}).get(name)
        if found is not None:
            return found if hasattr(estimator, found[0]) else None
    return None


def _engine(estimator: Estimator) -> Any:
    """The module that adds trees to an estimator of XGBoost or LightGBM; None for any other estimator."""
    for base in type(estimator).__mro__:
        library = ENGINES.get(base.__name__)
        if library is not None and base.__module__.partition(".")[0] == library:
            return importlib.import_module(f"gpbt_adapters.trainables.boosting.{library}")
    return None


def _fitted(estimator: Estimator) -> dict[str, Any]:
    """The fitted attributes of an estimator, by scikit-learn's naming convention."""
    fields = getattr(estimator, "__dict__", {})
    return {
        name: value
        for name, value in fields.items()
        if name.endswith("_") and not name.startswith("_") and value is not None
    }


def _kept(before: Any, after: Any) -> bool:
    return after is before or (after is not None and joblib.hash(after) == joblib.hash(before))


def _named(names: Mapping[str, frozenset[str]], bases: set[str]) -> frozenset[str]:
    """The entries of a table by class for an estimator with these bases."""
    return frozenset().union(*(own for base, own in names.items() if base in bases))


def _with_inner(outer: Continuation, inner: Continuation) -> Continuation:
    """Adds the entries of the inner estimator, which also continues training, under the outer one's names."""
    names = {
        what: getattr(outer, what) | {f"estimator__{name}" for name in getattr(inner, what)}
        for what in ("fixed", "reserved", "unread")
    }
    return attrs.evolve(outer, **names)


def _unread(bases: set[str], way: str, settings: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that training in this way never reads."""
    if way == "iterations":
        return frozenset()  # each `fit` is complete, except for its starting point
    names = _named(UNREAD, bases)
    if settings.get("solver") == "sgd" and settings.get("learning_rate") == "adaptive":
        names -= {"tol", "n_iter_no_change"}  # a perceptron uses them to decide when to divide its rate
    return names


def _first_pass(estimator: Estimator) -> bool:
    """Whether a classifier has seen no labels yet and needs all labels at its first pass."""
    if hasattr(estimator, "classes_") or hasattr(estimator, "estimators_"):
        return False
    taken = inspect.signature(estimator.partial_fit).parameters.values()
    return any(one.name == "classes" or one.kind is inspect.Parameter.VAR_KEYWORD for one in taken)


def _trained(estimator: Estimator, how: Continuation) -> int:
    """How many members a growing estimator has."""
    engine = _engine(estimator)
    if engine is not None:
        return int(engine.rounds_of(estimator)) if estimator.__sklearn_is_fitted__() else 0
    if how.count == "max_iter":
        return int(estimator.n_iter_) if hasattr(estimator, "n_iter_") else 0
    return len(getattr(estimator, "estimators_", ()))


def _parts(estimator: Estimator, config: Mapping[str, Any]) -> Iterator[tuple[Estimator, dict[str, Any]]]:
    """The inner estimators of a one-per-class or one-per-output estimator, with their share of a config.

    They are clones from the first pass, so later changes to the original estimator do not reach them. (An ensemble that
    grows by members also has `estimators_`, but creates each member from the current settings.)
    """
    bases = {base.__name__ for base in type(estimator).__mro__}
    if not bases & ONE_PER_TARGET:
        return
    own = {name.removeprefix("estimator__"): value for name, value in config.items() if name.startswith("estimator__")}
    for part in getattr(estimator, "estimators_", ()):
        if own and hasattr(part, "partial_fit"):
            yield part, own


def _update_optimizer(estimator: Estimator) -> None:
    """Copies a perceptron's parameters to its optimizer, which otherwise keeps those of its construction.

    Without this, a new `learning_rate_init` changes only what `get_params` returns. Another solver needs another
    optimizer: this deletes the old one, and the next pass creates the new one.
    """
    optimizer = getattr(estimator, "_optimizer", None)
    if optimizer is None:
        return
    if {"sgd": "SGDOptimizer", "adam": "AdamOptimizer"}.get(estimator.solver) != type(optimizer).__name__:
        del estimator._optimizer  # noqa: SLF001 - see above
        return
    before = [getattr(optimizer, name, None) for name in ("learning_rate_init", "lr_schedule", "power_t")]
    for name, field in OPTIMIZER_FIELDS.items():
        if hasattr(optimizer, field):
            setattr(optimizer, field, getattr(estimator, name))
    if before == [getattr(optimizer, name, None) for name in ("learning_rate_init", "lr_schedule", "power_t")]:
        return  # keeps the rate that "adaptive" has reached, as without the break
    optimizer.learning_rate = float(estimator.learning_rate_init)
    if getattr(optimizer, "lr_schedule", None) == "invscaling":
        # As at the end of a pass: SGDOptimizer.iteration_ends(t_).
        optimizer.learning_rate = float(estimator.learning_rate_init) / (estimator.t_ + 1) ** estimator.power_t


def _keep_contributions(estimator: Estimator, before: Any) -> None:
    """Scales the trees of a gradient boosting model so that a new learning rate preserves their contributions.

    Its predictions multiply every tree, old or new, by the current learning rate. Without scaling, a new rate would
    change everything learned before.
    """
    now = estimator.learning_rate
    if now == before or not len(getattr(estimator, "estimators_", ())):
        return
    if not now > 0 or not before > 0:
        raise ConfigError(
            f"{type(estimator).__name__}: expected a learning_rate above 0 all along, got {now!r} after {before!r}: it "
            f"multiplies the trees grown before as well"
        )
    for tree in estimator.estimators_.ravel():
        values = tree.tree_.value  # a view of the tree's own memory
        values *= before / now


class _ExpectedConvergence:
    """Counts the threads in which a `ConvergenceWarning` is expected, because a step stops the solver early.

    `warnings.catch_warnings` restores the list of filters that it found, so overlapping threads would lose or keep each
    other's filters. This class adds one filter for all threads and removes only that one. Its pattern, a comment that
    matches everything, distinguishes it from the user's filters: `warnings` keeps only one of two equal filters.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._filter: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                warnings.filterwarnings("ignore", "(?#gpbt: a step is to end early)", ConvergenceWarning)
                self._filter = warnings.filters[0]
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                if not self._threads and self._filter in warnings.filters:
                    warnings.filters.remove(self._filter)  # type: ignore[attr-defined]  # typeshed calls it a Sequence


_convergence_expected = _ExpectedConvergence()
