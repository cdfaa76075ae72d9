"""Every deliberate exception of gpbt; the class says whose mistake it is.

The caller's: `ConfigError` (a value is wrong) and `ProtocolError` (a call is not allowed in this state). The plugin's:
`PluginError` (it does not load, or its name is taken) and `SearcherError` (it returned something invalid). A searcher
raises `UnsupportedSpaceError` for a space that it cannot search. Each message says what was called, what the value must
be, what it is instead, and what to do.
"""

__all__ = [
    "ConfigError",
    "ExtinctError",
    "GpbtError",
    "NoResultError",
    "PluginError",
    "ProtocolError",
    "SearcherError",
    "UnsupportedSpaceError",
]


class GpbtError(Exception):
    """The base class of all deliberate exceptions of gpbt."""


class ConfigError(GpbtError, ValueError):
    """The caller passed an invalid value: a setting, a space, a config, a score or stored data."""


class UnsupportedSpaceError(ConfigError):
    """A searcher cannot search this space; the message says why. Raise it at every query in that space."""


class ProtocolError(GpbtError, RuntimeError):
    """The caller made a call that is not allowed in this state; nothing changed."""


class NoResultError(ProtocolError, AttributeError):
    """`best` or `finalists` has no value yet; also an AttributeError, so that `hasattr` returns False."""


class ExtinctError(NoResultError):
    """The run ended without a completed trial, so it has no `best`."""


class PluginError(GpbtError, RuntimeError):
    """A plugin could not be loaded or built, its name is unknown or taken, or its answer is invalid."""


class SearcherError(PluginError):
    """A searcher raised, or proposed a config that is not in the space."""
