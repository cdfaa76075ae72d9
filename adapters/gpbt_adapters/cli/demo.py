"""`gpbt demo`: a network on handwritten digits, tuned by gpbt, by classic PBT and by random search.

The demo measures all results that it shows. The methods train the same kind of model on the same data for the same
number of steps. Each chooses a model by its validation loss, and tests it once on data that no method has seen.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, cast

import attrs
import numpy as np
import scipy.stats
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.sklearn.trainables import SklearnTrainable, WarmStart
from gpbt_adapters.views.words import counted, span
from gpbt_core import Float, Int, Optimizer, Schedule, Space
from gpbt_core.presets import PresetName

__all__ = ["METHODS", "SPACE", "Outcome", "Task", "conclusions", "cross_entropy", "digits", "show", "train"]

METHODS: Mapping[str, PresetName] = {"gpbt": "gpbt", "classic PBT": "pbt", "random search": "random"}
"""The methods to compare, with their presets."""

SPACE = Space(
    learning_rate_init=Float(1e-5, 1, log=True),
    batch_size=Int(4, 256, log=True),
    alpha=Float(1e-6, 10, log=True),
    beta_1=Float(0, 0.99),
    beta_2=Float(0.5, 0.9999),
    epsilon=Float(1e-10, 1, log=True),
)
"""All hyperparameters of Adam and the L2 penalty, on the wide ranges of someone who does not know where to look."""

MODEL = MLPClassifier(hidden_layer_sizes=(64,), solver="adam")


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of one run of one method.

    Attributes:
        method: A key of `METHODS`.
        seed: The seed of the run.
        steps: The number of steps that all models trained together.
        validation_loss: The validation loss of the best model, by which it was chosen.
        test_loss: The test loss of the same model.
        test_error: The share of test digits that it misclassifies, in [0, 1].
        schedule: The configs with which the best model was trained.
    """

    method: str
    seed: int
    steps: int
    validation_loss: float
    test_loss: float
    test_error: float
    schedule: Schedule


@attrs.frozen(kw_only=True)
class Task:
    """A run to make, with `models` models of `steps` steps."""

    method: str
    seed: int
    models: int
    steps: int


@functools.cache
def digits() -> Mapping[str, tuple[Any, Any]]:
    """The 1,797 digits in three parts, with pixels in [0, 1]; the split is always the same."""
    pixels, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(
        pixels / 16, labels, test_size=597, random_state=0, stratify=labels
    )
    training, validation, training_labels, validation_labels = train_test_split(
        rest, rest_labels, test_size=600, random_state=0, stratify=rest_labels
    )
    return {
        "training": (training, training_labels),
        "validation": (validation, validation_labels),
        "test": (test, test_labels),
    }


def cross_entropy(model: Any, pixels: Any, labels: Any) -> float:
    """The mean cross-entropy in nats; NaN if the model has diverged."""
    probabilities = model.predict_proba(pixels)
    return float(log_loss(labels, probabilities)) if np.isfinite(probabilities).all() else math.nan


def train(task: Task, *, progress: bool = False) -> Outcome:
    """Makes one run, in this process and on one thread."""
    parts = digits()
    optimizer = Optimizer(SPACE, population=task.models, steps=task.steps, seed=task.seed, preset=METHODS[task.method])
    factory = WarmStart(MODEL, *parts["training"], validation=parts["validation"], scoring=cross_entropy)
    with threadpool_limits(1):
        result = run(optimizer, factory, store=CheckpointStore(durable=False), progress=progress)
        if result.interrupted:
            raise KeyboardInterrupt
        model = cast("SklearnTrainable", result.restore()).estimator
        return Outcome(
            method=task.method,
            seed=task.seed,
            steps=sum(record.steps for record in optimizer.records),
            validation_loss=result.best.score,
            test_loss=cross_entropy(model, *parts["test"]),
            test_error=float(np.mean(model.predict(parts["test"][0]) != parts["test"][1])),
            schedule=result.schedule,
        )


