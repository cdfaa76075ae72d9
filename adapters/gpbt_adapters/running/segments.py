"""Trains one segment: the function that every driver calls, in its own process or in another.

A segment takes an order and returns an outcome; both are plain and picklable. It does not use the optimizer: the losses
above which a trial stops are part of the order and fixed when the trial is asked, so that no worker waits for a
decision. An exception in training is an outcome too ("failed"), and so is a mistake in the set-up or the store
("refused"), which ends the run.
"""

import hashlib
import logging
import math
import os
import pickle
import platform
import re
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from gpbt_adapters.running.kept import Kept, close
from gpbt_adapters.running.pools import end_with_parent
from gpbt_adapters.storing.checkpoints import CheckpointError, Store
from gpbt_adapters.trainables.pickles import AbsentError, adopt_classes, by_value
from gpbt_adapters.trainables.trainable import Factory, Trainable, as_score, verify_applied
from gpbt_adapters.views.words import counted, printable
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.records import Trial

__all__ = [
    "MainNotFoundError",
    "Order",
    "Outcome",
    "Package",
    "describe",
    "pack",
    "train_packed_segment",
    "train_segment",
]

logger = logging.getLogger(__name__)

INLINE = 1 << 16
"""A pickled factory of at most this many bytes is sent with each order; a larger one is put in the store."""


