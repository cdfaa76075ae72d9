"""scikit-learn's estimators as trainables: a step is a pass over the data, or some more trees or iterations.

The factory holds the data and everything else that all models of a run share. A trainable holds one model, and scores
and stores it.
"""

import importlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from gpbt_adapters.storing.checkpoints import CheckpointError, is_trusted
from gpbt_adapters.trainables.pickles import by_value
from gpbt_adapters.trainables.sklearn.models import Model, Template, TrainingData
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core.errors import ConfigError
from gpbt_core.space import Space

__all__ = ["SklearnTrainable", "WarmStart", "read_state", "write_state"]

Format: TypeAlias = Literal["pickle", "skops"]

SKOPS_TYPES = (
    "sklearn._loss.",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
"""Private types of scikit-learn, or a module of them, that skops does not know: they hold numbers and run nothing."""


class WarmStart:
    """Creates trainables that continue training one kind of estimator on one data set.

    Args:
        estimator: Anything with `partial_fit` (a step is a pass over the data) or with `warm_start` and an iteration
            count (a step adds `iterations` to it); also a pipeline whose last step is one. It is cloned, never changed;
            its own settings hold where no config sets another, but for `warm_start` and the random states.
        X: The data, samples by features.
        y: The targets, one entry or row per sample; None for estimators that need none.
        validation: The validation data: a pair (X, y), or the share of the data to hold out, in (0, 1). The split
            is the same for all models.
        split_seed: Seed of the split, which is stratified for classifiers if each class has two samples.
        scoring: Name of a scorer, callable (estimator, X, y), or None for the estimator's own `score`.
        iterations: Number of passes, members or solver iterations per step, at least 1.
        fit_params: Further arguments of `fit` or `partial_fit`; for a pipeline, those of the last step, optionally
            prefixed with its name, as in `Pipeline.fit`. Arrays with one entry per sample are split with the data.
        format: Format of checkpoints: "pickle" is fast and only read from files that the run itself wrote; "skops" is
            safe to read from anywhere and needs the package skops.
        trusted_types: For "skops", full names of further types that the estimator holds and that may be read.

    Raises:
        ConfigError: The estimator cannot continue training, has no score, or a setting is out of range.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import SGDClassifier
        >>> factory = WarmStart(SGDClassifier(), *load_iris(return_X_y=True), validation=0.3)
        >>> model = factory()
        >>> model.setup({"alpha": 1e-3}, seed=0)
        >>> 0 < model.step() <= 1
        True
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: Any = None,
        *,
        validation: float | tuple[Any, Any] = 0.25,
        split_seed: int = 0,
        scoring: Any = None,
        iterations: int = 1,
        fit_params: Mapping[str, Any] | None = None,
        format: Format = "pickle",  # noqa: A002 - the plain word, as in json, arrow and polars
        trusted_types: Sequence[str] = (),
    ) -> None:
        if iterations < 1:
            raise ConfigError(f"WarmStart: iterations must be at least 1, got {iterations!r}")
        if format not in {"pickle", "skops"}:
            raise ConfigError(f"WarmStart: expected a format of 'pickle' or 'skops', got {format!r}")
        if format == "skops":
            _skops()
        self.template = Template(estimator)
        try:
            self.scorer = check_scoring(estimator, scoring)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"WarmStart: {type(estimator).__name__} has no score to take: {error}") from error
        fit_params = self.template.fit_params(fit_params or {})
        self.data, self.validation = _split(self.template, X, y, validation, split_seed, fit_params)
        self.iterations = iterations
        self.format = format
        self.trusted_types = tuple(trusted_types)

    def __call__(self) -> "SklearnTrainable":
        """Creates a new trainable."""
        return SklearnTrainable(self)

    def __repr__(self) -> str:
        return f"WarmStart({self.template.estimator!r})"

    def check(self, space: Space, *, changes: bool = True) -> None:
        """Refuses a space that the models of this factory cannot be trained under, before any training.

        Raises:
            ConfigError: It has a parameter that the estimator does not have or never reads, or one that cannot change
                mid-run.
        """
        self.template.check(space, changes=changes)


class SklearnTrainable(Trainable):
    """One estimator in training; created by `WarmStart`."""

    def __init__(self, factory: WarmStart) -> None:
        self._factory = factory
        self._model = Model(factory.template, factory.data)

    @property
    def estimator(self) -> Any:
        """The estimator, or the pipeline, in its current state; None before `setup` or `load`."""
        return self._model.estimator

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Clones the estimator under `config`; trains only the steps of a pipeline before the last."""
        self._model.setup(config, seed)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the parameters where they act; refuses one that is fixed once a model is trained."""
        self._model.apply(config)

    def applied(self) -> Mapping[str, Any]:
        """Reads the parameters back from where they act."""
        return self._model.applied()

    def step(self) -> float:
        """One pass over the data, or `iterations` more members or iterations."""
        self._model.train(self._factory.iterations)
        return self.score()

    def score(self) -> float:
        """The score on the validation data."""
        return float(self._factory.scorer(self.estimator, *self._factory.validation))

    def save(self, path: Path) -> None:
        """Writes the estimator, or the whole pipeline."""
        write_state(self._model.state(), path, self._factory.format)

    def load(self, path: Path) -> None:
        """Reads the estimator back; a pickle only if the path is trusted.

        Raises:
            CheckpointError: The path is not trusted.
        """
        self._model.restore(read_state(path, self._factory.format, self._factory.trusted_types))


def write_state(state: object, path: Path, format: Format) -> None:  # noqa: A002 - as above
    """Writes the state of one or several models into a directory."""
    if format == "skops":
        _skops().dump(state, path / "state.skops")
        return
    with (path / "state.pickle").open("wb") as file:
        try:
            pickle.dump(state, file, protocol=5)
        except (pickle.PicklingError, AttributeError):  # a class that reached this worker by value
            file.seek(0)
            file.truncate()
            file.write(by_value(state))


def read_state(path: Path, format: Format, trusted_types: Sequence[str] = ()) -> Any:  # noqa: A002 - as above
    """Reads back what `write_state` wrote.

    Raises:
        CheckpointError: It is a pickle, and the path is not trusted.
    """
    if format == "skops":
        file = path / "state.skops"
        trusted = (*SKOPS_TYPES, *trusted_types)
        known = [name for name in _skops().get_untrusted_types(file=file) if name.startswith(trusted)]
        return _skops().load(file, trusted=known)
    if not is_trusted(path):
        raise CheckpointError(
            f"SklearnTrainable: {str(path)!r} holds a pickle that this run did not write, and a pickle can run any "
            f"code; say `with gpbt.checkpoints.trusting(path):` if you know its author, or keep checkpoints "
            f"with format='skops'"
        )
    with (path / "state.pickle").open("rb") as pickled:
        return pickle.load(pickled)  # noqa: S301 - of a trusted file, see above


def _split(
    template: Template, features: Any, target: Any, validation: Any, seed: int, fit_params: Mapping[str, Any]
) -> tuple[TrainingData, tuple[Any, ...]]:
    """The training data, and the arguments of a scorer after the estimator.

    Holds out a share of the data, or takes the given pair.
    """
    if isinstance(validation, tuple) and len(validation) == 2:
        labels = None if target is None else np.concatenate([np.asarray(target), np.asarray(validation[1])])
        data = TrainingData(
            features=features, target=target, labels=template.labels(labels), fit_params=dict(fit_params)
        )
        return data, validation
    if not (isinstance(validation, float) and 0 < validation < 1):
        raise ConfigError(f"WarmStart: expected validation as a pair (X, y) or a share in (0, 1), got {validation!r}")
    samples = _count(features) or 0
    own = {name: value for name, value in fit_params.items() if _count(value) == samples}
    x_train, x_validation, y_train, y_validation, *rest = train_test_split(
        features,
        np.zeros(samples) if target is None else target,
        *own.values(),
        test_size=validation,
        random_state=seed,
        stratify=target if is_classifier(template.estimator) and _can_stratify(target) else None,
    )
    fitted = {**fit_params, **dict(zip(own, rest[::2], strict=True))}
    if target is None:
        return TrainingData(features=x_train, target=None, fit_params=fitted), (x_validation,)
    data = TrainingData(features=x_train, target=y_train, labels=template.labels(target), fit_params=fitted)
    return data, (x_validation, y_validation)


def _count(data: Any) -> int | None:
    """The number of samples in an array, a sparse matrix, a frame or a list; None for anything else."""
    if hasattr(data, "shape"):
        return int(data.shape[0]) if data.shape else None
    return len(data) if isinstance(data, list | tuple) else None


def _can_stratify(target: Any) -> bool:
    """Whether each class has a sample for each part of the split."""
    target = np.asarray(target)
    return target.ndim == 1 and int(np.unique(target, return_counts=True)[1].min()) >= 2


def _skops() -> Any:
    try:
        return importlib.import_module("skops.io")
    except ImportError as error:
        raise ConfigError("WarmStart: format='skops' needs the package skops: pip install skops") from error
