"""What the model of `gp` tells people: estimates of trials, and which hyperparameters matter."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.errors import ConfigError
from gpbt_core.records import Record, Status, Trial
from gpbt_core.space import Categorical, Config, Float, Int, Space
from gpbt_searchers.gp import importance, posterior
from strategies import examples, spaces

SPACE = Space(sharp=Float(0, 1), dull=Float(0, 1), kind=Categorical(["a", "b", "c"]), size=Int(1, 8))


def trial(number: int, config: Mapping[str, Any], generation: int = 0) -> Trial:
    return Trial(id=number, parent=None, generation=generation, depth=0, config=Config(config), steps=1, start_step=0)


def records(count: int, noise: float = 0.0, generations: int = 1) -> list[Record]:
    rng = np.random.default_rng(0)
    found = []
    for k in range(count):
        config = SPACE.sample(rng)
        loss = np.sin(8 * config["sharp"]) + noise * rng.standard_normal()
        found.append(
            Record(trial=trial(k, config, k * generations // count), status=Status.COMPLETED, loss=float(loss), steps=1)
        )
    return found


def test_importance_is_a_share_per_name_and_the_largest_is_what_matters() -> None:
    shares = importance(SPACE, records(60))
    assert list(shares) == list(SPACE.names)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["sharp"] > 0.6


@examples(40)
@given(spaces(), st.integers(0, 12))
def test_importance_is_there_for_any_space_and_history(space: Space, count: int) -> None:
    rng = np.random.default_rng(count)
    told = [Record(trial=trial(k, space.sample(rng)), status=Status.COMPLETED, loss=float(k % 4)) for k in range(count)]
    shares = importance(space, told)
    assert set(shares) == set(space.names)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(type(share) is float and 0 <= share <= 1 for share in shares.values())


def test_what_has_one_value_has_no_share_and_few_values_have_that_of_their_spread() -> None:
    one: dict[str, Any] = {
        "whole": Int(3, 3),
        "real": Float(2, 2),
        "lattice": Float(1, 1.5, step=1),
        "kind": Categorical(["a"]),
    }
    shares = importance(Space(one | {"x": Float(0, 1), "flag": Int(0, 1)}), [])
    assert [shares[name] for name in one] == [0.0] * 4
    assert shares["flag"] / shares["x"] == pytest.approx((1 / 4) ** 2 / (1 / 12), rel=0.01)
    assert importance(Space(one), []) == dict.fromkeys(one, 0.25)


def test_without_records_numbers_of_one_kind_are_all_alike() -> None:
    shares = importance(Space(a=Float(0, 1), b=Float(1e-3, 1, log=True)), [])
    assert shares == pytest.approx({"a": 0.5, "b": 0.5})


def test_an_estimate_is_nearer_to_the_truth_than_a_lucky_loss() -> None:
    told = records(80, noise=0.7)
    truth = np.array([np.sin(8 * record.trial.config["sharp"]) for record in told])
    losses = np.array([record.loss for record in told], dtype=np.float64)
    means = np.array([estimate.mean for estimate in posterior(SPACE, told, [record.trial for record in told])])
    assert np.corrcoef(means, truth)[0, 1] > np.corrcoef(losses, truth)[0, 1] + 0.05


def test_estimates_come_in_the_order_asked_for_and_say_how_sure_they_are() -> None:
    told = records(40, generations=4)
    new = trial(99, {"sharp": 0.5, "dull": 0.5, "kind": "a", "size": 4}, 3)
    forth = posterior(SPACE, told, [told[3].trial, new], generations=4)
    back = posterior(SPACE, told, [new, told[3].trial], generations=4)
    assert [e.mean for e in forth] == pytest.approx([e.mean for e in back[::-1]])
    assert all(type(e.mean) is float and e.deviation > 0 for e in forth)
    assert posterior(SPACE, told, [], generations=4) == ()


def test_the_generation_of_a_trial_counts() -> None:
    rng = np.random.default_rng(1)
    stages = [k // 20 for k in range(40)]
    trials = [trial(k, SPACE.sample(rng), stage) for k, stage in enumerate(stages)]
    told = [Record(trial=one, status=Status.COMPLETED, loss=-float(one.generation)) for one in trials]
    config = SPACE.sample(rng)
    early, late = posterior(SPACE, told, [trial(50, config, 0), trial(51, config, 1)], generations=2)
    assert late.mean < early.mean - 0.5


def test_a_trial_of_a_generation_that_is_not_there_is_refused() -> None:
    told = records(10)
    with pytest.raises(ConfigError, match="trials must be of generations below 1, got trial 5 of generation 2"):
        posterior(SPACE, told, [trial(5, told[0].trial.config, 2)])
    with pytest.raises(ConfigError, match="importance: trials must be of generations below 2"):
        importance(SPACE, records(10, generations=3), generations=2)
