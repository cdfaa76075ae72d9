"""A run on Ray whose whole cluster and driver are killed goes on from its journal on another cluster."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_core.records import Record
from gpbt_core.state import Requeued
from toy_runs import SMALL, SPACE, environment, records
from toy_trainables import Descent

pytest.importorskip("ray", exc_type=ImportError)
pytest.importorskip("sqlalchemy")

from gpbt_adapters.storing.journal import Journal, open_study

PROGRAM = """
import sys, time
from pathlib import Path
import ray
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.journal import Journal, open_study
from gpbt_adapters.running.ray import RayExecutor
from toy_trainables import Descent

folder, stalls = sys.argv[1], len(sys.argv) > 2

class Stalling(Descent):
    def step(self):
        while stalls and len(list(Path(folder).glob("store/trial-*"))) >= 3:
            time.sleep(0.01)
        return super().step()

quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
ray.init(num_cpus=2, object_store_memory=80 * 2**20, **quiet)
says = lambda event, optimizer: print(type(event).__name__, flush=True)
with open_study(f"{folder}/study.db", "one", durability="process") as study, RayExecutor() as executor:
    store = CheckpointStore(f"{folder}/store", resume=True)
    run(study, Stalling, executor=executor, store=store, progress=False, callbacks=[says])
ray.shutdown()
print("ended", flush=True)
"""


def _start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment(), "RAY_USAGE_STATS_ENABLED": "0"},
        start_new_session=True,
    )


def _family(pid: int) -> list[int]:
    """A process and all that it started, and they in turn: head, raylet, workers."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found, open_ends = [pid], [pid]
    while open_ends:
        children = parents.get(open_ends.pop(), [])
        found += children
        open_ends += children
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the cluster's processes are found in /proc")
def test_a_killed_head_costs_a_journalled_run_what_was_in_training_and_no_more(tmp_path: Path, serial: Result) -> None:
    open_study(tmp_path / "study.db", "one", SPACE, durability="process", **SMALL).close()
    with _start(str(tmp_path), "stalls") as first:
        assert first.stdout is not None
        told = 0
        while told < 3:  # then all others stall
            line = first.stdout.readline()
            assert line, "the program ended before its time"
            told += line == "Told\n"
        family = _family(first.pid)
        assert len(family) >= 5, "driver, head, raylet and two workers"
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert first.wait(timeout=60) == -signal.SIGKILL
    with _start(str(tmp_path)) as second:
        out, _ = second.communicate(timeout=120)
    assert out.splitlines()[-1] == "ended"
    with Journal(tmp_path / "study.db") as journal:
        requeued = sum(isinstance(event, Requeued) for event in journal.events(journal.get("one").id))
    assert 1 <= requeued <= 2, "the kill met no training"
    with open_study(tmp_path / "study.db", "one") as study:
        assert [_outcome(record) for record in study.records] == [_outcome(record) for record in records(serial)]
        result = run(study, Descent, store=CheckpointStore(tmp_path / "store", resume=True), progress=False)
        assert result.best == serial.best
        assert result.restore().score() == serial.best.score


def _outcome(record: Record) -> tuple[object, ...]:
    return record.trial, record.status, record.loss
