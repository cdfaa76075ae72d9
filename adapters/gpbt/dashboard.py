"""The dashboard of the studies in a journal, as an ASGI application or served from here."""

from gpbt_adapters.showing.dashboard import application, serve

__all__ = [
    "application",
    "serve",
]
