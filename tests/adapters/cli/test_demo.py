"""The demonstration: that it says what was measured, and no more than that."""

import math
import threading

import numpy as np
import pytest

from gpbt_adapters.cli.demo import METHODS, Outcome, Task, conclusions, cross_entropy, digits, show, train
from gpbt_core import Schedule


def _outcomes(**losses: list[float]) -> list[Outcome]:
    """Outcomes of all methods; the losses in the order of the seeds, the names with underscores."""
    return [
        Outcome(
            method=method.replace("_", " "),
            seed=seed,
            steps=100,
            validation_loss=loss,
            test_loss=loss,
            test_error=0.03,
            schedule=Schedule(()),
        )
        for method, values in losses.items()
        for seed, loss in enumerate(values)
    ]


class Diverged:
    def predict_proba(self, pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), 10), math.nan)


def test_the_three_parts_of_the_data_share_no_digit() -> None:
    parts = digits()
    assert [len(labels) for _, labels in parts.values()] == [600, 600, 597]
    rows = np.concatenate([pixels for pixels, _ in parts.values()])
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_a_model_that_has_diverged_has_no_loss() -> None:
    assert math.isnan(cross_entropy(Diverged(), *digits()["test"]))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_spends_the_same_budget_give_or_take_half_a_segment(method: str) -> None:
    outcome = train(Task(method=method, seed=1, models=5, steps=4))
    assert abs(outcome.steps - 5 * 4) <= 1
    assert 1 <= outcome.schedule.steps <= 4
    assert 0 < outcome.test_loss < math.inf


def test_a_run_is_the_same_each_time() -> None:
    task = Task(method="gpbt", seed=2, models=4, steps=3)
    assert train(task) == train(task)


def test_its_processes_and_what_manages_them_end_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    show(models=4, steps=2, seeds=1, workers=2)
    assert "3 runs" in capsys.readouterr().out
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    assert not left, "the end of the program would meet it half closed"


def test_it_shows_the_schedule_the_comparison_and_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    show(models=4, steps=2, seeds=2, workers=1)
    printed = capsys.readouterr().out
    for method in METHODS:
        assert method in printed
    assert "learning_rate_init" in printed
    assert "95% interval" in printed


def test_a_difference_within_the_noise_is_not_called_one() -> None:
    close = _outcomes(gpbt=[0.10, 0.13, 0.11], classic_PBT=[0.12, 0.11, 0.12], random_search=[0.30, 0.31, 0.32])
    pbt, random = conclusions(close)
    assert "no clear difference" in pbt
    assert "lower by 0.197" in random
    assert "no clear difference" not in random


def test_a_loss_is_called_a_loss() -> None:
    worse = _outcomes(gpbt=[0.20, 0.21, 0.22], classic_PBT=[0.10, 0.11, 0.12], random_search=[0.20, 0.21, 0.22])
    pbt, _ = conclusions(worse)
    assert "higher by 0.100" in pbt
    assert "lower in 0" in pbt


def test_one_seed_says_nothing_about_the_next() -> None:
    one = _outcomes(gpbt=[0.1], classic_PBT=[0.2], random_search=[0.3])
    assert all("says nothing about other seeds" in sentence for sentence in conclusions(one))
