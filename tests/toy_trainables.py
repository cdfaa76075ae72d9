"""Small trainables for tests: they train in microseconds, and their state is three numbers."""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpbt_adapters.trainables.trainable import Trainable


class Descent(Trainable):
    """Noisy gradient descent on w**2 from a random start, with momentum; the score is -|w|, higher is better.

    Hyperparameters: `lr`, and where the config has it `momentum`.
    """

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.weight = 1 + self.rng.random()
        self.velocity = 0.0
        self.live = dict(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        self.live = dict(config)

    def applied(self) -> Mapping[str, Any]:
        return self.live

    def step(self) -> float:
        gradient = 2 * self.weight + 0.01 * self.rng.standard_normal()
        self.velocity = self.live.get("momentum", 0.0) * self.velocity - self.live["lr"] * gradient
        self.weight += self.velocity
        return self.score()

    def score(self) -> float:
        return -abs(self.weight)

    def save(self, path: Path) -> None:
        state = {
            "weight": self.weight,
            "velocity": self.velocity,
            "rng": self.rng.bit_generator.state,
            "live": self.live,
        }
        (path / "state.json").write_text(json.dumps(state))

    def load(self, path: Path) -> None:
        state = json.loads((path / "state.json").read_text())
        self.weight, self.velocity, self.live = state["weight"], state["velocity"], state["live"]
        self.rng = np.random.default_rng()
        self.rng.bit_generator.state = state["rng"]


class Slow(Descent):
    """Takes ten milliseconds a step."""

    def step(self) -> float:
        time.sleep(0.01)
        return super().step()


class Dying(Descent):
    """Kills its process in a step, once for each file that it can still take from the directory in GPBT_TEST_DEATHS."""

    def step(self) -> float:
        for death in Path(os.environ["GPBT_TEST_DEATHS"]).iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process took it
                death.unlink()
                os._exit(1)
        return super().step()


class Deadly(Descent):
    """Kills its process in each step under the learning rate in GPBT_TEST_DEADLY."""

    def step(self) -> float:
        if repr(self.live["lr"]) == os.environ["GPBT_TEST_DEADLY"]:
            os._exit(1)
        return super().step()


class Hanging(Descent):
    """Hangs in each step under the learning rate in GPBT_TEST_DEADLY."""

    def step(self) -> float:
        if repr(self.live["lr"]) == os.environ["GPBT_TEST_DEADLY"]:
            time.sleep(3600)
        return super().step()


class Raising(Descent):
    """Raises in its second step under the learning rate in GPBT_TEST_DEADLY."""

    steps = 0

    def step(self) -> float:
        self.steps += 1
        if self.steps == 2 and repr(self.live["lr"]) == os.environ["GPBT_TEST_DEADLY"]:
            raise FloatingPointError("the loss blew up")
        return super().step()


class Full(Descent):
    """Finds the disk full as long as the file named by GPBT_TEST_FULL is there."""

    def save(self, path: Path) -> None:
        super().save(path)
        if Path(os.environ["GPBT_TEST_FULL"]).exists():
            with Path("/dev/full").open("w") as file:
                file.write("x")
