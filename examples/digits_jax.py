"""Tunes a network on handwritten digits with JAX and Optax, and tests the best model once.

    python examples/digits_jax.py [--small] [--workers 2]

The digits come with scikit-learn. The score is the accuracy on 400 validation images; the test images are used once,
at the end.
"""

import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from gpbt import Float, Optimizer, Result, Space, run
from gpbt.jax import FunctionalTrainable, Injected, StepValue

SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True),
    weight_decay=Float(1e-4, 1, log=True),
    dropout=Float(0, 0.8),
    noise=Float(0, 0.5),
)

# inject_hyperparams puts its arguments into the optimizer's state, where a run can change them.
ADAMW = optax.inject_hyperparams(optax.adamw)(learning_rate=1e-3, weight_decay=1e-4)

Data = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
BATCH = 32


@functools.cache  # once per process, for any number of models
def read() -> tuple[Data, Data, Data]:
    """Reads the images as numbers in [0, 1]: 800 to train, 400 to validate, the rest to test."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = np.split(order, [800, 1200])
    train, valid, test = ((pixels[part].astype(np.float32) / 16, labels[part]) for part in parts)
    return train, valid, test


def init(_: Mapping[str, Any], key: jax.Array) -> Any:
    """Makes the state: the parameters of a network with one hidden layer, and the state of Adam."""
    inner, outer = jax.random.split(key)
    params = {
        "inner": {"weight": 0.1 * jax.random.normal(inner, (64, 128)), "bias": jnp.zeros(128)},
        "outer": {"weight": 0.1 * jax.random.normal(outer, (128, 10)), "bias": jnp.zeros(10)},
    }
    return {"params": params, "optimizer": ADAMW.init(params)}


def logits(params: Any, pixels: Any, keep: Any = 1.0) -> Any:
    """Computes the network's outputs; `keep` multiplies the hidden units."""
    hidden = jax.nn.relu(pixels @ params["inner"]["weight"] + params["inner"]["bias"])
    return (keep * hidden) @ params["outer"]["weight"] + params["outer"]["bias"]


@jax.jit
def epoch(state: Any, train: Data, values: Mapping[str, Any], key: jax.Array) -> Any:
    """Trains an epoch. It is compiled once, because the values are arguments and not constants."""
    order_key, key = jax.random.split(key)
    batches = jax.random.permutation(order_key, len(train[0])).reshape(-1, BATCH)

    def update(state: Any, job: Any) -> Any:
        batch, key = job
        noise_key, drop_key = jax.random.split(key)
        pixels, labels = train[0][batch], train[1][batch]
        pixels += values["noise"] * jax.random.normal(noise_key, pixels.shape)
        kept = 1 - values["dropout"]
        keep = jax.random.bernoulli(drop_key, kept, (BATCH, 128)) / kept

        def loss(params: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(logits(params, pixels, keep), labels).mean()

        updates, optimizer = ADAMW.update(jax.grad(loss)(state["params"]), state["optimizer"], state["params"])
        return {"params": optax.apply_updates(state["params"], updates), "optimizer": optimizer}, None

    return jax.lax.scan(update, state, (batches, jax.random.split(key, len(batches))))[0]


def step(state: Any, config: Mapping[str, Any], key: jax.Array) -> Any:
    """Trains one step: an epoch."""
    train, _, _ = read()
    return epoch(state, train, {"noise": config["noise"], "dropout": config["dropout"]}, key)


def accuracy(params: Any, data: Data) -> float:
    """The share of images that the model classifies correctly."""
    return float((logits(params, data[0]).argmax(1) == data[1]).mean())


def trainable() -> FunctionalTrainable:
    """Makes the trainable."""
    return FunctionalTrainable(
        init=init,
        step=step,
        score=lambda state: accuracy(state["params"], read()[1]),
        bindings={
            "lr": Injected("learning_rate"),
            "weight_decay": Injected("weight_decay"),
            "dropout": StepValue(),
            "noise": StepValue(),
        },
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the best model's accuracy and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10, help="epochs per model")
    parser.add_argument("--small", action="store_true", help="4 models, 4 epochs, to try it out")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; by default, this one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps = (4, 4) if options.small else (options.population, options.steps)

    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="maximize", seed=options.seed)
    result = run(optimizer, trainable, workers=options.workers)

    best = result.restore()
    assert isinstance(best, FunctionalTrainable)
    tested = accuracy(best.state["params"], read()[2])
    print(f"accuracy: {result.best.score:.4f} on the validation images, {tested:.4f} on the test images")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  epochs {segment.start_step} to {segment.start_step + segment.steps}: {values}")
    return result


if __name__ == "__main__":
    main()
