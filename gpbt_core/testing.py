"""Conformance kits for people who write plugins: each proves what the core relies on.

A kit raises AssertionError that says what was asked, what must be answered and what came. It needs no test runner.
"""

import copy
import functools
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from gpbt_core import codec
from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.errors import ConfigError, PluginError, UnsupportedSpaceError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Status, Trial
from gpbt_core.reproduction import Reproduction
from gpbt_core.searcher import Family, Query, Search, Searcher
from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_core.state.decisions import found_enough, limits

__all__ = ["check_early_stopping", "check_reproduction", "check_searcher", "example_queries", "example_spaces"]


def example_spaces() -> tuple[Space, ...]:
    """Spaces of every kind: linear, log, stepped, discrete, of one value, nested, conditional, of 30 dimensions."""
    kind = Categorical(["sgd", "adam", None])
    return (
        Space(x=Float(-1, 1)),
        Space(
            rate=Float(1e-6, 1, log=True), decay=Float(0, 1, step=0.25), layers=Int(1, 5), width=Int(1, 4096, log=True)
        ),
        Space(only=Float(2, 2), one=Int(3, 3), same=Categorical(["a"])),
        Space(flag=Categorical([True, False]), number=Categorical([1, 1.5, "1", None])),
        Space(
            kind=kind,
            momentum=When(Float(0, 0.99), {"kind": ["sgd"]}),
            net=Space(deep=Categorical([False, True]), layers=When(Int(2, 9), {"deep": [True]})),
        ),
        Space({f"x{i}": Float(0, 1) if i % 3 else Int(0, 9) for i in range(30)}),
    )


def _records(
    space: Space, count: int, losses: Callable[[int], float | None], rng: "np.random.Generator"
) -> list[Record]:
    made: list[Record] = []
    for i in range(count):
        parent = None if i < 8 else i - 8
        generation = i // 8
        loss = losses(i)
        trial = Trial(
            id=i,
            parent=parent,
            generation=generation,
            depth=generation,
            config=space.sample(rng),
            steps=2,
            start_step=2 * generation,
        )
        if loss is None:
            made.append(Record(trial=trial, status=Status.FAILED, steps=2, reason="it diverged"))
        else:
            stopped = i % 5 == 4
            made.append(
                Record(
                    trial=trial,
                    status=Status.STOPPED if stopped else Status.COMPLETED,
                    loss=loss,
                    steps=1 if stopped else 2,
                )
            )
    return made


def example_queries(space: Space, seed: int = 0) -> Iterator[tuple[str, Query]]:
    """Queries that a run may send, each with what is special about it."""
    rng = np.random.default_rng(seed)
    yield "a founder without any history", Query(space=space, seed=seed)
    (failed,) = _records(space, 1, lambda _: None, rng)
    yield "a child of a failed trial", _query(space, seed, failed, 1, Family(told=(failed,)))
    kinds: dict[str, Callable[[int], float | None]] = {
        "losses all different": lambda i: math.sin(7.0 * i) + 0.01 * i,
        "losses all equal": lambda _: 0.5,
        "only failures": lambda _: None,
        "every third a failure": lambda i: None if i % 3 == 0 else float(i % 4),
        "huge and tiny losses": lambda i: (-1.0) ** i * 10.0 ** (37 * i % 600 - 300),
    }
    for (name, losses), count in itertools.product(kinds.items(), (1, 2, 5, 40)):
        records = _records(space, count, losses, rng)
        pending = tuple(
            Trial(
                id=count + j,
                parent=None,
                generation=count // 8,
                depth=0,
                config=space.sample(rng),
                steps=2,
                start_step=0,
            )
            for j in range(2)
        )
        family = Family(told=tuple(records), pending=pending)
        title = f"{count} told, {name}, 2 pending"
        yield f"a founder, {title}", _query(space, seed, None, count, family)
        completed = [record for record in records if record.status is Status.COMPLETED]
        if completed:
            yield f"a child, {title}", _query(space, seed, completed[-1], count, family)
    same = _records(space, 1, lambda _: 1.0, rng)[0].trial.config
    twins = tuple(
        Record(
            trial=Trial(id=i, parent=None, generation=0, depth=0, config=same, steps=2, start_step=0),
            status=Status.COMPLETED,
            loss=float(i % 2),
            steps=2,
        )
        for i in range(12)
    )
    yield "a child, one config told 12 times", _query(space, seed, twins[0], 12, Family(told=twins))


