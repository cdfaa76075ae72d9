"""Revisions: the last steps of a run improve its best line from its checkpoints, judged by the end alone."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import (
    Categorical,
    ConfigError,
    Float,
    Genealogical,
    Optimizer,
    PluginError,
    Quantile,
    Rule,
    Search,
    Space,
    Status,
)
from gpbt_core.reproduction import Closing, Plan, ReproductionRule, Slot
from gpbt_core.searcher import Query
from gpbt_core.testing import check_reproduction
from runs import SPACE, Curious, World, run_interleaved, run_sequentially

RULE = Genealogical(segments=(0.4, 0.2, 0.2, 0.2), founders=6, spread=0.0, revisions=0.4, together=2, refill=False)
LINE = Space(x=Float(0, 1))


def make(**changes: Any) -> Optimizer:
    """A run of 8 models of 10 steps: 4 generations of lines, then revisions from the segments 3, 2, 1 and again."""
    setup: dict[str, Any] = {"population": 8, "steps": 10, "seed": 3, "reproduction": RULE, "trial_stopping": None}
    return Optimizer(changes.pop("space", LINE), **{"searcher": Search(Curious()), **setup, **changes})


def train(optimizer: Optimizer, score: Any) -> None:
    """Trains a run one trial after the other; `score` gets the lineage of a trial, itself included."""
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial, score([record.trial for record in optimizer.lineage(trial)]))


def path(line: Any) -> float:
    """A loss that depends on the whole path: each segment has another best value."""
    return float(sum(abs(trial.config["x"] - 0.2 * trial.depth) for trial in line))


def first_of_revision(optimizer: Optimizer) -> list[Any]:
    """The trials with which revisions begin: later generations' children of trials that are not in one themselves."""
    start = optimizer.settings.line
    return [
        record.trial
        for record in optimizer.records
        if record.trial.generation >= start
        and record.trial.parent is not None
        and optimizer.records[record.trial.parent].trial.generation < start
    ]


def test_a_run_spends_its_share_on_revisions_and_keeps_to_its_budget() -> None:
    optimizer = make()
    assert optimizer.settings.lengths == (4, 2, 2, 2, *(2,), *(2, 2), *(2, 2, 2), *(2,), *(2, 2))
    train(optimizer, path)
    revising = sum(r.steps for r in optimizer.records if r.trial.generation >= 4)
    assert (revising, optimizer.tally.trained, optimizer.budget) == (32, 80, 80)


def test_a_revision_starts_from_a_checkpoint_of_the_best_line_and_trains_to_the_end() -> None:
    optimizer = make()
    best: list[int] = []
    while not optimizer.finished:
        for trial in optimizer.ask():
            if trial.generation == 4:
                best = best or [record.trial.id for record in optimizer.lineage(optimizer.best.trial)]
                assert trial.parent == best[2]
            optimizer.tell(trial, path([record.trial for record in optimizer.lineage(trial)]) + (trial.depth < 3))
    ends = [r for r in optimizer.records if r.trial.generation >= 4 and r.trial.depth == 3]
    assert {r.trial.start_step + r.trial.steps for r in ends} == {10}
    assert len(ends) == 9  # the steps that are left allow only one in the last round


def test_after_the_searched_segment_a_revision_keeps_the_line_s_configs_with_a_shift_that_shrinks() -> None:
    optimizer = make()
    train(optimizer, lambda line: -float(line[-1].generation < 4) - line[-1].depth)  # the first line stays the best
    (line,) = {tuple(r.trial.id for r in optimizer.lineage(optimizer.best.trial))}
    own = [optimizer.records[i].trial.config["x"] for i in line]
    for begin in (trial for trial in first_of_revision(optimizer) if trial.depth == 1):
        moved, at = begin.config["x"] - own[1], begin
        for depth, share in ((2, 1 - 2 / 6), (3, 1 - 4 / 6)):
            (at,) = (r.trial for r in optimizer.records if r.trial.parent == at.id)
            assert at.config["x"] == pytest.approx(np.clip(own[depth] + share * moved, 0, 1), abs=1e-12)


def test_a_better_end_is_what_is_revised_next_whatever_it_was_on_the_way() -> None:
    optimizer = make()
    train(optimizer, lambda line: 10.0 - line[-1].generation if line[-1].depth == 3 else 100.0 + line[-1].generation)
    rounds = first_of_revision(optimizer)
    for before, after in zip(rounds[1:-1:2], rounds[2::2], strict=True):
        end = max(r.trial.id for r in optimizer.records if r.trial.depth == 3 and r.trial.id < after.id)
        assert after.parent in {record.trial.id for record in optimizer.lineage(end)}
        assert after.generation > before.generation


