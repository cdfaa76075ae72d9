"""Connecting to a database: URLs, the settings of SQLite, and the file systems on which SQLite must not be used.

Apart from the clocks, only this module distinguishes the two kinds of databases.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from gpbt_core.errors import ConfigError

__all__ = ["Durability", "connect", "file_system", "made_url", "open_to_read"]

logger = logging.getLogger(__name__)

Durability = Literal["full", "process"]

WAIT = 60.0
"""Seconds to wait for other writers of a SQLite file."""

PAGES = 4000
"""Pages (16 MiB) after which SQLite moves its log into the file. This takes three flushes; a transaction takes one."""

NETWORK = (
    frozenset({"9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs"})
    | {"nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs"}
    | {"fuse.ceph", "fuse.glusterfs", "fuse.sshfs"}
)
"""File systems whose locks or shared memory do not work across machines."""


def connect(url: str | os.PathLike[str], durability: Durability, *, read_only: bool = False) -> Engine:
    """Creates an engine for a database.

    Args:
        url: "sqlite:///path", a plain path, or "postgresql://user@host/database".
        durability: With "full", commits survive a power cut; with "process", only the death of processes.
        read_only: Whether to open a SQLite file without writing anything, not even files beside it.

    Raises:
        ConfigError: The URL is invalid, its driver is not installed, or a SQLite file is on a network file system.
    """
    if durability not in ("full", "process"):
        raise ConfigError(f'journal: durability must be "full" or "process", got {durability!r}')
    made = made_url(url)
    kind = made.get_backend_name()
    try:
        if kind == "sqlite":
            return _sqlite_to_read(made) if read_only else _sqlite(made, durability)
        if kind == "postgresql":
            return _postgresql(made, durability)
    except ImportError as error:
        raise ConfigError(
            f"journal: {error.name} is missing, which {made!r} needs: pip install 'gpbt[postgres]'"
        ) from error
    raise ConfigError(f"journal: url must be a URL of sqlite or postgresql, got {made!r}")


def file_system(path: Path, mounts: Iterable[str]) -> str:
    """The type of the file system that holds a path; "" if it cannot be determined.

    Args:
        path: An absolute, resolved path; it need not exist.
        mounts: The lines of /proc/mounts.

    >>> file_system(Path("/data/run.db"), ["disk / ext4 rw 0 0", r"host:/x /data nfs4 rw 0 0"])
    'nfs4'
    """
    kind, depth = "", -1
    for line in mounts:
        fields = line.split()
        place = Path(fields[1].replace("\\040", " "))  # the kernel escapes a space like this
        if path.is_relative_to(place) and len(place.parts) >= depth:  # of two mounts at a path, the later one applies
            kind, depth = fields[2], len(place.parts)
    return kind


def made_url(url: str | os.PathLike[str]) -> URL:
    """Parses a URL, or makes one from the path of a SQLite file; the path becomes absolute.

    Raises:
        ConfigError: The text is not a URL, or does not name a file.
    """
    made = _parsed(url)
    if made.get_backend_name() != "sqlite":
        return made
    if made.database in (None, "", ":memory:") or str(made.database).startswith("file:"):
        raise ConfigError(
            f"journal: url must have the path of a SQLite file, got {made!r}; without a file, use Optimizer itself"
        )
    return made.set(database=str(Path(str(made.database)).absolute()))


def _parsed(url: str | os.PathLike[str]) -> URL:
    if not isinstance(url, (str, os.PathLike)):
        raise ConfigError(f"journal: url must be the URL of a database or the path of a SQLite file, got {url!r}")
    text = os.fspath(url)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        return make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            f"journal: url must be the URL of a database or the path of a SQLite file: {error}"
        ) from error


def _sqlite(url: URL, durability: Durability) -> Engine:
    path = Path(str(url.database))
    _check_place(path)
    made = create_engine(url, connect_args={"timeout": WAIT})
    synchronous = "FULL" if durability == "full" else "OFF"

    @event.listens_for(made, "connect")
    def _(connection: Any, _: object) -> None:
        connection.isolation_level = None  # `Journal` begins transactions explicitly
        _keep_log_ahead(connection)
        for setting in (
            f"synchronous={synchronous}",
            f"wal_autocheckpoint={PAGES}",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {setting}").close()

    return made


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens a SQLite file without writing anything; also works on a read-only disk.

    Args:
        path: An absolute path.

    Raises:
        sqlite3.Error: The file cannot be opened.
    """
    log = Path(f"{path}-wal")
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        flags = "mode=rw"  # the last reader can then remove the shared files that SQLite creates beside it
    elif log.exists() and log.stat().st_size:
        flags = "mode=ro"
    else:  # without a log the file is complete, and SQLite need not create its shared files
        flags = "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.as_uri()}?{flags}", uri=True, timeout=WAIT, check_same_thread=False)
    connection.execute("PRAGMA query_only=ON").close()
    return connection


def _sqlite_to_read(url: URL) -> Engine:
    path = Path(str(url.database))
    return create_engine("sqlite://", creator=lambda: open_to_read(path), poolclass=QueuePool)


def _keep_log_ahead(connection: sqlite3.Connection) -> None:
    """Enables the write-ahead log (WAL). If several processes create a file, SQLite immediately fails all but one."""
    end = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"journal: the file must be in a directory that exists, got {str(path)!r}")
    try:
        mounts = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return  # it cannot be determined here
    kind = file_system(path.resolve(), mounts)
    if kind in NETWORK:
        raise ConfigError(
            f"journal: {str(path)!r} is on a network file system ({kind}), where SQLite's locks do not hold "
            f"and studies are lost; use a local file, or PostgreSQL for many machines"
        )
    if kind.startswith("fuse") or kind == "virtiofs":
        logger.warning(
            "journal: %s is on %s; if that is a network, SQLite's locks do not hold there and studies may be lost",
            path,
            kind,
        )


def _postgresql(url: URL, durability: Durability) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        made = create_engine(url, pool_pre_ping=True)
    except NoSuchModuleError as error:
        raise ConfigError(f"journal: {error}") from error
    if durability == "process":

        @event.listens_for(made, "connect")
        def _(connection: Any, _: object) -> None:
            connection.execute("SET synchronous_commit = off")
            connection.commit()

    return made