def _query(space: Space, seed: int, parent: Record | None, slot: int, family: Family) -> Query:
    generation = 0 if parent is None else parent.trial.generation + 1
    return Query(
        space=space,
        parent=parent,
        generation=generation,
        generations=max(6, generation + 1),
        depth=generation,
        slot=slot,
        seed=seed,
        family=lambda: family,
    )


def check_searcher(searcher: Searcher, *, spaces: Iterable[Space] | None = None, learns: bool = False) -> None:
    """Proves that a searcher returns configs of the space, and that they depend on the query and the generator alone.

    The searcher is asked twice, in two orders, and unused copies of it are asked once. They find what an object
    remembers of earlier queries, such as a cache whose key is the length of the history.

    Args:
        searcher: The searcher, not used before.
        spaces: The spaces to ask in; None: `example_spaces()`. A searcher may refuse a space, but not all of them: it
            raises `UnsupportedSpaceError`, which says why, at each query in that space. Any other exception is a fault.
        learns: Also prove that proposals follow the losses, and do not follow failed trials. Pass True for a searcher
            that learns: it finds a cache that all objects share, too.

    Raises:
        AssertionError: The searcher breaks a rule; the message has the query and the answer, and the exception that the
            searcher raised is its cause.

    Examples:
        >>> class Uniform:
        ...     def propose(self, query, rng):
        ...         return query.space.sample(rng)
        >>> check_searcher(Uniform())
    """
    if not isinstance(searcher, Searcher):
        raise AssertionError(
            f"check_searcher: the searcher must be an object with propose(query, rng), got {searcher!r}"
        )
    unused, accepted = copy.deepcopy(searcher), False
    for space in example_spaces() if spaces is None else spaces:
        accepted |= _check_in(searcher, unused, space)
    if not accepted:
        raise AssertionError(f"check_searcher: {searcher!r} must accept at least one of the spaces")
    if learns:
        _check_learns(searcher)


def _check_in(searcher: Searcher, unused: Searcher, space: Space) -> bool:
    """Checks the answers in one space; returns whether the searcher accepts the space."""
    queries = list(example_queries(space))
    if _refusal(searcher, *queries[0]) is not None:
        for title, query in queries:
            if _refusal(searcher, title, query) is None:
                raise AssertionError(
                    f"{title}: a space that was refused must be refused at each query, got an answer in {space!r}"
                )
        return False
    answers = [(title, query, _answer(searcher, title, query)) for title, query in queries]
    for title, query, answer in reversed(answers):
        for who, one in (("it", searcher), ("an unused copy of it", copy.deepcopy(unused))):
            repeated = dict(_proposed(one, title, query))
            if repeated != answer:
                raise AssertionError(
                    f"{title}: the same query and generator must have the same answer, got {answer!r} and then, from "
                    f"{who}, {repeated!r}; does a cache miss a part of the query, such as the losses?"
                )
    return True


def _refusal(searcher: Searcher, title: str, query: Query) -> str | None:
    """The reason for which a searcher refuses the space of a query; None if it does not.

    Other exceptions of gpbt, such as the ConfigError of `Space.decode` for NaN, are faults of the searcher.
    """
    try:
        _proposed(searcher, title, query)
    except UnsupportedSpaceError as error:
        if not str(error):
            raise AssertionError(f"{title}: UnsupportedSpaceError must say why, got no message") from error
        return str(error)
    return None


def _proposed(searcher: Searcher, title: str, query: Query) -> Any:
    try:
        return searcher.propose(query, np.random.default_rng(7))
    except UnsupportedSpaceError:
        raise
    except Exception as error:
        raise AssertionError(
            f"{title}: propose must return a config, or raise UnsupportedSpaceError at each query in a space that it "
            f"cannot search; it raised {type(error).__name__}: {error}, in {query.space!r}"
        ) from error


