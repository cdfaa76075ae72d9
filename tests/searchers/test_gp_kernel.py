"""The kernel of `gp`: distances of numbers, categories and inactive values, and that it is one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_searchers.gp.kernel import Array, Hyper, PointLayout, Points, covariance, features, slopes, squared_distances

MIXED = PointLayout(choices=(0, 3, 0, 2), generation=True)


def hyper_of(layout: PointLayout, rng: np.random.Generator) -> Hyper:
    return Hyper.from_logs(layout, 0.5 * rng.standard_normal(layout.size))


def points_of(layout: PointLayout, count: int, rng: np.random.Generator) -> Array:
    """Points a fifth of whose values are inactive."""
    u = rng.random((count, layout.columns))
    hps = len(layout.choices)
    u[:, :hps][rng.random((count, hps)) < 0.2] = np.nan
    return u


def squares_of(layout: PointLayout, hyper: Hyper, u: Array) -> Array:
    x = features(Points.of(layout, u), hyper)
    return squared_distances(x, x)


def flat(layout: PointLayout) -> Hyper:
    """No warp, length-scales 1."""
    return Hyper.from_logs(layout, np.zeros(layout.size))


@given(st.integers(0, 2**32))
def test_covariances_are_symmetric_and_positive_definite_whatever_is_inactive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = features(Points.of(MIXED, points_of(MIXED, 12, rng)), hyper_of(MIXED, rng))
    matrix, _ = covariance(x, x, 2.0)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    np.testing.assert_allclose(matrix.diagonal(), 2.0, rtol=1e-12)


def test_two_different_categories_lie_at_the_inverse_square_of_their_length() -> None:
    layout = PointLayout(choices=(4,), generation=False)
    hyper = Hyper.from_logs(layout, np.log([0.5, 1.0, 1.0]))
    squares = squares_of(layout, hyper, np.array([[0.125], [0.375], [0.875]]))
    np.testing.assert_allclose(squares, 4.0 * (1.0 - np.eye(3)), atol=1e-12)


def test_an_inactive_value_is_at_no_distance_from_another_and_at_the_center_for_the_rest() -> None:
    layout = PointLayout(choices=(0, 2), generation=False)
    u = np.array([[np.nan, np.nan], [np.nan, np.nan], [0.9, np.nan], [np.nan, 0.25], [np.nan, 0.75]])
    squares = squares_of(layout, flat(layout), u)
    np.testing.assert_allclose(squares[0], [0.0, 0.0, 0.16, 0.5, 0.5], atol=1e-12)


def test_the_generation_counts_as_a_number_that_is_not_warped() -> None:
    layout = PointLayout(choices=(0,), generation=True)
    hyper = Hyper.from_logs(layout, np.log([1.0, 0.5, 1.0, 1.0, 3.0, 0.3]))
    squares = squares_of(layout, hyper, np.array([[0.5, 0.0], [0.5, 1.0]]))
    assert squares[0, 1] == pytest.approx(4.0)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_the_warp_rises_from_0_to_1(log_a: float, log_b: float) -> None:
    layout = PointLayout(choices=(0,), generation=False)
    hyper = Hyper.from_logs(layout, np.array([0.0, 0.0, 0.0, log_a, log_b]))
    warped = features(Points.of(layout, np.linspace(0, 1, 101)[:, None]), hyper)[:, 0] + 0.5
    assert (np.diff(warped) >= 0).all()
    assert warped[0] >= 0
    assert warped[-1] <= 1
    assert warped[0] == pytest.approx(1 - (1 - 1e-6 ** math.exp(log_a)) ** math.exp(log_b), rel=1e-6)


def test_the_covariance_is_that_of_matern_with_smoothness_five_halves() -> None:
    r = np.array([0.0, 0.3, 1.0, 4.0])
    expected = 2.0 * (1 + math.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-math.sqrt(5) * r)
    np.testing.assert_allclose(covariance(r[:, None], np.zeros((1, 1)), 2.0)[0][:, 0], expected)


def test_its_derivative_by_the_squared_distance_is_that_of_finite_differences() -> None:
    def at(squares: Array) -> tuple[Array, Array]:
        return covariance(np.sqrt(squares)[:, None], np.zeros((1, 1)), 1.5)

    squares, step = np.array([0.01, 0.3, 2.0]), 1e-6
    difference = (at(squares + step)[0] - at(squares - step)[0]) / (2 * step)
    np.testing.assert_allclose(at(squares)[1], difference, rtol=1e-6)


def test_the_room_to_work_in_changes_no_answer() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.random((5, 3)), rng.random((4, 3))
    fresh = covariance(x, y, 1.5)
    np.testing.assert_array_equal(covariance(x, y, 1.5, np.full((3, 5, 4), np.nan)), fresh)


def test_slopes_of_features_are_those_of_finite_differences_and_0_where_inactive() -> None:
    rng = np.random.default_rng(3)
    hyper, u, step = hyper_of(MIXED, rng), points_of(MIXED, 20, rng), 1e-6
    numeric = MIXED.numeric
    found = slopes(Points.of(MIXED, u), hyper)
    for place, column in enumerate(numeric):
        moved = np.zeros(MIXED.columns)
        moved[column] = step
        above, below = (features(Points.of(MIXED, np.clip(u + s * moved, 0, 1)), hyper) for s in (1, -1))
        np.testing.assert_allclose(found[:, place], ((above - below) / (2 * step))[:, place], rtol=1e-4, atol=1e-8)
    assert (found[np.isnan(u[:, numeric])] == 0).all()
