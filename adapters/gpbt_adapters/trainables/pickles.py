"""Pickles for other processes of things that the main program defines, which other processes may not have.

A class has to be one object in a process: what is an instance of another copy of it cannot be pickled there. So where
the other process imports the same main program, its classes travel by name, and elsewhere they are made known as the
main program's.
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
        thing: What to pickle.
        main_is_there: Whether the other process imports the main program, whose classes and functions then travel by
            name; lambdas, and what is defined inside functions, never do.
        absent: Names that it lacks there all the same, being defined below `if __name__ == "__main__":`.
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
    """Makes classes that came by value known as those of this process's main program, as far as it has none.

    What they make can then be pickled here, and be read where the main program is.
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
    except ImportError:  # joblib brings it, before 1.6 as a part of itself
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
