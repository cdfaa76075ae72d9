"""Fashion-MNIST from its original files, and a small network on 14x14 images of it.

The four files are those of https://github.com/zalandoresearch/fashion-mnist (28x28 gray values, 60000 to train and
10000 to test), gzipped IDX, in the directory given as `--data`.
"""

import gzip
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import Options
from benchmarks.problems.data import Split, quarter, split
from benchmarks.problems.mlp import MLP, Recipe
from gpbt_core.space import Float, Space

__all__ = ["fashion_images", "fashion_mlp_log", "fashion_mlp_quarter", "fashion_mlp_wide", "read_idx"]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads a gzipped IDX file of unsigned bytes.

    The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each size as a big-endian 32-bit
    integer, the values in row-major order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"the Fashion-MNIST file {path.name} must be in {path.parent}, found none; fetch the four *-ubyte.gz files "
            "of https://github.com/zalandoresearch/fashion-mnist and name their directory with --data"
        )
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: must be an IDX file of unsigned bytes (00 00 08), got {content[:3].hex(' ')}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">i4", count=content[3], offset=4))
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    if values.size != math.prod(shape):
        raise ValueError(f"{path}: must have {math.prod(shape)} values for the shape {shape}, got {values.size}")
    return values.reshape(shape)


def fashion_images(options: Options, *, train: int, valid: int, test: int) -> Split:
    """Training and validation rows from the training files, test rows from the test files.

    Args:
        options: Its `data` is the directory of the files.
        train: Rows to train on, at most 60000 with those to validate on.
        valid: Rows to validate on.
        test: Rows to test on, at most 10000.

    Returns:
        Images (rows, 28, 28) of values in [0, 1] as float32, and classes (rows,) as integers.

    Raises:
        FileNotFoundError: No directory was given, or a file is not in it.
        ValueError: A file holds something else, or too few rows.
    """
    if options.data is None:
        raise FileNotFoundError(
            "Fashion-MNIST: needs the directory of its four *-ubyte.gz files, got none; name it with --data DIR"
        )
    images, labels, test_images, test_labels = (
        read_idx(options.data / f"{name}-ubyte.gz")
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )
    cut = split(images, labels.astype(np.intp), train=train, valid=valid, test=0)
    held_out = split(test_images, test_labels.astype(np.intp), train=0, valid=0, test=test)
    return Split(
        x_train=_scaled(cut.x_train),
        y_train=cut.y_train,
        x_valid=_scaled(cut.x_valid),
        y_valid=cut.y_valid,
        x_test=_scaled(held_out.x_test),
        y_test=held_out.y_test,
    )


def fashion_mlp_log(options: Options) -> MLP:
    """All but dropout on log scales."""
    return _fashion_mlp(
        options,
        Space(
            lr=Float(1e-5, 1, log=True),
            one_minus_beta1=Float(1e-4, 1e-1, log=True),
            one_minus_beta2=Float(1e-5, 1e-2, log=True),
            dropout=Float(0, 1),
            weight_decay=Float(1e-6, 1, log=True),
        ),
    )


def fashion_mlp_quarter(options: Options) -> MLP:
    """The same on a quarter of the training rows."""
    problem = fashion_mlp_log(options)
    return attrs.evolve(problem, data=quarter(problem.data))


def fashion_mlp_wide(options: Options) -> MLP:
    """The same ranges on uniform scales, weight decay from 0: most of the space is bad."""
    return _fashion_mlp(
        options,
        Space(
            lr=Float(1e-5, 1),
            one_minus_beta1=Float(1e-4, 1e-1),
            one_minus_beta2=Float(1e-5, 1e-2),
            dropout=Float(0, 1),
            weight_decay=Float(0, 1),
        ),
    )


def _fashion_mlp(options: Options, space: Space) -> MLP:
    size = {"train": 400, "valid": 200, "test": 200} if options.smoke else {"train": 4000, "valid": 2000, "test": 2000}
    images = fashion_images(options, **size)
    return MLP(
        data=attrs.evolve(
            images,
            x_train=_pooled(images.x_train),
            x_valid=_pooled(images.x_valid),
            x_test=_pooled(images.x_test),
        ),
        hidden=64,
        space=space,
        recipe=_adam,
        metric="accuracy",
        models=options.models,
        steps=options.steps,
    )


def _adam(config: Mapping[str, Any]) -> Recipe:
    return Recipe(
        lr=config["lr"],
        beta1=1 - config["one_minus_beta1"],
        beta2=1 - config["one_minus_beta2"],
        dropout=config["dropout"],
        weight_decay=config["weight_decay"],
        batch_size=100,
    )


def _scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(255)


def _pooled(images: NDArray[np.floating]) -> NDArray[np.float32]:
    """Means of 2x2 pixels: (rows, 28, 28) to (rows, 196)."""
    pooled: NDArray[np.float32] = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32)
    return pooled.reshape(-1, 196)
