"""A journal of the first version is brought to this one: its plans become events, and no rule makes them again.

`stored/journal-1.db` has four finished or broken-off studies with snapshots, and was written by the first version.
"""

import json
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.showing.sources import Follower
from gpbt_adapters.storing.journal import Journal, export_study, import_study, open_study, schema
from gpbt_core import Genealogical, Truncation
from gpbt_core.codec import decode_event, decode_settings
from gpbt_core.registry import resolve_rule
from gpbt_core.state import Planned, State, initial, replay

STORED = Path(__file__).parent / "stored" / "journal-1.db"
NAMES = ["genealogical", "survivors", "truncation", "posterior"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(STORED, tmp_path / "runs.db"))


def _rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608 - names of this file
    connection.close()
    return found


def _beginning(header: Mapping[str, Any]) -> State:
    return initial(decode_settings(header["settings"], resolve_rule))


def _missing(*_: Any) -> Any:
    raise AssertionError("the rule is asked for a plan")


def _state(path: Path, name: str) -> State:
    """What the events of a study lead to."""
    studies = {row[1]: (row[0], json.loads(row[2])) for row in _rows(path, "gpbt_studies")}
    study, header = studies[name]
    state = _beginning(header)
    log = [decode_event(json.loads(row[3])) for row in _rows(path, "gpbt_events") if row[0] == study]
    for after, _ in replay(state, log):
        state = after
    return state


def test_the_studies_of_an_older_journal_go_on_where_they_stood(path: Path) -> None:
    for name in NAMES:
        state = _state(STORED, name)
        with open_study(path, name, durability="process") as study:
            assert study.state == state
            assert study.finished == (name != "genealogical")
            for trial in study.ask(2):
                study.tell(trial, 0.5)
    assert _rows(path, "gpbt_version") == [(schema.VERSION,)]


def test_plans_are_made_once_and_are_then_in_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {name: _state(STORED, name) for name in NAMES}
    Journal(path).close()
    for rule in (Genealogical, Truncation):
        monkeypatch.setattr(rule, "plan", _missing)
    with Journal(path) as journal:
        for name, state in states.items():
            entry = journal.get(name)
            events = journal.events(entry.id)
            plans = [event.generation for event in events if isinstance(event, Planned)]
            assert plans == list(range(1, len(state.closed) + 1))
            assert len(journal.written(entry.id)) == len(events)
            *_, (then, _) = replay(_beginning(entry.header), events)
            assert then == state
            assert Follower(journal, name).read().state == state
    for with_snapshots in (True, False):
        for name, state in states.items():
            with open_study(path, name, durability="process") as study:
                assert study.state == state, with_snapshots
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM gpbt_snapshots")
        connection.close()


def test_a_study_whose_rule_is_not_there_stays_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = _rows(path, "gpbt_events")
    with monkeypatch.context() as patch:
        patch.setattr(Truncation, "plan", _missing)
        Journal(path).close()
    assert "study truncation: its plans cannot be written down" in caplog.text
    study = NAMES.index("truncation") + 1
    after = _rows(path, "gpbt_events")
    assert [row for row in before if row[0] == study] == [
        row[:4] for row in after if row[0] == study
    ]  # then a checksum
    assert len(after) > len(before)
    with open_study(path, "truncation", durability="process") as opened:  # the rule makes its plans, as ever
        assert opened.state == _state(STORED, "truncation")


def test_lines_of_the_first_format_are_taken_in_with_their_plans(path: Path, tmp_path: Path) -> None:
    export_study(path, "survivors", tmp_path / "new.jsonl")
    header, *lines = (tmp_path / "new.jsonl").read_text("utf-8").splitlines()
    old = [json.dumps({**json.loads(header), "gpbt_study": 1})]
    old += [line for line in lines if json.loads(line)["type"] != "planned"]
    (tmp_path / "old.jsonl").write_text("\n".join(old))
    import_study(tmp_path / "again.db", tmp_path / "old.jsonl")
    export_study(tmp_path / "again.db", "survivors", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_text("utf-8") == (tmp_path / "new.jsonl").read_text("utf-8")
