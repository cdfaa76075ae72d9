"""Which points the model of `gp` holds: all, up to a bound."""

import attrs
import numpy as np
import pytest

from gpbt_searchers.gp.assumptions import LINEAGE, PLAIN
from gpbt_searchers.gp.belief import Data, believe, fitted_length, fitted_to
from gpbt_searchers.gp.kernel import Array, PointLayout

LAYOUT = PointLayout(choices=(0, 0), generation=False)


def data(losses: Array, seed: int = 0, pending: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    return Data(
        layout=LAYOUT,
        assumptions=LINEAGE,
        told=rng.random((losses.size, 2)),
        losses=losses,
        pending=rng.random((pending, 2)),
    )


@pytest.mark.parametrize(("count", "fit"), [(0, 0), (3, 0), (5, 5), (14, 10), (99, 95), (199, 195), (299, 290)])
def test_up_to_the_bound_every_point_counts_and_the_fit_sees_a_round_number_of_them(count: int, fit: int) -> None:
    fitted, used = fitted_to(data(np.random.default_rng(1).random(count)))
    assert fitted.x.shape[0] == fit
    assert used.tolist() == list(range(count))


def test_fits_become_rarer_as_the_history_grows_and_never_see_less_than_before() -> None:
    lengths = [fitted_length(count) for count in range(2000)]
    assert lengths == sorted(lengths)
    assert lengths[:200] == [count - count % 5 for count in range(200)]
    assert all(0 <= count - length < max(5, min(count / 20, 40)) for count, length in enumerate(lengths))
    assert len(set(lengths[200:400])) == 20


def test_beyond_it_the_model_keeps_the_best_the_latest_and_some_of_the_rest() -> None:
    losses = np.random.default_rng(2).random(1003)
    fitted, used = fitted_to(data(losses))
    assert fitted.x.shape[0] == 300
    kept = set(used.tolist())
    assert used.size == len(kept) == 303
    assert set(range(900, 1003)) <= kept
    older = np.argsort(losses[:900])
    assert set(older[:100].tolist()) <= kept
    rest = sorted(kept & set(older[100:].tolist()))
    assert len(rest) == 100
    assert max(np.diff(rest)) < 30


def test_a_told_point_changes_the_scores_of_those_before_it_between_two_fits() -> None:
    losses = np.random.default_rng(3).random(11)
    losses[-1] = -5.0
    full, prefix = data(losses), data(losses[:10])
    at = full.told[:10]
    assert not np.allclose(believe(full).mean(at), believe(prefix).mean(at), atol=0.05)
    assert fitted_to(full)[0] is fitted_to(prefix)[0]


def test_pending_points_are_held_beyond_the_bound_too() -> None:
    belief = believe(data(np.random.default_rng(4).random(500), pending=7))
    assert belief.x.shape[0] == 307
    assert (belief.alpha[300:] == 0).all()


def test_in_a_run_of_one_generation_the_better_half_keeps_its_distances() -> None:
    told = np.random.default_rng(5).random((40, 2))
    losses = np.exp(4 * ((told - 0.3) ** 2).sum(axis=1))
    plain = Data(layout=LAYOUT, assumptions=PLAIN, told=told, losses=losses, pending=np.empty((0, 2)))
    good = np.argsort(losses)[:20]
    both = [plain, attrs.evolve(plain, assumptions=LINEAGE)]
    straight = [np.corrcoef(believe(each).mean(told)[good], losses[good])[0, 1] for each in both]
    assert straight[0] < -0.999
    assert straight[1] > -0.99
