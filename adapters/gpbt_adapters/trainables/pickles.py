"""Pickles that hold classes of the main program by value, so that another process can load them."""

import importlib
from typing import Any

__all__ = ["by_value"]


def by_value(thing: object) -> bytes:
    """A pickle that has classes and functions of the main program, or defined inside others, in it, not their names."""
    try:
        cloudpickle: Any = importlib.import_module("cloudpickle")
    except ImportError:  # joblib brings it, before 1.6 as a part of itself
        cloudpickle = importlib.import_module("joblib.externals.cloudpickle")
    return bytes(cloudpickle.dumps(thing, protocol=5))
