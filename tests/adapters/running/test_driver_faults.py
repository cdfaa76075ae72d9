"""Runs with workers that raise, die, hang and fill the disk."""

import math
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.running.pools import WorkersLostError
from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError, Trainable
from gpbt_core.errors import ConfigError, ExtinctError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Status
from gpbt_core.space import Float, Space
from gpbt_core.state import Asked
from toy_runs import environment, failed, records, run_program, run_small, small, small_run, spawned
from toy_trainables import Deadly, Descent, Dying, Full, Hanging, Raising


def test_a_training_that_raises_ends_its_trial_and_no_other(bad: int) -> None:
    result = small_run(Raising)
    assert result.optimizer.finished
    ((trial_id, reason),) = failed(result.optimizer).items()
    assert trial_id == bad
    assert reason is not None
    assert reason.startswith("FloatingPointError: the loss blew up (toy_trainables.py:")


def test_a_training_that_raises_in_another_process_is_told_the_same(bad: int) -> None:
    assert records(small_run(Raising, workers=2)) == records(small_run(Raising))
    assert bad in failed(small_run(Raising).optimizer)


class Doomed(Descent):
    def step(self) -> float:
        raise ValueError("never works")


def test_a_run_in_which_nothing_is_completed_ends_and_says_so_when_asked_for_the_best() -> None:
    result = small_run(Doomed, failures_in_a_row=None)
    assert result.optimizer.finished
    assert {record.status for record in records(result)} == {Status.FAILED}
    with pytest.raises(ExtinctError):
        _ = result.best


class Unfinished(Trainable):
    """Misses all methods, so that it cannot even be made."""


def test_a_factory_that_raises_ends_the_run_rather_than_all_its_trials() -> None:
    optimizer = small()
    with pytest.raises(
        ConfigError, match=r"the factory <class .*Unfinished'> must return a trainable, it raised TypeError: .*abstract"
    ):
        run(optimizer, Unfinished, progress=False)
    assert not optimizer.extinct
    assert run(optimizer, Descent, progress=False).optimizer.finished


def test_a_factory_in_a_function_is_told_from_a_trainable_before_it_costs_trials() -> None:
    class Nested:
        def __call__(self) -> Trainable:
            return Descent()

    optimizer = small()
    with pytest.raises(ConfigError, match=r"must return a trainable, got <.*Nested.*>; that is a factory itself"):
        run(optimizer, Nested, progress=False)  # type: ignore[arg-type]  # as a lambda around a factory
    with pytest.raises(ConfigError, match=r"must return a trainable, got None$"):
        run(optimizer, lambda: None, progress=False)  # type: ignore[arg-type,return-value]  # no trainable
    assert run(optimizer, Nested(), progress=False).optimizer.finished


