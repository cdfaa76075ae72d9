"""Shapes turn a few numbers into one config per step, each a config of the problem's space."""

import math

import numpy as np
import pytest
from counting import Counting

from benchmarks.ledger import Ledger
from benchmarks.method import MethodUnavailable
from benchmarks.methods import METHODS
from benchmarks.methods.support import Line
from benchmarks.shapes import SHAPES
from gpbt_core import Categorical, ConfigError, Float, Int, Space, When

MIXED = Space(
    lr=Float(1e-4, 1, log=True),
    width=Int(1, 9),
    kind=Categorical(["a", "b"]),
    depth=Int(1, 3),
    inner=When(Float(0, 1), {"kind": ["a"], "depth": [1, 2]}),
)


@pytest.mark.parametrize("name", list(SHAPES))
def test_every_config_of_a_shape_is_one_of_the_problems_space(name: str) -> None:
    shape = SHAPES[name]
    space = shape.space(MIXED, "lr")
    rng = np.random.default_rng(0)
    for steps in (1, 2, 7):
        for _ in range(20):
            configs = shape.configs(MIXED, "lr", space.sample(rng), steps)
            assert len(configs) == steps
            assert [dict(MIXED.validate(config)) for config in configs] == [dict(config) for config in configs]


def test_a_constant_stays() -> None:
    config = MIXED.sample(np.random.default_rng(0))
    assert SHAPES["constant"].space(MIXED, None) == MIXED
    assert SHAPES["constant"].configs(MIXED, None, config, 3) == [config] * 3


def test_a_cosine_falls_from_the_rate_as_pytorchs_does() -> None:
    torch = pytest.importorskip("torch")
    space = Space(lr=Float(1e-9, 1, log=True))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    expected = []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = SHAPES["cosine"].configs(space, "lr", {"lr": 0.3}, 8)
    assert [config["lr"] for config in found] == pytest.approx(expected)


def test_a_decay_ends_no_lower_than_the_space() -> None:
    space = Space(lr=Float(0.1, 1))
    rates = [config["lr"] for config in SHAPES["cosine"].configs(space, "lr", {"lr": 0.2}, 10)]
    assert rates[0] == 0.2
    assert rates[-1] == 0.1


def test_a_line_rises_to_the_rate_and_falls_to_its_end() -> None:
    space = Space(lr=Float(1e-6, 1, log=True))
    config = {"lr": 0.5, "schedule.warmup": 0.2, "schedule.end": 0.1}
    rates = [config["lr"] for config in SHAPES["linear"].configs(space, "lr", config, 10)]
    assert rates[:3] == pytest.approx([0.5 / 3, 1.0 / 3, 0.5])
    assert rates[-1] == pytest.approx(0.05)
    assert np.diff(rates[2:]) == pytest.approx(np.full(7, -0.45 / 7))


def test_a_ramp_is_straight_in_the_unit_cube_and_leaves_categories_and_controllers_alone() -> None:
    space = SHAPES["ramps"].space(MIXED, None)
    assert set(space.parameters) == {
        "kind", "depth", "begin.lr", "end.lr", "begin.width", "end.width", "begin.inner", "end.inner"
    }  # fmt: skip
    config = {"kind": "a", "depth": 2, "begin.lr": 1.0, "end.lr": 1e-4, "begin.width": 1, "end.width": 9}
    configs = SHAPES["ramps"].configs(MIXED, None, {**config, "begin.inner": 0.0, "end.inner": 1.0}, 5)
    assert [one["lr"] for one in configs] == pytest.approx([1, 1e-1, 1e-2, 1e-3, 1e-4])
    assert [one["width"] for one in configs] == [1, 3, 5, 7, 9]
    assert [one["inner"] for one in configs] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert {one["kind"] for one in configs} == {"a"}
    other = SHAPES["ramps"].configs(MIXED, None, {**config, "kind": "b"}, 2)
    assert all("inner" not in one for one in other)


def test_a_rate_that_is_not_active_does_not_fall() -> None:
    space = Space(kind=Categorical(["a", "b"]), lr=When(Float(0, 1), {"kind": ["a"]}))
    assert SHAPES["cosine"].configs(space, "lr", {"kind": "b"}, 3) == [{"kind": "b"}] * 3


def test_a_decay_needs_a_rate() -> None:
    for name in ("cosine", "linear"):
        with pytest.raises(ConfigError, match="must name its rate"):
            SHAPES[name].space(MIXED, None)
    ledger = Ledger(Counting(), models=2, steps=3, seed=0)
    with pytest.raises(MethodUnavailable, match="must name its rate"):
        METHODS["gp-cosine"].run(ledger)


def test_a_line_trains_one_model_through_its_configs() -> None:
    ledger = Ledger(Counting(), models=2, steps=4, seed=0)
    line = Line(ledger, [{"rate": 1.0}, {"rate": 1.0}, {"rate": 2.0}, {"rate": 3.0}])
    assert [line.train() for _ in range(4)] == [1, 2, 4, 7]
    assert [(entry.parent, entry.start, len(entry.scores)) for entry in ledger.entries] == [
        (None, 0, 2), (0, 2, 1), (1, 3, 1)
    ]  # fmt: skip
    assert line.is_alive
    line.release()
    assert not line.is_alive


def test_a_line_that_diverges_is_dead() -> None:
    line = Line(Ledger(Counting(limit=1.5), models=2, steps=4, seed=0), [{"rate": 1.0}, {"rate": 2.0}])
    assert line.train() == 1
    assert math.isnan(line.train())
    assert not line.is_alive
