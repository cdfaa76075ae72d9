"""Who begets whom: lengths of segments, numbers of parents, litters, and what is promised before a selection."""

import math
from collections import Counter
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import (
    Categorical,
    Config,
    ConfigError,
    Float,
    Genealogical,
    Independent,
    Int,
    Optimizer,
    Search,
    Space,
    Status,
    Truncation,
)
from gpbt_core.records import Record, Trial
from gpbt_core.reproduction import Closing, Plan, Reproduction, Slot
from gpbt_core.searcher import Query
from runs import Curious, World, founders_that_fit, genealogies, reproductions, run_sequentially
from strategies import examples

LINE = Space(x=Float(0, 1))


def record(
    i: int, loss: float | None = None, *, parent: int | None = None, generation: int = 1, x: float | None = None
) -> Record:
    """A trial that was completed with a loss, or failed without one; of a config of its own unless `x` is given."""
    config = Config({"x": i * 0.618 % 1 if x is None else x})
    trial = Trial(id=i, parent=parent, generation=generation, depth=0, config=config, steps=1, start_step=0)
    return Record(trial=trial, status=Status.FAILED if loss is None else Status.COMPLETED, loss=loss, steps=1)


def closing(
    candidates: list[Record], *, members: list[Record] | None = None, parents: list[Record] | None = None,
    generation: int = 2, population: int = 5, space: Space = LINE,
) -> Closing:  # fmt: skip
    """What a rule looks at."""
    return Closing(
        space=space,
        population=population,
        generation=generation,
        candidates=tuple(candidates),
        members=tuple(candidates if members is None else members),
        parents=tuple(parents or []),
    )


def plan(rule: Reproduction, of: Closing, seed: int = 0) -> Plan:
    """The plan of a rule."""
    return rule.plan(of, np.random.default_rng(seed))


# ----------------------------------------------------------------------------------------------------------- segments


@pytest.mark.parametrize(
    ("segments", "steps", "lengths"),
    [
        (1, 4, (1, 1, 1, 1)),
        (3, 10, (3, 3, 4)),
        (3, 2, (2,)),
        (20, 10, (10,)),
        ((0.4, 0.2, 0.1, 0.1, 0.1, 0.1), 10, (4, 2, 1, 1, 1, 1)),
        ((0.4, 0.2, 0.1, 0.1, 0.1, 0.1), 100, (40, 20, 10, 10, 10, 10)),
        ((0.4, 0.2, 0.1, 0.1, 0.1, 0.1), 25, (10, 5, 2, 2, 2, 4)),
        ((0.4, 0.2, 0.1, 0.1, 0.1, 0.1), 3, (1, 1, 1)),
        ((0.4, 0.2, 0.1, 0.1, 0.1, 0.1), 1, (1,)),
        ((4, 2, 1, 1, 1, 1), 10, (4, 2, 1, 1, 1, 1)),
        ((1.0,), 7, (7,)),
    ],
)
@pytest.mark.parametrize("rule", [Genealogical, Truncation, Independent])
def test_segments_are_shares_of_the_steps_or_of_one_length(
    rule: Any, segments: Any, steps: int, lengths: tuple[int, ...]
) -> None:
    assert rule(segments=segments).segment_lengths(5, steps) == lengths


