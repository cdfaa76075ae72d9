"""The database of a journal: studies, their events and leases; every statement is here, and no rule of a run.

A write is one transaction, durable when the method returns. `append` is the one place where processes meet: it writes
all of its events behind the last one that the caller knows, or none.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from gpbt_adapters.storing.journal.engine import Durability, connect
from gpbt_core.codec import decode_event, encode_event
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.state import Asked, Cancelled, Event, Extended, Planned, Reported, Requeued, Told

__all__ = ["Entry", "Journal", "JournalError", "Lease"]

LOCK = 0x67706274
"""Of PostgreSQL's advisory locks the one under which tables are made: "gpbt"."""


class JournalError(GpbtError, RuntimeError):
    """The database failed or refused; what was to be written is not to be relied on."""


@attrs.frozen(kw_only=True)
class Entry:
    """A study as it is listed.

    Attributes:
        id: In this database, never used again.
        name: By which it is opened.
        header: Its settings and searchers, as plain data.
    """

    id: int
    name: str
    header: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Lease:
    """A trial that a worker trains.

    Attributes:
        trial: Its id.
        worker: Who.
        seconds: For how long the lease still runs; at most 0: it has expired.
    """

    trial: int
    worker: str
    seconds: float


class Journal:
    """A database of studies; a context manager. May be used from several threads, not across a fork.

    Args:
        url: "sqlite:///path", or a path, or "postgresql://user@host/database".
        durability: "full": what happened survives a power cut; "process": the death of processes only, and fast.

    Raises:
        ConfigError: The URL is no such one, the place is on a network file system, a package is missing, or the tables
            are of a later version.
        JournalError: The database cannot be reached.
    """

    def __init__(self, url: str | os.PathLike[str], *, durability: Durability = "full") -> None:
        self._engine = connect(url, durability)
        self._name = repr(self._engine.url)  # without the password
        self._sqlite = self._engine.dialect.name == "sqlite"
        with self._writing("open") as connection:
            if not self._sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
            schema.prepare(connection)

    def __repr__(self) -> str:
        return f"Journal({self._name})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. May be called again."""
        self._engine.dispose()

    # ------------------------------------------------------------------------------------------------------ studies

    def names(self) -> tuple[str, ...]:
        """The studies by name, in the order in which they were made.

        Raises:
            JournalError: The database fails.
        """
        with self._reading("names") as connection:
            return tuple(connection.execute(select(schema.studies.c.name).order_by(schema.studies.c.id)).scalars())

    def find(self, name: str) -> Entry | None:
        """The study of a name; None where there is none.

        Raises:
            JournalError: The database fails.
        """
        table = schema.studies
        with self._reading("find") as connection:
            row = connection.execute(select(table.c.id, table.c.header).where(table.c.name == name)).one_or_none()
        return None if row is None else Entry(id=row.id, name=name, header=json.loads(row.header))

    def get(self, name: str) -> Entry:
        """The study of a name.

        Raises:
            ConfigError: There is none.
            JournalError: The database fails.
        """
        entry = self.find(name)
        if entry is None:
            raise self._unknown(name)
        return entry

    def add(self, name: str, header: Mapping[str, Any], events: Sequence[Event] = ()) -> Entry:
        """Makes a study, or finds the one that another process has made of the same name at the same time.

        Args:
            name: Not empty.
            header: JSON-able.
            events: What has happened to it already; its open trials are nobody's.

        Raises:
            ConfigError: The name is empty, or is taken and there are events.
            JournalError: The database fails.
        """
        if not isinstance(name, str) or not name:
            raise ConfigError(f"journal: name must be the name of a study, got {name!r}")
        try:
            with self._writing("add") as connection:
                made = connection.execute(insert(schema.studies).values(name=name, header=json.dumps(header)))
                assert made.inserted_primary_key is not None  # both databases give it
                study = int(made.inserted_primary_key[0])
                self._insert(connection, study, 0, events, worker="", lease=0.0)
        except IntegrityError as error:
            found = self.find(name)
            if found is None or events:
                raise ConfigError(f"{self!r}: there is a study {name!r} already; choose another name") from error
            return found
        return Entry(id=study, name=name, header=header)

    def delete(self, name: str) -> None:
        """Removes a study and all that happened to it. There is no way back; processes that hold it fail at once.

        Raises:
            ConfigError: There is none of this name.
            JournalError: The database fails.
        """
        with self._writing("delete") as connection:
            gone = connection.execute(delete(schema.studies).where(schema.studies.c.name == name)).rowcount
        if not gone:
            raise self._unknown(name)

    def _unknown(self, name: str) -> ConfigError:
        return ConfigError(f"{self!r}: there is no study {name!r}; there are {list(self.names())}")

    # ------------------------------------------------------------------------------------------------------- events

    def events(self, study: int, after: int = 0) -> list[Event]:
        """The events of a study behind the first `after` ones.

        Raises:
            JournalError: The database fails, or what it holds is damaged.
        """
        with self._reading("events") as connection:
            rows = connection.execute(_EVENTS, {"of": study, "after": after}).all()
        if not rows:
            return []
        if (rows[0].sequence, rows[-1].sequence) != (after + 1, after + len(rows)):
            raise JournalError(f"{self!r}: study {study} misses events behind number {after}; restore the database")
        try:
            return [decode_event(data) for data in json.loads(f"[{','.join(row.payload for row in rows)}]")]
        except (ValueError, ConfigError) as error:
            raise JournalError(
                f"{self!r}: events of study {study} behind number {after} are damaged: {error}"
            ) from error

    def written(self, study: int, after: int = 0) -> list[float]:
        """When the events of a study behind the first `after` ones were written, in seconds since 1970.

        Raises:
            JournalError: The database fails.
        """
        table = schema.events
        chosen = select(table.c.written).where(table.c.study == study, table.c.sequence > after)
        with self._reading("written") as connection:
            return list(connection.execute(chosen.order_by(table.c.sequence)).scalars())

    def append(self, study: int, after: int, events: Sequence[Event], *, worker: str, lease: float) -> bool:
        """Writes events behind the first `after` ones, and leases with them; durable on return.

        An asked trial is leased to `worker` for `lease` seconds; the lease goes with the trial's end or return.

        Returns:
            False, and nothing is written, where somebody else has written there first, or the study is deleted.

        Raises:
            JournalError: The database fails: disk full, connection lost, locked for a minute. Where a connection was
                lost it may be that the events are written; read them.
        """
        try:
            with self._writing("append") as connection:
                self._insert(connection, study, after, events, worker=worker, lease=lease)
        except IntegrityError:
            return False
        return True

    def check(self, study: int) -> None:
        """Makes sure that a study is there.

        Raises:
            JournalError: It is deleted.
        """
        with self._reading("check") as connection:
            if not connection.execute(select(exists().where(schema.studies.c.id == study))).scalar_one():
                raise JournalError(f"{self!r}: the study was deleted while it was open")

    def _insert(
        self, connection: Connection, study: int, after: int, events: Sequence[Event], *, worker: str, lease: float
    ) -> None:
        if not events:
            return
        now = time.time()
        rows = [
            {
                "study": study,
                "sequence": number,
                "written": now,
                "payload": json.dumps(encode_event(event), separators=(",", ":")),
            }
            for number, event in enumerate(events, after + 1)
        ]
        connection.execute(_INSERT_EVENTS, rows)
        begun, done = _trials(events)
        if done:  # by id, as in `renew`
            connection.execute(_DELETE_LEASES, [{"of": study, "which": trial} for trial in sorted(done)])
        if begun:
            expires = self._now(connection) + lease if lease else 0.0
            leases = [{"study": study, "trial": trial, "worker": worker, "expires": expires} for trial in begun]
            connection.execute(_INSERT_LEASES, leases)

    # ------------------------------------------------------------------------------------------------------- leases

    def leases(self, study: int) -> list[Lease]:
        """The trials of a study that somebody trains, by id.

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
        """Lets all leases of a worker run for so many seconds from now; 0 ends them.

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

    def snapshot(self, study: int) -> tuple[int, Mapping[str, Any]] | None:
        """The newest snapshot of a study: how many events are in it, and the state after them as plain data.

        Raises:
            JournalError: The database fails, or what it holds is damaged.
        """
        table = schema.snapshots
        with self._reading("snapshot") as connection:
            row = connection.execute(
                select(table.c.sequence, table.c.payload).where(table.c.study == study)
            ).one_or_none()
        try:
            return None if row is None else (row.sequence, json.loads(row.payload))
        except ValueError as error:
            raise JournalError(f"{self!r}: the snapshot of study {study} is damaged: {error}") from error

    def keep_snapshot(self, study: int, sequence: int, data: Mapping[str, Any]) -> None:
        """Puts a snapshot in the place of the one before it, unless that one is as new.

        Raises:
            JournalError: The database fails.
        """
        table, payload = schema.snapshots, json.dumps(data, separators=(",", ":"))
        try:
            with self._writing("keep_snapshot") as connection:
                connection.execute(delete(table).where(table.c.study == study, table.c.sequence < sequence))
                connection.execute(insert(table).values(study=study, sequence=sequence, payload=payload))
        except IntegrityError:
            return  # another process has kept one as new, or the study is deleted

    # ------------------------------------------------------------------------------------------------------- inside

    def _clock(self) -> ColumnElement[float]:
        """The time by which leases expire: the server's where there is one, as the hosts' may differ."""
        if self._sqlite:
            return literal(time.time(), Float)
        return func.extract("epoch", func.clock_timestamp()).cast(Float)

    def _now(self, connection: Connection) -> float:
        return time.time() if self._sqlite else float(connection.execute(select(self._clock())).scalar_one())

    @contextlib.contextmanager
    def _reading(self, who: str) -> Iterator[Connection]:
        with self._named(who), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self, who: str) -> Iterator[Connection]:
        """A transaction, committed when the block ends; an IntegrityError leaves it as it is."""
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
                f"{self!r}: {who}: the database failed: {cause}; once it is well, go on, or open the study again"
            ) from error


_EVENTS = (
    select(schema.events.c.sequence, schema.events.c.payload)
    .where(schema.events.c.study == bindparam("of"), schema.events.c.sequence > bindparam("after"))
    .order_by(schema.events.c.sequence)
)
_INSERT_EVENTS = insert(schema.events)
_INSERT_LEASES = insert(schema.leases)
_DELETE_LEASES = delete(schema.leases).where(
    schema.leases.c.study == bindparam("of"), schema.leases.c.trial == bindparam("which")
)


def _trials(events: Iterable[Event]) -> tuple[list[int], list[int]]:
    """The trials that are in training after these events, and those that no longer are."""
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
