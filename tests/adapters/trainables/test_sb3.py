import functools
import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import gymnasium
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.sb3 import Argument, EnvField, Fixed, SB3Trainable, Setter
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.space import Float, Int, Space

SMALL: dict[str, Any] = {"device": "cpu", "policy_kwargs": {"net_arch": [8]}}
ROLLOUTS = {**SMALL, "n_steps": 32, "batch_size": 32, "n_epochs": 2}
REPLAY = {**SMALL, "buffer_size": 200, "learning_starts": 16, "batch_size": 16}
TWO_STEPS = {"n_steps": 2} if "n_steps" in inspect.signature(SAC).parameters else {}  # since Stable-Baselines3 2.7
RATE = Float(1e-4, 1e-2, log=True)
DISCOUNT = Float(0.9, 0.999, log="1-x")


class Walk(gymnasium.Env[Any, Any]):
    """A point that should be at 0; it pays a fuel price for each push."""

    def __init__(self, *, discrete: bool = True, fuel: float = 0.0, length: int = 10) -> None:
        self.observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float32)
        self.action_space: Any = (
            gymnasium.spaces.Discrete(3) if discrete else gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        )
        self.discrete, self.fuel, self.length = discrete, fuel, length
        self.played = 0  # lives through resets, as the state of a simulator may

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:  # noqa: ARG002 - Gymnasium's signature
        super().reset(seed=seed)
        self.place, self.time = self.np_random.uniform(-2, 2), 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        push = float(action) - 1 if self.discrete else float(action[0])
        self.place += 0.5 * push + 0.1 * self.np_random.normal()
        self.time += 1
        self.played += 1
        distance = abs(self.place)
        reward = -distance - self.fuel * abs(push)
        return self._seen(), reward, False, self.time == self.length, {"distance": distance}

    def _seen(self) -> Any:
        return np.array([self.place, self.time / self.length], np.float32)


def _make(algorithm: Any = PPO, **changes: Any) -> SB3Trainable:
    usual: dict[str, Any] = {
        "make_env": Walk,
        "steps": 64,
        "evaluate": 2,
        "tune": ["learning_rate", "gamma"],
        "arguments": ROLLOUTS,
    }
    return SB3Trainable("MlpPolicy", algorithm=algorithm, **{**usual, **changes})


def _replaying(algorithm: Any, tune: Any = ("learning_rate", "gamma"), **arguments: Any) -> SB3Trainable:
    """SAC and TD3 update at each environment step, so take few; the fourth training step fills the buffer."""
    arguments = {**REPLAY, "buffer_size": 40, "learning_starts": 8, **arguments}
    return _make(algorithm, make_env=lambda: Walk(discrete=False), steps=12, tune=tune, arguments=arguments)


def _normalized() -> VecNormalize:
    return VecNormalize(DummyVecEnv([Walk, Walk]))


def _weights(trainable: Any) -> Any:
    return {**trainable.model.policy.state_dict(), "optimizer": [*trainable.model.get_parameters().values()][-1]}


