"""The tables of a journal, their version, and the way from an older version to this one.

A journal is written only in its newest version; `prepare` brings it there, in one transaction, whoever comes first.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Column, Connection, Float, ForeignKey, Integer, MetaData, Table, Text, insert, inspect, select
from sqlalchemy import update as sql_update

from gpbt_core.errors import ConfigError

__all__ = ["MIGRATIONS", "VERSION", "events", "leases", "metadata", "prepare", "snapshots", "studies", "version"]

VERSION = 1
"""Of the tables. Rises with every change of them; `MIGRATIONS` then gets the way there."""

MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {}
"""For each older version, what makes the next one of it."""

metadata = MetaData()

version = Table("gpbt_version", metadata, Column("version", Integer, nullable=False))

studies = Table(
    "gpbt_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("header", Text, nullable=False),  # JSON: the settings and the searchers
    sqlite_autoincrement=True,  # a deleted study's id never comes back: somebody may still hold it
)


def _study() -> "Column[int]":
    return Column("study", ForeignKey("gpbt_studies.id", ondelete="CASCADE"), primary_key=True)


events = Table(
    "gpbt_events",
    metadata,
    _study(),
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("written", Float, nullable=False),  # seconds since 1970
    Column("payload", Text, nullable=False),  # JSON, as gpbt_core.codec has it
    sqlite_with_rowid=False,  # one tree instead of two: fewer pages to write for each event
)

leases = Table(
    "gpbt_leases",
    metadata,
    _study(),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("worker", Text, nullable=False),
    Column("expires", Float, nullable=False),  # seconds since 1970; PostgreSQL: by the server's clock
    sqlite_with_rowid=False,
)

snapshots = Table(
    "gpbt_snapshots",
    metadata,
    _study(),
    Column("sequence", Integer, nullable=False),  # the last event in it
    Column("payload", Text, nullable=False),  # JSON, as gpbt_core.codec has it
)


def prepare(connection: Connection) -> None:
    """Makes the tables where there are none, and brings older ones to this version; within the caller's transaction.

    Raises:
        ConfigError: The tables are of a version that this gpbt does not know.
    """
    if not inspect(connection).has_table(version.name):
        metadata.create_all(connection)
        connection.execute(insert(version).values(version=VERSION))
        return
    found = connection.execute(select(version.c.version)).scalar_one()
    for old in range(found, VERSION):
        if old not in MIGRATIONS:
            raise ConfigError(f"journal: its tables have version {found}, and there is no way from {old} to {old + 1}")
        MIGRATIONS[old](connection)
    if found > VERSION:
        raise ConfigError(
            f"journal: wanted tables of version {VERSION} or before, got version {found}; use the gpbt that wrote them"
        )
    if found < VERSION:
        connection.execute(sql_update(version).values(version=VERSION))