def show(*, models: int, steps: int, seeds: int, workers: int) -> None:
    """Makes the runs and prints their results.

    Args:
        models: The size of the population, at least 4.
        steps: The steps per model, at least 2; a step is one pass over the training data.
        seeds: The number of runs of each method, at least 1.
        workers: The number of processes that make the runs; 1: this process.
    """
    console = Console()
    start = time.monotonic()
    sizes = ", ".join(f"{len(labels)} for {part}" for part, (_, labels) in digits().items())
    console.print(
        f"Handwritten digits ({sizes}), a network with 64 hidden units trained with Adam. Each run trains {models} "
        f"models for {steps} passes over the data, at most {models * steps} in all. It chooses a model by its loss "
        f"(cross-entropy) on the validation data, and tests it on the test data.\n"
    )
    tasks = [Task(method=method, seed=seed, models=models, steps=steps) for seed in range(seeds) for method in METHODS]
    first = train(tasks[0], progress=True)
    console.print(_schedule(first))
    with _display(console, len(tasks) - 1) as advance:
        outcomes = [first]
        for outcome in _train_all(tasks[1:], workers):
            outcomes.append(outcome)
            advance()
    console.print(_comparison(outcomes))
    for sentence in conclusions(outcomes):
        console.print(sentence)
    console.print(f"\n{len(tasks)} runs in {time.monotonic() - start:.0f} s.", highlight=False)


def _train_all(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    """Yields each outcome as soon as it is available."""
    if workers == 1:
        yield from map(train, tasks)
        return
    # Spawned processes, because a fork of a process with threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(train, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:  # if the caller stops early, runs that have not started never do
            for future in futures:
                future.cancel()


@contextmanager
def _display(console: Console, runs: int) -> Iterator[Callable[[], None]]:
    """A progress bar that counts runs, and the function that advances it."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(f"{runs} more runs for the comparison", total=runs)
        yield lambda: bar.advance(task)


def _schedule(outcome: Outcome) -> Table:
    table = _table(
        f"Schedule of {outcome.method}, seed {outcome.seed}: validation loss {outcome.validation_loss:.3f}, "
        f"test loss {outcome.test_loss:.3f}"
    )
    table.add_column("passes")
    for name in SPACE.names:
        table.add_column(name, justify="right")
    for segment in outcome.schedule.segments:
        table.add_row(span(segment.start_step, segment.steps), *(f"{segment.config[name]:.3g}" for name in SPACE.names))
    return table


def _comparison(outcomes: Sequence[Outcome]) -> Table:
    seeds = len({outcome.seed for outcome in outcomes})
    table = _table(f"At about equal budgets, mean ± standard deviation of {counted(seeds, 'seed')}; lower is better")
    for heading in ("", "passes trained", "validation loss", "test loss", "test error"):
        table.add_column(heading, justify="right" if heading else "left")
    for method in METHODS:
        mine = [outcome for outcome in outcomes if outcome.method == method]
        table.add_row(
            method,
            f"{np.mean([outcome.steps for outcome in mine]):.0f}",
            _spread([outcome.validation_loss for outcome in mine]),
            _spread([outcome.test_loss for outcome in mine]),
            _spread([100 * outcome.test_error for outcome in mine], digits=1) + "%",
        )
    return table


def _table(title: str) -> Table:
    """An empty table, narrow enough for a terminal of 80 characters."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _spread(values: Sequence[float], *, digits: int = 3) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def conclusions(outcomes: Sequence[Outcome]) -> list[str]:
    """One sentence for each method compared with gpbt: the difference in test loss, and how certain it is.

    Args:
        outcomes: The outcomes of every method, with the same seeds.
    """
    losses = {method: np.array(_by_seed(outcomes, method)) for method in METHODS}
    sentences = []
    for other in list(METHODS)[1:]:
        gains = losses[other] - losses["gpbt"]  # positive: gpbt is better
        seeds, mean = len(gains), float(np.mean(gains))
        against = f"gpbt against {other}: test loss {'lower' if mean > 0 else 'higher'} by {abs(mean):.3f}"
        if seeds == 1:
            sentences.append(f"{against} with one seed, which says nothing about other seeds.")
            continue
        wins = int(np.sum(gains > 0))
        reach = float(scipy.stats.t.ppf(0.975, seeds - 1) * np.std(gains, ddof=1) / math.sqrt(seeds))
        verdict = "a clear difference" if abs(mean) > reach else "no clear difference"
        sentences.append(
            f"{against} ± {reach:.3f} (95% interval of the mean, {seeds} seeds; lower in {wins}): {verdict}."
        )
    return sentences


def _by_seed(outcomes: Sequence[Outcome], method: str) -> list[float]:
    mine = (outcome for outcome in outcomes if outcome.method == method)
    return [outcome.test_loss for outcome in sorted(mine, key=lambda outcome: outcome.seed)]
