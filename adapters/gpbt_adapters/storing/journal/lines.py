"""Studies as JSON Lines files: for archiving, sharing, and reading with other tools.

The first line is the study's name and header; each further line is an event. A file is replayed before it is imported.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpbt_adapters.storing.journal.storage import Journal
from gpbt_adapters.storing.journal.study import settings_of
from gpbt_core.codec import decode_event, encode_event
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.optimizer import Optimizer
from gpbt_core.state import Event

__all__ = ["export_study", "import_study"]

FORMAT = 2
"""The version of the file format. Files of format 1, which lack the plans, can also be read."""


def export_study(url: str | os.PathLike[str], name: str, path: str | os.PathLike[str]) -> None:
    """Exports a study as a JSON Lines file; the study may be running.

    Args:
        url: The database.
        name: The name of the study.
        path: The path of the file, which must not exist yet.

    Raises:
        ConfigError: There is no such study.
        FileExistsError: The file already exists.
        JournalError: The database fails.
    """
    with Journal(url) as journal:
        entry = journal.get(name)
        events = journal.events(entry.id)
    with Path(path).open("x", encoding="utf-8") as file:
        file.write(json.dumps({"gpbt_study": FORMAT, "name": name, "header": entry.header}) + "\n")
        file.writelines(json.dumps(encode_event(event)) + "\n" for event in events)


def import_study(url: str | os.PathLike[str], path: str | os.PathLike[str], *, name: str | None = None) -> str:
    """Imports a study from a JSON Lines file; trials that were in training are asked again.

    Args:
        url: The database.
        path: The path of the file.
        name: The name of the imported study; by default, the name in the file.

    Returns:
        The name of the imported study.

    Raises:
        ConfigError: A line is damaged or inconsistent with those before it, or the name is taken.
        PluginError: A searcher's or rule's name is unknown, offered twice, or cannot be built.
        JournalError: The database fails.
    """
    lines = Path(path).read_text("utf-8").splitlines()
    number = 1

    def events() -> Iterator[Event]:
        nonlocal number
        for line in lines[1:]:
            number += 1
            yield decode_event(_parsed(line))

    try:
        header = _header(lines[0] if lines else "")
        replayed = Optimizer(**settings_of(header["header"]))
        replayed.replay(events())
    except (ConfigError, ProtocolError) as error:
        raise ConfigError(f"import_study: {str(path)!r}, line {number}: {error}") from error
    chosen = str(name or header["name"])
    with Journal(url) as journal:
        if journal.find(chosen) is not None:
            raise ConfigError(f"import_study: a study {chosen!r} already exists; choose another name")
        journal.add(chosen, header["header"], replayed.events)
    return chosen


def _header(line: str) -> dict[str, Any]:
    header = _parsed(line)
    if header.get("gpbt_study") not in (1, FORMAT) or not {"name", "header"} <= header.keys():
        raise ConfigError(f"must be a study of format 1 or {FORMAT}, with name and header, got {header!r:.200}")
    return header


def _parsed(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"must be JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"must be an object, got {line:.100}")
    return data
