"""Where the time of a run went, and what more workers would have given; from the times that the driver notes."""

import heapq
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import attrs
import numpy as np

from gpbt_adapters.views.columns import Floats, Run, ints, once, state_of
from gpbt_adapters.views.notes import Timing, timing_of
from gpbt_adapters.views.words import counted, duration
from gpbt_core.state import State

__all__ = ["Estimate", "Span", "Times", "estimates", "time_spent", "times"]

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""The numbers of workers for which an estimate is made."""


@attrs.frozen(kw_only=True)
class Span:
    """A trial in the time of a worker.

    Attributes:
        trial: The trial's id.
        generation: Its generation.
        worker: The number of its worker, from 0; after a pause in the run, workers are counted anew.
        begin: When the worker began, in seconds from the start of the run; pauses between two calls of `run` are left
            out.
        timing: How long each part took.
    """

    trial: int
    generation: int
    worker: int
    begin: float
    timing: Timing


@attrs.frozen(kw_only=True, eq=False)
class Times:
    """Where the time went. Arrays have shape (generations,) and hold seconds of workers; their sum is all there were.

    Attributes:
        spans: The trials that have times, in the order in which they began.
        missing: The number of trials that have a score but no times, as with ask and tell.
        workers: The most workers that took part between two pauses.
        wall: Seconds from start to end, without pauses.
        loading: To make models and to set them up or load them.
        training: To train and score them.
        saving: To write checkpoints.
        searching: While the driver asked for the worker's next trial: the searcher, and in a study the database.
        starting: Otherwise from the start of a call of `run` to a worker's first trial.
        waiting: Otherwise without a trial, until the last worker is done.
        step: The mean seconds that a step took; NaN if none was trained.
    """

    spans: tuple[Span, ...]
    missing: int
    workers: int
    wall: float
    loading: Floats
    training: Floats
    saving: Floats
    searching: Floats
    starting: Floats
    waiting: Floats
    step: float

    @property
    def all(self) -> float:
        """The seconds of all workers together."""
        return float(sum(seconds.sum() for _, seconds in self.parts))

    @property
    def parts(self) -> tuple[tuple[str, Floats], ...]:
        """The parts of that time, with their names."""
        return (
            ("training", self.training),
            ("setting up and loading", self.loading),
            ("saving", self.saving),
            ("searching", self.searching),
            ("starting", self.starting),
            ("waiting", self.waiting),
        )


@attrs.frozen(kw_only=True)
class Estimate:
    """How long the run would have taken with a number of workers.

    Attributes:
        workers: The number of workers.
        seconds: The time from start to end.
        busy: The share of the workers' time in which they would have been busy.
    """

    workers: int
    seconds: float
    busy: float


@once
def times(run: Run) -> Times:
    """Returns where the time of a run went; empty if nobody noted times."""
    state, found = state_of(run), _timings(run)
    known = [(timing, record.trial) for timing, record in zip(found, state.records, strict=True) if timing is not None]
    known.sort(key=lambda pair: (pair[0].begin, pair[1].id))
    ends: dict[float, float] = {}
    for timing, _ in known:
        ends[timing.run] = max(ends.get(timing.run, timing.run), timing.end)
    starts = _starts(ends)
    lanes: dict[float, dict[tuple[float, str], int]] = {}
    spans = []
    for timing, trial in known:
        offset = starts[timing.run]
        lane = lanes.setdefault(offset, {})
        worker = lane.setdefault((timing.run, timing.worker), len(lane))
        begin = timing.begin + offset
        spans.append(Span(trial=trial.id, generation=trial.generation, worker=worker, begin=begin, timing=timing))
    count = len(state.closed) + (state.open.asked > 0)
    generations = ints(span.generation for span in spans)
    loading, training, saving, searching = (
        np.bincount(generations, [getattr(timing, part) for timing, _ in known], count)
        for part in ("loading", "training", "saving", "searching")
    )
    starting, waiting = _gaps(spans, ends, count)
    while_waiting = np.minimum(waiting, searching)
    while_starting = np.minimum(starting, searching - while_waiting)
    steps = sum(state.records[span.trial].steps for span in spans)
    return Times(
        spans=tuple(spans),
        missing=sum(
            timing is None and record.loss is not None for timing, record in zip(found, state.records, strict=True)
        ),
        workers=max(map(len, lanes.values()), default=0),
        wall=max((end + starts[run] for run, end in ends.items()), default=0.0),
        loading=loading,
        training=training,
        saving=saving,
        searching=while_waiting + while_starting,
        starting=starting - while_starting,
        waiting=waiting - while_waiting,
        step=float(training.sum()) / steps if steps else math.nan,
    )


@once
def _timings(run: Run) -> tuple[Timing | None, ...]:
    """The times of each trial."""
    return tuple(map(timing_of, state_of(run).records))


def estimates(run: Run) -> tuple[Estimate, ...]:
    """Estimates how long a run would have taken with other numbers of workers; empty if nobody noted times.

    Each trial takes as long as it did. Trials start in the order of their ids, as soon as a worker is free and the
    results are there that they depend on: those of the generation before, and within a generation those of the slot
    `max_concurrent` places earlier. More workers than `max_concurrent` give nothing more, so that is the last estimate.
    """
    state = state_of(run)
    most = state.settings.max_concurrent
    timings = _timings(run)
    if timings.count(None) == len(timings):
        return ()
    used = times(run).workers
    return tuple(
        _estimate(state, timings, workers)
        for workers in sorted({most, *(count for count in (used, *WORKERS) if count <= most)})
    )


def time_spent(run: Run) -> tuple[str, ...]:
    """Says where the time of a run went: sentences; the first one says so if nobody noted times."""
    state, view = state_of(run), times(run)
    if not view.spans:
        return ("No times were noted: `run` notes them, ask and tell alone do not.",)
    known = ((name, float(seconds.sum()) / view.all) for name, seconds in view.parts)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in known if share >= 0.005)
    told = [f"{counted(view.workers, 'worker')} took {duration(view.wall)}: {shares} of their time."]
    if state.tally.saved and not math.isnan(view.step):
        saved, refilled = (duration(steps * view.step) for steps in (state.tally.saved, state.tally.refilled))
        said = f"Stopping early saved {counted(state.tally.saved, 'step')}, about {saved} of training"
        told.append(f"{said}; {refilled} went into other trials instead." if state.tally.refilled else f"{said}.")
    if view.missing:
        told.append(f"{counted(view.missing, 'trial')} without times {'is' if view.missing == 1 else 'are'} left out.")
    return tuple(told)


def _estimate(state: State, timings: Sequence[Timing | None], workers: int) -> Estimate:
    """The run on this number of workers, one trial after the other on the worker that is free first."""
    free = [0.0] * workers
    asked = opened = work = 0.0  # when the driver is free, and when the open generation was planned
    for _, group in itertools.groupby(state.records, key=lambda record: record.trial.generation):
        ends: list[float] = []
        latest: list[float] = []  # of all slots up to this one
        for record in group:
            timing = timings[record.trial.id]
            k = len(ends) - state.settings.max_concurrent
            ready = max(opened, latest[k] if k >= 0 else 0.0)
            end = ready
            if timing is not None:
                begin = max(ready, asked, heapq.heappop(free)) + timing.searching
                asked, end = begin, begin + timing.busy
                work += timing.busy
                heapq.heappush(free, end)
            ends.append(end)
            latest.append(max(end, latest[-1] if latest else 0.0))
        enough = math.ceil(state.settings.quorum * len(ends))
        opened = max(opened, sorted(ends)[enough - 1])
    seconds = max(free)
    return Estimate(workers=workers, seconds=seconds, busy=work / (workers * seconds) if seconds else math.nan)


def _starts(ends: Mapping[float, float]) -> dict[float, float]:
    """For each call of `run`, by when it began, what to add to a clock's time: calls with a pause between them adjoin.

    Args:
        ends: For each call, by when it began, when its last trial ended.
    """
    found: dict[float, float] = {}
    offset, until = 0.0, -math.inf
    for begin, end in sorted(ends.items()):
        if begin > until:  # a pause, or the first
            offset = (until + offset if found else 0.0) - begin
        found[begin] = offset
        until = max(until, end)
    return found


def _gaps(spans: Iterable[Span], ends: Mapping[float, float], count: int) -> tuple[Floats, Floats]:
    """The seconds without a trial by generation, shape (count,): before the first trial of a worker, and otherwise."""
    starting, waiting = np.zeros(count), np.zeros(count)
    by_worker: dict[tuple[float, str], list[Span]] = {}
    for span in spans:
        by_worker.setdefault((span.timing.run, span.timing.worker), []).append(span)
    for (run, _), own in by_worker.items():
        free = np.maximum.accumulate([run, *(span.timing.end for span in own)])
        gaps = np.maximum(0.0, np.array([*(span.timing.begin for span in own), ends[run]]) - free)  # clocks may differ
        generations = ints(span.generation for span in own)
        starting[generations[0]] += gaps[0]
        waiting += np.bincount(generations[1:], gaps[1:-1], count)
        waiting[generations[-1]] += gaps[-1]
    return starting, waiting
