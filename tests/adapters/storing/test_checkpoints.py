import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore, is_trusted, trusting
from gpbt_core.errors import ConfigError


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "store")


def _save(store: CheckpointStore, trial_id: int, content: str = "weights") -> None:
    with store.writing(trial_id) as path:
        (path / "deep" / "er").mkdir(parents=True)
        (path / "deep" / "er" / "weights").write_text(content)
        (path / "empty").write_text("")


def _read(store: CheckpointStore, trial_id: int) -> str:
    with store.reading(trial_id) as path:
        return (path / "deep" / "er" / "weights").read_text()


def test_what_was_written_is_read_again(store: CheckpointStore) -> None:
    _save(store, 3, "three")
    _save(store, 12, "twelve")
    assert (_read(store, 3), _read(store, 12)) == ("three", "twelve")
    assert store.ids() == {3, 12}
    assert 3 in store
    assert 4 not in store


def test_a_block_that_raises_leaves_no_checkpoint_and_no_file(store: CheckpointStore) -> None:
    def broken_save() -> None:
        with store.writing(1) as path:
            (path / "half").write_text("x")
            raise ValueError("training code")

    with pytest.raises(ValueError, match="training code"):
        broken_save()
    assert store.ids() == set()
    assert _entries(store) == ["store.json"]


def test_a_block_that_raises_leaves_the_checkpoint_from_before(store: CheckpointStore) -> None:
    _save(store, 1, "old")

    def broken_save() -> None:
        with store.writing(1):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - its own, from the line above
        broken_save()
    assert _read(store, 1) == "old"


def test_a_trial_that_is_trained_again_replaces_its_checkpoint(store: CheckpointStore) -> None:
    _save(store, 1, "old")
    _save(store, 1, "new")
    assert _read(store, 1) == "new"
    assert _entries(store) == ["store.json", "trial-1"]


def test_deleting_removes_exactly_the_named_ones_and_takes_absent_ones(store: CheckpointStore) -> None:
    for trial_id in (1, 2, 11):
        _save(store, trial_id)
    store.delete([1, 5])
    assert store.ids() == {2, 11}


def test_what_another_process_is_just_removing_is_removed_to_the_end(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(store, 1)
    original = shutil.rmtree

    def raced(path: Path) -> None:
        monkeypatch.undo()
        (path / "manifest.json").unlink()
        raise FileNotFoundError(path / "manifest.json")

    monkeypatch.setattr(shutil, "rmtree", raced)
    store.delete([1])
    assert shutil.rmtree is original
    assert _entries(store) == ["store.json"]


def _entries(store: CheckpointStore) -> list[str]:
    """What is in a store, besides an empty directory of unfinished checkpoints."""
    partial = store.directory / ".partial"
    assert not partial.exists() or not list(partial.iterdir())
    return sorted(entry.name for entry in store.directory.iterdir() if entry != partial)


KILLED = """
import os, sys
from gpbt_adapters.storing.checkpoints import CheckpointStore
store = CheckpointStore(sys.argv[1], resume=True)
with store.writing(7) as path:
    (path / "half").write_text("x")
    os._exit(9)
"""


def test_a_process_killed_while_writing_leaves_nothing_that_looks_like_a_checkpoint(store: CheckpointStore) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(store.directory)], check=False).returncode == 9
    assert store.ids() == set()
    with pytest.raises(CheckpointError, match="trial 7 has no checkpoint"):
        _read(store, 7)
    _save(store, 7)
    assert list(store.directory.glob(".partial/7-*")) == []
    store.delete([7])
    assert _entries(store) == ["store.json"]  # what the dead process left is deleted, too


