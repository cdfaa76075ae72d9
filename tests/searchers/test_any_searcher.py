"""What holds for each of the simple searchers, in any space and after any history."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.searcher import Query, Searcher
from gpbt_core.testing import check_searcher
from gpbt_searchers.perturb import Perturb
from gpbt_searchers.sobol import Sobol
from gpbt_searchers.tpe import TPE
from gpbt_searchers.uniform import Random
from searchers.family import queries
from strategies import examples

SEARCHERS: list[Any] = [
    Random(),
    Sobol(),
    Perturb(),
    Perturb(factors=(0.1, 1, 7), resample_probability=0),
    TPE(),
    TPE(startup=1, multivariate=False),
    TPE(startup=1, good=1.0, candidates=1),
]
each = pytest.mark.parametrize("searcher", SEARCHERS, ids=repr)


def typed(config: Any) -> list[tuple[str, type, Any]]:
    return [(name, type(value), value) for name, value in config.items()]


@each
@examples(60)
@given(query=queries(), seed=st.integers(0, 2**32 - 1))
def test_a_proposal_is_a_config_of_the_space_with_plain_values(searcher: Searcher, query: Query, seed: int) -> None:
    config = searcher.propose(query, np.random.default_rng(seed))
    assert typed(query.space.validate(config)) == typed(config)


@each
@examples(20)
@given(query=queries(), other=queries(), seed=st.integers(0, 2**32 - 1))
def test_a_proposal_depends_on_the_query_and_the_generator_alone(
    searcher: Searcher, query: Query, other: Query, seed: int
) -> None:
    unused = pickle.loads(pickle.dumps(searcher))  # noqa: S301 - written a moment ago
    searcher.propose(other, np.random.default_rng(seed))
    first = searcher.propose(query, np.random.default_rng(seed))
    assert typed(first) == typed(searcher.propose(query, np.random.default_rng(seed)))
    assert typed(first) == typed(unused.propose(query, np.random.default_rng(seed)))
    assert typed(first) == typed(copy.deepcopy(searcher).propose(query, np.random.default_rng(seed)))


@each
def test_searchers_with_the_same_options_are_equal_and_survive_pickling(searcher: Searcher) -> None:
    assert pickle.loads(pickle.dumps(searcher)) == searcher  # noqa: S301 - written a moment ago


@each
def test_it_passes_the_conformance_kit(searcher: Searcher) -> None:
    check_searcher(searcher, learns=isinstance(searcher, TPE) and searcher.good < 1)
