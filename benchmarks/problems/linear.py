"""A linear classifier by scikit-learn's SGDClassifier: its learning rate and regularization change between epochs."""

import copy
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from benchmarks.problem import Direction, Options
from benchmarks.problems.data import Split
from benchmarks.problems.digits import digits
from gpbt_core.space import Float, Space

__all__ = ["Line", "Linear", "linear"]

_SPACE = Space(eta0=Float(1e-6, 1, log=True), alpha=Float(1e-7, 1, log=True), l1_ratio=Float(0, 1))
_TINY = 1e-12  # lower bound on probabilities in the NLL


@attrs.frozen(kw_only=True, eq=False)
class Line:
    """A model and the epochs behind it; the seed is the source of the data order. No model before the first epoch."""

    seed: int
    epoch: int = 0
    model: SGDClassifier | None = None


@attrs.frozen(kw_only=True, eq=False)
class Linear:
    """One logistic regression per class on standardized inputs, scored by the NLL of their normalized probabilities.

    Attributes:
        data: Standardized inputs and integer classes.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: The hyperparameters: constant learning rate, strength of the elastic net, and its share of L1.
    """

    data: Split
    models: int
    steps: int
    direction: Direction = "minimize"
    space: Space = _SPACE
    rate: str = "eta0"

    def start(self, seed: int) -> Line:
        """All coefficients zero."""
        return Line(seed=seed)

    def train(self, state: Line, config: Mapping[str, Any]) -> tuple[Line, float]:
        """One pass over the training rows in a new order, then the NLL on the validation rows."""
        model = SGDClassifier(loss="log_loss", penalty="elasticnet", learning_rate="constant")
        if state.model is not None:
            model = copy.deepcopy(state.model)
        noise = np.random.SeedSequence([state.seed, state.epoch]).generate_state(1)
        model.set_params(random_state=int(noise[0]), **config)
        try:
            model.partial_fit(self.data.x_train, self.data.y_train, classes=np.unique(self.data.y_train))
        except ValueError as error:
            if "Floating-point" not in str(error):  # scikit-learn's error if the weights overflow
                raise
            return state, float("nan")
        state = Line(seed=state.seed, epoch=state.epoch + 1, model=model)
        return state, _nll(model, self.data.x_valid, self.data.y_valid)

    def test(self, state: Line) -> float:
        """The NLL on the test rows."""
        return _nll(state.model, self.data.x_test, self.data.y_test)


def linear(options: Options) -> Linear:
    """The digits, standardized by the training rows."""
    data = digits(options)
    mean, scale = data.x_train.mean(axis=0), data.x_train.std(axis=0)
    scale[scale == 0] = 1  # the corners are always empty
    data = attrs.evolve(
        data,
        x_train=(data.x_train - mean) / scale,
        x_valid=(data.x_valid - mean) / scale,
        x_test=(data.x_test - mean) / scale,
    )
    return Linear(data=data, models=options.models, steps=options.steps)


def _nll(model: SGDClassifier | None, x: NDArray[Any], y: NDArray[Any]) -> float:
    if model is None:
        raise ValueError("sgd-linear: a model must have at least one epoch behind it, got none")
    scores = model.decision_function(x).astype(np.float64)
    if not np.isfinite(scores).all():
        return float("nan")
    each = np.maximum(0.5 + 0.5 * np.tanh(0.5 * scores), _TINY)  # the logistic function, without overflow
    return float(-np.mean(np.log(each[np.arange(len(y)), y] / each.sum(axis=1))))
