"""What all boosted trainables share: steps of a few rounds, seeds, files, and values read back from the engine.

Every step starts from the trees alone, as after a load, because other engine state (cached sums, random states) may
differ between a run and its resumption. Random numbers are derived from the seed and the step number.
"""

import abc
import difflib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import numpy as np

from gpbt_adapters.trainables.trainable import Trainable, as_score, verify_applied
from gpbt_core.errors import ConfigError, ProtocolError

__all__ = ["BoostingTrainable", "EstimatorTrainable", "NativeTrainable", "Recent", "parsed"]

_FORMAT = 1
_PLAIN = "plain.json"

M = TypeVar("M")
D = TypeVar("D")


class Recent(Generic[M]):
    """Models that were read from files, so that the children of one parent read its file only once.

    A file is recognized by its inode, length and time of change. The models are shared: training on leaves them as they
    are, and makes new ones.

    Args:
        room: The most bytes that the files of the models may have together.
    """

    def __init__(self, room: int = 64 << 20) -> None:
        self._room = room
        self._models: OrderedDict[tuple[int, int, int, int], M] = OrderedDict()
        self._lock = threading.Lock()

    def fetch(self, file: Path, read: Callable[[Path], M]) -> M:
        """The model in a file, read anew or not."""
        stat = file.stat()
        key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            model = self._models.pop(key, None)
        if model is None:
            model = read(file)
        with self._lock:
            self._models[key] = model
            while sum(size for _, _, size, _ in self._models) > self._room:
                self._models.popitem(last=False)
        return model


