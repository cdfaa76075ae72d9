"""The kit must pass what keeps its promises and name the promise that each fault breaks."""

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpbt_adapters.trainables.testing import BrokenPromiseError, check_trainable
from gpbt_adapters.trainables.trainable import Trainable
from gpbt_core.errors import ConfigError
from gpbt_core.space import Float, Space
from toy_trainables import Descent

CONFIGS = [{"lr": 0.1, "momentum": 0.5}, {"lr": 0.02, "momentum": 0.9}]


def test_a_trainable_that_keeps_its_promises_passes() -> None:
    check_trainable(Descent, CONFIGS)


def test_configs_can_be_drawn_from_a_space() -> None:
    check_trainable(
        Descent, Space(lr=Float(0.01, 0.1), momentum=Float(0, 0.9)), state=lambda made: vars(made)["weight"]
    )


class ForgetsOptimizerState(Descent):
    def load(self, path: Path) -> None:
        super().load(path)
        self.velocity = 0.0


class ForgetsRandomState(Descent):
    def load(self, path: Path) -> None:
        super().load(path)
        self.rng = np.random.default_rng(0)


class ForgetsItsSeed(Descent):
    """Draws a constant as it is built, and is built anew under seed 0."""

    def _build(self, seed: int) -> None:
        self.pull = 1e-3 * np.random.default_rng(seed).random()

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        super().setup(config, seed)
        self._build(seed)

    def load(self, path: Path) -> None:
        super().load(path)
        self._build(0)

    def step(self) -> float:
        self.weight += self.pull
        return super().step()


class WritesWhileLoading(Descent):
    def load(self, path: Path) -> None:
        super().load(path)
        (path / "last_used").write_text("now")


class SavesNothing(Descent):
    def save(self, path: Path) -> None:
        pass


class TrainsWhileSaving(Descent):
    def save(self, path: Path) -> None:
        super().save(path)
        self.rng.random()


class TrainsWhileScoring(Descent):
    def score(self) -> float:
        self.weight *= 0.999
        return super().score()


class ScoresOtherThings(Descent):
    def step(self) -> float:
        return 2 * super().step()


class KeepsRestoredValues(Descent):
    """The first complaint of PBT's users: new hyperparameters lost to the restored checkpoint."""

    restored = False

    def load(self, path: Path) -> None:
        super().load(path)
        self.restored = True

    def apply(self, config: Mapping[str, Any]) -> None:
        if not self.restored:
            super().apply(config)


class IgnoresChanges(Descent):
    def apply(self, config: Mapping[str, Any]) -> None:
        self.live["momentum"] = config["momentum"]


class IgnoresItsConfig(Descent):
    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        super().setup(dict.fromkeys(config, 0.3), seed)


class LosesValuesWhileTraining(Descent):
    def step(self) -> float:
        score = super().step()
        self.live["lr"] *= 0.5
        return score


class ReachesBack(Descent):
    """Its learning rate acts on what was learned before."""

    def score(self) -> float:
        return super().score() * float(self.live["lr"])


class ResetsWhenApplied(Descent):
    def apply(self, config: Mapping[str, Any]) -> None:
        super().apply(config)
        self.velocity = 0.0


class ChangesTheConfig(Descent):
    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        super().setup(config, seed)
        assert isinstance(config, dict)
        config.setdefault("seed", seed)


class LosesMomentumWhenChanged(Descent):
    """Other values reset what it has trained in memory, but not what it has loaded."""

    trained = False

    def apply(self, config: Mapping[str, Any]) -> None:
        if self.trained and dict(config) != self.live:
            self.velocity = 0.0
        super().apply(config)

    def step(self) -> float:
        self.trained = True
        return super().step()


class ReturnsText(Descent):
    def step(self) -> Any:
        return str(super().step())


class SharesState(Descent):
    """All its objects train one model."""

    shared: dict[str, float]
    numbers: Iterator[int] = itertools.count()

    def step(self) -> float:
        self.weight += 1e-3 * next(self.numbers)
        return super().step()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (ForgetsOptimizerState, "Continue: loaded into a fresh object: the scores must be the same"),
        (ForgetsRandomState, "Continue: loaded into a fresh object: the scores must be the same"),
        (ForgetsItsSeed, "Continue: loaded into a fresh object: the scores must be the same"),
        (WritesWhileLoading, "Continue: load.* must leave the files as they were"),
        (SavesNothing, r"Continue: save\(\) must write"),
        (TrainsWhileSaving, "Repeat: scored and saved midway"),
        (TrainsWhileScoring, r"Repeat: score\(\) must be"),
        (ScoresOtherThings, r"Repeat: score\(\) must be"),
        (
            KeepsRestoredValues,
            r"Applied: after apply\(\) after load\(\): .*expected lr=0.02, but the live value is 0.1",
        ),
        (IgnoresChanges, r"Applied: after apply\(\) after load\(\): .*expected lr=0.02, but the live value is 0.1"),
        (IgnoresItsConfig, r"Applied: after setup\(\): .*expected lr=0.1, but the live value is 0.3"),
        (
            LosesValuesWhileTraining,
            r"Applied: after training: .*: lr was set to 0\.1, but after 2 steps of training the live value is 0\.0",
        ),
        (ReachesBack, "Inherit: before any training, .* must be the parent's"),
        (ResetsWhenApplied, "Continue: loaded into a fresh object: the scores must be the same"),
        (ChangesTheConfig, r"Applied: setup\(\) must leave the config as it was"),
        (ReturnsText, r"Repeat: step\(\) must return a number, got '"),
        (LosesMomentumWhenChanged, "Keep: a child trained in its parent's object: the scores must be the same"),
        (SharesState, "Repeat: set up again with the same config and seed"),
    ],
)
def test_each_fault_is_named_with_the_promise_it_breaks(fault: type[Trainable], message: str) -> None:
    with pytest.raises(BrokenPromiseError, match=f"(?s){fault.__name__}: .*{message}"):
        check_trainable(fault, CONFIGS)


