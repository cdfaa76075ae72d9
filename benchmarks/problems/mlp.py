"""A multilayer perceptron with one hidden layer in numpy, trained one epoch at a time; all weights in one flat vector.

The state is a value: an epoch copies the vector, and draws data order and dropout from (seed, epoch), so that equal
configs on equal states give equal bits. Updates follow PyTorch's formulas for SGD, Adam and RMSprop: weight decay as an
L2 gradient, bias correction under the betas in force.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import Direction
from benchmarks.problems.data import Split
from gpbt_core.space import Space

__all__ = ["MLP", "Recipe", "Weights"]

Array = NDArray[np.float32]
Activation = Literal["relu", "tanh", "sigmoid"]
Rule = Literal["adam", "rmsprop", "sgd"]

_INITIAL, _TRAINING = 0, 1  # streams of a seed
_TINY = 1e-8  # added to root second moments, as in PyTorch


@attrs.frozen(kw_only=True)
class Recipe:
    """How to train for one epoch.

    Attributes:
        lr: Learning rate, above 0.
        beta1: Adam's decay of the first moment, or the momentum of SGD, in [0, 1).
        beta2: Adam's or RMSprop's decay of the second moment, in [0, 1).
        dropout: Probability that a hidden unit is dropped, in [0, 1].
        weight_decay: L2 coefficient, from 0.
        activation: Of the hidden layer.
        optimizer: The update rule.
        batch_size: Rows per update; the last batch may be smaller.
    """

    lr: float
    beta1: float
    beta2: float
    dropout: float
    weight_decay: float
    activation: Activation = "relu"
    optimizer: Rule = "adam"
    batch_size: int


@attrs.frozen(kw_only=True, eq=False)
class Weights:
    """A model: its vector, the optimizer's two moments of the same shape, and counters.

    Attributes:
        seed: Source of all noise.
        epoch: Epochs trained.
        updates: Updates since the optimizer started from rest.
        optimizer: The rule that the moments belong to; None before training.
        activation: What the hidden layer was last trained with.
        theta: All weights and biases, shape (weights,).
        first: Shape (weights,).
        second: Shape (weights,).
    """

    seed: int
    epoch: int = 0
    updates: int = 0
    optimizer: Rule | None = None
    activation: Activation = "relu"
    theta: Array
    first: Array
    second: Array


@attrs.frozen(kw_only=True, eq=False)
class MLP:
    """A classification problem for a network of one hidden layer.

    Attributes:
        data: Inputs in [0, 1] as float32, and integer classes.
        hidden: Units of the hidden layer.
        classes: Number of classes.
        space: The hyperparameters.
        recipe: From a config to a recipe.
        metric: The score, which determines the direction.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
    """

    data: Split
    hidden: int
    classes: int = 10
    space: Space
    recipe: Callable[[Mapping[str, Any]], Recipe]
    metric: Literal["nll", "accuracy"] = "nll"
    models: int
    steps: int
    rate: str = "lr"

    @property
    def direction(self) -> Direction:
        """NLL is minimized, accuracy maximized."""
        return "minimize" if self.metric == "nll" else "maximize"

    def start(self, seed: int) -> Weights:
        """Weights and biases uniform in +-1/sqrt(fan in), optimizer at rest."""
        rng = np.random.default_rng([seed, _INITIAL])
        inputs = self.data.x_train.shape[1]
        sizes = [(inputs, (inputs + 1) * self.hidden), (self.hidden, (self.hidden + 1) * self.classes)]
        theta = np.concatenate([rng.uniform(-1, 1, size) / np.sqrt(fan_in) for fan_in, size in sizes])
        rest = np.zeros(len(theta), dtype=np.float32)
        return Weights(seed=seed, theta=theta.astype(np.float32), first=rest, second=rest)

    def train(self, state: Weights, config: Mapping[str, Any]) -> tuple[Weights, float]:
        """One epoch, then the metric on the validation rows."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # divergence ends in a score of NaN
            state = self._epoch(state, self.recipe(config))
            return state, self._measure(state, self.data.x_valid, self.data.y_valid)

    def test(self, state: Weights) -> float:
        """The metric on the test rows, under the activation that the model was last trained with."""
        return self._measure(state, self.data.x_test, self.data.y_test)

    def _layers(self, theta: Array) -> tuple[Array, Array, Array, Array]:
        """Views of the two weight matrices and biases: (inputs, hidden), (hidden,), (hidden, classes), (classes,)."""
        inputs, hidden, classes = self.data.x_train.shape[1], self.hidden, self.classes
        a, b = inputs * hidden, (inputs + 1) * hidden
        c = b + hidden * classes
        return theta[:a].reshape(inputs, hidden), theta[a:b], theta[b:c].reshape(hidden, classes), theta[c:]

    def _epoch(self, state: Weights, recipe: Recipe) -> Weights:
        rng = np.random.default_rng([state.seed, _TRAINING, state.epoch])
        order = rng.permutation(len(self.data.x_train))
        keep = rng.random((len(order), self.hidden), dtype=np.float32) >= recipe.dropout
        mask = keep.astype(np.float32) / np.float32(max(1 - recipe.dropout, _TINY))
        rested = state.optimizer == recipe.optimizer  # another rule starts from rest
        theta = state.theta.copy()
        first = state.first.copy() if rested else np.zeros_like(theta)
        second = state.second.copy() if rested else np.zeros_like(theta)
        updates = state.updates if rested else 0
        gradient = np.empty_like(theta)
        for begin in range(0, len(order), recipe.batch_size):
            rows = order[begin : begin + recipe.batch_size]
            self._differentiate(theta, rows, mask[begin : begin + len(rows)], recipe.activation, gradient)
            updates += 1
            _update(recipe, theta, gradient, first, second, updates)
        return Weights(
            seed=state.seed,
            epoch=state.epoch + 1,
            updates=updates,
            optimizer=recipe.optimizer,
            activation=recipe.activation,
            theta=theta,
            first=first,
            second=second,
        )

    def _differentiate(
        self, theta: Array, rows: NDArray[np.intp], mask: Array, activation: Activation, gradient: Array
    ) -> None:
        """Writes the gradient of the rows' mean NLL into `gradient`, shape (weights,)."""
        w1, b1, w2, b2 = self._layers(theta)
        g1, c1, g2, c2 = self._layers(gradient)
        x, y = self.data.x_train[rows], self.data.y_train[rows]
        hidden, slope = _activate(x @ w1 + b1, activation)
        kept = hidden * mask
        logits = kept @ w2 + b2
        delta = np.exp(logits - logits.max(axis=1, keepdims=True))
        delta /= delta.sum(axis=1, keepdims=True)
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        g2[:], c2[:] = kept.T @ delta, delta.sum(axis=0)
        inner = (delta @ w2.T) * mask * slope
        g1[:], c1[:] = x.T @ inner, inner.sum(axis=0)

    def _measure(self, state: Weights, x: NDArray[Any], y: NDArray[Any]) -> float:
        w1, b1, w2, b2 = self._layers(state.theta)
        logits = (_activate(x @ w1 + b1, state.activation)[0] @ w2 + b2).astype(np.float64)
        if not np.isfinite(logits).all():
            return float("nan")
        if self.metric == "accuracy":
            return float(np.mean(logits.argmax(axis=1) == y))
        logits -= logits.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]))


