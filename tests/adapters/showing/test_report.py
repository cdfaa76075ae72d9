"""The page of a run: all of it is there, nothing of it is read as HTML, and it stays small."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gpbt_adapters.showing.figures import FIGURES
from gpbt_adapters.showing.page import contents
from gpbt_adapters.views import Replays
from gpbt_core import Float, Optimizer, Space
from looked_at import EVIL, run_of

pytest.importorskip("plotly")

from gpbt_adapters.showing.report import report, write_report  # after it is known that Plotly is there


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
    replays = Replays(schedule=optimizer.best.schedule, seeds=(1, 2), scores=((0.25, 0.75), (0.25, 0.5)))
    (best,) = (one for one in contents(optimizer, "run", replays=replays)["sections"] if one["id"] == "best")
    assert "Models trained from scratch under this schedule: 0.625 ± 0.177 over 2 seeds (0.5 to 0.75)." in best["about"]
    assert "from scratch" in report(optimizer, importance=False, replays=replays)


def test_all_views_are_on_the_page() -> None:
    optimizer = run_of(1000)
    page = contents(optimizer, "run")
    sections = {section["id"]: section for section in page["sections"]}
    assert set(FIGURES) <= sections.keys()
    assert {"best", "importance", "failures"} <= sections.keys()
    assert len(sections["best"]["table"]["rows"]) == len(optimizer.best.schedule.segments)
    assert EVIL in sections["failures"]["table"]["rows"][0][2]
    for name in FIGURES:
        assert sections[name]["figure"]["data"], name


def test_a_page_counts_steps_from_1_and_one_as_one() -> None:
    optimizer = Optimizer(Space(rate=Float(0, 1)), population=4, steps=4, preset="pbt", seed=0)
    while not optimizer.finished:
        for trial in optimizer.ask(4):
            optimizer.tell(trial.id, float(trial.id))
    page = contents(optimizer, "run")
    (best,) = (section for section in page["sections"] if section["id"] == "best")
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
    (best,) = (section for section in page["sections"] if section["id"] == "best")
    assert "yet" not in json.dumps([*page["tiles"], best])


@pytest.mark.parametrize("trials", [0, 1, 3, 200])
def test_the_data_of_a_page_are_plain_json_at_any_size(trials: int) -> None:
    json.dumps(contents(run_of(trials, population=max(4, trials // 5)), "run"), allow_nan=False)


def test_texts_that_plotly_reads_are_escaped() -> None:
    data = contents(run_of(40), "run")
    for section in data["sections"]:
        for trace in section.get("figure", {"data": []})["data"]:
            if trace["type"] != "parcoords":  # whose ticks are plain text
                assert not re.search(r"<(?!/?[bi]>|br>)", json.dumps(trace.get("text", "")))


def test_a_page_of_ten_thousand_trials_is_drawn_by_the_graphics_card_and_stays_small() -> None:
    optimizer = run_of(10_000, population=2000)
    assert len(optimizer.records) >= 9_000
    page = contents(optimizer, "run")
    assert len(json.dumps(page)) < 6e6
    (tree,) = (section["figure"] for section in page["sections"] if section["id"] == "genealogy")
    assert {trace["type"] for trace in tree["data"]} == {"scattergl"}
    assert len(tree["data"]) < 10


def test_a_report_says_which_hyperparameters_mattered() -> None:
    text = report(run_of(30, population=20, trial_stopping=None))
    data = json.loads(re.search(r'id="run">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]  # it is there
    (section,) = (one for one in data["sections"] if one["id"] == "importance")
    assert section["figure"]["data"][0]["x"] == ["0 ?"]  # one in ten trials fails, and 20 are too few then
