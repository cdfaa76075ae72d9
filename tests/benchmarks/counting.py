"""A problem whose every step is known, and ways to spend its steps; loaded by tests as a file from outside, too."""

import math
from collections.abc import Mapping
from typing import Any

import attrs

from benchmarks.ledger import Ledger
from benchmarks.method import Method
from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Space

_SPACE = Space(rate=Float(0, 10))


@attrs.frozen(kw_only=True)
class Counting:
    """The state is the sum of the rates so far plus the seed, which is the score; above the limit it diverges."""

    space: Space = attrs.field(factory=lambda: Space(rate=Float(0, 10)))
    direction: Direction = "minimize"
    models: int = 4
    steps: int = 3
    limit: float = math.inf

    def start(self, seed: int) -> float:
        return float(seed)

    def train(self, state: float, config: Mapping[str, Any]) -> tuple[float, float]:
        state += config["rate"]
        return state, state if state <= self.limit else math.nan

    def test(self, state: float) -> float:
        return -state


def build(options: Options) -> Counting:
    return Counting(steps=2 if options.smoke else 3)


def spend(ledger: Ledger) -> None:
    while True:
        ledger.train(ledger.begin({"rate": 1.0}), ledger.steps)


def give_up(ledger: Ledger) -> None:
    raise RuntimeError(f"out of ideas after {ledger.used} steps")


spender = Method(summary="spends it all", run=spend, packages=("numpy", "nobody-has-this"), settings={"rate": 1.0})
quitter = Method(summary="raises", run=give_up)
no_method = 7
