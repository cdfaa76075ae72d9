"""Loading the programs under examples/, and small data files in the formats that they read."""

import gzip
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> Any:
    """Imports the program without running it, under a name that worker processes can find it by, too."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def write_idx_files(folder: Path, train: int, test: int) -> None:
    """Writes images in the format of MNIST: bright squares whose place tells the label; half of the files packed."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 60, size=(count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = 2 + 12 * (label // 5), 1 + 5 * (label % 5)
            image[row : row + 8, column : column + 4] = 250
        for array, kind in ((images, "images-idx3"), (labels, "labels-idx1")):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = header + array.tobytes()
            path = folder / f"{part}-{kind}-ubyte"
            if part == "train":
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
