"""Peers that need their own environment: a script there searches, and the ledger here trains.

Each has an environment variable that names the Python of its environment; without it, the running one is used:

    python -m venv env-dehb && env-dehb/bin/pip install DEHB
    BENCHMARKS_PYTHON_DEHB=env-dehb/bin/python python -m benchmarks.run --method dehb

The time of the script, including its start, counts as the method's.
"""

import functools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ledger import Ledger
from benchmarks.method import Method, MethodUnavailable
from benchmarks.methods.support import active, inside
from gpbt_core.space import Categorical, Int, Parameter

__all__ = ["METHODS", "interpreter", "is_available"]

_SCRIPTS = Path(__file__).with_name("elsewhere")


def interpreter(library: str) -> str:
    """The Python that a library's script runs under: the environment variable's, else the running one."""
    return os.environ.get(f"BENCHMARKS_PYTHON_{library.upper()}", sys.executable)


def is_available(library: str) -> bool:
    """Whether that Python has the library."""
    found = subprocess.run(  # noqa: S603  # the interpreter is the user's own choice
        [interpreter(library), "-c", f"import {library}"], capture_output=True, check=False
    )
    return found.returncode == 0


def _run(ledger: Ledger, *, library: str, options: Mapping[str, Any]) -> None:
    if not is_available(library):
        raise MethodUnavailable(
            f"the module {library} is not installed in {interpreter(library)}; install it in an environment of its "
            f"own and name its Python in BENCHMARKS_PYTHON_{library.upper()}"
        )
    with tempfile.TemporaryFile("w+") as said:
        command = [interpreter(library), str(_SCRIPTS / f"run_{library}.py")]
        process = subprocess.Popen(  # noqa: S603  # as above
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        with process:
            try:
                _serve(ledger, process, options)
                code = process.wait()
            finally:
                process.kill()  # if the budget ran out first
        if code:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: ended with status {code}; it said: {said.read()[-2000:]}")


def _serve(ledger: Ledger, process: subprocess.Popen[str], options: Mapping[str, Any]) -> None:
    """Answers a script's questions until it ends.

    Raises:
        BudgetSpent: It asked for more than the budget.
    """
    assert process.stdout is not None  # opened as a pipe
    task = {
        "parameters": [_described(name, parameter) for name, parameter in ledger.space.parameters.items()],
        "steps": ledger.steps,
        "models": ledger.models,
        "seed": ledger.seed,
        "options": dict(options),
    }
    _send(process, task)
    for line in process.stdout:
        _send(process, _answer(ledger, json.loads(line)))


def _send(process: subprocess.Popen[str], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None  # opened as a pipe
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def _answer(ledger: Ledger, question: Mapping[str, Any]) -> dict[str, Any]:
    if "begin" in question:
        values = {name: inside(ledger.space.parameters[name], value) for name, value in question["begin"].items()}
        return {"entry": ledger.begin(active(ledger.space, values))}
    if "point" in question:
        return {"entry": ledger.begin(ledger.space.decode(np.clip(question["point"], 0, 1)))}
    loss = ledger.loss(ledger.train(question["train"], question["steps"]))
    return {"loss": loss if math.isfinite(loss) else None}


def _described(name: str, parameter: Parameter) -> dict[str, Any]:
    """A parameter in the format of the scripts."""
    if isinstance(parameter, Categorical):
        return {"name": name, "kind": "categorical", "choices": list(parameter.choices)}
    kind = "int" if isinstance(parameter, Int) else "float"
    return {
        "name": name,
        "kind": kind,
        "low": parameter.low,
        "high": parameter.high,
        "log": parameter.log,
        "step": parameter.step,
    }


def _method(summary: str, library: str, **options: Any) -> Method:
    return Method(
        summary=summary,
        run=functools.partial(_run, library=library, options=options),
        settings={"library": library, **options},
    )


METHODS = {
    "syne-tune-asha": _method("ASHA, by Syne Tune", "syne_tune", scheduler="asha"),
    "syne-tune-bohb": _method("BOHB, by Syne Tune", "syne_tune", scheduler="bohb"),
    "dehb": _method("DEHB, by its own library", "dehb"),
    "hebo": _method("HEBO, constant HPs, by its own library", "hebo"),
}