def test_a_state_that_the_scores_do_not_show_is_compared_too() -> None:
    class Coarse(ForgetsOptimizerState):
        def score(self) -> float:
            return 1.0

    check_trainable(Coarse, CONFIGS)
    with pytest.raises(BrokenPromiseError, match=r"Continue: .*the scores are the same, but the state is not"):
        check_trainable(Coarse, CONFIGS, state=lambda made: {"weights": [vars(made)["weight"]]})


def test_hyperparameters_that_act_on_predictions_are_allowed_where_said() -> None:
    check_trainable(ReachesBack, CONFIGS, inert=False)


def test_a_factory_that_hands_out_one_object_twice_is_found() -> None:
    only = Descent()
    with pytest.raises(BrokenPromiseError, match="Fresh: the factory must return a new object"):
        check_trainable(lambda: only, CONFIGS)


def test_a_factory_of_something_else_is_found() -> None:
    with pytest.raises(BrokenPromiseError, match="Fresh: the factory must return a Trainable, got <object"):
        check_trainable(object, CONFIGS)  # type: ignore[arg-type]  # the mistake under test


class Diverges(Descent):
    answer = math.nan

    def step(self) -> float:
        if self.live["lr"] > 1:
            if self.answer == 0:
                raise FloatingPointError
            return self.answer
        return super().step()


@pytest.mark.parametrize(("answer", "passes"), [(math.nan, True), (-math.inf, True), (0.0, True), (5.0, False)])
def test_a_diverging_model_must_say_so(answer: float, passes: bool) -> None:
    kind = type("Kind", (Diverges,), {"answer": answer})
    if passes:
        check_trainable(kind, CONFIGS, diverging={"lr": 9.0})
    else:
        with pytest.raises(BrokenPromiseError, match=r"Diverge: .* must give NaN"):
            check_trainable(kind, CONFIGS, diverging={"lr": 9.0})


class BreaksInStep(Descent):
    """Raises a mistake of its own where it should diverge."""

    def step(self) -> float:
        if self.live["lr"] > 1:
            raise KeyError("no such layer")
        return super().step()


class BreaksInSetup(Descent):
    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        if config["lr"] > 1:
            raise ValueError("lr is too large")
        super().setup(config, seed)


def test_a_mistake_of_the_code_is_no_divergence() -> None:
    diverging = {"lr": 9.0, "momentum": 0.5}
    with pytest.raises(BrokenPromiseError, match=r"Diverge: .*mistake of the code: KeyError") as caught:
        check_trainable(BreaksInStep, CONFIGS, diverging=diverging)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ValueError, match="lr is too large"):
        check_trainable(BreaksInSetup, CONFIGS, diverging=diverging)


def test_a_trainable_whose_scores_are_never_finite_does_not_pass() -> None:
    class NeverFinite(Descent):
        def score(self) -> float:
            return math.nan

    with pytest.raises(BrokenPromiseError, match=r"Repeat: the scores under .* must be finite"):
        check_trainable(NeverFinite, CONFIGS, inert=False)


@pytest.mark.parametrize("configs", [[], [{"lr": 0.1}], [{"lr": 0.1}, {"lr": 0.1}]])
def test_fewer_than_two_different_configs_are_refused(configs: list[dict[str, float]]) -> None:
    with pytest.raises(ConfigError, match="configs must be at least two"):
        check_trainable(Descent, configs)


def test_less_than_one_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps must be at least 1, got 0"):
        check_trainable(Descent, CONFIGS, steps=0)


class Counting(Descent):
    steps = 0

    def step(self) -> float:
        type(self).steps += 1
        return super().step()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, 34), ({"steps": 3}, 51), ({"short": True}, 14), ({"diverging": {"lr": 1e200, "momentum": 0.0}}, 36)],
)
def test_it_says_how_many_steps_it_trains(options: dict[str, Any], wanted: int) -> None:
    kind: type[Counting] = type("Kind", (Counting,), {})
    space = Space(lr=Float(0.01, 0.1), momentum=Float(0, 0.9))
    assert check_trainable(kind, space, **options) == kind.steps == wanted


def test_a_state_may_hold_tensors_and_is_a_copy_of_them() -> None:
    torch = pytest.importorskip("torch")

    class Tensors(Descent):
        def state(self) -> Any:
            weight = torch.tensor(self.weight, requires_grad=True)
            return {"weight": weight, "more": [weight.bfloat16(), (weight.double(),)], "name": "w"}

    class Lossy(Tensors):
        def load(self, path: Path) -> None:
            super().load(path)
            self.lost = 1

        def state(self) -> Any:
            return [torch.zeros(2) + getattr(self, "lost", 0)]

    check_trainable(Tensors, CONFIGS, state=lambda made: made.state())
    with pytest.raises(BrokenPromiseError, match=r"Continue: .*the scores are the same, but the state is not"):
        check_trainable(Lossy, CONFIGS, state=lambda made: made.state())
