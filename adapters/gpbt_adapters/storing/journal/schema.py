"""The tables of a journal, their version, and the migrations from older versions.

A journal is written only in the newest version. The first process to open it calls `prepare`, which migrates it in one
transaction.

Checksums detect damage: the header of a study has one, each event has one over the event and the previous checksum, and
the head of the study records the number of events and the last checksum.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy import update as sql_update

from gpbt_core.codec import decode_event, decode_settings, encode_event
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.registry import resolve_rule
from gpbt_core.state import initial, replay

__all__ = [
    "MIGRATIONS",
    "VERSION",
    "check_version",
    "checksum",
    "events",
    "heads",
    "leases",
    "metadata",
    "prepare",
    "snapshots",
    "studies",
    "version",
]

logger = logging.getLogger(__name__)

VERSION = 3
"""The version of the tables and their events. Every change increments it and adds an entry to `MIGRATIONS`."""

metadata = MetaData()

version = Table("gpbt_version", metadata, Column("version", Integer, nullable=False))

studies = Table(
    "gpbt_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("header", Text, nullable=False),  # JSON: the settings and the searchers
    Column("checksum", Text),  # of the header
    Column("identity", Text),  # unique across all databases, never reused
    Column("store", Text),  # where its checkpoints are; NULL if not set
    sqlite_autoincrement=True,  # ids of deleted studies are never reused: a process may still hold one
)


def _study() -> "Column[int]":
    return Column("study", ForeignKey("gpbt_studies.id", ondelete="CASCADE"), primary_key=True)


events = Table(
    "gpbt_events",
    metadata,
    _study(),
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("written", Float, nullable=False),  # seconds since 1970
    Column("payload", Text, nullable=False),  # JSON, as encoded by gpbt_core.codec
    Column("checksum", Text),  # of the payload and the previous checksum (for the first event, the header's)
    sqlite_with_rowid=False,  # one tree instead of two: fewer pages to write for each event
)

heads = Table(
    "gpbt_heads",
    metadata,
    _study(),
    Column("sequence", Integer, nullable=False),  # of the last event; 0 if there is none
    Column("checksum", Text, nullable=False),  # of the last event, or of the header
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
    Column("payload", Text, nullable=False),  # JSON, as encoded by gpbt_core.codec
    Column("checksum", Text),  # of the last event's checksum and the payload
)


def checksum(before: str, content: str) -> str:
    """A checksum of sixteen digits; it detects damage, not forgery."""
    return hashlib.blake2b(f"{before} {content}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _write_plans(connection: Connection) -> None:
    """From version 1 to 2: plans become events. Version 1 computed them with the reproduction rules at each opening.

    The rules compute them once more here. If that is not possible, the study is left unchanged.
    """
    for study, name, header in connection.execute(select(studies.c.id, studies.c.name, studies.c.header)).all():
        of_study = events.c.study == study
        columns = select(events.c.sequence, events.c.written, events.c.payload)
        stored = connection.execute(columns.where(of_study).order_by(events.c.sequence)).all()
        try:
            rows = _with_plans(study, json.loads(header), stored)
        except (GpbtError, KeyError, TypeError, ValueError) as error:
            logger.warning("study %s: its plans cannot be written down, and are made at each opening: %s", name, error)
            continue
        moved = {row["before"]: row["sequence"] for row in rows}  # a plan comes after the event that it follows
        connection.execute(delete(events).where(of_study))
        if rows:
            connection.execute(insert(events), [{k: row[k] for k in row if k != "before"} for row in rows])
        for sequence in connection.execute(select(snapshots.c.sequence).where(snapshots.c.study == study)).scalars():
            change = sql_update(snapshots).where(snapshots.c.study == study)
            connection.execute(change.values(sequence=moved[sequence]))


def _with_plans(study: int, header: Mapping[str, Any], stored: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of a study, with a row for each plan; `before` is the sequence of the last stored event up to there."""
    log = [decode_event(json.loads(row.payload)) for row in stored]
    start = initial(decode_settings(header["settings"], resolve_rule))
    rows: list[dict[str, Any]] = []
    place = -1
    for number, (_, event) in enumerate(replay(start, log), 1):
        is_stored = place + 1 < len(log) and event is log[place + 1]
        place += is_stored
        row = stored[place]
        payload = row.payload if is_stored else json.dumps(encode_event(event), separators=(",", ":"))
        rows.append(
            {
                "study": study,
                "sequence": number,
                "written": row.written,
                "payload": payload,
                "before": row.sequence,
            }
        )
    return rows


def _add_checksums(connection: Connection) -> None:
    """From version 2 to 3: adds identities and stores to studies, and checksums to events."""
    for table, names in (("studies", ("checksum", "identity", "store")), ("events", ("checksum",))):
        for name in names:
            connection.execute(text(f"ALTER TABLE gpbt_{table} ADD COLUMN {name} TEXT"))
    connection.execute(text("ALTER TABLE gpbt_snapshots ADD COLUMN checksum TEXT"))
    connection.execute(delete(snapshots))  # they have no checksum; the next one is stored automatically
    heads.create(connection)
    for study, header in connection.execute(select(studies.c.id, studies.c.header)).all():
        last, count = checksum("", header), 0
        named = {"checksum": last, "identity": uuid.uuid4().hex}
        connection.execute(sql_update(studies).where(studies.c.id == study).values(named))
        found = select(events.c.sequence, events.c.payload).where(events.c.study == study).order_by(events.c.sequence)
        for sequence, payload in connection.execute(found).all():
            last, count = checksum(last, payload), sequence
            place = (events.c.study == study) & (events.c.sequence == sequence)
            connection.execute(sql_update(events).where(place).values(checksum=last))
        connection.execute(insert(heads).values(study=study, sequence=count, checksum=last))


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _write_plans, 2: _add_checksums}
"""For each older version, the migration to the next one."""


def prepare(connection: Connection) -> None:
    """Creates missing tables and migrates older ones to this version, within the caller's transaction.

    Raises:
        ConfigError: The tables have a version that this gpbt does not know.
    """
    if not inspect(connection).has_table(version.name):
        metadata.create_all(connection)
        connection.execute(insert(version).values(version=VERSION))
        return
    found = _found(connection)
    for old in range(found, VERSION):
        if old not in MIGRATIONS:
            raise ConfigError(f"journal: its tables have version {found}, and there is no way from {old} to {old + 1}")
        MIGRATIONS[old](connection)
    if found < VERSION:
        connection.execute(sql_update(version).values(version=VERSION))


def check_version(connection: Connection) -> None:
    """Checks that the tables can be read without a migration.

    Raises:
        ConfigError: They have another version.
    """
    found = _found(connection)
    if found < VERSION:
        raise ConfigError(
            f"journal: its tables have version {found}, of an older gpbt; open it once where it can be written, which "
            f"brings them to version {VERSION}"
        )


def _found(connection: Connection) -> int:
    found = int(connection.execute(select(version.c.version)).scalar_one())
    if found > VERSION:
        raise ConfigError(
            f"journal: its tables must be of version {VERSION} or before, got version {found}; use the gpbt that "
            f"wrote them"
        )
    return found
