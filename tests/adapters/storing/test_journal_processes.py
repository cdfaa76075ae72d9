"""Eight processes ask and tell one study, on SQLite and on a real PostgreSQL server."""

import contextlib
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from gpbt_adapters.storing.journal import Journal, export_study, import_study, open_study
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Status, Verdict
from gpbt_core.space import Float, Space
from gpbt_core.state import Asked, Told
from postgres_server import NoServerError, postgres_server

SPACE = Space(rate=Float(0.01, 1, log=True), momentum=Float(0, 0.9))
SETTINGS: dict[str, Any] = {"population": 16, "steps": 10, "searcher": "random", "max_concurrent": 12}

WORKER = textwrap.dedent(
    """
    import sys, time
    from gpbt_adapters.storing.journal import open_study
    from gpbt_core.records import Verdict

    url, name, dies = sys.argv[1], sys.argv[2], sys.argv[3] == "dies"
    told = 0
    with open_study(url, name, durability="process") as study:
        while not study.finished:
            trials = study.ask(2)
            if dies and trials:
                print("holds", *[trial.id for trial in trials], flush=True)
                time.sleep(600)
            if not trials:
                time.sleep(0.005)
            for trial in trials:
                for step in range(1, trial.steps + 1):
                    if study.report(trial.id, step, trial.config["rate"] / step) is Verdict.STOP:
                        break
                study.tell(trial.id)
                told += 1
    print("told", told)
    """
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('journal')}/runs.db"
        return
    pytest.importorskip("psycopg", exc_type=ImportError)
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(postgres_server())
        except NoServerError as error:
            pytest.skip(str(error))
        yield address


def _worker(url: str, name: str, what: str = "works") -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WORKER, url, name, what], stdout=subprocess.PIPE, text=True)


def _alone() -> Optimizer:
    """The run that one process would have made."""
    optimizer = Optimizer(SPACE, **SETTINGS)
    while not optimizer.finished:
        for trial in optimizer.ask(1):
            for step in range(1, trial.steps + 1):
                if optimizer.report(trial.id, step, trial.config["rate"] / step) is Verdict.STOP:
                    break
            optimizer.tell(trial.id)
    return optimizer


def test_eight_processes_make_one_run_even_if_one_is_killed(url: str) -> None:
    open_study(url, "shared", SPACE, durability="process", **SETTINGS).close()
    with _worker(url, "shared", "dies") as victim, contextlib.ExitStack() as stack:
        assert victim.stdout is not None
        held = [int(word) for word in victim.stdout.readline().split()[1:]]
        workers = [stack.enter_context(_worker(url, "shared")) for _ in range(8)]
        time.sleep(0.5)
        victim.kill()
        said = [worker.communicate(timeout=120)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 8
    told = [int(words[1]) for words in said]
    assert len(held) == 2
    alone = _alone()
    with open_study(url, "shared") as study, Journal(url) as journal:
        assert study.finished
        assert [record.trial for record in study.records] == [record.trial for record in alone.records]
        assert study.best == alone.best
        assert study.tally == alone.tally
        assert sum(told) == len(study.records)
        events = journal.events(1)
        assert journal.leases(1) == []
    asked = [event.trial.id for event in events if isinstance(event, Asked)]
    assert sorted(asked) == sorted([*range(len(study.records)), *held]), "only the victim's trials were asked twice"
    assert len([event for event in events if isinstance(event, Told)]) == len(study.records)


def test_a_study_lives_in_every_database(url: str, tmp_path: Path) -> None:
    with open_study(url, "whole", SPACE, **SETTINGS) as study:
        first, second = study.ask(2)
        study.report(first.id, 1, 0.5)
        study.tell(first.id, 0.5)
        study.fail(second.id, 'it said "no"\n')
        study.requeue(study.ask(1)[0].id)
        study.cancel(2)
        study.extend(1)
        state = study.state
    with open_study(url, "whole", SPACE, **SETTINGS) as study:
        assert study.state == state
    export_study(url, "whole", tmp_path / "whole.jsonl")
    import_study(url, tmp_path / "whole.jsonl", name="copy")
    with open_study(url, "copy") as study:
        assert study.state == state
    with pytest.raises(ConfigError, match="population was 16"):
        open_study(url, "copy", SPACE, **{**SETTINGS, "population": 17})
    with Journal(url) as journal:
        journal.delete("copy")
        assert "copy" not in journal.names()


def test_a_lease_expires_by_the_clock_of_the_database(url: str) -> None:
    with open_study(url, "leased", SPACE, **SETTINGS) as study, open_study(url, "leased", lease=3) as hangs:
        (trial,) = hangs.ask()
        hangs._heartbeat._ended.set()
        assert trial not in study.ask(1)
        with pytest.raises(ProtocolError, match="in training by worker"):
            study.requeue(trial.id)
        time.sleep(3.1)
        assert trial in study.ask(12)
        assert study.records[trial.id].status is Status.RUNNING


def test_leases_are_renewed_in_the_order_in_which_they_are_given_back(url: str) -> None:
    """Two that lock the same rows in different orders would wait for each other."""
    if url.startswith("sqlite"):
        pytest.skip("SQLite locks the whole file")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    of_trial = "SELECT 1 FROM gpbt_leases WHERE trial = {} FOR UPDATE NOWAIT"
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with open_study(url, "ordered", SPACE, **SETTINGS) as study, Journal(url) as journal, engine.connect() as gives:
        study.ask(2)
        study.requeue(0)
        study.ask(1)  # the row of trial 0 lies behind that of trial 1 now
        gives.execute(text(of_trial.format(0)))
        with ThreadPoolExecutor(1) as threads:
            renewing = threads.submit(journal.renew, journal.get("ordered").id, study._worker, 60.0)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as looks:
                while not looks.execute(text(waiting)).scalar_one():
                    assert not renewing.done()
                    time.sleep(0.01)
            gives.execute(text(of_trial.format(1)))
            gives.rollback()
            renewing.result(timeout=60)
    engine.dispose()
