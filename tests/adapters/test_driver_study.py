"""The driver on a study in a journal: killed and taken up again, and shared by several processes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.checkpoints import CheckpointStore
from gpbt_adapters.driver import run
from gpbt_core import Float, Optimizer, Space, Status
from toy_trainables import Descent

pytest.importorskip("sqlalchemy")

from gpbt_adapters.journal import open_study

SETTINGS: dict[str, Any] = {"population": 6, "steps": 10, "direction": "maximize", "searcher": "random", "seed": 4}
SPACE = Space(lr=Float(0.01, 0.4), momentum=Float(0, 0.9))

PROGRAM = """
import sys
from gpbt_adapters.checkpoints import CheckpointStore
from gpbt_adapters.driver import run
from gpbt_adapters.journal import open_study
from toy_trainables import Slow

folder = sys.argv[1]
with open_study(f"{folder}/study.db", "one", durability="process", lease=2.0) as study:
    print("opened", flush=True)
    says = lambda event, optimizer: print(type(event).__name__, flush=True)
    run(study, Slow, store=CheckpointStore(f"{folder}/store", resume=True), progress=False, callbacks=[says])
"""


def _start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
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
        process = _start(tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "opened\n"
        if all(process.stdout.readline() for _ in range(events.randint(1, 40))):
            time.sleep(events.uniform(0, 0.02))  # not always just behind an event
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    _check(tmp_path)


def test_several_processes_may_drive_one_study(tmp_path: Path) -> None:
    _begin(tmp_path)
    processes = [_start(tmp_path) for _ in range(2)]
    time.sleep(0.1)
    processes[0].send_signal(signal.SIGSTOP)  # long enough for its lease to expire
    assert processes[1].wait(timeout=60) == 0
    processes[0].send_signal(signal.SIGCONT)
    assert processes[0].wait(timeout=60) == 0
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    _check(tmp_path)


def test_a_study_that_others_have_ended_is_not_waited_for(tmp_path: Path) -> None:
    with open_study(tmp_path / "study.db", "one", SPACE, durability="process", **SETTINGS) as study:
        run(study, Descent, progress=False)
        with open_study(tmp_path / "study.db", "one") as again:
            assert all(record.status is not Status.RUNNING for record in again.records)
            result = run(again, Descent, store=tmp_path / "store", progress=False)
            assert result.optimizer.finished
