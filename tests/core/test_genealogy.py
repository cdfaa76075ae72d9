"""A child learns from its family history and from nothing else: checked against a reference that scans all trials."""

import random
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import (
    Categorical,
    Config,
    Float,
    Genealogical,
    Optimizer,
    Quantile,
    Schedule,
    Search,
    Segment,
    Space,
    Status,
    genealogy,
)
from gpbt_core.searcher import Query
from gpbt_core.state import State
from runs import RUNNING, SPACE, Curious, World, run_interleaved, setups
from strategies import examples


def _reference(state: State, parent: int | None, visible: int) -> tuple[list[int], list[int]]:
    """Ids told and pending, straight from the definition: of each ancestor, the parent included, its children up to
    the generation in which our line left it; starting from scratch is the first ancestor."""
    now = state.open.index
    line: list[int | None] = []
    at = parent
    while at is not None:
        line.append(at)
        at = state.records[at].trial.parent
    line = [None, *reversed(line)]
    left = [state.records[i].trial.generation for i in line[1:] if i is not None] + [now]
    told, pending = [], []
    for record in state.records:
        trial = record.trial
        if trial.parent in line and trial.generation <= left[line.index(trial.parent)]:
            if trial.id >= visible or record.status in RUNNING:
                pending.append(trial.id)
            elif record.status is not Status.CANCELLED:
                told.append(trial.id)
    return told, pending


class Watching(Curious):
    """Compares each query with the reference, and shares its answers with Curious."""

    def __init__(self, history: str) -> None:
        self.optimizer: Optimizer | None = None
        self.history, self.seen = history, 0

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        assert self.optimizer is not None
        state = self.optimizer.state
        m = state.settings.max_concurrent
        visible = state.open.first + state.open.view.end
        if query.slot < len(state.open.plan.slots):
            assert state.open.view.end == max(0, query.slot - m + 1)  # slots 0 .. k-m
        assert query.slot == state.open.asked
        parent = None if query.parent is None else query.parent.trial.id
        if self.history == "all":
            ids = [r.trial.id for r in state.records]
            pending = [i for i in ids if i >= visible or state.records[i].status in RUNNING]
            told = [i for i in ids if i not in pending and state.records[i].status is not Status.CANCELLED]
        elif self.history == "none":
            told, pending = [], []
        else:
            told, pending = _reference(state, parent, visible)
        assert [r.trial.id for r in query.history] == told
        assert [t.id for t in query.pending] == pending
        assert all(record == state.records[record.trial.id] for record in query.history)
        self.seen += 1
        return super().propose(query, rng)


@examples(200)
@given(setups(quorum=None), st.integers(1, 8), st.integers(0, 1 << 20))
def test_the_family_history_is_what_its_definition_says(setup: dict[str, Any], workers: int, seed: int) -> None:
    history = setup["searcher"].history
    searcher = Watching(history)
    optimizer = Optimizer(SPACE, **{**setup, "searcher": Search(searcher, history=history)})
    searcher.optimizer = optimizer
    order = random.Random(seed)  # noqa: S311 - an order of turns
    run_interleaved(optimizer, World(), order.randrange, workers=workers, one_by_one=True)
    if not optimizer.extinct:
        optimizer.extend(1)
        run_interleaved(optimizer, World(), order.randrange, workers=workers, one_by_one=True)
    assert searcher.seen


@pytest.mark.parametrize("survivors", [False, True])
@pytest.mark.parametrize("order", ["round-robin", "litter"])
def test_histories_are_right_with_survivors_refills_and_litters_of_unequal_size(
    survivors: bool, order: Literal["round-robin", "litter"]
) -> None:
    refilled = survived = 0
    for seed in range(12):
        searcher = Watching("family")
        rule = Genealogical(
            segments=3,
            parents=(0.4,),
            survivors=survivors,
            order=order,
            spread=0.0,
            per_parent=None,
        )
        optimizer = Optimizer(
            SPACE, population=7, steps=12, searcher=Search(searcher), reproduction=rule, seed=seed,
            trial_stopping=Quantile(), max_concurrent=2,
        )  # fmt: skip
        searcher.optimizer = optimizer
        chance = random.Random(seed)  # noqa: S311 - an order of turns
        run_interleaved(optimizer, World(trouble=0.1), chance.randrange, workers=2, one_by_one=True)
        refilled += optimizer.tally.refilled
        survived += sum(
            optimizer.records[r.trial.parent].trial.generation < r.trial.generation - 1
            for r in optimizer.records
            if r.trial.parent is not None
        )
    assert refilled
    assert bool(survived) == survivors


LINE = Space(x=Float(0, 1))


class Slots:
    """Proposes the slot's place, so that each config of a generation is another one."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a searcher's signature
        return {"x": query.slot / 100 + query.generation / 10}


def _two_generations(**changes: Any) -> Optimizer:
    rule = Genealogical(segments=(0.5, 0.25, 0.25), parents=(0.5,), spread=0.0, refill=False, **changes)
    optimizer = Optimizer(LINE, population=4, steps=8, searcher=Search(Slots()), reproduction=rule, trial_stopping=None)
    for score in (0.3, 0.1, 0.4, 0.2, 0.05, 0.3, 0.06, 0.04):
        (trial,) = optimizer.ask()
        optimizer.tell(trial.id, score)
    return optimizer


def test_cousins_are_in_no_family_history() -> None:
    optimizer = _two_generations()  # the parents are 1 and 3; then 7, a child of 3, and 4, a child of 1
    assert [r.trial.parent for r in optimizer.records] == [None] * 4 + [1, 3, 1, 3]
    assert optimizer.state.open.plan.parents == (7, 4)
    family = genealogy.family(optimizer.state, 4)
    assert [r.trial.id for r in family.told] == [0, 1, 2, 3, 4, 6]
    assert [r.trial.id for r in genealogy.family(optimizer.state, 7).told] == [0, 1, 2, 3, 5, 7]


def test_a_schedule_joins_segments_of_one_config_and_counts_what_was_trained() -> None:
    optimizer = _two_generations()
    assert optimizer.schedule(4) == Schedule((Segment(config=Config(x=0.01), start_step=0, steps=6),))  # it repeats 1
    assert optimizer.schedule(7) == Schedule(
        (
            Segment(config=Config(x=0.03), start_step=0, steps=4),
            Segment(config=Config(x=0.03 + 0.1), start_step=4, steps=2),
        )
    )
    (trial,) = optimizer.ask()
    assert optimizer.schedule(trial.id).steps == 8
    optimizer.report(trial.id, 1, 0.5)
    optimizer.fail(trial.id, "bad luck")
    assert optimizer.schedule(trial.id).steps == 7


def test_a_schedule_tells_choices_apart_that_are_equal_to_python() -> None:
    space = Space(features=Categorical([1, 1.0, True]))
    rule = Genealogical(segments=1, repeat=False)
    optimizer = Optimizer(space, population=6, steps=4, searcher=Search("random"), reproduction=rule)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, 1 / (trial.id + 1))
    for record in optimizer.records:
        line = [one.trial.config["features"] for one in optimizer.lineage(record.trial.id)]
        found = optimizer.schedule(record.trial.id)
        assert [repr(found.at(step)["features"]) for step in range(found.steps)] == [repr(value) for value in line]


def test_a_lineage_leads_from_a_founder_down() -> None:
    optimizer = _two_generations()
    assert [r.trial.id for r in optimizer.lineage(7)] == [3, 7]
    assert [r.trial.id for r in optimizer.lineage(2)] == [2]
