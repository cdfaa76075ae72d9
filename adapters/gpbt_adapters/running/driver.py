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

from gpbt_adapters.running.loop import Limits, Loop
from gpbt_adapters.running.pools import Executors, Pool
from gpbt_adapters.running.progress import ProgressBar
from gpbt_adapters.running.replay import Replays, replays
from gpbt_adapters.running.watchers import Watcher, Watchers
from gpbt_adapters.storing.checkpoints import Store, open_store
from gpbt_adapters.trainables.random_states import fresh_seeds, setup_seed
from gpbt_adapters.trainables.trainable import Factory, Trainable, verify_applied
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Best, Optimizer
from gpbt_core.records import Schedule

__all__ = ["Result", "run"]


@attrs.frozen(kw_only=True, eq=False)
class Result:
    """What a run came to, finished or not.

    Attributes:
        optimizer: The optimizer, which knows all trials.
        store: The checkpoints that are left: the best one's and those that further generations need.
        factory: What made the trainables.
        interrupted: Whether the run was ended by Ctrl-C; call `run` with the same optimizer and store to go on.
        seconds: How long it took.
        figures: What the trainables said of themselves besides the score, by trial; of the trials told in this call.
    """

    optimizer: Optimizer
    store: Store
    factory: Factory
    interrupted: bool
    seconds: float
    figures: Mapping[int, Mapping[str, float]] = attrs.field(repr=False)  # an entry for each trial

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
) -> Result:
    """Trains what the optimizer asks for until it has finished, or Ctrl-C.

    The first Ctrl-C lets what is in training end and asks for no more; the second ends it, to be trained again by a
    later `run`. Either way a result comes back. (In the main thread only; elsewhere an interrupt is the caller's.)

    Args:
        optimizer: Says what to train. Trials that it holds as running are asked again, but for those of a study that
            another process is training.
        factory: Makes a fresh trainable for each segment. For other processes it is pickled, once, by value where it
            is defined in the main program or inside a function. Where it has a method `check(space)`, that is called
            before anything is trained.
        executor: Where to train: an executor, a function that makes one (so that it can be replaced when its workers
            die), or None.
        workers: How many segments to train at once. Without an executor: in so many processes, started afresh
            ("spawn"); None: in this thread.
        store: Where to keep checkpoints, shared by all workers: a store, or a path or a URL ("s3://bucket/run", see
            `RemoteStore`), which must be new or empty. None: a temporary directory, which lives as long as the result,
            and is lost with an error.
        callbacks: Called with each event: callables (event, optimizer), or objects with such a method `gpbt_event`.
        progress: Whether to show a progress bar on stderr where that is a terminal; "rich": also where it is none.
        retries: How often a trial is trained again whose worker died; after that it counts as failed.
        timeout: Seconds that a segment may take; checked after each step, after which the trial counts as failed.
        grace: Seconds beyond `timeout` after which a worker that does not answer is given up, and ended where the
            workers can be replaced. Has to cover the start of the workers. Only where it is known how many there are.

    Returns:
        The result; also when interrupted, and when no trial was ever completed.

    Raises:
        ConfigError: An argument is out of its range, or `check` refused the space.
        HyperparameterNotAppliedError: A live value was not what the config wants.
        CheckpointError: A checkpoint could not be written, or is damaged.
        WorkersLostError: The workers died and cannot be replaced.
        SearcherError: The searcher raised, or proposed a config that is not in the space.
        GpbtError: Whatever else of the kind the trainable raised.
            After any of these the trials in training are given back: `run` goes on with the same optimizer and store.
    """
    for name, value, least in (("retries", retries, 0), ("timeout", timeout, 0), ("grace", grace, 0)):
        if value is not None and not (math.isfinite(value) and value >= least):
            raise ConfigError(f"run: wanted {name} of at least {least}, got {value!r}")
    check = getattr(factory, "check", None)
    if callable(check):
        check(optimizer.space)
    start = time.monotonic()
    limits = Limits(retries=retries, timeout=timeout, grace=grace)
    with ProgressBar(progress, optimizer) as display:
        watchers = Watchers([*callbacks, display])
        pool = Pool(executor, workers)
        try:
            kept = store if isinstance(store, Store) else open_store(store)
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
    )
