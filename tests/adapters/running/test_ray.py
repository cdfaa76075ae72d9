"""The driver on a Ray cluster of this machine, whose workers may die; one cluster serves all tests of this file."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import Result
from gpbt_adapters.running.pools import WorkersLostError
from gpbt_adapters.storing.checkpoints import CheckpointError, is_trusted
from gpbt_core.errors import ConfigError
from gpbt_core.records import Status
from gpbt_core.state import Requeued
from toy_runs import failed, records, run_small, small, small_run
from toy_trainables import Descent, Hanging

ray: Any = pytest.importorskip("ray", exc_type=ImportError)

from gpbt_adapters.running.ray import BrokenClusterError, RayExecutor, RayStore  # noqa: E402 - after the library that it needs

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # so that workers find the toys
        ray.init(
            num_cpus=2,
            num_gpus=1,  # of which no call makes use: counted, not looked for
            resources={"bench": 4},
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            log_to_driver=False,
            logging_level="error",
        )
        yield
        ray.shutdown()


@pytest.fixture
def executor() -> Iterator[RayExecutor]:
    with RayExecutor() as made:
        yield made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where tests and workers leave word for each other."""
    path = tmp_path / "shared"
    path.mkdir()
    return path


class Killed(Descent):
    """Kills its process in a step, as often as there is a file to take from its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def step(self) -> float:
        for death in self.directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process took it
                death.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().step()


class KilledAsAChild(Killed):
    """Kills its process in a step after it has loaded what a worker kept."""

    is_child = False

    def load(self, path: Path) -> None:
        super().load(path)
        self.is_child = True

    def step(self) -> float:
        return super().step() if self.is_child else Descent.step(self)


class DeadlyUnder(Descent):
    """Kills its process in each step under one learning rate."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def step(self) -> float:
        if self.live["lr"] == self.rate:
            os._exit(1)
        return super().step()


def _touch_and_wait(path: Path) -> None:
    path.touch()
    time.sleep(600)


def _pid() -> int:
    return os.getpid()


