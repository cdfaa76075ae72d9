"""Histories as arrays, encoded once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gpbt_core.records import Record
from gpbt_core.space import Categorical, Float, Space
from gpbt_searchers.encoded import Encoded, Memory
from gpbt_searchers.gp import GaussianProcess
from gpbt_searchers.pb2 import PB2
from gpbt_searchers.tpe import TPE
from searchers.family import query_after, record_of

SPACE = Space(x=Float(0, 1), kind=Categorical(["a", "b"]))


def told(count: int) -> tuple[Record, ...]:
    rng = np.random.default_rng(0)
    made = [record_of(k, SPACE.sample(rng), None if k % 7 == 3 else float(rng.random())) for k in range(8)]
    made += [record_of(k, SPACE.sample(rng), float(rng.random()), parent=k % 8, generation=1) for k in range(8, count)]
    return tuple(made)


class Counting:
    """How many configs were encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        encode = Space.encode

        def counted(space: Space, configs: Sequence[Any]) -> Any:
            self.count += len(configs)
            return encode(space, configs)

        monkeypatch.setattr(Space, "encode", counted)


def searchers() -> list[Any]:
    made: list[Any] = [GaussianProcess(), PB2(), TPE()]
    try:
        from gpbt_searchers.cmaes import CMAES
    except ImportError:
        return made
    return [*made, CMAES()]


@pytest.mark.parametrize("searcher", searchers(), ids=lambda searcher: type(searcher).__name__)
def test_of_a_history_that_grows_only_what_is_new_is_encoded(searcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    records = told(60)
    searcher.propose(query_after(SPACE, records[:50], parent=records[0], generation=2, generations=3), _rng())
    counting = Counting(monkeypatch)
    searcher.propose(query_after(SPACE, records, parent=records[0], generation=2, generations=3), _rng())
    assert 10 <= counting.count <= 13  # the ten, the parent, and what is pending


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_history_of_all_lines_is_encoded_once_for_all_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    records, memory = told(40), Memory()
    memory.history(query_after(SPACE, records[:39], parent=records[0]))
    counting = Counting(monkeypatch)
    found = memory.history(query_after(SPACE, records, parent=records[1]))
    assert counting.count == 1
    fresh = Encoded.of(SPACE, records)
    assert (found.u == fresh.u).all()
    assert np.array_equal(found.losses, fresh.losses, equal_nan=True)
    assert (found.generations == fresh.generations).all()


def test_the_arrays_cannot_be_changed() -> None:
    encoded = Encoded.of(SPACE, told(10))
    with pytest.raises(ValueError, match="read-only"):
        encoded.u[0, 0] = 0.5
