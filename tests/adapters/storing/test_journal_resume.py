"""Runs that are killed at random moments and resumed, over and over, in processes of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform != "linux", reason="lives are forked processes")
@pytest.mark.parametrize(("workers", "kills"), [("serial", 60), ("threads", 40), ("processes", 4)])
def test_a_run_that_is_killed_over_and_over_comes_to_the_same(workers: str, kills: int) -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--workers", workers, "--kills", str(kills), "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"(\d+) runs, (\d+) kills, (\d+) trials trained again\nno differences", done.stdout)
    assert counts, done.stdout
    assert int(counts[1]) >= 1
    assert int(counts[2]) >= kills
    assert int(counts[3]) >= min(10, kills // 4), "the kills met no training"


@pytest.mark.skipif(sys.platform != "linux", reason="lives are forked processes")
def test_every_kind_of_fault_is_survived() -> None:
    command = [sys.executable, "-m", "benchmarks.attacks", "--tries", "1", "--seed", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\w+: 1 of 1 survived$", done.stdout, re.MULTILINE)) == 7
