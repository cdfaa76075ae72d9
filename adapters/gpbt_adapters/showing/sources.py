"""Reads a run for display from a study of a journal or from a file; never writes an event.

A run is read as a State, so it can be shown without its searcher being installed, and without taking part in it. A
database that does not exist, or is not a journal, is not created or changed.
"""

import contextlib
import json
import os
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from gpbt_adapters.storing.collecting import uncollected
from gpbt_adapters.views import overview
from gpbt_core.codec import decode_event, decode_settings, decode_state
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.optimizer.search import search_from_dict
from gpbt_core.registry import resolve_rule
from gpbt_core.state import Event, State, Told, initial, replay

if TYPE_CHECKING:
    from gpbt_adapters.storing.journal import Journal
    from gpbt_adapters.storing.journal.storage import Entry

__all__ = ["Follower", "Watched", "is_journal", "only_study", "read_file", "reading", "without_password"]

PACED = 200
"""Ends of trials, the last ones, from which the pace of a run is taken."""


@attrs.frozen(kw_only=True)
class Watched:
    """The progress of a study.

    Attributes:
        name: The name of the study.
        identity: Distinguishes it from any other study of this name.
        store: Where its checkpoints are; None: unknown.
        state: The state of its run.
        sequence: The number of events so far.
        workers: The number of workers that train its trials, judging by their leases.
        left: Seconds until its budget is used up at the pace of its last trials; None if no worker trains it, or it
            is too early to tell.
    """

    name: str
    identity: str
    store: str | None
    state: State
    sequence: int
    workers: int
    left: float | None


class Follower:
    """Reads a study and follows its new events; thread-safe.

    Args:
        journal: The journal of the study.
        name: The name of the study.

    Raises:
        ConfigError: There is no such study, or its header is damaged.
        PluginError: A rule's name is unknown, offered twice, or cannot be built.
        JournalError: The database fails.
    """

    def __init__(self, journal: "Journal", name: str) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        with uncollected():
            self._begin(journal.get(name))

    def _begin(self, entry: "Entry") -> None:
        """Loads the newest snapshot, so that only later events have to be replayed."""
        self._entry = entry
        self._ends: deque[tuple[int, int]] = deque(maxlen=PACED)  # events that end trials: number, steps trained then
        found = self._journal.snapshot(entry.id)
        if found is not None:
            with contextlib.suppress(ConfigError):  # of another version: all events are replayed
                state = decode_state(found[1], resolve_rule)
                self._state, self._sequence = _with_search(state, entry.header.get("search")), found[0]
                return
        self._state, self._sequence = _start(entry.header, f"study {entry.name!r}"), 0

    def read(self) -> Watched:
        """The current progress of the study.

        Raises:
            ConfigError: Its events do not follow from its settings, or the study was deleted.
            JournalError: The database fails.
        """
        with self._lock, uncollected():
            entry = self._journal.get(self._entry.name)
            if entry.identity != self._entry.identity:  # deleted and created again, or the file was replaced
                self._begin(entry)
            self._entry, study = entry, entry.id
            self._journal.check(study)
            news = deque(self._journal.events(study, self._sequence))
            try:
                for after, event in replay(self._state, tuple(news)):
                    self._state = after
                    if news and event is news[0]:  # not a plan that the log lacks
                        news.popleft()
                        self._sequence += 1
                    if type(event) is Told:
                        self._ends.append((self._sequence, after.tally.trained))
            except ProtocolError as error:
                raise _misfit(f"study {self._entry.name!r}, event {self._sequence + 1}", error) from error
            state, sequence, ends = self._state, self._sequence, tuple(self._ends)
        workers = {lease.worker for lease in self._journal.leases(study) if lease.worker and lease.seconds > 0}
        left = self._left(state, ends) if workers else None
        return Watched(
            name=entry.name,
            identity=entry.identity,
            store=entry.store,
            state=state,
            sequence=sequence,
            workers=len(workers),
            left=left,
        )

    def _left(self, state: State, ends: tuple[tuple[int, int], ...]) -> float | None:
        if len(ends) < 2 or state.finished:
            return None
        (first, before), (last, now) = ends[0], ends[-1]
        times = self._journal.written(self._entry.id, first - 1)
        seconds = times[last - first] - times[0]
        steps_left = max(0, overview(state).budget - now)
        return steps_left * seconds / (now - before) if now > before else None


def is_journal(source: str | os.PathLike[str]) -> bool:
    """Whether a source is a database, by its URL or its first bytes, rather than a file with one run."""
    text = os.fspath(source)
    if "://" in text:
        return True
    with contextlib.suppress(OSError), Path(text).open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
    return False