@attrs.frozen(kw_only=True)
class Order:
    """What a worker needs to train a trial.

    Attributes:
        trial: The trial.
        seed: Seed of the set-up, if the trial has no parent.
        maximize: Whether higher scores are better.
        limits: The loss above which the trial stops, for each step before the segment's last; may be empty.
        timeout: Seconds after which the segment ends as failed at its next step; None: no limit.
        line: A digest of the seed, configs and steps along the trial's line, stored in its checkpoint.
        parent_line: The digest of the parent's line; "" without a parent.
        changing: The hyperparameters that may change along a line.
        rebuild: The line down to the parent, founder first, if the parent's checkpoint is lost; empty otherwise.
        name: Unique to this order, even among orders that retrain the same trial: a cluster that merges equal calls
            (Dask) would otherwise return the result of the other, which may be cancelled or never saved.
    """

    trial: Trial
    seed: int
    maximize: bool = False
    limits: tuple[float, ...] = ()
    timeout: float | None = None
    line: str = ""
    parent_line: str = ""
    changing: frozenset[str] = frozenset()
    rebuild: "tuple[Order, ...]" = ()
    name: str = attrs.Factory(lambda: uuid.uuid4().hex)


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of an order.

    Attributes:
        trial_id: The trial.
        status: "done": trained to the end and saved; "stopped": by a limit; "failed": in training, for
            `reason`; "refused": by a mistake in the set-up or the store, which is `error`; "halted": on request.
        scores: The (step within the segment, score) pairs, steps from 1 (0 in a segment without steps).
        reason: Why it failed, in one line.
        fruitless: Whether it failed outside its training: before the first step was done, or while saving.
        traceback: The traceback of a failure, as Python prints it; "" without one.
        error: Why it was refused.
        figures: What the trainable reported besides its score.
        worker: The host, process and thread that trained it.
        begin: When the segment began, in seconds since 1970.
        seconds: How long the segment took.
        loading: The part of `seconds` in which the model was made, set up or loaded.
        saving: The part of `seconds` in which the checkpoint was written.
        from_memory: Whether the trial continued its parent in memory instead of loading a checkpoint.
        kept: The digests of the lines whose models the worker now keeps in memory.
    """

    trial_id: int
    status: Literal["done", "stopped", "failed", "refused", "halted"]
    scores: tuple[tuple[int, float], ...] = ()
    reason: str | None = None
    fruitless: bool = False
    traceback: str = ""
    error: GpbtError | None = None
    figures: Mapping[str, float] = attrs.Factory(dict)
    worker: str = ""
    begin: float = 0.0
    seconds: float = 0.0
    loading: float = 0.0
    saving: float = 0.0
    from_memory: bool = False
    kept: tuple[str, ...] = ()


def train_segment(
    order: Order,
    factory: Factory,
    store: Store,
    *,
    on_step: Callable[[int, float], None] | None = None,
    halted: Callable[[], bool] = lambda: False,
    kept: Kept | None = None,
) -> Outcome:
    """Trains one segment, from its parent or from scratch to a checkpoint of its own.

    Args:
        order: What to train.
        factory: Makes the trainable.
        store: Holds the parent's checkpoint and receives the trial's; a stopped or failed trial leaves none.
        on_step: Called after each step with its number (from 1) and score, for a display; its return value is ignored.
        halted: Called after each step; True ends the segment without a result.
        kept: The models in memory. If the parent is among them, it is continued instead of loaded; the trial's own
            model is kept once its checkpoint is written.

    Returns:
        The outcome, even if the training raises. Interrupts (KeyboardInterrupt, SystemExit) are not caught.
    """
    begin, watch = time.time(), _Watch(time.monotonic(), on_step, halted)
    scores: list[tuple[int, float]] = []
    trainable: Trainable | None = None
    from_memory, trace = False, ""
    end = _End("halted")  # for interrupts, which are not caught
    try:
        trainable = None if kept is None else kept.take(order.parent_line)
        from_memory = trainable is not None
        trainable = trainable or _made(factory)
        end = _train(order, trainable, store, scores, watch, from_memory=from_memory)
        figures = dict(trainable.figures()) if end.status in {"done", "stopped"} else {}
    except GpbtError as error:
        end, figures = _End("refused", error=error), {}
    except Exception as error:  # noqa: BLE001 - whatever the training raises ends only this trial
        trace = _traceback(error)
        finished = len(scores) == order.trial.steps > 0 and math.isfinite(scores[-1][1])
        when = ", while saving" if finished else f", after {counted(len(scores), 'step')}"
        reason = f"{describe(error)}{when}"
        end, figures = _End("failed", reason=reason, fruitless=finished or not scores), {}
    finally:
        if trainable is not None:
            if kept is not None and end.status == "done" and order.line:
                kept.add(order.line, trainable)
            else:
                close(trainable)
    return Outcome(
        trial_id=order.trial.id,
        status=end.status,
        scores=tuple(scores),
        reason=end.reason,
        fruitless=end.fruitless,
        traceback=trace,
        error=end.error,
        figures=figures,
        worker=_worker(),
        begin=begin,
        seconds=time.monotonic() - watch.start,
        loading=watch.loading,
        saving=watch.saving,
        from_memory=from_memory,
        kept=() if kept is None else kept.lines,
    )


@attrs.define
class _Watch:
    """The start time and the callbacks of a segment, and the seconds that parts of it took."""

    start: float
    on_step: Callable[[int, float], None] | None
    halted: Callable[[], bool]
    loading: float = 0.0
    saving: float = 0.0


def _worker() -> str:
    """The host, process and thread that calls."""
    thread = threading.get_native_id()
    main = thread == threading.main_thread().native_id
    return f"{platform.node()}:{os.getpid()}" + ("" if main else f":{thread}")


@attrs.frozen
class _End:
    """How a segment ended."""

    status: Literal["done", "stopped", "failed", "refused", "halted"]
    reason: str | None = None
    error: GpbtError | None = None
    fruitless: bool = False


def _made(factory: Factory) -> Trainable:
    """Calls the factory, which does not depend on the config: an exception would fail every trial alike."""
    try:
        made = factory()
    except GpbtError:
        raise
    except Exception as error:
        raise ConfigError(
            f"run: the factory {factory!r} must return a trainable, it raised {describe(error)}"
        ) from error
    if not isinstance(made, Trainable):
        itself = "; that is a factory itself: pass it as it is" if callable(made) else ""
        raise ConfigError(f"run: the factory {factory!r} must return a trainable, got {made!r}{itself}")
    return made


def _train(
    order: Order,
    trainable: Trainable,
    store: Store,
    scores: list[tuple[int, float]],
    watch: _Watch,
    *,
    from_memory: bool,
) -> _End:
    """Trains and saves; appends to `scores` after each step, so that they survive an exception."""
    trial = order.trial
    if trial.parent is None:
        _check_fixed(order, trainable)
        trainable.setup(trial.config, order.seed)
    else:
        if from_memory:
            pass
        elif not order.rebuild:
            _load(order.trial.id, trial.parent, order.parent_line, trainable, store)
        elif not _rebuild(order, trainable, store, watch.halted):
            return _End("halted")
        trainable.apply(trial.config)
    verify_applied(trainable, trial.config)
    watch.loading = time.monotonic() - watch.start
    if trial.steps == 0:
        scores.append((0, as_score(trainable.score(), f"{type(trainable).__name__}.score")))
    end = _trained(order, trainable, scores, watch)
    if end.status in {"done", "stopped"}:
        verify_applied(trainable, trial.config, trained=scores[-1][0])
    if end.status == "done":
        saving = time.monotonic()
        with store.writing(trial.id, line=order.line) as path:
            trainable.save(path)
        watch.saving = time.monotonic() - saving
    return end


def _trained(order: Order, trainable: Trainable, scores: list[tuple[int, float]], watch: _Watch) -> _End:
    """Trains the steps of a segment."""
    trial, who = order.trial, f"{type(trainable).__name__}.step"
    start = time.monotonic() if order.rebuild else watch.start  # the limit excludes rebuilding the parent
    for step in range(1, trial.steps + 1):
        score = as_score(trainable.step(), who)
        scores.append((step, score))
        if watch.on_step is not None:
            watch.on_step(step, score)
        if not math.isfinite(score):
            return _End("failed", f"diverged: the score of step {step} is {score}")
        if watch.halted():
            return _End("halted")
        loss = -score if order.maximize else score
        if step <= len(order.limits) and loss > order.limits[step - 1]:
            return _End("stopped")
        seconds = time.monotonic() - start
        if order.timeout is not None and seconds > order.timeout and step < trial.steps:
            return _End(
                "failed",
                f"timed out: {step} of {trial.steps} steps took {seconds:.3g} s, the limit is {order.timeout:g} s",
            )
    if not math.isfinite(scores[-1][1]):
        return _End("failed", f"diverged: the score is {scores[-1][1]}")
    return _End("done")


def _check_fixed(order: Order, trainable: Trainable) -> None:
    """Rejects, before the first step, hyperparameters that may change along a line but not on a trained model."""
    stuck = sorted(order.changing.intersection(trainable.fixed()))
    if stuck:
        raise ConfigError(
            f"{type(trainable).__name__}: {', '.join(map(repr, stuck))} cannot change in mid-training, but a child "
            f"gets other values than its parent; take them out of the space, or keep each model's config with "
            f"preset='gp', 'tpe' or 'random'"
        )


def _load(trial_id: int, parent: int, line: str, trainable: Trainable, store: Store) -> None:
    """Loads a checkpoint verified by the store; an error in loading is not a failure of the training."""
    with store.reading(parent, line=line) as path:
        try:
            trainable.load(path)
        except GpbtError:
            raise
        except Exception as error:
            raise CheckpointError(
                f"run: the checkpoint of trial {parent}, the parent of trial {trial_id}, is intact but cannot be "
                f"loaded: {describe(error)}; has the model's code changed, or is a disk not mounted? Fix that "
                f"and call run again: trial {trial_id} is requeued"
            ) from error


def _rebuild(order: Order, trainable: Trainable, store: Store, halted: Callable[[], bool]) -> bool:
    """Retrains a parent with a lost checkpoint from the last ancestor that has one; returns False if halted."""
    there, line = store.ids(), list(order.rebuild)
    last = max((index for index, one in enumerate(line) if one.trial.id in there), default=-1)
    if last >= 0:
        _load(order.trial.id, line[last].trial.id, line[last].line, trainable, store)
    for one in line[last + 1 :]:
        logger.warning("the checkpoint of trial %d is missing; it is trained again", one.trial.id)
        if one.trial.parent is None:
            trainable.setup(one.trial.config, one.seed)
        else:
            trainable.apply(one.trial.config)
        verify_applied(trainable, one.trial.config)
        for _ in range(one.trial.steps):
            trainable.step()
            if halted():
                return False
    if last + 1 < len(line):
        with store.writing(line[-1].trial.id, line=line[-1].line) as path:
            trainable.save(path)
    return True


_LONGEST = 1000
"""Longest text kept of a failure's reason, in characters."""


