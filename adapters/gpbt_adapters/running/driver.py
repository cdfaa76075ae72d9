"""Runs an optimizer on trainables to the end: in this process, or on any executor of `concurrent.futures`.

The driver makes no decisions about the search: the result does not depend on the number of workers, on which of them
die or on which finishes first. However a run ends (budget, Ctrl-C, error), `run` can resume it with the same optimizer
and store.
"""

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from gpbt_adapters.running.loop import Limits, Loop, configs_change
from gpbt_adapters.running.ownership import store_for
from gpbt_adapters.running.pools import Executors, Pool
from gpbt_adapters.running.progress import ProgressBar
from gpbt_adapters.running.replay import Replays, replays
from gpbt_adapters.running.watchers import Watcher, Watchers
from gpbt_adapters.storing.checkpoints import Store
from gpbt_adapters.trainables.random_states import fresh_seeds, setup_seed
from gpbt_adapters.trainables.trainable import Factory, Trainable, verify_applied
from gpbt_adapters.views import story
from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_float
from gpbt_core.optimizer import Best, Optimizer
from gpbt_core.records import Schedule

__all__ = ["Result", "run"]


@attrs.frozen(kw_only=True, eq=False)
class Result:
    """The result of a run, finished or not.

    Attributes:
        optimizer: The optimizer, which knows all trials.
        store: The remaining checkpoints: those of the best trial and those that further generations need.
        factory: The factory that made the trainables.
        interrupted: Whether Ctrl-C or SIGTERM ended the run; call `run` with the same optimizer and store to
            resume.
        seconds: The duration of the run.
        figures: What the trainables reported besides the score, by trial, for the trials of this call.
        tracebacks: The tracebacks of the failed trials of this call, by trial, as Python prints them.
        from_memory: How many trials of this call continued their parent in memory (see `keep_models` of `run`).
    """

    optimizer: Optimizer
    store: Store
    factory: Factory
    interrupted: bool
    seconds: float
    figures: Mapping[int, Mapping[str, float]] = attrs.field(repr=False)  # an entry for each trial
    tracebacks: Mapping[int, str] = attrs.field(factory=dict, repr=False)
    from_memory: int = 0

    @property
    def best(self) -> Best:
        """The best trial, its score and the schedule that led to it.

        Raises:
            ExtinctError: The run has ended, and no trial was ever completed.
            ProtocolError: The run was interrupted before a trial was completed.
        """
        return self.optimizer.best

    @property
    def schedule(self) -> Schedule:
        """The schedule that led to the best trial.

        Raises:
            ExtinctError: The run has ended, and no trial was ever completed.
            ProtocolError: The run was interrupted before a trial was completed.
        """
        return self.optimizer.best.schedule

    @property
    def founder_seed(self) -> int:
        """The set-up seed at the root of the best trial's lineage; with it, `replay` trains the same model again.

        Raises:
            ExtinctError: The run has ended, and no trial was ever completed.
            ProtocolError: The run was interrupted before a trial was completed.
        """
        founder = self.optimizer.lineage(self.optimizer.best.trial.id)[0].trial
        return setup_seed(self.optimizer.seed, founder.id)

    @property
    def story(self) -> tuple[str, ...]:
        """Why the best schedule is one config all the time, or ends before the last step: sentences; () if neither."""
        return story(self.optimizer)

    def replay(self, seeds: int | Sequence[int] = 5) -> Replays:
        """Trains new models from scratch under the best schedule: is the schedule good, or were its weights lucky?

        Args:
            seeds: The number of fresh seeds, which no model of the run used (the same ones each time); or the seeds
                themselves, each 0 .. 2**32 - 1.

        Returns:
            The scores of the new models, with their mean and spread; `print` shows them in one line, and `write_report`
            takes them.

        Raises:
            ConfigError: `seeds` is neither a whole number of at least 1 nor a sequence of at least one seed.
            ExtinctError: The run has ended, and no trial was ever completed.
            ProtocolError: The run was interrupted before a trial was completed.
            HyperparameterNotAppliedError: A live value was not what the schedule wants.
            Exception: Whatever the training raises.
        """
        if isinstance(seeds, int):
            if isinstance(seeds, bool) or seeds < 1:
                raise ConfigError(f"Result.replay: seeds must be a whole number of at least 1 or seeds, got {seeds!r}")
            used = {setup_seed(self.optimizer.seed, record.trial.id) for record in self.optimizer.records}
            seeds = fresh_seeds(self.optimizer.seed, seeds, used)
        return replays(self.factory, self.schedule, seeds)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gpbt_adapters.views.notebook import run_html

        return run_html(self.optimizer, note=f", {self.seconds:.3g} s{' (interrupted)' if self.interrupted else ''}")

    def restore(self) -> Trainable:
        """The best model: a fresh trainable with the best trial's checkpoint and config.

        Raises:
            ExtinctError: The run has ended, and no trial was ever completed.
            ProtocolError: The run was interrupted before a trial was completed.
            CheckpointError: Its checkpoint is missing or damaged.
        """
        trial = self.optimizer.best.trial
        trainable = self.factory()
        with self.store.reading(trial.id) as path:
            trainable.load(path)
        trainable.apply(trial.config)
        verify_applied(trainable, trial.config)
        return trainable