def _until(path: Path) -> None:
    """Waits until a worker has written a file."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_on_ray_comes_to_the_same(executor: RayExecutor, serial: Result) -> None:
    result = small_run(executor=executor)
    assert records(result) == records(serial)
    assert result.best == serial.best
    assert result.restore().score() == result.best.score


def test_calls_run_in_other_processes_and_their_exceptions_come_back(executor: RayExecutor) -> None:
    assert executor.submit(_pid).result() != os.getpid()
    assert executor.submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 7, 0).result()


def test_a_segment_whose_worker_is_killed_is_trained_again_and_no_other(
    executor: RayExecutor, serial: Result, directory: Path
) -> None:
    for number in range(3):
        (directory / str(number)).touch()
    result = small_run(lambda: Killed(directory), executor=executor, retries=3)
    assert list(directory.iterdir()) == []
    assert records(result) == records(serial)
    assert sum(isinstance(event, Requeued) for event in result.optimizer.events) == 3


def test_a_trial_that_kills_its_workers_fails_after_the_retries_which_ray_does_not_multiply(
    executor: RayExecutor, bad: int, serial: Result
) -> None:
    rate = records(serial)[bad].trial.config["lr"]
    optimizer = small_run(lambda: DeadlyUnder(rate), executor=executor, retries=1).optimizer
    ((trial_id, reason),) = failed(optimizer).items()
    assert trial_id == bad
    assert reason is not None
    assert reason.startswith("its worker died 2 times, the last time with WorkerCrashedError")
    assert sum(isinstance(event, Requeued) for event in optimizer.events) == 1


def test_a_worker_that_hangs_is_ended_alone(executor: RayExecutor, bad: int, serial: Result) -> None:
    rate = repr(records(serial)[bad].trial.config["lr"])

    def factory() -> Descent:
        os.environ["GPBT_TEST_DEADLY"] = rate
        return Hanging()

    optimizer = small_run(
        factory, executor=executor, timeout=0.5, grace=30.0
    ).optimizer  # starts within, on a busy machine too
    ((trial_id, reason),) = failed(optimizer).items()
    assert trial_id == bad
    assert reason is not None
    assert reason.startswith("no answer for")
    assert optimizer.finished
    assert not any(isinstance(event, Requeued) for event in optimizer.events)


def test_cancelling_ends_a_call_that_runs_and_one_that_waits(executor: RayExecutor, directory: Path) -> None:
    futures = [executor.submit(_touch_and_wait, directory / str(number)) for number in range(3)]
    _until(directory / "0")
    assert [future.cancel() for future in futures] == [True] * 3
    assert futures[0].cancel()
    assert all(future.cancelled() for future in futures)
    assert not wait(futures, timeout=0).not_done
    with pytest.raises(CancelledError):
        futures[0].result()
    assert executor.submit(_pid).result(timeout=60) != os.getpid()  # the resources are free again


def test_a_second_ctrl_c_ends_what_runs_and_frees_the_cluster(
    executor: RayExecutor, serial: Result, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = directory / "release"

    class Waiting(Descent):
        def step(self) -> float:
            (directory / "began").touch()
            while not release.exists():
                time.sleep(0.01)
            return super().step()

    heard = threading.Event()
    monkeypatch.setattr("gpbt_adapters.running.progress.ProgressBar.say", lambda *_: heard.set())

    def press() -> None:
        _until(directory / "began")
        os.kill(os.getpid(), signal.SIGINT)
        heard.wait(60)  # two signals at once would arrive as one
        os.kill(os.getpid(), signal.SIGINT)

    optimizer = small()
    thread = threading.Thread(target=press)
    thread.start()
    result = run_small(optimizer, Waiting, executor=executor)
    thread.join()
    assert result.interrupted
    assert not any(record.status is Status.RUNNING for record in optimizer.records)
    again = run_small(optimizer, Descent, executor=executor, store=result.store)  # what hung is not waited for
    assert records(again) == records(serial)


def test_resources_limit_how_many_fit() -> None:
    wanted: list[tuple[dict[str, Any], int | None]] = [
        ({}, 2),
        ({"num_cpus": 0.5}, 4),
        ({"num_cpus": 0, "num_gpus": 0.3}, 3),
        ({"num_cpus": 0.1, "num_gpus": 1}, 1),
        ({"num_cpus": 0, "resources": {"bench": 3}}, 1),
        ({"num_cpus": 0, "resources": {"bench": 0.1}}, 40),
        ({"num_cpus": 0}, None),
        ({"workers": 7}, 7),
    ]
    for settings, places in wanted:
        with RayExecutor(**settings) as executor:
            assert executor._max_workers == places, settings


def _seen() -> list[str]:
    return [str(identifier) for identifier in ray.get_runtime_context().get_accelerator_ids()["GPU"]]


def test_a_call_gets_the_gpus_that_it_asks_for() -> None:
    with RayExecutor(num_cpus=0.5, num_gpus=0.5) as executor:
        assert executor.submit(_seen).result() == ["0"]


def test_what_no_node_has_is_refused_unless_it_may_come() -> None:
    with pytest.raises(ConfigError, match=r"no node of the cluster has 1 CPU, 3 GPU; it has .*workers="):
        RayExecutor(num_gpus=3)
    assert RayExecutor(num_gpus=3, workers=2)._max_workers == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_cpus": -1}, "num_cpus must be at least 0"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"max_retries": 3}, "retries are counted by `run`"),
        ({"color": "red"}, "Ray refuses the options"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RayExecutor(**settings)


def test_without_a_cluster_the_error_says_what_to_call() -> None:
    program = "from gpbt_adapters.running.ray import RayExecutor; RayExecutor()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigError: RayExecutor: Ray is not initialized; call ray.init()" in done.stderr


def test_after_the_shutdown_nothing_is_taken() -> None:
    executor = RayExecutor()
    future = executor.submit(_pid)
    executor.shutdown()
    assert future.done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(_pid)


def test_a_shutdown_that_does_not_wait_may_end_what_runs(directory: Path) -> None:
    executor = RayExecutor()
    futures = [executor.submit(_touch_and_wait, directory / str(number)) for number in range(2)]
    _until(directory / "1")
    executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)


class Unknown:
    """Cannot be made in a worker."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (__import__, ("no_such_module_anywhere",))


