"""An optimizer that stores its events in a journal, so that several processes can share it.

Every change goes through `_transact`. It is computed against the events that this process knows, and appended after
them. If another process has appended first, the new events are read and the change is computed again. Only reports that
let a trial continue are held back until the next event of this process: nothing depends on them before their trial
ends, and a trial that is lost is trained again.
"""

import contextlib
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, SupportsFloat, TypeVar, Unpack

import attrs

from gpbt_adapters.storing.collecting import uncollected
from gpbt_adapters.storing.journal.engine import Durability
from gpbt_adapters.storing.journal.heartbeat import Heartbeat
from gpbt_adapters.storing.journal.storage import Entry, Journal, JournalError, Lease
from gpbt_adapters.storing.journal.workers import identity, is_gone
from gpbt_core.codec import decode_settings, decode_state, encode_state
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.optimizer import Optimizer, RunSettings
from gpbt_core.optimizer.arguments import id_of
from gpbt_core.optimizer.search import arguments_of, search_from_dict
from gpbt_core.persistent import Vector
from gpbt_core.records import Trial, Verdict
from gpbt_core.registry import resolve_rule
from gpbt_core.searcher import Search
from gpbt_core.space import Config, Space
from gpbt_core.state import Asked, Event, Order, Requeued, State, apply, replay

