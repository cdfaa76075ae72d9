"""The densities of `tpe`, against the textbook and against themselves."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import truncnorm

from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_searchers.tpe.layout import layout_of
from gpbt_searchers.tpe.parzen import Side, Split, features_of, split

Floats = NDArray[np.float64]

SPACE = Space(
    x=Float(0, 1),
    kind=Categorical(["a", "b", "c"]),
    n=Int(1, 8),
    y=When(Float(1e-3, 1, log=True), {"kind": ["a", "b"]}),
    c=When(Categorical([1, 2]), {"kind": ["a"]}),
)


def side_of(space: Space, count: int, seed: int, floor: float = 0.05) -> Side:
    rng = np.random.default_rng(seed)
    rows = space.snap(rng.random((count, len(space))))
    return Side(rows=rows, weights=1 + rng.random(count), floor=floor)


def no_side(space: Space) -> Side:
    """Of no records, so that its density is the prior."""
    return side_of(space, 0, 0)


def reference(space: Space, one: Side, found: Split, offset: int, point: Floats) -> float:
    """The density of a side at a point, kernel by kernel and dimension by dimension; widths are taken as found."""
    layout = layout_of(space)
    total = 0.0
    weights = np.append(one.weights, 1.0)
    for k, row in enumerate([*one.rows, np.full(len(space), np.nan)]):
        kernel = 1.0
        for j, count in enumerate(space.bins):
            if np.isnan(point[j]):
                continue
            if space.categorical[j]:
                spread = 1 / (len(one.rows) + 1)
                chosen = 1 / count if np.isnan(row[j]) else (spread + (row[j] == point[j])) / (1 + count * spread)
                kernel *= chosen
            elif not np.isnan(row[j]):
                width = found.widths[list(layout.numeric).index(j), offset + k]
                low, high = -row[j] / width, (1 - row[j]) / width
                kernel *= truncnorm.pdf(point[j], low, high, loc=row[j], scale=width)
        total += weights[k] * kernel
    return float(total / weights.sum())


def test_the_ratio_is_that_of_two_mixtures_of_truncated_normals_and_smoothed_choices() -> None:
    good, bad = side_of(SPACE, 6, 1), side_of(SPACE, 40, 2, floor=0.01)
    found = split(layout_of(SPACE), good, bad, joint=True)
    points = SPACE.snap(np.random.default_rng(3).random((30, len(SPACE))))
    expected = [
        np.log(reference(SPACE, good, found, 0, point) / reference(SPACE, bad, found, 7, point)) for point in points
    ]
    ratio = found.log_ratio(features_of(layout_of(SPACE), points))
    assert ratio[:, 0] == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize("joint", [True, False])
def test_a_density_integrates_to_1(*, joint: bool) -> None:
    space = Space(x=Float(0, 1), kind=Categorical(["a", "b", "c"]))
    found = split(layout_of(space), side_of(space, 9, 4), no_side(space), joint=joint)
    grid = (np.arange(2000) + 0.5) / 2000
    points = np.array([(x, (k + 0.5) / 3) for x in grid for k in range(3)])
    densities = np.exp(found.log_ratio(features_of(layout_of(space), points)))  # the prior is 1, and 1/3 per choice
    assert densities.prod(axis=1).mean() == pytest.approx(1, abs=1e-5)


def test_a_density_marginalizes_what_is_not_active() -> None:
    found = split(layout_of(SPACE), side_of(SPACE, 9, 5), no_side(SPACE), joint=True)
    base = SPACE.encode([{"x": 0.3, "kind": "b", "n": 2, "y": 0.1}])[0]
    grid = np.tile(base, (2000, 1))
    grid[:, 3] = (np.arange(2000) + 0.5) / 2000
    without = base.copy()
    without[3] = np.nan
    layout = layout_of(SPACE)
    over = np.exp(found.log_ratio(features_of(layout, grid))).mean()
    assert np.exp(found.log_ratio(features_of(layout, without[None])))[0, 0] == pytest.approx(over, rel=1e-4)


@pytest.mark.parametrize("joint", [True, False])
def test_samples_follow_the_density(*, joint: bool) -> None:
    space = Space(x=Float(0, 1), kind=Categorical(["a", "b", "c"]), y=Float(0, 1))
    layout = layout_of(space)
    found = split(layout, side_of(space, 4, 6, floor=0.2), no_side(space), joint=joint)
    drawn = found.sample(40_000, np.random.default_rng(7))
    edges = np.linspace(0, 1, 5)
    seen = np.histogramdd(drawn, [edges, np.linspace(0, 1, 4), edges])[0] / len(drawn)
    fine = (np.arange(40) + 0.5) / 40
    points = np.array([(x, (k + 0.5) / 3, y) for x in fine for k in range(3) for y in fine])
    densities = np.exp(found.log_ratio(features_of(layout, points)).sum(axis=1)) / (3 * 40 * 40)
    expected = densities.reshape(4, 10, 3, 4, 10).sum(axis=(1, 4))
    assert np.abs(seen - expected).max() < 0.006


def test_in_a_block_of_its_own_a_parameter_is_learnt_from_records_in_which_it_is_active() -> None:
    space = Space(kind=Categorical(["a", "b"]), y=When(Float(0, 1), {"kind": ["a"]}))
    layout = layout_of(space)
    active = space.encode([{"kind": "a", "y": 0.2}, {"kind": "a", "y": 0.4}])
    others = space.encode([{"kind": "b"}] * 50)
    points = np.column_stack([np.full(9, 0.25), np.linspace(0, 1, 9)])
    with_others, without = (
        split(layout, Side(rows=rows, weights=np.ones(len(rows)), floor=0.1), no_side(space), joint=False).log_ratio(
            features_of(layout, points)
        )
        for rows in (np.concatenate([active, others]), active)
    )
    assert with_others[:, 1] == pytest.approx(without[:, 1])
    assert abs(with_others[:, 0] - without[:, 0]).min() > 0.1


def test_on_the_scale_1_minus_x_bins_become_wider_towards_1() -> None:
    space = Space(far=Float(0.01, 0.5, step=0.01, log=True), near=Float(0.5, 0.99, step=0.01, log="1-x"))
    u = space.encode([{"far": far, "near": 1 - far} for far in (0.01, 0.1, 0.5)]).T
    far, near = layout_of(space).bin_widths(u)
    assert near == pytest.approx(far, rel=1e-6)
    fine = Space(x=Float(0, 1e-319, step=2e-320, log="1-x"))
    assert layout_of(fine).bin_widths(np.array([[0.5]])) == pytest.approx(1 / 6, rel=0.2)


def test_a_kernel_reaches_the_next_value_of_a_lattice() -> None:
    space = Space(even=Int(1, 10), log=Int(1, 512, log=True), free=Float(0, 1))
    configs = [{"even": even, "log": log, "free": 0.5} for even, log in [(3, 1), (3, 1), (3, 400), (3, 400)]]
    one = Side(rows=space.encode(configs), weights=np.ones(4), floor=0.001)
    widths = split(layout_of(space), one, no_side(space), joint=True).widths[:, :4]
    centers = space.encode([{"even": 3, "log": log, "free": 0.5} for log in (1, 2, 399, 400)])[:, 1]
    assert widths[0] == pytest.approx([0.1] * 4)
    assert widths[1, 0] == pytest.approx(centers[1] - centers[0], rel=0.6)
    assert widths[2] == pytest.approx([0.001] * 4)


def test_many_kernels_and_dimensions_make_no_overflow() -> None:
    space = Space({f"x{k}": Float(0, 1) for k in range(300)})
    found = split(layout_of(space), side_of(space, 3, 8, floor=1e-3), side_of(space, 3000, 9, floor=1e-3), joint=True)
    ratio = found.log_ratio(features_of(layout_of(space), found.sample(5, np.random.default_rng(0))))
    assert np.isfinite(ratio).all()
