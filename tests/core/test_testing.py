"""The conformance kits pass what is sound and catch each way not to be."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
from hypothesis import given

from gpbt_core import (
    ConfigError,
    Float,
    Genealogical,
    Improvement,
    Independent,
    Int,
    Optimizer,
    PluginError,
    Quantile,
    Search,
    Space,
    Truncation,
    UnsupportedSpaceError,
)
from gpbt_core.reproduction import Closing, Keep, Plan, ReproductionRule, Slot, litters
from gpbt_core.rule import Rule
from gpbt_core.searcher import Query
from gpbt_core.testing import check_early_stopping, check_reproduction, check_searcher, example_queries, example_spaces
from runs import Curious, reproductions
from strategies import examples

LINE = Space(x=Float(0, 1))


class Uniform:
    """The simplest searcher."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        return query.space.sample(rng)


class Following:
    """Answers near the best config told."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        told = [record for record in query.history if record.loss is not None]
        if not told or rng.random() < 0.2:
            return query.space.sample(rng)
        return min(told, key=lambda record: record.loss or 0.0).trial.config


class Narrow:
    """Searches spaces of at most five parameters."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        if len(query.space) > 5:
            raise UnsupportedSpaceError(f"narrow: the space must have at most 5 parameters, got {len(query.space)}")
        return query.space.sample(rng)


# ----------------------------------------------------------------------------------------------------------- searchers


@pytest.mark.parametrize("searcher", [Uniform(), Curious(), Following(), Narrow()])
def test_a_sound_searcher_passes(searcher: Any) -> None:
    check_searcher(searcher)


def test_a_searcher_that_follows_the_losses_learns() -> None:
    check_searcher(Following(), learns=True)
    for searcher in (Uniform(), CachesForAll()):
        with pytest.raises(AssertionError, match="proposals must follow the losses"):
            check_searcher(searcher, spaces=[LINE], learns=True)
    with pytest.raises(AssertionError, match="proposals must not follow failed trials"):
        check_searcher(FollowsFailures(), learns=True)


