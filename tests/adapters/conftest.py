"""What several tests of runs start from."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from gpbt_adapters.running.driver import Result
from toy_runs import records, small_run, spawned


@pytest.fixture(scope="session")
def serial() -> Result:
    """What every way of running must come to."""
    return small_run()


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Two processes that every test but those that kill them may use."""
    with spawned(2) as workers:
        yield workers


@pytest.fixture
def bad(serial: Result, monkeypatch: pytest.MonkeyPatch) -> int:
    """The trial, a founder that completes, under whose learning rate some of the toys misbehave."""
    trial = records(serial)[1].trial
    monkeypatch.setenv("GPBT_TEST_DEADLY", repr(trial.config["lr"]))
    return trial.id
