"""The base of trainables whose framework has its own loop and checkpoints: Lightning and Transformers.

Each step is one call of the framework's training, which continues from the checkpoint of the step before. The framework
makes its optimizer inside that call, so values can be set only then.
"""

import abc
import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import torch

from gpbt_adapters.trainables import bindings as _bindings
from gpbt_adapters.trainables.bindings import Binding, BoundTrainable
from gpbt_core.errors import ConfigError, ProtocolError

__all__ = ["Line", "LineTrainable", "Trained"]

_FILE = "line.pt"


@attrs.define(kw_only=True)
class Line:
    """The state of a line of models besides the framework's checkpoint, in plain values.

    Attributes:
        seed: The founder's seed.
        founder: The config that the model is built with.
        config: The config in force.
        held: The last value of each hyperparameter, including inactive ones.
        steps: How many steps have been trained.
        metrics: The metrics of the last step.
        diverged: Whether a weight or a buffer is no longer finite.
    """

    seed: int
    founder: Mapping[str, Any]
    config: Mapping[str, Any] = attrs.field(factory=dict)
    held: Mapping[str, Any] = attrs.field(factory=dict)
    steps: int = 0
    metrics: Mapping[str, float] = attrs.field(factory=dict)
    diverged: bool = False


@attrs.frozen(kw_only=True)
class Trained:
    """The result of one step.

    Attributes:
        live: The live values, read back after the last update.
        held: The last value of each hyperparameter, including inactive ones.
        metrics: The metrics after the step.
        diverged: Whether a weight or a buffer is no longer finite.
    """

    live: Mapping[str, Any]
    held: Mapping[str, Any]
    metrics: Mapping[str, float]
    diverged: bool


@attrs.define(kw_only=True, eq=False)
class LineTrainable(BoundTrainable):
    """A trainable that uses a framework's own checkpoints.

    Attributes:
        monitor: The score's name among the metrics.
        bindings: Where each hyperparameter lives, by its name in the config.
    """

    monitor: str
    bindings: Mapping[str, Binding[Any]]
    _line: Line | None = attrs.field(default=None, init=False)
    _live: Mapping[str, Any] = attrs.field(factory=dict, init=False)
    _folder: Path | None = attrs.field(default=None, init=False)
    _remove: Callable[[], Any] | None = attrs.field(default=None, init=False)

    checkpoint: ClassVar[str]
    """The name of the framework's checkpoint, a file or a folder."""

    @abc.abstractmethod
    def _build(self, line: Line) -> None:
        """Makes the model and the objects that train it, under the line's seed."""

    @abc.abstractmethod
    def _train(self, line: Line) -> Trained:
        """Trains one step, from the checkpoint in the folder if the line has steps, and leaves a new one there."""

    @abc.abstractmethod
    def _evaluate(self, line: Line) -> Mapping[str, float]:
        """Returns the metrics of the current model."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Drops the model and the objects that train it."""

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Builds the model under the seed.

        Raises:
            ConfigError: A hyperparameter has no binding, or the set-up cannot be trained.
        """
        self._open(Line(seed=seed, founder=dict(config)))
        self.apply(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Takes a config. The next step sets it on the live objects, which exist only while it trains.

        Raises:
            ConfigError: A hyperparameter has no binding.
            ProtocolError: There is no model yet.
        """
        line = self._started()
        _bindings.check_bound(self.bindings, config)
        line.config = dict(config)
        self._live = dict(config)

    def applied(self) -> Mapping[str, Any]:
        """Returns the live values that were read back at the end of the last step.

        After `apply` it returns the values that the next step will set. That step compares them with the live values
        before its first update.

        Raises:
            ProtocolError: There is no model yet.
        """
        self._started()
        return dict(self._live)

    def step(self) -> float:
        """Trains one step.

        Returns:
            The monitored metric after it; NaN if a weight or a buffer is no longer finite.

        Raises:
            ConfigError: The metric was not measured, nothing was left to train, or a binding's place does not exist.
            HyperparameterNotAppliedError: A value did not take; raised before the first update.
            ProtocolError: There is no model yet.
        """
        line = self._started()
        trained = self._train(line)
        line.held, line.metrics, line.diverged = trained.held, trained.metrics, trained.diverged
        line.steps += 1
        self._live = trained.live
        return self._score_in(line.metrics)

    def score(self) -> float:
        """Scores the current model.

        Raises:
            ConfigError: The metric was not measured.
            ProtocolError: There is no model yet.
        """
        return self._score_in(self._evaluate(self._started()))

    def figures(self) -> Mapping[str, float]:
        """Returns the other metrics of the last step."""
        return {name: value for name, value in self._started().metrics.items() if name != self.monitor}

    def save(self, path: Path) -> None:
        """Writes the framework's own checkpoint, and `line.pt`, which has the configs.

        A model that has not been trained yet has no checkpoint: it is built again from its seed.
        """
        line = self._started()
        if line.steps:
            _copy(self._place, path / self.checkpoint)
        torch.save({"format": 1, **attrs.asdict(line)}, path / _FILE)

    def load(self, path: Path) -> None:
        """Builds the model of the line's founder with the founder's seed, and takes the checkpoint.

        Raises:
            ConfigError: Another version wrote the files.
        """
        state = torch.load(path / _FILE, weights_only=True)
        written = state.pop("format", None)
        if written != 1:
            raise ConfigError(
                f"{type(self).__name__}.load: the checkpoint must be of format 1, got {written!r} in {path}"
            )
        line = Line(**state)
        self._open(line)
        if line.steps:
            _copy(path / self.checkpoint, self._place)
        self._live = dict(line.config)

    def close(self) -> None:
        """Releases the model, and deletes the files that are kept between steps."""
        self._line = None
        self._release()
        if self._remove is not None:
            self._remove()

    @property
    def _place(self) -> Path:
        """The path of the last step's checkpoint."""
        assert self._folder is not None
        return self._folder / self.checkpoint

    def _open(self, line: Line) -> None:
        self.close()
        self._folder = Path(tempfile.mkdtemp(prefix="gpbt-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._build(line)
        self._line = line

    def _started(self) -> Line:
        if self._line is None:
            raise ProtocolError(f"{type(self).__name__}: there is no model yet; call setup or load first")
        return self._line

    def _score_in(self, metrics: Mapping[str, float]) -> float:
        if self.monitor not in metrics:
            raise ConfigError(
                f"{type(self).__name__}: monitor={self.monitor!r} must be one of the metrics that each validation has, "
                f"got {sorted(metrics)}"
            )
        return math.nan if self._started().diverged else metrics[self.monitor]


def _copy(source: Path, target: Path) -> None:
    """Copies a checkpoint, which is a file or, with some frameworks and strategies, a folder."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