CASES: dict[str, tuple[Any, Space]] = {
    "ppo": (
        functools.partial(
            _make,
            tune=["learning_rate", "gamma", "gae_lambda", "clip_range", "ent_coef", "n_steps", "n_epochs", "vf_coef"],
        ),
        Space(
            learning_rate=RATE,
            gamma=DISCOUNT,
            gae_lambda=Float(0.8, 0.99),
            clip_range=Float(0.1, 0.4),
            ent_coef=Float(1e-4, 0.1, log=True),
            n_steps=Int(32, 64, step=32),
            n_epochs=Int(1, 3),
            vf_coef=Float(0.3, 0.7),
        ),
    ),
    "ppo, two normalized environments": (
        functools.partial(_make, make_env=_normalized),
        Space(learning_rate=RATE, gamma=DISCOUNT),
    ),
    "a2c": (
        functools.partial(_make, A2C, tune=["learning_rate", "gamma", "n_steps"], arguments=SMALL),
        Space(learning_rate=RATE, gamma=DISCOUNT, n_steps=Int(4, 16, step=4)),
    ),
    "sac": (
        functools.partial(_replaying, SAC, tune=["learning_rate", "gamma", "tau", "ent_coef"]),
        Space(learning_rate=RATE, gamma=DISCOUNT, tau=Float(0.001, 0.1, log=True), ent_coef=Float(0.01, 1, log=True)),
    ),
    "sac, which learns its entropy": (
        functools.partial(_replaying, SAC, **TWO_STEPS),
        Space(learning_rate=RATE, gamma=DISCOUNT),
    ),
    "td3, with noise on its actions": (
        functools.partial(
            _replaying,
            TD3,
            tune=["learning_rate", "gamma", "tau", "policy_delay", "target_policy_noise"],
            action_noise=NormalActionNoise(np.zeros(1), np.full(1, 0.1)),
        ),
        Space(
            learning_rate=RATE,
            gamma=DISCOUNT,
            tau=Float(0.001, 0.1, log=True),
            policy_delay=Int(1, 3),
            target_policy_noise=Float(0.05, 0.4),
        ),
    ),
    "dqn": (
        functools.partial(
            _make,
            DQN,
            steps=32,  # the fourth of them fills the buffer
            tune={
                "rate": Argument("learning_rate"),
                "epsilon": Argument("exploration_initial_eps", "exploration_final_eps"),
                "every": Argument("train_freq"),
            },
            arguments={**REPLAY, "buffer_size": 100},
        ),
        Space(rate=RATE, epsilon=Float(0.05, 0.5), every=Int(1, 4)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_algorithm_keeps_its_promises(case: str) -> None:
    factory, space = CASES[case]
    check_trainable(factory, space, state=_weights)


def test_values_are_those_that_the_next_update_is_made_under(tmp_path: Path) -> None:
    config = {"learning_rate": 1e-3, "gamma": 0.95, "clip_range": 0.2, "n_steps": 32}
    parent = _make(tune=list(config))
    parent.setup(config, seed=1)
    parent.step()
    parent.save(tmp_path)
    child = _make(tune=list(config))
    child.load(tmp_path)
    other = {"learning_rate": 5e-4, "gamma": 0.9, "clip_range": 0.1, "n_steps": 64}
    child.apply(other)
    child.step()
    model: Any = child.model
    assert child.applied() == pytest.approx(other)
    assert model.policy.optimizer.param_groups[0]["lr"] == 5e-4
    assert (model.rollout_buffer.gamma, model.rollout_buffer.buffer_size) == (0.9, 64)
    assert model.clip_range(0.3) == 0.1
    assert model.num_timesteps == 128


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("gamma", lambda model: setattr(model, "gamma", 0.5)),
        ("learning_rate", lambda model: model.policy.optimizer.param_groups[0].update(lr=0.5)),
    ],
)
def test_a_value_that_only_one_of_its_places_has_is_noticed(name: str, spoil: Any) -> None:
    trainable = _make()
    trainable.setup({"learning_rate": 1e-3, "gamma": 0.95}, seed=1)
    trainable.step()
    spoil(trainable.model)
    with pytest.raises(ConfigError, match=f"{name!r} has different live values in the model's {name}"):
        trainable.applied()


def test_a_callback_that_writes_over_a_value_is_an_error_at_the_end_of_the_segment() -> None:
    class Stubborn(PPO):
        def train(self) -> None:
            self.ent_coef = 0.5
            super().train()

    factory = functools.partial(_make, Stubborn, tune=["ent_coef"])
    with pytest.raises(HyperparameterNotAppliedError, match=r"ent_coef was .* the live value is 0\.5: something"):
        run(Optimizer(Space(ent_coef=Float(0, 0.1)), population=1, steps=1), factory, progress=False)


def test_the_replay_buffer_and_the_normalization_go_on_in_a_child(tmp_path: Path) -> None:
    parent = _make(DQN, make_env=_normalized, arguments=REPLAY)
    parent.setup({"learning_rate": 1e-3, "gamma": 0.95}, seed=1)
    parent.step()
    parent.save(tmp_path)
    child = _make(DQN, make_env=_normalized, arguments=REPLAY)
    child.load(tmp_path)
    child.apply({"learning_rate": 1e-4, "gamma": 0.9})
    old: Any = parent.model
    new: Any = child.model
    assert new.replay_buffer.pos == old.replay_buffer.pos == 32  # of two environments
    np.testing.assert_array_equal(new.replay_buffer.observations[:32], old.replay_buffer.observations[:32])
    assert new.get_env().obs_rms.mean.tolist() == old.get_env().obs_rms.mean.tolist()
    assert (tmp_path / "replay.npz").stat().st_size < 20_000  # only what is filled


@pytest.mark.skipif(not TWO_STEPS, reason="this version of Stable-Baselines3 has no n-step returns")
def test_n_step_returns_are_discounted_by_the_new_gamma() -> None:
    trainable = _make(DQN, tune=["gamma", "n_steps"], arguments=REPLAY)
    trainable.setup({"gamma": 0.95, "n_steps": 2}, seed=1)
    trainable.step()
    trainable.apply({"gamma": 0.9, "n_steps": 3})
    buffer: Any = trainable.model.replay_buffer  # type: ignore[attr-defined]
    assert (buffer.gamma, buffer.n_steps, buffer.pos) == (0.9, 3, 64)


def test_a_coefficient_of_the_reward_is_searched_by_an_objective_that_does_not_have_it() -> None:
    space = Space(fuel=Float(0, 1), learning_rate=RATE)

    def factory() -> SB3Trainable:
        return _make(
            tune={"fuel": EnvField("fuel"), "learning_rate": Argument("learning_rate")},
            objective=lambda infos: -sum(info["distance"] for info in infos) / len(infos),
        )

    check_trainable(factory, space)
    trainable = factory()
    trainable.setup({"fuel": 0.7, "learning_rate": 1e-3}, seed=1)
    model: Any = trainable.model
    assert [env.unwrapped.fuel for env in model.get_env().envs] == [0.7]
    free = trainable.play(3, seed=5)
    trainable.apply({"fuel": 0.1, "learning_rate": 1e-3})
    assert trainable.play(3, seed=5) == free
    assert len(free) == 3
    assert all(score < 0 for score in free)
    assert trainable.applied()["fuel"] == 0.1


def test_agents_of_a_generation_play_the_same_episodes_and_each_generation_others() -> None:
    scores = []
    for seed in (1, 2):
        trainable = _make(tune=["gamma"], evaluate=3, make_env=functools.partial(Walk, length=1))
        trainable.setup({"gamma": 0.9}, seed=seed)
        env: Any = trainable._eval_env
        trainable.score()
        first = env.envs[0].unwrapped.np_random.bit_generator.state["state"]
        trainable.score()
        assert env.envs[0].unwrapped.np_random.bit_generator.state["state"] == first
        trainable.step()
        assert env.envs[0].unwrapped.np_random.bit_generator.state["state"] != first
        scores.append(first)
    assert scores[0] == scores[1]


def test_nothing_of_the_process_is_disturbed() -> None:
    np.random.seed(3)  # noqa: NPY002 - what others draw from
    expected = np.random.rand(2)  # noqa: NPY002 - as above
    np.random.seed(3)  # noqa: NPY002 - as above
    trainable = _make()
    trainable.setup({"learning_rate": 1e-3, "gamma": 0.95}, seed=1)
    trainable.step()
    assert np.random.rand(2).tolist() == expected.tolist()  # noqa: NPY002 - as above


def test_nothing_is_printed_or_warned_about(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(Optimizer(Space(learning_rate=RATE), population=2, steps=2), functools.partial(_make), progress=False)
    assert capfd.readouterr().out == ""


def test_a_run_keeps_only_the_checkpoints_that_are_needed(tmp_path: Path) -> None:
    space = Space(learning_rate=RATE, gamma=DISCOUNT)
    optimizer = Optimizer(space, population=3, steps=2, direction="maximize", select_by="posterior", seed=0)
    with CheckpointStore(tmp_path / "store", durable=False) as store:
        result = run(optimizer, _make, store=store, progress=False)
        kept = {int(path.name.removeprefix("trial-")) for path in (tmp_path / "store").glob("trial-*")}
        best: Any = result.restore()
        assert best.score() == result.best.score
    assert len(kept) <= 3 < len(optimizer.records)


def test_a_width_is_fixed_along_a_line() -> None:
    def arguments(config: Mapping[str, Any]) -> dict[str, Any]:
        return {**ROLLOUTS, "policy_kwargs": {"net_arch": [config["width"]]}}

    trainable = _make(tune={"width": Fixed(), "lr": Argument("learning_rate")}, arguments=arguments)
    assert trainable.fixed() == ("width",)
    trainable.setup({"width": 5, "lr": 1e-3}, seed=1)
    assert trainable.model.policy.mlp_extractor.policy_net[0].out_features == 5  # type: ignore[index, union-attr]
    with pytest.raises(ConfigError, match="'width' is bound as Fixed"):
        trainable.apply({"width": 6, "lr": 1e-3})


def test_functions_of_your_own_set_what_no_argument_names() -> None:
    binding: Setter[Any] = Setter(
        set=lambda parts, value: parts.model.policy.optimizer.param_groups[0].update(weight_decay=value),
        get=lambda parts: parts.model.policy.optimizer.param_groups[0]["weight_decay"],
    )
    trainable = _make(tune={"decay": binding, "lr": Argument("learning_rate")})
    trainable.setup({"decay": 0.1, "lr": 1e-3}, seed=1)
    trainable.apply({"decay": 0.2, "lr": 1e-4})
    trainable.step()
    assert trainable.applied() == pytest.approx({"decay": 0.2, "lr": 1e-4})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"make_env": Walk()}, "make_env must be a function, got a Walk"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"evaluate": 0}, "evaluate must be a whole number of at least 1, got 0"),
        ({"tune": ["gama"]}, r"must be bound to an argument of PPO, got 'gama'; it has \["),
        ({"tune": ["buffer_size"], "algorithm": DQN}, "that can change during training, got 'buffer_size'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _make(**changes)


_ONE = Walk()


@pytest.mark.parametrize(
    ("changes", "config", "message"),
    [
        ({}, {"lr": 0.1}, r"no binding for the hyperparameters \['lr'\]"),
        ({"make_env": lambda: _ONE}, {}, "make_env must return a new environment at each call"),
        ({"arguments": {"clip_range": lambda _: 0.1}}, {}, "clip_range must be a number, got a function"),
        ({"steps": 16}, {}, r"steps must be at least a rollout, n_steps x environments = 32, got 16"),
        ({"tune": {"wind": EnvField("wind")}}, {"wind": 1.0}, "must have an attribute 'wind', got none"),
        ({"algorithm": A2C, "arguments": SMALL, "tune": ["rms_prop_eps"]}, {"rms_prop_eps": 0.1}, "reads only when"),
        ({"make_eval_env": _normalized}, {}, "must both return a VecNormalize, or neither"),
        ({"objective": lambda infos: infos}, {}, "SB3Trainable.objective: the score must be a number"),
    ],
)
def test_a_wrong_set_up_says_what_to_do(changes: dict[str, Any], config: dict[str, Any], message: str) -> None:
    trainable = _make(**changes)

    def begin() -> None:
        trainable.setup(config, seed=1)
        trainable.score()

    with pytest.raises(ConfigError, match=message):
        begin()


def test_a_replay_buffer_of_another_size_is_not_filled(tmp_path: Path) -> None:
    saved = _make(DQN, arguments=REPLAY)
    saved.setup({}, seed=1)
    for _ in range(2):
        saved.step()
    saved.save(tmp_path)
    two = _make(DQN, arguments=REPLAY, make_env=lambda: DummyVecEnv([Walk, Walk]))
    with pytest.raises(ConfigError, match="the replay buffer must hold what was saved"):
        two.load(tmp_path)


def test_weights_that_are_not_finite_any_more_score_nan() -> None:
    class Broken(PPO):
        def train(self) -> None:
            super().train()
            self.policy.value_net.bias.data.fill_(np.nan)

    trainable = _make(Broken, steps=32)
    trainable.setup({}, seed=1)
    assert np.isnan(trainable.step())


def test_using_it_before_set_up_or_after_close_says_so() -> None:
    trainable = _make()
    for use in (trainable.step, trainable.score, trainable.applied, lambda: trainable.model, lambda: trainable.parts):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            use()
