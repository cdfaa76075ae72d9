"""The Gaussian process of `gp`: gradients, the posterior, and a cache that only saves time."""

import pickle
import threading

import numpy as np
import pytest
from scipy.linalg import cho_solve, cholesky

from gpbt_searchers.gp import model
from gpbt_searchers.gp.assumptions import LINEAGE, PLAIN, Assumptions, prior
from gpbt_searchers.gp.kernel import Array, PointLayout, Points, covariance, features
from gpbt_searchers.gp.model import Belief, Fit, condition, fit, log_posterior
from gpbt_searchers.gp.scores import rank_normal

MIXED = PointLayout(choices=(0, 3, 0, 0, 2), generation=True)
LINE = PointLayout(choices=(0,), generation=False)


def data(layout: PointLayout, count: int, seed: int) -> tuple[Array, Array]:
    """Points, some values of which are inactive, and scores."""
    rng = np.random.default_rng(seed)
    u = rng.random((count, layout.columns))
    hps = len(layout.choices)
    u[:, :hps][rng.random((count, hps)) < 0.1] = np.nan
    return u, rng.standard_normal(count)


def conditioned(layout: PointLayout, u: Array, y: Array, assumptions: Assumptions = LINEAGE) -> Belief:
    return condition(fit(layout, assumptions, u, y), u[:0], y, u[:0])


def same(first: Fit, second: Fit) -> bool:
    return all(
        np.array_equal(a, b)
        for a, b in [
            (first.factor, second.factor),
            (first.x, second.x),
            (first.hyper.length, second.hyper.length),
        ]
    )