def describe(error: BaseException) -> str:
    """An exception in one line of printable text: its type, its message, and the line of the user's code behind it."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a broken message must not hide the error
        text = f"<its message cannot be shown: {type(broken).__name__}>"
    length, text = len(text), printable(text[: 4 * _LONGEST])  # cut first: a message may have millions of characters
    if length > _LONGEST:
        text = f"{text[:_LONGEST]}... ({length:,} characters)"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _FOREIGN.search(frame.filename)]
    chosen = (own or frames)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno}, in {frame.name})" for frame in chosen)
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


_FOREIGN = re.compile(
    r"^<frozen |[/\\](site|dist)-packages[/\\]|[/\\]lib(64)?[/\\]python\d[.\d]*[/\\]|"
    r"[/\\]gpbt(_core|_adapters|_searchers)[/\\]"
)
"""Matches files that are not user code: those of installed packages, Python and gpbt."""


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - as in `describe`
        text = "".join(traceback.format_tb(error.__traceback__))
    return text[-20_000:]


# ------------------------------------------------------------------------------------------------- in other processes


@attrs.frozen(kw_only=True)
class Package:
    """A pickled factory to be sent to other processes.

    Attributes:
        digest: The SHA-256 of the pickle; workers unpickle each factory once.
        content: The pickle itself, if it is small.
        name: The file in the store that holds the pickle, if it is large.
        pid: ID of the process that packed it.
        absent: Names in the main program that workers lack, and that are pickled by value.
    """

    digest: str
    content: bytes | None
    name: str | None
    pid: int
    absent: frozenset[str] = frozenset()


class MainNotFoundError(ConfigError):
    """A name that the factory uses is missing from the main program of a worker.

    Attributes:
        missing: The missing name.
    """

    def __init__(self, message: str, missing: str = "") -> None:
        super().__init__(message, missing)
        self.missing = missing

    def __str__(self) -> str:
        return str(self.args[0])


def pack(
    factory: Factory, store: Store, *, main_is_there: bool = False, absent: frozenset[str] = frozenset()
) -> Package:
    """Pickles a factory once for all segments of a run; a large pickle is put in the store.

    Args:
        factory: The factory to send.
        store: Where workers find a large pickle.
        main_is_there: Whether workers import the main program. If so, its classes and functions are pickled by name.
            Otherwise, or if they are lambdas or defined inside functions, they are pickled by value.
        absent: The names that workers lack nevertheless.

    Raises:
        ConfigError: The factory cannot be pickled.
        CheckpointError: The store could not be written.
    """
    try:
        content = pickle.dumps(factory, protocol=5)
    except Exception:  # noqa: BLE001 - pickle raises whatever a __reduce__ raises; another way is tried next
        content = _pickle_by_value(factory, main_is_there, absent)
    else:
        if b"__main__" in content:
            content = _pickle_by_value(factory, main_is_there, absent)
    digest = hashlib.sha256(content).hexdigest()
    if len(content) <= INLINE:
        return Package(digest=digest, content=content, name=None, pid=os.getpid(), absent=absent)
    name = f"factory-{digest}"
    store.add_file(name, content)
    return Package(digest=digest, content=None, name=name, pid=os.getpid(), absent=absent)


def _pickle_by_value(factory: Factory, main_is_there: bool, absent: frozenset[str]) -> bytes:  # noqa: FBT001 - inside
    try:
        return by_value(factory, main_is_there=main_is_there, absent=absent)
    except Exception as error:
        raise ConfigError(
            f"run: the factory {factory!r} cannot be sent to other processes: {describe(error)}; make what it holds "
            f"(data, devices, open files) inside the call, or train in threads"
        ) from error


_unpacked: dict[str, Factory] = {}
_kept: dict[str, Kept] = {}
"""The models of this worker, by the digest of the factory that made them; at most one entry."""


def train_packed_segment(order: Order, package: Package, store: Store, keep: int = 0) -> Outcome:
    """`train_segment` for another process; what it returns can always be pickled.

    Args:
        order: What to train.
        package: The factory.
        store: Holds the checkpoints.
        keep: How many models the process may have in memory, including the one in training; 0: keeps none.
    """
    if package.pid != os.getpid():
        end_with_parent()
    if package.pid != os.getpid() and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches all processes of a terminal, but the driver decides when to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def factory() -> Trainable:
        return _made(_unpack(package, store))  # an error names the factory of the caller, not this one

    outcome = train_segment(order, factory, store, kept=_kept_of(package, keep))
    if outcome.error is not None:
        try:
            pickle.loads(pickle.dumps(outcome.error))  # noqa: S301 - pickled here
        except Exception:  # noqa: BLE001 - a third-party exception class; only its text matters
            outcome = attrs.evolve(outcome, error=GpbtError(describe(outcome.error)))
    return outcome


def _kept_of(package: Package, keep: int) -> Kept | None:
    if not keep:
        return None
    if package.digest not in _kept:
        for other in _kept.values():
            other.clear()
        _kept.clear()
        _kept[package.digest] = Kept(keep)
    return _kept[package.digest]


def _unpack(package: Package, store: Store) -> Factory:
    factory = _unpacked.get(package.digest)
    if factory is None:
        content = package.content
        if content is None:
            assert package.name is not None
            content = store.read_file(package.name)
            if hashlib.sha256(content).hexdigest() != package.digest:
                raise ConfigError(f"{package.name!r} in {store!r} is not the factory that the driver wrote")
        try:
            factory = pickle.loads(content)  # noqa: S301 - written by the driver, verified by digest
        except AbsentError as error:
            raise MainNotFoundError(f"run: a worker cannot unpickle the factory: {error}", str(error.name)) from error
        except Exception as error:
            raise ConfigError(
                f"run: a worker cannot unpickle the factory: {describe(error)}; does it have the same packages and the "
                f"same code?"
            ) from error
        adopt_classes()
        _unpacked.clear()  # a worker serves one run at a time; its data may be large
        _unpacked[package.digest] = factory
    return factory
