"""The database of a journal: studies, their events and leases.

This module contains all SQL statements and none of the rules of a run. Each write is one transaction and is durable
when the method returns. Processes synchronize only in `append`: it writes all of its events after the last one that
the caller knows, or none. Everything that is read is verified against its checksums.
"""

import contextlib
import functools
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gpbt_adapters.storing.journal import schema
from gpbt_adapters.storing.journal.engine import Durability, connect, made_url
from gpbt_core.codec import decode_event, encode_event
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.state import Asked, Cancelled, Event, Extended, Planned, Reported, Requeued, Told

__all__ = ["Entry", "Journal", "JournalError", "Lease"]

logger = logging.getLogger(__name__)

LOCK = 0x67706274
"""The PostgreSQL advisory lock that is held while tables are created: "gpbt" in ASCII."""


class JournalError(GpbtError, RuntimeError):
    """The database failed or refused the call; do not rely on the write having succeeded."""


@attrs.frozen(kw_only=True)
class Entry:
    """A study, as listed in the database.

    Attributes:
        id: The id in this database; never reused.
        name: The name by which the study is opened.
        header: The settings and searchers, as plain data.
        identity: An identifier that is unique across all databases.
        store: The path or URL of the checkpoints; None if it has not been set.
    """

    id: int
    name: str
    header: Mapping[str, Any]
    identity: str
    store: str | None = None


@attrs.frozen(kw_only=True)
class Lease:
    """A trial that a worker trains.

    Attributes:
        trial: The id of the trial.
        worker: The worker that holds the lease.
        seconds: The time until the lease expires; 0 or less if it has expired.
    """

    trial: int
    worker: str
    seconds: float


