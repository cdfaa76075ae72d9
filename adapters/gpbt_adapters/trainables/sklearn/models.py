"""One scikit-learn estimator, or a pipeline that ends in one, in training on one set of data.

A model sets and reads parameters where the estimator uses them; its caller scores and stores it. Only
`sklearn_continuation` knows the internals of an estimator.
"""

import difflib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import attrs
import joblib
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from gpbt_adapters.trainables.sklearn.continuation import (
    Continuation,
    all_labels,
    continuation,
    current_values,
    live_values,
    preparation,
    random_states,
    set_live,
    silent_under,
    train,
)
from gpbt_adapters.trainables.sklearn.reuse import Carried, Reused, predicting, training
from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Space

__all__ = ["Model", "Template", "TrainingData", "last_step"]


@attrs.frozen(kw_only=True, eq=False)
class TrainingData:
    """The training data of a model.

    Attributes:
        features: Samples by features.
        target: One entry or row per sample, or None.
        labels: The labels to pass to the first pass of a classifier; None for anything else.
        fit_params: Further arguments of `fit` or `partial_fit`.
        reused: What is computed once from these data for all models; None: nothing, since the caller may change them.
    """

    features: Any
    target: Any
    labels: Any = None
    fit_params: Mapping[str, Any] = attrs.Factory(dict)
    reused: Reused | None = None


class Template:
    """The estimator that all models of a run are clones of, and what a config may set on them.

    Args:
        estimator: Any estimator that `continuation` supports, or a pipeline that ends in one; never changed.

    Attributes:
        estimator: As given.
        continuation: How the last step continues training.
        prefix: The prefix of the last step's parameter names; empty without a pipeline.

    Raises:
        ConfigError: The estimator cannot continue training.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.continuation: Continuation = continuation(last_step(estimator))
        self.prefix = f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""
        self._names = frozenset(estimator.get_params(deep=True))

    def labels(self, target: Any) -> Any:
        """The labels that a model needs before its first pass."""
        if target is None or self.continuation.way != "passes":
            return None
        return all_labels(last_step(self.estimator), target)

    def fit_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The fit parameters of the last step by its own names; they may be given by these or by the pipeline's names.

        Raises:
            ConfigError: Some belong to another step of the pipeline.
        """
        self.check_weights(params)
        steps = [name for name, _ in self.estimator.steps[:-1]] if self.prefix else []
        others = [param for param in params if param.split("__")[0] in steps]
        if others:
            raise ConfigError(
                f"{type(self.estimator).__name__}: expected fit parameters of the last step, {self.prefix}<name>, got "
                f"{', '.join(others)}: only the last step is trained on and gets any; transform the data beforehand"
            )
        return {param.removeprefix(self.prefix): value for param, value in params.items()}

    def check_weights(self, params: Mapping[str, Any]) -> None:
        """Refuses fit parameters if the pipeline resamples the data that they belong to.

        Raises:
            ConfigError: A step of the pipeline resamples, and there are such parameters.
        """
        if params and _resamples(self.estimator):
            raise ConfigError(
                f"{type(self.estimator).__name__}: a pipeline that resamples must be fitted without further "
                f"parameters, got {', '.join(params)}: they belong to samples that the last step does not see; leave "
                f"them out, or resample the data beforehand"
            )

    def check(self, space: Space, *, changes: bool = True) -> None:
        """Refuses a space that the models cannot be trained under, before any training.

        Args:
            space: The search space.
            changes: Whether a child may get another config than its parent.

        Raises:
            ConfigError: The estimator lacks a parameter or never reads it, or a parameter that changes cannot change in
                mid-training.
        """
        for name in space.names:
            self.check_name(name)
            if changes:
                self.check_change(name, "a value that changes from parent to child")
            self._check_choices(name, space.parameters[name])
            self._check_read(name, space)

    def _check_choices(self, name: str, parameter: object) -> None:
        """Refuses a choice under which the estimator cannot continue training, or continues in another way."""
        if not (isinstance(parameter, Categorical) and name.startswith(self.prefix)):
            return
        for choice in parameter.choices:
            if not isinstance(choice, str):
                continue
            chosen = clone(last_step(self.estimator)).set_params(**{name.removeprefix(self.prefix): choice})
            found = continuation(chosen)
            if (found.way, found.count) != (self.continuation.way, self.continuation.count):
                raise ConfigError(
                    f"{type(self.estimator).__name__}: {name}={choice!r} must not be a choice: under it the estimator "
                    f"is trained on by {found.way}, and otherwise by {self.continuation.way}"
                )

    def _check_read(self, name: str, space: Space) -> None:
        """Refuses a parameter that the estimator never reads because of the value of another one."""
        last = last_step(self.estimator)
        found = silent_under(last, name.removeprefix(self.prefix)) if name.startswith(self.prefix) else None
        if found is None:
            return
        other, reads, words = found
        searched = space.parameters.get(self.prefix + other)
        if searched is None:
            readable = reads(getattr(last, other))
        else:
            readable = not isinstance(searched, Categorical) or any(reads(choice) for choice in searched.choices)
        if not readable:
            value = f"{other}={getattr(last, other)!r}" if searched is None else f"the choices of {other!r}"
            raise ConfigError(
                f"{type(last).__name__}: {name!r} is never read under {value}; leave it out of the space, or set "
                f"{other} to {words}"
            )

    def check_name(self, name: str) -> None:
        """Refuses a hyperparameter that the estimator lacks or never reads, or that continued training sets itself.

        Raises:
            ConfigError: The hyperparameter is one of these.
        """
        if name not in self._names:
            close = difflib.get_close_matches(name, self._names, n=1)
            raise ConfigError(
                f"{type(self.estimator).__name__}: it has no parameter {name!r}; "
                + (f"did you mean {close[0]!r}? It has " if close else "it has ")
                + ", ".join(sorted(self._names))
            )
        own = name.removeprefix(self.prefix)
        if own in self.continuation.reserved or own.split("__")[-1] == "random_state":
            raise ConfigError(
                f"{type(self.estimator).__name__}: {name!r} cannot be a hyperparameter: the adapter sets it, to train "
                f"the model step by step"
            )
        if own in self.continuation.unread:
            raise ConfigError(
                f"{type(self.estimator).__name__}: {name!r} cannot be a hyperparameter: training step by step never "
                f"reads it, since the steps decide how long and on what a model trains; leave it out of the space"
            )

    def check_change(self, name: str, wanted: object) -> None:
        """Refuses a hyperparameter that is fixed once a model is trained.

        Raises:
            ConfigError: The hyperparameter is fixed.
        """
        if name.removeprefix(self.prefix) in self.continuation.fixed or not name.startswith(self.prefix):
            raise ConfigError(
                f"{type(self.estimator).__name__}: {name!r} is fixed once training has begun, expected {wanted}; set "
                f"it on the estimator, or keep each model's config for the whole run with preset='gp', 'tpe' or "
                f"'random'"
            )