class Unsendable(CheckpointStore):
    """Holds what cannot be pickled, as a client of a cloud may."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "session": threading.Lock()}


def test_what_cannot_be_sent_to_the_workers_ends_the_run_rather_than_all_its_trials(tmp_path: Path) -> None:
    optimizer = small()
    with pytest.raises(WorkersLostError, match=r"a segment cannot be sent to the workers.*cannot pickle"):
        run(optimizer, Descent, store=Unsendable(tmp_path / "store"), workers=2, progress=False)
    assert not failed(optimizer)
    assert run(optimizer, Descent, progress=False).optimizer.finished


def test_what_goes_wrong_with_a_trial_that_was_cancelled_meanwhile_ends_no_run() -> None:
    class Late(Descent):
        def step(self) -> float:
            if repr(self.live["lr"]) in given_up:
                raise CheckpointError("its parent's checkpoint is gone")
            return super().step()

    given_up = set[str]()

    def give_up(event: object, optimizer: Optimizer) -> None:
        if isinstance(event, Asked) and event.trial.id == 3:
            given_up.add(repr(event.trial.config["lr"]))
            optimizer.cancel(3)

    optimizer = small()
    assert run(optimizer, Late, callbacks=[give_up], progress=False).optimizer.finished
    assert optimizer.records[3].status is Status.CANCELLED


def test_a_refused_argument_leaves_no_store_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers: must be a whole number of at least 1, got 0"):
        run(small(), Descent, store=tmp_path / "store", workers=0, progress=False)
    assert run(small(), Descent, store=tmp_path / "store", progress=False).optimizer.finished


def test_what_is_no_executor_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected an executor, or a function that makes one, got 4"):
        run(small(), Descent, executor=4, progress=False)  # type: ignore[arg-type]  # it is refused


def test_a_run_returns_though_a_thread_of_a_pool_made_for_it_hangs() -> None:
    free = threading.Event()
    second = small().ask(2)[1].config["lr"]

    class Stuck(Descent):
        def step(self) -> float:
            if self.live["lr"] == second:
                free.wait(300)
            return super().step()

    try:
        result = run(
            small(), Stuck, executor=lambda: ThreadPoolExecutor(2), timeout=1.0, grace=1.0, retries=0, progress=False
        )
        assert "no answer" in str(result.optimizer.records[1].reason)
        assert not free.is_set()
    finally:
        free.set()


def test_a_diverged_trial_is_failed_with_the_step_in_its_reason(bad: int) -> None:
    class Diverging(Descent):
        def score(self) -> float:
            return math.nan if repr(self.live["lr"]) == os.environ["GPBT_TEST_DEADLY"] else super().score()

    assert failed(small_run(Diverging).optimizer) == {bad: "diverged: the score of step 1 is nan"}


def test_a_segment_whose_worker_died_is_trained_again(
    serial: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBT_TEST_DEATHS", str(tmp_path))
    for number in range(3):
        (tmp_path / str(number)).touch()
    result = small_run(Dying, workers=2)
    assert list(tmp_path.iterdir()) == []
    assert records(result) == records(serial)


def test_a_trial_that_kills_its_workers_fails_after_the_retries_and_harms_no_other(
    bad: int, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = run_small(small(), Deadly, workers=2, retries=1).optimizer
    ((trial_id, reason),) = failed(optimizer).items()
    assert trial_id == bad
    assert reason is not None
    assert reason.startswith("its worker died 2 times, the last time with BrokenProcessPool: A process in the ")
    assert f"the worker of trial {bad} died: BrokenProcessPool: A process in the " in caplog.text
    assert optimizer.finished


class Exiting(Descent):
    """Ends its process, as the kernel does where the memory is too small for any model."""

    ways: Mapping[str, Callable[[], Any]] = {"exit": sys.exit, "kill": lambda: os._exit(9)}

    def step(self) -> float:
        way = os.environ.get("GPBT_TEST_EXIT")
        return super().step() if way is None else self.ways[way]()


@pytest.mark.parametrize("way", ["exit", "kill"])
def test_trials_that_all_kill_their_workers_end_the_run_and_are_given_back(
    serial: Result, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer, store = small(), CheckpointStore(durable=False)
    monkeypatch.setenv("GPBT_TEST_EXIT", way)
    with pytest.raises(
        ConfigError,
        match=r"2 trials in a row failed .*: its worker died 1 time, .*; fix the cause and .*: 2 trials are given back",
    ):
        run_small(optimizer, Exiting, workers=1, retries=0, failures_in_a_row=2, store=store)
    assert not failed(optimizer)
    monkeypatch.delenv("GPBT_TEST_EXIT")
    assert records(run_small(optimizer, Exiting, store=store)) == records(serial)


def test_a_broken_executor_of_the_caller_is_an_error_after_which_the_run_can_go_on(
    serial: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBT_TEST_DEATHS", str(tmp_path))
    (tmp_path / "one").touch()
    optimizer, store = small(), CheckpointStore(durable=False)
    with spawned(2) as workers, pytest.raises(WorkersLostError, match=r"takes no more work.*pass workers="):
        run_small(optimizer, Dying, executor=workers, store=store)
    assert not any(record.status is Status.RUNNING for record in optimizer.records)
    assert records(run_small(optimizer, Descent, store=store)) == records(serial)


def test_an_executor_that_was_shut_down_is_an_error() -> None:
    workers = ThreadPoolExecutor(1)
    workers.shutdown()
    with pytest.raises(WorkersLostError, match="takes no more work"):
        small_run(executor=workers)


def test_a_program_that_is_not_guarded_is_told_so(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        from gpbt_adapters.running.driver import run
        from gpbt_core.optimizer import Optimizer
        from gpbt_core.space import Float, Space
        from toy_trainables import Descent
        run(Optimizer(Space(lr=Float(0.1, 0.2)), population=4, steps=10), Descent, workers=2, progress=False)
        """)
    )
    done = run_program(program)
    assert done.returncode == 1
    assert "WorkersLostError: run: the worker processes die as they start" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr.splitlines()[-1]


