import functools

import numpy as np
import pytest

from example_programs import load
from gpbt_adapters.trainables.testing import check_trainable

annealing = load("annealing")
CONFIGS = [{"temperature": 0.1, "reach": 10}, {"temperature": 0.001, "reach": 28}]


def test_it_keeps_the_promises_of_a_trainable() -> None:
    make = functools.partial(annealing.Annealing, annealing.cities(30), 200)
    check_trainable(make, CONFIGS, state=lambda trainable: trainable.tour)


def test_a_tour_visits_every_city_once_whatever_was_proposed() -> None:
    tour = annealing.Annealing(annealing.cities(30), 500)
    tour.setup({"temperature": 1.0, "reach": 28}, seed=0)
    tour.step()
    assert sorted(tour.tour.tolist()) == list(range(30))


def test_the_rise_that_a_move_is_judged_by_is_the_rise_of_the_length() -> None:
    """At temperature 0 no move may lengthen the tour, and some shorten it."""
    tour = annealing.Annealing(annealing.cities(30), 1)
    tour.setup({"temperature": 1e-300, "reach": 28}, seed=0)
    lengths = [tour.score(), *(tour.step() for _ in range(400))]
    assert np.all(np.diff(lengths) < 1e-12)
    assert lengths[-1] < 0.7 * lengths[0]


def test_it_finds_a_tour_and_a_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    result = annealing.main(["--small"])
    assert result.optimizer.finished
    places = annealing.cities(30)
    assert result.best.score == annealing.length(places, result.restore().tour)
    random_tours = [annealing.length(places, np.random.default_rng(k).permutation(30)) for k in range(20)]
    assert result.best.score < 0.6 * min(random_tours)
    assert f"shortest tour: {result.best.score:.4f}" in capsys.readouterr().out
