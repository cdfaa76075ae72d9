"""The loop of a run: it asks for trials while workers are free, waits for a message and tells the optimizer.

The loop runs in the caller's thread, which owns the optimizer; workers answer through one queue. The loop makes no
decisions about the search and keeps no state beyond the run: persistent state is in the optimizer and in the store.
"""

import contextlib
import logging
import math
import pickle
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Future
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import attrs

from gpbt_adapters.running.failures import Failures
from gpbt_adapters.running.interrupts import Interrupts
from gpbt_adapters.running.kept import Kept
from gpbt_adapters.running.ownership import Lines
from gpbt_adapters.running.pools import Pool, WorkersLostError
from gpbt_adapters.running.progress import ProgressBar
from gpbt_adapters.running.segments import (
    MainNotFoundError,
    Order,
    Outcome,
    Package,
    pack,
    train_packed_segment,
    train_segment,
)
from gpbt_adapters.running.watchers import Watchers
from gpbt_adapters.storing.checkpoints import MissingCheckpointError, Store
from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_adapters.trainables.trainable import Factory
from gpbt_adapters.views import Timing, noted
from gpbt_adapters.views.words import counted, printable
from gpbt_core.errors import GpbtError, ProtocolError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Status, Trial
from gpbt_core.reproduction import Independent

__all__ = ["POLL", "Limits", "Loop", "configs_change", "pause"]

logger = logging.getLogger(__name__)

POLL, MOST, SHARE = 0.2, 10.0, 0.05
"""Least and most seconds between polls of an optimizer whose next trial depends on the results of other processes, and
their share of the time waited so far: thousands of idle processes must not keep the database busy."""

LOOK_UP = 1.0
"""Longest wait in seconds: a Ctrl-C that arrives just as a wait begins does not interrupt it."""

_NOT_SENT = (TypeError, AttributeError, ImportError, pickle.PickleError)
"""What an executor raises when no worker has died; exceptions raised by training are returned as outcomes."""

_LOST_RESULT = frozenset({Status.FAILED, Status.CANCELLED, Status.STOPPED})


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of a run.

    Attributes:
        retries: How often a trial is retrained after its worker died.
        timeout: Seconds that a segment may take; None: no limit.
        grace: Seconds after the timeout until a worker that does not answer is abandoned.
        failures_in_a_row: How many trials may fail before their first step for the same reason; None: no limit.
        shutdown: Seconds that the trials in training have to finish after SIGTERM.
        keep_models: How many models a worker may have in memory, including the one in training; 0: it keeps none.
    """

    retries: int
    timeout: float | None
    grace: float
    failures_in_a_row: int | None = None
    shutdown: float = 20.0
    keep_models: int = 0


@attrs.frozen(kw_only=True, eq=False)
class _Running:
    """A trial in training."""

    trial: Trial
    started: float
    rebuilt: bool = False  # whether its parent's checkpoint was found to be lost


@attrs.frozen
class _Step:
    """A step just completed by a worker that shares this process's memory."""

    running: _Running
    step: int
    score: float


_Message: TypeAlias = "Future[Outcome] | _Step | None"


