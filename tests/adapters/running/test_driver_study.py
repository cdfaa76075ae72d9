"""The driver on a study in a journal: killed and taken up again, and shared by several processes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_core import Float, Optimizer, Space, Status
from gpbt_core.errors import ConfigError
from toy_trainables import Descent

pytest.importorskip("sqlalchemy")

from gpbt_adapters.storing.journal import open_study

SETTINGS: dict[str, Any] = {"population": 6, "steps": 10, "direction": "maximize", "searcher": "random", "seed": 4}
SPACE = Space(lr=Float(0.01, 0.4), momentum=Float(0, 0.9))

PROGRAM = """
import itertools, sys
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.journal import open_study
from toy_trainables import Slow

folder, stalls, seen = sys.argv[1], int(sys.argv[2]), itertools.count(1)

def says(event, optimizer):
    print(type(event).__name__, flush=True)
    if next(seen) >= stalls:
        sys.stdin.read()  # until the test closes it

with open_study(f"{folder}/study.db", "one", durability="process", lease=1.0) as study:
    print("opened", flush=True)
    run(study, Slow, store=CheckpointStore(f"{folder}/store", resume=True), progress=False, callbacks=[says])
"""


def _start(folder: Path, *, stalls: int = sys.maxsize) -> "subprocess.Popen[str]":
    """Starts a driver, which stalls after so many events until its input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(stalls)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _begin(folder: Path) -> None:
    open_study(folder / "study.db", "one", SPACE, durability="process", **SETTINGS).close()


def _check(folder: Path) -> None:
    """Whether the study came to what a run without a journal comes to, and its best model is there."""
    undisturbed = Optimizer(SPACE, **SETTINGS)
    run(undisturbed, Descent, progress=False)
    with open_study(folder / "study.db", "one") as study:
        assert study.finished
        assert [(record.trial, record.status, record.loss) for record in study.records] == [
            (record.trial, record.status, record.loss) for record in undisturbed.records
        ]
        result = run(study, Descent, store=CheckpointStore(folder / "store", resume=True), progress=False)
        assert result.restore().score() == undisturbed.best.score
        assert len(result.store.ids()) <= len(study.state.open.plan.parents) + 1


def test_a_run_killed_again_and_again_comes_to_what_an_undisturbed_one_comes_to(tmp_path: Path) -> None:
    _begin(tmp_path)
    events = random.Random(0)  # noqa: S311 - no secret
    kills = 0
    while True:
        count = events.randint(1, 40)
        process = _start(tmp_path, stalls=count + 2)  # so that it does not come to its end before a slow test
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "opened\n"
        if all(process.stdout.readline() for _ in range(count)):
            time.sleep(events.uniform(0, 0.02))  # not always just behind an event
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    _check(tmp_path)


def test_several_processes_may_drive_one_study(tmp_path: Path) -> None:
    _begin(tmp_path)
    with _start(tmp_path, stalls=1) as stopped:
        assert stopped.stdin is not None
        assert stopped.stdout is not None
        assert [stopped.stdout.readline() for _ in range(2)] == ["opened\n", "Asked\n"]
        stopped.send_signal(signal.SIGSTOP)  # long enough for its lease to expire
        with _start(tmp_path) as first, _start(tmp_path) as second:
            for process in (first, second):
                process.communicate(timeout=120)
                assert process.returncode == 0
        stopped.send_signal(signal.SIGCONT)
        stopped.communicate(timeout=120)
        assert stopped.returncode == 0
    _check(tmp_path)


def test_a_study_that_others_have_ended_is_not_waited_for(tmp_path: Path) -> None:
    with open_study(tmp_path / "study.db", "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, progress=False)
        with open_study(tmp_path / "study.db", "one") as again:
            assert all(record.status is not Status.RUNNING for record in again.records)
            result = run(again, Descent, store=tmp_path / "store", progress=False)
            assert result.optimizer.finished


def _press_after(count: int) -> Callable[[object, Optimizer], None]:
    """A callback that presses Ctrl-C once so many trials were asked."""

    def press(_: object, optimizer: Optimizer) -> None:
        if len(optimizer.records) == count:
            signal.raise_signal(signal.SIGINT)

    return press


def test_the_same_script_started_again_goes_on_and_another_study_is_refused_its_store(tmp_path: Path) -> None:
    journal = tmp_path / "study.db"
    with open_study(journal, "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, store=tmp_path / "store", callbacks=[_press_after(9)], progress=False)
        assert study.store == str(tmp_path / "store")
    with open_study(journal, "two", SPACE, durability="process", **SETTINGS) as other:
        for store in (tmp_path / "store", CheckpointStore(tmp_path / "store", resume=True)):
            with pytest.raises(ConfigError, match="holds the checkpoints of study 'one', got study 'two'"):
                run(other, Descent, store=store, progress=False)
    with open_study(journal, "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, store=tmp_path / "store", progress=False)
    _check(tmp_path)


def test_a_study_goes_on_where_its_checkpoints_are_and_in_no_empty_place(tmp_path: Path) -> None:
    journal = tmp_path / "study.db"
    with open_study(journal, "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, store=tmp_path / "store", callbacks=[_press_after(9)], progress=False)
    with open_study(journal, "one", durability="process") as study:
        with pytest.raises(ConfigError, match=r"keeps its checkpoints in '.*/store', but .*elsewhere.* is empty"):
            run(study, Descent, store=tmp_path / "elsewhere", progress=False)
        run(study, Descent, progress=False)
    _check(tmp_path)


@pytest.mark.parametrize("given", ["nothing", "path", "store"])
def test_a_study_whose_checkpoints_are_gone_trains_them_again_only_in_another_place(tmp_path: Path, given: str) -> None:
    journal, place = tmp_path / "study.db", tmp_path / "old"
    with open_study(journal, "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, store=place, callbacks=[_press_after(9)], progress=False)
        asked = len(study.records)
    place.rename(tmp_path / "away")
    with open_study(journal, "one", durability="process") as study:
        store = CheckpointStore(place) if given == "store" else place if given == "path" else None
        with pytest.raises(ConfigError, match=r"keeps its checkpoints in '.*/old', where there are none.*bring them"):
            run(study, Descent, store=store, progress=False)
        assert len(study.records) == asked
        assert given == "store" or not place.exists()
        run(study, Descent, store=tmp_path / "store", progress=False)
    _check(tmp_path)


def test_checkpoints_that_were_moved_are_found_in_their_new_place(tmp_path: Path) -> None:
    journal = tmp_path / "study.db"
    with open_study(journal, "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, store=tmp_path / "old", callbacks=[_press_after(9)], progress=False)
    (tmp_path / "old").rename(tmp_path / "store")
    with open_study(journal, "one", durability="process") as study:
        run(study, Descent, store=tmp_path / "store", progress=False)
        assert study.store == str(tmp_path / "store")
    _check(tmp_path)
