"""The conformance kit of trainables: checks, one after the other, the promises that a driver relies on.

It uses only the protocol and raises plain assertion errors, so it runs under pytest and without it::

    def test_my_trainable_keeps_its_promises():
        check_trainable(MyTrainable, space)
"""

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.trainable import Factory, HyperparameterNotAppliedError, Trainable, verify_applied
from gpbt_core.errors import ConfigError
from gpbt_core.space import Space

__all__ = ["BrokenPromiseError", "check_trainable"]

PARENT = 0
"""The id of the trial under which the kit stores the parent's checkpoint."""


_MISTAKES = (TypeError, AttributeError, NameError, LookupError, ImportError, NotImplementedError, AssertionError)
"""Exceptions that mean a mistake of the code and no divergence."""


class BrokenPromiseError(AssertionError):
    """A trainable does not keep a promise; the message names the promise, what was wanted and what came instead."""


@attrs.frozen(kw_only=True)
class _Case:
    """What the checks share: the caller's arguments, and the store with the parent's checkpoint."""

    factory: Factory
    configs: tuple[Mapping[str, Any], ...]
    steps: int
    seed: int
    state: Callable[[Any], Any]
    store: CheckpointStore

    def fail(self, promise: str, message: str) -> BrokenPromiseError:
        return BrokenPromiseError(f"{getattr(self.factory, '__name__', self.factory)}: {promise}: {message}")


@attrs.frozen(kw_only=True)
class _Stretch:
    """The results of a few steps of training."""

    scores: tuple[float, ...]
    state: Any


def check_trainable(
    factory: Factory,
    configs: Space | Sequence[Mapping[str, Any]],
    *,
    steps: int = 2,
    seed: int = 1,
    state: Callable[[Any], Any] | None = None,
    inert: bool = True,
    diverging: Mapping[str, Any] | None = None,
    short: bool = False,
) -> int:
    """Checks that the trainables of a factory keep the promises of `Trainable`.

    - Fresh: each call of the factory makes a new object.
    - Repeat: the same config and seed give the same training; scoring and saving do not disturb it.
    - Continue: saved, loaded into a fresh object and trained on, the scores (and `state`) are the same bits as without
      the break; loading, applying and training leave the files as they were.
    - Keep: a child trained in its parent's own object has the same bits as one that loads the checkpoint, so that a
      run may keep models in memory (`keep_models`).
    - Inherit: a loaded model has its parent's score, and a child's training does not touch the parent's checkpoint.
    - Applied: after set-up, mid-run, after loading and after training, the live values are the config's; the config
      itself is left as it was.
    - Diverge: a diverging model returns NaN or infinity, or its step raises; only checked if `diverging` is given. A
      mistake of the code, such as a TypeError, and an exception in `setup` are no divergence.

    With n configs it trains (8 + 3 n) x `steps` steps: 34 with a space and the default `steps`, 14 if `short`.

    Args:
        factory: Makes a fresh trainable.
        configs: At least two different configs, or a space to draw three from.
        steps: How many steps to train before and after each break, at least 1.
        seed: Of the set-ups, and of the configs drawn. Not 0, the seed under which a trainable is likely to rebuild a
            model that forgets its own.
        state: Takes a trainable and returns what its training changes, such as the weights: arrays, tensors and plain
            containers of them, such as a state_dict, to be compared bit by bit besides the scores. None: the scores
            alone.
        inert: Whether the hyperparameters act through training alone, so that applying others leaves the score as it
            is (within a relative 1e-6). Pass False if they act on predictions by their nature.
        diverging: A config under which training diverges within `steps` steps.
        short: Whether to train one step before and after each break, under two configs, where a step takes minutes.

    Returns:
        How many steps it trained.

    Raises:
        BrokenPromiseError: A promise is not kept.
        ConfigError: There are not two different configs, or `steps` is below 1.
    """
    if steps < 1:
        raise ConfigError(f"check_trainable: steps must be at least 1, got {steps!r}")
    drawn = _configs(configs, seed)
    if short:
        steps, drawn = 1, drawn[:2]
    with CheckpointStore(durable=False) as store:
        case = _Case(
            factory=factory, configs=drawn, steps=steps, seed=seed, state=state or (lambda _: None), store=store
        )
        _check_fresh(case)
        first, second = _check_repeat(case)
        _check_continue(case, first, second)
        _check_inherit(case, first, second, inert=inert)
        _check_applied(case)
        if diverging is not None:
            _check_diverge(case, diverging)
    return (8 + 3 * len(drawn) + (diverging is not None)) * steps