class Model:
    """A clone of a template in training.

    Args:
        template: The template to clone.
        data: The training data.

    Attributes:
        estimator: The estimator, or the pipeline, in its current state; None before `setup` or `restore`.
    """

    def __init__(self, template: Template, data: TrainingData) -> None:
        self.estimator: Any = None
        self._template = template
        self._data = data
        self._config: Mapping[str, Any] = {}
        self._features: Any = None  # input of the last step: the data after the other steps of a pipeline
        self._target: Any = None
        self._kept: Any = None  # both, where only a checkpoint can bring them back
        self._trained = False  # since a parameter was last set
        self._carried: Carried = {}

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        """Clones the template under `config`; trains only the steps of a pipeline before the last.

        Raises:
            ConfigError: A value cannot be set.
        """
        for name in config:
            self._template.check_name(name)
        self.estimator = clone(self._template.estimator)
        changes = preparation(last_step(self.estimator), seed)
        changes = {self._template.prefix + name: value for name, value in changes.items()}
        if self._template.prefix:
            changes = {**random_states(self.estimator, seed), **changes}
        self.estimator.set_params(**config, **changes)
        set_live(last_step(self.estimator), self._own(config))
        self._config, self._trained, self._carried = config, False, {}
        self._check_way()
        self._fit_first_steps()

    def apply(self, config: Mapping[str, Any]) -> None:
        """Sets the parameters where they act.

        Raises:
            ConfigError: A value cannot be set on a model that continues training.
        """
        now = current_values(self.estimator, config)
        for name, value in config.items():
            self._template.check_name(name)
            if now[name] != value:
                self._template.check_change(name, f"{value!r} after {now[name]!r}")
        set_live(last_step(self.estimator), self._own(config))
        self._config, self._trained = config, False
        if any(isinstance(value, str) and now[name] != value for name, value in config.items()):
            self._check_way()  # it depends on strings, such as a solver's name

    def applied(self) -> dict[str, Any]:
        """Reads the parameters back from where they act."""
        last = live_values(last_step(self.estimator), self._own(self._config), trained=self._trained)
        live = {self._template.prefix + name: value for name, value in last.items()}
        first = [name for name in self._config if not name.startswith(self._template.prefix)]
        if first:
            live.update(current_values(self.estimator, first))
        return live

    def train(self, iterations: int) -> None:
        """Trains for the given number of further passes, members or iterations."""
        last = last_step(self.estimator)
        reused = self._data.reused if last is self.estimator else None  # other steps of a pipeline differ by model
        with training(last, reused, self._carried, self._features, self._target):
            train(
                last,
                self._template.continuation,
                self._features,
                self._target,
                iterations=iterations,
                labels=self._data.labels,
                fit_params=self._data.fit_params,
            )
        self._trained = True

    def predicting(self, part: str, features: Any) -> AbstractContextManager[None]:
        """A block in which the estimator predicts the same samples again faster.

        Args:
            part: The name of the samples.
            features: The samples, the same whenever this name is used.
        """
        return predicting(self.estimator, self._carried, part, features)

    def finished(self) -> Any:
        """The estimator, with its own settings restored where step-by-step training changed them.

        The count of members is the exception: it is the actual number.
        """
        continuation, settings = self._template.continuation, self._template.estimator.get_params(deep=True)
        kept = {continuation.count} if continuation.way == "members" else set()
        names = {name for name in settings if name.split("__")[-1] == "random_state"}
        names |= {self._template.prefix + name for name in continuation.reserved - kept}
        self.estimator.set_params(**{name: clone(settings[name], safe=False) for name in names})
        return self.estimator

    def state(self) -> dict[str, Any]:
        """The state that `restore` takes; not a copy."""
        return {"estimator": self.estimator, "kept": self._kept}

    def whole_state(self) -> dict[str, Any]:
        """The state with what could be computed anew from it, for a copy in this process."""
        return {**self.state(), "carried": dict(self._carried)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a state and takes ownership of it."""
        self.estimator, self._kept, self._trained = state["estimator"], state["kept"], False
        self._carried = dict(state.get("carried", {}))
        self._features, self._target = self._kept or (self._data.features, self._data.target)
        if self._kept is None and _has_first_steps(self.estimator):
            self._features = self.estimator[:-1].transform(self._features)

    def _own(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The last step's part of a config, by its own names."""
        prefix = self._template.prefix
        return {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}

    def _check_way(self) -> None:
        """Refuses a parameter under which the estimator would continue in another way, or not at all."""
        wanted, got = self._template.continuation, continuation(last_step(self.estimator))
        if (got.way, got.count) != (wanted.way, wanted.count):
            raise ConfigError(
                f"{type(self.estimator).__name__}: expected a config under which it is trained on by {wanted.way}, as "
                f"the template is, got {dict(self._config)}, which is trained on by {got.way}"
            )

    def _fit_first_steps(self) -> None:
        """Fits the steps of a pipeline before the last, and keeps their output on the training data for the last.

        A transformer may transform its training data differently while fitting than afterwards (target encoding does so
        on purpose, and at random). Only in that case does the state hold the output.
        """
        self._features, self._target, self._kept = self._data.features, self._data.target, None
        if not _has_first_steps(self.estimator):
            return
        if _resamples(self.estimator):
            for _, step in self.estimator.steps[:-1]:
                if hasattr(step, "fit_resample"):
                    self._features, self._target = step.fit_resample(self._features, self._target)
                elif step not in (None, "passthrough"):
                    self._features = step.fit_transform(self._features, self._target)
            self._kept = (self._features, self._target)
            return
        first = self.estimator[:-1]
        self._features = first.fit_transform(self._data.features, self._data.target)
        self.estimator.steps[:-1] = first.steps  # where the pipeline has a cache, fitting clones
        if joblib.hash(self._features) != joblib.hash(self.estimator[:-1].transform(self._data.features)):
            self._kept = (self._features, self._target)


def last_step(estimator: Any) -> Any:
    """The estimator itself, or the last step of a pipeline."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def _has_first_steps(estimator: Any) -> bool:
    return isinstance(estimator, Pipeline) and len(estimator.steps) > 1


def _resamples(estimator: Any) -> bool:
    """Whether a step of a pipeline resamples the training data, as those of imbalanced-learn do."""
    return _has_first_steps(estimator) and any(hasattr(step, "fit_resample") for _, step in estimator.steps[:-1])