def run(
    optimizer: Optimizer,
    factory: Factory,
    *,
    executor: Executors = None,
    workers: int | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    callbacks: Iterable[Watcher] = (),
    progress: bool | Literal["rich"] = True,
    retries: int = 2,
    timeout: float | None = None,
    grace: float = 30.0,
    failures_in_a_row: int | None = 4,
    shutdown: float = 20.0,
    keep_models: int = 0,
) -> Result:
    """Trains what the optimizer asks for until it has finished, or until Ctrl-C or SIGTERM.

    After the first Ctrl-C, the trials in training finish and no new ones start. The second ends them, and a later `run`
    trains them again. SIGTERM, which SLURM, Kubernetes and spot instances send before they kill a process, counts as
    the first Ctrl-C, and after `shutdown` seconds as the second. In either case `run` returns a result. Signals are
    handled in the main thread only, and SIGTERM only if the program does not already handle it.

    Args:
        optimizer: Proposes the trials. Trials that it lists as running are asked again, except those of a study that
            another process is training.
        factory: Makes a fresh trainable for each segment. For other processes it is pickled once. If it has a method
            `check(space, changes=...)`, that is called before anything is trained; `changes` says whether a
            child's config may differ from its parent's.
        executor: Where to train: an executor, a function that makes one (so that it can be replaced if its workers
            die), or None.
        workers: How many segments to train in parallel. Without an executor, this many processes are started
            ("spawn"); None trains in this thread.
        store: Where to keep checkpoints, shared by all workers: a path, a URL ("s3://bucket/run", see `RemoteStore`) or
            a store. It belongs to this study or optimizer, which resumes from its checkpoints; any other is refused. By
            default, the store that the study already uses, or else a temporary directory, which is deleted with the
            result or after an error.
        callbacks: Called with each event: callables (event, optimizer), or objects with such a method `gpbt_event`.
        progress: Whether to show progress: a bar in a terminal (on stderr) or a notebook, otherwise an occasional line,
            the first after half a minute ("rich": after a second). Each generation is also logged at level INFO.
        retries: How often a trial is retrained after its worker died, before it counts as failed. Also how often in a
            row new workers may die while they start.
        timeout: Seconds that a segment may take; checked after each step. A trial that exceeds it counts as failed.
        grace: Seconds after `timeout` until a worker that does not answer is abandoned, and killed if the workers can
            be replaced. Must cover the start of the workers. Applies only if the number of workers is known.
        failures_in_a_row: How many trials in a row may fail for the same reason, before their first step is done,
            while they are saved or because their workers die, until the run ends with that reason. Once a trial has got
            further, the limit is three times as high. The failed trials are requeued, so that the run can resume once
            the mistake is fixed. None: no limit.
        shutdown: Seconds that the trials in training have to finish after SIGTERM.
        keep_models: How many models each worker may have in memory, including the one in training, at least 0. From 1
            on, a child goes, where there is a choice, to a free worker that still has its parent in memory, and
            continues it without reading a checkpoint. Checkpoints are written all the same. The result is the same if
            the trainable keeps its promises (`gpbt.testing.check_trainable`): what `save` omits would be inherited
            only by some children. Needs `workers`, threads or this process; other executors cannot be told to free the
            models.

    Returns:
        The result, even if the run was interrupted or no trial was ever completed.

    Raises:
        ConfigError: An argument is out of its range; `check` rejected the space; the store belongs to another study;
            the factory or a score is wrong; or trial after trial failed before its first step.
        HyperparameterNotAppliedError: A live value was not what the config wants.
        CheckpointError: A checkpoint could not be written, or is damaged.
        WorkersLostError: The workers died and cannot be replaced.
        SearcherError: The searcher raised, or proposed a config that is not in the space.
        GpbtError: Any other such error raised by the trainable.
            After any of these, the trials in training are requeued: `run` resumes with the same optimizer and store.
    """
    ranges = (
        ("retries", retries, 0),
        ("timeout", timeout, 0),
        ("grace", grace, 0),
        ("failures_in_a_row", failures_in_a_row, 1),
        ("shutdown", shutdown, 0),
        ("keep_models", keep_models, 0),
    )
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"run: expected an Optimizer or a study, got {optimizer!r}")
    if not callable(factory):
        raise ConfigError(
            f"run: the factory must be a class or function that makes a new trainable at each call, got {factory!r}"
        )
    for name, value, least in ranges:
        if value is None and name in {"timeout", "failures_in_a_row"}:
            continue
        found = as_float(value)
        if found is None or not (math.isfinite(found) and found >= least):
            raise ConfigError(f"run: {name} must be a number of at least {least}, got {value!r}")
    check = getattr(factory, "check", None)
    if callable(check):
        check(optimizer.space, changes=configs_change(optimizer))
    start = time.monotonic()
    limits = Limits(
        retries=retries,
        timeout=timeout,
        grace=grace,
        failures_in_a_row=failures_in_a_row,
        shutdown=shutdown,
        keep_models=keep_models,
    )
    with ProgressBar(progress, optimizer) as display:
        watchers = Watchers(callbacks, display)
        pool = Pool(executor, workers, retries=retries, pinned=bool(keep_models))
        try:
            if keep_models:
                pool.check_keeping()
            kept = store_for(optimizer, store)
        except BaseException:
            pool.close(now=True)
            raise
        loop = Loop(optimizer, factory, kept, pool, watchers, display, limits)
        loop.go()
    return Result(
        optimizer=optimizer,
        store=kept,
        factory=factory,
        interrupted=loop.ending,
        seconds=time.monotonic() - start,
        figures=loop.figures,
        tracebacks=loop.tracebacks,
        from_memory=loop.from_memory,
    )
