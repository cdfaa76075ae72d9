"""A class written for Ray Tune as a trainable: the same methods, called as Tune calls them under PBT.

No cluster is needed: the object is created in the process that trains. What `ray.tune.Trainable` adds around it (the
trial's name, the storage, a result's time stamps) is left to Tune.
"""

import importlib
import inspect
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpbt_adapters.storing.checkpoints import CheckpointError, is_trusted
from gpbt_adapters.trainables.trainable import Trainable, as_score
from gpbt_core.errors import ConfigError

__all__ = ["TuneTrainable", "from_tune"]

CARD, KEPT, FILES = "gpbt-tune.pickle", "dict.pickle", "files"


class TuneTrainable(Trainable):
    """A `ray.tune.Trainable` behind the protocol of trainables; made by `from_tune`."""

    def __init__(
        self, kind: type, metric: str, constants: Mapping[str, Any], seed: str | None, applied: str | None
    ) -> None:
        self._kind, self._metric, self._constants, self._seed_name, self._applied = (
            kind,
            metric,
            constants,
            seed,
            applied,
        )
        self._model: Any = None
        self._config: dict[str, Any] = {}
        self._seed = 0
        self._last: dict[str, Any] = {}

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Makes the object, which calls its own `setup`."""
        self._seed = seed
        self._begin(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Saves, calls `reset_config` or makes a new object where that does not say True, and loads what was saved."""
        if self._config == dict(config):
            return
        with tempfile.TemporaryDirectory(prefix="gpbt-tune-") as folder:
            kept = self._keep(Path(folder))
            whole = self._whole(config)
            self._model.config = dict(whole)  # as `reset` of Tune's class does, before it calls the hook
            if self._model.reset_config(dict(whole)):
                self._config = dict(config)
            else:
                self._end()
                self._begin(config)
            self._model.load_checkpoint(kept)

    def applied(self) -> Mapping[str, Any]:
        """What the class says of itself, where it was told how; else its `config`."""
        if self._applied is not None:
            live: Mapping[str, Any] = getattr(self._model, self._applied)()
            return live
        return {**self._config, **{name: self._model.config.get(name) for name in self._config}}

    def step(self) -> float:
        """Calls `step` and takes the metric out of its result.

        Raises:
            ConfigError: The result is not a dict, lacks the metric, or the metric is not a number.
        """
        given = self._model.step()
        result = dict(_flat(given)) if isinstance(given, Mapping) else {}
        if self._metric not in result:
            found = sorted(result) if isinstance(given, Mapping) else given
            raise ConfigError(
                f"from_tune: step() of {self._kind.__name__} must return a dict with {self._metric!r}, got {found}"
            )
        score = as_score(result[self._metric], f"from_tune: {self._metric!r} of {self._kind.__name__}.step()")
        self._last = {name: value for name, value in result.items() if _is_number(value)}
        return score

    def score(self) -> float:
        """The metric of the last step: a class for Tune scores nothing outside of its steps.

        Raises:
            ConfigError: No step has been made yet.
        """
        if self._metric not in self._last:
            raise ConfigError(
                f"from_tune: {self._kind.__name__} has no score before its first step; give every segment a step"
            )
        return float(self._last[self._metric])

    def figures(self) -> Mapping[str, float]:
        """The other numbers of the last result."""
        return {name: float(value) for name, value in self._last.items() if name != self._metric}

    def save(self, path: Path) -> None:
        """Calls `save_checkpoint`; a dict that it returns is pickled."""
        files = path / FILES
        files.mkdir()
        kept = self._keep(files)
        if isinstance(kept, dict):
            (path / KEPT).write_bytes(_cloudpickle().dumps(kept))
        (path / CARD).write_bytes(pickle.dumps((self._config, self._seed, self._last)))

    def load(self, path: Path) -> None:
        """Makes the object and calls its `load_checkpoint`.

        Raises:
            CheckpointError: The files belong to another run.
        """
        if not is_trusted(path):
            raise CheckpointError(
                f"from_tune: {str(path)!r} holds pickles of unknown origin; say "
                f"`with gpbt.checkpoints.trusting(path):` if you know their author"
            )
        config, self._seed, last = pickle.loads((path / CARD).read_bytes())  # noqa: S301 - trusted, as asked above
        self._begin(config)
        if (path / KEPT).exists():
            self._model.load_checkpoint(_cloudpickle().loads((path / KEPT).read_bytes()))
        else:
            with tempfile.TemporaryDirectory(prefix="gpbt-tune-") as folder:  # a copy: the class may write there
                copied = shutil.copytree(path / FILES, Path(folder) / "checkpoint")
                self._model.load_checkpoint(str(copied))
        self._last = last

    def close(self) -> None:
        """Calls `cleanup` and removes the directory that the class logs to."""
        self._end()

    def _whole(self, config: Mapping[str, Any]) -> dict[str, Any]:
        named = {} if self._seed_name is None else {self._seed_name: self._seed}
        return {**self._constants, **named, **config}

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._model = self._kind(config=self._whole(config))
        self._config = dict(config)

    def _keep(self, folder: Path) -> dict[str, Any] | str:
        """Lets the object save itself; what its `load_checkpoint` is to be handed."""
        kept = self._model.save_checkpoint(str(folder))
        if kept is None or isinstance(kept, dict):
            return kept if isinstance(kept, dict) else str(folder)
        if Path(kept) != folder:
            raise ConfigError(
                f"from_tune: expected save_checkpoint() of {self._kind.__name__} to return a dict, None or the "
                f"directory that it was given, got {kept!r}"
            )
        return str(folder)

    def _end(self) -> None:
        if self._model is None:
            return
        model, self._model = self._model, None
        try:
            model.stop()
        finally:
            shutil.rmtree(model.logdir, ignore_errors=True)


