"""Where the time of a run went: what is noted adds up, and what more workers would have given follows from it."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters import views
from gpbt_adapters.views.notes import times_of
from gpbt_core import Optimizer, Record, Status
from toy_runs import SPACE, run_small, small
from toy_trainables import Descent, Slow

DAY = 86_400.0


def _note(begin: float, busy: float, *, worker: str = "here:1", run: float = 0.0, searching: float = 0.0) -> Any:
    timing = views.Timing(
        worker=worker, run=run, begin=begin, loading=busy / 4, training=busy / 2, saving=busy / 4, searching=searching
    )
    return views.noted(timing, {})


def _told(durations: list[float], **settings: Any) -> Optimizer:
    """A run in which the trials took so long, one after the other on one worker."""
    given = {"population": 4, "steps": 2, "preset": "random", "max_concurrent": 4, "seed": 1, **settings}
    optimizer = Optimizer(SPACE, **given)
    now = 0.0
    for duration in itertools.cycle(durations):
        trials = optimizer.ask()
        if not trials:
            return optimizer
        optimizer.tell(trials[0], float(trials[0].id), notes=_note(now, duration))
        now += duration
    return optimizer


@pytest.mark.parametrize("workers", [1, 2])
def test_the_parts_of_the_time_are_all_the_time_of_the_workers(workers: int) -> None:
    with ThreadPoolExecutor(workers) as threads:
        result = run_small(small(), Slow, executor=threads)
    seen = views.times(result.optimizer)
    assert len(seen.spans) == len(result.optimizer.records)
    assert seen.missing == 0
    assert seen.workers == workers
    assert seen.all == pytest.approx(workers * seen.wall, rel=1e-3)
    assert seen.wall <= result.seconds
    assert 0.01 <= seen.step < 0.1
    assert all((seconds >= 0).all() for _, seconds in seen.parts)
    by_worker = itertools.groupby(sorted(seen.spans, key=lambda one: (one.worker, one.begin)), lambda one: one.worker)
    for _, own in by_worker:
        assert all(one.begin + one.timing.busy <= other.begin + 1e-3 for one, other in itertools.pairwise(own))


def test_times_and_figures_of_a_study_survive_in_its_journal(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from gpbt_adapters.storing.journal import open_study

    class Telling(Descent):
        def figures(self) -> dict[str, Any]:
            return {"train_loss": 2.0, "norm": float("inf"), "name": "x"}

    with open_study(tmp_path / "runs.db", "one", SPACE, population=4, steps=3, durability="process") as study:
        run_small(study, Telling)
        before = views.times(study)
    with open_study(tmp_path / "runs.db", "one") as study:
        assert views.times(study).spans == before.spans != ()
        figures = views.figures_of(study.records[0])
    assert figures["train_loss"] == 2.0
    assert figures.keys() == {"train_loss", "norm"}


def test_a_failed_trial_has_its_time_too() -> None:
    class Failing(Descent):
        def step(self) -> float:
            return float("nan") if self.live["lr"] > 0.1 else super().step()

    optimizer = run_small(small(), Failing).optimizer
    failed = [record for record in optimizer.records if record.status is Status.FAILED]
    assert failed
    assert all(views.timing_of(record) is not None for record in failed)


def test_a_run_by_ask_and_tell_says_that_it_has_no_times() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=2, preset="random")
    for trial in optimizer.ask(2):
        optimizer.tell(trial, 0.5)
    seen = views.times(optimizer)
    assert (seen.spans, seen.missing, seen.workers, seen.wall) == ((), 2, 0, 0.0)
    assert views.estimates(optimizer) == ()
    assert views.time_spent(optimizer)[0].startswith("No times were noted")


@pytest.mark.parametrize("time", ["noon", "abcdefg", 3, ["a", "b"], dict.fromkeys("abcdefg"), list("abcdefg"), None])
def test_notes_of_others_are_not_taken_for_times(time: Any) -> None:
    optimizer = Optimizer(SPACE, population=4, steps=2, preset="random")
    (trial,) = optimizer.ask()
    optimizer.tell(trial, 0.5, notes={"time": time, "figures": time})
    assert views.times(optimizer).missing == 1
    assert not any(map(math.isfinite, views.figures_of(optimizer.records[0]).values()))
    assert views.curves(optimizer).best is not None


def test_pauses_between_two_calls_of_run_are_left_out() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=1, preset="random")
    first, second, third, fourth = optimizer.ask(4)
    optimizer.tell(first, 0.5, notes=_note(2, 8, run=0))
    optimizer.tell(second, 0.5, notes=_note(DAY + 1, 4, run=DAY))
    optimizer.tell(third, 0.5, notes=_note(DAY + 5, 5, run=DAY))
    optimizer.tell(fourth, 0.5, notes=_note(DAY + 3, 1, run=DAY + 2, worker="there:1"))  # a second driver, meanwhile
    seen = views.times(optimizer)
    assert [span.begin for span in seen.spans] == [2, 11, 13, 15]
    assert seen.wall == 20
    assert seen.workers == 2
    assert seen.starting.sum() == 2 + 1 + 1
    assert seen.waiting.sum() == 0  # each call of `run` ends with its last trial


def test_a_worker_that_takes_the_place_of_one_that_died_counts_as_one_with_it() -> None:
    optimizer = Optimizer(SPACE, population=6, steps=2, preset="random", max_concurrent=6, seed=1)
    busy = [("a", 1.0, 2.0), ("b", 1.0, 2.0), ("c", 4.0, 2.0), ("d", 4.0, 1.0), ("d", 5.0, 3.0), ("c", 6.0, 2.0)]
    for trial, (worker, begin, seconds) in zip(optimizer.ask(6), busy, strict=True):
        optimizer.tell(trial, 1.0, notes=_note(begin, seconds, worker=worker))
    seen = views.times(optimizer)
    assert seen.workers == 2
    assert [span.worker for span in seen.spans] == [0, 1, 0, 1, 1, 0]
    assert seen.all == pytest.approx(2 * seen.wall)
    assert seen.starting.sum() == pytest.approx(2.0)
    assert seen.waiting.sum() == pytest.approx(2.0)


def test_searching_is_no_more_than_the_time_without_a_trial() -> None:
    optimizer = Optimizer(SPACE, population=3, steps=1, preset="random")
    first, second, third = optimizer.ask(3)
    optimizer.tell(first, 0.5, notes=_note(1, 2, searching=0.5))
    optimizer.tell(second, 0.5, notes=_note(4, 2, searching=0.75))
    optimizer.tell(third, 0.5, notes=_note(6, 2, searching=9))
    seen = views.times(optimizer)
    assert (seen.searching.sum(), seen.starting.sum(), seen.waiting.sum()) == (2, 0, 0)
    assert seen.all == 8


def test_more_workers_than_max_concurrent_give_nothing_more() -> None:
    found = {one.workers: one.seconds for one in views.estimates(_told([10.0]))}
    assert found == {1: 40.0, 2: 20.0, 4: 10.0}
    found = {one.workers: one.seconds for one in views.estimates(_told([10.0], max_concurrent=1))}
    assert found == {1: 40.0}


def test_a_generation_waits_for_the_one_before() -> None:
    steady = {"preset": "steady", "population": 4, "steps": 4, "trial_stopping": None}
    optimizer = _told([1.0, 1.0, 1.0, 7.0], **steady)
    lengths = [view.count for view in optimizer.state.closed]
    assert len(lengths) > 1
    (one, *_, most) = views.estimates(optimizer)
    assert one.seconds == sum(span.timing.busy for span in views.times(optimizer).spans)
    longest = [
        max(views.timing_of(record).busy for record in group)  # type: ignore[union-attr]  # all were told with times
        for _, group in itertools.groupby(optimizer.records, key=lambda record: record.trial.generation)
    ]
    assert most.seconds == sum(longest)


@given(durations=st.lists(st.floats(0.1, 9), min_size=1, max_size=9), most=st.integers(1, 9))
def test_estimates_lie_between_no_waiting_and_one_worker(durations: list[float], most: int) -> None:
    found = views.estimates(_told(durations, population=7, max_concurrent=most))
    assert found[-1].workers == most
    work = found[0].seconds
    for one in found:
        assert work / one.workers <= one.seconds * (1 + 1e-9)
        assert one.seconds <= work * (1 + 1e-9)
        assert one.busy == pytest.approx(work / one.workers / one.seconds)


def test_saved_steps_are_given_as_time() -> None:
    optimizer = run_small(small(preset="greedy", population=12), Slow).optimizer
    assert optimizer.tally.saved
    assert any(f"saved {optimizer.tally.saved} step" in said for said in views.time_spent(optimizer))


def test_the_notes_of_a_trial_are_read_once_however_many_views_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counting(record: Record) -> Any:
        read.append(record.trial.id)
        return times_of(record)

    monkeypatch.setattr(views.time, "times_of", counting)
    optimizer = _told([1.0, 2.0])
    assert ("time", views.time_spent(optimizer)[0]) in views.brief(optimizer)
    views.estimates(optimizer)
    assert read == [record.trial.id for record in optimizer.records]
