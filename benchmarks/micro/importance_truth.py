"""Measures how often the importance of a run names a hyperparameter, and how often that one is idle.

    python -m benchmarks.micro.importance_truth --models 25 --seeds 20 --method siblings,ped-anova,gp

Of 8 hyperparameters, 2 matter, and nothing is noisy. A cell is a generation of a run. Each line has the share of the
cells in which a name is above the floor, the share of those in which the first name is idle, and the share of the cells
in which the largest share is that of an idle one, whether it is above the floor or not.
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from gpbt_adapters.views.importances import importance
from gpbt_core import Categorical, Float, Int, Optimizer, Space, Verdict
from gpbt_searchers import gp

__all__ = ["main"]

SPACE = Space(
    first=Float(0, 1),
    second=Float(1e-4, 1, log=True),
    idle_share=Float(0, 1),
    idle_rate=Float(1e-5, 1e-1, log=True),
    idle_size=Int(1, 64),
    idle_offset=Float(-1, 1),
    idle_kind=Categorical(["x", "y", "z"]),
    idle_decay=Float(0, 1),
)
MATTERING = frozenset({"first", "second"})
STEPS = 10
METHODS: Mapping[str, Any] = MappingProxyType({"siblings": "siblings", "ped-anova": "ped-anova", "gp": gp.importance})

Training = Callable[[float, float, float, float], tuple[float, float]]
"""A step: from the state, the two values in the unit cube and the share of training done, to the state and the loss."""


def _peak(distance: float) -> float:
    return math.exp(-((distance / 0.2) ** 2))


def _bowl(state: float, x: float, y: float, done: float) -> tuple[float, float]:  # noqa: ARG001  # a `Training`
    return state, (x - 0.3) ** 2 + (y - 0.7) ** 2


def _slope(state: float, x: float, y: float, done: float) -> tuple[float, float]:  # noqa: ARG001  # likewise
    return state, -x - y


def _peaks(state: float, x: float, y: float, done: float) -> tuple[float, float]:  # noqa: ARG001  # likewise
    return state, -_peak(x - 0.35) - _peak(y - 0.6)


def _product(state: float, x: float, y: float, done: float) -> tuple[float, float]:  # noqa: ARG001  # likewise
    return state, -x * y


def _diverging(state: float, x: float, y: float, done: float) -> tuple[float, float]:  # noqa: ARG001  # likewise
    return state, (math.nan if x > 0.8 else (y - 0.5) ** 2 - x)


def _descent(state: float, x: float, y: float, done: float) -> tuple[float, float]:  # noqa: ARG001  # likewise
    state *= 1 - 0.5 * _peak(x - 0.6) * (0.3 + 0.7 * y)
    return state, state


def _drift(state: float, x: float, y: float, done: float) -> tuple[float, float]:
    state += (x - 0.8 + 0.6 * done) ** 2 + (y - 0.4) ** 2
    return state, state


SHAPES: Mapping[str, Training] = MappingProxyType(
    {
        "bowl": _bowl,
        "slope": _slope,
        "peaks": _peaks,
        "product": _product,
        "diverging": _diverging,
        "descent": _descent,  # the loss is inherited, and falls by a factor
        "drift": _drift,  # the loss is inherited, and the best value moves
    }
)


@attrs.define
class _Count:
    cells: int = 0
    named: int = 0
    idle: int = 0
    largest_idle: int = 0
    seconds: float = 0.0

    def add(self, other: "_Count") -> None:
        for name in attrs.asdict(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        idle = f"{self.idle / self.named:6.1%}" if self.named else "     -"
        return f"{self.cells:6} {self.named / self.cells:8.1%} {idle}   {self.largest_idle / self.cells:8.1%}"


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.micro.importance_truth", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--preset", default="gpbt", help="the preset of the runs")
    parser.add_argument("--models", default="8,25,50", help="populations, comma-separated")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--method", default="siblings", help=f"of {', '.join(METHODS)}, comma-separated")
    options = parser.parse_args(arguments)
    methods = {name: METHODS[name] for name in options.method.split(",")}
    print("method     models shape        cells    named   idle  largest idle")
    for models in map(int, options.models.split(",")):
        totals = {name: _Count() for name in methods}
        for shape, training in SHAPES.items():
            counts = {name: _Count() for name in methods}
            for seed in range(options.seeds):
                optimizer = _run(training, models, seed, options.preset)
                for name, method in methods.items():
                    counts[name].add(_judged(optimizer, method))
            for name, count in counts.items():
                print(f"{name:10} {models:6} {shape:9} {count}", flush=True)
                totals[name].add(count)
        for name, total in totals.items():
            each = total.seconds / options.seeds / len(SHAPES)
            print(f"{name:10} {models:6} all       {total}   {each:.2f} s of processor time per run", flush=True)


def _run(training: Training, models: int, seed: int, preset: Any) -> Optimizer:
    optimizer = Optimizer(SPACE, population=models, steps=STEPS, seed=seed, preset=preset)
    states: dict[int | None, float] = {None: 1.0}
    while not optimizer.finished:
        for trial in optimizer.ask():
            x, y = SPACE.encode([trial.config])[0][:2].tolist()
            state, loss = states[trial.parent], math.nan
            for step in range(trial.steps):
                state, loss = training(state, x, y, (trial.start_step + step) / STEPS)
                if math.isnan(loss) or optimizer.report(trial.id, step + 1, loss) is Verdict.STOP:
                    break
            states[trial.id] = state
            optimizer.tell(trial.id, loss)
    return optimizer


def _judged(optimizer: Optimizer, method: Any) -> _Count:
    began = time.process_time()
    found = importance(optimizer, method)
    count = _Count(seconds=time.process_time() - began)
    for one in found.values():
        count.cells += 1
        count.named += one.enough
        count.idle += one.enough and one.named[0] not in MATTERING
        count.largest_idle += max(one, key=one.__getitem__) not in MATTERING
    return count


if __name__ == "__main__":
    main()