def _answer(searcher: Searcher, title: str, query: Query) -> dict[str, Any]:
    """A valid answer, of a searcher that accepts the space."""
    before = copy.deepcopy((query.history, query.pending, query.parent))
    global_state = _global_state()
    try:
        proposed = _proposed(searcher, title, query)
    except UnsupportedSpaceError as error:
        raise AssertionError(f"{title}: a space that was accepted must not be refused later, got {error}") from error
    if _global_state() != global_state:
        raise AssertionError(
            f"{title}: randomness must come from the given generator alone, but numpy's global one was used"
        )
    if (query.history, query.pending, query.parent) != before:
        raise AssertionError(f"{title}: the query must stay as it was, but it was changed")
    try:
        valid = query.space.validate(proposed)
    except ConfigError as error:
        raise AssertionError(
            f"{title}: the answer must be a config of {query.space!r}, got {proposed!r}: {error}"
        ) from error
    for name, value in proposed.items():
        if type(value) is not type(valid[name]):
            raise AssertionError(f"{title}: {name} must be a plain {type(valid[name]).__name__}, got {type(value)!r}")
    return dict(valid)


def _global_state() -> str:
    """Where numpy's global generator stands: its key, which changes now and then, and the place in it."""
    _, key, *place = np.random.get_state()  # noqa: NPY002  # watched, not used
    return f"{np.asarray(key).tobytes()!r} {place!r}"


def _check_learns(searcher: Searcher) -> None:
    """Compares proposals after histories that differ in their losses alone, the best at one end or at the other."""
    space = Space(x=Float(0, 1), y=Float(0, 1))
    configs = [space.sample(np.random.default_rng(i)) for i in range(24)]

    def mean(best: float, failing: float = math.inf) -> float:
        """The mean x proposed if losses are distances from `best`, and all trials beyond `failing` failed."""
        told = tuple(
            Record(
                trial=Trial(id=i, parent=None, generation=0, depth=0, config=config, steps=1, start_step=0),
                status=Status.FAILED if config["x"] > failing else Status.COMPLETED,
                loss=None if config["x"] > failing else abs(config["x"] - best),
                steps=1,
            )
            for i, config in enumerate(configs)
        )
        query = _query(space, 0, None, 24, Family(told=told))
        return float(np.mean([searcher.propose(query, np.random.default_rng(i))["x"] for i in range(20)]))

    low, high = mean(0.1), mean(0.9)
    if not high - low > 0.2:
        raise AssertionError(
            f"check_searcher: proposals must follow the losses: with the best at x = .1 and .9 they are on "
            f"average at {[low, high]}"
        )
    failed = mean(0.1, failing=0.6)
    if not failed < (low + high) / 2:
        raise AssertionError(
            f"check_searcher: proposals must not follow failed trials: with the best at x = .1 they are on average at "
            f"{low}, and at {failed} if all trials beyond x = .6 failed"
        )


def check_reproduction(rule: Reproduction, *, population: int = 7, steps: int = 12) -> None:
    """Proves that a reproduction rule carries runs to their end within their budget and the promises of `keep`.

    Some trials of the runs fail; in further runs whole generations fail, results come late, or the run is extended.

    Args:
        rule: The rule, not used before.
        population: The population of the runs.
        steps: The steps per model of the runs.

    Raises:
        AssertionError: What went wrong in which run.
        ConfigError: The rule is not an attrs class with a name, so a run with it cannot be stored; or its options do
            not fit the population or the steps.
    """
    if not isinstance(rule, Reproduction):
        raise AssertionError(
            f"check_reproduction: the rule must have a name, select_by, refill, segment_lengths, first_slots, plan and "
            f"keep, got {rule!r}; a class that derives from ReproductionRule only needs plan"
        )
    unused = copy.deepcopy(rule)
    for seed, (title, life) in itertools.product(range(10), _LIVES.items()):
        where = f"{rule!r}, seed {seed}, {title}"
        try:
            # The unused copy has no memory of other runs.
            first, second = (_run(one, population, steps, seed, life) for one in (rule, copy.deepcopy(unused)))
        except (AssertionError, ConfigError):
            raise
        except Exception as error:
            raise AssertionError(f"{where}: the run must not raise, got {type(error).__name__}: {error}") from error
        _check_runs(where, first, second)


def _check_runs(where: str, first: Optimizer, second: Optimizer) -> None:
    if first.records != second.records:
        raise AssertionError(f"{where}: two runs with the same seed must be the same, got two different ones")
    if first.settings.quorum == 1:
        lengths = first.settings.lengths
        planned = sum(
            len(generation.plan.slots) * lengths[min(g, len(lengths) - 1)]
            for g, generation in enumerate(first.state.closed)
        )
        if planned > first.budget:
            raise AssertionError(
                f"{where}: the plans must keep to the budget of {first.budget} steps, got slots for {planned} steps"
            )
    encoded = codec.encode_state(first.state)
    try:
        json.dumps(encoded)
    except TypeError as error:
        raise AssertionError(f"{where}: options must be plain values, so that a run can be stored: {error}") from error


