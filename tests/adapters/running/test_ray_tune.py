"""Classes written for Ray Tune, as trainables: with and without reset_config, checkpoints as dicts and as files."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointError
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError, verify_applied
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.space import Float, Space

tune: Any = pytest.importorskip("ray.tune", exc_type=ImportError)

from gpbt_adapters.running.ray import from_tune  # noqa: E402 - after the library that it needs

SPACE = Space(lr=Float(0.01, 0.4, log=True), momentum=Float(0, 0.9))


class Whole(tune.Trainable):  # type: ignore[misc]  # Ray's classes have no types here
    """Noisy descent, kept as a dict; rebuilt for new hyperparameters."""

    def setup(self, config: dict[str, Any]) -> None:
        self.rng = np.random.default_rng(config.get("seed"))
        self.weight, self.velocity = config.get("start", 1.0) + self.rng.random(), 0.0
        self.take(config)

    def take(self, config: dict[str, Any]) -> None:
        self.lr, self.momentum = config["lr"], config["momentum"]

    def step(self) -> dict[str, Any]:
        self.velocity = self.momentum * self.velocity - self.lr * (2 * self.weight + 0.01 * self.rng.standard_normal())
        self.weight += self.velocity
        return {"loss": abs(self.weight), "speed": np.float32(self.velocity), "note": "text"}

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight, "velocity": self.velocity, "rng": self.rng.bit_generator.state}

    def restore_from(self, state: dict[str, Any]) -> None:
        self.weight, self.velocity = state["weight"], state["velocity"]
        self.rng.bit_generator.state = state["rng"]

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any] | None:  # noqa: ARG002 - Tune's signature
        return self.state()

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.restore_from(checkpoint)

    def live(self) -> dict[str, Any]:
        return {"lr": self.lr, "momentum": self.momentum}


class InFiles(Whole):
    """The same, kept in files; it writes into the directory that it loads from."""

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        folder = Path(checkpoint_dir) / "deep"
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps(self.state()))

    def load_checkpoint(self, checkpoint: str) -> None:
        file = Path(checkpoint) / "deep" / "state.json"
        self.restore_from(json.loads(file.read_text()))
        file.write_text("{}")


class Resetting(Whole):
    """The same, which takes new hyperparameters as it is."""

    made = 0

    def setup(self, config: dict[str, Any]) -> None:
        type(self).made += 1
        super().setup(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.weight = 0.0  # the state is loaded after it, as under Tune
        self.take(new_config)
        return True


class Stubborn(Whole):
    """Brings its old hyperparameters back with its state, as many classes do."""

    def state(self) -> dict[str, Any]:
        return {**super().state(), "lr": self.lr}

    def restore_from(self, state: dict[str, Any]) -> None:
        super().restore_from(state)
        self.lr = state["lr"]


@pytest.mark.parametrize("applied", [None, "live"])
@pytest.mark.parametrize("kind", [Whole, InFiles, Resetting])
def test_a_class_for_tune_keeps_the_promises_of_a_trainable(kind: type, applied: str | None) -> None:
    check_trainable(from_tune(kind, metric="loss", seed="seed", applied=applied), SPACE)


def test_reset_config_spares_a_new_object() -> None:
    model = from_tune(Resetting, metric="loss", seed="seed")()
    model.setup({"lr": 0.1, "momentum": 0.0}, 0)
    made = Resetting.made
    model.apply({"lr": 0.2, "momentum": 0.0})
    assert (Resetting.made, model._model.lr, model.applied()["lr"]) == (made, 0.2, 0.2)
    model.close()


def test_a_run_of_a_class_for_tune_ends_with_its_best_model() -> None:
    factory = from_tune(Whole, metric="loss", seed="seed", config={"start": 3.0})
    result = run(Optimizer(SPACE, population=4, steps=10, searcher="random"), factory, progress=False)
    assert 0 < result.best.score < 3
    model = result.restore()
    assert model.score() == result.best.score
    assert set(model.figures()) == {"speed"}
    model.close()


def test_hyperparameters_that_a_checkpoint_brings_back_are_found_where_the_class_can_be_asked() -> None:
    model = from_tune(Stubborn, metric="loss", seed="seed", applied="live")()
    model.setup({"lr": 0.1, "momentum": 0.0}, 0)
    model.apply({"lr": 0.2, "momentum": 0.0})
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected lr=0\.2, but the live value is 0\.1"):
        verify_applied(model, {"lr": 0.2, "momentum": 0.0})
    model.close()


def test_nothing_is_left_in_tunes_own_directory() -> None:
    model = from_tune(Whole, metric="loss")()
    model.setup({"lr": 0.1, "momentum": 0.0}, 0)
    folders = [Path(model._model.logdir)]
    model.apply({"lr": 0.2, "momentum": 0.0})
    folders.append(Path(model._model.logdir))
    model.close()
    assert not any(folder.exists() for folder in folders)


def test_pickles_of_unknown_origin_are_not_loaded(tmp_path: Path) -> None:
    model = from_tune(Whole, metric="loss")()
    model.setup({"lr": 0.1, "momentum": 0.0}, 0)
    model.step()
    model.save(tmp_path)
    with pytest.raises(CheckpointError, match="pickles of unknown origin"):
        from_tune(Whole, metric="loss")().load(tmp_path)
    model.close()


def test_a_result_without_the_metric_is_an_error_that_names_what_there_is() -> None:
    model = from_tune(Whole, metric="accuracy")()
    model.setup({"lr": 0.1, "momentum": 0.0}, 0)
    with pytest.raises(ConfigError, match=r"a dict with 'accuracy', got \['loss', 'note', 'speed'\]"):
        model.step()
    with pytest.raises(ConfigError, match="no score before its first step"):
        model.score()
    model.close()


class Empty(tune.Trainable):  # type: ignore[misc]  # as above
    pass


def test_what_is_no_such_class_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a subclass of ray\.tune\.Trainable"):
        from_tune(dict, metric="loss")
    with pytest.raises(ConfigError, match=r"has no step\(\) of its own"):
        from_tune(Empty, metric="loss")
    with pytest.raises(ConfigError, match="has no method 'alive'"):
        from_tune(Whole, metric="loss", applied="alive")


def test_the_factory_travels() -> None:
    again = pickle.loads(pickle.dumps(from_tune(Whole, metric="loss")))  # noqa: S301 - its own
    model = again()
    model.setup({"lr": 0.1, "momentum": 0.0}, 0)
    assert model.step() > 0
    model.close()
