"""The training of one segment: the one function that every driver calls, in its own process or in another one's.

A segment takes an order and answers with an outcome; both are plain and picklable. It knows no optimizer: the losses
above which a trial stops are part of the order, fixed when the trial was asked, so that no worker ever waits for a
verdict. Whatever the training raises is an answer too; only what is wrong with the set-up or the store is handed up.
"""

import hashlib
import logging
import math
import os
import pickle
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from gpbt_adapters.running.pools import end_with_parent
from gpbt_adapters.storing.checkpoints import Store
from gpbt_adapters.trainables.pickles import by_value
from gpbt_adapters.trainables.trainable import Factory, Trainable, verify_applied
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.records import Trial

__all__ = ["Order", "Outcome", "Package", "pack", "train_packed_segment", "train_segment"]

logger = logging.getLogger(__name__)

INLINE = 1 << 16
"""A pickled factory of at most so many bytes travels with each order; a larger one lies in the store."""


@attrs.frozen(kw_only=True)
class Order:
    """What a worker needs to know of a trial.

    Attributes:
        trial: The trial.
        seed: For the set-up, where the trial has no parent.
        maximize: Whether higher scores are better.
        limits: For each step below the segment's length the loss above which it ends there; may be empty.
        timeout: Seconds after which the segment ends as failed at its next step; None: no limit.
        name: No other order has it, not even one to train the same trial again: a cluster that takes equal calls for
            one (Dask) would answer with what became of the other, cancelled or never saved.
    """

    trial: Trial
    seed: int
    maximize: bool = False
    limits: tuple[float, ...] = ()
    timeout: float | None = None
    name: str = attrs.Factory(lambda: uuid.uuid4().hex)


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of an order.

    Attributes:
        trial_id: The trial.
        status: "done": trained to the end and saved; "stopped": by a limit; "failed": by the training, `reason` says
            how; "refused": by a mistake in the set-up or the store, which is `error`; "halted": because it was told to.
        scores: The (step within the segment, score) pairs, steps from 1 (0 in a segment without steps).
        reason: Why it failed, in one line.
        error: Why it was refused.
        figures: What the trainable says of itself besides its score.
        seconds: How long the segment took.
    """

    trial_id: int
    status: Literal["done", "stopped", "failed", "refused", "halted"]
    scores: tuple[tuple[int, float], ...] = ()
    reason: str | None = None
    error: GpbtError | None = None
    figures: Mapping[str, float] = attrs.Factory(dict)
    seconds: float = 0.0


def train_segment(
    order: Order,
    factory: Factory,
    store: Store,
    *,
    on_step: Callable[[int, float], None] | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Trains one segment, from the parent's checkpoint or from scratch to a checkpoint of its own.

    Args:
        order: What to train.
        factory: Makes the trainable.
        store: Where the parent's checkpoint is and the trial's own goes; a stopped or failed trial leaves none.
        on_step: Called after each step with its number (from 1) and score, for a display; its answer is not waited for.
        halted: Asked after each step; True ends the segment without a result.

    Returns:
        The outcome, whatever the training raised. Interrupts (KeyboardInterrupt, SystemExit) are not caught.
    """
    start = time.monotonic()
    scores: list[tuple[int, float]] = []
    trainable: Trainable | None = None
    try:
        trainable = _made(factory)
        end = _train(order, trainable, store, scores, _Watch(start, on_step, halted))
        figures = dict(trainable.figures()) if end.status in {"done", "stopped"} else {}
    except GpbtError as error:
        end, figures = _End("refused", error=error), {}
    except Exception as error:  # whatever the training raises ends this trial and no other
        logger.debug("trial %d failed", order.trial.id, exc_info=True)
        end, figures = _End("failed", reason=f"{_describe(error)}, after {len(scores)} steps"), {}
    finally:
        if trainable is not None:
            _close(trainable, order.trial.id)
    return Outcome(
        trial_id=order.trial.id,
        status=end.status,
        scores=tuple(scores),
        reason=end.reason,
        error=end.error,
        figures=figures,
        seconds=time.monotonic() - start,
    )


@attrs.frozen
class _Watch:
    """The clock of a segment, and who looks on."""

    start: float
    on_step: Callable[[int, float], None] | None
    halted: Callable[[], bool]


@attrs.frozen
class _End:
    """How a segment ended."""

    status: Literal["done", "stopped", "failed", "refused", "halted"]
    reason: str | None = None
    error: GpbtError | None = None


def _made(factory: Factory) -> Trainable:
    """Calls the factory, which knows no config yet: what it raises would fail every trial alike."""
    try:
        return factory()
    except GpbtError:
        raise
    except Exception as error:
        raise ConfigError(f"run: wanted a trainable from {factory!r}, it raised {_describe(error)}") from error


