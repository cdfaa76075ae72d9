"""Conformance kits for people who write plugins: each proves what the core relies on.

A kit raises AssertionError with what was asked, what was wanted and what came; it needs no test runner.
"""

import copy
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gpbt_core import codec
from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Status, Trial
from gpbt_core.reproduction import Reproduction
from gpbt_core.searcher import Family, Query, Searcher
from gpbt_core.space import Categorical, Float, Int, Space, When

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
    """Queries that a run may put, each with what is special about it."""
    rng = np.random.default_rng(seed)
    yield "a founder without any history", Query(space=space, seed=seed)
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
    """Proves that a searcher is one: it answers with configs of the space, from the query and the generator alone.

    Args:
        searcher: The searcher.
        spaces: The spaces to ask in; None: `example_spaces()`. A searcher may refuse a space with ConfigError, but not
            all.
        learns: Also prove that proposals depend on the losses of the history.

    Raises:
        AssertionError: What it answered to what.

    Examples:
        >>> class Uniform:
        ...     def propose(self, query, rng):
        ...         return query.space.sample(rng)
        >>> check_searcher(Uniform())
    """
    if not isinstance(searcher, Searcher):
        raise AssertionError(f"check_searcher: wanted an object with propose(query, rng), got {searcher!r}")
    accepted = False
    for space in example_spaces() if spaces is None else spaces:
        accepted |= _check_in(searcher, space)
    if not accepted:
        raise AssertionError(f"check_searcher: wanted {searcher!r} to accept at least one of the spaces")
    if learns:
        _check_learns(searcher)


def _check_in(searcher: Searcher, space: Space) -> bool:
    answers: list[tuple[str, Query, dict[str, Any]]] = []
    for title, query in example_queries(space):
        before = copy.deepcopy((query.history, query.pending, query.parent))
        global_state = _global_state()
        try:
            proposed = searcher.propose(query, np.random.default_rng(7))
        except ConfigError:
            if answers:
                raise
            return False
        if _global_state() != global_state:
            raise AssertionError(
                f"{title}: wanted randomness from the given generator alone, but numpy's global one was used"
            )
        if (query.history, query.pending, query.parent) != before:
            raise AssertionError(f"{title}: wanted the query to be left as it was, but it was changed")
        try:
            valid = space.validate(proposed)
        except ConfigError as error:
            raise AssertionError(f"{title}: wanted a config of {space!r}, got {proposed!r}: {error}") from error
        for name, value in proposed.items():
            if type(value) is not type(valid[name]):
                raise AssertionError(
                    f"{title}: wanted {name} as a plain {type(valid[name]).__name__}, got {type(value)!r}"
                )
        answers.append((title, query, dict(valid)))
    again = copy.deepcopy(searcher)
    for title, query, answer in reversed(answers):
        for who, one in (("it", searcher), ("its copy", again)):
            repeated = dict(one.propose(query, np.random.default_rng(7)))
            if repeated != answer:
                raise AssertionError(
                    f"{title}: wanted the same answer to the same query and generator, got {answer!r} and then, from "
                    f"{who}, {repeated!r}"
                )
    return True


def _global_state() -> str:
    """Where numpy's global generator stands: its key, which changes now and then, and the place in it."""
    _, key, *place = np.random.get_state()  # noqa: NPY002  # watched, not used
    return f"{np.asarray(key).tobytes()!r} {place!r}"


def _check_learns(searcher: Searcher) -> None:
    """Two histories that differ in their losses alone, one good at each end, must not lead to the same proposals."""
    space = Space(x=Float(0, 1), y=Float(0, 1))
    configs = [space.sample(np.random.default_rng(i)) for i in range(24)]
    means = []
    for best in (0.1, 0.9):
        told = tuple(
            Record(
                trial=Trial(id=i, parent=None, generation=0, depth=0, config=config, steps=1, start_step=0),
                status=Status.COMPLETED,
                loss=abs(config["x"] - best),
                steps=1,
            )
            for i, config in enumerate(configs)
        )
        query = _query(space, 0, None, 24, Family(told=told))
        means.append(float(np.mean([searcher.propose(query, np.random.default_rng(i))["x"] for i in range(20)])))
    if not means[1] - means[0] > 0.2:
        raise AssertionError(
            f"check_searcher: wanted proposals to follow the losses: with the best at x = .1 and .9 they are on "
            f"average at {means}"
        )