@attrs.frozen
class _Life:
    """What happens in a run: the share of trials that fail, generations that fail as a whole, and how it is run."""

    failing: float = 0.15
    failed_generations: tuple[int, ...] = ()
    quorum: float = 1.0
    extended: int = 0


_LIVES = {
    "some trials fail": _Life(),
    "generation 1 fails": _Life(failed_generations=(1,)),
    "results come late": _Life(quorum=0.5),
    "the run is extended": _Life(extended=2),
}


class _Uniform:
    def propose(self, query: Query, rng: "np.random.Generator") -> Any:
        return query.space.sample(rng)


def _run(rule: Reproduction, population: int, steps: int, seed: int, life: _Life) -> Optimizer:
    optimizer = Optimizer(
        Space(x=Float(0, 1), kind=Categorical(["a", "b"])),
        population=population,
        steps=steps,
        seed=seed,
        quorum=life.quorum,
        reproduction=rule,
        searcher=Search(_Uniform()),
        trial_stopping=None,
    )
    kept: set[int | None] = {None}
    rng = np.random.default_rng(seed)
    for more in (0, life.extended):
        if more and not optimizer.extinct:
            optimizer.extend(more)
        running: list[Trial] = []
        while not optimizer.finished or running:
            asked = optimizer.ask()
            running += asked
            if not running:
                raise AssertionError(f"{rule!r}: there must be a trial or the end, got neither, at {optimizer!r}")
            for trial in asked:
                if trial.parent not in kept:
                    raise AssertionError(
                        f"{rule!r}: trial {trial.id} starts from trial {trial.parent}, which was released before"
                    )
                kept.add(trial.id)
            if asked and life.quorum < 1 and rng.random() < 0.7:
                continue
            trial = running.pop(int(rng.integers(len(running))))
            if rng.random() < life.failing or trial.generation in life.failed_generations:
                optimizer.fail(trial.id, "bad luck")
            else:
                optimizer.tell(trial.id, trial.config["x"] + rng.random())
            kept -= set(optimizer.released())
    return optimizer


def check_early_stopping(rule: TrialStopping | GenerationStopping) -> None:
    """Proves that an early-stopping rule answers every ranking, or every pair of best losses, and always the same.

    Args:
        rule: The rule, not used before.

    Raises:
        AssertionError: The rule breaks a promise; the message has the question and the answer.
        ConfigError: The rule is not an attrs class with a name, so a run with it cannot be stored.
    """
    if isinstance(rule, TrialStopping):
        stops: dict[str, Any] = {"trial_stopping": rule}
        rankings: Sequence[list[tuple[float, int]]] = [
            [],
            [(0.5, 0)],
            [(0.1, 1), (0.2, 0), (math.inf, 2)],
            [(1.0, i) for i in range(9)],
            [(math.inf, i) for i in range(4)],
            [(-3.0, 0)],
            [(-1e300, 2), (0.0, 1), (1e300, 0)],
            [(0.1 * i, 8 - i) for i in range(9)],
        ]
        questions: dict[str, Callable[[Any], object]] = {
            f"the ranking {ranking}": functools.partial(limits, rankings=[tuple(ranking)]) for ranking in rankings
        }
    elif isinstance(rule, GenerationStopping):
        stops = {"trial_stopping": None, "generation_stopping": rule}
        questions = {
            f"the best loss {best} after {before}": functools.partial(found_enough, best=best, before=tuple(before))
            for best, before in itertools.product(
                [math.inf, 0.5, -1e300], [[], [1.0], [1.0, 0.6], [math.inf, 0.6], [0.6, 0.6]]
            )
        }
    else:
        raise AssertionError(f"check_early_stopping: the rule must have a name, and limit or enough, got {rule!r}")
    unused = copy.deepcopy(rule)
    for title, ask in questions.items():
        try:
            answers = [ask(one) for one in (rule, rule, copy.deepcopy(unused))]
        except PluginError as error:
            raise AssertionError(f"{rule!r}, asked with {title}: {error}") from error
        if any(answer != answers[0] for answer in answers):
            raise AssertionError(f"{rule!r}: two answers to {title} must be the same, got {answers}")
    space = Space(x=Float(0, 1))
    codec.encode_settings(Optimizer(space, steps=1, searcher=Search(_Uniform()), **stops).settings)
