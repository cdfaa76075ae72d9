"""Maintenance of a journal: checking its integrity, and copying it while it is in use."""

import contextlib
import os
import sqlite3
from pathlib import Path

from gpbt_adapters.storing.journal.engine import made_url, open_to_read
from gpbt_adapters.storing.journal.storage import Journal
from gpbt_adapters.storing.journal.study import settings_of
from gpbt_core.codec import decode_state
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.optimizer import Optimizer
from gpbt_core.registry import resolve_rule

__all__ = ["check_journal", "copy_journal"]


def check_journal(url: str | os.PathLike[str]) -> dict[str, str | None]:
    """Reads an entire journal, verifies its checksums and replays every study.

    Args:
        url: The database; nothing is written to it.

    Returns:
        For each study, its problem, or None if it has none. The entry "" describes a problem of the database itself.

    Raises:
        ConfigError: There is no such journal.
        JournalError: The database cannot be read at all.
    """
    found: dict[str, str | None] = {}
    with Journal(url, read_only=True) as journal:
        damage = journal.damage()
        if damage:
            found[""] = damage
        for name in journal.names():
            try:
                _check_study(journal, name)
            except GpbtError as error:
                found[name] = str(error)
            else:
                found[name] = None
    return found


def _check_study(journal: Journal, name: str) -> None:
    entry = journal.get(name)
    replayed = Optimizer(**settings_of(entry.header))
    events = journal.events(entry.id)
    journal.check(entry.id, least=len(events))
    snapshot = journal.snapshot(entry.id, strict=True)
    before = 0 if snapshot is None else snapshot[0]
    replayed.replay(events[:before])
    if snapshot is not None and decode_state(snapshot[1], resolve_rule) != replayed.state:
        raise ConfigError(f"{journal!r}: the snapshot of study {name!r} is not what its events give")
    replayed.replay(events[before:])


def copy_journal(url: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Copies a SQLite journal, even while processes write to it. The copy is complete, or does not exist.

    Copying only the file would miss events that are still in the `-wal` file beside it.

    Args:
        url: The database.
        destination: The path of the copy, which must not exist yet.

    Raises:
        ConfigError: The database is not a SQLite file, or the destination already exists.
        OSError: The copy cannot be written.
    """
    made = made_url(url)
    if made.get_backend_name() != "sqlite":
        raise ConfigError(f"copy_journal: expected a SQLite file, got {made!r}; copy a PostgreSQL database by pg_dump")
    target = Path(destination)
    if target.exists():
        raise ConfigError(f"copy_journal: {str(target)!r} already exists; name a new file")
    Journal(url, read_only=True).close()  # check that it is a journal
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with (
            contextlib.closing(open_to_read(Path(str(made.database)))) as origin,
            contextlib.closing(sqlite3.connect(draft)) as copy,
        ):
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE").close()  # a single file, which can be moved
        os.link(draft, target)
    except FileExistsError:
        raise ConfigError(f"copy_journal: {str(target)!r} already exists; name a new file") from None
    except sqlite3.Error as error:
        raise OSError(f"copy_journal: {str(target)!r} cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