def test_a_segment_that_takes_too_long_fails(bad: int) -> None:
    class Slowly(Descent):
        def step(self) -> float:
            if repr(self.live["lr"]) == os.environ["GPBT_TEST_DEADLY"]:
                time.sleep(3.1)
            return super().step()

    ((trial_id, reason),) = failed(small_run(Slowly, timeout=3).optimizer).items()
    assert trial_id == bad
    assert reason is not None
    assert reason.startswith("timed out: 1 of 4 steps took")


def test_a_worker_that_hangs_is_ended_and_the_others_trials_are_trained_again(bad: int) -> None:
    optimizer = run_small(small(), Hanging, workers=2, timeout=1.0, grace=15.0).optimizer  # workers start within
    ((trial_id, reason),) = failed(optimizer).items()
    assert trial_id == bad
    assert reason is not None
    assert reason.startswith("no answer for")
    assert optimizer.finished


def test_threads_that_hang_are_given_up_until_none_is_left() -> None:
    release = threading.Event()

    class Stuck(Descent):
        def step(self) -> float:
            release.wait()
            return super().step()

    optimizer = small()
    with ThreadPoolExecutor(2) as workers:
        try:
            with pytest.raises(WorkersLostError, match="none of the 2 workers answers"):
                run_small(optimizer, Stuck, executor=workers, timeout=0.5, grace=0.5)
        finally:
            release.set()
    assert [record.status for record in optimizer.records] == [Status.QUEUED, Status.QUEUED]


