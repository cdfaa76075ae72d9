"""The page of a run: all of it is there, nothing of it is read as HTML, and it stays small."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.showing.figures import FIGURES
from gpbt_adapters.showing.page import contents
from gpbt_adapters.showing.report import report, write_report
from gpbt_adapters.views import Replays
from gpbt_core import Float, Optimizer, Space
from looked_at import EVIL, run_of
from toy_runs import small_run


def _sections(page: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {section["id"]: section for group in page["groups"] for section in group["sections"]}


class _Elements(HTMLParser):
    """Notes what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_a_page_loads_nothing_and_takes_nothing_of_a_run_for_html(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    write_report(run_of(40), path, title=f"a {EVIL}", importance=False)
    page = _Elements()
    text = path.read_text("utf-8")
    page.feed(text)
    assert page.addresses == []
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert EVIL not in text
    assert "default-src 'none'" in text


def test_replays_of_the_best_schedule_stand_beside_it() -> None:
    optimizer = run_of(40)
    replays = Replays(schedule=optimizer.best.schedule, seeds=(1, 2), scores=((99.0, 95.75), (99.0, 95.5)))
    page = contents(optimizer, "run", replays=replays)
    told = "95.625 ± 0.177 over 2 seeds (95.5 to 95.75)"
    assert page["tiles"][1] == ["score of its replays", "95.625 ± 0.177", "2 seeds (95.5 to 95.75)"]
    assert any(told in fact["text"] for fact in _sections(page)["summary"]["facts"])
    assert any("part was luck" in fact["text"] for fact in _sections(page)["findings"]["facts"])
    assert "from scratch" in report(optimizer, importance=False, replays=replays)


def test_all_views_are_on_the_page() -> None:
    optimizer = run_of(1000)
    page = contents(optimizer, "run")
    sections = _sections(page)
    timed = _sections(contents(small_run().optimizer, "run"))
    untimed = set(FIGURES) - {"spent", "workers", "more"}  # nobody noted times
    assert set(FIGURES) <= timed.keys()
    assert untimed <= sections.keys()
    assert "No times were noted" in sections["spent"]["facts"][0]["text"]
    assert {"best", "importance", "failures"} <= sections.keys()
    assert len(sections["best"]["table"]["rows"]) == len(optimizer.best.schedule.segments)
    assert EVIL in sections["failures"]["table"]["rows"][0][2]
    for name in FIGURES:
        assert (sections if name in untimed else timed)[name]["figure"]["data"], name


def test_a_page_counts_steps_from_1_and_one_as_one() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=4, preset="pbt", seed=0)
    while not optimizer.finished:
        for trial in optimizer.ask(4):
            optimizer.tell(trial.id, float(trial.id))
    page = contents(optimizer, "run")
    best = _sections(page)["best"]
    parts = optimizer.best.schedule.segments
    ends = [(part.start_step + 1, part.start_step + part.steps) for part in parts]
    assert [row[0] for row in best["table"]["rows"]] == [str(a) if a == b else f"{a} to {b}" for a, b in ends]
    assert " 1 hyperparameter " in page["subtitle"]


def test_a_page_does_not_say_that_somebody_trains_what_is_in_training() -> None:
    optimizer = run_of(3)
    optimizer.ask()
    assert contents(optimizer, "run")["subtitle"].startswith("not finished")


def test_a_page_says_of_a_lost_run_that_no_trial_was_completed() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=4, preset="random")
    assert "No trial is completed yet." in json.dumps(contents(optimizer, "run"))
    for trial in optimizer.ask(4):
        optimizer.fail(trial.id, "out of memory")
    assert optimizer.extinct
    page = contents(optimizer, "run")
    assert "yet" not in json.dumps([page["tiles"], _sections(page)["summary"], _sections(page)["findings"]])
    assert "Correct what made the trials fail" in _sections(page)["advice"]["facts"][0]["text"]


