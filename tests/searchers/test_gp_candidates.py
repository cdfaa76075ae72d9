"""Clouds of candidates of `gp`: where they lie and how far they reach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_searchers.gp.candidates import additive_steps, crossovers, logit_steps

NUMBERS = np.zeros(4, dtype=np.intp)
MIXED = np.array([0, 3, 0, 1, 5], dtype=np.intp)


@given(st.integers(0, 2**32), st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_candidates_stay_in_the_cube_whatever_the_center(seed: int, center: list[float]) -> None:
    rng, middle = np.random.default_rng(seed), np.array(center)
    clouds = [
        crossovers(rng, middle, 20),
        logit_steps(rng, middle, 20, 3.0, MIXED),
        additive_steps(rng, middle, 20, 3.0, MIXED),
    ]
    for cloud in clouds:
        assert cloud.shape == (20, 5)
        assert ((cloud >= 0) & (cloud <= 1)).all()


def test_crossovers_draw_two_coordinates_in_five_anew() -> None:
    cloud = crossovers(np.random.default_rng(0), np.full(4, 0.3), 5000)
    renewed = cloud[cloud != 0.3]
    assert renewed.size / cloud.size == pytest.approx(0.4, abs=0.02)
    assert renewed.mean() == pytest.approx(0.5, abs=0.02)


def test_logit_steps_change_at_least_one_coordinate_and_three_in_five_numbers() -> None:
    cloud = logit_steps(np.random.default_rng(0), np.full(4, 0.3), 5000, 0.6, NUMBERS)
    moved = cloud != 0.3
    assert moved.any(axis=1).all()
    assert moved.mean() == pytest.approx(0.6 + 0.4**4 / 4, abs=0.02)


def test_logit_steps_are_as_wide_as_asked_for() -> None:
    cloud = logit_steps(np.random.default_rng(0), np.full(1, 0.5), 20000, 0.15, np.zeros(1, dtype=np.intp))
    steps = np.abs(np.log(cloud / (1 - cloud)))
    wider = (
        np.abs(np.random.default_rng(1).standard_normal(20000))
        * 0.15
        * np.exp(0.7 * np.random.default_rng(2).standard_normal(20000))
    )
    np.testing.assert_allclose(np.quantile(steps, [0.25, 0.5, 0.9]), np.quantile(wider, [0.25, 0.5, 0.9]), rtol=0.05)


def test_a_category_flips_to_each_other_one_alike() -> None:
    center = np.array([0.5, 0.3])
    cloud = logit_steps(np.random.default_rng(0), center, 20000, 0.6, np.array([0, 5], dtype=np.intp))
    index = np.floor(cloud[:, 1] * 5).astype(int)
    counts = np.bincount(index, minlength=5) / 20000
    flips = 0.2 + 0.4 * 0.8 / 2  # and one in two of those in which nothing moved
    np.testing.assert_allclose(counts, [flips / 4, 1 - flips, flips / 4, flips / 4, flips / 4], atol=0.012)


def test_additive_steps_move_every_number_a_little_and_no_category() -> None:
    cloud = additive_steps(np.random.default_rng(0), np.array([0.5, 0.5, 0.0, 0.5, 0.5]), 2000, 0.03, MIXED)
    assert (cloud[:, [1, 3, 4]] == 0.5).all()
    assert (cloud[:, [0, 2]] != np.array([0.5, 0.0])).all()
    assert np.median(np.abs(cloud[:, 0] - 0.5)) == pytest.approx(0.03 * 0.6, rel=0.2)
    assert np.median(cloud[:, 2]) == pytest.approx(0.03 * 0.6, rel=0.2)
