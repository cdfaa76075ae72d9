"""Resolves names on the command line: built-in problems and methods by name, others as `path/to/file.py:name`.

An external file is imported under a unique name, so that it cannot shadow a module. Importing runs its code.
"""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.method import Method
from benchmarks.methods import METHODS
from benchmarks.problem import Options, Problem, verify_problem
from benchmarks.problems import PROBLEMS
from gpbt_core.errors import ConfigError

__all__ = ["LoadError", "load_method", "load_problem"]


class LoadError(ValueError):
    """A problem or method cannot be found, or has the wrong type."""


@functools.lru_cache(maxsize=64)  # a grid revisits each problem and length for each seed
def load_problem(name: str, options: Options) -> Problem:
    """Builds a problem.

    Args:
        name: One of `PROBLEMS`, or `path/to/file.py:name`, where `name` is a function from `Options` to a problem.
        options: The options of the command line.

    Raises:
        LoadError: There is no such name, or it does not build a problem.
    """
    if ":" in name:
        problem: Problem = _outside("problem", name)(options)
        try:
            verify_problem(problem)
        except ConfigError as error:
            raise LoadError(f"{name}: {error}") from error
        return problem
    if name not in PROBLEMS:
        raise LoadError(f"problem: must be one of {', '.join(PROBLEMS)}, or path/to/file.py:name, got {name!r}")
    return PROBLEMS[name].build(options)


def load_method(name: str) -> Method:
    """Finds a method.

    Args:
        name: One of `METHODS`, or `path/to/file.py:name`, where `name` is a `Method`.

    Raises:
        LoadError: There is no such name, or it is not a `Method`.
    """
    if ":" in name:
        method = _outside("method", name)
        if not isinstance(method, Method):
            raise LoadError(f"method {name!r}: must be a benchmarks.method.Method, got {method!r}")
        return method
    if name not in METHODS:
        raise LoadError(f"method: must be one of {', '.join(METHODS)}, or path/to/file.py:name, got {name!r}")
    return METHODS[name]


def _outside(kind: str, name: str) -> Any:
    place, _, attribute = name.rpartition(":")
    path = Path(place)
    if not path.is_file():
        raise LoadError(f"{kind} {name!r}: what is before the colon must be a Python file, found none at {place!r}")
    module = _import(path.resolve())
    if not hasattr(module, attribute):
        raise LoadError(f"{kind} {name!r}: {place} has no {attribute!r}")
    return getattr(module, attribute)


@functools.cache
def _import(path: Path) -> ModuleType:
    name = "benchmarks_outside_" + "".join(letter if letter.isalnum() else "_" for letter in str(path))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"must be a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclass-like decorators look their module up
    spec.loader.exec_module(module)
    return module
