"""Tunes LightGBM on a table of numbers: each segment of trees has its own hyperparameters.

    python examples/lightgbm_regression.py [TABLE.csv] [--small]

TABLE has a line of column names, then lines of numbers with the target in the last column. Without it, the program uses
scikit-learn's diabetes data. The score is the root mean square error on a fifth of the rows, kept for validation.
"""

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from gpbt import Float, Int, Optimizer, Result, Space, run
from gpbt.boosting import LightGBMTrainable

SPACE = Space(
    learning_rate=Float(1e-3, 0.5, log=True),
    num_leaves=Int(2, 64, log=True),
    min_data_in_leaf=Int(1, 60, log=True),
    lambda_l2=Float(1e-6, 100, log=True),
    feature_fraction=Float(0.3, 1),
    bagging_fraction=Float(0.3, 1),
)

Table = tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]


@functools.cache  # once per process, for any number of models
def read(path: Path | None) -> tuple[Table, Table, Table]:
    """Reads the table and splits it into training, validation and test rows, 3 to 1 to 1."""
    if path is None:
        inputs, target = load_diabetes(return_X_y=True)
    else:
        rows = np.loadtxt(path, delimiter=",", skiprows=1)
        inputs, target = rows[:, :-1], rows[:, -1]
    x, x_test, y, y_test = train_test_split(inputs, target, test_size=0.2, random_state=0)
    x_train, x_valid, y_train, y_valid = train_test_split(x, y, test_size=0.25, random_state=0)
    return (x_train, y_train), (x_valid, y_valid), (x_test, y_test)


def error(booster: lightgbm.Booster, table: Table) -> float:
    """The root mean square error."""
    inputs, target = table
    return float(np.sqrt(np.mean((np.asarray(booster.predict(inputs)) - target) ** 2)))


def trainable(path: Path | None) -> LightGBMTrainable:
    """Makes the trainable: a step is ten trees."""
    train, valid, _ = read(path)
    return LightGBMTrainable(
        data=lambda: lightgbm.Dataset(*train, free_raw_data=False),
        params={"objective": "regression", "bagging_freq": 1, "num_threads": 1},
        score=lambda booster: error(booster, valid),
        rounds=10,
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the best model's error and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", help="a CSV file; by default, the diabetes data")
    parser.add_argument("--small", action="store_true", help="4 models, 6 steps, to try it out")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; by default, this one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps = (4, 6) if options.small else (25, 20)

    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="minimize", seed=options.seed)
    result = run(optimizer, functools.partial(trainable, options.table), workers=options.workers)

    best = result.restore()
    assert isinstance(best, LightGBMTrainable)
    tested = error(best.model, read(options.table)[2])
    print(f"error: {result.best.score:.4g} on the validation rows, {tested:.4g} on the test rows")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  trees {10 * segment.start_step} to {10 * (segment.start_step + segment.steps)}: {values}")
    return result


if __name__ == "__main__":
    main()
