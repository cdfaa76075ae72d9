"""Pickles objects that the main program defines for processes that may not have that program.

A process must hold only one copy of a class: it cannot pickle an instance of another copy. If the other process imports
the same main program, classes are therefore pickled by name. Otherwise they are pickled by value and registered there
in its main module.
"""

import importlib
import io
import sys
from collections.abc import Collection
from types import FunctionType
from typing import Any

__all__ = ["AbsentError", "adopt_classes", "by_value"]


class AbsentError(AttributeError):
    """The main program of this process lacks what a pickle names there; `name` is its name."""


def by_value(thing: object, *, main_is_there: bool = False, absent: Collection[str] = ()) -> bytes:
    """A pickle that contains the classes and functions that another process cannot import.

    Args:
        thing: The object to pickle.
        main_is_there: Whether the other process imports the main program, whose classes and functions are then
            pickled by name. Lambdas and anything defined inside a function are never pickled by name.
        absent: Names that are still missing there because they are defined below `if __name__ == "__main__":`.
    """
    cloudpickle = _cloudpickle()
    if not main_is_there:
        return bytes(cloudpickle.dumps(thing, protocol=5))

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined]  # the module is chosen at run time
        def reducer_override(self, given: Any) -> Any:
            if isinstance(given, type | FunctionType) and given.__qualname__ not in absent and _is_of_main(given):
                return _of_main, (given.__qualname__,)
            return super().reducer_override(given)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=5).dump(thing)
    return buffer.getvalue()


def adopt_classes() -> None:
    """Registers classes that were pickled by value in this process's main module, unless it defines them.

    Their instances can then be pickled here and unpickled where the main program runs.
    """
    package = _cloudpickle()
    inner: Any = getattr(package, "cloudpickle", package)
    main = sys.modules["__main__"]
    for kind in list(getattr(inner, "_DYNAMIC_CLASS_TRACKER_BY_ID", {}).values()):
        if kind.__module__ == "__main__" and kind.__qualname__.isidentifier():
            vars(main).setdefault(kind.__name__, kind)


def _cloudpickle() -> Any:
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:  # joblib depends on it, and vendors it before 1.6
        return importlib.import_module("joblib.externals.cloudpickle")


def _is_of_main(given: type | FunctionType) -> bool:
    """Whether another process finds a class or function under its name in the main program."""
    found: Any = sys.modules.get("__main__")
    if given.__module__ not in ("__main__", "__mp_main__"):
        return False
    for name in given.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is given


def _of_main(name: str) -> Any:
    found: Any = sys.modules["__main__"]
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AbsentError(f"the main program has no {name!r} here", name=name) from None
    return found
