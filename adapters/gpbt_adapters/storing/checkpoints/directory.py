"""The directory store of checkpoints: each trial's files are there whole and unharmed, or not there.

A checkpoint is written into a hidden directory, flushed to the disk, and then renamed into place: a killed process
leaves nothing that looks like a checkpoint. A manifest holds the length and the SHA-256 of each file and is compared
with the files before anyone reads them. The store never decides what may go: `delete` follows `Optimizer.released`.

Layout of a store's directory::

    store.json                   the format and the id of the run that owns the directory
    trial-12/manifest.json       what the files of trial 12 must be
    trial-12/data/...            the files that its trainable wrote
    .partial-13-<random>/...     a checkpoint that is being written, or was when its process died
    factory-<digest>             what makes the trainables, for workers in other processes
"""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gpbt_adapters.storing.checkpoints.store import FORMAT, CheckpointError, Store, compare, flush, listing
from gpbt_adapters.storing.checkpoints.trust import trusting
from gpbt_core.errors import ConfigError

__all__ = ["CheckpointStore"]

FULL = 1 << 20
"""Fewer free bytes than this, and a failed write is put down to a full disk."""


class CheckpointStore(Store):
    """Checkpoints of one run in a directory, local or shared by all workers.

    Objects of this class are picklable; copies in other processes use the same directory.

    Args:
        directory: Where to keep them; made where it is missing. None: a temporary directory, removed by `close`, or
            with this object.
        resume: Whether `directory` may hold checkpoints already. They are then taken for this run's own, which
            includes that they may be unpickled.
        durable: Whether what was written survives a power cut (each file is flushed to the disk before the checkpoint
            appears). A killed process loses nothing either way.

    Raises:
        ConfigError: The directory holds the checkpoints of another run and `resume` is not set, or other files, or a
            store of another format.

    Examples:
        >>> with CheckpointStore() as store:
        ...     with store.writing(3) as path:
        ...         _ = (path / "weights").write_bytes(b"...")
        ...     with store.reading(3) as path:
        ...         (path / "weights").read_bytes()
        ...     store.ids()
        b'...'
        frozenset({3})
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, *, resume: bool = False, durable: bool = True
    ) -> None:
        if isinstance(directory, str) and "://" in directory:
            raise ConfigError(f"CheckpointStore: wanted a directory, got {directory!r}; take RemoteStore for a URL")
        self._finalizer: weakref.finalize[Any, Any] | None = None
        if directory is None:
            made = tempfile.mkdtemp(prefix="gpbt-checkpoints-")
            self._finalizer = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
            directory = made
        self.directory = Path(directory).absolute()
        self.durable = durable
        self.run = self._open(resume=resume)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_finalizer": None}  # only the object that made a temporary directory removes it

    def __repr__(self) -> str:
        return f"CheckpointStore({str(self.directory)!r})"

    def __contains__(self, trial_id: object) -> bool:
        return isinstance(trial_id, int) and self._place(trial_id).is_dir()

    def ids(self) -> frozenset[int]:
        """The trials that have a checkpoint here."""
        names = (re.fullmatch(r"trial-(\d+)", entry.name) for entry in self.directory.iterdir())
        return frozenset(int(name[1]) for name in names if name)

    def close(self) -> None:
        """Removes a temporary directory; leaves any other as it is. May be called again."""
        if self._finalizer is not None:
            self._finalizer()

    @contextlib.contextmanager
    def writing(self, trial_id: int) -> Iterator[Path]:
        """Yields an empty directory; what the block writes there is the trial's checkpoint once the block ends.

        A block that raises leaves no checkpoint, and the one that the trial may have had before.

        Raises:
            CheckpointError: The disk is full, or refused the files for another reason.
        """
        partial = self.directory / f".partial-{trial_id}-{uuid.uuid4().hex}"
        data = partial / "data"
        try:
            data.mkdir(parents=True)
            yield data
            self._seal(trial_id, partial)
            self._move_into_place(trial_id, partial)
        except OSError as error:
            raise self._not_written(trial_id, error) from error
        except Exception as error:
            # Some frameworks report a full disk as an error of their own, without its number.
            if shutil.disk_usage(self.directory).free < FULL:
                raise self._not_written(trial_id, error) from error
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @contextlib.contextmanager
    def reading(self, trial_id: int) -> Iterator[Path]:
        """Yields the directory of the trial's files, compared with the manifest and trusted inside the block.

        Raises:
            CheckpointError: There is no such checkpoint, or a file is missing, damaged, or was not written by it.
        """
        data = self._verified(trial_id)
        with trusting(data):
            yield data

    def delete(self, trial_ids: Iterable[int]) -> None:
        """Removes the checkpoints of these trials, and what was begun and not finished of them; absent ones are fine.

        Raises:
            CheckpointError: The disk refused.
        """
        wanted = set(trial_ids)
        if not wanted:
            return
        try:
            for entry in sorted(self.directory.iterdir()):
                name = re.fullmatch(r"(trial-|\.partial-)(\d+)(-.*)?", entry.name)
                if name and int(name[2]) in wanted:
                    self._discard(entry, int(name[2]))
        except OSError as error:
            raise CheckpointError(f"{self!r}: the checkpoints of trials {sorted(wanted)} cannot go: {error}") from error

    def add_file(self, name: str, content: bytes) -> None:
        """Writes a file of the run's own beside the checkpoints, whole or not at all.

        Raises:
            CheckpointError: The disk is full, or refused it for another reason.
        """
        path, draft = self.directory / name, self.directory / f".store-{uuid.uuid4().hex}"
        try:
            draft.write_bytes(content)
            draft.replace(path)
        except OSError as error:
            raise CheckpointError(f"{self!r}: {name} could not be written: {error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def read_file(self, name: str) -> bytes:
        """What `add_file` wrote; nothing is verified.

        Raises:
            CheckpointError: It cannot be read.
        """
        try:
            return (self.directory / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{self!r}: {name} cannot be read: {error}") from error

    def _open(self, *, resume: bool) -> str:
        """Makes the directory where it is missing, and returns the id of the run that owns it."""
        card = self.directory / "store.json"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            there = card.exists()
            if not there and any(
                not entry.name.startswith((".store-", card.name)) for entry in self.directory.iterdir()
            ):
                there = card.exists()  # another process may have begun the store since, and gone on
                if not there:
                    raise ConfigError(
                        f"CheckpointStore: wanted an empty directory or a store's, got {str(self.directory)!r}, which "
                        f"holds other files; name a directory of its own"
                    )
            if not there:
                self._lay_down(card)
            elif not resume:
                raise ConfigError(
                    f"CheckpointStore: {str(self.directory)!r} is the store of another run; name another directory, or "
                    f"say resume=True to go on with its checkpoints (and to trust them)"
                )
            known = json.loads(card.read_text("utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"CheckpointStore: {str(self.directory)!r} cannot be opened: {error}") from error
        if not isinstance(known, dict) or known.get("format") != FORMAT:
            raise ConfigError(f"CheckpointStore: wanted format {FORMAT} in {str(card)!r}, got {known!r}")
        return str(known["run"])

    def _lay_down(self, card: Path) -> None:
        """Writes the store's card; where several processes open a store at once, the first one's holds."""
        draft, content = self.directory / f".store-{uuid.uuid4().hex}", {"format": FORMAT, "run": uuid.uuid4().hex}
        try:
            draft.write_text(json.dumps(content), "utf-8")
            try:
                os.link(draft, card)
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links, such as exFAT or a mounted bucket
                with contextlib.suppress(FileExistsError), card.open("x", encoding="utf-8") as file:
                    file.write(json.dumps(content))
        finally:
            draft.unlink(missing_ok=True)

    def _place(self, trial_id: int) -> Path:
        return self.directory / f"trial-{trial_id}"

    def _seal(self, trial_id: int, partial: Path) -> None:
        """Writes the manifest of what is in `partial`, and flushes everything."""
        files = listing(partial / "data", flushed=self.durable)
        manifest = partial / "manifest.json"
        content = {"format": FORMAT, "run": self.run, "trial": trial_id, "files": files}
        manifest.write_text(json.dumps(content, indent=1, sort_keys=True), "utf-8")
        if self.durable:
            flush(manifest)
            flush(partial)

    def _move_into_place(self, trial_id: int, partial: Path) -> None:
        place = self._place(trial_id)
        while True:
            try:
                partial.rename(place)
                break
            except OSError as error:
                # A trial that is trained again after its worker was lost may have one already, or get one now: the
                # worker that was lost may only have been out of reach. What is moved last stays.
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                self._discard(place, trial_id)
        if self.durable:
            flush(self.directory)

    def _discard(self, place: Path, trial_id: int) -> None:
        """Removes a checkpoint so that no half of it is ever in its place."""
        away = self.directory / f".partial-{trial_id}-{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            place.rename(away)
        while away.exists():
            with contextlib.suppress(FileNotFoundError):  # another process removes it too: what is left has to go still
                shutil.rmtree(away)

    def _verified(self, trial_id: int) -> Path:
        place = self._place(trial_id)
        if not place.is_dir():
            raise CheckpointError(f"{self!r}: trial {trial_id} has no checkpoint; it has those of {sorted(self.ids())}")
        try:
            manifest = json.loads((place / "manifest.json").read_text("utf-8"))
            owner, wanted = (manifest["run"], manifest["trial"]), manifest["files"]
            found = listing(place / "data", flushed=False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{self!r}: trial {trial_id}: manifest.json or data is damaged: {error}") from error
        compare(f"{self!r}: trial {trial_id}", (self.run, trial_id), owner, wanted, found)
        return place / "data"

    def _not_written(self, trial_id: int, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self!r}: the checkpoint of trial {trial_id} could not be written: {error}; make room there and go on "
            f"with the same optimizer, or resume: the trial is not told and will be asked again"
        )
