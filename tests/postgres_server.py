"""A real PostgreSQL server for tests; see `benchmarks.postgres`."""

import contextlib
from collections.abc import Iterator

from benchmarks import postgres
from benchmarks.postgres import NoServerError

__all__ = ["NoServerError", "postgres_server"]


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Starts a server; yields the URL of its database.

    Raises:
        NoServerError: There is none to start.
    """
    with postgres.postgres_server() as server:
        yield server.url
