"""Whose checkpoints a store holds: two runs never train from each other's weights."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore, RemoteStore
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError
from gpbt_core.state import Event
from toy_runs import records, small, small_run
from toy_trainables import Descent


def _stop_after(count: int) -> Callable[[Event, Optimizer], None]:
    """A callback that presses Ctrl-C."""

    def press(_: Event, optimizer: Optimizer) -> None:
        if len(optimizer.records) == count:
            signal.raise_signal(signal.SIGINT)

    return press


def test_a_store_of_one_run_is_refused_to_another(tmp_path: Path) -> None:
    first, second = small(seed=1), small(seed=2)
    run(first, Descent, store=tmp_path / "store", callbacks=[_stop_after(7)], progress=False)
    for store in (tmp_path / "store", CheckpointStore(tmp_path / "store", resume=True)):
        with pytest.raises(
            ConfigError, match=r"holds the checkpoints of an optimizer .*seed 1, got an optimizer .*seed 2"
        ):
            run(second, Descent, store=store, progress=False)
    assert len(second.records) == 0


def test_an_interrupted_run_goes_on_in_its_own_store(tmp_path: Path) -> None:
    optimizer = small()
    assert run(optimizer, Descent, store=tmp_path / "store", callbacks=[_stop_after(9)], progress=False).interrupted
    again = Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict())))
    assert records(run(again, Descent, store=tmp_path / "store", progress=False)) == records(small_run())


def test_a_new_optimizer_does_not_take_over_the_checkpoints_of_an_old_one(tmp_path: Path) -> None:
    run(small(), Descent, store=tmp_path / "store", progress=False)
    with pytest.raises(ConfigError, match=r"checkpoints of an earlier run.*gpbt\.open_study"):
        run(small(), Descent, store=tmp_path / "store", progress=False)


def test_a_place_behind_a_url_is_tied_to_its_run_too(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    run(small(seed=1), Descent, store=url, progress=False)
    with pytest.raises(ConfigError, match="holds the checkpoints of an optimizer"):
        run(small(seed=2), Descent, store=RemoteStore(url, resume=True), progress=False)


def test_a_checkpoint_that_was_trained_otherwise_is_refused(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "store", durable=False)
    with store.writing(3, line="one") as path:
        (path / "weights").write_text("w")
    with store.reading(3, line="one"), store.reading(3):
        pass
    with pytest.raises(CheckpointError, match="another seed or other configs"), store.reading(3, line="two"):
        pass


def test_a_parent_whose_checkpoint_is_lost_is_trained_again(tmp_path: Path) -> None:
    optimizer = small()
    result = run(optimizer, Descent, store=tmp_path / "store", callbacks=[_stop_after(9)], progress=False)
    lost = min(result.store.ids())
    shutil.rmtree(tmp_path / "store" / f"trial-{lost}")
    assert records(run(optimizer, Descent, store=tmp_path / "store", progress=False)) == records(small_run())


def test_a_line_whose_checkpoints_are_all_lost_is_trained_again_from_its_founder(tmp_path: Path) -> None:
    optimizer = small()
    result = run(optimizer, Descent, store=tmp_path / "store", callbacks=[_stop_after(17)], progress=False)
    for lost in result.store.ids():
        shutil.rmtree(tmp_path / "store" / f"trial-{lost}")
    again = run(optimizer, Descent, store=tmp_path / "store", progress=False)
    assert records(again) == records(small_run())
    assert again.restore().score() == again.best.score


def test_a_store_that_is_removed_during_a_run_does_not_come_back_without_its_card(tmp_path: Path) -> None:
    def remove(_: Event, optimizer: Optimizer) -> None:
        if len(optimizer.records) == 5:
            shutil.rmtree(tmp_path / "store", ignore_errors=True)

    with pytest.raises(CheckpointError, match="the directory was removed while it was in use"):
        run(small(), Descent, store=tmp_path / "store", callbacks=[remove], progress=False)
    assert not (tmp_path / "store").exists()


def test_the_directory_of_a_store_is_private(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "store").directory.stat().st_mode & 0o777 == 0o700
