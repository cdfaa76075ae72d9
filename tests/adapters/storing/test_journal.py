"""Studies in a SQLite journal: durable, shared, opened again, leased, exported, and refused where they cannot be."""

import contextlib
import json
import logging
import math
import os
import re
import sqlite3
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from gpbt_adapters.storing.journal import (
    Journal,
    JournalError,
    Study,
    check_journal,
    copy_journal,
    export_study,
    import_study,
    open_study,
    schema,
)
from gpbt_adapters.storing.journal.engine import file_system
from gpbt_adapters.storing.journal.workers import identity, is_gone
from gpbt_core.early_stopping import TrialStopping
from gpbt_core.errors import ConfigError, ProtocolError, SearcherError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Status, Verdict
from gpbt_core.searcher import Search
from gpbt_core.space import Categorical, Float, Int, Space
from gpbt_core.state import Asked, Reported, Requeued, Told

SPACE = Space(rate=Float(0.01, 1, log=True), width=Int(1, 9), kind=Categorical(["a", "b", None]))
SETTINGS: dict[str, Any] = {"population": 5, "steps": 10, "searcher": Search("random"), "seed": 3}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def one(url: str) -> Iterator[Study]:
    with open_study(url, "run", SPACE, durability="process", **SETTINGS) as opened:
        yield opened


@pytest.fixture
def other(url: str, one: Study) -> Iterator[Study]:
    """The same study, as another process has it."""
    with open_study(url, one.name, durability="process") as opened:
        yield opened


def _score(trial_id: int) -> float:
    return (trial_id * 7919 % 101) / 101


def _train(optimizer: Optimizer, trials: int | None = None) -> None:
    """Asks, reports and tells; to the end, or so many trials."""
    done = 0
    while not optimizer.finished and done != trials:
        for trial in optimizer.ask(1):
            for step in range(1, trial.steps + 1):
                if optimizer.report(trial, step, _score(trial.id)):
                    break
            optimizer.tell(trial)
            done += 1


