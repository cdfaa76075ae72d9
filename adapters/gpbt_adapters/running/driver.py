"""Runs an optimizer on trainables to the end: in this process, or on any executor of `concurrent.futures`.

The driver decides nothing about the search: which workers there are, which die and who finishes first cannot be seen in
the result. Whatever ends a run (the budget, Ctrl-C, an error) leaves an optimizer and a store with which `run` goes on.
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
from gpbt_core.optimizer import Best, Optimizer
from gpbt_core.records import Schedule

__all__ = ["Result", "run"]


@attrs.frozen(kw_only=True, eq=False)
class Result:
    """The result of a run, finished or not.

    Attributes:
        optimizer: The optimizer, which knows all trials.
        store: The checkpoints that are left: the best one's and those that further generations need.
        factory: What made the trainables.
        interrupted: Whether Ctrl-C or SIGTERM ended the run; call `run` with the same optimizer and store to go on.
        seconds: How long it took.
        figures: What the trainables reported besides the score, by trial, for the trials of this call.
        tracebacks: Where the trials of this call failed, by trial, as Python prints a traceback.
    """

    optimizer: Optimizer
    store: Store
    factory: Factory
    interrupted: bool
    seconds: float
    figures: Mapping[int, Mapping[str, float]] = attrs.field(repr=False)  # an entry for each trial
    tracebacks: Mapping[int, str] = attrs.field(factory=dict, repr=False)

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
            seeds: How many fresh seeds, which no model of the run has had (the same ones each time); or the seeds
                themselves, each 0 .. 2**32 - 1.

        Returns:
            The scores of the new models, with their mean and spread; `print` shows them in a line, and `write_report`
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
            CheckpointError: Its checkpoint is gone, or damaged.
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
) -> Result:
    """Trains what the optimizer asks for until it has finished, or until Ctrl-C or SIGTERM.

    The first Ctrl-C lets what is in training end and asks for no more; the second ends it, to be trained again by a
    later `run`. SIGTERM, which SLURM, Kubernetes and spot instances send before they kill, is the first, and after
    `shutdown` seconds the second. Either way a result comes back. (In the main thread only; elsewhere signals are the
    caller's, and so is SIGTERM if the program handles it already.)

    Args:
        optimizer: Says what to train. Trials that it holds as running are asked again, but for those of a study that
            another process is training.
        factory: Makes a fresh trainable for each segment. For other processes it is pickled once. If it has a method
            `check(space, changes=...)`, that is called before anything is trained; `changes` says whether a child may
            get another config than its parent.
        executor: Where to train: an executor, a function that makes one (so that it can be replaced when its workers
            die), or None.
        workers: How many segments to train at once. Without an executor: in so many processes, started afresh
            ("spawn"); None: in this thread.
        store: Where to keep checkpoints, shared by all workers: a path, a URL ("s3://bucket/run", see `RemoteStore`) or
            a store. It is tied to this study or optimizer, which goes on with its checkpoints; another one is refused.
            None: where the study keeps them already, else a temporary directory, which lives as long as the result and
            is lost with an error.
        callbacks: Called with each event: callables (event, optimizer), or objects with such a method `gpbt_event`.
        progress: Whether to show on stderr how far the run is: a bar in a terminal, elsewhere a line now and then, the
            first after half a minute ("rich": after two seconds). Each generation is a log record at INFO besides.
        retries: How often a trial is trained again whose worker died; after that it counts as failed. Also how often in
            a row new workers may die as they start.
        timeout: Seconds that a segment may take; checked after each step, after which the trial counts as failed.
        grace: Seconds beyond `timeout` after which a worker that does not answer is given up, and ended where the
            workers can be replaced. Has to cover the start of the workers. Only where it is known how many there are.
        failures_in_a_row: How many trials may fail, all for the same reason, before their first step is done or while
            they are saved, until the run ends with that reason: so many if they are the first ones, three times as many
            once a trial has got further. They are given back, so that the run can go on once the mistake is mended.
            None: any number.
        shutdown: Seconds after SIGTERM that what is in training has to end.

    Returns:
        The result; also when interrupted, and when no trial was ever completed.

    Raises:
        ConfigError: An argument is out of its range; `check` refused the space; the store is another's; the factory or
            a score is wrong; or trial after trial failed before its first step.
        HyperparameterNotAppliedError: A live value was not what the config wants.
        CheckpointError: A checkpoint could not be written, or is damaged.
        WorkersLostError: The workers died and cannot be replaced.
        SearcherError: The searcher raised, or proposed a config that is not in the space.
        GpbtError: Whatever else of the kind the trainable raised.
            After any of these the trials in training are given back: `run` goes on with the same optimizer and store.
    """
    ranges = (
        ("retries", retries, 0),
        ("timeout", timeout, 0),
        ("grace", grace, 0),
        ("failures_in_a_row", failures_in_a_row, 1),
        ("shutdown", shutdown, 0),
    )
    for name, value, least in ranges:
        if value is not None and not (math.isfinite(value) and value >= least):
            raise ConfigError(f"run: {name} must be at least {least}, got {value!r}")
    check = getattr(factory, "check", None)
    if callable(check):
        check(optimizer.space, changes=configs_change(optimizer))
    start = time.monotonic()
    limits = Limits(
        retries=retries, timeout=timeout, grace=grace, failures_in_a_row=failures_in_a_row, shutdown=shutdown
    )
    with ProgressBar(progress, optimizer) as display:
        watchers = Watchers([*callbacks, display])
        pool = Pool(executor, workers, retries=retries)
        try:
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
    )
