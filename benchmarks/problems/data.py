"""Data split once into train, validation and test sets: the same split in every run, whatever the seed."""

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

__all__ = ["Split", "quarter", "split"]

_CUT = 20_240_229  # seeds every split; a run's own seed draws initial weights and training noise only


@attrs.frozen(kw_only=True, eq=False)
class Split:
    """Inputs of shape (rows, ...) and targets of shape (rows,) for each of three uses."""

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_valid: NDArray[Any]
    y_valid: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]


def quarter(data: Any) -> Any:
    """The same data with the first quarter of its training rows: to find a schedule on, and to replay it on all."""
    rows = len(data.x_train) // 4
    return attrs.evolve(data, x_train=data.x_train[:rows], y_train=data.y_train[:rows])


def split(x: NDArray[Any], y: NDArray[Any], *, train: int, valid: int, test: int | None = None) -> Split:
    """Shuffles the rows with a fixed seed and splits them.

    Args:
        x: Inputs, shape (rows, ...).
        y: Targets, shape (rows,).
        train: Rows to train on.
        valid: Rows to validate on.
        test: Rows to test on; None: all others.

    Raises:
        ValueError: There are not enough rows.
    """
    end = len(x) if test is None else train + valid + test
    if not train + valid <= end <= len(x):
        raise ValueError(f"split: needs {train} + {valid} + {test or 'some'} rows, got {len(x)}")
    order = np.random.default_rng(_CUT).permutation(len(x))
    a, b, c = order[:train], order[train : train + valid], order[train + valid : end]
    return Split(x_train=x[a], y_train=y[a], x_valid=x[b], y_valid=y[b], x_test=x[c], y_test=y[c])
