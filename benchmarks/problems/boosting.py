"""Gradient boosting by scikit-learn, ten trees a step, under hyperparameters that change between steps.

scikit-learn's `warm_start` multiplies all trees, the old ones too, by the learning rate of the day, so a schedule would
rewrite the past. For squared loss, boosting the residuals of the ensemble so far is the same as continuing it, and
leaves each tree the rate it was grown under: a step fits a new ensemble of ten trees, from zero, on those residuals.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import GradientBoostingRegressor

from benchmarks.problem import Direction, Options
from benchmarks.problems.data import Split, split
from gpbt_core.space import Float, Int, Space

__all__ = ["Boosting", "Ensemble", "diabetes", "friedman"]

Floats = NDArray[np.float64]
TREES = 10
_SPACE = Space(
    learning_rate=Float(1e-3, 1, log=True),
    max_depth=Int(1, 8),
    subsample=Float(0.2, 1),
    max_features=Float(0.1, 1),
    min_samples_leaf=Int(1, 50),
)


@attrs.frozen(kw_only=True, eq=False)
class Ensemble:
    """The trees so far, and what they predict.

    Attributes:
        seed: Source of the subsampling.
        parts: One fitted ensemble of ten trees per step.
        train: Predictions on the training rows, shape (rows,).
        valid: Predictions on the validation rows, shape (rows,).
    """

    seed: int
    parts: tuple[GradientBoostingRegressor, ...] = ()
    train: Floats
    valid: Floats


@attrs.frozen(kw_only=True, eq=False)
class Boosting:
    """A regression problem, scored by R2.

    Attributes:
        data: Inputs and targets.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: The hyperparameters.
    """

    data: Split
    models: int
    steps: int
    direction: Direction = "maximize"
    space: Space = _SPACE
    rate: str = "learning_rate"

    def start(self, seed: int) -> Ensemble:
        """The mean of the training targets."""
        mean = float(np.mean(self.data.y_train))
        return Ensemble(
            seed=seed, train=np.full(len(self.data.x_train), mean), valid=np.full(len(self.data.x_valid), mean)
        )

    def train(self, state: Ensemble, config: Mapping[str, Any]) -> tuple[Ensemble, float]:
        """Ten more trees, then R2 on the validation rows."""
        part = GradientBoostingRegressor(
            n_estimators=TREES, init="zero", random_state=_noise(state.seed, len(state.parts)), **config
        )
        part.fit(self.data.x_train, self.data.y_train - state.train)
        state = Ensemble(
            seed=state.seed,
            parts=(*state.parts, part),
            train=state.train + part.predict(self.data.x_train),
            valid=state.valid + part.predict(self.data.x_valid),
        )
        return state, _r2(self.data.y_valid, state.valid)

    def test(self, state: Ensemble) -> float:
        """R2 on the test rows."""
        predicted = np.mean(self.data.y_train) + sum(part.predict(self.data.x_test) for part in state.parts)
        return _r2(self.data.y_test, predicted)


def friedman(options: Options) -> Boosting:
    """make_friedman1 with 10 features and noise 1: 300 rows each to train, validate and test."""
    rows = 120 if options.smoke else 300
    x, y = make_friedman1(n_samples=3 * rows, n_features=10, noise=1.0, random_state=0)
    return Boosting(data=split(x, y, train=rows, valid=rows), models=options.models, steps=options.steps)


def diabetes(options: Options) -> Boosting:
    """The diabetes data: 240 rows to train, 100 to validate, 102 to test."""
    x, y = load_diabetes(return_X_y=True)
    return Boosting(data=split(x, y, train=240, valid=100), models=options.models, steps=options.steps)


def _noise(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _r2(y: NDArray[Any], predicted: Floats) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # a diverged ensemble scores NaN
        return float(1 - np.sum((y - predicted) ** 2) / np.sum((y - np.mean(y)) ** 2))
