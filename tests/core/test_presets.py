"""Each preset is a run that comes to its end, does what its name says, and can be written down."""

import itertools
import json
from typing import Any

import numpy as np
import pytest

from gpbt_core import PRESETS, ConfigError, Genealogical, Independent, Optimizer, Quantile, Search, Truncation
from gpbt_core.presets import preset
from gpbt_core.registry import resolve_rule
from gpbt_core.searcher import SearcherChoice
from runs import SPACE, Curious, World, run_interleaved, run_sequentially


def make(name: str, **changes: Any) -> Optimizer:
    """A small run of a preset."""
    setup: dict[str, Any] = {"population": 5, "steps": 4, "preset": name, "seed": 1}
    return Optimizer(SPACE, **(setup | changes))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_runs_to_its_end_within_its_budget_and_through_a_dict(name: str) -> None:
    optimizer = make(name)
    run_sequentially(optimizer, World(trouble=0.0), until=7)
    again = Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict(), allow_nan=False)))
    for one in (optimizer, again):
        run_sequentially(one, World(trouble=0.0))
        assert one.finished
        assert max(r.trial.start_step + r.trial.steps for r in one.records) == 4
        assert one.best.schedule.steps == one.best.trial.start_step + one.best.trial.steps
        assert one.tally.trained <= one.budget + 1
    assert again.state == optimizer.state


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_named_as_it_is_found_and_says_what_it_is(name: str) -> None:
    assert preset(name) is PRESETS[name]
    assert PRESETS[name].name == name
    assert PRESETS[name].summary


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["gpbt"]  # type: ignore[index]  # the mistake under test


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(
        ConfigError, match=r"must be one of gpbt, steady, greedy, paper, .*, got 'papper'; did you mean 'paper'\?$"
    ):
        preset("papper")


def test_the_default_is_what_the_experiments_found_best() -> None:
    chosen = PRESETS["gpbt"]
    rule = chosen.rule(25, 100)
    assert isinstance(rule, Genealogical)
    line = (20, *(10,) * 8)
    rounds = [line[segment:] for segment in (8, 7, 6, 5, 4, 3, 2, 1, 8, 8)]
    assert rule.segment_lengths(25, 100) == (*line, *itertools.chain.from_iterable(rounds))
    assert [rule.slots(g, 25, 100) for g in range(10)] == [26, 16, 16, 16, 15, 15, 15, 15, 15, 2]
    assert (rule.revisions, rule.together, rule.steady) == (0.3, 2, True)
    assert (chosen.trial_stopping, chosen.generation_stopping) == (None, None)
    assert (chosen.searcher.name, chosen.founders and chosen.founders.name, chosen.history) == ("gp", "sobol", "family")
    assert [chosen.number_of_founders(n) for n in (4, 16, 25, 100)] == [8, 12, 18, 70]


def test_the_more_models_the_larger_the_share_for_revisions_and_the_more_start_together() -> None:
    rules = [PRESETS["gpbt"].rule(n, 20) for n in (1, 8, 11, 17, 25, 50, 100)]
    shares = [rule.revisions for rule in rules if isinstance(rule, Genealogical)]
    assert shares == [0, 0, 0.1, 0.3, 0.3, 0.3, 0.3]
    assert [rule.together for rule in rules if isinstance(rule, Genealogical)] == [1, 1, 1, 1, 2, 4, 8]
    assert PRESETS["gpbt"].rule(8, 20) == PRESETS["steady"].rule(8, 20)
    assert PRESETS["gpbt"].rule(25, 1).segment_lengths(25, 1) == (1,)


