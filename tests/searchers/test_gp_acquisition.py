"""Expected improvement in logs: the formula, its tail, its gradient."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from gpbt_searchers.gp.acquisition import log_improvement, log_improvement_slopes


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.2, 0.5, 4.0])
def test_it_is_the_log_of_the_expected_gain(mean: float) -> None:
    expected, _ = quad(
        lambda f: max(f - 0.3, 0.0) * norm.pdf(f, mean, 0.7), mean - 10, mean + 10, points=[0.3], limit=200
    )
    found = log_improvement(np.array([mean]), np.array([0.7]), 0.3)
    assert found[0] == pytest.approx(np.log(expected), rel=1e-5)


def test_it_falls_without_a_jump_however_far_the_mean_is_below_the_best() -> None:
    means = -np.concatenate([np.linspace(0.5, 40, 2000), np.geomspace(41, 1e6, 2000)])
    values = log_improvement(means, np.ones(means.size), 0.0)
    assert (np.diff(values) < 0).all()
    assert np.isfinite(values).all()
    leading = -0.5 * means**2 - 2 * np.log(-means) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(values[-2000:], leading[-2000:], rtol=1e-4)


@pytest.mark.parametrize("gap", [-2e4, -300.0, -1.5, -1.0 + 1e-9, -1.0 - 1e-9, 0.0, 3.0])
def test_its_gradient_is_that_of_finite_differences(gap: float) -> None:
    def value(mean: float, deviation: float) -> float:
        return float(log_improvement(np.array([mean]), np.array([deviation]), 0.0)[0])

    ones = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    _, found = log_improvement_slopes(np.array([gap]), np.array([0.9]), *ones, 0.0)
    step = 1e-6 * max(1.0, abs(gap))
    by_mean = (value(gap + step, 0.9) - value(gap - step, 0.9)) / (2 * step)
    by_deviation = (value(gap, 0.9 + 1e-6) - value(gap, 0.9 - 1e-6)) / 2e-6
    np.testing.assert_allclose(found[0], [by_mean, by_deviation], rtol=1e-4)
