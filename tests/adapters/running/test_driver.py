"""Where a run trains, what it keeps, and who looks on."""

import logging
import math
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpbt_adapters.running import watchers
from gpbt_adapters.running.driver import Result
from gpbt_adapters.running.replay import Replays, replay, replays
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_core import Search, hookimpl
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Schedule, Status, Trial
from gpbt_core.registry import Registry
from gpbt_core.state import Asked, Reported
from toy_runs import SMALL, SPACE, records, run_small, small, small_run
from toy_trainables import Descent, Dying


def test_a_run_comes_to_a_trained_model_and_its_schedule(serial: Result) -> None:
    assert serial.optimizer.finished
    assert not serial.interrupted
    assert serial.best.score > -0.5
    assert 4 <= serial.schedule.steps <= 10
    assert serial.restore().score() == serial.best.score


def test_the_schedule_trains_the_same_model_again(serial: Result) -> None:
    again = replay(Descent, serial.schedule, serial.founder_seed)
    assert again.score == serial.best.score
    assert len(again.scores) == serial.schedule.steps
    assert replay(Descent, serial.schedule, serial.founder_seed + 1).score != serial.best.score


def test_replay_wants_a_schedule_with_segments() -> None:
    with pytest.raises(ConfigError, match="at least one segment"):
        replay(Descent, Schedule(()), 0)


def test_a_result_replays_its_schedule_under_seeds_that_no_model_of_the_run_had(serial: Result) -> None:
    again = serial.replay(seeds=3)
    founders = {setup_seed(serial.optimizer.seed, record.trial.id) for record in serial.optimizer.records}
    assert len(set(again.seeds)) == 3
    assert not founders & set(again.seeds)
    assert serial.replay(seeds=2).scores == again.scores[:2]
    assert again.final == tuple(replay(Descent, serial.schedule, seed).score for seed in again.seeds)
    assert again.mean == pytest.approx(sum(again.final) / 3)
    assert again.spread > 0


def test_a_replay_takes_the_seeds_that_it_is_given(serial: Result) -> None:
    again = serial.replay(seeds=[serial.founder_seed])
    assert again.final == (serial.best.score,)
    assert math.isnan(again.spread)
    assert str(again) == f"{serial.best.score:.6g} over 1 seed"


def test_replays_close_what_they_have_trained(serial: Result) -> None:
    closed = []

    class Closing(Descent):
        def close(self) -> None:
            closed.append(self)

    replays(Closing, serial.schedule, [1, 2])
    assert len(closed) == 2


def test_a_model_that_diverges_makes_the_mean_of_its_replays_no_number() -> None:
    again = Replays(schedule=Schedule(()), seeds=(1, 2), scores=((0.5,), (math.nan,)))
    assert math.isnan(again.mean)
    assert math.isnan(again.spread)


@pytest.mark.parametrize("seeds", [0, -1, True, []])
def test_a_replay_under_no_seed_is_refused(serial: Result, seeds: Any) -> None:
    with pytest.raises(ConfigError, match="seeds must"):
        serial.replay(seeds)


@pytest.mark.parametrize("workers", [3, 30])  # 30 are more than the population
def test_the_result_does_not_depend_on_the_threads(serial: Result, workers: int) -> None:
    with ThreadPoolExecutor(workers) as executor:
        assert records(small_run(executor=executor)) == records(serial)


def test_the_result_does_not_depend_on_the_processes(serial: Result, processes: Executor) -> None:
    assert records(small_run(executor=processes)) == records(serial)


def test_the_driver_starts_processes_of_its_own(serial: Result) -> None:
    assert records(small_run(workers=2)) == records(serial)


def test_a_function_that_makes_an_executor_is_called_and_what_it_made_shut_down(serial: Result) -> None:
    made: list[ThreadPoolExecutor] = []

    def make() -> Executor:
        made.append(ThreadPoolExecutor(2))
        return made[-1]

    assert records(small_run(executor=make)) == records(serial)
    assert len(made) == 1
    with pytest.raises(RuntimeError, match="shutdown"):
        made[0].submit(print)


def test_an_executor_of_the_caller_is_left_running() -> None:
    with ThreadPoolExecutor(2) as workers:
        small_run(executor=workers)
        assert workers.submit(lambda: 3).result() == 3


def test_no_more_is_in_training_than_there_are_workers() -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    class Counted(Descent):
        def step(self) -> float:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.002)
            with lock:
                at_once -= 1
            return super().step()

    with ThreadPoolExecutor(8) as executor:
        small_run(Counted, executor=executor, workers=2)
    assert most == 2


def test_a_factory_made_on_the_spot_reaches_other_processes(serial: Result, processes: Executor) -> None:
    class Mine(Descent):
        pass

    assert records(small_run(lambda: Mine(), executor=processes)) == records(serial)  # noqa: PLW0108 - a lambda is the point


