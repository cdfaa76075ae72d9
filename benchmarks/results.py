"""The results file: one JSON line per run, appended whole, found again by its key.

Several processes may append to one file: each line is written by one call under a lock, and a run that is already there
is not written twice. Numbers that are not finite are written as null, so that every JSON reader takes the file.
"""

import fcntl
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

__all__ = ["ForeignLineError", "Key", "Results", "read_results"]


class ForeignLineError(ValueError):
    """A results file has a line that is not a run."""


@attrs.frozen(kw_only=True)
class Key:
    """The identity of a run."""

    problem: str
    method: str
    seed: int
    models: int
    steps: int
    smoke: bool

    @classmethod
    def of(cls, line: dict[str, Any]) -> "Key":
        """The key of a line of results.

        Raises:
            KeyError: The line lacks a field.
        """
        return cls(**{field.name: line[field.name] for field in attrs.fields(cls)})


class Results:
    """A results file that this process appends to.

    Args:
        path: The file, created when the first run is written; its directory must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[Key] = set()
        self._read = 0  # bytes of the file that `_known` covers

    def __contains__(self, key: Key) -> bool:
        """Whether the file has the run; reads only what was appended since the last call.

        Raises:
            ForeignLineError: The file has a line that is not a run.
        """
        if self._path.exists():
            with self._path.open("rb") as file:
                self._catch_up(file.fileno())
        return key in self._known

    def append(self, line: dict[str, Any]) -> bool:
        """Writes a run.

        Args:
            line: Plain data with the fields of `Key`.

        Returns:
            Whether it was written; False: another process wrote the same run in the meantime.
        """
        content = json.dumps(_finite(line), allow_nan=False, separators=(",", ":")).encode() + b"\n"
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._catch_up(handle)
            if Key.of(line) in self._known:
                return False
            if os.fstat(handle).st_size > self._read:  # an unfinished line of a killed process; ours starts a new line
                content = b"\n" + content
            while content:
                content = content[os.write(handle, content) :]
            self._catch_up(handle)
            return True
        finally:
            os.close(handle)

    def _catch_up(self, handle: int) -> None:
        with os.fdopen(os.dup(handle), "rb") as file:
            file.seek(self._read)
            for content in file:
                if not content.endswith(b"\n"):
                    break
                self._read += len(content)
                line = _parsed(content, self._path)
                if line is not None:
                    self._known.add(Key.of(line))


def read_results(path: Path) -> Iterator[dict[str, Any]]:
    """All runs of a file, each once, in the order of the lines; lines that were never finished are left out.

    Raises:
        FileNotFoundError: There is no such file.
        ForeignLineError: It has a line that is not a run.
    """
    seen: set[Key] = set()
    with path.open("rb") as file:
        for content in file:
            line = _parsed(content, path)
            if line is not None and Key.of(line) not in seen:
                seen.add(Key.of(line))
                yield line


def _parsed(content: bytes, path: Path) -> dict[str, Any] | None:
    """A line as data; None for one that a killed process left unfinished.

    Raises:
        ForeignLineError: It is complete but not a run.
    """
    try:
        line: Any = json.loads(content)
    except ValueError:
        return None
    fields = [field.name for field in attrs.fields(Key)]
    if isinstance(line, dict) and all(name in line for name in fields):
        return line
    raise ForeignLineError(
        f"{path}: lines must be as python -m benchmarks.run writes them, with {', '.join(fields)}, got "
        f"{content[:60].decode(errors='replace').strip()!r}"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
