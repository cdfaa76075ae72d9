"""What scikit-learn computes anew at each step of continued training, and need not, since the data stay the same.

A perceptron validates and encodes its inputs at every pass. Histogram boosting bins its inputs and predicts them with
all of its trees at every `fit`, and predicts the test samples with all of its trees at every score. Each function here
hands back the same bits. It replaces a private method of one estimator for the time of a call, as scikit-learn does
itself in places, and does nothing if a version of scikit-learn lacks the method.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

__all__ = ["Carried", "Reused", "finished_parts", "predicting", "sharable", "training"]

Estimator: TypeAlias = Any  # scikit-learn ships no types

MOST_BINNED = 200_000
"""Rows up to which histogram boosting finds its bins on all rows, and not on a sample that depends on the seed."""


@attrs.define(eq=False)
class Reused:
    """What all models on one set of training data share.

    Attributes:
        inputs: For a class of estimator and its labels: validated features and encoded targets.
        bins: For settings of histogram boosting: the fitted mapper and the binned features.
    """

    inputs: dict[Any, tuple[Any, Any]] = attrs.Factory(dict)
    bins: dict[Any, tuple[Any, NDArray[np.uint8]]] = attrs.Factory(dict)


Carried: TypeAlias = dict[str, tuple[int, NDArray[np.float64]]]
"""For one model and a part of the data: how many rounds of trees have been summed up, and their sums.

The sums are shared by copies of the model, and never changed in place.
"""


@contextlib.contextmanager
def training(
    estimator: Estimator, reused: Reused | None, carried: Carried, features: Any, target: Any
) -> Iterator[None]:
    """Lets an estimator train on the same data as before without preparing them anew.

    Args:
        estimator: Changed only inside the block.
        reused: What the models on these data share; None: nothing may be reused.
        carried: The sums of this model.
        features: What `fit` or `partial_fit` will be called with.
        target: Likewise.
    """
    bases = _bases(estimator)
    if reused is None:
        yield
    elif "BaseMultilayerPerceptron" in bases and hasattr(estimator, "_validate_input"):
        with _replaced(estimator, _validate_input=_validating(estimator, reused, features, target)):
            yield
    elif "BaseHistGradientBoosting" in bases and _can_carry(estimator) and _can_share_bins(estimator, features):
        binning = _binning(estimator, reused)
        with _replaced(
            estimator, _bin_data=binning, _raw_predict=_summing(estimator, carried, "binned training data", None)
        ):
            yield
    else:
        yield


@contextlib.contextmanager
def predicting(estimator: Estimator, carried: Carried, part: str, features: Any) -> Iterator[None]:
    """Lets an estimator predict some samples again, with more trees than before, from the sums so far.

    Args:
        estimator: Changed only inside the block.
        carried: The sums of this model.
        part: The name of these samples; always the same samples for one name.
        features: The samples; others are predicted as usual.
    """
    if "BaseHistGradientBoosting" in _bases(estimator) and _can_carry(estimator):
        with _replaced(estimator, _raw_predict=_summing(estimator, carried, part, features)):
            yield
    else:
        yield


def finished_parts(estimator: Estimator) -> Iterator[object]:
    """The parts of a fitted estimator that further training leaves as they are, so that copies can share them.

    (The trees of gradient boosting are none: a new learning rate scales them, see `continuation`.)
    """
    bases = _bases(estimator)
    if "BaseHistGradientBoosting" in bases:
        yield from (tree for trees in getattr(estimator, "_predictors", ()) for tree in trees)
        yield from (mapper for mapper in [getattr(estimator, "_bin_mapper", None)] if mapper is not None)
    if bases & {"BaseForest", "BaseBagging"}:
        yield from getattr(estimator, "estimators_", ())
    if bases & {"XGBModel", "LGBMModel"}:
        yield from (booster for booster in [getattr(estimator, "_Booster", None)] if booster is not None)


def _bases(estimator: Estimator) -> set[str]:
    return {base.__name__ for base in type(estimator).__mro__}


@contextlib.contextmanager
def _replaced(estimator: Estimator, **methods: Callable[..., Any]) -> Iterator[None]:
    """Replaces methods of one object."""
    estimator.__dict__.update(methods)
    try:
        yield
    finally:
        for name in methods:
            estimator.__dict__.pop(name, None)


def _validating(estimator: Estimator, reused: Reused, features: Any, target: Any) -> Callable[..., Any]:
    """`_validate_input` of a perceptron, which validates the same data only once after a model's first pass."""
    original = estimator._validate_input  # noqa: SLF001 - see above

    def validate(X: Any, y: Any, incremental: Any, reset: Any) -> Any:  # noqa: N803 - as replaced
        if reset or X is not features or y is not target:
            return original(X, y, incremental, reset)
        labels = getattr(estimator, "classes_", None)
        key = (type(estimator), estimator.warm_start, None if labels is None else (labels.dtype.str, *labels.tolist()))
        if key not in reused.inputs:
            reused.inputs[key] = original(X, y, incremental, reset)
        return reused.inputs[key]

    return validate


