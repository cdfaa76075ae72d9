"""What the tests of the benchmarks share."""

import gzip
from pathlib import Path

import numpy as np
import pytest


def _write_idx(path: Path, values: np.ndarray) -> None:
    head = b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


@pytest.fixture(scope="session")
def fashion_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory like Fashion-MNIST's, with fewer images: each class has a bright row of its own in noise."""
    rng = np.random.default_rng(0)
    place = tmp_path_factory.mktemp("fashion")
    for name, rows in (("train", 700), ("t10k", 300)):
        labels = rng.integers(0, 10, rows)
        images = rng.integers(0, 100, (rows, 28, 28))
        images[np.arange(rows), 2 + 2 * labels] += 150
        _write_idx(place / f"{name}-images-idx3-ubyte.gz", images)
        _write_idx(place / f"{name}-labels-idx1-ubyte.gz", labels)
    return place