def _maker(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Refuses an object where a factory is required, since each trial creates its own object."""
    if not callable(value):
        raise ConfigError(
            f"{type(instance).__name__}: {attribute.name} must be a function that makes what it is named after, got "
            f"an object of {type(value).__name__}; write {attribute.name}=lambda: ..."
        )


@attrs.define(kw_only=True, eq=False)
class BoostingTrainable(Trainable, Generic[M]):
    """Adds trees to a model, a few rounds per step.

    Attributes:
        score: Scores a model; the direction of the search decides whether higher or lower is better.
        rounds: Boosting rounds per step, at least 1.
        names: The engine's name of a hyperparameter, where it differs from the name in the config.
    """

    score_of: Callable[[M], float] = attrs.field(alias="score")
    rounds: int = attrs.field(default=10, validator=attrs.validators.ge(1))
    names: Mapping[str, str] = attrs.field(factory=dict)
    _config: Mapping[str, Any] = attrs.field(init=False, factory=dict)
    _seed: int = attrs.field(init=False, default=0)
    _steps: int = attrs.field(init=False, default=0)
    _model: M | None = attrs.field(init=False, default=None)
    _live: Mapping[str, Any] | None = attrs.field(init=False, default=None)
    _begun: bool = attrs.field(init=False, default=False)

    refused: ClassVar[Mapping[str, str]] = {}
    """Engine parameters that no config may have, and why."""

    settled: ClassVar[Mapping[str, str]] = {}
    """Engine parameters that keep the value of a model's first trees, and why."""

    def fixed(self) -> Collection[str]:
        """The hyperparameters that cannot change while trees are added."""
        engine_names = {**{name: name for name in self.settled}, **self.names}
        return frozenset(name for name, engine_name in engine_names.items() if engine_name in self.settled)

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Prepares a model without trees.

        Raises:
            ConfigError: A hyperparameter is one that cannot change while trees are added.
        """
        self._begin()
        self._seed, self._steps, self._model, self._begun, self._config = seed, 0, None, True, config
        self.apply(config)

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the hyperparameters of future trees; existing trees are unchanged.

        Raises:
            ConfigError: A hyperparameter is one that cannot change while trees are added.
        """
        for name in config:
            engine_name = self.names.get(name, name)
            if engine_name in self.refused:
                raise ConfigError(
                    f"{type(self).__name__}: hyperparameter {name!r} cannot be tuned: {self.refused[engine_name]}. "
                    f"Take it out of the space and set it once, for all models."
                )
        for name in self.fixed() & (config.keys() | self._config.keys()):
            if config.get(name) != self._config.get(name):
                raise ConfigError(
                    f"{type(self).__name__}: hyperparameter {name!r} cannot change along a line: "
                    f"{self.settled[self.names.get(name, name)]}. Take it out of the space, or keep each model's "
                    f"config with preset='gp', 'tpe' or 'random'."
                )
        self._config, self._live = dict(config), None
        self._check_known(self._read_back())

    def applied(self) -> Mapping[str, Any]:
        """Reads the values back as the engine parsed them, without those that the engine does not know.

        Raises:
            ProtocolError: There is no training yet.
        """
        if not self._begun:
            raise ProtocolError(f"{type(self).__name__}: nothing to read back yet; call setup or load first")
        live = self._read_back()
        return {
            name: parsed(live[self.names.get(name, name)], like=value)
            for name, value in self._config.items()
            if self.names.get(name, name) in live
        }

    def step(self) -> float:
        """Adds `rounds` rounds of trees and returns the score after them.

        Raises:
            ProtocolError: There is no training yet.
            HyperparameterNotAppliedError: The trees were trained under a value that differs from the config's. Only
                training reveals this: another parameter or a callback may change the value.
        """
        if not self._begun:
            raise ProtocolError(f"{type(self).__name__}: nothing to train yet; call setup or load first")
        seed = int(np.random.SeedSequence((self._seed, self._steps)).generate_state(1)[0]) % 2**31
        self._model = self._grow(self._current(), self._wanted(), seed)
        self._steps += 1
        self._live = self._values(self._model)
        verify_applied(self, self._config, trained=1)
        return self.score()

    def score(self) -> float:
        """Scores the current model.

        Raises:
            ProtocolError: It has no trees yet.
            ConfigError: The score is not a number.
        """
        return as_score(self.score_of(self.model), f"{type(self).__name__}.score")

    def save(self, path: Path) -> None:
        """Writes the trees in the engine's own format, and plain values to a separate file."""
        model = self._current()
        plain = {"format": _FORMAT, "config": dict(self._config), "seed": self._seed, "steps": self._steps}
        if model is not None:
            plain["evaluation"] = self._evaluation(model)
            self._store(model, path)
        (path / _PLAIN).write_text(json.dumps(plain))

    def load(self, path: Path) -> None:
        """Restores what `save` wrote.

        Raises:
            ConfigError: The files are of another version.
            OSError: A file cannot be read.
        """
        plain = json.loads((path / _PLAIN).read_text())
        if plain["format"] != _FORMAT:
            raise ConfigError(
                f"{type(self).__name__}.load: expected a checkpoint of format {_FORMAT}, got {plain['format']!r} in "
                f"{path}"
            )
        self._begin()
        self._seed, self._steps, self._begun = plain["seed"], plain["steps"], True
        self._config, self._live = plain["config"], None  # read back only on request: a child's config comes next
        self._model = self._fetch(path) if self._steps else None
        if self._model is not None:
            self._set_evaluation(self._model, plain.get("evaluation") or {})

    def close(self) -> None:
        """Drops the model and the data."""
        self._model, self._live, self._begun = None, None, False
        self._end()

    @property
    def model(self) -> M:
        """The model with all trees so far.

        Raises:
            ProtocolError: There are none yet.
        """
        model = self._current()
        if model is None:
            raise ProtocolError(f"{type(self).__name__}: there are no trees yet; train a step first")
        return model

    def _current(self) -> M | None:
        """The model with all trees so far; None if there are none."""
        return self._model

    def _wanted(self) -> dict[str, Any]:
        return {self.names.get(name, name): value for name, value in self._config.items()}

    def _read_back(self) -> Mapping[str, Any]:
        """The engine's own parameters, as it will use or last used them."""
        if self._live is None:
            self._live = self._probe(self._wanted())
        return self._live

    def _check_known(self, live: Mapping[str, Any]) -> None:
        """Refuses hyperparameters that the engine does not report and therefore does not know."""
        for name in self._config:
            engine_name = self.names.get(name, name)
            if engine_name not in live:
                close = difflib.get_close_matches(engine_name, live, n=1)
                raise ConfigError(
                    f"{type(self).__name__}: hyperparameter {name!r} must be a parameter of the engine, which does "
                    f"not know {engine_name!r}; "
                    + (f"did you mean {close[0]!r}?" if close else "check its name and the objective that reads it")
                )

    def _evaluation(self, model: M) -> dict[str, Any]:  # noqa: ARG002 - some models have none
        """Reads the results on evaluation data that the model's file does not hold, as plain values."""
        return {}

    def _set_evaluation(self, model: M, evaluation: Mapping[str, Any]) -> None:
        """Restores on a loaded model the results that `_evaluation` read."""

    @abc.abstractmethod
    def _begin(self) -> None:
        """Creates the data."""

    @abc.abstractmethod
    def _end(self) -> None:
        """Drops the data."""

    @abc.abstractmethod
    def _probe(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Lets the engine parse the parameters for training, and reads back all of its own."""

    @abc.abstractmethod
    def _grow(self, model: M | None, wanted: Mapping[str, Any], seed: int) -> M:
        """Returns a model with `rounds` more rounds of trees; one that this returned before is unchanged."""

    @abc.abstractmethod
    def _values(self, model: M) -> Mapping[str, Any]:
        """Reads back the parameters under which a model's last trees were trained."""

    @abc.abstractmethod
    def _store(self, model: M, path: Path) -> None:
        """Writes the model into a directory."""

    @abc.abstractmethod
    def _fetch(self, path: Path) -> M | None:
        """Reads a model from a directory; None if `_current` makes it later from what was read."""


@attrs.define(kw_only=True, eq=False)
class NativeTrainable(BoostingTrainable[M], Generic[M, D]):
    """Trains a booster through the engine's native interface.

    Attributes:
        data: Creates the training data. Called once per segment; cache what is slow to read.
        params: Parameters that are not tuned.
    """

    data: Callable[[], D] = attrs.field(validator=_maker)
    params: Mapping[str, Any] = attrs.field(factory=dict)
    _data: D | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """Refuses parameters under which trees cannot be added."""
        self._check_params(self.params)

    def _begin(self) -> None:
        self._data = self._checked(self.data())

    def _end(self) -> None:
        self._data = None

    def _checked(self, data: D) -> D:
        """Refuses data that training cannot continue on."""
        return data

    @abc.abstractmethod
    def _check_params(self, params: Mapping[str, Any]) -> None:
        """Refuses parameters under which trees cannot be added."""


@attrs.define(kw_only=True, eq=False)
class EstimatorTrainable(BoostingTrainable[M]):
    """Trains one of an engine's scikit-learn classes; its model is the fitted estimator.

    Attributes:
        estimator: Creates the estimator with the parameters that are not tuned.
        data: Creates inputs and targets. Called once per segment; cache what is slow to read.
        fit_options: Further arguments of `fit`.
    """

    estimator: Callable[[], M] = attrs.field(validator=_maker)
    data: Callable[[], tuple[Any, Any]] = attrs.field(validator=_maker)
    fit_options: Mapping[str, Any] = attrs.field(factory=dict)
    _data: tuple[Any, Any] | None = attrs.field(init=False, default=None)

    own_options: ClassVar[frozenset[str]] = frozenset({"X", "y"})
    """Arguments of `fit` that the trainable passes itself."""

    def __attrs_post_init__(self) -> None:
        """Refuses arguments of `fit` that the trainable passes itself."""
        twice = sorted(self.own_options & self.fit_options.keys())
        if twice:
            raise ConfigError(
                f"{type(self).__name__}: fit_options must not contain {twice}, which the trainable gives itself; "
                f"leave them out"
            )

    def _begin(self) -> None:
        self._check_estimator(self.estimator())
        self._data = self.data()

    def _end(self) -> None:
        self._data = None

    @abc.abstractmethod
    def _check_estimator(self, estimator: M) -> None:
        """Refuses an estimator, or options of `fit`, under which trees cannot be added."""


def parsed(text: Any, *, like: Any) -> Any:
    """Converts an engine's text to the config's type; text that cannot be converted is returned unchanged.

    LightGBM prints six digits, so a text that agrees with the config's value to six digits counts as that value.
    XGBoost prints some numbers as a list of one element.

    Examples:
        >>> parsed("0.100000001", like=0.1), parsed("3", like=5), parsed("1", like=True), parsed("gbdt", like="rf")
        (0.100000001, 3, True, 'gbdt')
        >>> parsed("0.0127774", like=0.01277737505), parsed("0.0127774", like=0.0127779)
        (0.01277737505, 0.0127774)
        >>> parsed("[9E-1]", like=0.9)
        0.9
    """
    if not isinstance(text, str) or isinstance(like, str):
        return text
    if isinstance(like, float) and f"{like:g}" == text:
        return like
    try:
        number = float(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(like, bool):
        return bool(number)
    return int(number) if isinstance(like, int) and number.is_integer() else number