class Loop:
    """One run.

    Args:
        optimizer: The optimizer that proposes the trials.
        factory: Makes the trainables.
        store: The store of the checkpoints.
        pool: The pool that trains the trials; closed at the end.
        watchers: Called with each event.
        display: Reports that Ctrl-C was received.
        limits: The limits of the run.

    Attributes:
        ending: Whether to stop asking for trials (Ctrl-C).
        halting: Whether to stop waiting for the trials in training (a second Ctrl-C).
        figures: The figures that each trial's trainable reported besides its score.
        tracebacks: The traceback of each failed trial, as Python prints it.
        from_memory: How many trials continued their parent in memory.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factory: Factory,
        store: Store,
        pool: Pool,
        watchers: Watchers,
        display: ProgressBar,
        limits: Limits,
    ) -> None:
        self.ending = self.halting = False
        self._left = False  # whether the run has ended, for any reason, so that no result is awaited
        self.figures: dict[int, Mapping[str, float]] = {}
        self.tracebacks: dict[int, str] = {}
        self.from_memory = 0
        self._optimizer, self._factory, self._store = optimizer, factory, store
        self._shared = hasattr(optimizer, "refresh")  # a study: other processes may train for it too
        self._pool, self._watchers, self._display, self._limits = pool, watchers, display, limits
        self._package: Package | None = None  # of the factory, if it must be sent to other processes
        self._training = False  # whether a segment runs in this thread
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        self._in_flight: dict[Future[Outcome], _Running] = {}
        self._given_up: dict[Future[Outcome], _Running] = {}  # futures whose result no longer counts
        self._held: deque[Trial] = deque()  # asked and not started; the first may be a suspect that is to train alone
        self._suspects: set[int] = set()  # trials in training, along with others, when a pool broke
        self._deaths: dict[int, int] = {}
        self._begun = time.time()
        self._searched: dict[int, float] = {}  # for each trial that was asked, its share of the seconds that took
        self._notes: dict[int, dict[str, Any]] = {}  # of trials that have ended and are not told yet
        self._seen = 0
        self._served = time.monotonic()  # when the last trial started
        self._next_poll = -math.inf  # when to ask a study again that had no trial, unless a message arrives first
        self._kept = Kept(limits.keep_models) if limits.keep_models and pool.local else None
        self._lines = Lines(optimizer)
        self._changing = frozenset(optimizer.space.names) if configs_change(optimizer) else frozenset[str]()
        self._failures = Failures(limits.failures_in_a_row, optimizer)

    def go(self) -> None:
        """Runs until the optimizer has finished or Ctrl-C is pressed.

        Raises:
            GpbtError: As in `run`; the trials in training are requeued.
        """
        with Interrupts(self._pressed, self._say_pressed, self._limits.shutdown):
            clean = False
            try:
                if not self._pool.local:
                    self._package = self._packed()
                self._warn_of_idle_workers()
                self._take_over()
                while not self._over():
                    self._fill()
                    self._wait()
                clean = not self.halting
            except KeyboardInterrupt:
                if not self.halting:
                    raise
            finally:
                self._left = True
                self._give_back()
                self._pool.close(now=not clean or bool(self._given_up))
                if self._kept is not None:
                    self._kept.clear()

    # --------------------------------------------------------------------------------------------------------- the loop

    def _pressed(self, presses: int) -> None:
        """Records a press, in the signal handler; training in this thread can only be interrupted from here."""
        self.ending = True
        self._messages.put(None)
        if presses > 1:
            self.halting = True
            if self._training:
                raise KeyboardInterrupt

    def _say_pressed(self, name: str) -> None:
        if name == "SIGTERM":
            text = f"the trials in training have {self._limits.shutdown:g} s to finish"
        else:
            text = "waiting for the trials in training to finish; press again to stop them now"
        with contextlib.suppress(Exception):  # whatever replaces stderr may raise
            self._display.say(f"{name}: {text}")

    def _warn_of_idle_workers(self) -> None:
        workers, most = self._pool.capacity, self._optimizer.settings.max_concurrent
        if workers is not None and workers > most:
            logger.warning(
                "max_concurrent=%d lets at most %d trials train at once, so %d of the %d workers will idle; set "
                "max_concurrent=%d, twice the workers, when you make the optimizer or the search",
                most,
                most,
                workers - most,
                workers,
                2 * workers,
            )

    def _over(self) -> bool:
        if self.halting or (not self._in_flight and self.ending):
            return True
        return not self._in_flight and not self._held and not self._failures.held and self._optimizer.finished

    def _take_over(self) -> None:
        """Requeues the trials that were in training when an earlier run ended."""
        self._seen = len(self._optimizer.events)
        for record in self._optimizer.records:
            if record.status in {Status.RUNNING, Status.STOPPING}:
                self._requeue(record.trial)
        self._collect()

    def _fill(self) -> None:
        """Starts trials while workers are free."""
        if self._shared and time.monotonic() < self._next_poll:
            return
        while room := self._room():
            if not self._held:
                start = time.monotonic()
                asked = self._optimizer.ask(room)  # of a study, this is one transaction
                self._searched |= {trial.id: (time.monotonic() - start) / len(asked) for trial in asked}
                self._held.extend(asked)
                self._announce()
            if not self._held:
                if not self._in_flight and self._failures.held:
                    self._judge_failures(stuck=True)
                    continue
                now = time.monotonic()
                self._next_poll = now + pause(now - self._served)
                return
            if self._held[0].id in self._suspects and self._in_flight:
                return
            self._start(self._held.popleft())
            self._served = time.monotonic()

    def _room(self) -> int:
        """How many more trials may start now."""
        if self.ending:
            return 0
        if self._suspects and any(running.trial.id in self._suspects for running in self._in_flight.values()):
            return 0
        capacity = self._pool.capacity
        return 1 if capacity is None else max(0, capacity - len(self._in_flight) - len(self._given_up))

    def _packed(self, absent: frozenset[str] = frozenset()) -> Package:
        return pack(self._factory, self._store, main_is_there=self._pool.main_is_there, absent=absent)

    def _order(self, trial: Trial, rebuild: tuple[Order, ...] = ()) -> Order:
        parent = None if trial.parent is None else self._optimizer.records[trial.parent].trial
        return Order(
            trial=trial,
            seed=setup_seed(self._optimizer.seed, trial.id),
            maximize=self._optimizer.direction == "maximize",
            limits=self._optimizer.records[trial.id].limits,
            timeout=None if rebuild else self._limits.timeout,
            line=self._lines.of(trial),
            parent_line="" if parent is None else self._lines.of(parent),
            changing=self._changing,
            rebuild=rebuild,
        )

    def _start(self, trial: Trial, *, rebuild: bool = False) -> None:
        line = self._optimizer.lineage(trial.parent) if rebuild and trial.parent is not None else ()
        order = self._order(trial, tuple(self._order(record.trial) for record in line))
        running = _Running(trial=trial, started=math.inf if rebuild else time.monotonic(), rebuilt=rebuild)
        try:
            if self._package is None:
                future = self._pool.submit(self._train_here, order, running)
            else:
                arguments = (order, self._package, self._store, self._limits.keep_models)
                near, spared = order.parent_line, self._parents()
                future = self._pool.submit(train_packed_segment, *arguments, near=near, spared=spared)
        except BaseException:
            self._requeue(trial)
            raise
        self._in_flight[future] = running
        future.add_done_callback(self._messages.put)

    def _parents(self) -> frozenset[str]:
        """The digests of the lines whose models the open generation continues."""
        if not self._limits.keep_models:
            return frozenset()
        records = self._optimizer.records
        return frozenset(self._lines.of(records[parent].trial) for parent in self._optimizer.state.open.plan.parents)

    def _train_here(self, order: Order, running: _Running) -> Outcome:
        """Trains in this process; each step is displayed as it completes."""

        def show(step: int, score: float) -> None:
            self._messages.put(_Step(running, step, score))
            if self._pool.inline:
                self._training = False  # must not be interrupted here; `halted` is checked next
                self._drain()
                self._training = True

        self._training = self._pool.inline
        try:
            return train_segment(
                order,
                self._factory,
                self._store,
                on_step=show,
                halted=lambda: self.halting or self._left,
                kept=self._kept,
            )
        finally:
            self._training = False

    def _wait(self) -> None:
        """Takes one message, or notices that one is overdue."""
        patience = self._patience()
        try:
            message = self._messages.get(timeout=LOOK_UP if patience is None else min(patience, LOOK_UP))
        except Empty:
            self._display.tick(self._optimizer)
            self._give_up_the_overdue()
        else:
            self._take(message)

    def _drain(self) -> None:
        while not self._messages.empty():
            self._take(self._messages.get())

    def _take(self, message: _Message) -> None:
        self._next_poll = -math.inf
        if isinstance(message, _Step):
            if message.running in self._in_flight.values() or self._pool.inline:
                # If a callback has ended the trial, this is refused; its result will be refused too, and logged then.
                with contextlib.suppress(ProtocolError):
                    self._report(message.running.trial, ((message.step, message.score),))
        elif message is not None and message in self._in_flight:
            self._end(message, self._in_flight.pop(message))
        elif message is not None and message in self._given_up:
            self._clear_away(self._given_up.pop(message).trial)

    # --------------------------------------------------------------------------------------------------------- outcomes

    def _end(self, future: "Future[Outcome]", running: _Running) -> None:
        try:
            error = future.exception()
        except CancelledError as cancelled:  # an executor that loses a worker may cancel its calls
            error = cancelled
        if error is None:
            outcome = future.result()
            self._pool.note(future, outcome.kept)
            self.from_memory += outcome.from_memory
            self._settle(running, outcome)
        else:
            self._lose(running, error)
        self._collect()

    def _settle(self, running: _Running, outcome: Outcome) -> None:
        """Tells the optimizer an outcome."""
        trial = running.trial
        if isinstance(outcome.error, MissingCheckpointError) and not running.rebuilt and not self.ending:
            self._start(trial, rebuild=True)
            return
        if isinstance(outcome.error, MainNotFoundError) and self._package is not None and not self.ending:
            self._package = self._packed(self._package.absent | {outcome.error.missing})
            self._start(trial)
            return
        if outcome.error is not None:
            if self._requeue(trial):
                raise outcome.error
            logger.warning("trial %d has ended elsewhere; what went wrong here: %s", trial.id, outcome.error)
            return
        if outcome.status == "halted":
            self._requeue(trial)
            return
        self._suspects.discard(trial.id)
        self._notes[trial.id] = self._noted(outcome)
        try:
            try:
                self._report(trial, outcome.scores)
            except ProtocolError:
                if outcome.status == "stopped":
                    raise
                # A study whose lease on the trial has expired refuses the reports; the result may still count.
            if outcome.status == "failed":
                self._note_failure(trial, outcome)
                return
            self._failures.forget()
            self._tell_failures()
            self._optimizer.tell(trial, outcome.scores[-1][1], notes=self._notes.pop(trial.id))
            self.figures[trial.id] = outcome.figures
        except ProtocolError as error:  # a callback or another process has ended this trial meanwhile
            logger.warning("the result of trial %d does not count: %s", trial.id, error)
            self._clear_away(trial)
        self._announce()

    def _noted(self, outcome: Outcome) -> dict[str, Any]:
        """What is kept with a trial: its times, and the figures of its trainable that are finite numbers."""
        training = outcome.seconds - outcome.loading - outcome.saving
        timing = Timing(
            worker=outcome.worker,
            run=self._begun,
            begin=outcome.begin,
            loading=outcome.loading,
            training=training,
            saving=outcome.saving,
            searching=self._searched.pop(outcome.trial_id, 0.0),
        )
        return noted(timing, outcome.figures)

    def _note_failure(self, trial: Trial, outcome: Outcome) -> None:
        """Tells a failure, or holds it back while the set-up may be at fault, which must not cost a trial."""
        reason = outcome.reason or "unknown"
        if outcome.traceback:
            self.tracebacks[trial.id] = outcome.traceback
            logger.debug("trial %d failed:\n%s", trial.id, outcome.traceback)
        self._hold_or_fail(trial, reason, fruitless=outcome.fruitless)
        self._judge_failures()

    def _hold_or_fail(self, trial: Trial, reason: str, *, fruitless: bool) -> None:
        if not self._failures.hold(trial, reason, fruitless=fruitless):
            self._tell_failures()
            self._fail(trial, reason)

    def _judge_failures(self, *, stuck: bool = False) -> None:
        """Ends the run if its set-up must be wrong; tells the failures held back if nothing else can continue.

        Raises:
            ConfigError: The set-up must be wrong; the trials are requeued.
        """
        error = self._failures.verdict(stuck=stuck)
        if error is not None:
            raise error
        if stuck:
            self._tell_failures()

    def _tell_failures(self) -> None:
        for trial, reason in self._failures.take():
            self._fail(trial, reason)

    def _report(self, trial: Trial, scores: Iterable[tuple[int, float]]) -> None:
        """Reports the steps not yet reported; a score that is not a number is handled at the end of the trial."""
        for step, score in scores:
            if step > self._optimizer.records[trial.id].steps and math.isfinite(score):
                self._optimizer.report(trial, step, score)
                self._announce()

    def _lose(self, running: _Running, error: BaseException) -> None:
        """Requeues the trials lost when a worker, and perhaps the whole pool, died, and replaces the pool.

        If several trials were in training, it is unknown which one broke the pool. All of them become suspects, and
        each is trained alone until it succeeds. A trial that was in training alone is blamed for the death.
        """
        lost = [running]
        if isinstance(error, BrokenExecutor):
            lost += self._take_unanswered()
        if isinstance(error, _NOT_SENT):
            self._requeue(running.trial)
            raise WorkersLostError(
                f"run: a segment cannot be sent to the workers, or not be read by them: {error!r}; what is sent is the "
                f"factory, the store and the config, which workers read with the modules that they can import"
            ) from error
        ids = ", ".join(str(one.trial.id) for one in lost)
        whose = f"worker of trial {ids}" if len(lost) == 1 else f"workers of trials {ids}"
        logger.warning("the %s died: %s", whose, _cause(error))
        for one in lost:
            if self.ending or self._pool.stillborn:  # the interrupt may be the cause, or no worker ever started
                self._requeue(one.trial)
            elif len(lost) == 1:
                self._charge(one.trial, error)
            else:
                self._suspects.add(one.trial.id)
                self._requeue(one.trial)
        if isinstance(error, BrokenExecutor) and not self.ending:
            self._pool.replace(error)

    def _charge(self, trial: Trial, error: BaseException) -> None:
        deaths = self._deaths[trial.id] = self._deaths.get(trial.id, 0) + 1
        if deaths <= self._limits.retries:
            self._requeue(trial)
            return
        self._suspects.discard(trial.id)
        reason = f"its worker died {counted(deaths, 'time')}, the last time with {_cause(error)}"
        self._hold_or_fail(trial, reason, fruitless=True)  # nobody knows how far it got
        self._judge_failures()

    def _fail(self, trial: Trial, reason: str) -> None:
        logger.warning("trial %d failed: %s", trial.id, reason)
        try:
            self._optimizer.fail(trial, reason, notes=self._notes.pop(trial.id, None))
        except ProtocolError as error:  # it has ended meanwhile
            logger.debug("trial %d does not fail: %s", trial.id, error)
        self._announce()
        self._clear_away(trial)  # a worker that died or was given up may have written something

    def _take_unanswered(self) -> list[_Running]:
        """Removes futures that will no longer be answered; those already answered have a message in the queue."""
        gone = [future for future in self._in_flight if not future.done() or _broken(future)]
        return [self._in_flight.pop(future) for future in gone]

    # -------------------------------------------------------------------------------------------------------- deadlines

    def _patience(self) -> float | None:
        """Seconds to wait for the next message; None: no limit."""
        polls = not self._in_flight or (self._shared and self._room())
        left = self._next_poll - time.monotonic()
        poll = (left if left > 0 else POLL) if polls else None
        deadline = self._deadline()
        if deadline is None or not self._in_flight:
            return poll
        first = min(running.started for running in self._in_flight.values())
        overdue = max(0.0, first + deadline - time.monotonic())
        if overdue == math.inf:
            return poll
        return overdue if poll is None else min(overdue, poll)

    def _deadline(self) -> float | None:
        """Seconds after its start at which a trial is abandoned; None if it may have waited in a queue first."""
        if self._limits.timeout is None or self._pool.inline or self._pool.capacity is None:
            return None
        return self._limits.timeout + self._limits.grace

    def _give_up_the_overdue(self) -> None:
        deadline = self._deadline()
        if deadline is None:
            return
        now = time.monotonic()
        overdue = [future for future, running in self._in_flight.items() if now - running.started > deadline]
        stuck = False
        for future in overdue:
            running = self._in_flight.pop(future)
            reason = f"no answer for {now - running.started:.3g} s, expected one within {self._limits.timeout:g} s"
            self._hold_or_fail(running.trial, reason, fruitless=True)
            if not future.cancel():  # a cluster's executor may be able to end just this call, even while it runs
                stuck = True
                if not self._pool.replaceable:
                    self._given_up[future] = running
        if stuck and self._pool.replaceable:
            for running in self._take_unanswered():
                self._requeue(running.trial)
            self._pool.replace(TimeoutError("a worker does not answer"))
        capacity = self._pool.capacity
        if self._given_up and capacity is not None and len(self._given_up) >= capacity:
            raise WorkersLostError(
                f"run: none of the {capacity} workers answers; end them, and go on with the same optimizer and store"
            )
        self._judge_failures()
        self._collect()

    # -------------------------------------------------------------------------------------------------------- clean-up

    def _requeue(self, trial: Trial) -> bool:
        """Requeues a trial; returns False if it no longer belongs to this run."""
        try:
            self._optimizer.requeue(trial)
        except ProtocolError as error:  # it has ended, or another process is training it
            logger.debug("trial %d is not requeued: %s", trial.id, error)
            return False
        finally:
            self._announce()
        return True

    def _give_back(self) -> None:
        """Requeues every trial still in training, whatever ended the run."""
        held = [*self._held, *(trial for trial, _ in self._failures.take())]
        for trial in [*held, *(running.trial for running in self._in_flight.values())]:
            try:
                self._requeue(trial)
            except GpbtError as error:  # from a database, say; it must not hide the error that ended the run
                logger.warning("trial %d is not requeued: %s", trial.id, error)
        self._held.clear()
        for future in self._in_flight:
            future.cancel()  # if the executor can; a segment that still finishes is retrained, with the same result
        self._in_flight.clear()

    def _clear_away(self, trial: Trial) -> None:
        """Deletes what a worker wrote for a trial whose result was not used."""
        if self._optimizer.records[trial.id].status in _LOST_RESULT:
            self._store.delete([trial.id])

    def _collect(self) -> None:
        self._store.delete(self._optimizer.released())

    def _announce(self) -> None:
        """Passes the events since the last call to the watchers."""
        events = self._optimizer.events
        while self._seen < len(events):
            self._seen += 1
            self._watchers.tell(events[self._seen - 1], self._optimizer)


def pause(waited: float) -> float:
    """Seconds until the next poll of a process that has waited for so many seconds.

    >>> pause(0), pause(60), pause(3600)
    (0.2, 3.0, 10.0)
    """
    return min(max(POLL, SHARE * waited), MOST)


def configs_change(optimizer: Optimizer) -> bool:
    """Whether a child's config may differ from its parent's."""
    return not isinstance(optimizer.settings.reproduction, Independent)


def _broken(future: "Future[Any]") -> bool:
    """Whether a future failed because its pool did."""
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _cause(error: BaseException) -> str:
    """What a worker died of, on one line."""
    return printable(f"{type(error).__name__}: {error}")
