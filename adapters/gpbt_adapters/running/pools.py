"""Pools that run segments: one interface to any executor, which reports its capacity and can replace the executor.

A pool does not know about trials. It handles what `concurrent.futures` leaves open: how many workers there are,
whether they share the driver's memory, how to stop one that hangs, and what to do when the executor breaks.
"""

import contextlib
import inspect
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from multiprocessing import get_context, parent_process, spawn
from typing import Any, TypeAlias

from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.numbers import whole

__all__ = ["Executors", "Pool", "WorkersLostError", "end_with_parent"]

logger = logging.getLogger(__name__)

Executors: TypeAlias = Executor | Callable[[], Executor] | None
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that set the number of threads of numerical libraries."""


class WorkersLostError(GpbtError, RuntimeError):
    """The workers have died and cannot be replaced; the run can be resumed with others."""


class InlineExecutor(Executor):
    """Runs each call immediately, in the calling thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Runs the call and returns a completed future; an interrupt is raised instead."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as with any executor, the future holds it
            future.set_exception(error)
        return future


class PinnedExecutor(Executor):
    """Processes that can be chosen: a call goes to a free one, preferably to the one that holds what it needs.

    If one of the processes dies, `submit` raises BrokenExecutor or its futures do, as with the standard pool.

    Args:
        workers: How many processes, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.members = [_processes(1) for _ in range(workers)]
        self._max_workers = workers
        self._last: list[Future[Any] | None] = [None] * workers
        self._held: list[frozenset[str]] = [frozenset()] * workers

    @property
    def _processes(self) -> dict[int, Any]:
        """All processes that were started, as in the standard pool."""
        return {pid: process for one in self.members for pid, process in (one._processes or {}).items()}  # noqa: SLF001

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Submits a call to any free process."""
        return self.submit_near("", frozenset(), fn, *args, **kwargs)

    def submit_near(
        self, wanted: str, spared: frozenset[str], fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "Future[Any]":
        """Submits a call to a free process: one that holds `wanted`, or else one that holds the least of `spared`."""

        def rank(index: int) -> tuple[bool, bool, int, int]:
            last, held = self._last[index], self._held[index]
            return last is not None and not last.done(), wanted not in held, len(held & spared), len(held)

        chosen = min(range(len(self.members)), key=rank)
        future = self._last[chosen] = self.members[chosen].submit(fn, *args, **kwargs)
        return future

    def note(self, future: "Future[Any]", held: Iterable[str]) -> None:
        """Records what the process that answered a call holds since then."""
        if future in self._last:  # otherwise the process has begun another call
            self._held[self._last.index(future)] = frozenset(held)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the standard executors
        """Takes no more calls, and waits until all processes have ended if `wait`."""
        with ThreadPoolExecutor(len(self.members)) as threads:  # a second `shutdown` of a member would not wait
            ends = partial(ProcessPoolExecutor.shutdown, wait=wait, cancel_futures=cancel_futures)
            list(threads.map(ends, self.members))


class Pool:
    """An executor that is passed in, made by a function passed in, or made here.

    Args:
        executor: An executor, which the caller shuts down; a function that makes one, which this pool shuts down and
            makes again if the workers die; or None.
        workers: How many segments may run concurrently. Without an executor, this many processes are started; if None,
            segments run in the calling thread. With an executor, None uses its number of workers; if that is unknown,
            there is no limit.
        retries: How often in a row replacement workers may die while they start.
        pinned: Whether `submit` can choose among the processes started here.

    Attributes:
        local: Whether workers share the driver's memory.
        inline: Whether `submit` itself runs the segment.

    Raises:
        ConfigError: `workers` is below 1, or `executor` neither is an executor nor makes one.
    """

    def __init__(self, executor: Executors, workers: int | None, *, retries: int = 0, pinned: bool = False) -> None:
        self._retries, self._unborn, self._started = retries, 0, False
        if workers is not None:
            workers = whole("run: workers", workers, 1)
        self._make: Callable[[], Executor] | None = None
        self._own = workers if executor is None else None
        self._probes: list[Future[int]] = []
        if executor is not None and not isinstance(executor, Executor) and not callable(executor):
            raise ConfigError(f"run: expected an executor, or a function that makes one, got {executor!r}")
        if isinstance(executor, Executor):
            self._executor: Executor = executor
        else:
            made = PinnedExecutor if pinned else _processes
            self._make = executor or (InlineExecutor if workers is None else lambda: made(workers))
            self._executor = self._made()
        self._workers = workers
        self.inline = isinstance(self._executor, InlineExecutor)
        self.local = self.inline or isinstance(self._executor, ThreadPoolExecutor)
        context = getattr(self._executor, "_mp_context", None)
        if isinstance(self._executor, ProcessPoolExecutor) and context and context.get_start_method() == "fork":
            logger.warning(
                "forked workers hang where they inherit locks of this process's threads, such as torch's; make the "
                "pool with mp_context=multiprocessing.get_context('spawn')"
            )

    @property
    def capacity(self) -> int | None:
        """How many segments may run concurrently; may change, as when a cluster grows. None: no known limit."""
        if self.inline or self._workers is not None:
            return 1 if self.inline else self._workers
        known = getattr(self._executor, "_max_workers", None)
        return known if isinstance(known, int) else None

    @property
    def main_is_there(self) -> bool:
        """Whether workers can import the classes and functions of the main program by name."""
        if not isinstance(self._executor, ProcessPoolExecutor | PinnedExecutor):
            return False
        context = getattr(self._executor, "_mp_context", None)
        if context is not None and context.get_start_method() == "fork":
            return True
        prepared = spawn.get_preparation_data("gpbt")  # what child processes receive
        return "init_main_from_name" in prepared or "init_main_from_path" in prepared

    @property
    def replaceable(self) -> bool:
        """Whether `replace` can be called."""
        return self._make is not None and not self.local

    @property
    def _starting(self) -> int | None:
        """How many processes this pool starts, until all of them have been started."""
        started = getattr(self._executor, "_processes", None) or ()
        return None if self._own is None or len(started) >= self._own else self._own

    @property
    def stillborn(self) -> bool:
        """Whether the workers died while they started."""
        return any(probe.done() and probe.exception() is not None for probe in self._probes)

    def submit(
        self, function: Callable[..., Any], *arguments: Any, near: str = "", spared: frozenset[str] = frozenset()
    ) -> "Future[Any]":
        """Submits a call to the executor; a broken executor is replaced first, if possible.

        Args:
            function: What to call.
            arguments: Its arguments.
            near: If the processes can be chosen: a free one that holds this is preferred (see `note`).
            spared: Otherwise, one that holds the least of these.

        Raises:
            WorkersLostError: The executor is broken or shut down.
        """
        with _interrupts_held(wanted=self._make is not None and not self.inline), _cores_shared(self._starting):
            try:
                return self._submit(near, spared, function, *arguments)
            except (BrokenExecutor, RuntimeError) as error:
                self.replace(error)
                return self._submit(near, spared, function, *arguments)

    def check_keeping(self) -> None:
        """Checks that models may stay in the memory of the workers: they must be freed when the run ends.

        Raises:
            ConfigError: The workers belong to the caller and do not share this process's memory.
        """
        if not self.local and self._own is None:
            raise ConfigError(
                f"run: keep_models must be 0 with the executor {self._executor!r}, whose workers may outlive the run; "
                f"pass workers= instead, or an executor of threads"
            )

    def _submit(
        self, near: str, spared: frozenset[str], function: Callable[..., Any], *arguments: Any
    ) -> "Future[Any]":
        if isinstance(self._executor, PinnedExecutor):
            return self._executor.submit_near(near, spared, function, *arguments)
        return self._executor.submit(function, *arguments)

    def note(self, future: "Future[Any]", held: Iterable[str]) -> None:
        """Records what the worker that answered a call holds, for `submit`."""
        if isinstance(self._executor, PinnedExecutor):
            self._executor.note(future, held)

    def replace(self, error: BaseException) -> None:
        """Ends the workers, busy or not, and starts others.

        Args:
            error: What happened to the old workers.

        Raises:
            WorkersLostError: The executor belongs to the caller, or none of its workers ever started.
        """
        if not self.replaceable:
            raise WorkersLostError(
                f"run: the executor {self._executor!r} takes no more work: {error}; pass workers=, or a function that "
                f"makes an executor, to have it replaced; go on with the same optimizer and store"
            ) from error
        self._unborn = self._unborn + 1 if self.stillborn else 0
        self._started = self._started or not self.stillborn
        if self._unborn > (self._retries if self._started else 0):
            raise WorkersLostError(
                "run: the worker processes die as they start; what they wrote on stderr says why. Each imports the "
                "main program again, which must not raise there, nor call run outside of `if __name__ == '__main__':`"
            ) from error
        _end(self._executor)
        self._executor = self._made()

    def close(self, *, now: bool) -> None:
        """Shuts down the executor, unless it belongs to the caller.

        Args:
            now: Whether to end busy workers rather than wait for them.
        """
        if self._make is None:
            return
        if now and not self.local:
            _end(self._executor)
        else:
            self._executor.shutdown(wait=not now)

    def _made(self) -> Executor:
        assert self._make is not None
        made = self._make()
        if not isinstance(made, Executor):
            raise ConfigError(f"run: expected an executor, or a function that makes one, got one that makes {made!r}")
        members = made.members if isinstance(made, PinnedExecutor) else [made]
        self._probes = []
        for member in members:
            if isinstance(member, ProcessPoolExecutor):
                with _interrupts_held(wanted=True), _cores_shared(self._own), contextlib.suppress(BrokenExecutor):
                    self._probes.append(member.submit(os.getpid))
        return made


def _processes(workers: int) -> ProcessPoolExecutor:
    """Spawned processes: forked ones would inherit threads and devices in an undefined state."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent)


def end_with_parent() -> None:
    """Makes this worker exit when the process that started it does, even if busy; does nothing outside a worker.

    Otherwise, the workers of a killed driver would wait for orders forever and keep their memory. One that is still
    training would write a checkpoint while another run of the same study retrains that trial.
    """
    _watch_parent(os.getpid())


@cache
def _watch_parent(pid: int) -> None:  # noqa: ARG001 - once per process: a forked one inherits the cache
    parent = parent_process()
    if parent is None:
        return
    if parent.sentinel is not None:
        ended: Callable[[], object] = parent.join
    elif os.getppid() == parent.pid:  # workers of other libraries, such as loky, have no sentinel to wait on
        ended = partial(_lose_parent, parent.pid)
    else:
        return

    def wait() -> None:
        ended()
        os._exit(1)

    threading.Thread(target=wait, name="gpbt-parent", daemon=True).start()


def _lose_parent(pid: int) -> None:
    """Returns when the given process is no longer the parent."""
    while os.getppid() == pid:
        time.sleep(1)


@contextlib.contextmanager
def _cores_shared(workers: int | None) -> Iterator[None]:
    """Gives each process started here its share of the cores; by default, each would use all of them.

    Does nothing if the environment already sets the number of threads of numerical libraries, or for None.
    """
    if workers is None or any(name in os.environ for name in THREADS):
        yield
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.update(dict.fromkeys(THREADS, str(max(1, cores // workers))))
    try:
        yield
    finally:
        for name in THREADS:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _interrupts_held(*, wanted: bool) -> Iterator[None]:
    """Blocks Ctrl-C while processes are started; they inherit this and ignore it from the start.

    Ctrl-C reaches all processes of a terminal, but the driver decides when to stop. Its own signal arrives at the end.
    """
    if not wanted or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(executor: Executor) -> None:
    """Kills the worker processes of an executor, if it has any, and shuts it down."""
    if isinstance(executor, PinnedExecutor):
        for member in executor.members:
            _end(member)
        return
    shutdown: Callable[..., None] = executor.shutdown
    if "kill_workers" in inspect.signature(shutdown).parameters:  # loky
        shutdown(wait=False, kill_workers=True)
        return
    processes, manager = getattr(executor, "_processes", None), getattr(executor, "_executor_manager_thread", None)
    for process in list(processes.values()) if isinstance(processes, dict) else []:
        with contextlib.suppress(ProcessLookupError, ValueError):  # it has already exited
            process.kill()
    shutdown(wait=False)
    if manager is not None:  # must end with them: at interpreter exit it would write to closed files
        manager.join(timeout=5)
