"""Leaves out the examples in docstrings of searchers whose library is not installed here."""

from importlib.util import find_spec

collect_ignore = ["gpbt_searchers/cmaes.py"] if find_spec("cmaes") is None else []
