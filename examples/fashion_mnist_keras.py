"""Tunes a convolutional network on Fashion-MNIST with Keras, and tests the best model once.

    python examples/fashion_mnist_keras.py FOLDER [--small] [--workers 2]

FOLDER contains the four original files (train-images-idx3-ubyte.gz and so on, compressed or not). The score is the
accuracy on 10,000 images that are not used for training; the test images are used once, at the end.
"""

import argparse
import functools
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gpbt import Float, Int, Optimizer, Result, Space, run
from gpbt.keras import BatchSize, KerasTrainable, LayerField, LossField, OptimizerField, Parts

SPACE = Space(
    learning_rate=Float(1e-4, 1, log=True),
    momentum=Float(0, 0.99),
    weight_decay=Float(1e-6, 1e-2, log=True),
    dropout=Float(0, 0.8),
    label_smoothing=Float(0, 0.2),
    batch_size=Int(16, 256, log=True),
)

BINDINGS = {
    "learning_rate": OptimizerField("learning_rate"),
    "momentum": OptimizerField("momentum"),
    "weight_decay": OptimizerField("weight_decay"),
    "dropout": LayerField("rate", keras.layers.Dropout),
    "label_smoothing": LossField("label_smoothing"),
    "batch_size": BatchSize(),
}

Arrays = tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]


# The same as in the other program on these files, so that you can copy each as a single file.
def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Reads one of the original files: two zeros, a type, the number of dimensions, their sizes, the values."""
    packed = path.with_name(path.name + ".gz")
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    rank = content[3]
    shape = np.frombuffer(content, ">u4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


@functools.cache  # once per process, for any number of models
def read(folder: Path, part: str) -> Arrays:
    """Reads the images as numbers in [0, 1], shape (n, 28, 28, 1), and their labels as rows of a unit matrix."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte")[..., None]
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte")
    return (images / 255).astype(np.float32), np.eye(10)[labels].astype(np.float32)


def split(data: Arrays, limit: int | None) -> tuple[Arrays, Arrays]:
    """Splits off a sixth for validation, the same for every model; `limit` is the number of images to use."""
    images, labels = (array[:limit] for array in data)
    size = len(images) // 6
    return (images[size:], labels[size:]), (images[:size], labels[:size])


def network(_: Mapping[str, Any]) -> keras.Model:
    """Makes the model and the optimizer; the bindings set their values."""
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10),
        ]
    )
    # With momentum=0, Keras would not create the variables that momentum needs.
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer=optimizer, loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def accuracy(parts: Parts, data: Arrays) -> float:
    """The share of images that the model classifies correctly."""
    images, labels = data
    # Not with `predict`, which compiles a function for each new model, and a run makes many models.
    outputs = [parts.model(images[start : start + 1000], training=False) for start in range(0, len(images), 1000)]
    found = np.concatenate([keras.ops.convert_to_numpy(output).argmax(axis=1) for output in outputs])
    return float((found == labels.argmax(axis=1)).mean())


def trainable(folder: Path, limit: int | None) -> KerasTrainable:
    """Makes the trainable: a step is an epoch."""
    train, valid = split(read(folder, "train"), limit)
    return KerasTrainable(
        model=network,
        data=lambda: train,
        score=lambda parts: accuracy(parts, valid),
        bindings=BINDINGS,
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the best model's accuracy and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the four files")
    parser.add_argument("--population", type=int, default=25)
    parser.add_argument("--steps", type=int, default=10, help="epochs per model")
    parser.add_argument("--small", action="store_true", help="3,000 images, 4 models, 6 epochs, to try it out")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; by default, this one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps, limit = (4, 6, 3000) if options.small else (options.population, options.steps, None)

    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="maximize", seed=options.seed)
    result = run(optimizer, functools.partial(trainable, options.folder, limit), workers=options.workers)

    best = result.restore()
    assert isinstance(best, KerasTrainable)
    tested = accuracy(best.parts, read(options.folder, "t10k"))
    print(f"accuracy: {result.best.score:.4f} on the validation images, {tested:.4f} on the test images")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  epochs {segment.start_step} to {segment.start_step + segment.steps}: {values}")
    return result


if __name__ == "__main__":
    main()
