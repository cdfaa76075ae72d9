"""The ledger counts every step, copies models, and keeps the one that validation chooses."""

import math
from typing import Any

import pytest
from counting import Counting

from benchmarks.ledger import BudgetSpent, Ledger
from gpbt_core import ConfigError


def ledger(problem: Counting | None = None, *, models: int = 4, steps: int = 3, seed: int = 0) -> Ledger:
    return Ledger(problem or Counting(), models=models, steps=steps, seed=seed)


def test_every_step_counts_until_none_is_left() -> None:
    book = ledger(models=2, steps=2)
    first = book.begin({"rate": 1.0})
    assert book.train(first, 3) == 3.0
    assert (book.used, book.remaining) == (3, 1)
    second = book.begin({"rate": 2.0}, parent=first)
    with pytest.raises(BudgetSpent):
        book.train(second, 2)
    assert (book.used, book.remaining) == (4, 0)
    assert book.entries[second].scores == [5.0]


def test_the_clock_is_the_runs_and_not_the_models() -> None:
    book = ledger()
    a, b = book.begin({"rate": 1.0}), book.begin({"rate": 2.0})
    for entry in (a, b, a, b):
        book.train(entry)
    assert book.entries[a].clock == [1, 3]
    assert book.entries[b].clock == [2, 4]


def test_a_child_starts_from_its_parents_model_as_it_stands() -> None:
    book = ledger()
    parent = book.begin({"rate": 1.0})
    book.train(parent, 2)
    child = book.begin({"rate": 5.0}, parent=parent)
    book.train(parent)
    assert book.train(child) == 7.0
    assert book.entries[child].start == 2
    assert book.entries[parent].scores == [1.0, 2.0, 3.0]


def test_all_models_without_a_parent_start_from_the_seeds_weights() -> None:
    book = ledger(seed=10)
    assert [book.train(book.begin({"rate": 0.0})) for _ in range(3)] == [10.0] * 3


def test_validation_chooses_the_earliest_of_the_best_of_all_steps() -> None:
    book = ledger(Counting(direction="maximize"))
    for rate in (1.0, 4.0, 4.0, 2.0):
        book.train(book.begin({"rate": rate}))
    assert book.best() == (4.0, 1, 1)
    assert book.chosen_model() == 4.0


def test_the_best_model_outlives_its_release() -> None:
    book = ledger()
    entry = book.begin({"rate": 1.0})
    book.train(entry, 3)
    book.release(entry)
    assert book.best() == (1.0, 0, 1)
    assert book.chosen_model() == 1.0
    with pytest.raises(ValueError, match="live model, got 0"):
        book.train(entry)
    with pytest.raises(ValueError, match="live model, got 0"):
        book.begin({"rate": 1.0}, parent=entry)


def test_a_diverged_model_costs_its_steps_and_is_neither_trained_nor_copied_any_more() -> None:
    book = ledger(Counting(limit=1.5))
    entry = book.begin({"rate": 1.0})
    assert math.isnan(book.train(entry, 3))
    assert book.used == 2
    assert not book.is_alive(entry)
    assert math.isinf(book.loss(math.nan))
    with pytest.raises(ValueError, match="live model"):
        book.begin({"rate": 1.0}, parent=entry)


def test_a_run_without_a_finite_score_has_no_best() -> None:
    book = ledger(Counting(limit=-1))
    book.train(book.begin({"rate": 1.0}))
    with pytest.raises(RuntimeError, match="finite score"):
        book.chosen_model()


def test_a_config_outside_of_the_space_is_refused() -> None:
    book = ledger()
    with pytest.raises(ConfigError):
        book.begin({"rate": 11.0})
    assert book.entries == []


@pytest.mark.parametrize("wrong", [{"models": 0}, {"steps": 0}])
def test_a_budget_of_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1 model of 1 step"):
        ledger(**wrong)


def test_a_method_finds_no_test_scores_in_its_ledger() -> None:
    book = ledger()
    assert not hasattr(book, "test")
    assert not [name for name, value in vars(book).items() if hasattr(value, "test")]


def test_a_direction_by_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="Counting: direction must be one of minimize, maximize, got 'min'"):
        ledger(Counting(direction="min"))  # type: ignore[arg-type]  # the mistake under test


def test_training_for_no_steps_is_refused() -> None:
    book = ledger()
    with pytest.raises(ValueError, match="steps must be at least 1"):
        book.train(book.begin({"rate": 1.0}), 0)
