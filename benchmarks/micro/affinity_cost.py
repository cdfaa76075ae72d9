"""What it saves to continue a large model in memory: seconds per trial with and without `run(keep_models=...)`.

    python -m benchmarks.micro.affinity_cost [--megabytes 100] [--repeats 3] [--presets pbt]

A PyTorch network whose checkpoint has so many megabytes trains one cheap batch per step (SGD without momentum), so that
nearly all the time is the way of the weights: made, loaded, verified, saved, flushed. For each preset, runs with and
without models in memory take turns. The workers start anew in each run, which counts for both. Shown are the means over
repeats with their standard errors, by the clock and in processor time of the workers (which a busy machine disturbs
less), the share of the children that continued in memory, and, of one trial in this process, the processor time of each
part. Exits with an error where a result depends on the memory.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.pytorch import OptimizerField, Parts, TorchTrainable
from gpbt_core import Float, Optimizer, Space

__all__ = ["main"]

SPACE = Space(lr=Float(1e-4, 1e-1, log=True), weight_decay=Float(0, 1e-2))
WIDTH = 1024


def network(megabytes: int) -> nn.Module:
    """A network whose weights have so many megabytes."""
    layers = max(1, megabytes * 10**6 // (4 * WIDTH * WIDTH))
    return nn.Sequential(
        *(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(layers)), nn.Linear(WIDTH, 1)
    )


def batches() -> DataLoader[tuple[torch.Tensor, ...]]:
    """One batch of eight rows."""
    drawn = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(8, WIDTH, generator=drawn), torch.ones(8, 1)), batch_size=8)


@torch.no_grad()
def error(parts: Parts) -> float:
    """The mean squared error on one row."""
    return float(((parts.model(torch.ones(1, WIDTH)) - 1) ** 2).mean())


def trainable(megabytes: int) -> TorchTrainable:
    """The trainable of the network."""
    return TorchTrainable(
        model=partial(_model, megabytes),
        optimizer=_sgd,
        loader=batches,
        loss=nn.MSELoss(),
        score=error,
        bindings={"lr": OptimizerField("lr"), "weight_decay": OptimizerField("weight_decay")},
    )


def _model(megabytes: int, _: object) -> nn.Module:
    return network(megabytes)


def _sgd(model: nn.Module, _: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01)


def parts(megabytes: int) -> Iterator[tuple[str, float]]:
    """What the parts of one trial cost in this process, in seconds."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = CheckpointStore(Path(folder) / "store")
        config = {"lr": 0.01, "weight_decay": 0.0}
        start = time.process_time()
        model = trainable(megabytes)
        model.setup(config, 0)
        yield "set up", time.process_time() - start
        start = time.process_time()
        model.step()
        yield "step", time.process_time() - start
        start = time.process_time()
        with store.writing(0) as path:
            model.save(path)
            written = time.process_time()
        yield "save", written - start
        yield "verify and flush", time.process_time() - written
        start = time.process_time()
        with store.reading(0) as path:
            verified = time.process_time()
            fresh = trainable(megabytes)
            fresh.load(path)
        yield "verify", verified - start
        yield "load", time.process_time() - verified


def _run(preset: str, given: argparse.Namespace, keep: int) -> tuple[Result, float, float]:
    """The result, and the seconds per trial by the clock and of the workers' processors."""
    optimizer = Optimizer(
        SPACE,
        population=given.population,
        steps=given.steps,
        preset=preset,  # type: ignore[arg-type]
        searcher="random",
        max_concurrent=given.workers,
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        start, before = time.perf_counter(), _children()
        factory = partial(trainable, given.megabytes)
        store = Path(folder) / "store"
        result = run(optimizer, factory, workers=given.workers, store=store, keep_models=keep, progress=False)
        trials = len(optimizer.records)
        return result, (time.perf_counter() - start) / trials, (_children() - before) / trials


def _children() -> float:
    """Processor time of the processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _mean(took: Sequence[float]) -> str:
    error = statistics.stdev(took) / len(took) ** 0.5 if len(took) > 1 else 0.0
    return f"{statistics.mean(took):.2f} +- {error:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--population", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=int, help="models in memory per worker; default: population / workers + 1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--presets", nargs="+", default=["gpbt", "pbt"])
    given = parser.parse_args(arguments)
    keep = given.keep or given.population // given.workers + 1
    print(
        "one trial, s:  " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts(given.megabytes)), flush=True
    )
    print("preset    trials  models        s per trial   processor s per trial  continued", flush=True)
    same = True
    for preset in given.presets:
        clock: dict[int, list[float]] = {0: [], keep: []}
        processor: dict[int, list[float]] = {0: [], keep: []}
        results: dict[int, Result] = {}
        for repeat in range(given.repeats):
            for kept in (0, keep) if repeat % 2 == 0 else (keep, 0):
                results[kept], by_clock, of_processor = _run(preset, given, kept)
                clock[kept].append(by_clock)
                processor[kept].append(of_processor)
        records = list(results[0].optimizer.records)
        same = same and records == list(results[keep].optimizer.records)
        children = max(1, sum(record.trial.parent is not None for record in records))
        for kept, result in results.items():
            where = "in memory" if kept else "from files"
            share = f"{result.from_memory / children:.0%}"
            row = f"{preset:8} {len(records):7}  {where:10} {_mean(clock[kept]):>14} {_mean(processor[kept]):>23}"
            print(f"{row} {share:>10}", flush=True)
    print("the results are the same" if same else "the results differ")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
