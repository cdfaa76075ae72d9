"""The executor of a Ray cluster: each call is a Ray task with the resources that it requests.

Ray does not retry here, because the driver alone counts the deaths of workers. Losing a worker loses one call; the
cluster stays usable. The executor is broken only if Ray cannot run any call.
"""

import contextlib
import importlib
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, InvalidStateError
from concurrent.futures import wait as wait_for
from typing import Any

import attrs

from gpbt_core.errors import ConfigError

__all__ = ["BrokenClusterError", "RayExecutor"]

ray: Any = importlib.import_module("ray")  # its decorators are typed for statically known functions

FRESH = 2.0
"""Seconds for which the capacity of the cluster is cached."""


TRIES, PAUSE = 60, 0.5
"""How often to cancel a task that does not end, and the seconds between attempts."""


class BrokenClusterError(BrokenExecutor):
    """The cluster runs no call at all: it is gone, or its workers cannot be set up or lack the code."""


class RayExecutor(Executor):
    """Runs each call as a task on the Ray cluster that this process is connected to.

    A worker that dies loses only its own call: the future fails with Ray's error (`WorkerCrashedError`,
    `NodeDiedError`, `OutOfMemoryError`, ...), and `run` retrains the trial. Cancelling a future ends its call even if
    it is running. The capacity of the cluster is updated as nodes join and leave.

    Ray does not survive the loss of its head node: the driver dies with it. Keep the run in a study (`open_study`) and
    its checkpoints in a directory that outlives the head, and resume on another cluster.

    Args:
        num_cpus: Cores that each call gets, at least 0; may be a fraction.
        num_gpus: GPUs that each call gets, at least 0; a whole number, or a fraction below 1 to share one. Ray sets
            CUDA_VISIBLE_DEVICES and runs each such call in its own process, so that its memory is freed.
        resources: Amounts of the cluster's own resources that each call gets.
        workers: How many calls may run or wait concurrently. By default, as many as fit on the current nodes. On an
            autoscaling cluster, set the number that it may grow to: Ray adds nodes for waiting calls.
        options: Other options of `ray.remote` for a task: memory, runtime_env, scheduling_strategy, accelerator_type,
            label_selector, ...

    Raises:
        ConfigError: Ray is not initialized here; an amount is out of its range; Ray rejects an option; or no node has
            the resources of a call, and `workers` is not set, so no such node is expected.

    Examples:
        >>> import ray  # doctest: +SKIP
        >>> ray.init()  # doctest: +SKIP
        >>> with RayExecutor(num_gpus=0.5) as executor:  # doctest: +SKIP
        ...     result = run(optimizer, factory, executor=executor, store="/shared/checkpoints")
    """

    def __init__(
        self,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        workers: int | None = None,
        **options: Any,
    ) -> None:
        if not ray.is_initialized():
            raise ConfigError('RayExecutor: Ray is not initialized; call ray.init(), or ray.init("auto"), first')
        amounts = {"num_cpus": num_cpus, "num_gpus": num_gpus, **(resources or {})}
        for name, amount in amounts.items():
            if not (math.isfinite(amount) and amount >= 0):
                raise ConfigError(f"RayExecutor: {name} must be at least 0, got {amount!r}")
        if workers is not None and workers < 1:
            raise ConfigError(f"RayExecutor: workers must be at least 1, got {workers!r}")
        for name in ("max_retries", "retry_exceptions", "num_returns"):
            if name in options:
                raise ConfigError(f"RayExecutor: {name} is not an option here; retries are counted by `run`")
        self._workers = workers
        self._needs = _Needs(
            cpus=num_cpus,
            gpus=num_gpus,
            others={
                **(resources or {}),
                **({"memory": float(options["memory"])} if options.get("memory") else {}),
                **({f"accelerator_type:{options['accelerator_type']}": 0.001} if "accelerator_type" in options else {}),
            },
        )
        try:
            self._task = ray.remote(_call).options(
                num_cpus=num_cpus, num_gpus=num_gpus, resources=dict(resources or {}), max_retries=0, **options
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(f"RayExecutor: Ray refuses the options: {error}") from error
        self._places: tuple[float, int | None] = (-math.inf, None)
        self._open: set[_RayFuture] = set()
        self._lock = threading.Lock()
        self._closed = False
        if workers is None and self._count() == 0:
            raise ConfigError(
                f"RayExecutor: no node of the cluster has {self._needs}; it has {ray.cluster_resources()}; ask for "
                f"less, or say with workers= how many such calls it may grow to"
            )

    @property
    def _max_workers(self) -> int | None:
        """How many calls fit; None: any number, as they ask for nothing. The name is that of the standard executors."""
        if self._workers is not None:
            return self._workers
        counted, places = self._places
        if time.monotonic() - counted > FRESH:
            with contextlib.suppress(ray.exceptions.RayError):  # keep the last count
                places = self._count()
            self._places = (time.monotonic(), places)
        return places if places is None else max(1, places)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Hands a call to Ray, which starts it once its resources are free.

        Raises:
            RuntimeError: The executor is shut down.
            BrokenClusterError: Ray is shut down.
        """
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if not ray.is_initialized():
            raise BrokenClusterError("Ray is shut down")
        future = _RayFuture()
        try:
            future.follow(self._task.remote(fn, args, kwargs))
        except ray.exceptions.RayError as error:
            raise BrokenClusterError(str(error)) from error
        with self._lock:
            self._open.add(future)
        future.add_done_callback(self._forget)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, kill_workers: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the standard executors
        """Takes no more calls; their resources are free as they end. The cluster is left as it is.

        Args:
            wait: Whether to wait for running calls.
            cancel_futures: Whether to end all calls now, even running ones: Ray does not report which have started.
            kill_workers: Same as `cancel_futures`.
        """
        self._closed = True
        with self._lock:
            left = list(self._open)
        if cancel_futures or kill_workers:
            for future in left:
                future.cancel()
        if wait:
            wait_for(left)

    def __repr__(self) -> str:
        return f"RayExecutor({self._needs}, workers={self._workers})"

    def _forget(self, future: "Future[Any]") -> None:
        with self._lock:
            self._open.discard(future)

    def _count(self) -> int | None:
        return self._needs.places([node["Resources"] for node in ray.nodes() if node["Alive"]])


@attrs.frozen(kw_only=True)
class _Needs:
    """What one call takes of a node."""

    cpus: float
    gpus: float
    others: Mapping[str, float]

    def __str__(self) -> str:
        return ", ".join(f"{amount:g} {name}" for name, amount in self._named().items()) or "nothing"

    def _named(self) -> dict[str, float]:
        return {name: each for name, each in {"CPU": self.cpus, "GPU": self.gpus, **self.others}.items() if each}

    def places(self, nodes: list[Mapping[str, float]]) -> int | None:
        """How many calls fit on these nodes concurrently; None: no limit."""
        needs = self._named()
        if not needs:
            return None
        return sum(min(self._fitting(name, each, node.get(name, 0)) for name, each in needs.items()) for node in nodes)

    @staticmethod
    def _fitting(name: str, each: float, there: float) -> int:
        if name == "GPU" and each < 1:  # a fraction of one device, never spread over two
            return int(there) * int(1 / each + 1e-9)
        return int(there / each + 1e-9)


class _RayFuture(Future[Any]):
    """The result of a task; cancelling ends it even while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self._task: tuple[Any, Future[Any]] | None = None

    def follow(self, ref: Any) -> None:
        """Takes its result from a reference, as soon as it is there."""
        there = ref.future()
        self._task = (ref, there)
        there.add_done_callback(self._settle)

    def cancel(self) -> bool:
        """Ends the task and its worker; False where it has ended already."""
        task = self._task
        if not super().cancel():
            return False
        if task is not None:
            self._task = None
            self.set_running_or_notify_cancel()
            threading.Thread(target=_end, args=task, name="gpbt-ray-cancel", daemon=True).start()
        return True

    def _settle(self, there: "Future[Any]") -> None:
        self._task = None
        error = there.exception()
        with contextlib.suppress(InvalidStateError):  # it has been cancelled meanwhile
            if error is not None:
                self.set_exception(_told(error))
            else:
                answer: _Answer = there.result()
                if answer.error is not None:
                    self.set_exception(answer.error)
                else:
                    self.set_result(answer.value)


@attrs.frozen
class _Answer:
    """What a call came to; its own exceptions are answers, so that they are told from Ray's."""

    value: Any = None
    error: Exception | None = None


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> _Answer:
    """The task: a call in a worker of Ray's, which is left as it was found."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    try:
        return _Answer(function(*arguments, **keywords))
    except Exception as error:  # noqa: BLE001 - as with any executor, the future holds it
        return _Answer(error=error)
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def _end(ref: Any, there: "Future[Any]") -> None:
    """Cancels a task until that has come through: Ray loses a cancellation that meets the start of its task."""
    for _ in range(TRIES):
        if there.done() or not ray.is_initialized():
            return
        with contextlib.suppress(ray.exceptions.RayError):  # the cluster may shut down meanwhile
            ray.cancel(ref, force=True)
        wait_for([there], timeout=PAUSE)


def _told(error: BaseException) -> BaseException:
    """Ray's error as the driver understands it: that of one lost call, or of a cluster that takes none."""
    exceptions = ray.exceptions
    if isinstance(error, exceptions.RayTaskError):  # not of the call: that would be an answer
        return BrokenClusterError(
            f"a worker could not begin: {error.cause!r}; do the workers have the same packages and the same code? (see "
            f"runtime_env)"
        )
    if isinstance(
        error,
        exceptions.LocalRayletDiedError
        | exceptions.RuntimeEnvSetupError
        | exceptions.TaskUnschedulableError
        | exceptions.TaskPlacementGroupRemoved,
    ):
        return BrokenClusterError(f"{type(error).__name__}: {error}")
    return error