def test_the_searcher_sees_trials_of_complete_lines_with_the_best_end_of_each() -> None:
    seen: list[Query] = []

    @attrs.frozen
    class Watching:
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
            if query.generation and query.parent is not None and optimizer.generation >= 4:
                seen.append(query)
                ends: dict[int, float] = {}
                for record in optimizer.records:
                    if record.trial.depth == 3 and record.loss is not None:
                        for one in optimizer.lineage(record.trial):
                            ends[one.trial.id] = min(ends.get(one.trial.id, np.inf), record.loss)
                assert query.history
                for record in query.history:
                    assert record.loss == ends[record.trial.id]
                    assert record.trial.generation == record.trial.depth > 0
                assert (query.generation, query.generations) == (query.depth, 4)
                assert {t.parent for t in query.pending} <= {query.parent.trial.id}
            return query.space.sample(rng)

    optimizer = make(searcher=Search(Watching()), max_concurrent=4)
    while not optimizer.finished:
        for trial in optimizer.ask(2):
            optimizer.tell(trial, path([record.trial for record in optimizer.lineage(trial)]))
    assert len(seen) == 9


def test_the_checkpoints_of_lines_that_may_be_the_best_are_kept_and_in_the_end_let_go() -> None:
    optimizer = make()
    held: set[int] = set()
    most = 0
    while not optimizer.finished:
        for trial in optimizer.ask():
            assert trial.parent is None or trial.parent in held
            optimizer.tell(trial, path([record.trial for record in optimizer.lineage(trial)]))
            held.add(trial.id)
        held -= set(optimizer.released())
        most = max(most, len(held))
    assert most <= (optimizer.needs.checkpoints or 0)
    assert held == {optimizer.best.trial.id} | {best.trial.id for best in optimizer.finalists}


def test_where_all_of_a_round_fail_new_ones_begin_and_the_run_comes_to_its_end() -> None:
    optimizer = make()
    while not optimizer.finished:
        for trial in optimizer.ask():
            if trial.generation in (5, 8):
                optimizer.fail(trial, "no")
            else:
                optimizer.tell(trial, 1.0 / (1 + trial.id))
    assert not optimizer.extinct
    assert optimizer.generation == optimizer.generations == 13


def test_no_trial_of_a_revision_stops_early() -> None:
    optimizer = make(trial_stopping=Quantile(min_trials=1), max_concurrent=1)
    run_sequentially(optimizer, World(trouble=0, reports=1.0))
    stopped = {r.trial.generation for r in optimizer.records if r.status is Status.STOPPED}
    assert stopped
    assert max(stopped) < 4


def test_no_generation_of_revisions_ends_early() -> None:
    @attrs.frozen
    class Always(Rule):
        name = "always"

        def enough(self, best: float, before: Sequence[float]) -> bool:  # noqa: ARG002  # the protocol's signature
            return True

    optimizer = make(generation_stopping=Always(), max_concurrent=1)
    train(optimizer, path)
    asked = Counter(record.trial.generation for record in optimizer.records)
    counts = [optimizer.settings.reproduction.slots(g, 8, 10) for g in range(4, 13)]  # type: ignore[attr-defined]
    assert [asked[g] for g in range(13)] == [1, 1, 1, 1, *counts]


def test_an_extension_continues_the_best_line_of_all() -> None:
    optimizer = make()
    train(optimizer, lambda line: -float(line[-1].generation < 4) - line[-1].depth)
    best = optimizer.best.trial.id
    optimizer.extend(1)
    assert best in {trial.parent for trial in optimizer.ask(4)}
    assert optimizer.budget == 80 + 8 * 2


@pytest.mark.parametrize("seed", range(8))
def test_no_extension_starts_from_a_checkpoint_that_is_gone(seed: int) -> None:
    optimizer, gone, rng = make(seed=seed, searcher="random"), set[int | None](), np.random.default_rng(seed)
    for generations in (1, 1, 2, 1):
        while not optimizer.finished:
            for trial in optimizer.ask():
                assert trial.parent not in gone
                optimizer.tell(trial, rng.normal())
            gone |= set(optimizer.released())
        optimizer.extend(generations)


