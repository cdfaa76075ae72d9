"""The interface of a checkpoint store for a driver and its workers, and the code that all stores share.

A store never decides which checkpoints to delete: `delete` follows `Optimizer.released`. A manifest holds the length
and the SHA-256 of each file, and the files are verified against it before anyone reads them.
"""

import abc
import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from gpbt_adapters.storing.checkpoints.trust import trusting
from gpbt_core.errors import ConfigError, GpbtError

__all__ = [
    "FORMAT",
    "REMEDY",
    "CarriedStore",
    "CheckpointError",
    "MissingCheckpointError",
    "Store",
    "compare",
    "flush",
    "inside",
    "is_full",
    "listing",
    "missing",
    "not_written",
    "without_links",
]

FORMAT = 1


class CheckpointError(GpbtError, RuntimeError):
    """A checkpoint is missing or damaged, belongs to another run, or could not be written."""


class MissingCheckpointError(CheckpointError):
    """A trial has no checkpoint in the store."""


class Store(abc.ABC):
    """The checkpoints of one study or optimizer, for its driver and all its workers.

    Copies of a store in other processes reach the same checkpoints.

    Attributes:
        run: The id of the store, which every checkpoint in it carries.
    """

    run: str
    _owner: Mapping[str, str] | None = None

    @property
    def address(self) -> str | None:
        """The path or URL that opens the store again; None if it does not outlive this object."""
        return None

    def claim(self, identity: str, name: str) -> None:
        """Ties the store permanently to one study or optimizer; any other is refused.

        Args:
            identity: The identity of the study or optimizer, which may claim the store again.
            name: A human-readable name, such as "study 'digits'".

        Raises:
            ConfigError: The store belongs to another study or optimizer.
            CheckpointError: The store cannot be written or read.
        """
        owner = self._tie({"identity": identity, "name": name})
        if owner.get("identity") != identity:
            raise ConfigError(
                f"run: {self!r} holds the checkpoints of {owner.get('name')}, got {name}; give each study a store of "
                f"its own"
            )

    def _tie(self, owner: Mapping[str, str]) -> Mapping[str, str]:
        """Makes `owner` the owner unless there already is one; returns the actual owner."""
        self._owner = self._owner or owner
        return self._owner

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self.ids()

    @abc.abstractmethod
    def ids(self) -> frozenset[int]:
        """The trials that have a checkpoint here."""

    @abc.abstractmethod
    def writing(self, trial_id: int, *, line: str = "") -> AbstractContextManager[Path]:
        """Yields an empty directory, whose content becomes the trial's checkpoint when the block ends.

        If the block raises, its error propagates, and the trial's previous checkpoint, if any, is kept. A symbolic link
        to a target inside the directory is replaced by a copy.

        Args:
            trial_id: The trial.
            line: A digest of how the trial is trained (seed, configs, steps); `reading` compares it.

        Raises:
            CheckpointError: The disk is full, the files could not be written, or one is a link to a target outside the
                checkpoint or not a regular file.
        """

    @abc.abstractmethod
    def reading(self, trial_id: int, *, line: str = "") -> AbstractContextManager[Path]:
        """Yields a directory with the trial's files, verified against the manifest and trusted inside the block.

        Args:
            trial_id: The trial.
            line: The digest that the checkpoint must have been written with; "" accepts any.

        Raises:
            MissingCheckpointError: There is no such checkpoint.
            CheckpointError: A file is missing or damaged, or belongs to another trial.
        """

    @abc.abstractmethod
    def delete(self, trial_ids: Iterable[int]) -> None:
        """Deletes the checkpoints of these trials, unfinished ones included; ids without one are ignored.

        Raises:
            CheckpointError: They cannot be deleted.
        """

    @abc.abstractmethod
    def add_file(self, name: str, content: bytes) -> None:
        """Writes a file beside the checkpoints, completely or not at all.

        Raises:
            CheckpointError: The disk is full, or the file could not be written for another reason.
        """

    @abc.abstractmethod
    def read_file(self, name: str) -> bytes:
        """Returns the content that `add_file` wrote in any process, without verifying it.

        Raises:
            CheckpointError: The file cannot be read.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Removes everything that does not outlive this object. Calling it again has no effect."""