def test_writing_reading_and_deleting_a_checkpoint_never_lists_the_others(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []
    for name in ("iterdir", "glob"):
        real = getattr(Path, name)

        def spy(self: Path, *arguments: str, real: Any = real) -> Any:
            listed.append(self)
            return real(self, *arguments)

        monkeypatch.setattr(Path, name, spy)
    for trial_id in range(3):
        _save(store, trial_id)
    _save(store, 1)  # again, over the old one
    _read(store, 1)
    store.delete([0, 1, 9])
    assert listed
    assert store.directory not in listed


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "missing", "extra", "link"])
def test_a_damaged_file_is_found_and_named(store: CheckpointStore, damage: str) -> None:
    _save(store, 4)
    data = store.directory / "trial-4" / "data"
    file = data / "deep" / "er" / "weights"
    match damage:
        case "flip":
            file.write_text("weightz")
        case "cut":
            file.write_text("")
        case "grow":
            file.write_text("weights!")
        case "missing":
            file.unlink()
        case "extra":
            file = data / "more"
            file.write_text("x")
        case _:
            file.unlink()
            file.symlink_to(data / "empty")
    with pytest.raises(CheckpointError, match=rf"trial 4.*{file.name}"):
        _read(store, 4)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"run": 1}'])
def test_a_damaged_manifest_is_found_and_named(store: CheckpointStore, content: str) -> None:
    _save(store, 4)
    (store.directory / "trial-4" / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"trial 4: manifest.json or data is damaged"):
        _read(store, 4)


def test_a_checkpoint_copied_from_another_run_is_refused(store: CheckpointStore, tmp_path: Path) -> None:
    other = CheckpointStore(tmp_path / "other")
    _save(other, 4)
    shutil.copytree(other.directory / "trial-4", store.directory / "trial-4")
    with pytest.raises(
        CheckpointError, match=f"expected a checkpoint of trial 4 of store {store.run}, got one of trial 4 of store"
    ):
        _read(store, 4)


def test_a_checkpoint_under_another_trials_name_is_refused(store: CheckpointStore) -> None:
    _save(store, 4)
    (store.directory / "trial-4").rename(store.directory / "trial-5")
    with pytest.raises(CheckpointError, match="got one of trial 4"):
        _read(store, 5)


def test_a_full_disk_is_an_error_that_says_what_to_do(store: CheckpointStore) -> None:
    def save() -> None:
        with store.writing(2) as path:
            (path / "a").write_text("a")
            with Path("/dev/full").open("w") as file:
                file.write("x")

    with pytest.raises(CheckpointError, match=r"trial 2 could not be written.*No space left.*make room"):
        save()
    assert store.ids() == set()
    assert _entries(store) == ["store.json"]


