"""The directory store of checkpoints: the checkpoint of a trial is complete and undamaged, or does not exist.

A checkpoint is written into a hidden directory, flushed to the disk, and then renamed into place: a killed process
leaves nothing that looks like a checkpoint. A manifest holds the length and the SHA-256 of each file, and the files are
verified against it before anyone reads them. The store never decides which checkpoints to delete: `delete` follows
`Optimizer.released`.

Checkpoints may be pickles, and loading a pickle runs code. The checksums protect against damage, but not against
somebody with write access who changes both file and manifest. A directory created here is therefore private (0700).

Layout of a store's directory::

    store.json                   the format and the id of the store
    owner.json                   the study or optimizer whose checkpoints these are
    trial-12/manifest.json       the lengths and checksums of the files of trial 12
    trial-12/data/...            the files that its trainable wrote
    .partial/13-<random>/...     a checkpoint that is being written, or was when its process died
    factory-<digest>             the factory of the trainables, for workers in other processes
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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpbt_adapters.storing.checkpoints.store import (
    FORMAT,
    REMEDY,
    CheckpointError,
    Store,
    compare,
    flush,
    is_full,
    listing,
    missing,
    not_written,
    without_links,
)
from gpbt_adapters.storing.checkpoints.trust import trusting
from gpbt_core.errors import ConfigError

__all__ = ["CheckpointStore"]


class CheckpointStore(Store):
    """Checkpoints of one study or optimizer in a directory, local or shared by all workers.

    Objects of this class are picklable; copies in other processes use the same directory. The first `run` that uses the
    store ties it to its study or optimizer, and any other one is refused.

    Args:
        directory: Where to keep the checkpoints. A missing directory is created, accessible only to you. By default, a
            temporary directory, which is removed by `close` or with this object.
        resume: Whether `directory` may already be a store. Its checkpoints may then be unpickled, which runs code, so
            give write access only to people whom you would let run code as you.
        durable: Whether a checkpoint survives a power cut. If so, each file is flushed to the disk before the
            checkpoint appears. A killed process loses no checkpoint either way. By default, in every directory but a
            temporary one, whose checkpoints end with this object anyway.

    Raises:
        ConfigError: The directory is already a store and `resume` is not set, holds other files, or is a store of
            another format.

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
        self, directory: str | os.PathLike[str] | None = None, *, resume: bool = False, durable: bool | None = None
    ) -> None:
        if isinstance(directory, str) and "://" in directory:
            raise ConfigError(f"CheckpointStore: expected a directory, got {directory!r}; take RemoteStore for a URL")
        self._finalizer: weakref.finalize[Any, Any] | None = None
        if directory is None:
            made = tempfile.mkdtemp(prefix="gpbt-checkpoints-")
            self._finalizer = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
            directory = made
        self._temporary = self._finalizer is not None
        self.directory = Path(directory).absolute()
        self.durable = not self._temporary if durable is None else durable
        self.run = self._open(resume=resume)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_finalizer": None}  # only the object that created a temporary directory removes it

    def __repr__(self) -> str:
        return f"CheckpointStore({str(self.directory)!r})"

    def __contains__(self, trial_id: object) -> bool:
        return isinstance(trial_id, int) and self._place(trial_id).is_dir()

    @property
    def address(self) -> str | None:
        """The path of the directory; None for a temporary one."""
        return None if self._temporary else str(self.directory)

    def ids(self) -> frozenset[int]:
        """The trials that have a checkpoint here."""
        names = (re.fullmatch(r"trial-(\d+)", entry.name) for entry in self.directory.iterdir())
        return frozenset(int(name[1]) for name in names if name)

    def close(self) -> None:
        """Removes a temporary directory, and keeps any other. Calling it again has no effect."""
        if self._finalizer is not None:
            self._finalizer()

    @contextlib.contextmanager
    def writing(self, trial_id: int, *, line: str = "") -> Iterator[Path]:
        """As in `Store`; the directory is in the store, hidden until the block ends.

        Raises:
            CheckpointError: The disk is full, the files could not be written, or one is a link to a target outside the
                checkpoint or not a regular file.
        """
        partial = self._partial(trial_id)
        data = partial / "data"
        try:
            self._partials.mkdir(exist_ok=True)  # not its parents: a removed store must not return without store.json
            partial.mkdir()
            data.mkdir()
        except FileNotFoundError as error:
            raise CheckpointError(f"{self!r}: the directory was removed while it was in use") from error
        except OSError as error:
            raise not_written(self, trial_id, error) from error
        try:
            try:
                yield data
            except Exception as error:
                if is_full(error, self.directory):
                    raise not_written(self, trial_id, error) from error
                raise
            try:
                self._seal(trial_id, line, partial)
                self._move_into_place(trial_id, partial)
            except OSError as error:
                raise not_written(self, trial_id, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @contextlib.contextmanager
    def reading(self, trial_id: int, *, line: str = "") -> Iterator[Path]:
        """As in `Store`; yields the directory inside the store.

        Raises:
            MissingCheckpointError: There is no such checkpoint.
            CheckpointError: A file is missing or damaged, or belongs to another trial.
        """
        data = self._verified(trial_id, line)
        with trusting(data):
            yield data

    def delete(self, trial_ids: Iterable[int]) -> None:
        """Deletes the checkpoints of these trials, unfinished ones included; ids without one are ignored.

        Raises:
            CheckpointError: The file system refuses.
        """
        wanted = set(trial_ids)
        if not wanted:
            return
        try:
            for trial_id in sorted(wanted):
                self._discard(self._place(trial_id), trial_id)
            for entry in self._unfinished():
                if int(entry.name.partition("-")[0]) in wanted:
                    shutil.rmtree(entry, ignore_errors=True)
        except OSError as error:
            raise CheckpointError(
                f"{self!r}: the checkpoints of trials {sorted(wanted)} cannot be deleted: {error}"
            ) from error

    def add_file(self, name: str, content: bytes) -> None:
        """Writes a file beside the checkpoints, completely or not at all.

        Raises:
            CheckpointError: The disk is full, or the file could not be written for another reason.
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
        """Returns the content that `add_file` wrote, without verifying it.

        Raises:
            CheckpointError: The file cannot be read.
        """
        try:
            return (self.directory / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{self!r}: {name} cannot be read: {error}") from error

    def _tie(self, owner: Mapping[str, str]) -> Mapping[str, str]:
        place = self.directory / "owner.json"
        try:
            self._lay_down(place, owner)
            found = json.loads(place.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self!r}: owner.json cannot be written or read: {error}") from error
        if not isinstance(found, dict):
            raise CheckpointError(f"{self!r}: expected an object in owner.json, got {found!r:.200}")
        return found

    def _open(self, *, resume: bool) -> str:
        """Creates the directory if it is missing, and returns the id of the store."""
        card = self.directory / "store.json"
        try:
            if not self.directory.exists():
                self.directory.parent.mkdir(parents=True, exist_ok=True)
                self.directory.mkdir(mode=0o700, exist_ok=True)
            there = card.exists()
            if not there and any(
                not entry.name.startswith((".store-", card.name)) for entry in self.directory.iterdir()
            ):
                there = card.exists()  # another process may have created and used the store since
                if not there:
                    raise ConfigError(
                        f"CheckpointStore: expected an empty directory or a store's, got {str(self.directory)!r}, "
                        f"which holds other files; name a directory of its own"
                    )
            if not there:
                self._lay_down(card, {"format": FORMAT, "run": uuid.uuid4().hex})
            elif not resume:
                raise ConfigError(
                    f"CheckpointStore: {str(self.directory)!r} is a store already; pass resume=True to go on with its "
                    f"checkpoints (and to trust them), or name another directory"
                )
            known = json.loads(card.read_text("utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"CheckpointStore: {str(self.directory)!r} cannot be opened: {error}") from error
        if not isinstance(known, dict) or known.get("format") != FORMAT:
            raise ConfigError(f"CheckpointStore: expected format {FORMAT} in {str(card)!r}, got {known!r}")
        return str(known["run"])

    def _lay_down(self, place: Path, content: Mapping[str, Any]) -> None:
        """Writes a file unless it exists; if several processes do so concurrently, the first one wins."""
        draft = self.directory / f".store-{uuid.uuid4().hex}"
        try:
            draft.write_text(json.dumps(content), "utf-8")
            try:
                os.link(draft, place)
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links, such as exFAT or a mounted bucket
                with contextlib.suppress(FileExistsError), place.open("x", encoding="utf-8") as file:
                    file.write(json.dumps(content))
        finally:
            draft.unlink(missing_ok=True)

    def _place(self, trial_id: int) -> Path:
        return self.directory / f"trial-{trial_id}"

    @property
    def _partials(self) -> Path:
        """The directory of unfinished checkpoints. Listing it takes no longer, however many checkpoints there are."""
        return self.directory / ".partial"

    def _partial(self, trial_id: int) -> Path:
        return self._partials / f"{trial_id}-{uuid.uuid4().hex}"

    def _unfinished(self) -> list[Path]:
        """The unfinished checkpoints of all trials."""
        try:
            return sorted(self._partials.iterdir())
        except FileNotFoundError:  # nothing has been written yet
            return []

    def _seal(self, trial_id: int, line: str, partial: Path) -> None:
        """Writes the manifest of the files in `partial`, and flushes everything."""
        without_links(partial / "data")
        files = listing(partial / "data", flushed=self.durable)
        manifest = partial / "manifest.json"
        content = {"format": FORMAT, "run": self.run, "trial": trial_id, "line": line, "files": files}
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
                # A trial that is trained again after its worker was lost may already have a checkpoint, or get one
                # now: the lost worker may only have been unreachable. The one that is moved last is kept.
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                self._discard(place, trial_id)
        if self.durable:
            flush(self.directory)
        for left in self._unfinished():
            if left.name.startswith(f"{trial_id}-"):  # left by a process that died while writing it
                shutil.rmtree(left, ignore_errors=True)

    def _discard(self, place: Path, trial_id: int) -> None:
        """Removes a checkpoint so that no partial checkpoint is ever visible."""
        if not place.exists():
            return
        away = self._partial(trial_id)
        self._partials.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            place.rename(away)
        while away.exists():
            with contextlib.suppress(FileNotFoundError):  # another process also removes it: remove the rest
                shutil.rmtree(away)

    def _verified(self, trial_id: int, line: str) -> Path:
        place = self._place(trial_id)
        if not place.is_dir():
            raise missing(self, trial_id)
        try:
            manifest = json.loads((place / "manifest.json").read_text("utf-8"))
            found = listing(place / "data", flushed=False)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self!r}: trial {trial_id}: manifest.json or data is damaged: {error}; {REMEDY}"
            ) from error
        compare(self, trial_id, line, manifest, found)
        return place / "data"