@pytest.mark.parametrize("workers", [None, 2])
def test_a_full_disk_is_an_error_after_which_the_run_can_go_on(
    serial: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    full = tmp_path / "full"
    monkeypatch.setenv("GPBT_TEST_FULL", str(full))
    optimizer, store = small(), CheckpointStore(tmp_path / "store")

    def fill(event: object, _: Optimizer) -> None:
        if isinstance(event, Asked) and event.trial.id == 9:
            full.touch()

    with pytest.raises(CheckpointError, match=r"No space left on device.*make room"):
        run_small(optimizer, Full, workers=workers, store=store, callbacks=[fill])
    assert not optimizer.finished
    full.unlink()
    result = run_small(optimizer, Full, workers=workers, store=store)
    assert records(result) == records(serial)


def test_a_damaged_checkpoint_is_an_error_that_names_it() -> None:
    store = CheckpointStore(durable=False)

    def damage(event: object, _: Optimizer) -> None:
        if isinstance(event, Asked) and event.trial.parent is not None:
            (store.directory / f"trial-{event.trial.parent}" / "data" / "state.json").write_text("{}")

    with pytest.raises(CheckpointError, match=r"trial \d+: file 'state.json' is damaged"):
        small_run(store=store, callbacks=[damage])


class Deaf(Descent):
    def apply(self, config: Mapping[str, Any]) -> None:
        pass


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_value_that_does_not_take_ends_the_run_and_gives_the_trial_back(elsewhere: bool, processes: Executor) -> None:
    optimizer = small()
    with pytest.raises(HyperparameterNotAppliedError, match=r"Deaf: expected (lr|momentum)="):
        run_small(optimizer, Deaf, executor=processes if elsewhere else None)
    assert not any(record.status is Status.RUNNING for record in optimizer.records)
    assert any(record.status is Status.QUEUED for record in optimizer.records)


def test_trials_left_running_by_another_run_are_trained_again(serial: Result) -> None:
    optimizer = small()
    lost = optimizer.ask(3)
    optimizer.report(lost[1].id, 1, -1.0)
    assert records(run_small(optimizer, Descent)) == records(serial)


def test_a_factory_may_refuse_the_space_before_anything_is_trained() -> None:
    class Choosy:
        def __call__(self) -> Descent:
            raise AssertionError

        def check(self, space: Space, *, changes: bool) -> None:
            raise ConfigError(f"no {space.names}: {changes}")

    with pytest.raises(ConfigError, match=r"no \('lr', 'momentum'\): True"):
        small_run(Choosy())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retries": -1}, "retries must be a number of at least 0, got -1"),
        ({"timeout": -0.5}, "timeout must be a number of at least 0, got -0.5"),
        ({"timeout": math.nan}, "timeout must be a number of at least 0, got nan"),
        ({"grace": -1}, "grace must be a number of at least 0, got -1"),
        ({"timeout": "1h"}, "timeout must be a number of at least 0, got '1h'"),
        ({"retries": None}, "retries must be a number of at least 0, got None"),
        ({"workers": 0}, "workers: must be a whole number of at least 1, got 0"),
        ({"workers": "2"}, "workers: must be a whole number of at least 1, got '2'"),
        ({"callbacks": print}, r"callbacks must be a list, got .*; pass \[print\]"),
        ({"factory": Descent()}, "the factory must be a class or function that makes a new trainable at each call"),
        ({"factory": lambda: Descent}, "must return a trainable, got <class 'toy_trainables.Descent'>"),
        ({"optimizer": Optimizer}, "expected an Optimizer or a study, got <class"),
        ({"progress": "fancy"}, "progress must be True, False or \"rich\", got 'fancy'"),
        ({"executor": lambda: 3}, "expected an executor, or a function that makes one"),
        ({"callbacks": [3]}, "expected callbacks .*, got 3"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(settings: dict[str, Any], message: str) -> None:
    optimizer = small()
    with pytest.raises(ConfigError, match=message):
        run(**{"optimizer": optimizer, "factory": Descent, "progress": False, **settings})
    assert all(record.status is Status.QUEUED for record in optimizer.records)
    assert optimizer.tally.trained == 0


ORPHANS = """
import sys
from pathlib import Path
from gpbt_adapters.running.driver import run
from toy_runs import small
from toy_trainables import Descent

class Telling(Descent):
    def step(self):
        import os, time
        (Path(sys.argv[1]) / str(os.getpid())).touch()
        time.sleep(600)

if __name__ == "__main__":
    folder = sys.argv[1]
    def factory():
        sys.argv[1:] = [folder]
        return Telling()
    run(small(), factory, workers=2, progress=False)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_workers_of_a_killed_driver_end_with_it(tmp_path: Path) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(ORPHANS)
    folder.mkdir()
    with subprocess.Popen([sys.executable, str(program), str(folder)], env=environment()) as driver:
        _until(lambda: len(list(folder.iterdir())) == 2)
        driver.kill()
    _until(lambda: not any(Path("/proc", path.name).exists() for path in folder.iterdir()))


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


STARTS = """
import os
from gpbt import Float, Optimizer, Space, run
from toy_trainables import Descent

if __name__ == "__mp_main__":
    try:
        os.unlink("dies-as-it-starts")
    except FileNotFoundError:
        pass
    else:
        os._exit(1)

class Once(Descent):
    def step(self):
        try:
            os.unlink("dies-as-it-trains")
        except FileNotFoundError:
            return super().step()
        open("dies-as-it-starts", "w").close()
        os._exit(1)

if __name__ == "__main__":
    open("dies-as-it-trains", "w").close()
    space = Space(lr=Float(0.01, 0.4))
    result = run(Optimizer(space, population=4, steps=4, direction="maximize"), Once, workers=2, progress=False)
    print(result.optimizer.finished, {record.reason for record in result.optimizer.records})
"""


def test_a_replaced_worker_that_dies_as_it_starts_is_replaced_again(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(STARTS)
    done = subprocess.run(
        [sys.executable, "program.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "True {None}\n"), done.stderr
    assert not (tmp_path / "dies-as-it-starts").exists()


class UnspeakableError(Exception):
    """Has no message that can be made."""

    def __str__(self) -> str:
        raise ValueError("no words")


class Wordy(Descent):
    """Fails in its second step with what is hard to write down."""

    steps = 0

    def step(self) -> float:
        self.steps += 1
        if self.steps == 2:
            if self.live["lr"] < 0.1:
                raise UnspeakableError
            raise RuntimeError("\x1b[2J \udc80 \n" + "x" * 1_000_000)
        return super().step()


def test_reasons_are_one_short_line_that_can_be_shown() -> None:
    optimizer = Optimizer(Space(lr=Float(0.01, 0.4)), population=8, steps=20, seed=1, searcher="random")
    reasons = failed(run(optimizer, Wordy, progress=False).optimizer)
    assert reasons
    for reason in reasons.values():
        assert reason is not None
        assert reason.isprintable()
        assert len(reason) < 1200
        assert "in step), after 1 step" in reason