def without_password(source: str) -> str:
    """A source as a page may name it: the password in a URL is replaced by three stars.

    >>> without_password("postgresql://me:secret@host/runs"), without_password("runs.db")
    ('postgresql://me:***@host/runs', 'runs.db')
    """
    return re.sub(r"(?<=//)([^/@:]*):[^/]*@", r"\1:***@", source)


@contextlib.contextmanager
def reading(url: str | os.PathLike[str]) -> Iterator["Journal"]:
    """An existing journal, opened without writing to it and closed at the end of the block.

    Raises:
        ConfigError: There is no journal.
        JournalError: The database fails.
        ImportError: SQLAlchemy is not installed.
    """
    try:
        from sqlalchemy import make_url

        from gpbt_adapters.storing.journal import Journal
    except ImportError as error:
        raise ImportError('a journal needs SQLAlchemy, which is not installed: pip install "gpbt[journal]"') from error
    text = os.fspath(url)
    if "://" not in text:
        _check_sqlite(Path(text))
    elif text.startswith("sqlite"):
        _check_sqlite(Path(make_url(text).database or ""))
    with Journal(url, read_only=True) as journal:
        yield journal


def only_study(journal: "Journal", name: str | None) -> str:
    """The name of the given study; None: the only one.

    Raises:
        ConfigError: There is no such study, or there are several.
        JournalError: The database fails.
    """
    if name is not None:
        return name
    names = journal.names()
    if len(names) != 1:
        several = f"there are {len(names)}: {', '.join(names[:10])}" if names else "there is none yet"
        raise ConfigError(f"{journal!r}: expected the name of a study, {several}")
    return names[0]


def read_file(path: str | os.PathLike[str]) -> State:
    """The run in a file: JSON of `Optimizer.to_dict`, or the JSON lines of an exported study.

    Raises:
        ConfigError: It is neither, or is damaged.
        PluginError: A rule's name is unknown, offered twice, or cannot be built.
        OSError: It cannot be read.
    """
    with uncollected():
        return _read_file(path)


def _read_file(path: str | os.PathLike[str]) -> State:
    wanted = f"{str(path)!r}: expected the JSON of Optimizer.to_dict(), or the lines that `gpbt export` writes"
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{wanted}, got something that is no text") from error
    lines = text.splitlines()
    try:
        first = json.loads(lines[0]) if lines else None
    except ValueError:
        first = None  # JSON over several lines
    try:
        if isinstance(first, dict) and "gpbt_study" in first:
            return _replayed(_start(first.get("header"), str(path)), lines[1:], str(path))
        whole = json.loads(text)
        data, search = whole["state"], whole.get("search")
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{wanted}: {error!r:.200}") from error
    return _with_search(decode_state(data, resolve_rule), search)


def _check_sqlite(path: Path) -> None:
    """Checks that the journal exists: SQLite would create an empty file otherwise."""
    from gpbt_adapters.storing.journal.engine import open_to_read

    if not path.is_file():
        raise ConfigError(f"journal: the path must be an existing SQLite file, got {str(path)!r}")
    try:
        with contextlib.closing(open_to_read(path.absolute())) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    except sqlite3.Error as error:
        raise ConfigError(f"journal: {str(path)!r} cannot be read as a SQLite file: {error}") from error
    if not names:
        raise ConfigError(
            f"journal: {str(path)!r} is an empty database; was it copied without the file beside it, {path.name}-wal? "
            f"`gpbt copy` makes whole copies"
        )
    if "gpbt_version" not in names:
        raise ConfigError(f"journal: {str(path)!r} is a database of something else; expected one made by gpbt")


def _start(header: Any, where: str) -> State:
    try:
        settings = header["settings"]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{where}: expected a header with settings, got {header!r:.200}") from error
    return _with_search(initial(decode_settings(settings, resolve_rule)), header.get("search"))


def _with_search(state: State, search: Any) -> State:
    """The state with the search of its run, which state data lack; without one if it is damaged or not known."""
    with contextlib.suppress(ConfigError):
        return attrs.evolve(state, settings=attrs.evolve(state.settings, search=search_from_dict(search)))
    return state


def _replayed(state: State, lines: Sequence[str], path: str) -> State:
    number = 1

    def events() -> Iterator[Event]:
        nonlocal number
        for line in lines:
            number += 1
            yield decode_event(json.loads(line))

    try:
        for after, _ in replay(state, events()):
            state = after
    except ProtocolError as error:
        raise _misfit(f"{path!r}, line {number}", error) from error
    return state


def _misfit(where: str, error: ProtocolError) -> ConfigError:
    return ConfigError(f"{where} does not follow from what came before: {error}")