def _configs(configs: Space | Sequence[Mapping[str, Any]], seed: int) -> tuple[Mapping[str, Any], ...]:
    if isinstance(configs, Space):
        rng = np.random.default_rng(seed)
        configs = [configs.sample(rng) for _ in range(3)]
    drawn = tuple(configs)
    if len(drawn) < 2 or drawn[0] == drawn[1]:
        raise ConfigError(f"check_trainable: configs must be at least two, the first two different, got {drawn!r}")
    return drawn


def _check_fresh(case: _Case) -> None:
    one, other = case.factory(), case.factory()
    for made in (one, other):
        if not isinstance(made, Trainable):
            raise case.fail("Fresh", f"the factory must return a Trainable, got {made!r}")
    if one is other:
        raise case.fail("Fresh", f"the factory must return a new object each time, got {one!r} twice")
    one.close()
    other.close()


def _check_repeat(case: _Case) -> tuple[_Stretch, _Stretch]:
    """Trains one model twice, once undisturbed and once scored and saved midway; returns its two stretches."""
    config = case.configs[0]
    undisturbed = _set_up(case, config)
    first, second = _train(case, undisturbed, config), _train(case, undisturbed, config)
    undisturbed.close()
    if not all(map(math.isfinite, (*first.scores, *second.scores))):
        raise case.fail(
            "Repeat",
            f"the scores under {dict(config)} must be finite, since scores of failed training cannot be compared, got "
            f"{(*first.scores, *second.scores)}; pass configs under which training does not diverge",
        )

    twin = _set_up(case, config)
    _compare(case, "Repeat", "set up again with the same config and seed", first, _train(case, twin, config))
    last = first.scores[-1]
    for _ in range(2):
        score = _number(case, twin.score(), "score()")
        if not _same_bits(score, last):
            raise case.fail("Repeat", f"score() must be {last!r}, as the last step returned, got {score!r}")
    with case.store.writing(PARENT) as path:
        twin.save(path)
        if not any(path.iterdir()):
            raise case.fail("Continue", f"save() must write into {path}, which is empty")
    _compare(case, "Repeat", "scored and saved midway", second, _train(case, twin, config))
    twin.close()
    return first, second


def _check_continue(case: _Case, first: _Stretch, second: _Stretch) -> None:
    files = _files(case)
    for attempt in ("loaded into a fresh object", "loaded a second time, after another was trained on from there"):
        loaded = _load(case)
        score = _number(case, loaded.score(), "score()")
        if not _same_bits(score, first.scores[-1]):
            raise case.fail(
                "Inherit", f"the score after load() must be the parent's, {first.scores[-1]!r}, got {score!r}"
            )
        _apply(case, loaded, case.configs[0], "after load()")
        _compare(case, "Continue", attempt, second, _train(case, loaded, case.configs[0]))
        loaded.close()
        if _files(case) != files:
            raise case.fail("Continue", "load() and what follows must leave the files as they were; they changed")


def _check_inherit(case: _Case, first: _Stretch, second: _Stretch, *, inert: bool) -> None:
    files = _files(case)
    for config in case.configs[1:]:
        child = _load(case)
        _apply(case, child, config, "after load()")
        score = _number(case, child.score(), "score()")
        if inert and not math.isclose(score, first.scores[-1], rel_tol=1e-6, abs_tol=1e-12):
            raise case.fail(
                "Inherit",
                f"before any training, the score under the child's config {dict(config)} must be the parent's, "
                f"{first.scores[-1]!r}, got {score!r}; does a hyperparameter act on what the parent has learned? (Pass "
                f"inert=False if it acts on predictions by its nature)",
            )
        stretch = _train(case, child, config)
        child.close()
        if config is case.configs[1]:
            _check_keep(case, config, stretch)
    if _files(case) != files:
        raise case.fail("Inherit", "a child's training must leave the parent's files as they were; they changed")
    parent = _load(case)
    _apply(case, parent, case.configs[0], "after load()")
    _compare(
        case, "Inherit", "the parent, trained on after its children", second, _train(case, parent, case.configs[0])
    )
    parent.close()


def _check_keep(case: _Case, config: Mapping[str, Any], wanted: _Stretch) -> None:
    """Trains a child in its parent's own object, as `run(keep_models=...)` does."""
    kept = _set_up(case, case.configs[0])
    _train(case, kept, case.configs[0])
    with case.store.writing(PARENT + 1) as path:
        kept.save(path)
    _apply(case, kept, config, "after save()")
    _compare(case, "Keep", "a child trained in its parent's object", wanted, _train(case, kept, config))
    kept.close()


