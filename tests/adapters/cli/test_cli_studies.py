"""The commands about runs that are written down: what they print, write and refuse."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.cli import studies as cli_studies
from gpbt_adapters.cli.main import main
from gpbt_core import Categorical, Float, Optimizer, Search, Space, When
from gpbt_core.codec import encode_schedule
from gpbt_core.state import Event
from looked_at import SPACE, advance, run_of

pytest.importorskip("sqlalchemy")

from gpbt_adapters.showing.sources import Follower, reading
from gpbt_adapters.storing.journal import Journal, open_study, schema

COMMANDS = [command.name or "" for command in cli_studies.commands]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """A journal of one study, digits, of 30 trials."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    rules: dict[str, Any] = {
        "searcher": Search("random"),
        "reproduction": "genealogical",
        "trial_stopping": "median",
        "seed": 3,
    }
    with open_study(url, "digits", SPACE, durability="process", population=12, steps=10, **rules) as study:
        advance(study, 30)
    return url


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_examples_line_by_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.partition("Examples:\n")[2].splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(f"    gpbt {command} ") for line in lines)


def test_the_studies_of_a_journal_are_listed(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studies", journal, "--json"]) == 0
    (study,) = json.loads(capsys.readouterr().out)
    optimizer = run_of(30)
    assert study["study"] == "digits"
    assert study["score"] == optimizer.best.score
    assert sum(study["trials"].values()) == 30
    assert study["stands"] == "nobody trains it"
    assert main(["studies", journal]) == 0
    assert "digits" in capsys.readouterr().out


def test_a_study_that_cannot_be_read_is_listed_with_the_reason_beside_the_others(
    journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_study(journal, "foreign", SPACE, durability="process", population=4, steps=2, trial_stopping="median"):
        pass
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
        (header,) = connection.execute("SELECT header FROM gpbt_studies WHERE name = 'foreign'").fetchone()
        assert '"median"' in header
        header = header.replace('"median"', '"from-elsewhere"')
        changed = [header, schema.checksum("", header)]
        connection.execute("UPDATE gpbt_studies SET header = ?, checksum = ? WHERE name = 'foreign'", changed)
    assert main(["studies", journal, "--json"]) == 0
    digits, foreign = sorted(json.loads(capsys.readouterr().out), key=lambda study: str(study["study"]))
    assert digits["stands"] == "nobody trains it"
    assert foreign["stands"].startswith("cannot be read: ")
    assert main(["studies", journal]) == 0
    shown = capsys.readouterr().out
    assert "from-elsewhere" in shown
    assert "nobody trains it" in shown


def test_the_status_says_how_far_a_study_is(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", journal]) == 0
    shown = capsys.readouterr().out
    assert "generation  1 of 6" in shown or "generation  2 of 6" in shown
    assert "out of memory" in shown
    assert "time left" in shown


def test_the_status_says_what_the_study_gained_and_what_to_do_next(
    journal: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["status", journal]) == 0
    shown = capsys.readouterr().out
    labels = [line.split("  ")[0] for line in shown.splitlines()[1:] if not line.startswith(" ")]
    assert labels[:3] == ["best score", "gain", "generation"]
    assert labels[-1] == "next"
    assert "over generation 0" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 60


@pytest.fixture
def repeats(tmp_path: Path) -> str:
    """A journal of two settings, each with the seeds 0 to 5."""
    url = f"sqlite:///{tmp_path / 'repeats.db'}"
    for searcher in ("random", "sobol"):
        for seed in range(6):
            settings: dict[str, Any] = {"population": 4, "steps": 4, "seed": seed, "preset": "steady"}
            with open_study(
                url, f"{searcher}-{seed}", SPACE, durability="process", searcher=searcher, **settings
            ) as study:
                advance(study, 100)
    return url


def test_studies_are_compared_in_a_table_and_on_a_page(
    repeats: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", repeats]) == 0
    shown = capsys.readouterr().out
    assert "of 6 pairs won" in shown
    assert "Wilcoxon p = " in shown
    assert all(f"{searcher}-{seed} " in shown for searcher in ("random", "sobol") for seed in range(6))
    path = tmp_path / "compared.html"
    assert main(["compare", repeats, "random-0", "sobol-3", "--html", str(path), "--title", "Two"]) == 0
    assert "2 studies" in capsys.readouterr().out
    page = path.read_text("utf-8")
    assert "<title>Two</title>" in page
    assert page.count('"name":"sobol-3"') == 1 + len(SPACE)
    assert "random-1" not in page


def test_one_study_is_not_compared(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", journal]) == 1
    assert "at least two, got 1" in capsys.readouterr().err


def test_no_trial_is_said_to_run_in_a_study_that_nobody_trains(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_study(journal, "digits", durability="process") as study:
        study.ask()
        assert main(["status", journal]) == 0
        assert "1 running" in capsys.readouterr().out
    assert main(["status", journal]) == 0
    shown = capsys.readouterr().out
    assert "nobody trains it" in shown
    assert "1 unfinished" in shown


def test_the_status_names_workers_and_time_left_while_somebody_trains(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_study(journal, "digits", durability="process") as study:
        study.ask()
        assert main(["status", journal, "digits", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["stands"] == "trained by 1 worker"
    assert data["seconds_left"] > 0


def test_watching_ends_with_the_study(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_study(journal, "digits", durability="process") as study:
        advance(study, 10_000)
    assert main(["status", journal, "--watch"]) == 0
    assert "finished" in capsys.readouterr().out


def test_a_schedule_is_printed_as_json_and_csv_from_a_journal_and_a_file(
    journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optimizer = run_of(30)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(optimizer.to_dict(), indent=1))
    for source in ([journal, "digits"], [str(path)]):
        assert main(["schedule", *source, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out) == encode_schedule(optimizer.best.schedule)
        assert main(["schedule", *source, "--trial", "1", "--format", "csv"]) == 0
        rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
        assert float(rows[0]["lr"]) == optimizer.records[1].trial.config["lr"]


def test_an_exported_study_is_read_like_the_study(
    journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "digits.jsonl"
    assert main(["export", journal, "-o", str(path)]) == 0
    assert main(["schedule", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == encode_schedule(run_of(30).best.schedule)


def test_trials_are_exported_as_a_table(journal: str, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    assert main(["export", journal, "digits", "-o", str(path), "--format", "csv"]) == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    optimizer = run_of(30)
    assert len(rows) == 30
    assert rows[5]["status"] == "failed"
    assert rows[5]["score"] == ""
    assert float(rows[1]["score"]) == optimizer.score_of(optimizer.records[1].loss or 0.0)


def test_a_value_none_is_told_from_a_parameter_that_is_not_active(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = Space(weights=Categorical(["balanced", None]), power=When(Float(0, 1), {"weights": ["balanced"]}))
    optimizer = Optimizer(space, population=8, steps=2, preset="random", seed=1)
    for trial in optimizer.ask(8):
        optimizer.tell(trial.id, 0.0 if trial.config["weights"] is None else 1.0)
    assert optimizer.best.trial.config["weights"] is None
    source, table = tmp_path / "run.json", tmp_path / "trials.csv"
    source.write_text(json.dumps(optimizer.to_dict()))
    assert main(["schedule", str(source), "--format", "csv"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (row["weights"], row["power"]) == ("None", "")
    assert main(["export", str(source), "-o", str(table), "--format", "csv"]) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["weights"] for row in rows] == [str(record.trial.config["weights"]) for record in optimizer.records]


def test_a_report_of_a_study_is_written(journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("plotly")
    path = tmp_path / "run.html"
    assert main(["report", journal, "-o", str(path), "--no-importance"]) == 0
    assert "30 trials" in capsys.readouterr().out
    assert "<title>digits</title>" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["studies", "missing.db"], "must be an existing SQLite file"),
        (["status", "notes.db"], "is a database of something else"),
        (["report", "notes.txt"], "expected the JSON of Optimizer.to_dict()"),
        (["schedule", "notes.txt", "digits"], "got the file of one run"),
        (["report", "weights.bin"], "expected the JSON of Optimizer.to_dict()"),
        (["export", "notes.txt", "-o", "x"], "expected a journal"),
        (["export", "missing.db", "-o", "x"], "must be an existing SQLite file"),
        (["schedule", "lost.json"], "lost: no trial was completed, so none is the best"),
        (["status", "runs.db", "other"], "there is no study 'other'"),
        (["schedule", "runs.db", "--trial", "99"], "expected a trial from 0 to 29"),
    ],
)
def test_what_is_not_there_is_an_error_of_one_line_and_is_not_made(
    journal: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert journal
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("nothing\n")
    Path("weights.bin").write_bytes(bytes(range(256)))
    lost = Optimizer(SPACE, population=4, steps=2, preset="random")
    while not lost.finished:
        for trial in lost.ask(4):
            lost.fail(trial.id, "out of memory")
    Path("lost.json").write_text(json.dumps(lost.to_dict()))
    with closing(sqlite3.connect("notes.db")) as connection:
        connection.execute("CREATE TABLE notes (text)")
    before = {path.name for path in tmp_path.iterdir()}
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("gpbt: ")
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_journal_is_checked_and_copied(journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.db"
    assert main(["copy", journal, str(copy)]) == 0
    assert main(["check", str(copy)]) == 0
    assert capsys.readouterr().out.endswith("digits: intact\n")
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DELETE FROM gpbt_events WHERE sequence > 20")
    assert main(["check", str(copy)]) == 1
    assert "digits: Journal(" in capsys.readouterr().out


def test_an_empty_database_is_said_to_be_a_copy_without_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite3.connect(tmp_path / "empty.db").execute("VACUUM")
    assert main(["studies", str(tmp_path / "empty.db")]) == 1
    assert "empty.db-wal" in capsys.readouterr().err


def test_a_database_that_is_replaced_while_it_is_watched_is_read_anew(journal: str) -> None:
    path = Path(journal.removeprefix("sqlite:///"))
    with reading(journal) as opened:
        follower = Follower(opened, "digits")
        assert len(follower.read().state.records) == 30
        path.unlink()
        with open_study(journal, "digits", SPACE, durability="process", population=4, steps=2) as study:
            advance(study, 3)
        assert len(follower.read().state.records) == 3


def test_a_long_study_is_looked_at_from_its_snapshot(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpbt_adapters.storing.journal.study.SNAPSHOT", (10, 1.25))
    with open_study(journal, "digits", durability="process") as study:
        advance(study, 50)
        state = study.state
    asked: list[int] = []
    whole = Journal.events

    def events(self: Journal, study: int, after: int = 0) -> list[Event]:
        asked.append(after)
        return whole(self, study, after)

    monkeypatch.setattr(Journal, "events", events)
    with reading(journal) as opened:
        assert Follower(opened, "digits").read().state == state
    assert asked[0] > 10