def _journalled(url: str) -> list[dict[str, Any]]:
    """The events as a stranger reads them from the file."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        rows = connection.execute("SELECT payload FROM gpbt_events ORDER BY sequence").fetchall()
    connection.close()
    return [json.loads(row[0]) for row in rows]


def test_a_study_asks_what_an_optimizer_asks(one: Study) -> None:
    plain = Optimizer(SPACE, **SETTINGS)
    _train(plain)
    _train(one)
    assert one.state == plain.state
    assert one.best == plain.best
    assert one.events == plain.events


def test_an_event_is_in_the_database_when_the_call_returns(url: str, one: Study) -> None:
    trials = one.ask(2)
    assert [event["id"] for event in _journalled(url)] == [trial.id for trial in trials]
    one.tell(trials[0].id, 0.5)
    assert _journalled(url)[-1] == {"type": "told", "id": trials[0].id, "loss": 0.5, "reason": None, "attempt": 0}
    one.fail(trials[1].id, "broke")
    assert _journalled(url)[-1]["reason"] == "broke"


def test_a_report_that_waits_behind_thousands_takes_no_more_memory_than_the_first(url: str) -> None:
    settings: dict[str, Any] = {"population": 1, "steps": 10_000, "preset": "random"}
    with open_study(url, "long", SPACE, durability="process", **settings) as study:
        (trial,) = study.ask()
        for step in range(1, 9_001):
            study.report(trial, step, 0.5)
        needs = []
        tracemalloc.start()
        try:
            for step in range(9_001, 9_011):
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                study.report(trial, step, 0.5)
                needs.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
        assert min(needs) < 10_000  # bytes; a copy of the events that wait has 72,000
        study.tell(trial, 0.5)
    assert len(_journalled(url)) == 9_013


def test_reports_wait_for_the_next_event_unless_they_say_stop(url: str) -> None:
    with open_study(
        url,
        "run",
        SPACE,
        **{**SETTINGS, "max_concurrent": 1, "trial_stopping": "median", "reproduction": "genealogical"},
    ) as study:
        assert isinstance(study.settings.trial_stopping, TrialStopping)
        for score in (0.1, 0.1, 0.1):
            (trial,) = study.ask()
            for step in range(1, trial.steps + 1):
                study.report(trial.id, step, score)
            assert _journalled(url)[-1]["type"] == "asked"
            study.tell(trial.id)
        assert [event["type"] for event in _journalled(url)[-trial.steps - 1 :]] == ["reported"] * trial.steps + [
            "told"
        ]
        (trial,) = study.ask()
        assert study.report(trial.id, 1, 0.9) is Verdict.STOP
        assert _journalled(url)[-1] == {"type": "reported", "id": trial.id, "step": 1, "loss": 0.9, "attempt": 0}


def test_what_is_held_back_is_written_on_closing(url: str, one: Study) -> None:
    (trial,) = one.ask()
    one.report(trial.id, 1, 0.5)
    one.close()
    assert _journalled(url)[-1]["type"] == "reported"
    with pytest.raises(ProtocolError, match="closed; open it again"):
        one.tell(trial.id, 0.5)
    one.close()


@pytest.mark.parametrize("trials", [0, 1, 4, 9, 22])
def test_opening_goes_on_exactly(url: str, trials: int) -> None:
    with open_study(url, "run", SPACE, **SETTINGS) as study:
        _train(study, trials)
        state = study.state
    with open_study(url, "run", SPACE, **SETTINGS) as study:
        assert study.state == state
        assert len(study.events) == 0
        _train(study)
        plain = Optimizer(SPACE, **SETTINGS)
        _train(plain)
        assert study.state == plain.state


def test_snapshots_give_the_state_that_all_events_give(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gpbt_adapters.storing.journal.study.SNAPSHOT", (10, 1.25))
    with open_study(url, "run", SPACE, **SETTINGS) as first:
        _train(first)
    with Journal(url) as journal:
        found = journal.snapshot(1)
    assert found is not None
    assert 10 < found[0] < len(first.events)
    with open_study(url, "run") as again:
        assert again.state == first.state
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE gpbt_snapshots SET payload = substr(payload, 2)"))
    engine.dispose()
    with open_study(url, "run") as again:
        assert again.state == first.state
    assert "the snapshot of study 1 is damaged; its events are replayed instead" in caplog.text
    assert "the snapshot of study 1 is damaged" in str(check_journal(url)["run"])


def test_two_processes_share_a_study(one: Study, other: Study) -> None:
    plain = Optimizer(SPACE, **SETTINGS)
    _train(plain)
    while not one.finished:
        for study in (one, other):
            for trial in study.ask(1):
                study.report(trial.id, 1, _score(trial.id))
                for step in range(2, trial.steps + 1):
                    study.report(trial.id, step, _score(trial.id))
                study.tell(trial.id)
    other.refresh()
    assert one.state == other.state == plain.state


def test_no_trial_is_asked_twice_when_another_was_first(one: Study, other: Study) -> None:
    (first,) = one.ask()
    (second,) = other.ask()
    assert (first.id, second.id) == (0, 1)
    one.tell(first.id, 0.1)
    other.tell(second.id, 0.2)
    assert [record.loss for record in other.records] == [0.1, 0.2]
    assert one.refresh() == 1, "the other trial's asking came with its own telling"


def test_a_process_that_was_not_first_tries_again(one: Study, other: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine,) = one.ask()
    one.report(mine.id, 1, 0.3)
    original, others = Journal.append, [other]

    def beaten(self: Journal, *arguments: Any, **options: Any) -> bool:
        if others:
            others.pop().ask()  # the other process is faster
        return original(self, *arguments, **options)

    monkeypatch.setattr(Journal, "append", beaten)
    one.tell(mine.id, 0.3)
    assert [type(event) for event in one.events] == [Asked, Reported, Asked, Told]
    other.refresh()
    assert one.state == other.state


def test_the_searcher_is_not_called_again_for_a_second_try(
    one: Study, other: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original, others = Journal.append, [other]
    (mine,) = other.ask()

    def beaten(self: Journal, *arguments: Any, **options: Any) -> bool:
        if others:
            others.pop().tell(mine.id, 0.5)
        return original(self, *arguments, **options)

    kind = type(one.searcher)
    propose = kind.propose

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return propose(*arguments)

    monkeypatch.setattr(kind, "propose", counted)
    monkeypatch.setattr(Journal, "append", beaten)
    (trial,) = one.ask()
    assert trial.id == 1
    assert not others
    assert len(calls) == 1


def test_what_another_process_has_told_is_refused(one: Study, other: Study) -> None:
    (trial,) = one.ask()
    other.refresh()
    other.tell(trial.id, 0.1)
    with pytest.raises(ProtocolError, match="told already"):
        one.tell(trial.id, 0.2)
    assert one.records[0].loss == 0.1


def test_a_refused_call_changes_nothing(url: str, one: Study) -> None:
    (trial,) = one.ask()
    before = one.state, list(one.events), _journalled(url)
    for call in (lambda: one.tell(7, 0.1), lambda: one.report(trial.id, 99, 0.1), lambda: one.requeue(7)):
        with pytest.raises(ProtocolError):
            call()
    with pytest.raises(ConfigError):
        one.tell(trial.id, "high")  # type: ignore[arg-type]  # what is tested
    assert (one.state, list(one.events), _journalled(url)) == before


def test_a_refused_call_keeps_what_it_read_of_others(url: str, one: Study, other: Study) -> None:
    (first,) = one.ask()
    other.refresh()
    (second,) = one.ask()
    one.tell(second.id, 0.5)
    with pytest.raises(ProtocolError, match="in training by worker"):
        other.requeue(first.id)
    assert other.records[second.id].loss == 0.5
    (third,) = other.ask()
    assert third.id == 2
    one.refresh()
    assert one.state == other.state
    with open_study(url, "run") as again:
        assert again.state == one.state


def test_what_was_written_before_an_interrupt_is_read_after_it(one: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (trial,) = one.ask()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gpbt_adapters.storing.journal.study.SNAPSHOT", (0, 0.0))
        patch.setattr(one, "_keep_snapshot", interrupted)
        with pytest.raises(KeyboardInterrupt):
            one.tell(trial.id, 0.5)
    assert one.refresh() == 1
    assert one.records[trial.id].loss == 0.5
    assert [trial.id for trial in one.ask()] == [1]


def test_a_searcher_that_raises_leaves_the_study_as_it_was(one: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    kind, state = type(one.searcher), one.state
    with monkeypatch.context() as patch:
        patch.setattr(kind, "propose", broken)
        with pytest.raises(SearcherError):
            one.ask()
    assert one.state == state
    assert len(one.ask()) == 1


def test_a_call_out_of_a_call_is_refused_and_the_outer_one_goes_on(one: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = one.ask()
    refused: list[str] = []
    propose = Study._propose

    def calls_back(self: Study, *arguments: Any) -> Any:
        for call in (lambda: one.tell(first, 0.5), one.ask, one.refresh):
            with pytest.raises(ProtocolError, match="study 'run': another call is using it") as caught:
                call()
            refused.append(str(caught.value))
        return propose(self, *arguments)

    monkeypatch.setattr(Study, "_propose", calls_back)
    (second,) = one.ask()
    assert len(refused) == 3
    monkeypatch.undo()
    one.tell(first, 0.5)
    one.tell(second, 0.25)
    assert [record.loss for record in one.records] == [0.5, 0.25]


# --------------------------------------------------------------------------------------------------------------- leases


def test_a_trial_whose_lease_has_expired_is_asked_again(url: str, one: Study, caplog: pytest.LogCaptureFixture) -> None:
    with open_study(url, "run", lease=3, durability="process") as lost:
        (trial,) = lost.ask()
        lost.report(trial.id, 1, 0.5)
        lost._heartbeat._ended.set()  # it hangs: no sign of life any more
        assert trial not in one.ask(2)
        time.sleep(3.1)
        with caplog.at_level(logging.WARNING):
            assert trial in one.ask(4)
        assert "trial 0 is requeued: its worker was lost" in caplog.text
        lost.refresh()
        stale = "trial 0 was given back and handed out again as attempt 1, this is attempt 0; train it no more"
        with pytest.raises(ProtocolError, match=f"report: {stale}"):
            lost.report(trial.id, 2, 0.5)
        with pytest.raises(ProtocolError, match=f"tell: {stale}"):
            lost.tell(trial.id, 0.25)
    one.report(trial.id, 1, 0.5)
    one.tell(trial.id, 0.5)
    assert one.records[trial.id].loss == 0.5


def test_a_report_held_back_by_a_lost_worker_is_not_taken_for_the_new_one_s(url: str, one: Study) -> None:
    with open_study(url, "run", lease=0.2, durability="process") as lost:
        (trial,) = lost.ask()
        lost._heartbeat._ended.set()
        lost.report(trial.id, 1, 0.5)  # waits for the next event
        time.sleep(0.5)
        assert trial in one.ask(4)
        lost.refresh()
        lost._transact(lambda: None)
    one.refresh()
    assert one.records[trial.id].reports == ()


def test_a_late_result_is_refused_when_another_came_first(url: str, one: Study) -> None:
    with open_study(url, "run", lease=0.2, durability="process") as lost:
        (trial,) = lost.ask()
        lost._heartbeat._ended.set()
        time.sleep(0.5)
        assert trial in one.ask(4)
        one.tell(trial.id, 0.5)
        with pytest.raises(ProtocolError, match="told already"):
            lost.tell(trial.id, 0.25)


def test_a_sign_of_life_keeps_the_lease(url: str, one: Study) -> None:
    with open_study(url, "run", lease=3, durability="process") as slow:
        (trial,) = slow.ask()
        time.sleep(4)
        assert trial not in one.ask(4)
        with pytest.raises(ProtocolError, match=r"in training by worker .* whose lease runs"):
            one.requeue(trial.id)
        slow.requeue(trial.id)
        assert one.ask(4) == (trial,)


def test_closing_and_forgetting_a_study_free_its_trials(url: str, one: Study) -> None:
    forgotten = open_study(url, "run")
    (first,) = forgotten.ask()
    del forgotten
    with open_study(url, "run") as closed:
        (second,) = closed.ask(5)[:1]
        assert second.id == 1
    trials = one.ask(5)
    assert {first.id, second.id} <= {trial.id for trial in trials}


def test_a_process_is_gone_when_it_has_ended() -> None:
    mine = identity()
    place, pid, started, unique = mine.rsplit("/", 3)
    assert not is_gone(mine)
    assert is_gone(f"{place}/{pid}/{started}0/{unique}"), "the process id was used again"
    assert is_gone(f"{place}/4194305/{started}/{unique}"), "above Linux' largest process id"
    assert not is_gone(f"elsewhere/4194305/{started}/{unique}"), "nothing is known of other hosts"


@pytest.mark.parametrize("failure", [JournalError("connection lost"), KeyboardInterrupt()])
def test_a_trial_whose_asking_was_written_and_not_answered_is_asked_again(
    one: Study, other: Study, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    original = Journal.append

    def unanswered(self: Journal, *arguments: Any, **options: Any) -> bool:
        original(self, *arguments, **options)
        raise failure

    (first,) = one.ask()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", unanswered)
        with pytest.raises(type(failure)):
            one.ask()
    assert [trial.id for trial in other.ask(4)] == [2, 3]
    assert [trial.id for trial in one.ask(4)] == [1], "what is in training here stays there"
    for trial_id in (first.id, 1):
        one.tell(trial_id, 0.5)


# ----------------------------------------------------------------------------------------------- settings and studies


def test_other_settings_are_refused_and_named(url: str, one: Study) -> None:
    wider = Space(rate=Float(0.01, 2, log=True), width=Int(1, 9), kind=Categorical(["a", "b", None]))
    with pytest.raises(ConfigError, match=r"settings\.population was 5, is now 6; settings\.seed was 3, is now 4"):
        open_study(url, "run", SPACE, **{**SETTINGS, "population": 6, "seed": 4})
    with pytest.raises(ConfigError, match=r"settings\.space\.parameters\.rate\.high was 1\.0, is now 2\.0"):
        open_study(url, "run", wider, **SETTINGS)
    with pytest.raises(ConfigError, match=r"search\.searcher\.name was 'random', is now 'tpe'"):
        open_study(url, "run", SPACE, **{**SETTINGS, "searcher": "tpe"})
    with pytest.raises(ConfigError, match="without a space"):
        open_study(url, "run", **SETTINGS)
    assert one.refresh() == 0


@pytest.mark.usefixtures("one")
def test_a_whole_number_is_the_same_setting_as_the_fraction_that_equals_it(url: str) -> None:
    open_study(url, "run", SPACE, **SETTINGS, quorum=1).close()


@pytest.mark.parametrize("preset", ["gpbt", "paper", "pbt"])
def test_every_setting_comes_back_from_the_header(url: str, preset: Any) -> None:
    settings: dict[str, Any] = {"population": 8, "steps": 20, "direction": "maximize", "seed": 9, "quorum": 0.5}
    with open_study(url, preset, SPACE, preset=preset, **settings) as first, open_study(url, preset) as again:
        assert again.settings == first.settings
        assert again.searcher == first.searcher
        assert again.search == first.search


def test_known_configs_are_stored_with_a_study_and_tried_first(url: str) -> None:
    known: list[dict[str, Any]] = [{"rate": 0.5, "width": 3, "kind": "b"}, {"kind": None}]
    with open_study(url, "known", SPACE, **SETTINGS, known_configs=known) as study:
        first, second = study.ask(2)
        assert (first.config, second.config["kind"]) == (known[0], None)
        study.tell(first, 0.5)
    with open_study(url, "known") as again:
        assert again.search.known_configs == tuple(known)
        assert again.records[1].trial.config == second.config
    with pytest.raises(ConfigError, match="known_configs was"):
        open_study(url, "known", SPACE, **SETTINGS)


def test_a_searcher_without_a_name_cannot_be_written_down(url: str) -> None:
    with pytest.raises(ConfigError, match="must have a name to be stored"):
        open_study(url, "run", SPACE, steps=3, searcher=Optimizer(SPACE, steps=3).searcher)


@pytest.mark.usefixtures("one")
def test_an_unknown_study_is_named_with_those_there_are(url: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no study 'ran'; the journal has \['run'\]"):
        open_study(url, "ran")
    with Journal(url) as journal:
        with pytest.raises(ConfigError, match="no study 'ran'"):
            journal.delete("ran")
        with pytest.raises(ConfigError, match="name of a study"):
            journal.add("", {})


def test_studies_are_listed_and_deleted_by_name(url: str, one: Study) -> None:
    one.ask(2)
    with open_study(url, "second", SPACE, **SETTINGS), Journal(url) as journal:
        assert journal.names() == ("run", "second")
        journal.delete("run")
        assert journal.names() == ("second",)
    assert _journalled(url) == []
    with pytest.raises(JournalError, match="deleted while it was open"):
        one.tell(0, 0.5)
    with pytest.raises(JournalError, match="deleted while it was open"):
        one.ask(2)
    one._end()  # it cannot be closed in the ordinary way


def test_who_waits_for_others_hears_of_the_deletion(url: str) -> None:
    with open_study(url, "run", SPACE, **{**SETTINGS, "max_concurrent": 1}) as one, open_study(url, "run") as waits:
        one.ask()
        assert waits.ask() == ()
        with Journal(url) as journal:
            journal.delete("run")
        with pytest.raises(JournalError, match="deleted while it was open"):
            waits.ask()


def test_a_study_goes_through_json_lines(url: str, one: Study, tmp_path: Path) -> None:
    _train(one, 7)
    (open_trial,) = one.ask()
    one.report(open_trial.id, 1, 0.5)
    one.close()
    export_study(url, "run", tmp_path / "run.jsonl")
    with pytest.raises(FileExistsError):
        export_study(url, "run", tmp_path / "run.jsonl")
    with pytest.raises(ConfigError, match="'run' already"):
        import_study(url, tmp_path / "run.jsonl")
    assert import_study(tmp_path / "other.db", tmp_path / "run.jsonl") == "run"
    assert import_study(url, tmp_path / "run.jsonl", name="copy") == "copy"
    with open_study(url, "copy") as copy:
        assert copy.state == one.state
        assert open_trial in copy.ask(4), "nobody is training it"


@pytest.mark.parametrize(
    ("line", "content", "message"),
    [
        (1, "{}", "line 1: must be a study of format 1 or 2"),
        (1, '{"gpbt_study": 1}', "line 1: must be a study of format 1 or 2, with name and header"),
        (1, '{"gpbt_study": 1, "name": "x", "header": 3}', "must be the header of a study"),
        (3, "{", "line 3: must be JSON"),
        (3, "[]", "line 3: must be an object"),
        (3, '{"type": "told", "id": 99, "loss": 1.0, "reason": null}', "line 3: tell: trial 99 is unknown"),
        (4, '{"type": "eaten"}', "line 4: decode_event"),
    ],
)
def test_damaged_lines_are_named_and_nothing_is_taken_in(
    url: str, one: Study, tmp_path: Path, line: int, content: str, message: str
) -> None:
    _train(one, 2)
    export_study(url, "run", tmp_path / "run.jsonl")
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    lines[line - 1] = content
    (tmp_path / "run.jsonl").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=message):
        import_study(url, tmp_path / "run.jsonl", name="copy")
    with Journal(url) as journal:
        assert journal.names() == ("run",)


# ------------------------------------------------------------------------------------------------------------ databases


def test_damaged_events_are_found_at_opening(url: str, one: Study) -> None:
    _train(one, 4)
    engine = create_engine(url)
    for statement, message in (
        ("UPDATE gpbt_events SET payload = 'x' WHERE sequence = 3", "behind number 2 are damaged"),
        ("DELETE FROM gpbt_events WHERE sequence = 3", "misses events"),
        (
            "UPDATE gpbt_studies SET header = replace(header, '\"seed\":', '\"seed\" :')",
            "header of study 'run' is damaged",
        ),
    ):
        with engine.begin() as connection:
            connection.execute(text(statement))
        with pytest.raises(JournalError, match=message):
            open_study(url, "run")
    engine.dispose()


def test_a_database_that_fails_leaves_the_study_as_it_was(one: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (trial,) = one.ask()
    state = one.state
    with monkeypatch.context() as patch:
        patch.setattr(one._journal._engine, "connect", _failing)
        with pytest.raises(JournalError, match="disk is full; once it works again, continue"):
            one.tell(trial.id, 0.5)
    assert one.state == state
    one.tell(trial.id, 0.5)


def _failing() -> Connection:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))


def test_a_file_that_another_process_is_beginning_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    beginning = sqlite3.connect(path, isolation_level=None)
    beginning.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(Journal, path)
        time.sleep(0.2)
        beginning.execute("ROLLBACK")
        beginning.close()
        with opening.result(timeout=60) as journal:
            assert journal.names() == ()


def test_tables_of_an_older_version_are_brought_to_this_one(
    url: str, one: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train(one, 3)

    def migrate(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE gpbt_studies ADD COLUMN note TEXT"))

    now = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", now + 1)
    with pytest.raises(ConfigError, match=f"no way from {now} to {now + 1}"):
        open_study(url, "run")
    monkeypatch.setattr(schema, "MIGRATIONS", {now: migrate})
    for _ in range(2):
        with open_study(url, "run") as again:
            assert len(again.records) == 3
    monkeypatch.setattr(schema, "VERSION", now)
    with pytest.raises(ConfigError, match=f"version {now} or before, got version {now + 1}"):
        open_study(url, "run")


def test_a_journal_without_checksums_gets_them_and_goes_on(url: str, one: Study) -> None:
    _train(one, 3)
    one.close()
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for statement in (
            "DROP TABLE gpbt_heads",
            "ALTER TABLE gpbt_studies DROP COLUMN checksum",
            "ALTER TABLE gpbt_studies DROP COLUMN identity",
            "ALTER TABLE gpbt_studies DROP COLUMN store",
            "ALTER TABLE gpbt_events DROP COLUMN checksum",
            "ALTER TABLE gpbt_snapshots DROP COLUMN checksum",
            "UPDATE gpbt_version SET version = 2",
        ):
            connection.execute(statement)
        connection.commit()
    with pytest.raises(ConfigError, match="of an older gpbt; open it once"):
        Journal(url, read_only=True)
    with open_study(url, "run") as again:
        assert len(again.records) == 3
        assert len(again.identity) == 32
        _train(again)
        assert again.finished
    assert check_journal(url) == {"run": None}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/runs.db", "nfs4"),
        ("/home/runs.db", "nfs4"),
        ("/homely/runs.db", "ext4"),
        ("/home/local disk/x", "xfs"),
        ("/", "ext4"),
    ],
)
def test_the_deepest_mount_says_which_file_system_it_is(path: str, kind: str) -> None:
    mounts = [
        "proc / proc rw",
        "disk / ext4 rw 0 0",
        r"disk /home/local\040disk xfs rw 0 0",
        "host:/x /home nfs4 rw 0 0",
    ]
    assert file_system(Path(path), mounts) == kind


def test_sqlite_on_a_network_is_refused_or_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gpbt_adapters.storing.journal.engine.file_system", lambda *_: "nfs4")
    with pytest.raises(ConfigError, match=r"network file system \(nfs4\).*PostgreSQL"):
        Journal(tmp_path / "runs.db")
    monkeypatch.setattr("gpbt_adapters.storing.journal.engine.file_system", lambda *_: "fuse.something")
    Journal(tmp_path / "runs.db").close()
    assert "if that is a network" in caplog.text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "url must have the path of a SQLite file"),
        ("sqlite:///:memory:", "url must have the path of a SQLite file"),
        ("mysql://host/x", "url must be a URL of sqlite or postgresql"),
        ("://", "url must be the URL of a database"),
        (object(), "url must be the URL of a database or the path of a SQLite file, got <object"),
        ("/nowhere/at/all/runs.db", "directory that exists"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(url: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Journal(url)


def test_arguments_out_of_their_range_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="durability"):
        open_study(url, "run", SPACE, steps=3, durability="none")  # type: ignore[arg-type]  # what is tested
    for lease in (0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="lease must be above 0"):
            open_study(url, "run", SPACE, steps=3, lease=lease)


def test_replayed_events_are_written_all_or_none(url: str, one: Study) -> None:
    plain = Optimizer(SPACE, **SETTINGS)
    _train(plain, 6)
    with pytest.raises(ProtocolError):
        one.replay([*plain.events, Requeued(trial_id=77)])
    assert _journalled(url) == []
    one.replay(plain.events)
    assert len(_journalled(url)) == len(plain.events)
    assert one.state == plain.state
    assert all(record.status is not Status.RUNNING for record in one.records)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM gpbt_events WHERE sequence > 7", "misses events"),
        ("UPDATE gpbt_events SET payload = replace(payload, '0.', '0.1') WHERE sequence = 1", "damaged"),
        ("UPDATE gpbt_heads SET sequence = sequence - 1", "checksum|behind its last one"),
        ("DELETE FROM gpbt_heads", "misses its head"),
    ],
)
def test_whatever_is_damaged_is_found_by_a_check_and_no_call_waits_for_ever(
    url: str, one: Study, statement: str, message: str
) -> None:
    _train(one, 4)
    assert check_journal(url) == {"run": None}
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement)
        connection.commit()
    assert re.search(message, str(check_journal(url)["run"]))
    with pytest.raises(JournalError), open_study(url, "run") as again:
        _train(again, 1)


def test_a_lease_that_is_left_over_does_not_keep_its_trial_from_being_asked(url: str, one: Study) -> None:
    _train(one, 4)
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("INSERT INTO gpbt_leases VALUES (1, 4, 'somebody', 0)")
        connection.commit()
    assert one.ask()[0].id == 4


def test_a_copy_made_while_a_study_runs_is_whole(url: str, one: Study, tmp_path: Path) -> None:
    _train(one, 4)
    copy_journal(url, tmp_path / "copy.db")
    assert check_journal(tmp_path / "copy.db") == {"run": None}
    with open_study(tmp_path / "copy.db", "run") as copy:
        assert len(copy.records) == 4
        assert copy.identity == one.identity
    with pytest.raises(ConfigError, match="already exists"):
        copy_journal(url, tmp_path / "copy.db")
    with pytest.raises(ConfigError, match="pg_dump"):
        copy_journal("postgresql://host/runs", tmp_path / "other.db")


def test_a_file_that_is_removed_or_replaced_while_it_is_open_is_noticed(url: str, one: Study) -> None:
    _train(one, 2)
    path = Path(url.removeprefix("sqlite:///"))
    path.rename(path.with_name("moved.db"))
    with pytest.raises(JournalError, match="removed or replaced while it was open"):
        one.ask()
    path.with_name("moved.db").rename(path)
    assert one.ask()


def test_what_was_told_to_stop_and_lost_its_lease_is_not_a_completed_trial(url: str) -> None:
    settings: dict[str, Any] = {"population": 8, "steps": 40, "searcher": "random", "trial_stopping": "median"}
    with open_study(url, "long", SPACE, durability="process", **settings) as one:
        stopped = None
        for _ in range(8):
            (trial,) = one.ask(1)
            if one.report(trial.id, 1, 1.0 + trial.id) is Verdict.STOP:
                stopped = trial.id
                break
            one.tell(trial.id, 1.0 + trial.id)
        assert stopped is not None
        with open_study(url, "long", durability="process") as other:
            one._journal.renew(one._entry.id, one._worker, -1.0)  # as if this process had been suspended
            assert stopped in [trial.id for trial in other.ask(20)]
            with pytest.raises(ProtocolError, match=f"tell: trial {stopped} was given back"):
                one.tell(stopped, 1.0)
            other.tell(stopped, 0.5)
        one.refresh()
        assert one.records[stopped].status is Status.COMPLETED


def test_a_study_where_nothing_can_be_written_can_be_looked_at(url: str, one: Study) -> None:
    _train(one, 4)
    one.close()
    path = Path(url.removeprefix("sqlite:///"))
    before = sorted(path.parent.iterdir())
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with open_study(url, "run", read_only=True) as shown:
            assert len(shown.records) == 4
            with pytest.raises(JournalError, match="read_only"):
                shown.ask()
        assert os.geteuid() == 0 or sorted(path.parent.iterdir()) == before  # nothing keeps root from writing
    finally:
        path.parent.chmod(0o755)


def test_a_study_knows_where_its_store_is(url: str, one: Study) -> None:
    assert one.store is None
    one.keep_store("/data/checkpoints")
    with open_study(url, "run") as again:
        assert again.store == "/data/checkpoints"
