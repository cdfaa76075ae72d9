"""The searcher `sobol`."""

import numpy as np
import pytest
from scipy.stats import qmc

from gpbt_core.errors import ConfigError
from gpbt_core.searcher import Query
from gpbt_core.space import Float, Int, Space
from gpbt_searchers.sobol import Sobol

SPACE = Space(x=Float(0, 1), y=Float(0, 1), z=Float(0, 1))


def points(slots: range, *, generation: int = 0, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rng = np.random.default_rng(0)
    queries = [Query(space=SPACE, slot=slot, generation=generation, generations=9, seed=seed) for slot in slots]
    return np.array([list(Sobol().propose(query, rng).values()) for query in queries])


@pytest.mark.parametrize("generation", [0, 3])
def test_the_slots_of_a_generation_form_one_sequence(generation: int) -> None:
    found = points(range(64), generation=generation)
    for column in found.T:  # one point in each of 64 intervals of equal length
        assert sorted((column * 64).astype(int)) == list(range(64))
    assert qmc.discrepancy(found) < 0.2 * qmc.discrepancy(np.random.default_rng(0).random((64, 3)))


def test_a_slot_far_on_has_the_point_that_the_sequence_has_there() -> None:
    whole = points(range(600))
    assert (points(range(599, 600)) == whole[599:]).all()
    assert len(np.unique(whole, axis=0)) == 600


def test_other_generations_and_other_seeds_have_other_points() -> None:
    first = points(range(32))
    for other in (points(range(32), generation=1), points(range(32), seed=1)):
        assert not np.isin(first, other).any()


def test_the_generator_of_the_slot_is_left_alone() -> None:
    rng = np.random.default_rng(5)
    Sobol().propose(Query(space=Space(x=Float(0, 1), n=Int(1, 9))), rng)
    assert rng.random() == np.random.default_rng(5).random()


def test_too_many_parameters_are_refused_with_a_way_out() -> None:
    space = Space({f"x{k}": Float(0, 1) for k in range(21_202)})
    with pytest.raises(ConfigError, match="at most 21201 parameters, got 21202; use the searcher 'random'"):
        Sobol().propose(Query(space=space), np.random.default_rng(0))
