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


@attrs.frozen(kw_only=True)
class InPlace(Counting):
    """The mistake that is easily made with arrays: the state that goes in is changed."""

    def start(self, seed: int) -> Any:
        return [float(seed)]

    def train(self, state: Any, config: Mapping[str, Any]) -> tuple[Any, float]:
        state[0] += 1.0 + 0 * config["rate"]
        return state, state[0]

    def test(self, state: Any) -> float:
        return float(state[0])


@attrs.frozen(kw_only=True)
class Untestable(Counting):
    """Its test score is no number."""

    def test(self, state: float) -> float:  # noqa: ARG002  # whatever the state
        return math.nan


def build(options: Options) -> Counting:
    return Counting(steps=2 if options.smoke else 3)


def downward(options: Options) -> Counting:  # noqa: ARG001  # all builders take them
    return Counting(direction="down")  # type: ignore[arg-type]  # the mistake under test


def nothing(options: Options) -> None:
    """Forgets to return what it built."""


def in_place(options: Options) -> InPlace:  # noqa: ARG001  # as above
    return InPlace()


def untestable(options: Options) -> Untestable:  # noqa: ARG001  # as above
    return Untestable()


def spend(ledger: Ledger) -> None:
    while True:
        ledger.train(ledger.begin({"rate": 1.0}), ledger.steps)


def give_up(ledger: Ledger) -> None:
    raise RuntimeError(f"out of ideas after {ledger.used} steps")


spender = Method(summary="spends it all", run=spend, packages=("numpy", "nobody-has-this"), settings={"rate": 1.0})
quitter = Method(summary="raises", run=give_up)
unwritable = Method(summary="has settings that JSON cannot write", run=give_up, settings={"run": give_up})
no_method = 7