class _Factory:
    """Makes trainables of one class; picklable where the class is."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self.__name__ = f"from_tune({settings['kind'].__name__})"

    def __call__(self) -> TuneTrainable:
        return TuneTrainable(**self._settings)


def from_tune(
    trainable: type,
    *,
    metric: str,
    config: Mapping[str, Any] | None = None,
    seed: str | None = None,
    applied: str | None = None,
) -> Callable[[], TuneTrainable]:
    """A factory of trainables from a class that Ray Tune knows (a subclass of `ray.tune.Trainable`).

    A step is one call of the class's `step`. New hyperparameters are applied as under Tune's PBT: through
    `reset_config` if it returns True, else by making a new object with the new config. In both cases the state is
    loaded afterwards. A `load_checkpoint` that also restores the old hyperparameters undoes this, as it does in Tune:
    do not restore them there, and let `applied` read the live ones back, so that a value that was not applied raises an
    error.

    Tune classes choose what to save in a checkpoint. To resume exactly, a class must also save its random states;
    `gpbt.testing.check_trainable` tells whether it does. (Its score is that of its last step.)

    Args:
        trainable: The class. Function trainables are not supported: they cannot be stopped between two steps.
        metric: The key of `step`'s result that is the score; of a result within results the keys joined by "/".
        config: Further entries of its config, the same for all trials; must be picklable if other processes train.
        seed: The key of the config under which it finds the seed of its founder (0 .. 2**32 - 1). None: the
            class gets no seed, and two runs may differ.
        applied: The name of a method without arguments that reads the live hyperparameters back, by name. None: they
            are assumed to be those of its attribute `config`.

    Raises:
        ConfigError: The class is not a subclass of `ray.tune.Trainable`, or lacks `step`, `save_checkpoint` or
            `load_checkpoint`, or the method that `applied` names.

    Examples:
        >>> from ray import tune
        >>> class Halving(tune.Trainable):
        ...     def setup(self, config):
        ...         self.value, self.rate = 1.0, config["rate"]
        ...
        ...     def step(self):
        ...         self.value *= 1 - self.rate
        ...         return {"loss": self.value}
        ...
        ...     def save_checkpoint(self, checkpoint_dir):
        ...         return {"value": self.value}
        ...
        ...     def load_checkpoint(self, checkpoint):
        ...         self.value = checkpoint["value"]
        >>> model = from_tune(Halving, metric="loss")()
        >>> model.setup({"rate": 0.5}, seed=0)
        >>> model.step()
        0.5
        >>> model.apply({"rate": 0.1})
        >>> model.step()
        0.45
        >>> model.close()
    """
    base = importlib.import_module("ray.tune").Trainable
    if not (inspect.isclass(trainable) and issubclass(trainable, base)):
        raise ConfigError(f"from_tune: expected a subclass of ray.tune.Trainable, got {trainable!r}")
    for name in ("step", "save_checkpoint", "load_checkpoint"):
        if getattr(trainable, name) is getattr(base, name):
            raise ConfigError(f"from_tune: {trainable.__name__} has no {name}() of its own")
    if applied is not None and not callable(getattr(trainable, applied, None)):
        raise ConfigError(f"from_tune: {trainable.__name__} has no method {applied!r}")
    return _Factory(kind=trainable, metric=metric, constants=dict(config or {}), seed=seed, applied=applied)


def _flat(result: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a result, those of dicts in it under names joined by "/", as Tune has them."""
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool) and getattr(value, "shape", ()) == ()


def _cloudpickle() -> Any:
    """Ray's own copy, as Tune uses for such checkpoints."""
    return importlib.import_module("ray.cloudpickle")