def test_a_greedy_run_shrinks_its_segments_and_stops_trials() -> None:
    chosen = PRESETS["greedy"]
    rule = chosen.rule(25, 100)
    assert isinstance(rule, Genealogical)
    assert rule == Genealogical()
    assert rule.segment_lengths(25, 100) == (40, 20, 10, 10, 10, 10)
    assert [rule.number_of_parents(g, 25) for g in range(1, 6)] == [15, 11, 9, 6, 4]
    assert (rule.per_parent, rule.spread, rule.survivors, rule.repeat, rule.order) == (
        2,
        0.1,
        False,
        True,
        "round-robin",
    )
    assert (rule.noise, rule.refill) == (0.0, True)
    assert chosen.trial_stopping == Quantile(quantile=0.5, min_trials=3)
    assert chosen.generation_stopping is None
    assert (chosen.searcher.name, chosen.founders and chosen.founders.name, chosen.history) == ("gp", "sobol", "family")
    assert [chosen.number_of_founders(n) for n in (16, 25, 100)] == [5, 8, 33]


def test_few_models_of_a_greedy_run_begin_with_more_founders_and_a_shorter_look() -> None:
    rule = PRESETS["greedy"].rule(4, 20)
    assert isinstance(rule, Genealogical)
    assert rule.segment_lengths(4, 20) == (1, 3, 4, 4, 2, 2, 2, 2)
    assert [rule.slots(g, 4, 20) for g in range(8)] == [16, 4, 4, 3, 3, 3, 3, 3]
    assert [rule.number_of_parents(g, 4) for g in range(1, 8)] == [4, 2, 2, 1, 1, 1, 1]
    assert PRESETS["greedy"].number_of_founders(4) == 16


@pytest.mark.parametrize("population", range(1, 18))
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 19, 100])
@pytest.mark.parametrize("name", ["gpbt", "greedy"])
def test_a_run_keeps_to_the_budget_of_any_population(name: str, population: int, steps: int) -> None:
    changes = {"searcher": Search("random"), "trial_stopping": None}
    optimizer = make(name, population=population, steps=steps, **changes)
    run_sequentially(optimizer, World(trouble=0.0))
    last = optimizer.settings.lengths[-1]
    assert population * steps - last < optimizer.tally.trained <= population * steps


def test_the_preset_with_steady_lines_has_one_rule_for_every_population() -> None:
    chosen = PRESETS["steady"]
    rule = chosen.rule(25, 100)
    assert isinstance(rule, Genealogical)
    assert rule.segment_lengths(25, 100) == (20, *(10,) * 8)
    assert [rule.slots(g, 25, 100) for g in range(9)] == [38, 22, 22, 22, 22, 22, 22, 21, 21]
    assert [rule.number_of_parents(g, 25) for g in range(1, 9)] == [22, 11, 10, 9, 8, 6, 5, 4]
    assert (rule.steady, rule.per_parent, rule.spread, rule.survivors, rule.repeat) == (True, 2, 0.1, False, True)
    assert (rule.noise, rule.order) == (0.0, "round-robin")
    assert (chosen.trial_stopping, chosen.generation_stopping) == (None, None)
    assert (chosen.searcher.name, chosen.founders and chosen.founders.name, chosen.history) == ("gp", "sobol", "family")
    assert [chosen.number_of_founders(n) for n in (4, 16, 25, 100)] == [8, 16, 25, 100]


@pytest.mark.parametrize(
    ("steps", "lengths"),
    [
        (1, (1,)),
        (3, (1, 1, 1)),
        (10, (2, 1, 1, 1, 1, 1, 1, 1, 1)),
        (15, (3, 2, 2, 2, 2, 2, 2)),
        (25, (5, *(2,) * 10)),
        (200, (40, *(20,) * 8)),
    ],
)
def test_with_steady_lines_as_many_segments_fit_any_length(steps: int, lengths: tuple[int, ...]) -> None:
    assert PRESETS["steady"].rule(8, steps).segment_lengths(8, steps) == lengths


def test_with_steady_lines_little_changes_from_one_population_to_the_next() -> None:
    for population in range(2, 60):
        one, more = (PRESETS["steady"].rule(n, 20) for n in (population, population + 1))
        assert isinstance(one, Genealogical)
        assert isinstance(more, Genealogical)
        assert one.segments == more.segments
        assert one.parents == more.parents
        assert 0 <= more.slots(0, population + 1, 20) - one.slots(0, population, 20) <= 3