def _can_carry(estimator: Estimator) -> bool:
    names = ("_bin_data", "_raw_predict", "_predict_iterations", "_preprocess_X")
    return _effective_threads is not None and all(hasattr(estimator, name) for name in names)


def _can_share_bins(estimator: Estimator, features: Any) -> bool:
    """Whether the bins depend on the features alone: not on weights, on a sample, or on encoded categories."""
    return (
        isinstance(features, np.ndarray)
        and features.dtype.kind in "iuf"
        and len(features) <= MOST_BINNED
        and (estimator.categorical_features is None or isinstance(estimator.categorical_features, str))
    )


def _binning(estimator: Estimator, reused: Reused) -> Callable[..., Any]:
    """`_bin_data` of histogram boosting, which bins the training data once."""
    original = estimator._bin_data  # noqa: SLF001 - see above

    def bin_data(X: Any, *arguments: Any, **named: Any) -> Any:  # noqa: N803 - as replaced
        weights = arguments[0] if len(arguments) > 1 else named.get("sample_weight")
        if weights is not None or not named.get("is_training_data", True):
            return original(X, *arguments, **named)
        key = (estimator.max_bins, estimator.categorical_features)
        if key in reused.bins:
            estimator._bin_mapper, binned = reused.bins[key]  # noqa: SLF001
            return binned
        binned = original(X, *arguments, **named)
        reused.bins[key] = (estimator._bin_mapper, binned)  # noqa: SLF001
        return binned

    return bin_data


def _summing(estimator: Estimator, carried: Carried, part: str, features: Any) -> Callable[..., Any]:
    """`_raw_predict` of histogram boosting, which adds up only what new trees predict.

    Each tree's predictions are added to the sums one after the other in either case, so the bits are the same.
    """
    original = estimator._raw_predict  # noqa: SLF001 - see above

    def raw_predict(X: Any, n_threads: Any = None) -> Any:  # noqa: N803 - as replaced
        binned = bool(getattr(estimator, "_in_fit", False))
        if binned != (features is None) or not (binned or X is features):
            return original(X, n_threads)
        trees = estimator._predictors  # noqa: SLF001
        count, sums = carried.get(part, (0, None))
        if sums is None or count > len(trees):
            sums = original(X, n_threads)
        elif count < len(trees):
            sums = sums.copy(order="F")
            rows = X if binned else estimator._preprocess_X(X, reset=False)  # noqa: SLF001
            assert _effective_threads is not None
            estimator._predict_iterations(rows, trees[count:], sums, binned, _effective_threads(n_threads))  # noqa: SLF001
        carried[part] = (len(trees), sums)
        return sums.copy(order="F")

    return raw_predict


try:
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as _effective_threads
except ImportError:  # another version of scikit-learn
    _effective_threads = None


def sharable(state: Mapping[str, Any]) -> Iterator[object]:
    """The objects in the state of a model that copies of it may share."""
    yield from (sums for _, sums in state.get("carried", {}).values())
    yield from (data for data in state.get("kept") or () if data is not None)