class Threaded(Descent):
    """Says how many threads its process may have."""

    def figures(self) -> dict[str, float]:
        return {"threads": float(os.environ.get("OMP_NUM_THREADS", "0"))}


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(("told", "threads"), [(None, max(1, CORES // 2)), ("3", 3)])
def test_processes_share_the_cores_unless_they_are_told(
    told: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if told:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    result = run_small(small(population=2, steps=2, searcher=Search("random")), Threaded, workers=2)
    assert {figures["threads"] for figures in result.figures.values()} == {threads}
    assert os.environ.get("OMP_NUM_THREADS") == told


def test_loky_can_be_the_executor(serial: Result, capfd: pytest.CaptureFixture[str]) -> None:
    loky = pytest.importorskip("joblib.externals.loky")
    assert records(small_run(executor=lambda: loky.ProcessPoolExecutor(2))) == records(serial)
    assert "Traceback" not in capfd.readouterr().err


def test_workers_of_loky_that_die_are_replaced(serial: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loky = pytest.importorskip("joblib.externals.loky")
    monkeypatch.setenv("GPBT_TEST_DEATHS", str(tmp_path))
    (tmp_path / "one").touch()
    assert records(small_run(Dying, executor=lambda: loky.ProcessPoolExecutor(2))) == records(serial)


def test_dask_can_be_the_executor(serial: Result) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert records(small_run(executor=client.get_executor())) == records(serial)


@pytest.mark.parametrize(("population", "seed"), [(3, 0), (8, 1), (25, 2)])
def test_no_more_checkpoints_live_than_may_be_needed(population: int, seed: int) -> None:
    store = CheckpointStore(durable=False)
    optimizer = small(population=population, seed=seed)
    most = 0

    def count(event: object, optimizer: Optimizer) -> None:
        nonlocal most
        if isinstance(event, Asked):
            state = optimizer.state
            parents = len(state.open.plan.parents)
            if event.trial.generation > 0 and state.settings.trial_stopping is not None:
                keep = state.open.keep
                following = keep.count if keep else population
                assert len(store.ids()) <= parents + following + settings_of(optimizer) + 1
            most = max(most, len(store.ids()))

    def settings_of(optimizer: Optimizer) -> int:
        return optimizer.state.settings.max_concurrent

    run_small(optimizer, Descent, store=store, callbacks=[count])
    assert 1 < most < len(optimizer.records)
    assert optimizer.best.trial.id in store
    assert len(store.ids()) <= len(optimizer.state.open.plan.parents) + 1


def test_every_parents_checkpoint_is_there_when_its_child_is_asked() -> None:
    store = CheckpointStore(durable=False)

    def look(event: object, _: Optimizer) -> None:
        if isinstance(event, Asked) and event.trial.parent is not None and event.trial.parent not in store:
            missing.append(event.trial)

    missing: list[object] = []
    small_run(store=store, callbacks=[look])
    assert missing == []


def test_a_run_can_be_extended_with_the_same_store(serial: Result) -> None:
    result = small_run()
    result.optimizer.extend(2)
    longer = run_small(result.optimizer, Descent, store=result.store)
    assert longer.optimizer.finished
    assert len(records(longer)) > len(records(serial))
    assert longer.restore().score() == longer.best.score


class Watcher:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def gpbt_event(self, event: object, optimizer: Optimizer) -> None:
        assert optimizer.events[-1] is not None
        self.events.append(event)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_watchers_are_told_of_every_event_in_order(elsewhere: bool, processes: Executor) -> None:
    watcher = Watcher()
    calls: list[object] = []
    result = small_run(
        executor=processes if elsewhere else None, callbacks=[watcher, lambda event, _: calls.append(event)]
    )
    assert watcher.events == list(result.optimizer.events)
    assert calls == watcher.events


def test_steps_are_told_as_they_are_made_where_memory_is_shared() -> None:
    told: list[int] = []

    class Checking(Descent):
        def step(self) -> float:
            seen.append(len(told))
            return super().step()

    seen: list[int] = []
    small_run(Checking, callbacks=[lambda event, _: told.append(1) if isinstance(event, Reported) else None])
    assert seen == list(range(len(seen)))


def test_a_watcher_that_raises_is_logged_and_breaks_nothing(serial: Result, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object, __: Optimizer) -> None:
        raise RuntimeError("dashboard gone")

    watcher = Watcher()
    with caplog.at_level(logging.ERROR):
        result = small_run(callbacks=[broken, watcher])
    assert records(result) == records(serial)
    assert watcher.events == list(result.optimizer.events)
    assert "broken failed at" in caplog.records[0].message
    assert "dashboard gone" in caplog.text


def test_a_watcher_may_cancel_a_trial_in_training() -> None:
    def cancel(event: object, optimizer: Optimizer) -> None:
        if isinstance(event, Reported) and event.trial_id == 2:
            optimizer.cancel(2, "enough of it")

    result = small_run(callbacks=[cancel])
    assert result.optimizer.finished
    assert records(result)[2].status is Status.CANCELLED
    assert 2 not in result.store


def test_figures_are_kept_by_trial() -> None:
    class Telling(Descent):
        def figures(self) -> Mapping[str, float]:
            return {"velocity": self.velocity}

    result = small_run(Telling)
    kept = {record.trial.id for record in records(result) if record.status in {Status.COMPLETED, Status.STOPPED}}
    assert set(result.figures) == kept
    assert all(set(figures) == {"velocity"} for figures in result.figures.values())


def test_a_progress_bar_is_drawn_on_stderr_where_wanted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    result = small_run(progress="rich")
    drawn = capfd.readouterr()
    assert drawn.out == ""
    last = drawn.err.strip().splitlines()[-1]
    generations = result.optimizer.state.generations
    assert f"generation {generations}/{generations} · best {result.best.score:.6g} · 0 in training" in last
    assert "/60 steps" in last


def test_in_a_narrow_terminal_the_bar_and_the_time_left_stay_readable(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tiny(Descent):
        def step(self) -> float:
            return -1.23456e-122 * abs(super().step())

    monkeypatch.setenv("COLUMNS", "80")
    small_run(Tiny, progress="rich")
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"generation \d+/\d+ · best -[\d.]+e-\d+ +━{10,}\S* +\d+/60 steps in \d:\d\d:\d\d", last)
    assert "…" not in last


def test_a_wide_terminal_shows_what_the_run_has_gained(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = small_run(progress="rich")
    state = result.optimizer.state
    assert state.best is not None
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"({state.closed[0].best - state.best[0]:.3g} better than generation 0)" in last


def test_in_a_notebook_one_line_is_overwritten(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[bool, dict[str, str]]] = []

    class Handle:
        def update(self, data: dict[str, str], **_: bool) -> None:
            shown.append((True, data))

    def display(data: dict[str, str], **_: bool) -> Handle:
        shown.append((False, data))
        return Handle()

    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setattr("gpbt_adapters.running.progress.REFRESH", 0.0)
    result = small_run(progress=True)
    assert capfd.readouterr().err == ""
    updates, data = zip(*shown, strict=True)
    assert updates == (False, *[True] * (len(shown) - 1))
    assert f"best {result.best.score:.6g}" in data[-1]["text/plain"]
    assert '<progress value="60" max="60"' in data[-1]["text/html"]


@pytest.mark.parametrize("progress", [True, False])
def test_nothing_is_drawn_where_nobody_looks(progress: bool, capfd: pytest.CaptureFixture[str]) -> None:
    small_run(progress=progress)
    drawn = capfd.readouterr()
    assert (drawn.out, drawn.err) == ("", "")


def test_watchers_of_plugins_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin:
        """Of a stranger's distribution."""

        def __init__(self) -> None:
            self.events: list[object] = []

        @hookimpl
        def gpbt_event(self, event: object) -> None:
            self.events.append(event)

    class Broken:
        """Another one."""

        @hookimpl
        def gpbt_event(self) -> None:
            raise RuntimeError("no network")

    plugins, plugin = Registry([]), Plugin()
    plugins.register(Broken())
    plugins.register(plugin)
    monkeypatch.setattr(watchers, "registry", lambda: plugins)
    with pytest.warns(UserWarning, match="no network"):
        result = small_run()
    assert plugin.events == list(result.optimizer.events)


def test_a_run_without_a_terminal_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gpbt_adapters.running.progress.FIRST", {True: 0.0, "rich": 0.0})
    with caplog.at_level("INFO", "gpbt_adapters.running.progress"):
        result = small_run(progress=True)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1  # the next one comes after half a minute
    assert re.match(r"gpbt: generation 1/\d+ · \d+/\d+ steps · 0:00:00 so far", said[0])
    lines = [record.message for record in caplog.records if record.message.startswith("generation")]
    assert len(lines) == result.optimizer.generations
    assert f"best {result.best.score:.6g}" in lines[-1]


def test_more_workers_than_can_ever_train_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(8) as executor:
        small_run(executor=executor)
    said = [record.message for record in caplog.records if "max_concurrent" in record.message]
    assert len(said) == 1
    assert "so 4 of the 8 workers will idle; set max_concurrent=16" in said[0]
    caplog.clear()
    with ThreadPoolExecutor(4) as executor:
        small_run(executor=executor)
    assert "max_concurrent" not in caplog.text


def test_free_workers_get_their_trials_from_one_call() -> None:
    counts = []

    class Counting(Optimizer):
        def ask(self, count: int = 1) -> tuple[Trial, ...]:
            counts.append(count)
            return super().ask(count)

    optimizer = Counting(SPACE, **SMALL, max_concurrent=6)
    result = run_small(optimizer, executor=ThreadPoolExecutor(5))
    assert counts[0] == 5
    assert max(counts) == 5
    assert records(result) == records(run_small(small(max_concurrent=6)))