def _train(order: Order, trainable: Trainable, store: Store, scores: list[tuple[int, float]], watch: _Watch) -> _End:
    """Trains and saves; appends to `scores` as it goes, so that they outlive an exception."""
    trial = order.trial
    if trial.parent is None:
        trainable.setup(trial.config, order.seed)
    else:
        with store.reading(trial.parent) as path:
            trainable.load(path)
        trainable.apply(trial.config)
    verify_applied(trainable, trial.config)
    if trial.steps == 0:
        scores.append((0, float(trainable.score())))
    for step in range(1, trial.steps + 1):
        score = float(trainable.step())
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
        seconds = time.monotonic() - watch.start
        if order.timeout is not None and seconds > order.timeout and step < trial.steps:
            return _End(
                "failed", f"timed out: {step} of {trial.steps} steps took {seconds:.3g} s, wanted {order.timeout:g} s"
            )
    if not math.isfinite(scores[-1][1]):
        return _End("failed", f"diverged: the score is {scores[-1][1]}")
    with store.writing(trial.id) as path:
        trainable.save(path)
    return _End("done")


def _describe(error: Exception) -> str:
    """An exception in one line: what and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{where}"


def _close(trainable: Trainable, trial_id: int) -> None:
    """Closes a trainable; what goes wrong there no longer concerns the result."""
    try:
        trainable.close()
    except Exception:
        logger.warning("trial %d: close() failed", trial_id, exc_info=True)


# ------------------------------------------------------------------------------------------------- in other processes


@attrs.frozen(kw_only=True)
class Package:
    """A pickled factory on its way to other processes.

    Attributes:
        digest: The SHA-256 of the pickle; workers unpickle each factory once.
        content: The pickle itself, where it is small.
        name: Of the store's file that holds it, where it is not.
        pid: Of the process that packed it.
    """

    digest: str
    content: bytes | None
    name: str | None
    pid: int


def pack(factory: Factory, store: Store) -> Package:
    """Pickles a factory once for all segments of a run; a large one into the store.

    Functions defined in the main program or inside others, and lambdas, travel by value.

    Raises:
        ConfigError: It cannot be pickled.
        CheckpointError: The store refused it.
    """
    try:
        content = pickle.dumps(factory, protocol=5)
    except Exception:  # noqa: BLE001 - pickle raises whatever a __reduce__ raises; the next line tries another way
        content = _pickle_by_value(factory)
    else:
        if b"__main__" in content:
            content = _pickle_by_value(factory)  # other processes may have another main program
    digest = hashlib.sha256(content).hexdigest()
    if len(content) <= INLINE:
        return Package(digest=digest, content=content, name=None, pid=os.getpid())
    name = f"factory-{digest}"
    store.add_file(name, content)
    return Package(digest=digest, content=None, name=name, pid=os.getpid())


def _pickle_by_value(factory: Factory) -> bytes:
    try:
        return by_value(factory)
    except Exception as error:
        raise ConfigError(
            f"run: the factory {factory!r} cannot be sent to other processes: {type(error).__name__}: {error}; make "
            f"what it holds (data, devices, open files) inside the call, or train in threads"
        ) from error


_unpacked: dict[str, Factory] = {}


def train_packed_segment(order: Order, package: Package, store: Store) -> Outcome:
    """`train_segment` for another process; what it returns can always be pickled."""
    if package.pid != os.getpid():
        end_with_parent()
    if package.pid != os.getpid() and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches all processes of a terminal; when to stop is the driver's to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def factory() -> Trainable:
        return _unpack(package, store)()

    outcome = train_segment(order, factory, store)
    if outcome.error is not None:
        try:
            pickle.loads(pickle.dumps(outcome.error))  # noqa: S301 - its own
        except Exception:  # noqa: BLE001 - a stranger's exception class; its text is what matters
            outcome = attrs.evolve(outcome, error=GpbtError(f"{type(outcome.error).__name__}: {outcome.error}"))
    return outcome


def _unpack(package: Package, store: Store) -> Factory:
    factory = _unpacked.get(package.digest)
    if factory is None:
        content = package.content
        if content is None:
            assert package.name is not None
            content = store.read_file(package.name)
            if hashlib.sha256(content).hexdigest() != package.digest:
                raise ConfigError(f"{package.name!r} in {store!r} is not the factory that the driver wrote there")
        try:
            factory = pickle.loads(content)  # noqa: S301 - the driver's own, compared with its digest
        except Exception as error:
            raise ConfigError(
                f"run: a worker cannot unpickle the factory: {type(error).__name__}: {error}; does it have the same "
                f"packages and the same code?"
            ) from error
        _unpacked.clear()  # a worker serves one run at a time; its data may be large
        _unpacked[package.digest] = factory
    return factory