@pytest.mark.parametrize("trials", [0, 1, 3, 200])
def test_the_data_of_a_page_are_plain_json_at_any_size(trials: int) -> None:
    json.dumps(contents(run_of(trials, population=max(4, trials // 5)), "run"), allow_nan=False)


def test_texts_that_plotly_reads_are_escaped() -> None:
    data = contents(run_of(40), "run")
    for section in _sections(data).values():
        for trace in section.get("figure", {"data": []})["data"]:
            if trace["type"] != "parcoords":  # whose ticks are plain text
                assert not re.search(r"<(?!/?[bi]>|br>)", json.dumps(trace.get("text", "")))


def test_a_page_of_ten_thousand_trials_draws_some_and_says_so() -> None:
    optimizer = run_of(10_000, population=2000)
    assert len(optimizer.records) >= 9_000
    page = contents(optimizer, "run")
    assert len(json.dumps(page)) < 4e6
    tree = _sections(page)["genealogy"]["figure"]["data"]
    points = [trace for trace in tree if trace["mode"] == "markers"]
    assert sum(len(trace["x"]) for trace in points) < 3000
    assert {i for trace in points for i in trace["customdata"]} >= {
        record.trial.id for record in optimizer.lineage(optimizer.best.trial.id)
    }
    assert any(re.fullmatch(r"completed \([\d,]+ of [\d,]+\)", trace["name"]) for trace in points)
    assert len(_sections(page)["trials"]["table"]["rows"]) == len(optimizer.records)


def test_a_report_of_a_small_run_is_small_and_needs_no_plotting_library(tmp_path: Path) -> None:
    write_report(run_of(24), tmp_path / "run.html")
    assert (tmp_path / "run.html").stat().st_size < 1.5e6
    program = (
        "import sys; sys.modules['plotly'] = None; from gpbt import Float, Optimizer, Space, report; "
        "report(Optimizer(Space(x=Float(0, 1)), population=4, steps=4))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_no_page_says_that_more_than_the_planned_steps_were_trained() -> None:
    optimizer = run_of(1000, population=16, seed=0)
    trained, budget = optimizer.tally.trained, optimizer.budget
    assert optimizer.finished
    assert trained > budget  # steps saved by stopping were spent on further trials
    page = contents(optimizer, "run")
    told = f"{budget:,} planned steps and {trained - budget} in place of steps saved by stopping"
    assert page["tiles"][-1][1:] == [f"{trained:,}", told]
    assert "%" not in json.dumps(page["tiles"])
    assert f"{told} were trained" in json.dumps(page)


def test_a_page_says_which_generations_are_revisions() -> None:
    optimizer = Optimizer(Space(lr=Float(0, 1)), population=20, steps=6, searcher="random", preset="gpbt", seed=0)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial, trial.config["lr"])
    line, whole = optimizer.settings.line, optimizer.generations
    page = contents(optimizer, "run")
    told = ["generations", f"{whole} of {whole}", f"finished, {whole - line} of them revise the best line"]
    assert told in page["tiles"]
    for name in ("genealogy", "score"):
        assert f"Generations {line} to {whole - 1} revise the best line" in _sections(page)[name]["about"]
    plain = contents(run_of(40), "run")
    assert "revise" not in json.dumps([plain["tiles"], _sections(plain)["genealogy"]["about"]])


def test_settings_and_space_are_on_the_page() -> None:
    sections = _sections(contents(run_of(10), "run"))
    assert ["population", "12"] in sections["settings"]["table"]["rows"]
    assert ["searcher", "random"] in sections["settings"]["table"]["rows"]
    rows = {row[0]: row[1:] for row in sections["space"]["table"]["rows"]}
    assert rows["lr"] == ["real", "1e-05", "1", "log", ""]
    assert rows["layers"] == ["whole", "1", "4", "linear", ""]
    assert rows["momentum"] == ["real", "0", "0.9", "linear", "kind is sgd"]


def test_the_command_that_prints_the_schedule_is_among_its_code() -> None:
    codes = _sections(contents(run_of(40), "run", command="gpbt schedule runs.db iris"))["code"]["code"]
    assert [code["name"] for code in codes[:2]] == ["Replay", "Terminal"]
    assert codes[1]["text"] == "gpbt schedule runs.db iris\n"


def test_a_report_says_which_hyperparameters_mattered() -> None:
    text = report(run_of(30, population=20, trial_stopping=None))
    data = json.loads(re.search(r'id="run">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]  # it is there
    section = _sections(data)["importance"]
    assert section["figure"]["data"][0]["x"] == ["0 ?"]  # one in ten trials fails, and 20 are too few then