def test_workers_that_lack_the_code_break_the_executor_and_not_the_trials(executor: RayExecutor) -> None:
    with pytest.raises(BrokenClusterError, match=r"a worker could not begin.*no_such_module_anywhere.*same packages"):
        executor.submit(print, Unknown()).result()


def test_workers_that_cannot_be_set_up_end_the_run_with_the_reason(tmp_path: Path) -> None:
    missing = (tmp_path / "missing.zip").as_uri()
    with RayExecutor(runtime_env={"working_dir": missing}) as executor:
        optimizer = small()
        with pytest.raises(WorkersLostError, match=r"(?s)takes no more work: RuntimeEnvSetupError.*missing\.zip"):
            run_small(optimizer, Descent, executor=executor)
    assert not any(record.status is Status.RUNNING for record in optimizer.records)


# ----------------------------------------------------------------------------------------------- in the object store


@pytest.fixture
def store() -> Iterator[RayStore]:
    with RayStore() as made:
        yield made


class Big(Descent):
    """A factory with data, too large to travel with each order."""

    def __init__(self, size: int = 0) -> None:
        self.data = bytes(size)

    def __call__(self) -> Descent:
        return Descent()


def test_a_run_may_keep_its_checkpoints_in_the_object_store(
    executor: RayExecutor, store: RayStore, serial: Result
) -> None:
    result = small_run(Big(1 << 20), executor=executor, store=store)
    assert records(result) == records(serial)
    assert result.store.ids() == serial.store.ids()
    assert result.restore().score() == result.best.score


def test_what_a_worker_kept_outlives_it(
    executor: RayExecutor, store: RayStore, directory: Path, serial: Result
) -> None:
    for number in range(2):  # as many as there are workers
        (directory / str(number)).touch()
    result = small_run(lambda: KilledAsAChild(directory), executor=executor, store=store, retries=2)
    assert list(directory.iterdir()) == []
    assert records(result) == records(serial)


def test_files_and_folders_come_back_from_the_object_store_as_they_were(store: RayStore) -> None:
    content = bytes(range(256)) * 2000  # enough to be an object of its own
    with store.writing(3) as path:
        (path / "deep" / "er").mkdir(parents=True)
        (path / "deep" / "er" / "weights").write_bytes(content)
        (path / "hollow").mkdir()
        (path / "empty").touch()
    with store.reading(3) as path:
        assert is_trusted(path)
        assert (path / "deep" / "er" / "weights").read_bytes() == content
        assert (path / "hollow").is_dir()
        assert (path / "empty").read_bytes() == b""
    with store.writing(3) as path:
        (path / "weights").write_text("new")
    with store.reading(3) as path:
        assert [entry.name for entry in path.iterdir()] == ["weights"]
    assert store.ids() == {3}
    store.delete([3, 4])
    assert store.ids() == set()
    with pytest.raises(CheckpointError, match="trial 3 has no checkpoint"), store.reading(3):
        pass


def test_an_object_store_that_is_closed_says_so() -> None:
    store = RayStore()
    store.add_file("factory", b"content")
    assert store.read_file("factory") == b"content"
    with pytest.raises(CheckpointError, match="other cannot be read"):
        store.read_file("other")
    store.close()
    store.close()
    with pytest.raises(CheckpointError, match="its objects cannot be reached"):
        store.ids()
