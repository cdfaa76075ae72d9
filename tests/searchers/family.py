"""Records and queries for tests of searchers, made in a line."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Family, Query
from gpbt_core.space import Config, Space
from strategies import spaces

__all__ = ["ask", "queries", "query_after", "query_of", "record_of", "trial_of"]


def trial_of(number: int, config: Mapping[str, Any], *, parent: int | None = None, generation: int = 0) -> Trial:
    """A trial of one step."""
    return Trial(
        id=number,
        parent=parent,
        generation=generation,
        depth=generation,
        config=Config(config),
        steps=1,
        start_step=generation,
    )


def record_of(
    number: int, config: Mapping[str, Any], loss: float | None, *, parent: int | None = None, generation: int = 0
) -> Record:
    """What became of it; without a loss it failed."""
    status = Status.FAILED if loss is None else Status.COMPLETED
    return Record(
        trial=trial_of(number, config, parent=parent, generation=generation), status=status, loss=loss, steps=1
    )


def query_of(
    space: Space,
    results: Sequence[tuple[Mapping[str, Any], float | None]] = (),
    *,
    pending: Sequence[Mapping[str, Any]] = (),
    **facts: Any,
) -> Query:
    """A query of generation 0 whose history are (config, loss) pairs, None for a failure."""
    told = tuple(record_of(k, config, loss) for k, (config, loss) in enumerate(results))
    waiting = tuple(trial_of(len(told) + k, config) for k, config in enumerate(pending))
    return query_after(space, told, pending=waiting, **facts)


def query_after(space: Space, told: tuple[Record, ...], *, pending: tuple[Trial, ...] = (), **facts: Any) -> Query:
    """A query with these very records."""
    return Query(space=space, family=lambda: Family(told=told, pending=pending), **facts)


def ask(searcher: Any, query: Query, count: int, *, seed: int = 0) -> list[Mapping[str, Any]]:
    """What a searcher proposes with each of so many generators."""
    return [searcher.propose(query, np.random.default_rng([seed, k])) for k in range(count)]


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Queries of arbitrary spaces: with and without a parent, failures, ties, pending trials and repeated configs."""
    space = draw(spaces())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    distinct = [space.sample(rng) for _ in range(draw(st.integers(1, 30)))]
    losses = draw(st.lists(st.sampled_from([None, 0.0, 1.0, -1e300, 1e300]) | st.floats(-1e3, 1e3), max_size=40))
    results = [(distinct[rng.integers(len(distinct))], loss) for loss in losses]
    pending = [distinct[rng.integers(len(distinct))] for _ in range(draw(st.integers(0, 3)))]
    parent = draw(st.none() | st.just(record_of(999, distinct[0], 0.0)))
    slot, seed = draw(st.integers(0, 600)), draw(st.integers(0, 2**32 - 1))
    facts = {"parent": parent, "slot": slot, "seed": seed, "generation": int(parent is not None), "generations": 2}
    return query_of(space, results, pending=pending, **facts)
