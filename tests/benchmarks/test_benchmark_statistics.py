"""The statistics are what their names say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.statistics import compare, holm, mean_ranks, steps_to_reach, summarize

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_a_comparison_counts_wins_and_half_of_the_ties() -> None:
    found = compare(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 9.0]))
    assert found.wins == 2.5 / 4
    assert found.count == 4
    assert found.gain == 0.5


def test_equal_samples_differ_in_nothing() -> None:
    found = compare(np.ones(6), np.ones(6))
    assert (found.wins, found.p, found.effect, found.gain) == (0.5, 1.0, 0.0, 0.0)


def test_a_comparison_has_wilcoxons_p_and_the_difference_of_rank_sums() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(0.6, 1, size=20)
    found = compare(a, b)
    assert found.p == pytest.approx(stats.wilcoxon(a, b).pvalue)
    ranks, gain = stats.rankdata(np.abs(b - a)), b - a
    assert found.effect == pytest.approx((ranks[gain > 0].sum() - ranks[gain < 0].sum()) / ranks.sum())
    assert compare(b, a).effect == pytest.approx(-found.effect)


@given(probabilities)
def test_corrected_p_values_are_higher_and_in_the_same_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(after >= before and after <= 1 for before, after in zip(values, corrected, strict=True))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


def test_holm_agrees_with_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_ranks_are_means_over_seeds_and_ties_share() -> None:
    losses = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 3.0]])
    assert mean_ranks(losses).tolist() == [1.25, 1.75, 3.0]


def test_a_target_is_reached_at_the_first_step_as_low() -> None:
    curve = np.array([3.0, 2.0, 2.0, 1.0])
    assert steps_to_reach(curve, 2.0) == 2
    assert steps_to_reach(curve, 9.0) == 1
    assert math.isinf(steps_to_reach(curve, 0.5))


def test_a_summary_of_one_run_has_no_spread() -> None:
    found = summarize(np.array([2.0]))
    assert (found.median, found.mean, found.count) == (2.0, 2.0, 1)
    assert math.isnan(found.sd)
    assert summarize(np.array([1.0, 3.0])).sd == pytest.approx(math.sqrt(2))