def check_reproduction(rule: Reproduction, *, population: int = 7, steps: int = 12) -> None:
    """Proves that a reproduction rule carries runs to their end, with failures, within the promises of `keep`.

    Args:
        rule: The rule.
        population: Of the runs.
        steps: Per model, of the runs.

    Raises:
        AssertionError: What went wrong in which run.
        ConfigError: The rule is no attrs class with a name, so that a run by it cannot be written down.
    """
    if not isinstance(rule, Reproduction):
        raise AssertionError(
            f"check_reproduction: wanted a name, select_by, refill, segment_lengths, first_slots, plan and keep, "
            f"got {rule!r}"
        )
    lengths = rule.segment_lengths(population, steps)
    if sum(lengths) != steps or min(lengths) < 1:
        raise AssertionError(f"{rule!r}: wanted segments of at least 1 step that sum to {steps}, got {lengths}")
    for seed in range(10):
        try:
            first, second = (_run(rule, population, steps, seed) for _ in range(2))
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{rule!r}: wanted runs without an error, got {error!r} from seed {seed}") from error
        _check_plans(rule, first)
        if first.records != second.records:
            raise AssertionError(f"{rule!r}: wanted the same run from the same seed {seed}, got two different ones")


def _check_plans(rule: Reproduction, optimizer: Optimizer) -> None:
    for generation in optimizer.state.closed:
        parents, slots = generation.plan.parents, generation.plan.slots
        if len(set(parents)) < len(parents) or not {slot.parent for slot in slots} - {None} <= set(parents):
            raise AssertionError(
                f"{rule!r}: wanted distinct parents, among them those of all slots, got {generation.plan!r}"
            )
    state = codec.encode_state(optimizer.state)
    try:
        json.dumps(state)
    except TypeError as error:
        raise AssertionError(
            f"{rule!r}: wanted plans and segment lengths of plain numbers, so that a run can be written down: {error}"
        ) from error


class _Uniform:
    def propose(self, query: Query, rng: "np.random.Generator") -> Any:
        return query.space.sample(rng)


def _run(rule: Reproduction, population: int, steps: int, seed: int) -> Optimizer:
    optimizer = Optimizer(
        Space(x=Float(0, 1), kind=Categorical(["a", "b"])),
        population=population,
        steps=steps,
        seed=seed,
        reproduction=rule,
        searcher=_Uniform(),
        founders=None,
        trial_stopping=None,
    )
    kept: set[int | None] = {None}
    rng = np.random.default_rng(seed)
    while not optimizer.finished:
        trials = optimizer.ask()
        if not trials:
            raise AssertionError(f"{rule!r}: wanted a trial or the end, got neither, at {optimizer!r}")
        for trial in trials:
            if trial.parent not in kept:
                raise AssertionError(
                    f"{rule!r}: trial {trial.id} begins at trial {trial.parent}, which was released before"
                )
            kept.add(trial.id)
            if rng.random() < 0.15:
                optimizer.fail(trial.id, "bad luck")
            else:
                optimizer.tell(trial.id, trial.config["x"] + rng.random())
        kept -= set(optimizer.released())
    return optimizer


def check_early_stopping(rule: TrialStopping | GenerationStopping) -> None:
    """Proves that an early-stopping rule answers to every ranking, or to every pair of best losses, and twice the same.

    Raises:
        AssertionError: What it answered to what.
    """
    if isinstance(rule, TrialStopping):
        rankings: Sequence[list[tuple[float, int]]] = [
            [],
            [(0.5, 0)],
            [(0.1, 1), (0.2, 0), (math.inf, 2)],
            [(1.0, i) for i in range(9)],
            [(math.inf, i) for i in range(4)],
        ]
        for ranking in rankings:
            limits = [rule.limit(tuple(ranking)) for _ in range(2)]
            if not isinstance(limits[0], float) or math.isnan(limits[0]) or limits[0] != limits[1]:
                raise AssertionError(
                    f"{rule!r}: wanted the same limit twice, a float that is not NaN, to {ranking}, got {limits}"
                )
    elif isinstance(rule, GenerationStopping):
        for best, before in itertools.product(
            [math.inf, 0.5, -1e300], [[], [1.0], [1.0, 0.6], [math.inf, 0.6], [0.6, 0.6]]
        ):
            answers = [rule.enough(best, tuple(before)) for _ in range(2)]
            if answers[0] not in (True, False) or answers[0] != answers[1]:
                raise AssertionError(
                    f"{rule!r}: wanted the same yes or no twice to {best} after {before}, got {answers}"
                )
    else:
        raise AssertionError(f"check_early_stopping: wanted a name and limit or enough, got {rule!r}")
