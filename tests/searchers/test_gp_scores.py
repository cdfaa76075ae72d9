"""Scores of losses: what the model of `gp` is given to explain."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata

from gpbt_searchers.gp.kernel import Array
from gpbt_searchers.gp.scores import half_rank, rank_normal

BOTH = pytest.mark.parametrize("score", [rank_normal, half_rank])
losses_strategy = arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e308, 1e308) | st.just(np.inf))


@given(losses_strategy)
def test_rank_normal_is_the_normal_quantile_of_the_mean_rank(losses: Array) -> None:
    finite = losses[np.isfinite(losses)]
    worst = finite.max() if finite.size else 0.0
    rank = rankdata(-np.where(np.isinf(losses), worst, losses)) - 1
    np.testing.assert_allclose(rank_normal(losses), norm.ppf((rank + 0.5) / losses.size), atol=1e-12)


@BOTH
@given(losses=losses_strategy)
def test_scores_are_finite_and_a_lower_loss_never_scores_lower(score: Callable[[Array], Array], losses: Array) -> None:
    scores = score(losses)
    assert np.isfinite(scores).all()
    order = np.argsort(losses, kind="stable")
    assert (np.diff(scores[order]) <= 1e-12).all()


@BOTH
@pytest.mark.parametrize("losses", [[2.0] * 4, [np.inf] * 4, []])
def test_equal_losses_score_0(score: Callable[[Array], Array], losses: list[float]) -> None:
    np.testing.assert_allclose(score(np.array(losses)), 0.0, atol=1e-15)


@BOTH
def test_a_failed_trial_scores_as_the_worst_that_was_told(score: Callable[[Array], Array]) -> None:
    np.testing.assert_array_equal(score(np.array([1.0, np.inf, 3.0, 2.0])), score(np.array([1.0, 3.0, 3.0, 2.0])))


def test_half_rank_keeps_distances_in_the_better_half_and_is_deaf_to_the_tail() -> None:
    calm = half_rank(np.array([0.0, 1.0, 3.0, 10.0, 20.0, 30.0]))
    wild = half_rank(np.array([0.0, 1.0, 3.0, 10.0, 1e6, 1e300]))
    np.testing.assert_array_equal(calm, wild)
    assert (calm[1] - calm[2]) == pytest.approx(2 * (calm[0] - calm[1]))


@given(losses_strategy, st.floats(0.5, 2))
def test_half_rank_does_not_depend_on_the_unit_of_losses(losses: Array, unit: float) -> None:
    losses = losses / 1e10
    np.testing.assert_allclose(half_rank(losses * unit), half_rank(losses), rtol=1e-6, atol=1e-6)