def _activate(z: Array, activation: Activation) -> tuple[Array, Array]:
    """The activation of `z` and its derivative there, both of the shape of `z`."""
    if activation == "relu":
        return np.maximum(z, 0), (z > 0).astype(np.float32)
    if activation == "tanh":
        value = np.tanh(z)
        return value, 1 - value * value
    value = 0.5 + 0.5 * np.tanh(0.5 * z)  # the logistic function, without overflow
    return value, value * (1 - value)


def _update(recipe: Recipe, theta: Array, gradient: Array, first: Array, second: Array, count: int) -> None:
    """One update in place; `count` numbers it from 1 since the optimizer's rest."""
    gradient += np.float32(recipe.weight_decay) * theta
    if recipe.optimizer == "sgd":
        first *= np.float32(recipe.beta1)
        first += gradient
        theta -= np.float32(recipe.lr) * first
        return
    second *= np.float32(recipe.beta2)
    second += np.float32(1 - recipe.beta2) * gradient * gradient
    if recipe.optimizer == "rmsprop":
        theta -= np.float32(recipe.lr) * gradient / (np.sqrt(second) + np.float32(_TINY))
        return
    first *= np.float32(recipe.beta1)
    first += np.float32(1 - recipe.beta1) * gradient
    rate = recipe.lr / (1 - recipe.beta1**count)
    theta -= np.float32(rate) * first / (np.sqrt(second / np.float32(1 - recipe.beta2**count)) + np.float32(_TINY))
