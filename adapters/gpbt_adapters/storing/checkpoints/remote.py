"""The store at a URL, for the object stores and file systems that fsspec supports.

Such a file system may have no rename, and may show a file before it is complete. Therefore each attempt to write a
checkpoint uses unique names, and becomes valid only once its manifest, which is written last, exists. A killed process
leaves no valid checkpoint.

Layout below the URL::

    store.json                              the format and the id of the store
    owner.json                              the study or optimizer whose checkpoints these are
    trial-12/<random>/data/...              the files that its trainable wrote
    trial-12/<random>/manifest.json         their lengths and checksums
    factory-<digest>                        the factory of the trainables, for workers in other processes
"""

import contextlib
import importlib
import json
import re
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gpbt_adapters.storing.checkpoints.store import FORMAT, CarriedStore, CheckpointError, inside
from gpbt_core.errors import ConfigError

__all__ = ["RemoteStore"]

SETTLING = 1.0
"""Minimum seconds between creating a store and using it; longer than other processes take from checking to writing."""


class RemoteStore(CarriedStore):
    """Checkpoints of one run at a URL that all workers can reach.

    A checkpoint is written into a temporary directory, and its checksums are computed. Its files are uploaded and their
    lengths verified, and then the manifest is uploaded. To read a checkpoint, its files are downloaded into a temporary
    directory and verified against the checksums. Nothing is kept locally. Durability is that of the remote file system.

    Args:
        url: An fsspec URL: "s3://bucket/run", "gs://...", "abfs://...", "sftp://...", "file:///...", ...; each kind
            except the local ones needs a package of its own (s3fs, gcsfs, adlfs, ...).
        resume: Whether the URL may already be a store. Its checkpoints may then be unpickled, which runs code, so
            give write access only to people whom you would let run code as you.
        options: The options of the file system, such as keys and endpoints. They are sent to the workers. Options that
            a worker finds in its own environment can be omitted.

    Raises:
        ConfigError: fsspec, or a package it needs for this URL, is not installed; the URL cannot be reached; or it is
            already a store and `resume` is not set, holds other files, or is a store of another format.

    Examples:
        >>> store = RemoteStore("memory://runs/one")
        >>> with store.writing(3) as path:
        ...     _ = (path / "weights").write_bytes(b"...")
        >>> with store.reading(3) as path:
        ...     (path / "weights").read_bytes()
        b'...'
        >>> store.ids()
        frozenset({3})
    """

    def __init__(self, url: str, *, resume: bool = False, **options: Any) -> None:
        if not re.match(r"[\w+.:-]+://", url):
            raise ConfigError(f"RemoteStore: {url!r} cannot be opened: expected a URL, such as 's3://bucket/run'")
        self.url = url
        self._options = options
        self._connect()
        self.run = self._open(resume=resume)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_files"}  # connections cannot be sent

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connect()

    def __repr__(self) -> str:
        return f"RemoteStore({self.url!r})"

    @property
    def address(self) -> str | None:
        """The URL."""
        return self.url

    def ids(self) -> frozenset[int]:
        """The trials that have a checkpoint here.

        Raises:
            CheckpointError: The URL cannot be read.
        """
        pattern = re.compile(re.escape(self._root) + r"/trial-(\d+)/[0-9a-f]+/manifest\.json$")
        try:
            self._files.invalidate_cache()
            found = [pattern.search(str(path)) for path in self._files.find(self._root)]
        except Exception as error:
            raise CheckpointError(f"{self!r} cannot be read: {error}") from error
        return frozenset(int(one[1]) for one in found if one)

    def delete(self, trial_ids: Iterable[int]) -> None:
        """As in `Store`.

        Raises:
            CheckpointError: The file system refuses.
        """
        for trial_id in sorted(set(trial_ids)):
            try:
                for attempt in self._attempts(trial_id):
                    self._remove(attempt)
                with contextlib.suppress(FileNotFoundError):
                    self._files.rm(self._place(trial_id), recursive=True)
            except Exception as error:
                raise CheckpointError(
                    f"{self!r}: the checkpoint of trial {trial_id} cannot be deleted: {error}"
                ) from error

    def add_file(self, name: str, content: bytes) -> None:
        """As in `Store`.

        Raises:
            CheckpointError: The file system refuses.
        """
        try:
            self._put(content, f"{self._root}/{name}")
        except Exception as error:
            raise CheckpointError(f"{self!r}: {name} could not be written: {error}") from error

    def read_file(self, name: str) -> bytes:
        """As in `Store`.

        Raises:
            CheckpointError: The file does not exist, or the URL cannot be reached.
        """
        try:
            return bytes(self._files.cat_file(f"{self._root}/{name}"))
        except Exception as error:
            raise CheckpointError(f"{self!r}: {name} cannot be read: {error}") from error

    def close(self) -> None:
        """Does nothing: the entire store outlives this object."""

    def _connect(self) -> None:
        try:
            core: Any = importlib.import_module("fsspec.core")
        except ImportError as error:
            raise ConfigError('RemoteStore: fsspec is not installed: pip install "gpbt[fsspec]"') from error
        try:
            self._files, root = core.url_to_fs(self.url, **self._options)
        except Exception as error:
            raise ConfigError(f"RemoteStore: {self.url!r} cannot be opened: {error}") from error
        self._root = str(root).rstrip("/")

    def _open(self, *, resume: bool) -> str:
        """Creates the store if there is none, and returns the id of the run that owns it."""
        card = f"{self._root}/store.json"
        try:
            self._files.invalidate_cache()
            there = self._files.exists(card)
            foreign = not there and any(not name.startswith(card) for name in self._below(self._root))
            if foreign:  # another process may have created and used the store since
                self._files.invalidate_cache()
                there = self._files.exists(card)
                foreign = not there
            if not there and not foreign:
                self._lay_down(card, {"format": FORMAT, "run": uuid.uuid4().hex})
            known = None if foreign else json.loads(self._files.cat_file(card))
        except Exception as error:
            raise ConfigError(f"RemoteStore: {self.url!r} cannot be opened: {error}") from error
        if foreign:
            raise ConfigError(
                f"RemoteStore: expected an empty place or a store's, got {self.url!r}, which holds other files; name a "
                f"place of its own"
            )
        if there and not resume:
            raise ConfigError(
                f"RemoteStore: {self.url!r} is a store already; pass resume=True to go on with its checkpoints (and to "
                f"trust them), or name another place"
            )
        if not isinstance(known, dict) or known.get("format") != FORMAT:
            raise ConfigError(f"RemoteStore: expected format {FORMAT} in store.json of {self.url!r}, got {known!r}")
        return str(known["run"])

    def _tie(self, owner: Mapping[str, str]) -> Mapping[str, str]:
        place = f"{self._root}/owner.json"
        try:
            self._files.invalidate_cache()
            if not self._files.exists(place):
                self._lay_down(place, owner)
            found = json.loads(self._files.cat_file(place))
        except Exception as error:
            raise CheckpointError(f"{self!r}: owner.json cannot be written or read: {error}") from error
        if not isinstance(found, dict):
            raise CheckpointError(f"{self!r}: expected an object in owner.json, got {found!r:.200}")
        return found

    def _lay_down(self, place: str, content: Mapping[str, Any]) -> None:
        """Writes a file of the store; if several processes do so concurrently, the last one wins.

        Few file systems can refuse an existing name. So each process waits until the others have written their files.
        """
        began = time.monotonic()
        self._put(json.dumps(content).encode(), place)
        time.sleep(max(SETTLING, 3 * (time.monotonic() - began)))
        self._files.invalidate_cache()

    def _place(self, trial_id: int) -> str:
        return f"{self._root}/trial-{trial_id}"

    def _below(self, place: str) -> list[str]:
        self._files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return sorted(str(name).rstrip("/") for name in self._files.ls(place, detail=False))
        return []

    def _attempts(self, trial_id: int) -> list[str]:
        """The locations of all attempts to write the trial's checkpoint."""
        return self._below(self._place(trial_id))

    def _remove(self, attempt: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{attempt}/manifest.json")  # first: without it, no checkpoint is valid
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(attempt, recursive=True)

    def _send(self, trial_id: int, folder: Path, manifest: Mapping[str, Any]) -> None:
        before, attempt = self._attempts(trial_id), f"{self._place(trial_id)}/{uuid.uuid4().hex}"
        try:
            for name in manifest["files"]:
                self._carry(folder / name, f"{attempt}/data/{name}")
            self._put(json.dumps(manifest, sort_keys=True).encode(), f"{attempt}/manifest.json")
        except BaseException:
            with contextlib.suppress(Exception):  # unreachable: `delete` removes it with the others
                self._remove(attempt)
            raise
        for old in before:
            self._remove(old)

    def _fetch(self, trial_id: int, folder: Path) -> Mapping[str, Any] | None:
        for attempt in self._attempts(trial_id):
            if not self._files.exists(f"{attempt}/manifest.json"):
                continue
            manifest: Mapping[str, Any] = json.loads(self._files.cat_file(f"{attempt}/manifest.json"))
            for name in manifest["files"]:
                local = inside(folder, name)
                local.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # the verification finds and names it
                    self._files.get_file(f"{attempt}/data/{name}", str(local))
            return manifest
        return None

    def _carry(self, local: Path, remote: str) -> None:
        """Uploads a file, and verifies that it arrived completely."""
        self._files.makedirs(remote.rpartition("/")[0], exist_ok=True)
        self._files.put_file(str(local), remote)
        arrived, wanted = self._files.info(remote)["size"], local.stat().st_size
        if arrived != wanted:
            raise OSError(f"{remote}: expected {wanted} bytes there, got {arrived}")

    def _put(self, content: bytes, remote: str) -> None:
        """Writes a small file completely or not at all."""
        with tempfile.TemporaryDirectory(prefix="gpbt-checkpoint-") as scratch:
            local = Path(scratch) / "content"
            local.write_bytes(content)
            draft = f"{remote}.{uuid.uuid4().hex}"
            self._carry(local, draft)
            self._files.mv(draft, remote)
