"""The store behind a URL: in the memory of this process, and in files that several processes reach."""

import contextlib
import json
import pickle
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import Result
from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore, RemoteStore, is_trusted, open_store
from gpbt_core.errors import ConfigError
from toy_runs import records, small_run
from toy_trainables import Descent

fsspec: Any = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _nobody_else_begins_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpbt_adapters.storing.checkpoints.remote.SETTLING", 0.0)


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield (tmp_path / "there").as_uri()
        return
    place = f"memory://{uuid.uuid4().hex}/run"
    yield place
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories go, so that a test sees what is left of them."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def _save(store: RemoteStore, trial_id: int, text: str = "weights") -> None:
    with store.writing(trial_id) as path:
        (path / "deep" / "er").mkdir(parents=True)
        (path / "deep" / "er" / "weights").write_text(text)
        (path / "hollow").mkdir()
        (path / "empty").write_text("")


def _read(store: RemoteStore, trial_id: int) -> str:
    with store.reading(trial_id) as path:
        assert is_trusted(path)
        assert (path / "hollow").is_dir()
        assert (path / "empty").read_text() == ""
        return (path / "deep" / "er" / "weights").read_text()


def _objects(url: str) -> list[str]:
    files, root = fsspec.core.url_to_fs(url)
    return sorted(name[len(root) :].lstrip("/") for name in files.find(root))


def _the(url: str, end: str) -> str:
    """The URL of the one object of a name."""
    (name,) = [name for name in _objects(url) if name.endswith(end)]
    return f"{url}/{name}"


def test_what_was_written_is_read_again_and_leaves_nothing_local(url: str, scratch: Path) -> None:
    store = RemoteStore(url)
    _save(store, 3, "three")
    _save(store, 12, "twelve")
    assert (_read(store, 3), _read(store, 12)) == ("three", "twelve")
    assert store.ids() == {3, 12}
    assert 3 in store
    assert 4 not in store
    assert list(scratch.iterdir()) == []


def test_a_trial_that_is_trained_again_replaces_its_checkpoint(url: str) -> None:
    store = RemoteStore(url)
    _save(store, 1, "old")
    count = len(_objects(url))
    _save(store, 1, "new")
    assert _read(store, 1) == "new"
    assert len(_objects(url)) == count


def test_a_block_that_raises_leaves_what_was_there_before(url: str) -> None:
    store = RemoteStore(url)
    _save(store, 1, "old")
    before = _objects(url)

    def broken_save() -> None:
        with store.writing(1) as path:
            (path / "half").write_text("x")
            raise ValueError("training code")

    with pytest.raises(ValueError, match="training code"):
        broken_save()
    assert _read(store, 1) == "old"
    assert _objects(url) == before


def test_deleting_removes_exactly_the_named_ones_and_takes_absent_ones(url: str) -> None:
    store = RemoteStore(url)
    for trial_id in (1, 2, 11):
        _save(store, trial_id)
    store.delete([1, 5])
    assert store.ids() == {2, 11}
    assert not [name for name in _objects(url) if name.startswith("trial-1/")]
    store.delete([2, 11])
    assert _objects(url) == ["store.json"]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_a_damaged_object_is_found_and_named(url: str, damage: str) -> None:
    store = RemoteStore(url)
    _save(store, 4)
    files, path = fsspec.core.url_to_fs(_the(url, "weights"))
    if damage == "missing":
        files.rm_file(path)
    else:
        files.pipe_file(path, b"weightz" if damage == "flip" else b"")
    with pytest.raises(CheckpointError, match=r"trial 4: file 'deep/er/weights' is damaged"):
        _read(store, 4)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": 1}'])
def test_a_damaged_manifest_is_an_error_that_names_the_trial(url: str, content: bytes) -> None:
    store = RemoteStore(url)
    _save(store, 4)
    files, path = fsspec.core.url_to_fs(_the(url, "manifest.json"))
    files.pipe_file(path, content)
    with pytest.raises(CheckpointError, match="trial 4 cannot be read"):
        _read(store, 4)


def test_a_manifest_that_points_elsewhere_writes_nothing_there(url: str, tmp_path: Path) -> None:
    store = RemoteStore(url)
    _save(store, 4)
    files, path = fsspec.core.url_to_fs(_the(url, "manifest.json"))
    for name in ("../outside", str(tmp_path / "outside")):
        files.pipe_file(path, json.dumps({"run": store.run, "trial": 4, "files": {name: {}}, "folders": []}).encode())
        with pytest.raises(CheckpointError, match="no place inside a checkpoint"):
            _read(store, 4)