class Remembers:
    """Answers otherwise each time."""

    def __init__(self) -> None:
        self.count = 0

    def propose(self, query: Query, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a searcher's signature
        self.count += 1
        return query.space.decode([(self.count % 97) / 97] * len(query.space))


class Global:
    """Draws from numpy's global generator."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        np.random.rand()  # noqa: NPY002 - the mistake under test
        return query.space.sample(rng)


class Pythons:
    """Draws from Python's global generator."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a searcher's signature
        return query.space.decode([random.random() for _ in query.space.names])  # noqa: S311 - the mistake under test


class Outside:
    """Answers beside the space."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        config = dict(query.space.sample(rng))
        return {name: value * 3 + 5 if isinstance(value, float) else value for name, value in config.items()}


class Leaves:
    """Leaves a parameter out."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        return dict(list(query.space.sample(rng).items())[1:])


class Numpys:
    """Lets a numpy scalar out."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        config = query.space.sample(rng)
        return {name: np.float64(v) if isinstance(v, float) else v for name, v in config.items()}


class Changes:
    """Changes what it was asked with."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        for record in query.history:
            object.__setattr__(record, "loss", 0.0)
        return query.space.sample(rng)


class SpoiltByNaN:
    """Averages what `encode` returns, in which an inactive parameter is NaN, and lets `decode` raise."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        return query.space.decode(query.space.encode([query.space.sample(rng) for _ in range(5)]).mean(axis=0))


class HidesItsErrors:
    """Turns each of its mistakes into the error of a wrong value."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        try:
            return query.space.decode([rng.random() ** query.parent.loss] * len(query.space))  # type: ignore[operator, union-attr]
        except (AttributeError, TypeError) as error:
            raise ConfigError("hides: the space is not for me") from error


class NeedsTheParentsLoss:
    """Takes the parent's loss for granted."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        scale = 1.0 if query.parent is None else abs(query.parent.loss)  # type: ignore[arg-type]
        return query.space.decode(rng.random(len(query.space)) ** min(1.0, scale))


class CachesByLength:
    """Keeps what it learned from a history of some length for every other history of that length."""

    def __init__(self) -> None:
        self.best: dict[int, Any] = {}

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        told = [record for record in query.history if record.loss is not None]
        if not told:
            return query.space.sample(rng)
        if len(query.history) not in self.best or query.space != self.best[len(query.history)][0]:
            best = min(told, key=lambda record: record.loss or 0.0)
            self.best[len(query.history)] = query.space, best.trial.config
        return self.best[len(query.history)][1]


class CachesByParent(CachesByLength):
    """Keeps what it learned of a parent, whatever is told later."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        if query.parent is None:
            return query.space.sample(rng)
        key = query.parent.trial.id
        if key not in self.best or query.space != self.best[key][0]:
            self.best[key] = query.space, Following().propose(query, rng)
        return self.best[key][1]


class CachesForAll(CachesByLength):
    """Keeps it for all objects, too."""

    best: ClassVar[dict[int, Any]] = {}  # type: ignore[misc]  # shared, which is the mistake under test

    def __init__(self) -> None:
        pass


class FollowsFailures:
    """Takes a failed trial for one with a loss of 0, the best."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        if not query.history or rng.random() < 0.2:
            return query.space.sample(rng)
        return min(query.history, key=lambda record: record.loss or 0.0).trial.config


class FailsOnFailures:
    """Cannot take a history of failures alone."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        if query.history:
            min(record.loss for record in query.history if record.loss is not None)
        return query.space.sample(rng)


class Picky:
    """Refuses every space."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a searcher's signature
        raise UnsupportedSpaceError("picky: expected another space")


class Moody:
    """Refuses a space that it has answered in."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        if query.history:
            raise UnsupportedSpaceError("moody: expected no history")
        return query.space.sample(rng)


class Relents:
    """Answers in a space that it has refused."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        if not query.history:
            raise UnsupportedSpaceError("relents: expected a history")
        return query.space.sample(rng)


class Silent:
    """Refuses without a reason."""

    def propose(self, query: Query, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a searcher's signature
        raise UnsupportedSpaceError


@pytest.mark.parametrize(
    ("searcher", "message"),
    [
        (Remembers(), "the same query and generator must have the same answer"),
        (
            Global(),
            "randomness must come from the given generator alone, but numpy's global one was used",
        ),
        (Pythons(), "the same query and generator must have the same answer"),
        (Outside(), "must be a config of Space"),
        (Leaves(), "must be a config of Space"),
        (Numpys(), "x must be a plain float, got <class 'numpy.float64'>"),
        (Changes(), "the query must stay as it was, but it was changed"),
        (FailsOnFailures(), "a child of a failed trial: propose must .*; it raised ValueError: .*empty"),
        (SpoiltByNaN(), "a founder without any history: propose must .*; it raised ConfigError: .*nan"),
        (HidesItsErrors(), "a founder without any history: .*; it raised ConfigError: hides: the space is not for me"),
        (NeedsTheParentsLoss(), "a child of a failed trial: .*; it raised TypeError"),
        (CachesByLength(), "must have the same answer, .* from an unused copy of it, .*; does a cache miss a part"),
        (CachesByParent(), "must have the same answer, .* from an unused copy of it, .*; does a cache miss a part"),
        (Picky(), "must accept at least one of the spaces"),
        (Moody(), "a space that was accepted must not be refused later, got moody: expected no history"),
        (Relents(), "a space that was refused must be refused at each query, got an answer"),
        (Silent(), "UnsupportedSpaceError must say why, got no message"),
        (3, r"must be an object with propose\(query, rng\), got 3"),
    ],
)
def test_a_searcher_that_is_none_is_caught(searcher: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        check_searcher(searcher)


def test_the_exception_of_a_searcher_is_the_cause_of_the_kit_s() -> None:
    with pytest.raises(AssertionError) as caught:
        check_searcher(HidesItsErrors())
    assert isinstance(caught.value.__cause__, ConfigError)
    assert isinstance(caught.value.__cause__.__cause__, AttributeError)


def test_a_searcher_may_be_checked_in_spaces_of_one_s_own() -> None:
    check_searcher(Numpys(), spaces=[Space(one=Int(0, 5))])  # where it has nothing to spoil
    with pytest.raises(AssertionError, match="at least one"):
        check_searcher(Uniform(), spaces=[])


def test_examples_have_every_kind_of_parameter_and_of_history() -> None:
    spaces = example_spaces()
    assert {type(p).__name__ for space in spaces for p in space.parameters.values()} == {"Float", "Int", "Categorical"}
    assert any(space.conditions for space in spaces)
    assert max(map(len, spaces)) == 30
    queries = dict(example_queries(LINE))
    lengths = {len(query.history) for query in queries.values()}
    assert {0, 1, 2, 40} <= lengths
    assert any(query.parent is None for query in queries.values())
    assert any(query.parent is not None for query in queries.values())
    assert any(query.pending for query in queries.values())


# -------------------------------------------------------------------------------------------------------------- rules


@examples(25)
@given(reproductions())
def test_every_rule_of_the_core_passes(rule: Any) -> None:
    check_reproduction(rule)


@pytest.mark.parametrize("rule", [Genealogical(), Truncation(), Independent(segments=3)])
@pytest.mark.parametrize(("population", "steps"), [(1, 1), (2, 5), (25, 10)])
def test_every_default_rule_passes_at_all_sizes(rule: Any, population: int, steps: int) -> None:
    check_reproduction(rule, population=population, steps=steps)


@attrs.frozen
class Lines:
    """A sound rule to spoil."""

    name: ClassVar[str] = "lines"
    select_by: ClassVar[str] = "score"
    refill: ClassVar[bool] = False

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:  # noqa: ARG002 - a rule's signature
        return (1,) * steps

    def first_slots(self, population: int) -> int:
        return population

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - as above
        ids = [record.trial.id for record in closing.candidates]
        return Plan(tuple(ids), tuple(Slot(i) for i in ids))

    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002 - as above
        return None


def test_a_sound_rule_of_one_s_own_passes() -> None:
    check_reproduction(Lines())


class TooLong(Lines):
    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:
        return (*super().segment_lengths(population, steps), 1)


class Empty(Lines):
    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:
        return (*super().segment_lengths(population, steps), 0)


class BegetsOfTheFailed(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - a rule's signature
        ids = [record.trial.id for record in closing.members]
        return Plan(tuple(ids), tuple(Slot(i) for i in ids))


class BreaksItsPromise(Lines):
    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002 - a rule's signature
        return Keep(count=1)

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - as above
        ids = [record.trial.id for record in closing.members if record.loss is not None] or [
            closing.parents[0].trial.id
        ]
        return Plan(tuple(ids), tuple(Slot(i) for i in ids))


class Unknown(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - a rule's signature
        return Plan((999,), (Slot(999),) * closing.population)


class Forgets(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        return Plan((), super().plan(closing, rng).slots)


class Doubles(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        found = super().plan(closing, rng)
        return Plan(found.parents * 2, found.slots)


_counts = itertools.count()


class Random(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        found = super().plan(closing, rng)
        return Plan(found.parents, found.slots[: 1 + next(_counts) % len(found.slots)])


class Numpy(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        found = super().plan(closing, rng)
        return Plan(tuple(rng.permutation(found.parents)), found.slots)


class Plain:
    """Has what a rule must have, but is no attrs class."""

    name = "plain"
    select_by = "score"
    refill = False
    segment_lengths = Lines.segment_lengths
    first_slots = Lines.first_slots
    plan = Lines.plan
    keep = Lines.keep


class NoSlots(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        return Plan(super().plan(closing, rng).parents, ())


class NoPlan(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Any:  # noqa: ARG002 - a rule's signature
        return None


class Begins(Lines):
    def first_slots(self, population: int) -> int:  # noqa: ARG002 - a rule's signature
        return 0


class Fractions(Lines):
    def segment_lengths(self, population: int, steps: int) -> Any:  # noqa: ARG002 - a rule's signature
        return (steps / 2, steps / 2)


class LongAgo(Lines):
    """Goes on from the founders in the last generation, too, whose checkpoints are gone by then."""

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        if closing.generation < 3:
            return super().plan(closing, rng)
        first = next(record.trial.id for record in closing.records if record.loss is not None)
        return litters([first], closing.population)


class Crowded(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        return litters(super().plan(closing, rng).parents, 10 * closing.population)


class KeepsNothing(Lines):
    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002 - a rule's signature
        return Keep(count=0)


class RemembersRuns(Lines):
    """Keeps, for each generation, the order that it found in its first run."""

    kept: ClassVar[dict[Any, Any]] = {}

    def __init__(self) -> None:
        object.__setattr__(self, "kept", {})

    def __deepcopy__(self, memo: object) -> "RemembersRuns":
        return RemembersRuns()

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - a rule's signature
        ids = [record.trial.id for record in closing.candidates]
        order = self.kept.setdefault(
            (closing.generation, len(ids)), [record.loss or 0.0 for record in closing.candidates]
        )
        ids = [ids[i] for i in np.argsort(order)]
        return Plan(tuple(ids), tuple(Slot(i) for i in ids))


class Raises(Lines):
    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - a rule's signature
        raise ZeroDivisionError("no reason")


class OnlyAtTheStart(Lines):
    """Works until a whole generation fails."""

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:
        if not any(record.loss is not None for record in closing.members):
            raise ValueError("nobody")
        return super().plan(closing, rng)


class Refills(Lines):
    refill: ClassVar[Any] = 1


LENGTHS = r"segment_lengths\(7, 12\) must be a tuple of ints of at least 1 that sum to 12, got"
PARENTS = "must take its parents from closing.candidates, closing.parents or closing.line, got trial "
SPOILT: list[tuple[Any, str]] = [
    (TooLong(), LENGTHS),
    (Empty(), LENGTHS),
    (Fractions(), LENGTHS),
    (Begins(), r"first_slots\(7\) must be an int from 1 to 1,000,000, got 0"),
    (BegetsOfTheFailed(), PARENTS + r"\d+, which is failed"),
    (BreaksItsPromise(), PARENTS + r"\d+, which is completed, but released: keep promised"),
    (LongAgo(), PARENTS + r"\d+, which is completed, but released"),
    (Unknown(), PARENTS + "999, which is unknown"),
    (Forgets(), r"the plan of generation 1 must name the parents of all slots among its parents \(\), got Slot"),
    (Doubles(), "the plan of generation 1 must have distinct parents, got"),
    (Numpy(), "the plan of generation 1 must have a tuple of plain ints as parents, got"),
    (NoSlots(), r"the plan of generation 1 must have a tuple of at least one Slot as slots, got \(\)"),
    (NoPlan(), "the plan of generation 1 must be a Plan, got None"),
    (KeepsNothing(), r"keep\(1, 7\) must be None, or a Keep with ints of at least 1"),
    (Raises(), "the plan of generation 1 raised ZeroDivisionError: no reason"),
    (Refills(), "refill must be a bool and select_by a str, got 1 and 'score'"),
]


@pytest.mark.parametrize(("rule", "message"), SPOILT, ids=lambda value: type(value).__name__)
def test_a_spoilt_reproduction_rule_is_caught_by_the_kit_and_by_a_run_that_then_is_as_before(
    rule: Any, message: str
) -> None:
    with pytest.raises(AssertionError, match=rf"rule 'lines' \(test_testing\.{type(rule).__name__}\): .*{message}"):
        check_reproduction(rule)
    with pytest.raises(PluginError, match=message):
        to_the_end(make_run(rule))


def to_the_end(optimizer: Optimizer) -> None:
    """Trains a run; a call that a rule spoils must leave everything as it was."""
    before = optimizer.state
    try:
        while not optimizer.finished:
            before = optimizer.state
            trials = optimizer.ask()
            for trial in trials:
                before = optimizer.state
                optimizer.report(trial.id, 1, 0.5)
                before = optimizer.state
                if trial.id % 5:
                    optimizer.tell(trial.id, 1 / (1 + trial.id))
                else:
                    optimizer.fail(trial.id, "bad luck")
    except PluginError:
        assert optimizer.state is before
        raise


def make_run(rule: Any, **changes: Any) -> Optimizer:
    """A run of 7 models of 12 steps each."""
    setup: dict[str, Any] = {"population": 7, "steps": 12, "trial_stopping": None, "reproduction": rule}
    return Optimizer(LINE, searcher=Search(Uniform()), **(setup | changes))


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (RemembersRuns(), AssertionError, "two runs with the same seed must be the same, got two different ones"),
        (Random(), AssertionError, "two runs with the same seed must be the same, got two different ones"),
        (Crowded(), AssertionError, "must have at most 7 slots, which is what the budget of the run leaves, got 70"),
        (OnlyAtTheStart(), AssertionError, "generation 1 fails: .* raised ValueError: nobody"),
        (Plain(), ConfigError, "a rule must be an attrs class with a name to be stored"),
        (Quantile(), AssertionError, "the rule must have a name, select_by, refill, segment_lengths, first_slots"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_reproduction_rule_whose_fault_no_single_answer_shows_is_caught_by_the_kit(
    rule: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_reproduction(rule)


class Winner(ReproductionRule):
    """The whole of a rule: everybody starts from the best."""

    def plan(self, closing: Closing, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - a rule's signature
        best = min(closing.candidates, key=lambda record: record.loss or 0.0)
        return litters([best.trial.id], closing.population)


class Patient(Rule):
    """Stops whatever is worse than the best."""

    def limit(self, ranking: Sequence[tuple[float, int]]) -> float:
        return ranking[0][0] if ranking else math.inf


def test_a_rule_of_one_line_derives_from_a_base_and_needs_nothing_else() -> None:
    check_reproduction(Winner())
    check_early_stopping(Patient())
    assert (Winner.name, Patient.name) == ("winner", "patient")
    optimizer = make_run(Winner(), trial_stopping=Patient())
    assert optimizer.generations == 12
    with pytest.raises(PluginError, match=r"NotImplementedError: Nothing has no method plan\(closing, rng\)"):
        to_the_end(make_run(type("Nothing", (ReproductionRule,), {})()))


class Text:
    name = "text"

    def limit(self, ranking: Any) -> Any:
        return str(len(ranking))


class Everything:
    name = "everything"

    def limit(self, ranking: Any) -> float:  # noqa: ARG002 - a rule's signature
        return -math.inf


class Breaks:
    name = "breaks"

    def limit(self, ranking: Any) -> float:
        return float(ranking[0][0])


class Quits:
    name = "quits"

    def enough(self, best: float, before: Any) -> bool:  # noqa: ARG002 - a rule's signature
        return bool(before[-1])


class NotANumber:
    name = "nan"

    def limit(self, ranking: Any) -> float:
        return math.nan if len(ranking) > 5 else math.inf


class Drifts:
    name = "drifts"

    def limit(self, ranking: Any) -> float:  # noqa: ARG002 - a rule's signature
        return float(next(_counts))


class KeepsItsFirst:
    """Keeps, for each length, the limit of the first ranking of that length."""

    name = "first"

    def __init__(self) -> None:
        self.kept: dict[int, float] = {}

    def limit(self, ranking: Any) -> float:
        return self.kept.setdefault(len(ranking), ranking[0][0] if ranking else math.inf)


class Perhaps:
    name = "perhaps"

    def enough(self, best: float, before: Any) -> Any:  # noqa: ARG002 - a rule's signature
        return None


class Toggles:
    name = "toggles"

    def enough(self, best: float, before: Any) -> bool:  # noqa: ARG002 - a rule's signature
        return next(_counts) % 2 == 0


@pytest.mark.parametrize(
    "rule", [Quantile(), Quantile(quantile=1.0, min_trials=1), Improvement(), Improvement(factor=0)]
)
def test_every_stopping_rule_of_the_core_passes(rule: Any) -> None:
    check_early_stopping(rule)


LIMIT = r"limit at step 1 must be a number above -inf \(inf: no trial stops\), got "


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Text(), LIMIT + "'0'"),
        (NotANumber(), LIMIT + "nan"),
        (Everything(), LIMIT + "-inf"),
        (Breaks(), "limit at step 1 raised IndexError"),
        (Perhaps(), r"enough\(inf, \.\.\.\) must be a bool, got None"),
        (Quits(), "enough raised IndexError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_spoilt_stopping_rule_is_caught_by_the_kit_and_by_a_run_that_then_is_as_before(
    rule: Any, message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        check_early_stopping(rule)
    stops = {"trial_stopping" if hasattr(rule, "limit") else "generation_stopping": rule}
    with pytest.raises(PluginError, match=rf"rule '{rule.name}' \(test_testing\.{type(rule).__name__}\): "):
        to_the_end(make_run(Genealogical(), population=20, **stops))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Drifts(), "two answers to the ranking .* must be the same"),
        (KeepsItsFirst(), "two answers to the ranking .* must be the same"),
        (Toggles(), "two answers to the best loss .* must be the same"),
        (Truncation(), "the rule must have a name, and limit or enough, got Truncation"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_stopping_rule_that_changes_its_mind_is_caught(rule: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_early_stopping(rule)


def test_a_stopping_rule_that_cannot_be_stored_is_caught() -> None:
    class Never:
        name: ClassVar[str] = "never"

        def limit(self, ranking: Any) -> float:  # noqa: ARG002 - a rule's signature
            return math.inf

    with pytest.raises(ConfigError, match="a rule must be an attrs class with a name to be stored"):
        check_early_stopping(Never())