@pytest.mark.parametrize("population", [1, 2, 3, 4, 8, 25])
@pytest.mark.parametrize("steps", [2, 3, 10, 50])
def test_the_preset_with_steady_lines_holds_at_most_two_checkpoints_per_model_and_one(
    population: int, steps: int
) -> None:
    optimizer = make("steady", population=population, steps=steps, searcher=Search("random"))
    held: set[int] = set()
    rng = np.random.default_rng(0)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, rng.random())
            held.add(trial.id)
        held -= set(optimizer.released())
        assert len(held) <= 2 * population + 1


def test_the_paper_s_set_up_is_a_preset() -> None:
    chosen = PRESETS["paper"]
    assert isinstance(chosen.reproduction, Genealogical)
    assert chosen.reproduction.number_of_parents(1, 25) == 5
    assert chosen.reproduction.segment_lengths(25, 7) == (1,) * 7
    assert (chosen.reproduction.repeat, chosen.reproduction.order) == (True, "litter")
    assert chosen.searcher.name == "tpe"
    assert (chosen.founders, chosen.trial_stopping, chosen.generation_stopping) == (None, None, None)


def test_pbt_searches_in_copies_alone_and_learns_from_nothing() -> None:
    optimizer = make("pbt", population=6, searcher=Curious())
    assert isinstance(optimizer.settings.reproduction, Truncation)
    run_sequentially(optimizer, World(trouble=0.0))
    searched = [
        r.trial.id
        for r in optimizer.records
        if r.trial.parent is not None and r.trial.config != optimizer.records[r.trial.parent].trial.config
    ]
    assert len(optimizer.records) == 24
    assert 0 < len(searched) <= 3 * 2  # the bottom fifth of six, rounded up, in each of three generations


@pytest.mark.parametrize("name", ["random", "tpe", "gp"])
def test_plain_searches_train_each_config_to_the_end(name: str) -> None:
    optimizer = make(name)
    assert isinstance(optimizer.settings.reproduction, Independent)
    run_sequentially(optimizer, World(trouble=0.0))
    assert [(r.trial.parent, r.trial.steps) for r in optimizer.records] == [(None, 4)] * 5
    assert len({str(r.trial.config) for r in optimizer.records}) == 5


@pytest.mark.parametrize("name", ["paper", "pbt", "pb2", "random"])
def test_a_preset_does_not_depend_on_its_workers(name: str) -> None:
    alone, crowd = make(name), make(name)
    run_sequentially(alone, World())
    turns = iter([7, 3, 11, 2, 5, 13, 1, 17] * 10_000)
    run_interleaved(crowd, World(), lambda n: next(turns) % n, workers=5)
    assert crowd.records == alone.records


def test_a_searcher_may_be_chosen_by_name_by_name_and_options_or_as_an_object() -> None:
    own = Curious()
    assert SearcherChoice.of("tpe") == SearcherChoice(name="tpe")
    assert SearcherChoice.of(("tpe", {"a": 1})) == SearcherChoice(name="tpe", options={"a": 1})
    assert SearcherChoice.of(own).searcher is own
    assert SearcherChoice.of(SearcherChoice(name="tpe")) == SearcherChoice(name="tpe")
    for wrong in (None, 3, ("tpe",), ("tpe", 3), {"name": "tpe"}):
        with pytest.raises(ConfigError, match="searcher: must be a name, "):
            SearcherChoice.of(wrong)  # type: ignore[arg-type]  # the mistake under test


def test_a_caller_s_options_are_copied() -> None:
    options: dict[str, Any] = {}
    choice = SearcherChoice.of(("tpe", options))
    options["a"] = 1
    assert choice.options == {}


def test_a_rule_is_resolved_by_its_kind_and_name() -> None:
    assert resolve_rule("reproduction", "truncation", {"quantile": 0.25}) == Truncation(quantile=0.25)
    assert resolve_rule("early stopping", "median", {}) == Quantile()
