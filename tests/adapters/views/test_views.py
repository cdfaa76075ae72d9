"""What is said of a run: the tree, scores, schedules, savings and failures, at any size."""

import gc
import itertools
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters import views
from gpbt_core import Optimizer, Search, Status
from looked_at import SPACE, run_of
from runs import SPACE as ANY_SPACE
from runs import World, run_sequentially, setups
from strategies import examples


def test_a_view_is_computed_once_per_state_and_forgotten_with_it() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=2, preset="random")
    table = views.trials(optimizer)
    assert views.trials(optimizer.state) is table is views.scores(optimizer).trials
    kept = weakref.ref(table)
    del table
    (trial,) = optimizer.ask()
    gc.collect()
    assert kept() is None
    assert len(views.trials(optimizer)) == 1
    optimizer.tell(trial, 0.5)
    assert views.trials(optimizer).loss.tolist() == [0.5]


@given(setup=setups(), until=st.integers(0, 40))
@examples(40)
def test_every_run_can_be_looked_at_at_any_time(setup: dict[str, Any], until: int) -> None:
    optimizer = Optimizer(ANY_SPACE, **setup)
    run_sequentially(optimizer, World(), until)
    tree = views.tree(optimizer)
    assert len(tree.trials) == len(optimizer.records)
    assert ((tree.y > 0) & (tree.y < 1)).all()
    assert (np.rint(tree.x) == tree.trials.generation).all()
    for generation in set(tree.trials.generation.tolist()):
        inside = tree.trials.generation == generation
        assert len(set(tree.y[inside].tolist())) == inside.sum(), "two trials in one place"
    savings = views.savings(optimizer)
    ended = [r for r in optimizer.records if r.status not in views.PENDING]
    assert savings.completed.sum() + savings.stopped.sum() == sum(r.steps for r in optimizer.records)
    assert savings.trained == sum(r.steps for r in ended)
    for curve in (views.curves(optimizer).best, *views.curves(optimizer).parents):
        if curve is not None:
            last = optimizer.records[curve.trial]
            assert list(curve.steps) == sorted(set(curve.steps))
            if last.steps and last.loss is not None:
                assert curve.steps[-1] == last.trial.start_step + last.steps
                assert curve.scores[-1] == optimizer.score_of(last.loss)
    seen = views.overview(optimizer)
    assert seen.budget == optimizer.budget
    assert sum(seen.counts.values()) == len(optimizer.records)
    found = views.failures(optimizer)
    lost = {r.trial.id for r in optimizer.records if r.status in {Status.FAILED, Status.CANCELLED}}
    assert sorted(i for one in found for i in one.trials) == sorted(lost)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_scores_are_in_the_direction_of_the_run(direction: str) -> None:
    optimizer = run_of(40, direction=direction)  # type: ignore[arg-type]  # parametrized
    view = views.scores(optimizer)
    assert view.so_far[-1] == optimizer.best.score
    steps = np.diff(view.so_far)
    assert (steps <= 0).all() if direction == "minimize" else (steps >= 0).all()
    assert views.overview(optimizer).score == optimizer.best.score


def test_the_best_line_is_the_lineage_of_the_best_trial() -> None:
    optimizer = run_of(60)
    line = views.tree(optimizer).best
    assert line == tuple(record.trial.id for record in optimizer.lineage(optimizer.best.trial.id))
    assert len(line) > 1


def test_siblings_stand_together() -> None:
    tree = views.tree(run_of(60))
    last = np.flatnonzero(tree.trials.generation == tree.trials.generation.max() - 1)
    parents = tree.trials.parent[last[np.argsort(tree.y[last])]].tolist()
    changes = sum(one != other for one, other in itertools.pairwise(parents))
    assert changes == len(set(parents)) - 1


def test_the_newest_parents_are_shown_with_the_best_and_counted() -> None:
    optimizer = run_of(1000)
    view = views.schedules(optimizer, most=1)
    assert view.best is not None
    assert view.best.schedule == optimizer.best.schedule
    assert len(view.parents) == 1
    assert view.omitted == len(optimizer.state.open.plan.parents) - 1
    assert [axis.name for axis in view.axes] == list(SPACE.names)


def test_an_inactive_parameter_has_no_place_on_its_axis() -> None:
    momentum = views.axes(SPACE)[3]
    assert np.isnan(momentum.at({"kind": "adam"}))
    assert momentum.at({"momentum": 0.5}) == 0.5


def test_shares_of_a_closed_generation_name_what_mattered() -> None:
    optimizer = run_of(45, population=40, trial_stopping=None)
    shares = views.shares(optimizer, 0)
    assert shares is not None
    assert max(shares, key=lambda name: shares[name]) == "lr"
    assert views.shares(optimizer, optimizer.generation) is None


def test_failures_that_differ_in_numbers_alone_count_as_one() -> None:
    optimizer = Optimizer(SPACE, population=12, steps=10, searcher=Search("random"), seed=0)
    said = ["tried to allocate 9.00 GiB at 0x7f3a", "tried to allocate 12.50 GiB at 0x81ff", "killed"]
    for trial, reason in zip(optimizer.ask(3), said, strict=True):
        optimizer.fail(trial.id, reason)
    first, second = views.failures(optimizer)
    assert (first.reason, first.trials) == (said[0], (0, 1))
    assert (second.reason, second.trials) == ("killed", (2,))


def test_an_empty_run_has_views_too() -> None:
    optimizer = run_of(0)
    assert len(views.trials(optimizer)) == 0
    assert views.scores(optimizer).so_far.size == 0
    assert views.schedules(optimizer).best is None