class Journal:
    """A database of studies; also a context manager. It is thread-safe, but cannot be used across a fork.

    Args:
        url: "sqlite:///path", a path, or "postgresql://user@host/database".
        durability: With "full", committed events survive a power cut. "process" is faster, but they survive only the
            death of processes.
        read_only: Whether to write nothing, not even to create a journal. Required for a file that is not writable or
            is on a read-only disk.

    Raises:
        ConfigError: The URL is invalid, the file is on a network file system, a package is missing, or the tables have
            a later version, or an earlier one and cannot be written.
        JournalError: The database cannot be reached.
    """

    def __init__(
        self, url: str | os.PathLike[str], *, durability: Durability = "full", read_only: bool = False
    ) -> None:
        made = made_url(url)
        self._connect = functools.partial(connect, url, durability, read_only=read_only)
        self._name, self._sqlite, self._read_only = repr(made), made.get_backend_name() == "sqlite", read_only
        self._path = Path(str(made.database)) if self._sqlite else None
        self._engine, self._file = self._connect(), self._which()
        if read_only:
            with self._reading("open") as connection:
                schema.check_version(connection)
            return
        with self._writing("open") as connection:
            if not self._sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
            schema.prepare(connection)
        self._file = self._which()

    def __repr__(self) -> str:
        return f"Journal({self._name})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. Calling it again has no effect."""
        self._engine.dispose()

    # ------------------------------------------------------------------------------------------------------ studies

    def names(self) -> tuple[str, ...]:
        """The names of the studies, in order of creation.

        Raises:
            JournalError: The database fails.
        """
        with self._reading("names") as connection:
            return tuple(connection.execute(select(schema.studies.c.name).order_by(schema.studies.c.id)).scalars())

    def find(self, name: str) -> Entry | None:
        """The study with this name, or None if there is none.

        Raises:
            JournalError: The database fails.
        """
        table = schema.studies
        with self._reading("find") as connection:
            row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
        if row is None:
            return None
        if row.checksum != schema.checksum("", row.header):
            raise JournalError(f"{self!r}: the header of study {name!r} is damaged; restore the database")
        return Entry(id=row.id, name=name, header=json.loads(row.header), identity=row.identity, store=row.store)

    def get(self, name: str) -> Entry:
        """The study with this name.

        Raises:
            ConfigError: There is none.
            JournalError: The database fails.
        """
        entry = self.find(name)
        if entry is None:
            raise self._unknown(name)
        return entry

    def add(self, name: str, header: Mapping[str, Any], events: Sequence[Event] = ()) -> Entry:
        """Creates a study, or returns the one that another process has created concurrently under the same name.

        Args:
            name: The name; not empty.
            header: The settings and searchers, as JSON-serializable data.
            events: The past events of the study; nobody holds a lease on its open trials.

        Raises:
            ConfigError: The name is empty or has unprintable characters, or it is taken and `events` is not empty.
            JournalError: The database fails.
        """
        if not isinstance(name, str) or not name or not name.isprintable():
            raise ConfigError(f"journal: the name of a study must be text that can be shown, got {name!r}")
        plain, identity = json.dumps(header), uuid.uuid4().hex
        begin = schema.checksum("", plain)
        try:
            with self._writing("add") as connection:
                made = connection.execute(
                    insert(schema.studies).values(name=name, header=plain, checksum=begin, identity=identity)
                )
                assert made.inserted_primary_key is not None  # both databases return it
                study = int(made.inserted_primary_key[0])
                connection.execute(insert(schema.heads).values(study=study, sequence=0, checksum=begin))
                self._insert(connection, study, 0, begin, events, worker="", lease=0.0)
        except IntegrityError as error:
            found = self.find(name)
            if found is None or events:
                raise ConfigError(f"{self!r}: a study {name!r} already exists; choose another name") from error
            return found
        return Entry(id=study, name=name, header=header, identity=identity)

    def keep_store(self, study: int, address: str) -> None:
        """Records where the checkpoints of a study are.

        Raises:
            JournalError: The database fails.
        """
        table = schema.studies
        with self._writing("keep_store") as connection:
            connection.execute(update(table).where(table.c.id == study).values(store=address))

    def damage(self) -> str:
        """The problems that the database's own integrity check finds; "" if there are none or there is no such check.

        Raises:
            JournalError: The database cannot be read.
        """
        if not self._sqlite:
            return ""
        with self._reading("damage") as connection:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
            found += [
                f"{row[0]}: a row without its study" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
            ]
        return "" if found == ["ok"] else "; ".join(one for one in found if one != "ok")

    def delete(self, name: str) -> None:
        """Deletes a study and all of its events. This cannot be undone; processes that have it open fail immediately.

        Raises:
            ConfigError: There is no study with this name.
            JournalError: The database fails.
        """
        with self._writing("delete") as connection:
            gone = connection.execute(delete(schema.studies).where(schema.studies.c.name == name)).rowcount
        if not gone:
            raise self._unknown(name)

    def _unknown(self, name: str) -> ConfigError:
        return ConfigError(f"{self!r}: there is no study {name!r}; the journal has {list(self.names())}")

    # ------------------------------------------------------------------------------------------------------- events

    def events(self, study: int, after: int = 0) -> list[Event]:
        """The events of a study after the first `after` ones.

        Raises:
            JournalError: The database fails, or its content is damaged.
        """
        with self._reading("events") as connection:
            head = connection.execute(_HEAD, {"of": study}).one_or_none()
            if head is None or head.sequence == after:
                return []  # there are no new events, or the study is deleted, which `check` reports
            if head.sequence < after:
                raise self._behind(study, after, head.sequence)
            rows = connection.execute(_EVENTS, {"of": study, "after": after}).all()
        last = head.anchor
        if after:  # also read the event before these: their checksums build on it
            last, rows = (rows[0].checksum if rows and rows[0].sequence == after else None), rows[1:]
        if last is None or len(rows) < head.sequence - after or rows[-1].sequence != after + len(rows):
            raise JournalError(
                f"{self!r}: study {study} misses events behind number {after}: it should have {head.sequence}; restore "
                f"the database"
            )
        for number, row in enumerate(rows, after + 1):
            last = schema.checksum(last, row.payload)
            if last != row.checksum:
                raise JournalError(
                    f"{self!r}: events of study {study} behind number {number - 1} are damaged: the checksum of event "
                    f"{number} does not fit; restore the database"
                )
        try:
            return [decode_event(data) for data in json.loads(f"[{','.join(row.payload for row in rows)}]")]
        except (ValueError, ConfigError) as error:
            raise JournalError(
                f"{self!r}: events of study {study} behind number {after} are damaged: {error}"
            ) from error

    def written(self, study: int, after: int = 0) -> list[float]:
        """When the events of a study after the first `after` ones were written, in seconds since 1970.

        Raises:
            JournalError: The database fails.
        """
        table = schema.events
        chosen = select(table.c.written).where(table.c.study == study, table.c.sequence > after)
        with self._reading("written") as connection:
            return list(connection.execute(chosen.order_by(table.c.sequence)).scalars())

    def append(self, study: int, after: int, events: Sequence[Event], *, worker: str, lease: float) -> bool:
        """Writes events after the first `after` ones, together with their leases; durable on return.

        An asked trial is leased to `worker` for `lease` seconds. The lease ends when the trial ends or is requeued.

        Returns:
            False if another process has appended first or the study is deleted; nothing is then written.

        Raises:
            JournalError: The database fails: disk full, connection lost, locked for a minute. After a lost connection
                the events may have been written nevertheless; read them to find out.
        """
        try:
            with self._writing("append") as connection:
                # PostgreSQL: a second writer waits here, and then sees the head that the first one wrote.
                head = connection.execute(_LOCKED_HEAD, {"of": study}).one_or_none()
                if head is None or head.sequence > after:
                    return False
                if head.sequence < after:
                    raise self._behind(study, after, head.sequence)
                self._insert(connection, study, after, head.checksum, events, worker=worker, lease=lease)
        except IntegrityError as error:
            raise JournalError(
                f"{self!r}: study {study} has events behind its last one: {error.orig}; restore the database"
            ) from error
        return True

    def _behind(self, study: int, after: int, now: int) -> JournalError:
        return JournalError(
            f"{self!r}: study {study} had {after} events and has {now}: the database was replaced or damaged; open the "
            f"study again"
        )

    def check(self, study: int, *, least: int = 0) -> None:
        """Checks that a study exists.

        Args:
            study: The id of the study.
            least: The minimum number of events that its head must record.

        Raises:
            JournalError: The study is deleted, or its head is missing or out of date.
        """
        with self._reading("check") as connection:
            if not connection.execute(select(exists().where(schema.studies.c.id == study))).scalar_one():
                raise JournalError(f"{self!r}: the study was deleted while it was open")
            head = connection.execute(_HEAD, {"of": study}).one_or_none()
            if head is None:
                raise JournalError(f"{self!r}: study {study} misses its head; restore the database")
            if head.sequence < least:
                raise JournalError(f"{self!r}: study {study} has events behind its last one; restore the database")

    def _insert(
        self,
        connection: Connection,
        study: int,
        after: int,
        last: str,
        events: Sequence[Event],
        *,
        worker: str,
        lease: float,
    ) -> None:
        if not events:
            return
        now, rows = time.time(), []
        for number, event in enumerate(events, after + 1):
            payload = json.dumps(encode_event(event), separators=(",", ":"))
            last = schema.checksum(last, payload)
            rows.append({"study": study, "sequence": number, "written": now, "payload": payload, "checksum": last})
        connection.execute(_INSERT_EVENTS, rows)
        connection.execute(_MOVE_HEAD, {"of": study, "to": after + len(rows), "last": last})
        begun, done = _trials(events)
        ended = sorted({*done, *begun})  # by id, as in `renew`; includes leftover leases of the trials that begin
        if ended:
            connection.execute(_DELETE_LEASES, [{"of": study, "which": trial} for trial in ended])
        if begun:
            expires = self._now(connection) + lease if lease else 0.0
            leases = [{"study": study, "trial": trial, "worker": worker, "expires": expires} for trial in begun]
            connection.execute(_INSERT_LEASES, leases)

    # ------------------------------------------------------------------------------------------------------- leases

    def leases(self, study: int) -> list[Lease]:
        """The leases on the trials of a study, ordered by trial id.

        Raises:
            JournalError: The database fails.
        """
        table = schema.leases
        with self._reading("leases") as connection:
            rows = connection.execute(
                select(table.c.trial, table.c.worker, (table.c.expires - self._clock()).label("seconds"))
                .where(table.c.study == study)
                .order_by(table.c.trial)
            ).all()
        return [Lease(trial=row.trial, worker=row.worker, seconds=row.seconds) for row in rows]

    def renew(self, study: int, worker: str, seconds: float) -> None:
        """Renews all leases of a worker for this many seconds from now; 0 ends them.

        Raises:
            JournalError: The database fails.
        """
        table = schema.leases
        own = (table.c.study == study) & (table.c.worker == worker)
        with self._writing("renew") as connection:
            # PostgreSQL: an update locks rows in any order, and `append` may hold one of them and wait for another.
            connection.execute(select(table.c.trial).where(own).order_by(table.c.trial).with_for_update())
            connection.execute(update(table).where(own).values(expires=self._clock() + seconds))

    # ---------------------------------------------------------------------------------------------------- snapshots

    def snapshot(self, study: int, *, strict: bool = False) -> tuple[int, Mapping[str, Any]] | None:
        """The newest snapshot of a study: the number of events it covers, and the state after them as plain data.

        Args:
            study: The id of the study.
            strict: Whether a damaged snapshot is an error. Otherwise it is ignored, as the events hold the same data.

        Raises:
            JournalError: The database fails, or the snapshot is damaged.
        """
        table = schema.snapshots
        with self._reading("snapshot") as connection:
            row = connection.execute(
                select(table.c.sequence, table.c.payload, table.c.checksum, schema.events.c.checksum.label("last"))
                .join(
                    schema.events,
                    (schema.events.c.study == table.c.study) & (schema.events.c.sequence == table.c.sequence),
                    isouter=True,
                )
                .where(table.c.study == study)
            ).one_or_none()
        if row is None:
            return None
        if row.checksum != schema.checksum(row.last or "", row.payload):
            if strict:
                raise JournalError(f"{self!r}: the snapshot of study {study} is damaged; its events may be whole")
            logger.warning("%r: the snapshot of study %d is damaged; its events are replayed instead", self, study)
            return None
        return row.sequence, json.loads(row.payload)

    def keep_snapshot(self, study: int, sequence: int, data: Mapping[str, Any]) -> None:
        """Replaces the previous snapshot, unless that one is as recent.

        Raises:
            JournalError: The database fails.
        """
        table, payload = schema.snapshots, json.dumps(data, separators=(",", ":"))
        try:
            with self._writing("keep_snapshot") as connection:
                event = (schema.events.c.study == study) & (schema.events.c.sequence == sequence)
                last = connection.execute(select(schema.events.c.checksum).where(event)).scalar_one_or_none()
                checksum = schema.checksum(last or "", payload)
                old = connection.execute(select(table.c.sequence, table.c.checksum).where(table.c.study == study))
                for one in old.all():
                    if one.sequence < sequence or one.checksum != checksum:
                        connection.execute(delete(table).where(table.c.study == study))
                values = {"study": study, "sequence": sequence, "payload": payload, "checksum": checksum}
                connection.execute(insert(table).values(values))
        except IntegrityError:
            return  # another process has stored one as recent, or the study is deleted

    # ------------------------------------------------------------------------------------------------------- inside

    def _clock(self) -> ColumnElement[float]:
        """The clock for the expiry of leases: the server's if there is one, as the clocks of the hosts may differ."""
        if self._sqlite:
            return literal(time.time(), Float)
        return func.extract("epoch", func.clock_timestamp()).cast(Float)

    def _now(self, connection: Connection) -> float:
        return time.time() if self._sqlite else float(connection.execute(select(self._clock())).scalar_one())

    def _which(self) -> tuple[int, int] | None:
        """Identifies the file at the path of a SQLite journal."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextlib.contextmanager
    def _reading(self, who: str) -> Iterator[Connection]:
        if self._read_only and self._which() != self._file:  # the file was replaced: read the new one
            self._engine.dispose()
            self._engine, self._file = self._connect(), self._which()
        with self._named(who), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self, who: str) -> Iterator[Connection]:
        """A transaction, committed when the block ends; an IntegrityError is raised unchanged."""
        if self._read_only:
            raise JournalError(f"{self!r}: {who}: nothing can be written, as it was opened with read_only=True")
        if self._file is not None and self._which() != self._file:
            raise JournalError(
                f"{self!r}: {who}: the file was removed or replaced while it was open; nothing is written to what "
                f"is no longer there; put it back, or open the study again"
            )
        with self._named(who), self._engine.connect() as connection:
            if self._sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # so that writers queue before they read
            yield connection
            connection.commit()

    @contextlib.contextmanager
    def _named(self, who: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise JournalError(
                f"{self!r}: {who}: the database failed: {cause}; once it works again, continue, or reopen the study"
            ) from error


_EVENTS = (
    select(schema.events.c.sequence, schema.events.c.payload, schema.events.c.checksum)
    .where(schema.events.c.study == bindparam("of"), schema.events.c.sequence >= bindparam("after"))
    .order_by(schema.events.c.sequence)
)
_HEAD = (
    select(schema.heads.c.sequence, schema.studies.c.checksum.label("anchor"))
    .join(schema.studies, schema.studies.c.id == schema.heads.c.study)
    .where(schema.heads.c.study == bindparam("of"))
)
_LOCKED_HEAD = (
    select(schema.heads.c.sequence, schema.heads.c.checksum)
    .where(schema.heads.c.study == bindparam("of"))
    .with_for_update()
)
_MOVE_HEAD = (
    update(schema.heads)
    .where(schema.heads.c.study == bindparam("of"))
    .values(sequence=bindparam("to"), checksum=bindparam("last"))
)
_INSERT_EVENTS = insert(schema.events)
_INSERT_LEASES = insert(schema.leases)
_DELETE_LEASES = delete(schema.leases).where(
    schema.leases.c.study == bindparam("of"), schema.leases.c.trial == bindparam("which")
)


def _trials(events: Iterable[Event]) -> tuple[list[int], list[int]]:
    """The trials that are in training after these events, and those that are no longer in training."""
    begun: dict[int, None] = {}
    done: dict[int, None] = {}
    for event in events:
        match event:
            case Asked():
                begun[event.trial.id] = None
            case Told() | Cancelled() | Requeued():
                begun.pop(event.trial_id, None)
                done[event.trial_id] = None
            case Reported() | Extended() | Planned():
                pass
    return list(begun), list(done)
