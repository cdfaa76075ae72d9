"""Models that stay in memory: a child that continues its parent there trains as one that loads the checkpoint."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gpbt_adapters.running.driver import Result
from gpbt_adapters.running.kept import Kept
from gpbt_adapters.running.pools import PinnedExecutor
from gpbt_adapters.running.segments import Order, train_segment
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_core.errors import ConfigError
from gpbt_core.records import Trial
from gpbt_core.space import Config
from toy_runs import records, run_small, small, small_run, spawned
from toy_trainables import Descent, Dying, Raising


class Counted(Descent):
    """Knows which of its objects are open, and the most that ever were."""

    open: ClassVar[set["Counted"]] = set()
    most: ClassVar[int] = 0

    def __init__(self) -> None:
        self.open.add(self)
        type(self).most = max(self.most, len(self.open))

    def close(self) -> None:
        self.open.remove(self)


@pytest.fixture
def counted() -> type[Counted]:
    Counted.open.clear()
    Counted.most = 0
    return Counted


def _order(trial_id: int, parent: int | None = None, lr: float = 0.1) -> Order:
    config = Config({"lr": lr})
    trial = Trial(id=trial_id, parent=parent, generation=0, depth=0, config=config, steps=2, start_step=0)
    origin = "" if parent is None else f"line of {parent}"
    return Order(trial=trial, seed=5, maximize=True, line=f"line of {trial_id}", parent_line=origin)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "store", durable=False)


@pytest.mark.parametrize("keep", [1, 3, 100])
@pytest.mark.parametrize("preset", ["gpbt", "pbt", "random"])
def test_a_run_with_models_in_memory_equals_one_without(preset: Any, keep: int, counted: type[Counted]) -> None:
    plain = run_small(small(preset=preset, reproduction=None))
    kept = run_small(small(preset=preset, reproduction=None), counted, keep_models=keep)
    assert records(kept) == records(plain)
    assert kept.restore().score() == plain.restore().score()
    counted.open.pop()  # the restored one
    assert not counted.open
    assert counted.most <= keep + 1  # with the restored one
    assert plain.from_memory == 0
    children = sum(record.trial.parent is not None for record in records(plain))
    assert kept.from_memory <= children
    if keep == 100 and preset == "pbt":
        assert kept.from_memory > children / 2


def test_a_run_in_threads_with_models_in_memory_equals_a_serial_one(serial: Result, counted: type[Counted]) -> None:
    result = small_run(counted, executor=ThreadPoolExecutor(3), keep_models=4)
    assert records(result) == records(serial)
    assert not counted.open


def test_processes_with_models_in_memory_equal_a_serial_run_even_if_they_die(
    serial: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBT_TEST_DEATHS", str(tmp_path / "deaths"))
    (tmp_path / "deaths").mkdir()
    (tmp_path / "deaths" / "one").touch()
    result = small_run(Dying, workers=2, keep_models=8)
    assert not list((tmp_path / "deaths").iterdir())
    assert records(result) == records(serial)
    assert result.store.ids() == serial.store.ids()
    assert result.from_memory > 0


def test_a_child_continues_a_kept_parent_without_its_checkpoint(store: CheckpointStore) -> None:
    kept = Kept(1)
    parent = train_segment(_order(0), Descent, store, kept=kept)
    assert (parent.from_memory, parent.kept) == (False, ("line of 0",))
    store.delete([0])
    child = train_segment(_order(1, parent=0), Descent, store, kept=kept)
    assert (child.from_memory, child.kept) == (True, ("line of 1",))
    assert store.ids() == {1}
    train_segment(_order(0), Descent, store)
    assert train_segment(_order(1, parent=0), Descent, store).scores == child.scores


def test_a_kept_parent_is_continued_once(store: CheckpointStore) -> None:
    kept = Kept(5)
    train_segment(_order(0), Descent, store, kept=kept)
    first, second = (train_segment(_order(trial, parent=0), Descent, store, kept=kept) for trial in (1, 2))
    assert (first.from_memory, second.from_memory) == (True, False)
    assert first.scores == second.scores


def test_a_model_whose_trial_fails_is_not_kept(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPBT_TEST_DEADLY", "0.7")
    outcome = train_segment(_order(0, lr=0.7), Raising, store, kept=Kept(5))
    assert (outcome.status, outcome.kept) == ("failed", ())


def test_a_call_goes_to_a_free_process_that_holds_what_it_needs() -> None:
    with PinnedExecutor(3) as executor:
        calls = [executor.submit(os.getpid) for _ in range(3)]
        pids = [call.result() for call in calls]
        assert len(set(pids)) == 3
        for call, held in zip(calls, (["a", "b"], ["c"], []), strict=True):
            executor.note(call, held)
        near: Mapping[tuple[str, frozenset[str]], int] = {
            ("b", frozenset("abc")): pids[0],
            ("c", frozenset("abc")): pids[1],
            ("d", frozenset("abc")): pids[2],
            ("d", frozenset("a")): pids[2],
        }
        for (wanted, spared), pid in near.items():
            assert executor.submit_near(wanted, spared, os.getpid).result() == pid


def test_processes_that_can_be_chosen_have_ended_once_their_executor_is_shut_down() -> None:
    with PinnedExecutor(2) as executor:
        for call in [executor.submit(os.getpid) for _ in range(2)]:
            call.result()
        processes = list(executor._processes.values())
    assert [process.exitcode for process in processes] == [0, 0]


def test_models_are_not_kept_by_workers_that_outlive_the_run() -> None:
    with spawned(1) as executor, pytest.raises(ConfigError, match="run: keep_models must be 0 with the executor"):
        small_run(executor=executor, keep_models=1)
    with pytest.raises(ConfigError, match="run: keep_models must be a number of at least 0, got -1"):
        small_run(keep_models=-1)