def test_no_checkpoint_is_given_up_before_its_trial_has_ended() -> None:
    optimizer = make(quorum=0.3, searcher="random")
    straggler = None
    while not optimizer.finished:
        for trial in optimizer.ask(4):
            if straggler is None and trial.generation == 1:
                straggler = trial
            else:
                optimizer.tell(trial, 1.0)
    assert straggler is not None
    assert straggler.id not in optimizer.released()
    optimizer.tell(straggler, 0.0)
    assert optimizer.best.trial.id == straggler.id
    assert straggler.id not in optimizer.released()


def test_in_a_space_of_all_kinds_of_parameters_every_config_is_valid() -> None:
    for seed in range(5):
        optimizer = make(space=SPACE, seed=seed)
        run_sequentially(optimizer, World())
        for record in optimizer.records:
            assert SPACE.validate(record.trial.config) == record.trial.config


def test_a_changed_category_stays_changed_to_the_end() -> None:
    optimizer = make(space=Space(kind=Categorical(["a", "b", "c"])))
    train(optimizer, lambda line: -float(line[-1].generation < 4) - line[-1].depth)
    (line,) = {tuple(r.trial.id for r in optimizer.lineage(optimizer.best.trial))}
    for begin in first_of_revision(optimizer):
        if begin.config != optimizer.records[line[begin.depth]].trial.config:
            children = [r.trial for r in optimizer.records if r.trial.parent == begin.id]
            assert all(child.config == begin.config for child in children)


@given(seed=st.integers(0, 999), together=st.integers(1, 3), m=st.integers(1, 6), share=st.floats(0, 1))
def test_the_workers_and_any_interruption_change_nothing(seed: int, together: int, m: int, share: float) -> None:
    rule = attrs.evolve(RULE, together=together)
    one, other = (make(space=SPACE, seed=seed, reproduction=rule, max_concurrent=m) for _ in range(2))
    run_sequentially(one, World())
    rng = np.random.default_rng(seed)
    run_interleaved(other, World(), lambda count: int(rng.integers(count)), workers=3)
    assert one.records == other.records
    half = make(space=SPACE, seed=seed, reproduction=rule, max_concurrent=m)
    run_sequentially(half, World(), until=int(share * len(one.records)))
    again = Optimizer.from_events(
        SPACE,
        half.events,
        population=8,
        steps=10,
        seed=seed,
        reproduction=rule,
        trial_stopping=None,
        searcher=Search(Curious()),
        max_concurrent=m,
    )
    assert again.state == half.state
    run_sequentially(again, World())
    assert again.records == one.records


def test_a_run_is_stored_in_the_middle_of_a_revision() -> None:
    optimizer = make(searcher=Search("random"))
    run_sequentially(optimizer, World(trouble=0), until=28)
    assert 4 < optimizer.generation < 13
    again = Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict())))
    assert again.state == optimizer.state
    for run in (again, optimizer):
        run_sequentially(run, World(trouble=0))
    assert again.records == optimizer.records


@pytest.mark.parametrize("rule", [RULE, Genealogical(revisions=0.3), attrs.evolve(RULE, together=5, refill=True)])
def test_the_kit_finds_nothing(rule: Genealogical) -> None:
    check_reproduction(rule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"revisions": 1.0}, r"revisions must be a number in \[0, 1\), got 1.0"),
        ({"revisions": -0.1}, "revisions must be"),
        ({"together": 0}, "together must be a whole number of at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"genealogical: {message}"):
        Genealogical(**options)


def test_founders_that_leave_nothing_beside_revisions_are_refused() -> None:
    with pytest.raises(ConfigError, match="take fewer or shorter ones, or fewer revisions"):
        make(population=4, reproduction=Genealogical(segments=2, founders=14, revisions=0.5))


@attrs.frozen
class Chooses(ReproductionRule):
    """Gives the children of the best a config of its own."""

    name = "chooses"
    config: Any = None

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - a rule's signature
        best = min(closing.candidates, key=lambda record: (record.loss, record.trial.id)).trial.id
        return Plan((best,), (Slot(best, config=self.config),) * closing.population)


def test_a_rule_may_choose_a_config_itself() -> None:
    config = LINE.decode([0.25])
    optimizer = make(population=2, steps=3, reproduction=Chooses(config))
    run_sequentially(optimizer, World(trouble=0))
    assert {r.trial.config for r in optimizer.records if r.trial.generation} == {config}


@pytest.mark.parametrize("config", [{"x": 0.5}, 3, "x"])
def test_a_rule_s_config_that_is_none_of_the_space_is_refused(config: Any) -> None:
    optimizer = make(population=2, steps=3, reproduction=Chooses(config))
    with pytest.raises(PluginError, match="must have slots whose config is None or a Config of the space, got Slot"):
        run_sequentially(optimizer, World(trouble=0))
