"""The four functions for those who keep their own loop, and the scheduler from a found schedule."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from gpbt_adapters.trainables.pytorch import (
    ModuleField,
    OptimizerField,
    Parts,
    apply,
    capture,
    lambda_lr,
    restore,
    verify,
)
from gpbt_core.errors import ConfigError
from gpbt_core.records import Schedule, Segment
from gpbt_core.space import Config

BINDINGS: dict[str, Any] = {"lr": OptimizerField("lr"), "dropout": ModuleField("p", nn.Dropout)}


def _parts() -> Parts:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    return Parts(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        generators={"noise": torch.Generator().manual_seed(1)},
    )


def _train(parts: Parts, steps: int = 3) -> torch.Tensor:
    assert parts.optimizer is not None
    for _ in range(steps):
        inputs = torch.randn(8, 3) + torch.randn(8, 3, generator=parts.generators["noise"]) + parts.rng.random()
        parts.optimizer.zero_grad()
        torch.autograd.backward(parts.model(inputs).square().mean())
        parts.optimizer.step()
    return nn.utils.parameters_to_vector(parts.model.parameters()).detach()


def test_a_restored_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    parts = _parts()
    _train(parts)
    torch.save(capture(parts), tmp_path / "parent.pt")
    wanted = _train(parts)
    torch.manual_seed(99)
    other = _parts()
    restore(other, torch.load(tmp_path / "parent.pt", weights_only=True))
    assert torch.equal(_train(other), wanted)


def test_what_was_captured_is_a_copy_that_training_on_does_not_touch() -> None:
    parts = _parts()
    before = _train(parts)
    state = capture(parts)
    _train(parts)
    restore(parts, state)
    assert torch.equal(nn.utils.parameters_to_vector(parts.model.parameters()), before)


def test_two_children_of_one_captured_parent_do_not_share_momenta() -> None:
    parent = _parts()
    _train(parent)
    state = capture(parent)
    elder, younger = _parts(), _parts()
    restore(elder, state)
    wanted = _train(elder)
    restore(younger, state)
    assert torch.equal(_train(younger), wanted)


def test_a_childs_config_holds_over_what_was_restored() -> None:
    parent, child = _parts(), _parts()
    apply(parent, BINDINGS, {"lr": 0.5, "dropout": 0.1})
    state = capture(parent)
    apply(child, BINDINGS, {"lr": 0.25, "dropout": 0.3})
    restore(child, state)
    with pytest.raises(RuntimeError, match=r"^Parts: expected lr=0\.25, but the live value is 0\.5"):
        verify(child, BINDINGS, {"lr": 0.25, "dropout": 0.3})
    apply(child, BINDINGS, {"lr": 0.25, "dropout": 0.3})
    verify(child, BINDINGS, {"lr": 0.25, "dropout": 0.3})


def test_an_inactive_hyperparameter_is_restored_with_the_next_config() -> None:
    parent, child = _parts(), _parts()
    apply(parent, BINDINGS, {"lr": 0.5, "dropout": 0.1})
    apply(parent, BINDINGS, {"lr": 0.5})
    restore(child, capture(parent))
    apply(child, BINDINGS, {"lr": 0.25})
    verify(child, BINDINGS, {"lr": 0.25, "dropout": 0.1})


def test_a_state_of_another_version_is_refused() -> None:
    parts = _parts()
    with pytest.raises(ConfigError, match="the state must be of format 1, got 7"):
        restore(parts, {**capture(parts), "format": 7})


def test_a_state_of_other_parts_is_refused() -> None:
    state = capture(_parts())
    other = _parts()
    other.optimizer = None
    with pytest.raises(ConfigError, match="which has the optimizer, got parts with none"):
        restore(other, state)


def _schedule(*rates: float) -> Schedule:
    return Schedule(tuple(Segment(config=Config(lr=rate), start_step=2 * k, steps=2) for k, rate in enumerate(rates)))


def test_a_scheduler_follows_the_schedule_and_holds_its_last_rate() -> None:
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [first], "lr": 0.3}, {"params": [second], "lr": 2.0}])
    scheduler = lambda_lr(optimizer, _schedule(0.5, 0.25), calls_per_step=2)
    seen = []
    for _ in range(10):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert seen == [pytest.approx([rate, rate]) for rate in [0.5] * 4 + [0.25] * 6]


def test_a_schedule_without_the_hyperparameter_is_refused() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ConfigError, match=r"has no 'rate' in its segments from steps \[0, 2\]"):
        lambda_lr(optimizer, _schedule(0.5, 0.25), "rate")
    with pytest.raises(ConfigError, match="has no 'lr'"):
        lambda_lr(optimizer, Schedule(()))


def test_an_optimizer_with_a_rate_of_zero_cannot_be_multiplied() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)
    with pytest.raises(ConfigError, match="rates must not be 0"):
        lambda_lr(optimizer, _schedule(0.5))