@pytest.mark.parametrize("layout", [MIXED, LINE, PointLayout(choices=(3,), generation=False)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gradient_of_the_log_posterior_is_that_of_finite_differences(layout: PointLayout, seed: int) -> None:
    u, y = data(layout, 25, seed)
    points, z = Points.of(layout, u), np.random.default_rng(seed).standard_normal(layout.size)
    _, found = log_posterior(z, points, y, LINEAGE)
    for k, direction in enumerate(np.eye(layout.size)):
        above, below = (log_posterior(z + s * 1e-5 * direction, points, y, LINEAGE)[0] for s in (1, -1))
        assert found[k] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-6)


def test_slopes_of_the_posterior_are_those_of_finite_differences() -> None:
    u, y = data(MIXED, 30, 3)
    belief = conditioned(MIXED, u, y)
    at, _ = data(MIXED, 10, 4)
    at[:, MIXED.numeric] = 0.05 + 0.9 * at[:, MIXED.numeric]
    mean, deviation, by_mean, by_deviation = belief.predict_slopes(at)
    np.testing.assert_allclose([mean, deviation], belief.predict(at), rtol=1e-12)
    for k, column in enumerate(MIXED.numeric):
        step = np.zeros(MIXED.columns)
        step[column] = 1e-6
        above, below = belief.predict(at + step), belief.predict(at - step)
        np.testing.assert_allclose(by_mean[:, k], (above[0] - below[0]) / 2e-6, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(by_deviation[:, k], (above[1] - below[1]) / 2e-6, rtol=1e-4, atol=1e-6)


def test_a_fit_is_more_probable_than_the_prior_medians_and_keeps_in_reach_of_them() -> None:
    u, _ = data(MIXED, 40, 5)
    y = rank_normal(np.nan_to_num(u[:, 0], nan=0.5) + 0.1 * np.nan_to_num(u[:, 2], nan=0.5))
    fitted = fit(MIXED, LINEAGE, u, y)
    mean, deviation = prior(MIXED, LINEAGE)
    logs = np.log(
        np.concatenate([fitted.hyper.length, [fitted.hyper.scale, fitted.hyper.noise], fitted.hyper.a, fitted.hyper.b])
    )
    z = (logs - mean) / deviation
    points = Points.of(MIXED, u)
    assert log_posterior(z, points, y, LINEAGE)[0] > log_posterior(np.zeros(MIXED.size), points, y, LINEAGE)[0] + 5
    assert np.abs(z).max() <= 5 + 1e-9


def test_a_fit_finds_what_matters() -> None:
    rng = np.random.default_rng(6)
    layout = PointLayout(choices=(0, 0, 0), generation=False)
    u = rng.random((60, 3))
    length = fit(layout, LINEAGE, u, rank_normal(np.sin(6 * u[:, 1]))).hyper.length
    assert length[1] < 0.6 * min(length[0], length[2])


def test_without_noise_the_posterior_goes_through_the_data_and_knows_little_far_away() -> None:
    u = np.array([[0.3], [0.4], [0.5], [0.55], [0.6]])
    y = np.array([-1.0, 0.2, 0.9, 1.0, 0.4])
    belief = conditioned(LINE, u, y, PLAIN)
    mean, deviation = belief.predict(u)
    np.testing.assert_allclose(mean, y, atol=0.15)
    assert deviation.max() < 0.2
    _, far = belief.predict(np.array([[0.0], [1.0]]))
    assert far.min() > 2 * deviation.max()


def test_no_points_give_the_prior() -> None:
    nothing = np.empty((0, 1))
    mean, deviation = conditioned(LINE, nothing, np.empty(0)).predict(np.array([[0.1], [0.9]]))
    np.testing.assert_allclose(mean, 0.0)
    np.testing.assert_allclose(deviation, 1.0)


def test_a_posterior_that_was_extended_is_that_of_all_points_at_once() -> None:
    u, y = data(MIXED, 23, 7)
    fitted = fit(MIXED, LINEAGE, u[:20], y[:20])
    belief = condition(fitted, u[20:], y, u[:0])
    x = features(Points.of(MIXED, u), fitted.hyper)
    matrix = covariance(x, x, fitted.hyper.scale)[0] + (fitted.hyper.noise + 1e-6) * np.eye(23)
    factor = cholesky(matrix, lower=True)
    np.testing.assert_allclose(belief.factor, factor, atol=1e-10)
    np.testing.assert_allclose(belief.alpha, cho_solve((factor, True), y), atol=1e-9)


def test_pending_points_take_uncertainty_away_and_leave_the_mean() -> None:
    u, y = data(MIXED, 20, 8)
    pending, _ = data(MIXED, 3, 9)
    fitted = fit(MIXED, LINEAGE, u, y)
    without, believing = condition(fitted, u[:0], y, u[:0]), condition(fitted, u[:0], y, pending)
    at = np.concatenate([pending, data(MIXED, 5, 10)[0]])
    np.testing.assert_allclose(believing.mean(at), without.mean(at), atol=1e-12)
    before, after = without.predict(at)[1], believing.predict(at)[1]
    assert (after <= before + 1e-9).all()
    assert (after[:3] < 0.9 * before[:3]).all()


def test_the_same_point_many_times_is_no_trouble_and_its_mean_is_the_middle() -> None:
    u = np.full((40, 1), 0.5)
    y = np.tile([1.0, -0.6], 20)
    mean, deviation = conditioned(LINE, u, y).predict(np.array([[0.5]]))
    assert mean[0] == pytest.approx(0.2, abs=0.1)
    assert 0 < deviation[0] < 0.5


def test_a_fit_does_not_depend_on_fits_before_it() -> None:
    u, y = data(MIXED, 25, 11)
    fresh = model._fit.__wrapped__(MIXED, LINEAGE, u.tobytes(), y.tobytes())
    for seed in range(3):
        fit(MIXED, LINEAGE, *data(MIXED, 25, seed))
    assert same(fit(MIXED, LINEAGE, u, y), fresh)
    assert same(fit(MIXED, LINEAGE, u.copy(order="F"), y), fresh)


def test_a_change_in_the_data_reaches_the_fit_even_in_the_same_array() -> None:
    u, y = data(MIXED, 25, 12)
    before = fit(MIXED, LINEAGE, u, y)
    u[0, 0] = 0.123
    assert not same(fit(MIXED, LINEAGE, u, y), before)


def test_fitted_arrays_cannot_be_written_to() -> None:
    fitted = fit(LINE, LINEAGE, np.linspace(0, 1, 5)[:, None], np.arange(5.0))
    for array in (fitted.factor, fitted.x, fitted.hyper.length, fitted.hyper.a, fitted.hyper.b):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_threads_that_fit_the_same_data_get_the_same_fit() -> None:
    u, y = data(MIXED, 25, 13)
    found: list[Fit] = []
    threads = [threading.Thread(target=lambda: found.append(fit(MIXED, LINEAGE, u, y))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(other, found[0]) for other in found)


def test_a_fit_travels_through_pickle() -> None:
    fitted = fit(LINE, LINEAGE, np.linspace(0, 1, 5)[:, None], np.arange(5.0))
    assert same(pickle.loads(pickle.dumps(fitted)), fitted)  # noqa: S301 - its own
