import numpy as np
import pytest

from example_programs import load

metropolis = load("metropolis")


def _exact(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, count)
    return np.stack([x, x**2 / 2 + rng.normal(0, 0.5, count)], axis=1)


def test_the_gradient_is_that_of_the_density() -> None:
    point, step = np.array([1.3, -0.4]), 1e-6
    rises = [metropolis.log_density(point + move) - metropolis.log_density(point - move) for move in step * np.eye(2)]
    np.testing.assert_allclose(metropolis.gradient(point[None])[0], np.array(rises) / (2 * step), rtol=1e-6)


def test_the_discrepancy_falls_with_more_exact_draws_and_is_large_for_wrong_ones() -> None:
    few, many = (np.mean([metropolis.discrepancy(_exact(count, seed)) for seed in range(10)]) for count in (20, 320))
    assert many < 0.4 * few  # a quarter, by the law of large numbers
    assert metropolis.discrepancy(_exact(320, 0) + 1.0) > 5 * many
    assert metropolis.discrepancy(0.1 * _exact(320, 0)) > 2 * many


def test_a_chain_draws_from_the_target() -> None:
    chain, score = metropolis.sample(metropolis.start(0), {"scale": 1.0, "stretch": 1.0}, 3000)
    for _ in range(4):
        chain, score = metropolis.sample(chain, {"scale": 1.0, "stretch": 1.0}, 3000)
    assert score < 0.6
    assert metropolis.log_density(np.array(chain.point)) > -10


def test_a_chain_goes_on_from_where_it_was() -> None:
    config = {"scale": 1.0, "stretch": 1.0}
    first, _ = metropolis.sample(metropolis.start(0), config, 20)
    assert metropolis.sample(first, config, 20) == metropolis.sample(first, config, 20)
    assert metropolis.sample(first, config, 20)[0] != first


def test_it_finds_proposals_that_reach_the_ridge(capsys: pytest.CaptureFixture[str]) -> None:
    best = metropolis.main(["--small"])
    far = metropolis.discrepancy(np.array([metropolis.start(0).point] * 50))
    assert best.score < 0.05 * far
    assert f"discrepancy at the end: {best.score:.3f}" in capsys.readouterr().out