@given(reproductions(), st.integers(1, 50), st.integers(1, 200))
def test_segments_have_at_least_a_step_and_sum_to_all(rule: Reproduction, population: int, steps: int) -> None:
    lengths = rule.segment_lengths(population, steps)
    assert sum(lengths) == steps
    assert min(lengths) >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segments": 0}, "segments must be a whole number of at least 1, or .*, got 0"),
        ({"segments": True}, "segments must be .*, got True"),
        ({"segments": "1"}, "segments must be .*, got '1'"),
        ({"segments": ()}, r"segments must be .* or positive shares of the steps, got \(\)"),
        ({"segments": (0.5, 0.0)}, r"segments must be .* got \(0\.5, 0\.0\)"),
        ({"segments": (0.5, math.inf)}, r"segments must be .* got \(0\.5, inf\)"),
    ],
)
@pytest.mark.parametrize("rule", [Genealogical, Truncation, Independent])
def test_segments_that_cannot_be_are_refused(rule: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rule.name + ": " + message):
        Optimizer(LINE, steps=3, searcher=Search(Curious()), reproduction=rule(**options))


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (Genealogical, {"parents": ()}, "parents must be shares of n"),
        (Genealogical, {"parents": (0.5, 0.0)}, "parents must be shares of n"),
        (Genealogical, {"parents": (1.1,)}, "parents must be shares of n"),
        (Genealogical, {"founders": 0}, "founders must be a whole number of at least 1, or None for n, got 0"),
        (Genealogical, {"founders": 12.0}, "founders must be a whole number of at least 1, or None for n, got 12"),
        (
            Genealogical,
            {"per_parent": 1.5},
            "per_parent must be a whole number of at least 1, or None for no limit, got 1.5",
        ),
        (Genealogical, {"noise": "a"}, "noise must be a finite number of at least 0, got 'a'"),
        (
            Genealogical,
            {"per_parent": 0},
            "per_parent must be a whole number of at least 1, or None for no limit, got 0",
        ),
        (Genealogical, {"spread": -0.1}, r"spread must be a number in \[0, 1\], got -0\.1"),
        (Genealogical, {"spread": math.nan}, "spread must be"),
        (Genealogical, {"parents": 0.5}, r"parents must be shares of n, .*, got 0\.5"),
        (Genealogical, {"parents": "0.5"}, r"parents must be shares of n, .*, got '0\.5'"),
        (Genealogical, {"per_parent": True}, "per_parent must be a whole number .*, got True"),
        (Genealogical, {"founders": True}, "founders must be a whole number .*, got True"),
        (Genealogical, {"survivors": "no"}, "survivors must be a bool, got 'no'"),
        (Genealogical, {"repeat": "off"}, "repeat must be a bool, got 'off'"),
        (Genealogical, {"refill": 1}, "refill must be a bool, got 1"),
        (Genealogical, {"noise": -1}, "noise must be a finite number of at least 0, got -1"),
        (Genealogical, {"noise": math.inf}, "noise must be"),
        (Genealogical, {"order": "random"}, 'order must be "round-robin" or "litter", got \'random\''),
        (Truncation, {"quantile": 0.6}, r"quantile must be in \[0, .5\], got 0\.6"),
        (Truncation, {"quantile": -0.1}, "quantile must be"),
        (Truncation, {"quantile": math.nan}, "quantile must be"),
        (Truncation, {"quantile": "a"}, "quantile must be"),
        (Truncation, {"min_gap": -0.1}, r"min_gap must be a number of at least 0, got -0\.1"),
        (Truncation, {"min_gap": math.inf}, "min_gap must be"),
        (Truncation, {"min_gap": "a"}, "min_gap must be"),
    ],
)
def test_options_out_of_range_are_refused(rule: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{rule.name}: {message}"):
        rule(**options)


# --------------------------------------------------------------------------------------------------- number of slots


@given(genealogies(), st.integers(1, 30), st.integers(1, 60), st.data())
def test_more_founders_take_their_steps_from_the_later_generations(
    rule: Genealogical, population: int, steps: int, data: st.DataObject
) -> None:
    founders = data.draw(founders_that_fit(rule, population, steps))
    rule = attrs.evolve(rule, founders=founders)
    lengths = rule.segment_lengths(population, steps)
    slots = [rule.slots(generation, population, steps) for generation in range(len(lengths))]
    used = [count * length for count, length in zip(slots, lengths, strict=True)]
    assert slots[0] == rule.first_slots(population) == founders
    assert min(slots) >= 1
    assert sum(used) <= population * steps
    if len(slots) > 1:
        assert population * steps - sum(used) < lengths[-1]
    assert rule.slots(len(lengths), population, steps) == population


def test_founders_that_leave_no_step_for_their_children_are_refused() -> None:
    rule = Genealogical(segments=(0.2, 0.4, 0.4), founders=9)
    assert [rule.slots(g, 3, 10) for g in range(3)] == [9, 2, 1]
    with pytest.raises(ConfigError, match=r"12 founders of 2 steps each do not leave one slot for the other 8 steps"):
        Optimizer(LINE, population=3, steps=10, reproduction=attrs.evolve(rule, founders=12))


def test_a_generation_is_planned_with_its_own_number_of_slots() -> None:
    optimizer = Optimizer(
        LINE,
        population=4,
        steps=20,
        reproduction=Genealogical(segments=(0.1, 0.3, 0.6), founders=12),
        trial_stopping=None,
    )
    run_sequentially(optimizer, World(trouble=0.0))
    generations = [record.trial.generation for record in optimizer.records]
    assert [generations.count(g) for g in range(3)] == [12, 4, 2]
    assert optimizer.tally.trained == 12 * 2 + 4 * 6 + 2 * 12
    assert [len(generation.plan.parents) for generation in optimizer.state.closed] == [0, 2, 2]


def test_there_are_no_more_parents_than_slots() -> None:
    rule = Genealogical(segments=(0.2, 0.8), parents=(1.0,), founders=9)
    optimizer = Optimizer(LINE, population=3, steps=10, reproduction=rule, trial_stopping=None)
    run_sequentially(optimizer, World(trouble=0.0))
    assert [len(generation.plan.slots) for generation in optimizer.state.closed] == [9, 1]
    assert len(optimizer.state.closed[1].plan.parents) == 1


# ------------------------------------------------------------------------------------------------- number of parents


def test_the_default_numbers_of_parents_are_shares_of_the_population() -> None:
    rule = Genealogical()
    assert [rule.number_of_parents(g, 25) for g in range(1, 8)] == [15, 11, 9, 6, 4, 4, 4]
    assert [rule.number_of_parents(g, 1) for g in range(1, 6)] == [1] * 5


@pytest.mark.parametrize(("n", "c", "p"), [(25, 1, 5), (24, 1, 4), (25, 25, 1), (5, 0.2, 5), (16, 4, 2), (90, 0.9, 10)])
def test_the_paper_s_number_of_parents_is_the_root_of_n_over_c(n: int, c: float, p: int) -> None:
    rule = Genealogical(parents=None, c=c)
    assert rule.segment_lengths(n, 100)
    assert rule.number_of_parents(1, n) == p


# ------------------------------------------------------------------------------------------------------------ litters


def _litter(order: Any, population: int, losses: list[float], repeat: bool = True) -> list[tuple[int | None, bool]]:
    rule = Genealogical(parents=(1.0,), order=order, per_parent=None, repeat=repeat)
    of = closing([record(i, loss) for i, loss in enumerate(losses)], population=population, parents=[])
    return [(slot.parent, slot.repeat) for slot in plan(rule, of).slots]


def test_slots_go_round_the_parents_best_first_and_the_first_of_a_litter_repeats() -> None:
    assert _litter("round-robin", 5, [0.3, 0.1]) == [(1, True), (0, True), (1, False), (0, False), (1, False)]
    assert _litter("round-robin", 3, [0.3, 0.1], repeat=False) == [(1, False), (0, False), (1, False)]


def test_slots_go_litter_by_litter_and_the_best_have_one_more() -> None:
    assert _litter("litter", 5, [0.3, 0.1]) == [(1, True), (1, False), (1, False), (0, True), (0, False)]
    assert _litter("litter", 4, [0.3, 0.1, 0.2]) == [(1, True), (1, False), (2, True), (0, True)]


def test_each_parent_has_a_slot_even_where_all_are_parents() -> None:
    for order in ("round-robin", "litter"):
        assert _litter(order, 3, [0.3, 0.1, 0.2]) == [(1, True), (2, True), (0, True)]


def test_equal_losses_rank_by_id() -> None:
    rule = Genealogical(parents=(0.4,), per_parent=None)
    assert plan(rule, closing([record(i, 1.0) for i in range(5)])).parents == (0, 1)


def test_of_one_litter_at_most_so_many_become_parents() -> None:
    candidates = [record(10 + i, i / 10, parent=i // 3) for i in range(6)]
    parents = [record(0, 0.9, generation=0), record(1, 0.8, generation=0)]

    def chosen(per_parent: int | None) -> tuple[int, ...]:
        rule = Genealogical(parents=(0.8,), per_parent=per_parent)
        return plan(rule, closing(candidates, parents=parents)).parents

    assert chosen(1) == (10, 13)
    assert chosen(2) == (10, 11, 13, 14)
    assert chosen(None) == (10, 11, 12, 13)


def _steady(per_parent: int | None, share: float = 0.8, generations: int = 9) -> tuple[int, ...]:
    """The parents out of two litters of three; the children 12 and 15 have their parents' configs."""
    parents = [record(0, 0.9, generation=0, x=0.2), record(1, 0.8, generation=0, x=0.7)]
    others = [record(i, parent=1) for i in range(2, 10)]
    candidates = [
        *(record(10 + i, i / 10, parent=0, x=x) for i, x in enumerate([0.3, 0.4, 0.2])),
        *(record(13 + i, 1 + i / 10, parent=1, x=x) for i, x in enumerate([0.8, 0.9, 0.7])),
    ]
    of = attrs.evolve(
        closing(candidates, parents=parents), records=[*parents, *others, *candidates], generations=generations
    )
    return plan(Genealogical(parents=(share,), per_parent=per_parent, steady=True), of).parents


def test_a_steady_child_is_a_parent_beside_the_best_of_its_litter_though_it_ranks_last() -> None:
    assert _steady(2) == (10, 12, 13, 15)
    assert _steady(2, share=0.6) == (10, 12, 13)
    assert _steady(3) == (10, 11, 12, 13)
    assert _steady(3, share=1.0) == (10, 11, 12, 13, 14)
    assert _steady(None) == (10, 12, 13, 15)


def test_parents_beyond_the_best_and_the_steady_ones_are_filled_up_by_rank() -> None:
    assert _steady(2, share=1.0) == (10, 12, 13, 15, 11)


def test_the_parents_of_the_last_generation_are_chosen_without_the_steady_ones() -> None:
    assert _steady(2, generations=3) == (10, 11, 13, 14)


def test_a_litter_of_its_steady_child_alone_is_taken_once() -> None:
    parents = [record(i, 0.5, generation=0, x=0.2) for i in range(3)]
    candidates = [record(10 + i, i / 10, parent=i, x=0.2) for i in range(3)]
    records = [*parents, *(record(i, parent=0) for i in range(3, 10)), *candidates]
    of = attrs.evolve(closing(candidates, parents=parents), records=records, generations=9)
    assert plan(Genealogical(parents=(0.4,), steady=True), of).parents == (10, 11)


def test_survivors_compete_with_their_children_and_repeat_no_more() -> None:
    parents = [record(0, 0.15, generation=0), record(1, 0.9, generation=0)]
    candidates = [record(10, 0.1, parent=0), record(11, 0.2, parent=0), record(12, 0.3, parent=1)]
    of = closing(candidates, parents=parents)
    rule = Genealogical(parents=(0.6,), per_parent=1, survivors=True)
    assert plan(rule, of).parents == (10, 0, 12)
    assert plan(rule, of).slots == (Slot(10, True), Slot(0), Slot(12, True), Slot(10), Slot(0))
    assert plan(Genealogical(parents=(0.6,), per_parent=1), of).parents == (10, 12)


def test_parents_out_of_generation_0_are_apart_and_then_filled_up_by_rank() -> None:
    places = [0.5, 0.55, 0.59, 0.61, 0.1]
    founders = [record(i, i / 10, generation=0, x=x) for i, x in enumerate(places)]

    def chosen(share: float, spread: float, generation: int = 1) -> tuple[int, ...]:
        rule = Genealogical(parents=(share,), spread=spread, per_parent=None)
        return plan(rule, closing(founders, generation=generation)).parents

    assert chosen(0.4, 0.1) == (0, 3)
    assert chosen(0.6, 0.1) == (0, 3, 4)
    assert chosen(0.8, 0.1) == (0, 1, 3, 4)  # filled up by rank, best first
    assert chosen(0.6, 0.0) == (0, 1, 2)
    assert chosen(0.6, 0.1, generation=2) == (0, 1, 2)  # only out of generation 0


def test_configs_are_as_far_apart_as_their_farthest_parameter() -> None:
    space = Space(x=Float(0, 1), kind=Categorical(["a", "b"]))

    def founder(i: int, x: float, kind: str) -> Record:
        trial = Trial(id=i, parent=None, generation=0, depth=0, config=Config(x=x, kind=kind), steps=1, start_step=0)
        return Record(trial=trial, status=Status.COMPLETED, loss=float(i), steps=1)

    founders = [founder(0, 0.5, "a"), founder(1, 0.5, "a"), founder(2, 0.5, "b")]
    of = closing(founders, generation=1, space=space)
    assert plan(Genealogical(parents=(0.4,)), of).parents == (0, 2)


def test_noise_on_the_ranking_is_in_units_of_what_the_selection_spans() -> None:
    losses = [0.0, 1.0, 1.1, 1000.0]
    of = closing([record(i, loss) for i, loss in enumerate(losses)], population=4)
    rule = Genealogical(parents=(0.5,), noise=0.5, per_parent=None)
    drawn = Counter(plan(rule, of, seed).parents for seed in range(300))
    assert len(drawn) > 2
    assert all(3 not in parents for parents in drawn)  # 1000 is far beyond loss[p] - loss[1] = 1
    # the best stays first where its own noise and those of 1 and 2 leave it there
    rng = np.random.default_rng(5)
    noisy = np.array(losses) + rng.normal(0, 1, 4) * 0.5 * (losses[1] - losses[0])
    assert plan(rule, of, 5).parents == tuple(np.argsort(noisy)[:2])


def test_without_noise_the_generator_is_not_asked() -> None:
    of = closing([record(i, i / 5) for i in range(5)])
    assert len({plan(Genealogical(), of, seed) for seed in range(5)}) == 1


# ------------------------------------------------------------------------------------------------- truncation and lines


def test_truncation_replaces_the_worst_by_copies_of_the_best() -> None:
    losses = [0.5, 0.1, None, 0.3, 0.9, 0.2, 0.4, 0.6, 0.7, 0.8]
    members = [record(i, loss) for i, loss in enumerate(losses)]
    of = closing([m for m in members if m.loss is not None], members=members, population=10)
    seen = set()
    for seed in range(40):
        found = plan(Truncation(quantile=0.2), of, seed)
        assert len(found.slots) == 10
        for member, slot in zip(members, found.slots, strict=True):
            if member.trial.id in (2, 4):  # the failed one ranks last
                assert slot.parent in (1, 5)
                assert not slot.repeat
                seen.add(slot.parent)
            else:
                assert slot == Slot(member.trial.id, repeat=True)
        assert found.parents[:3] == (1, 5, 3)
    assert seen == {1, 5}


def test_truncation_replaces_every_failed_member() -> None:
    members = [record(0), record(1, 0.2), record(2), record(3, 0.1), record(4)]
    of = closing([members[1], members[3]], members=members)
    found = plan(Truncation(quantile=0.2), of)
    assert [slot.repeat for slot in found.slots] == [False, True, False, True, False]
    assert {found.slots[i].parent for i in (0, 2, 4)} == {3}  # one donor: the top fifth of five


def test_a_quantile_of_0_replaces_the_failed_alone() -> None:
    members = [record(0, 0.3), record(1), record(2, 0.1)]
    found = plan(Truncation(quantile=0), closing([members[0], members[2]], members=members, population=3))
    assert found.slots == (Slot(0, True), Slot(2), Slot(2, True))


@pytest.mark.parametrize(("gap", "replaced"), [(0.0, [3, 4]), (0.5, [3, 4]), (0.6, [4]), (2.5, [4]), (2.6, [])])
def test_a_member_that_is_hardly_worse_than_those_that_would_replace_it_goes_on(
    gap: float, replaced: list[int]
) -> None:
    members = [record(i, loss) for i, loss in enumerate([0.0, 0.1, 0.2, 0.3, 1.0])]  # of standard deviation 0.354
    rule = Truncation(quantile=0.4, min_gap=gap)
    assert [i for i, slot in enumerate(plan(rule, closing(members)).slots) if not slot.repeat] == replaced
    assert (rule.keep(2, 5) is None) == (gap > 0)  # any member may go on, so all checkpoints are kept


def test_with_a_gap_the_failed_are_replaced_and_a_generation_keeps_its_size() -> None:
    members = [record(0, 0.1), record(1), *[record(i, 0.1) for i in range(2, 8)]]  # two came late
    candidates = [member for member in members if member.loss is not None]
    found = plan(Truncation(min_gap=0.5), closing(candidates, members=members, population=6))
    assert len(found.slots) == 6
    found = plan(Truncation(min_gap=0.5), closing(candidates[:3], members=members[:4], population=4))
    assert [slot.repeat for slot in found.slots] == [True, False, True, True]


@given(st.lists(st.floats(-10, 10) | st.just(math.inf), min_size=1, max_size=9), st.floats(0, 3), st.integers(0, 99))
def test_a_larger_gap_replaces_no_more_members(losses: list[float], gap: float, seed: int) -> None:
    of = closing([record(i, loss) for i, loss in enumerate(losses)], population=len(losses))
    usual, cautious = (plan(Truncation(quantile=0.4, min_gap=each), of, seed) for each in (0.0, gap))
    assert len(usual.slots) == len(cautious.slots) == len(losses)
    kept = {slot.parent for slot in cautious.slots if slot.repeat}
    assert {slot.parent for slot in usual.slots if slot.repeat} <= kept


def test_a_population_of_lines_keeps_its_size_where_members_are_late() -> None:
    optimizer = Optimizer(
        Space(x=Float(0, 1)), population=20, steps=6, preset="pbt", searcher=Curious(), quorum=0.8, max_concurrent=20
    )
    running: list[Trial] = []
    rng = np.random.default_rng(0)
    while not optimizer.finished or running:
        running += optimizer.ask(8)
        trial = running.pop(int(rng.integers(len(running))))
        if trial.generation < optimizer.generation and trial.id % 2:
            optimizer.fail(trial.id, "lost")
        else:
            optimizer.tell(trial.id, trial.config["x"])
    assert [generation.count for generation in optimizer.state.closed] == [20] * 6
    assert optimizer.tally.trained == optimizer.budget


def test_members_that_were_not_asked_are_replaced() -> None:
    found = plan(Truncation(), closing([record(0, 0.1), record(1, 0.3), record(2, 0.2)], population=5))
    assert [slot.repeat for slot in found.slots] == [True, True, True, False, False]
    assert {slot.parent for slot in found.slots[3:]} == {0}


def test_a_lone_member_goes_on() -> None:
    assert plan(Truncation(), closing([record(0, 0.3)], population=1)).slots == (Slot(0, True),)


def test_independent_lines_keep_their_configs_and_end_where_they_fail() -> None:
    members = [record(0, 0.3), record(1), record(2, 0.1)]
    found = plan(Independent(), closing([members[0], members[2]], members=members))
    assert found.slots == (Slot(0, True), Slot(2, True))
    optimizer = Optimizer(LINE, population=4, steps=6, searcher=Search(Curious()), trial_stopping=None,
                          reproduction=Independent(segments=2))  # fmt: skip
    while not optimizer.finished:
        (trial,) = optimizer.ask()
        optimizer.tell(trial.id, math.nan if trial.id in (1, 5) else 0.5)
    assert [r.trial.parent for r in optimizer.records] == [None] * 4 + [0, 2, 3, 4, 6]
    for r in optimizer.records:
        assert r.trial.config == optimizer.lineage(r.trial.id)[0].trial.config


# ---------------------------------------------------------------------------------------------------------------- keep


@examples(100)
@given(reproductions(), st.integers(1, 9), st.integers(0, 9), st.data())
def test_what_keep_promises_holds_for_the_plan(
    rule: Reproduction, population: int, seed: int, data: st.DataObject
) -> None:
    generation = data.draw(st.integers(1, 3))
    keep = rule.keep(generation, population)
    if keep is None:
        return
    rng = np.random.default_rng(seed)
    parents = [] if generation == 1 else [record(i, float(rng.normal()), generation=0) for i in range(3)]
    count = int(rng.integers(1, population + 1))
    members = [
        record(10 + i, float(rng.normal()), parent=int(rng.integers(3)) if parents else None, x=rng.random())
        for i in range(count)
    ]
    found = plan(rule, closing(members, generation=generation, population=population, parents=parents))
    standing = members + (parents if keep.survivors else [])
    best = sorted(standing, key=lambda r: (r.loss, r.trial.id))
    taken: Counter[int | None] = Counter()
    allowed = []
    for r in best:
        is_child = r in members
        taken[r.trial.parent] += is_child
        if not (is_child and keep.per_parent is not None and taken[r.trial.parent] > keep.per_parent):
            allowed.append(r.trial.id)
    assert {slot.parent for slot in found.slots} <= set(found.parents) <= set(allowed[: keep.count])


def test_of_one_parent_s_equal_configs_only_the_best_becomes_a_parent() -> None:
    twins = [record(i, loss, x=x) for i, (loss, x) in enumerate([(0.1, 0.5), (0.1, 0.5), (0.1, 0.2), (0.2, 0.5)])]
    cousins = [record(4, 0.3, parent=9, x=0.5)]
    for generation in (1, 2):
        rule = Genealogical(parents=(1.0,), per_parent=None)
        assert plan(rule, closing(twins + cousins, generation=generation)).parents == (0, 2, 4)


class OfNine:
    """Proposes one of nine configs, mostly the first."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        return {"a": int(rng.integers(3)), "b": 0} if rng.random() < 0.7 else query.space.sample(rng)


@examples(40)
@given(genealogies(), st.integers(4, 12), st.integers(0, 99), st.booleans())
def test_clones_take_no_place_among_the_parents_while_others_are_left(
    rule: Genealogical, population: int, seed: int, ties: bool
) -> None:
    rule = attrs.evolve(rule, founders=None)
    space = Space(a=Int(0, 2), b=Int(0, 2))
    optimizer = Optimizer(
        space, population=population, steps=6, seed=seed, searcher=Search(OfNine()), reproduction=rule,
        trial_stopping=None,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    while not optimizer.finished:
        for trial in optimizer.ask(2):
            optimizer.tell(trial, 0.5 if ties else rng.random())
    kinds = [(r.trial.parent, tuple(r.trial.config.items())) for r in optimizer.records]
    for generation in range(1, optimizer.generations):
        before, closed = optimizer.state.closed[generation - 1], optimizer.state.closed[generation]
        parents = [kinds[i] for i in closed.plan.parents]
        assert len(set(parents)) == len(parents)
        candidates = {*kinds[before.first : before.first + before.count]}
        if rule.per_parent is None and not rule.survivors:
            wanted = min(rule.number_of_parents(generation, population), len(candidates))
            assert len(parents) == wanted  # none that could take the place of a clone was released


def test_nothing_is_promised_where_the_rule_leaves_it_open() -> None:
    assert Genealogical(noise=0.1).keep(3, 9) is None
    assert Genealogical(spread=0.1).keep(1, 9) is None
    assert Genealogical(spread=0.1).keep(2, 9) is not None
    assert Genealogical(spread=0.0).keep(1, 9) is not None


# ---------------------------------------------------------------------------------------------------------- whole runs


def test_the_default_run_has_the_generations_that_it_says() -> None:
    optimizer = Optimizer(
        LINE,
        population=25,
        steps=10,
        preset="greedy",
        searcher=Search(Curious()),
        trial_stopping=None,
        max_concurrent=7,
    )
    run_sequentially(optimizer, World(trouble=0))
    counts = Counter((r.trial.generation, r.trial.steps) for r in optimizer.records)
    assert counts == {(0, 4): 25, (1, 2): 25, (2, 1): 25, (3, 1): 25, (4, 1): 25, (5, 1): 25}
    assert optimizer.tally.trained == optimizer.budget == 250
    parents = [len(generation.plan.parents) for generation in optimizer.state.closed]
    assert parents[:2] == [0, 15]
    assert all(found <= most for found, most in zip(parents[2:], [11, 9, 6, 4], strict=True))


def test_the_paper_s_run_has_a_generation_a_step_and_the_root_of_n_parents() -> None:
    optimizer = Optimizer(LINE, population=10, steps=4, preset="paper", searcher=Curious())
    run_sequentially(optimizer, World(trouble=0))
    assert [len(g.plan.parents) for g in optimizer.state.closed] == [0, 3, 3, 3]
    litters = [[len(g.plan.litters[p]) for p in g.plan.parents] for g in list(optimizer.state.closed)[1:]]
    assert litters == [[4, 3, 3]] * 3
    assert {r.trial.steps for r in optimizer.records} == {1}
