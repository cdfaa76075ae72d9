"""Ctrl-C, once and twice, in the own thread and at a terminal."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gpbt_adapters.running.driver import Result, run
from gpbt_core.records import Status
from toy_runs import environment, records, run_small, small, small_run
from toy_trainables import Descent


class Interrupting(Descent):
    """Presses Ctrl-C in its fourth step, as often as `presses` says."""

    presses = 1
    number = signal.SIGINT
    swallow = False
    made = 0

    def step(self) -> float:
        type(self).made += 1
        if self.made == 4:
            try:
                for _ in range(self.presses):
                    os.kill(os.getpid(), self.number)
            except KeyboardInterrupt:  # as scikit-learn's perceptron does
                if not self.swallow:
                    raise
        return super().step()


@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_in_the_drivers_own_thread_leaves_a_usable_result(
    serial: Result, presses: int, swallow: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = type("Kind", (Interrupting,), {"presses": presses, "swallow": swallow})
    optimizer = small()
    result = run_small(optimizer, kind)
    assert result.interrupted
    assert not optimizer.finished
    assert "press again to stop them now" in capfd.readouterr().err
    statuses = [record.status for record in optimizer.records]
    if presses == 1:
        assert set(statuses) <= {Status.COMPLETED, Status.STOPPED}  # what was in training ended first
        assert result.restore().score() == result.best.score
    else:
        assert statuses[-1] is Status.QUEUED
    again = run_small(optimizer, Descent, store=result.store)
    assert not again.interrupted
    assert records(again) == records(serial)


def test_ctrl_c_hurts_no_trial_where_it_has_ended_the_reader_of_stderr_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    monkeypatch.setattr(sys, "stderr", Gone())
    result = run_small(small(), type("Kind", (Interrupting,), {}))
    assert result.interrupted
    assert not [record for record in records(result) if record.status is Status.FAILED]


def test_a_run_needs_no_stderr(serial: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert records(run(small(), Descent)) == records(serial)


def test_ctrl_c_is_what_it_was_before_and_after_a_run() -> None:
    before = signal.getsignal(signal.SIGINT)
    small_run()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_outside_the_main_thread_leaves_signals_alone(serial: Result) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(small_run()))
    thread.start()
    thread.join()
    assert records(results[0]) == records(serial)


PROGRAM = """
import sys
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.running.driver import run
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Status
from gpbt_core.space import Float, Space
from toy_trainables import Slow

started = []

def shout(event, optimizer):
    if not started:
        started.append(event)
        print("started", flush=True)

if __name__ == "__main__":
    optimizer = Optimizer(Space(lr=Float(0.01, 0.4)), population=6, steps=int(sys.argv[1]), seed=0, searcher="random")
    settings = eval(sys.argv[2]) if len(sys.argv) > 2 else {"workers": 2, "progress": False}
    result = run(optimizer, Slow, callbacks=[shout], **settings)
    ended = {Status.COMPLETED, Status.STOPPED}
    print("interrupted", result.interrupted, sum(record.status in ended for record in optimizer.records))
    if any(record.status is Status.COMPLETED for record in optimizer.records):
        print("best", result.restore().score() == result.best.score)
"""


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_at_a_terminal_reaches_the_workers_too_and_hurts_none(tmp_path: Path, presses: int) -> None:
    program, said = tmp_path / "program.py", tmp_path / "stderr"
    program.write_text(PROGRAM)
    with (
        said.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, str(program), "100" if presses == 1 else "100000"],  # segments of 0.4 s or of 400 s
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(),
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n", said.read_text()
        time.sleep(1.0)  # until both workers train
        start = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        while "press again" not in said.read_text():  # two signals at once would arrive as one
            assert time.monotonic() < start + 60, said.read_text()
            time.sleep(0.01)
        if presses == 2:
            os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    err = said.read_text()
    assert process.returncode == 0, err
    word, interrupted, ended = out.splitlines()[0].split()
    assert (word, interrupted) == ("interrupted", "True")
    if presses == 1:
        assert int(ended) >= 2  # both workers ended what they had
        assert out.splitlines()[1] == "best True"
    else:
        assert int(ended) == 0
        assert time.monotonic() - start < 60  # not waited for
    assert err.count("press again") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("workers", [None, 2])
def test_sigterm_ends_a_run_within_its_time_and_leaves_no_temporary_files(tmp_path: Path, workers: int | None) -> None:
    program, scratch = tmp_path / "program.py", tmp_path / "scratch"
    program.write_text(PROGRAM)
    scratch.mkdir()
    settings = {"workers": workers, "progress": False, "shutdown": 1.0}
    with subprocess.Popen(
        [sys.executable, str(program), "100000", repr(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "TMPDIR": str(scratch)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "interrupted True 0\n"), err
    assert "SIGTERM: the trials in training have 1 s to finish" in err
    assert [path.name for path in scratch.iterdir() if path.name.startswith("gpbt")] == []


def test_a_program_that_handles_sigterm_itself_goes_on_doing_so() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        result = run_small(small(), type("Kind", (Interrupting,), {"number": signal.SIGTERM}))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert not result.interrupted


@pytest.mark.parametrize("progress", ["True", "'rich'"])
def test_a_terminal_that_goes_away_ends_no_run(tmp_path: Path, progress: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, str(program), "30", f"{{'progress': {progress}}}"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=environment() | {"PYTHONUNBUFFERED": ""},  # what stays in a buffer is flushed as Python exits
        start_new_session=True,
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        os.close(ours)  # whoever writes there from now on gets EIO
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "best True"


def test_a_pipe_whose_reader_is_gone_ends_no_run(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ours, theirs = os.pipe()
    with subprocess.Popen(
        [sys.executable, str(program), "80", "{'progress': 'rich'}"],  # for some 5 s: the first line comes after 1
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=environment() | {"PYTHONUNBUFFERED": ""},  # what stays in a buffer is flushed as Python exits
    ) as process:
        os.close(theirs)
        os.close(ours)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "best True"
