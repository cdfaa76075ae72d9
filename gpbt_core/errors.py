"""Every deliberate exception of gpbt; the class says whose mistake it is.

The caller's: `ConfigError` (a value is wrong) and `ProtocolError` (a call is wrong now). The plugin's: `PluginError`
(it does not load, or is offered twice) and `SearcherError` (it answered what it must not). Each message says who
was called, what must be, what came, and what to do.
"""

__all__ = ["ConfigError", "ExtinctError", "GpbtError", "NoResultError", "PluginError", "ProtocolError", "SearcherError"]


class GpbtError(Exception):
    """What every deliberate exception of gpbt derives from."""


class ConfigError(GpbtError, ValueError):
    """The caller gave a value that cannot be: a setting, a space, a config, a score, stored data."""


class ProtocolError(GpbtError, RuntimeError):
    """The caller made a call that is not legal in this state; nothing changed."""


class NoResultError(ProtocolError, AttributeError):
    """`best` or `finalists` was asked before there is one; an AttributeError, too, so that `hasattr` answers False."""


class ExtinctError(NoResultError):
    """`best` was asked of a run in which no trial was ever completed."""


class PluginError(GpbtError, RuntimeError):
    """A plugin could not be loaded, or two plugins offer the same name."""


class SearcherError(PluginError):
    """A searcher raised, or proposed a config that is not in the space."""