def test_a_failure_without_a_number_on_a_full_disk_is_put_down_to_the_disk(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save() -> None:
        with store.writing(2):
            raise RuntimeError("file write failed")

    with pytest.raises(RuntimeError, match="file write failed"):
        save()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(CheckpointError, match="file write failed"):
        save()


def test_the_store_of_another_run_is_refused_unless_resumed(store: CheckpointStore) -> None:
    _save(store, 1, "kept")
    with pytest.raises(ConfigError, match=r"is a store already.*resume=True"):
        CheckpointStore(store.directory)
    again = CheckpointStore(store.directory, resume=True)
    assert again.run == store.run
    assert _read(again, 1) == "kept"


def test_resuming_where_nothing_is_yet_begins_a_store(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "a" / "b", resume=True).ids() == set()


def test_a_directory_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    for resume in (False, True):
        with pytest.raises(ConfigError, match="holds other files"):
            CheckpointStore(tmp_path, resume=resume)


@pytest.mark.parametrize("card", ['{"format": 2, "run": "x"}', "[]", "{"])
def test_a_store_of_another_format_is_refused(tmp_path: Path, card: str) -> None:
    (tmp_path / "store.json").write_text(card)
    with pytest.raises(ConfigError, match=str(tmp_path)):
        CheckpointStore(tmp_path, resume=True)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(ConfigError, match="cannot be opened"):
        CheckpointStore(tmp_path / "store")


def test_several_openers_at_once_agree_on_the_run(tmp_path: Path) -> None:
    runs: list[str] = []
    threads = [
        threading.Thread(target=lambda: runs.append(CheckpointStore(tmp_path / "store", resume=True).run))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 8
    assert len(set(runs)) == 1


def test_a_store_that_another_process_has_just_begun_is_not_taken_for_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, begun = Path.iterdir, list[CheckpointStore]()

    def late(path: Path) -> Iterator[Path]:
        if not begun:
            monkeypatch.undo()
            begun.append(CheckpointStore(tmp_path))
            begun[0].add_file("factory", b"content")
        return original(path)

    monkeypatch.setattr(Path, "iterdir", late)
    assert CheckpointStore(tmp_path, resume=True).run == begun[0].run


def test_a_file_system_without_hard_links_holds_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    run = CheckpointStore(tmp_path).run
    assert CheckpointStore(tmp_path, resume=True).run == run
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.json"]


def test_a_temporary_store_goes_when_closed_and_only_by_its_maker() -> None:
    with CheckpointStore() as store:
        _save(store, 1)
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
        assert _read(copy, 1) == "weights"
        copy.close()
        del copy
        assert store.directory.is_dir()
    assert not store.directory.exists()


def test_a_temporary_store_goes_with_its_object() -> None:
    store = CheckpointStore()
    directory = store.directory
    del store
    assert not directory.exists()


def test_a_named_store_stays_when_closed(store: CheckpointStore) -> None:
    _save(store, 1)
    store.close()
    assert _read(store, 1) == "weights"


def test_files_are_trusted_inside_a_reading_block_only(store: CheckpointStore, tmp_path: Path) -> None:
    _save(store, 1)
    with store.reading(1) as path:
        assert is_trusted(path)
        assert is_trusted(path / "deep" / "er")
        assert not is_trusted(path.parent)
        assert not is_trusted(tmp_path)
    assert not is_trusted(path)


def test_trust_ends_with_its_block_and_does_not_reach_other_threads(tmp_path: Path) -> None:
    seen: list[bool] = []
    with trusting(tmp_path):
        assert is_trusted(tmp_path / "x")
        assert not is_trusted(tmp_path / ".." / "other")
        other = threading.Thread(target=lambda: seen.append(is_trusted(tmp_path)))
        other.start()
        other.join()
    assert seen == [False]
    assert not is_trusted(tmp_path)


def test_a_file_of_the_runs_own_is_kept_beside_the_checkpoints(store: CheckpointStore) -> None:
    store.add_file("factory", b"content")
    assert store.read_file("factory") == b"content"
    assert CheckpointStore(store.directory, resume=True).ids() == set()
    shutil.rmtree(store.directory)
    with pytest.raises(CheckpointError, match="factory could not be written"):
        store.add_file("factory", b"content")
    with pytest.raises(CheckpointError, match="factory cannot be read"):
        store.read_file("factory")


@pytest.mark.parametrize(
    ("name", "options", "durable"),
    [("store", {}, True), ("store", {"durable": False}, False), (None, {}, False), (None, {"durable": True}, True)],
)
def test_a_durable_store_flushes_each_file_and_the_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, options: dict[str, bool], durable: bool
) -> None:
    flushed: set[str] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    store = CheckpointStore(None if name is None else tmp_path / name, **options)
    monkeypatch.setattr(os, "fsync", fsync)
    _save(store, 1)
    assert (
        {"weights", "empty", "manifest.json", "deep", "er", "data", store.directory.name} <= flushed
        if durable
        else not flushed
    )


def test_what_a_killed_process_left_of_a_checkpoint_goes_once_it_is_written(store: CheckpointStore) -> None:
    (store.directory / ".partial" / "3-0123abcd" / "data").mkdir(parents=True)
    (store.directory / ".partial" / "31-0123abcd" / "data").mkdir(parents=True)
    _save(store, 3)
    assert [path.name for path in (store.directory / ".partial").iterdir()] == ["31-0123abcd"]
