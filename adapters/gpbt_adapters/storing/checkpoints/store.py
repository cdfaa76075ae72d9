"""What a driver and its workers need of a store of checkpoints, and what all stores share.

A store never decides what may go: `delete` follows `Optimizer.released`. A manifest holds the length and the SHA-256 of
each file and is compared with the files before anyone reads them.
"""

import abc
import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from gpbt_adapters.storing.checkpoints.trust import trusting
from gpbt_core.errors import GpbtError

__all__ = ["FORMAT", "CarriedStore", "CheckpointError", "Store", "compare", "flush", "inside", "listing"]

FORMAT = 1


class CheckpointError(GpbtError, RuntimeError):
    """A checkpoint is missing, damaged, not this run's own, or could not be written."""


class Store(abc.ABC):
    """Checkpoints of one run, for its driver and all its workers: copies in other processes reach the same ones.

    Attributes:
        run: The id of the run that owns them.
    """

    run: str

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
    def writing(self, trial_id: int) -> AbstractContextManager[Path]:
        """Yields an empty directory; what the block writes there is the trial's checkpoint once the block ends.

        A block that raises leaves no checkpoint, and the one that the trial may have had before.

        Raises:
            CheckpointError: There is no room, or the files were refused for another reason.
        """

    @abc.abstractmethod
    def reading(self, trial_id: int) -> AbstractContextManager[Path]:
        """Yields a directory with the trial's files, compared with the manifest and trusted inside the block.

        Raises:
            CheckpointError: There is no such checkpoint, or a file is missing, damaged, or was not written by it.
        """

    @abc.abstractmethod
    def delete(self, trial_ids: Iterable[int]) -> None:
        """Removes the checkpoints of these trials, and what was begun and not finished of them; absent ones are fine.

        Raises:
            CheckpointError: They cannot be removed.
        """

    @abc.abstractmethod
    def add_file(self, name: str, content: bytes) -> None:
        """Writes a file of the run's own beside the checkpoints, whole or not at all.

        Raises:
            CheckpointError: There is no room, or it was refused for another reason.
        """

    @abc.abstractmethod
    def read_file(self, name: str) -> bytes:
        """What `add_file` wrote, in whatever process; nothing is verified.

        Raises:
            CheckpointError: It cannot be read.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of what does not outlive this object. May be called again."""


class CarriedStore(Store):
    """A store whose files are carried to and from temporary directories of the process that trains (see TMPDIR)."""

    @abc.abstractmethod
    def _send(self, trial_id: int, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Makes the files of a folder the trial's checkpoint, all of them or none."""

    @abc.abstractmethod
    def _fetch(self, trial_id: int, folder: Path) -> Mapping[str, Any] | None:
        """Writes the trial's files into a folder and returns their manifest; None: it has no checkpoint."""

    @contextlib.contextmanager
    def writing(self, trial_id: int) -> Iterator[Path]:
        """As any store; the files lie in a temporary directory until the block ends, and then go to the store."""
        with tempfile.TemporaryDirectory(prefix="gpbt-checkpoint-") as scratch:
            folder = Path(scratch)
            try:
                yield folder
                manifest = {"format": FORMAT, "run": self.run, "trial": trial_id, **_contents(folder)}
            except OSError as error:
                raise self._not_written(trial_id, error) from error
            try:
                self._send(trial_id, folder, manifest)
            except Exception as error:
                raise self._not_written(trial_id, error) from error

    @contextlib.contextmanager
    def reading(self, trial_id: int) -> Iterator[Path]:
        """As any store; the files lie in a temporary directory, for the length of the block."""
        with tempfile.TemporaryDirectory(prefix="gpbt-checkpoint-") as scratch:
            folder = Path(scratch)
            try:
                manifest = self._fetch(trial_id, folder)
                there = manifest is not None
                if manifest is not None:
                    owner, wanted = (manifest["run"], manifest["trial"]), manifest["files"]
                    for name in manifest["folders"]:
                        inside(folder, name).mkdir(parents=True, exist_ok=True)
                    found = listing(folder, flushed=False)
            except Exception as error:
                raise CheckpointError(f"{self!r}: trial {trial_id} cannot be read: {error}") from error
            if not there:
                raise CheckpointError(
                    f"{self!r}: trial {trial_id} has no checkpoint; it has those of {sorted(self.ids())}"
                )
            compare(f"{self!r}: trial {trial_id}", (self.run, trial_id), owner, wanted, found)
            with trusting(folder):
                yield folder

    def _not_written(self, trial_id: int, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self!r}: the checkpoint of trial {trial_id} could not be written: {error}; make room there and go on "
            f"with the same optimizer, or resume: the trial is not told and will be asked again"
        )


def _contents(folder: Path) -> dict[str, Any]:
    folders = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_dir()]
    return {"files": listing(folder, flushed=False), "folders": folders}


def inside(folder: Path, name: str) -> Path:
    """The place of a file of a checkpoint, which a damaged manifest may have anywhere.

    Raises:
        ValueError: It is not below the folder.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{name!r} is no place inside a checkpoint")
    return folder / pure


def listing(directory: Path, *, flushed: bool) -> dict[str, dict[str, int | str]]:
    """The length and the SHA-256 of each file under a directory, by its relative name.

    Args:
        directory: Where they are.
        flushed: Whether each file, and each directory, is to be made to survive a power cut.

    Raises:
        OSError: Something cannot be read, or is neither a file nor a directory.
    """
    found: dict[str, dict[str, int | str]] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            if flushed:
                flush(path)
            continue
        if path.is_symlink() or not path.is_file():
            raise OSError(errno.EINVAL, "neither a file nor a directory", str(path))
        if flushed:
            flush(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.relative_to(directory).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}
    if flushed:
        flush(directory)
    return found


def compare(
    who: str, us: tuple[str, int], owner: tuple[str, int], wanted: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    """Compares files with their manifest.

    Args:
        who: The store and the trial, for the error.
        us: The run and the trial that they should be of.
        owner: Those that the manifest names.
        wanted: The files of the manifest.
        found: Their `listing`.

    Raises:
        CheckpointError: They are another's, or damaged.
    """
    if owner != us:
        raise CheckpointError(
            f"{who}: wanted a checkpoint of run {us[0]}, got one of trial {owner[1]} of run {owner[0]}; was it "
            f"copied here?"
        )
    if found != wanted:
        name = min(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise CheckpointError(
            f"{who}: file {name!r} is damaged: wanted {wanted.get(name, 'no such file')}, got "
            f"{found.get(name, 'no such file')}"
        )


def flush(path: Path) -> None:
    """Makes a file's content, or a directory's names, survive a power cut."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return  # Windows opens no directory; a rename there is journalled
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