class CarriedStore(Store):
    """A store that copies files to and from temporary directories of the training process (see TMPDIR)."""

    @abc.abstractmethod
    def _send(self, trial_id: int, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Stores the files of a folder as the trial's checkpoint, all of them or none."""

    @abc.abstractmethod
    def _fetch(self, trial_id: int, folder: Path) -> Mapping[str, Any] | None:
        """Writes the trial's files into a folder and returns their manifest; None if it has no checkpoint."""

    @contextlib.contextmanager
    def writing(self, trial_id: int, *, line: str = "") -> Iterator[Path]:
        """As in `Store`; the files are in a temporary directory, and move to the store when the block ends."""
        with tempfile.TemporaryDirectory(prefix="gpbt-checkpoint-") as scratch:
            folder = Path(scratch)
            try:
                yield folder
            except Exception as error:
                if is_full(error, folder):
                    raise not_written(self, trial_id, error) from error
                raise
            try:
                manifest = {"format": FORMAT, "run": self.run, "trial": trial_id, "line": line, **_contents(folder)}
                self._send(trial_id, folder, manifest)
            except CheckpointError:
                raise
            except Exception as error:
                raise not_written(self, trial_id, error) from error

    @contextlib.contextmanager
    def reading(self, trial_id: int, *, line: str = "") -> Iterator[Path]:
        """As in `Store`; the files are in a temporary directory until the block ends."""
        with tempfile.TemporaryDirectory(prefix="gpbt-checkpoint-") as scratch:
            folder = Path(scratch)
            try:
                manifest = self._fetch(trial_id, folder)
                if manifest is not None:
                    for name in manifest["folders"]:
                        inside(folder, name).mkdir(parents=True, exist_ok=True)
                    found = listing(folder, flushed=False)
            except Exception as error:
                raise CheckpointError(f"{self!r}: trial {trial_id} cannot be read: {error}") from error
            if manifest is None:
                raise missing(self, trial_id)
            compare(self, trial_id, line, manifest, found)
            with trusting(folder):
                yield folder


def missing(store: Store, trial_id: int) -> MissingCheckpointError:
    """The error for a trial without a checkpoint."""
    return MissingCheckpointError(
        f"{store!r}: trial {trial_id} has no checkpoint; the store has those of {sorted(store.ids())}"
    )


def not_written(store: Store, trial_id: int, error: Exception) -> CheckpointError:
    """The error for a checkpoint that could not be written, with advice that fits the cause."""
    full = isinstance(error, OSError) and error.errno in _NO_ROOM
    advice = "make room there" if full else "see that the place can be written"
    return CheckpointError(
        f"{store!r}: the checkpoint of trial {trial_id} could not be written: {error}; {advice} and call run again "
        f"with the same optimizer or study: the trial is not told and will be asked again"
    )


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

FULL = 1 << 20
"""If fewer bytes than this are free, any failed write is attributed to a full disk."""


def is_full(error: Exception, place: Path) -> bool:
    """Whether an error means that the disk of `place` is full; some frameworks hide the error number."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    with contextlib.suppress(OSError):
        return shutil.disk_usage(place).free < FULL
    return False


def _contents(folder: Path) -> dict[str, Any]:
    without_links(folder)
    folders = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_dir()]
    return {"files": listing(folder, flushed=False), "folders": folders}


def without_links(folder: Path) -> None:
    """Replaces each link to a target inside a checkpoint by a copy of the target.

    Raises:
        CheckpointError: A link is broken or points outside, or an entry is neither a file nor a directory.
    """
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            target = path.resolve()
            if not target.exists() or not target.is_relative_to(root) or root.is_relative_to(target):
                raise CheckpointError(
                    f"checkpoint: {name!r} is a link to {str(path.readlink())!r}, which is not a file of the "
                    f"checkpoint; save a copy instead"
                )
            path.unlink()
            if target.is_dir():
                shutil.copytree(target, path)
            else:
                shutil.copy2(target, path)
        elif not path.is_file() and not path.is_dir():
            raise CheckpointError(f"checkpoint: expected files and directories, got {name!r}, which is neither")


def inside(folder: Path, name: str) -> Path:
    """The path of a file of a checkpoint; a damaged manifest may name any path.

    Raises:
        ValueError: The path is not below the folder.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{name!r} is no place inside a checkpoint")
    return folder / pure


def listing(directory: Path, *, flushed: bool) -> dict[str, dict[str, int | str]]:
    """The length and the SHA-256 of each file under a directory, by relative name.

    Args:
        directory: The directory of the files.
        flushed: Whether to flush each file and directory to the disk, so that it survives a power cut.

    Raises:
        OSError: An entry cannot be read, or is neither a file nor a directory.
    """
    found: dict[str, dict[str, int | str]] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            if flushed:
                flush(path)
            continue
        if not stat.S_ISREG(path.lstat().st_mode):  # lstat says so if the file has just been deleted
            raise OSError(errno.EINVAL, "neither a file nor a directory", str(path))
        if flushed:
            flush(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.relative_to(directory).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}
    if flushed:
        flush(directory)
    return found


REMEDY = "restore it, or delete the whole checkpoint, and its trial is trained again"


def compare(store: Store, trial_id: int, line: str, manifest: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Verifies the files of a checkpoint against its manifest, and the manifest against the expected trial.

    Args:
        store: The store that holds the checkpoint.
        trial_id: The expected trial.
        line: The expected digest of how the trial was trained; "" accepts any.
        manifest: The manifest in the store.
        found: The `listing` of the files.

    Raises:
        CheckpointError: The checkpoint is damaged, or belongs to another trial or store.
    """
    who = f"{store!r}: trial {trial_id}"
    try:
        owner, wanted, written = (manifest["run"], manifest["trial"]), manifest["files"], manifest.get("line", "")
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{who}: manifest.json or data is damaged: {error!r}; {REMEDY}") from error
    if owner != (store.run, trial_id):
        raise CheckpointError(
            f"{who}: expected a checkpoint of trial {trial_id} of store {store.run}, got one of trial {owner[1]} of "
            f"store {owner[0]}; was it copied here?"
        )
    if line and written and line != written:
        raise CheckpointError(
            f"{who}: the checkpoint was written by a trial with another seed or other configs; it belongs to another "
            f"study or optimizer, which must not share this store"
        )
    if found != wanted:
        name = min(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise CheckpointError(
            f"{who}: file {name!r} is damaged: expected {wanted.get(name, 'no such file')}, got "
            f"{found.get(name, 'no such file')}; {REMEDY}"
        )


def flush(path: Path) -> None:
    """Flushes the content of a file, or the entries of a directory, so that they survive a power cut."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return  # Windows cannot open a directory; renames there are journaled
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
