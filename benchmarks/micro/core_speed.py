"""What the core costs per trial, beside Optuna in the same run: time, memory, replay and import.

    python -m benchmarks.micro.core_speed

Rivals take turns, so that a busy machine slows both alike, and processor time is counted, not time on the wall. What
counts are the ratios; each figure is a median of repeats, with the smallest and the largest behind it.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from gpbt_core import Float, Genealogical, Optimizer, Space

__all__ = ["Ratio", "flatness", "import_cost", "main", "memory", "pair_cost", "replay_cost"]

FIVE = Space({f"x{k}": Float(0, 1) for k in range(5)})

Pairs = Callable[[int], None]
"""Asks and tells the given number of trials, continuing from the last call."""


@attrs.frozen
class Ratio:
    """Two figures that were measured in turns.

    Attributes:
        ours: One per repeat.
        theirs: One per repeat.
    """

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of theirs to ours for each repeat."""
        return tuple(b / a for a, b in zip(self.ours, self.theirs, strict=True))


def _ours(optimizer: Optimizer) -> Pairs:
    def run(count: int) -> None:
        for _ in range(count):
            (trial,) = optimizer.ask()
            optimizer.tell(trial.id, trial.config["x0"])

    return run


def _random(trials: int) -> Pairs:
    """One generation of the preset `random`."""
    return _ours(Optimizer(FIVE, population=trials, steps=1, preset="random"))


def _generations(trials: int) -> Pairs:
    """Many generations of 25 with the rule of the default, and random configs."""
    rule = Genealogical(segments=1)
    steps = -(-trials // 25)
    return _ours(Optimizer(FIVE, population=25, steps=steps, preset="random", reproduction=rule))


def _optuna() -> Pairs:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    scale = {f"x{k}": optuna.distributions.FloatDistribution(0, 1) for k in range(5)}

    def run(count: int) -> None:
        for _ in range(count):
            trial = study.ask(scale)  # type: ignore[arg-type]  # a dict is invariant in its values
            study.tell(trial, trial.params["x0"])

    return run


def _seconds(run: Pairs, count: int) -> float:
    """Seconds of processor time per pair."""
    gc.collect()
    start = time.process_time()
    run(count)
    return (time.process_time() - start) / count


def pair_cost(pairs: int, repeats: int) -> Ratio:
    """Seconds per pair of ask and tell: ours and Optuna's RandomSampler in memory, in 5 dimensions.

    Args:
        pairs: How many a turn has.
        repeats: How many turns each takes.
    """
    ours, theirs = _random(pairs * (repeats + 1)), _optuna()
    ours(pairs)
    theirs(pairs)
    found = [(_seconds(ours, pairs), _seconds(theirs, pairs)) for _ in range(repeats)]
    return Ratio(*zip(*found, strict=True))


def flatness(make: Callable[[int], Pairs], few: int, many: int, repeats: int) -> Ratio:
    """Seconds per pair around `few` trials, and around `many`.

    Args:
        make: Makes a run that has room for so many trials.
        few: Told before the first clock.
        many: Told before the second one.
        repeats: How many turns each takes, of `few` / 2 pairs.
    """
    turn = max(1, few // 2)
    large = make(many + (repeats + 1) * turn)
    large(many)
    found = []
    for _ in range(repeats):
        small = make(many + (repeats + 1) * turn)
        small(few - turn // 2)
        found.append((_seconds(small, turn), _seconds(large, turn)))
    return Ratio(*zip(*found, strict=True))


def memory(trials: int) -> tuple[float, float]:
    """Bytes per trial that an optimizer and an Optuna study hold."""
    held: list[float] = []
    for make in (partial(_random, trials), _optuna):
        make()(min(100, trials))  # one-time imports and caches do not count
        gc.collect()
        tracemalloc.start()
        run = make()
        run(trials)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] / trials)
        tracemalloc.stop()
    return held[0], held[1]


class _Silent:
    def propose(self, query: Any, rng: Any) -> Any:  # noqa: ARG002 - a searcher's signature
        raise AssertionError("a replay asks no searcher")


def replay_cost(events: int, repeats: int) -> tuple[float, ...]:
    """Seconds to replay events into a new optimizer: generations of 25, asked and told."""
    rule = Genealogical(segments=1)
    setup: dict[str, Any] = {"population": 25, "steps": -(-events // 50), "preset": "random", "reproduction": rule}
    optimizer = Optimizer(FIVE, **setup)
    _ours(optimizer)(events // 2)
    happened, best = list(optimizer.events), optimizer.state.best
    del optimizer  # otherwise the garbage collector would traverse its records too
    seconds = []
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        again = Optimizer.from_events(FIVE, happened, searcher=_Silent(), **setup)
        seconds.append(time.process_time() - start)
        assert again.state.best == best
        del again
    return tuple(seconds)


_IMPORT = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def import_cost(repeats: int) -> Ratio:
    """Seconds of `import numpy` and of `import gpbt_core`, each in a fresh interpreter."""
    with tempfile.TemporaryDirectory() as compiled:  # what is compiled is kept, whatever the caller's settings say
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def seconds(module: str) -> float:
            program = [sys.executable, "-c", _IMPORT.format(module)]
            done = subprocess.run(program, check=True, capture_output=True, text=True, env=environment)  # noqa: S603 - ours
            return float(done.stdout)

        seconds("gpbt_core")
        found = [(seconds("numpy"), seconds("gpbt_core")) for _ in range(repeats)]
    return Ratio(*zip(*found, strict=True))


def _spread(values: Sequence[float], unit: float = 1.0, digits: int = 1) -> str:
    middle, low, high = statistics.median(values) * unit, min(values) * unit, max(values) * unit
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _print(name: str, ratio: Ratio, labels: tuple[str, str], unit: float, suffix: str, goal: str) -> None:
    print(
        f"{name}: {labels[0]} {_spread(ratio.ours, unit)} {suffix}, {labels[1]} {_spread(ratio.theirs, unit)} {suffix},"
    )
    print(f"    ratio {_spread(ratio.ratios, 1, 2)}; expected {goal}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="core_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9, help="turns of each measurement")
    parser.add_argument("--trials", type=int, default=100_000, help="trials of the large runs, and events to replay")
    given = parser.parse_args(arguments)
    repeats, many = given.repeats, given.trials
    few = max(2, many // 100)
    rivals = ("gpbt", "Optuna")
    _print("a pair of ask and tell, random", pair_cost(few, repeats), rivals, 1e6, "us", "at least 4")
    sizes = (f"at {few}", f"at {many}")
    for name, make in (("one generation", _random), ("generations of 25", _generations)):
        _print(f"a pair in {name}", flatness(make, few, many, repeats), sizes, 1e6, "us", "at most 1.2")
    ours, theirs = memory(max(2, many // 10))
    print(f"memory of a trial: gpbt {ours:.0f} bytes, Optuna {theirs:.0f} bytes; expected at most 1500", flush=True)
    replayed = replay_cost(many, max(1, repeats // 3))
    print(f"replay of {many} events: {_spread(replayed, 1, 2)} s; expected at most {many / 1e5:.2f}", flush=True)
    _print("import", import_cost(repeats), ("numpy", "gpbt_core"), 1e3, "ms", "at most 2")


if __name__ == "__main__":
    main()
