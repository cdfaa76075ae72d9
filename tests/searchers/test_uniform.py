"""The searcher `random`."""

import numpy as np
import pytest

from gpbt_core.searcher import Family, Query
from gpbt_core.space import Float, Space
from gpbt_searchers.uniform import Random


def test_draws_are_uniform_on_the_scale_of_the_parameter() -> None:
    query = Query(space=Space(lr=Float(1e-4, 1, log=True)))
    rng = np.random.default_rng(0)
    decades = [int(np.floor(np.log10(Random().propose(query, rng)["lr"]))) for _ in range(4000)]
    assert np.bincount([-decade - 1 for decade in decades], minlength=4) == pytest.approx(1000, abs=120)


def test_the_family_history_is_not_made() -> None:
    def make() -> Family:
        raise AssertionError("it was")

    Random().propose(Query(space=Space(x=Float(0, 1)), family=make), np.random.default_rng(0))