def test_an_upload_that_arrives_short_does_not_count(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RemoteStore(url)
    files = store._files
    real = type(files).put_file

    def short(local: str, remote: str, **settings: Any) -> None:
        real(files, local, remote, **settings)
        if remote.endswith("weights"):
            files.pipe_file(remote, b"w")

    monkeypatch.setattr(files, "put_file", short)
    with pytest.raises(
        CheckpointError, match=r"trial 1 could not be written: .*expected 7 bytes there, got 1; see that"
    ):
        _save(store, 1)
    assert store.ids() == set()
    assert _objects(url) == ["store.json"]


KILLED = """
import os, sys
from gpbt_adapters.storing.checkpoints import RemoteStore
store = RemoteStore(sys.argv[1], resume=True)
real = store._put
store._put = lambda *arguments: os._exit(9)
with store.writing(7) as path:
    (path / "whole").write_text("x")
"""


def test_a_process_killed_before_the_manifest_leaves_nothing_that_counts(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    store = RemoteStore(url)
    assert subprocess.run([sys.executable, "-c", KILLED, url], check=False).returncode == 9
    assert store.ids() == set()
    assert any(name.startswith("trial-7/") for name in _objects(url))
    with pytest.raises(CheckpointError, match="trial 7 has no checkpoint"):
        _read(store, 7)
    store.delete([7])
    assert _objects(url) == ["store.json"]


def test_the_store_of_another_run_and_other_files_are_refused(url: str, tmp_path: Path) -> None:
    store = RemoteStore(url)
    _save(store, 1, "kept")
    with pytest.raises(ConfigError, match=r"is a store already.*resume=True"):
        RemoteStore(url)
    again = RemoteStore(url, resume=True)
    assert again.run == store.run
    assert _read(again, 1) == "kept"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="holds other files"):
        RemoteStore((tmp_path / "thesis").as_uri(), resume=True)


def test_several_openers_at_once_agree_on_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpbt_adapters.storing.checkpoints.remote.SETTLING", 1.0)
    kind, meeting = type(fsspec.filesystem("file")), threading.Barrier(4)
    original = kind.exists

    def together(*arguments: Any) -> bool:
        there = bool(original(*arguments))
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=10)
            meeting.abort()  # only the first look of each is the same
        return there

    monkeypatch.setattr(kind, "exists", together)
    with ThreadPoolExecutor(4) as threads:
        openings = [threads.submit(RemoteStore, (tmp_path / "there").as_uri(), resume=True) for _ in range(4)]
        assert len({opening.result().run for opening in openings}) == 1


def test_a_store_that_another_process_has_just_begun_is_not_taken_for_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, begun = type(fsspec.filesystem("file")), list[RemoteStore]()
    original = kind.ls

    def late(*arguments: Any, **options: Any) -> Any:
        if not begun:
            begun.append(None)  # type: ignore[arg-type]  # it lists as well
            begun[0] = RemoteStore(tmp_path.as_uri())
            begun[0].add_file("factory", b"content")
        return original(*arguments, **options)

    monkeypatch.setattr(kind, "ls", late)
    assert RemoteStore(tmp_path.as_uri(), resume=True).run == begun[0].run


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    first, second = (RemoteStore((tmp_path / name).as_uri()) for name in ("first", "second"))
    _save(first, 4)
    (tmp_path / "first" / "trial-4").rename(tmp_path / "second" / "trial-4")
    with pytest.raises(
        CheckpointError, match=f"expected a checkpoint of trial 4 of store {second.run}, got one of trial 4 of store"
    ):
        _read(second, 4)


@pytest.mark.parametrize("url", ["nosuch://bucket/run", "://"])
def test_a_url_that_nothing_serves_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"RemoteStore: .* cannot be opened"):
        open_store(url)


def test_a_url_and_a_path_mean_different_stores(tmp_path: Path) -> None:
    assert isinstance(open_store((tmp_path / "one").as_uri()), RemoteStore)
    assert isinstance(open_store(str(tmp_path / "two")), CheckpointStore)
    with pytest.raises(ConfigError, match="take RemoteStore for a URL"):
        CheckpointStore("s3://bucket/run")


def test_a_run_takes_a_url_and_keeps_what_a_directory_keeps(url: str, serial: Result) -> None:
    result = small_run(store=url)
    assert records(result) == records(serial)
    assert result.store.ids() == serial.store.ids()
    assert result.restore().score() == result.best.score


class Big(Descent):
    """A factory with data, too large to travel with each order."""

    def __init__(self, size: int = 0) -> None:
        self.data = bytes(size)

    def __call__(self) -> Descent:
        return Descent()


def test_processes_share_a_store_behind_a_url(tmp_path: Path, processes: Any, serial: Result) -> None:
    store = RemoteStore((tmp_path / "there").as_uri())
    assert pickle.loads(pickle.dumps(store)).run == store.run  # noqa: S301 - its own
    result = small_run(Big(1 << 20), store=store, executor=processes)
    assert records(result) == records(serial)
    assert any(name.startswith("factory-") for name in _objects(store.url))