__all__ = ["Study", "header_of", "open_study", "settings_of"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEADER = 1
"""The version of the header of a study."""

SNAPSHOT = (2000, 1.25)
"""A snapshot is stored once the number of events exceeds 1.25 times that of the last snapshot by 2000. Opening then
replays at most a fifth of the events, and all snapshots of a run together cost about five times its last one."""


def open_study(
    url: str | os.PathLike[str],
    name: str,
    space: Space | None = None,
    *,
    durability: Durability = "full",
    lease: float = 60.0,
    read_only: bool = False,
    **settings: Unpack[RunSettings],
) -> "Study":
    """Opens a study, or starts it if there is none with that name.

    Args:
        url: The database: "sqlite:///path", a path, or "postgresql://user@host/database".
        name: The name of the study.
        space: The search space. By default, the one that the study was started with.
        durability: With "full", events survive a power cut. "process" is about fifty times as fast, but events survive
            only the death of processes.
        lease: Seconds, above 0 and finite, after which others may train the trials of a process that no longer renews
            its leases. (If the process is on the same host and known to have ended, they need not wait.)
        read_only: Whether to open the study for reading only, for example if the file is not writable. The study must
            exist, and every call that would change it is refused.
        settings: The other arguments of `gpbt.Optimizer`; not allowed without a space.

    Raises:
        ConfigError: The study was started with another space or other settings, which the error names; or it does not
            exist, and there is no space to start it with; or an argument is out of range; or the database cannot be
            used.
        JournalError: The database fails, or the study is damaged.
        PluginError: A searcher's or rule's name is unknown, offered twice, or cannot be built.

    Examples:
        >>> import tempfile
        >>> from gpbt import Float, Space
        >>> folder = tempfile.TemporaryDirectory()
        >>> with open_study(f"{folder.name}/runs.db", "first", Space(rate=Float(0, 1)), steps=4) as study:
        ...     (trial,) = study.ask()
        ...     study.tell(trial.id, 0.5)
        >>> with open_study(f"{folder.name}/runs.db", "first") as study:
        ...     study.best.score
        0.5
        >>> folder.cleanup()
    """
    if not 0 < lease <= threading.TIMEOUT_MAX:
        raise ConfigError(
            f"open_study: lease must be above 0 s and at most {threading.TIMEOUT_MAX:.3g} s, got {lease!r}"
        )
    if space is None and settings:
        raise ConfigError(
            f"open_study: got settings {sorted(settings)} without a space; give both, which are then compared with the "
            f"study's, or none"
        )
    given = None if space is None else header_of(Optimizer(space, **settings))
    journal = Journal(url, durability=durability, read_only=read_only)
    try:
        start = given if not read_only else None
        entry = journal.get(name) if start is None else (journal.find(name) or journal.add(name, start))
        if given is not None:
            _compare(entry, given)
        return Study(journal=journal, entry=entry, lease=lease, **settings_of(entry.header))
    except BaseException:
        journal.close()
        raise


class Study(Optimizer):
    """An optimizer in a journal, created by `open_study`. Any number of processes can use it like any other optimizer.

    The events of a call are durable when it returns. Only reports that let their trial continue may be written later,
    with the next event. If another process has appended first, the call sees its events and may be refused because of
    them; the `ProtocolError` then explains what happened to the trial. If `ask` returns no trials, wait before asking
    again.

    A trial that was asked is leased, and the lease is renewed in the background as long as this object exists. Once it
    has expired, `ask` in any process returns the trial again, with its next `attempt`. From then on, calls of the first
    worker for this trial are refused, so that the score and the checkpoint of a trial come from one worker.

    Like any optimizer, use it from one thread only, and not across a fork.
    """

    def __init__(self, space: Space, *, journal: Journal, entry: Entry, lease: float, **settings: Any) -> None:
        """Opens an entry of a journal; closing this object closes the journal. See `open_study`."""
        super().__init__(space, **settings)
        self.name, self.identity, self.store = entry.name, entry.identity, entry.store
        self._journal, self._entry, self._lease = journal, entry, lease
        self._worker = identity()
        self._proposed: dict[tuple[int, int | None], Config] = {}
        self._handed: dict[int, Trial] = {}  # the trials that this process has asked and that have not ended
        self._elsewhere: set[int] = set()  # trials asked by another process, or by this one when the answer was lost
        self._looked = time.monotonic()  # when the leases were last read
        self._in_use = threading.Lock()
        self._unwritten: Vector[Event] = Vector()
        with uncollected():
            self._written, self._sequence = self._newest_snapshot()
            self._snapshot = self._sequence
            self._start(self._written)
            self._refresh()
        self._events = Vector()
        self._heartbeat = Heartbeat(journal, entry.id, self._worker, lease)
        self._end = weakref.finalize(self, self._heartbeat.end)

    # -------------------------------------------------------------------------------------------------- what is its own

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Writes events that are held back, ends the leases and closes the journal. Calling it again has no effect.

        Trials that were asked and not told then become available to other processes.

        Raises:
            JournalError: The database fails.
        """
        if self._end.alive:
            try:
                self._transact(lambda: None)
            finally:
                self._end()

    def keep_store(self, address: str) -> None:
        """Records in the journal where the checkpoints of the study are. `run` calls this, and resumes from there.

        Args:
            address: The path or URL of the checkpoints.

        Raises:
            JournalError: The database fails.
        """
        self._journal.keep_store(self._entry.id, address)
        self.store = address

    def refresh(self) -> int:
        """Reads the events of other processes, as `ask` does automatically. Returns the number of new events.

        Raises:
            JournalError: The database fails, or its content is damaged.
            ProtocolError: Another call is using the study: from another thread, a searcher or a rule.
        """
        with self._alone():
            return self._refresh()

    def _refresh(self) -> int:
        news = self._journal.events(self._entry.id, self._sequence)
        if not news:
            return 0
        written, happened = self._written, list[Event]()
        try:
            for state, event in replay(written, self._valid(news)):
                written = state
                happened.append(event)
        except (ConfigError, ProtocolError) as error:
            raise JournalError(
                f"{self._journal!r}: study {self.name!r} does not follow from its settings: {error}; it was written by "
                f"another version of gpbt or a rule, or is damaged"
            ) from error
        self._elsewhere |= {event.trial.id for event in news if type(event) is Asked}
        state, kept = written, list[Event]()
        for event in self._unwritten:
            try:
                state = apply(state, event)
            except ProtocolError:  # its trial was reassigned or has ended: the next call for it raises the error
                continue
            kept.append(event)
        self._written, self._sequence, self._state = written, self._sequence + len(news), state
        self._unwritten = Vector(kept)
        self._events = self._events.extend(happened)
        return len(news)

    @property
    def events(self) -> Vector[Event]:
        """The events since the study was opened, in the order in which this process learned of them."""
        return self._events

    # ---------------------------------------------------------------------------------------- as of any other optimizer

    def ask(self, count: int = 1) -> tuple[Trial, ...]:
        """As `Optimizer.ask`; all trials, including those of lost workers, are asked and leased in one transaction.

        Raises:
            ConfigError: `count` is not a whole number of at least 1.
            SearcherError: As for any optimizer; nothing is asked.
            JournalError: The database fails, and nothing is asked; or the study was deleted.
        """
        self.refresh()
        lost: list[int] = []

        def asked() -> tuple[Trial, ...]:
            trials = super(Study, self).ask(count)
            lost.clear()  # this is a retry if another process has appended first, perhaps because it saw the same
            if len(trials) < count or time.monotonic() > self._looked + self._lease / 4:
                lost.extend(self._give_back_lost())
                if len(trials) < count:
                    trials += super(Study, self).ask(count - len(trials))
            return trials

        trials = self._transact(asked)
        for trial_id in lost:
            logger.warning("study %s: trial %d is requeued: its worker was lost", self.name, trial_id)
        self._proposed.clear()
        if trials:
            self._handed.update((trial.id, trial) for trial in trials)
            self._elsewhere.difference_update(trial.id for trial in trials)
            self._heartbeat.start()
        else:
            self._journal.check(self._entry.id)
        return trials

    def report(self, trial: Trial | int, step: int, score: SupportsFloat) -> Verdict:
        """As `Optimizer.report`; a verdict to stop is durable on return.

        Raises:
            ConfigError: The score is not a number.
            ProtocolError: As for any optimizer; or the lease had expired and the trial was leased to another worker.
            JournalError: The database fails.
        """
        return self._transact(
            lambda: super(Study, self).report(self._ours(trial), step, score),
            hold=lambda verdict: verdict is Verdict.CONTINUE,
        )

    def tell(
        self,
        trial: Trial | int,
        score: SupportsFloat | None = None,
        *,
        steps: int | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """As `Optimizer.tell`.

        Raises:
            ConfigError: The score is not a number, or `notes` is no mapping that JSON can hold.
            ProtocolError: As for any optimizer; or the lease had expired and the trial was leased to another worker.
            JournalError: The database fails.
        """
        self._transact(lambda: super(Study, self).tell(self._ours(trial), score, steps=steps, notes=notes))
        self._forget(trial)

    def fail(self, trial: Trial | int, reason: str | BaseException, *, notes: Mapping[str, Any] | None = None) -> None:
        """As `Optimizer.fail`.

        Raises:
            ConfigError: `notes` is no mapping that JSON can hold.
            ProtocolError: The trial is unknown or has ended.
            JournalError: The database fails.
        """
        self._transact(lambda: super(Study, self).fail(self._ours(trial), reason, notes=notes))
        self._forget(trial)

    def requeue(self, trial: Trial | int) -> None:
        """As `Optimizer.requeue`, for a trial that no other worker is training.

        Raises:
            ProtocolError: The trial is unknown, has ended, was already requeued, or is leased to another worker.
            JournalError: The database fails.
        """

        def requeued() -> None:
            super(Study, self).requeue(self._ours(trial))
            trial_id = id_of("requeue", trial)
            for lease in self._journal.leases(self._entry.id):
                if lease.trial == trial_id and lease.worker != self._worker and not _is_lost(lease):
                    raise ProtocolError(
                        f"requeue: trial {trial_id} is in training by worker {lease.worker}, whose lease runs for "
                        f"another {lease.seconds:.3g} s; ask returns it again once the lease expires"
                    )

        self._transact(requeued)
        self._forget(trial)

    def cancel(self, trial: Trial | int, reason: str = "cancelled by the caller") -> None:
        """As `Optimizer.cancel`.

        Raises:
            ProtocolError: The trial is unknown or has ended.
            JournalError: The database fails.
        """
        self._transact(lambda: super(Study, self).cancel(self._ours(trial), reason))
        self._forget(trial)

    def extend(self, generations: int) -> None:
        """As `Optimizer.extend`.

        Raises:
            ConfigError: `generations` is not a whole number of at least 1.
            ProtocolError: The run is extinct.
            JournalError: The database fails.
        """
        self._transact(lambda: super(Study, self).extend(generations))

    def replay(self, events: Iterable[Event]) -> None:
        """As `Optimizer.replay`, all or none; trials that are then in training are leased to this process.

        Raises:
            ConfigError: A config is not in the space.
            ProtocolError: An event is not legal after those before it.
            JournalError: The database fails.
        """
        taken = tuple(events)
        self._transact(lambda: super(Study, self).replay(taken))
        self._elsewhere.difference_update(event.trial.id for event in taken if type(event) is Asked)
        self._heartbeat.start()

    @classmethod
    def from_state(cls, state: State, *, space: Space | None = None, search: Search | None = None) -> Self:  # noqa: ARG003
        """Not supported: a study resumes from its journal.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "from_state: a study goes on from its journal, open_study(url, name); use Optimizer.from_state"
        )

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, study {self.name!r} of {self._journal!r}>"

    def _repr_html_(self) -> str:
        """The HTML that a notebook displays."""
        from gpbt_adapters.views.notebook import run_html

        return run_html(self, note=f"; study {self.name!r}")

    # ----------------------------------------------------------------------------------------------------------- inside

    def _ours(self, trial: Trial | int) -> Trial | int:
        """Replaces the id of a trial by the trial that this process has asked, so that its attempt is checked."""
        return trial if isinstance(trial, Trial) else self._handed.get(id_of("study", trial), trial)

    def _forget(self, trial: Trial | int) -> None:
        self._handed.pop(id_of("study", trial), None)

    def _transact(self, action: Callable[[], T], *, hold: Callable[[T], bool] = lambda _: False) -> T:
        """Runs `action`, which commits events against the newest state, and writes them.

        Args:
            action: Called again if another process has appended first; if it raises, its changes are undone.
            hold: Whether its events may be held back until the next ones.
        """
        if not self._end.alive:
            raise ProtocolError(f"study {self.name!r} is closed; open it again")
        with self._alone():
            while True:
                before = (self._state, self._events, self._unwritten, self._written, self._sequence)
                try:
                    result = action()
                    written = hold(result) or self._write()
                except BaseException as error:
                    # Events that were written nevertheless (a lost answer, or Ctrl-C after the write) are read as new.
                    self._state, self._events, self._unwritten, self._written, self._sequence = before
                    if isinstance(error, ProtocolError) and self._refresh():
                        continue  # it may be legal after the events of another process
                    raise
                if written:
                    return result
                self._state, self._events, self._unwritten, self._written, self._sequence = before
                if not self._refresh():
                    self._journal.check(self._entry.id)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A call that no other call may interrupt; its transaction is undone as a whole."""
        if not self._in_use.acquire(blocking=False):
            raise ProtocolError(
                f"study {self.name!r}: another call is using it: another thread, or a searcher or rule that calls "
                f"back; nothing of this call happened; use a study from one thread only, and call again"
            )
        try:
            yield
        finally:
            self._in_use.release()

    def _commit(self, before: State, state: State, happened: Sequence[Event]) -> None:
        """Applies events in this process; `_transact` writes them."""
        super()._commit(before, state, happened)
        self._unwritten = self._unwritten.extend(happened)

    def _write(self) -> bool:
        """Writes unwritten events; returns False if another process has appended first."""
        if not self._unwritten:
            return True
        if not self._journal.append(
            self._entry.id, self._sequence, self._unwritten, worker=self._worker, lease=self._lease
        ):
            return False
        self._sequence += len(self._unwritten)
        self._unwritten = Vector()
        self._written = self._state
        more, times = SNAPSHOT
        if self._sequence >= more + times * self._snapshot:
            self._keep_snapshot()
        return True

    def _propose(self, state: State, parent: int | None, order: Order) -> Config:
        """The config of a slot does not depend on which process is first: a retry in the same `ask` reuses it."""
        key = (order.id, order.parent)
        if key not in self._proposed:
            self._proposed[key] = super()._propose(state, parent, order)
        return self._proposed[key]

    def _give_back_lost(self) -> list[int]:
        """Requeues the trials whose workers are lost, and returns their ids."""
        self._looked = time.monotonic()
        lost = []
        for lease in self._journal.leases(self._entry.id):
            ours = lease.worker == self._worker  # lost only if the answer to our `ask` was lost
            if lease.trial in self._elsewhere if ours else _is_lost(lease):
                self._happen(Requeued(trial_id=lease.trial))
                lost.append(lease.trial)
        return lost

    def _newest_snapshot(self) -> tuple[State, int]:
        """The state to replay from, and the number of events it covers."""
        found = self._journal.snapshot(self._entry.id)
        if found is not None:
            try:
                state = decode_state(found[1], resolve_rule)
                return attrs.evolve(state, settings=self.settings), found[0]  # with the search, which it does not hold
            except ConfigError as error:
                logger.info("study %s: all events are replayed: %s", self.name, error)
        return self._state, 0

    def _keep_snapshot(self) -> None:
        try:
            self._journal.keep_snapshot(self._entry.id, self._sequence, encode_state(self._written))
        except JournalError as error:  # only the speed of opening depends on it
            logger.warning("study %s: no snapshot: %s", self.name, error)
        self._snapshot = self._sequence


def header_of(optimizer: Optimizer) -> dict[str, Any]:
    """The settings that a study is started with, as plain data.

    Raises:
        ConfigError: A searcher or a rule is an object without a name, and cannot be serialized.
    """
    data = optimizer.to_dict()
    plain = {"version": HEADER, "settings": data["state"]["settings"], "search": data["search"]}
    try:
        return dict(json.loads(json.dumps(plain)))  # as it will be read back: tuples become lists
    except (TypeError, ValueError) as error:
        raise ConfigError(f"open_study: options must be such that they can be written as JSON: {error}") from error


def settings_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the optimizer that a header describes, including the space.

    Raises:
        ConfigError: The data is not a valid header.
        PluginError: A rule's name is unknown, offered twice, or cannot be built.
    """
    try:
        if header["version"] != HEADER:
            raise ConfigError(
                f"journal: the header of a study must be of version {HEADER}, got version {header['version']!r}; use "
                f"the gpbt that wrote it"
            )
        stored, search = header["settings"], header["search"]
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"journal: must be the header of a study, got {header!r:.200}, which misses {error}"
        ) from error
    settings = attrs.evolve(decode_settings(stored, resolve_rule), search=search_from_dict(search))
    return arguments_of(settings)


def _compare(entry: Entry, given: Mapping[str, Any]) -> None:
    found = list(_differences("", entry.header, given))
    if found:
        raise ConfigError(
            f"open_study: study {entry.name!r} was started with other settings: {'; '.join(found)}; give those, or "
            f"neither space nor settings to go on, or choose another name"
        )


def _differences(path: str, stored: Any, given: Any) -> Iterator[str]:
    stored, given = _by_name(stored), _by_name(given)
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        for key in dict.fromkeys((*stored, *given)):
            yield from _differences(f"{path}.{key}" if path else key, stored.get(key), given.get(key))
    elif stored != given or isinstance(stored, bool) is not isinstance(given, bool):  # 1 equals 1.0, but not True
        yield f"{path} was {stored!r}, is now {given!r}"


def _by_name(data: Any) -> Any:
    """A list of things with names, such as a space's parameters, as a mapping; anything else as it is."""
    if isinstance(data, list) and data and all(isinstance(one, Mapping) and "name" in one for one in data):
        return {one["name"]: one for one in data}
    return data


def _is_lost(lease: Lease) -> bool:
    return lease.seconds <= 0 or is_gone(lease.worker)