def _check_applied(case: _Case) -> None:
    before = case.configs[0]
    live = _set_up(case, before)
    for config in (*case.configs[1:], before):
        _train(case, live, before)
        _apply(case, live, config, "mid-run")
        _train(case, live, config)
        before = config
    live.close()


def _check_diverge(case: _Case, config: Mapping[str, Any]) -> None:
    trainable = case.factory()
    scores = []
    try:
        trainable.setup(config, case.seed)  # an exception of which is no divergence
        for _ in range(case.steps):
            try:
                score = trainable.step()
            except _MISTAKES as error:
                raise case.fail(
                    "Diverge",
                    f"step() under {dict(config)} must diverge, got a mistake of the code: {type(error).__name__}: "
                    f"{error}",
                ) from error
            except Exception:  # noqa: BLE001  # libraries raise many kinds of exceptions when training diverges
                return
            scores.append(_number(case, score, "step()"))
    finally:
        trainable.close()
    if all(math.isfinite(score) for score in scores):
        raise case.fail("Diverge", f"{dict(config)} must give NaN, infinity or an exception, got the scores {scores}")


def _set_up(case: _Case, config: Mapping[str, Any]) -> Trainable:
    trainable = case.factory()
    handed = copy.deepcopy(config)
    trainable.setup(handed, case.seed)
    _left_alone(case, handed, config, "setup()")
    _verify(case, trainable, config, "after setup()")
    return trainable


def _load(case: _Case) -> Trainable:
    trainable = case.factory()
    with case.store.reading(PARENT) as path:
        trainable.load(path)
    return trainable


def _apply(case: _Case, trainable: Trainable, config: Mapping[str, Any], when: str) -> None:
    handed = copy.deepcopy(config)
    trainable.apply(handed)
    _left_alone(case, handed, config, "apply()")
    _verify(case, trainable, config, f"after apply() {when}")


def _left_alone(case: _Case, handed: Mapping[str, Any], config: Mapping[str, Any], what: str) -> None:
    if handed != config:
        raise case.fail("Applied", f"{what} must leave the config as it was, {config!r}, got {handed!r}")


def _verify(case: _Case, trainable: Trainable, config: Mapping[str, Any], when: str, *, trained: int = 0) -> None:
    try:
        verify_applied(trainable, config, trained=trained)
    except HyperparameterNotAppliedError as error:
        raise case.fail("Applied", f"{when}: {error}") from error


def _train(case: _Case, trainable: Trainable, config: Mapping[str, Any]) -> _Stretch:
    scores = tuple(_number(case, trainable.step(), "step()") for _ in range(case.steps))
    _verify(case, trainable, config, "after training", trained=case.steps)
    return _Stretch(scores=scores, state=_arrays(case.state(trainable)))


def _arrays(state: Any) -> Any:
    """A copy of a state in which tensors are numpy arrays, which can be compared."""
    if isinstance(state, Mapping):
        return {key: _arrays(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_arrays(value) for value in state]
    if hasattr(state, "detach"):  # a torch tensor; those of 16 bits have no numpy type
        tensor = state.detach().cpu()
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy().copy()
    if hasattr(state, "numpy") or hasattr(state, "__array__"):  # a tensor or a variable of Keras, an array of JAX
        return np.array(state.numpy() if hasattr(state, "numpy") else state)
    return copy.deepcopy(state)


def _number(case: _Case, value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise case.fail("Repeat", f"{what} must return a number, got {value!r} of type {type(value).__name__}")
    return float(value)


def _compare(case: _Case, promise: str, what: str, wanted: _Stretch, got: _Stretch) -> None:
    for number, (one, other) in enumerate(zip(wanted.scores, got.scores, strict=True), start=1):
        if not _same_bits(one, other):
            raise case.fail(
                promise,
                f"{what}: the scores must be the same, {wanted.scores}, got {got.scores}: step {number} differs by "
                f"{abs(one - other):.3g}; which state (weights, optimizer, random states, data order) is not saved?",
            )
    try:
        np.testing.assert_equal(got.state, wanted.state)
    except AssertionError as error:
        raise case.fail(promise, f"{what}: the scores are the same, but the state is not: {error}") from error


def _same_bits(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _files(case: _Case) -> dict[Path, str]:
    """The digest of each file of the parent's checkpoint, read without the store's own checks."""
    root = case.store.directory / f"trial-{PARENT}"
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}
