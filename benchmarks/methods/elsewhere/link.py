"""The script's end of the link to the ledger: JSON lines over the standard streams.

The task comes first; then the script asks and the ledger answers. Once the budget is spent there is no answer, and the
program ends.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

__all__ = ["Link"]


class Link:
    """Reads the task and takes the standard output for itself; what a library prints goes to the standard error.

    Attributes:
        parameters: One per parameter of the space: name, kind ("float", "int", "categorical"), and low, high, log, step
            or choices.
        steps: The length of one model's training.
        models: For how many whole trainings the budget pays.
        seed: For all randomness of the script.
        options: What the method was set to.
    """

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        task = self._read()
        self.parameters: list[dict[str, Any]] = task["parameters"]
        self.steps: int = task["steps"]
        self.models: int = task["models"]
        self.seed: int = task["seed"]
        self.options: dict[str, Any] = task["options"]

    def begin(self, config: Mapping[str, Any] | None = None, *, point: Sequence[float] | None = None) -> int:
        """Begins a model under a value for each parameter, or under a point of the unit cube; its number."""
        asked = (
            {"begin": {name: _plain(value) for name, value in config.items()}} if config else {"point": _list(point)}
        )
        return int(self._ask(asked)["entry"])

    def train(self, entry: int, steps: int = 1) -> float:
        """Trains on for some steps: the last loss, lower is better, infinite where the model has diverged.

        A model that has diverged is not trained any more.
        """
        loss = self._ask({"train": entry, "steps": steps})["loss"]
        return float("inf") if loss is None else float(loss)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self._out.write(json.dumps(question) + "\n")
        self._out.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = sys.stdin.readline()
        if not line:
            self._leave()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _leave(self) -> NoReturn:
        sys.stderr.flush()
        os._exit(0)  # at once, past whatever thread or handler a library has left running


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _list(point: Sequence[float] | None) -> list[float]:
    if point is None:
        raise ValueError("begin: needs a config or a point, got neither")
    return [float(value) for value in point]
