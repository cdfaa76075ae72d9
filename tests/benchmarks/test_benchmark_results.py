"""A results file takes whole lines only, each run once, from any number of writers."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.results import Key, Results, read_results


def line(seed: int, **more: Any) -> dict[str, Any]:
    return {"problem": "p", "method": "m", "seed": seed, "models": 1, "steps": 1, "smoke": False, **more}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_what_was_written_is_found_by_others(path: Path) -> None:
    mine, other = Results(path), Results(path)
    key = Key.of(line(3))
    assert key not in mine
    assert mine.append(line(3, test=0.5))
    assert key in other
    assert list(read_results(path)) == [line(3, test=0.5)]


def test_a_run_is_written_once_whoever_comes_first(path: Path) -> None:
    mine, other = Results(path), Results(path)
    assert mine.append(line(0, by="me"))
    assert not other.append(line(0, by="other"))
    assert [found["by"] for found in read_results(path)] == ["me"]


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Key)])
def test_runs_that_differ_in_one_field_of_the_key_are_different_runs(path: Path, field: str) -> None:
    other = {**line(0), field: {"smoke": True}.get(field, "x" if field in ("problem", "method") else 9)}
    results = Results(path)
    assert results.append(line(0))
    assert results.append(other)


def test_a_torn_line_is_left_out_and_spoils_no_other(path: Path) -> None:
    results = Results(path)
    results.append(line(0))
    with path.open("a") as file:
        file.write('{"problem": "p", "me')
    assert Key.of(line(1)) not in Results(path)
    assert results.append(line(1))
    assert [found["seed"] for found in read_results(path)] == [0, 1]
    assert Key.of(line(1)) in Results(path)
    assert Key.of(line(0)) in Results(path)


def test_numbers_that_are_not_finite_are_null(path: Path) -> None:
    Results(path).append(line(0, scores=[1.0, float("nan")], inner={"best": float("inf")}))
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["scores"] == [1.0, None]


def test_many_writers_lose_nothing(path: Path) -> None:
    def write(worker: int) -> None:
        results = Results(path)
        for seed in range(20):
            results.append(line(seed, by=worker, padding="x" * 5000))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert sorted(found["seed"] for found in read_results(path)) == list(range(20))
    assert len(path.read_text().splitlines()) == 20
