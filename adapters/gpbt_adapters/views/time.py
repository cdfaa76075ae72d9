"""Where the time of a run went, and what more workers would have given; from the times that the driver notes."""

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

import attrs
import numpy as np

from gpbt_adapters.views.columns import Floats, Run, state_of
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
        worker: The number of its worker, from 0; after a pause in the run, workers are counted anew. A worker that
            takes the place of one that died has the number of that one.
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


def times(run: Run) -> Times:
    """Returns where the time of a run went; empty if nobody noted times."""
    state = state_of(run)
    known = [(record.trial, timing) for record in state.records if (timing := timing_of(record)) is not None]
    known.sort(key=lambda pair: (pair[1].begin, pair[0].id))
    ends: dict[float, float] = {}
    for _, timing in known:
        ends[timing.run] = max(ends.get(timing.run, timing.run), timing.end)
    starts = _starts(ends)
    places = _places(timing for _, timing in known)
    lanes: dict[float, dict[tuple[float, int], int]] = {}
    spans = []
    for trial, timing in known:
        offset = starts[timing.run]
        lane = lanes.setdefault(offset, {})
        worker = lane.setdefault(places[timing.run, timing.worker], len(lane))
        begin = timing.begin + offset
        spans.append(Span(trial=trial.id, generation=trial.generation, worker=worker, begin=begin, timing=timing))
    gaps = list(_gaps(spans, places, ends))
    starting = _by_generation(state, ((gap.generation, gap.seconds) for gap in gaps if gap.first))
    waiting = _by_generation(state, ((gap.generation, gap.seconds) for gap in gaps if not gap.first))
    searching = _by_generation(state, ((s.generation, s.timing.searching) for s in spans))
    while_waiting = np.minimum(waiting, searching)
    while_starting = np.minimum(starting, searching - while_waiting)
    training = _by_generation(state, ((s.generation, s.timing.training) for s in spans))
    steps = sum(state.records[span.trial].steps for span in spans)
    return Times(
        spans=tuple(spans),
        missing=sum(record.loss is not None and timing_of(record) is None for record in state.records),
        workers=max(map(len, lanes.values()), default=0),
        wall=max((end + starts[run] for run, end in ends.items()), default=0.0),
        loading=_by_generation(state, ((s.generation, s.timing.loading) for s in spans)),
        training=training,
        saving=_by_generation(state, ((s.generation, s.timing.saving) for s in spans)),
        searching=while_waiting + while_starting,
        starting=starting - while_starting,
        waiting=waiting - while_waiting,
        step=float(training.sum()) / steps if steps else math.nan,
    )


def estimates(run: Run) -> tuple[Estimate, ...]:
    """Estimates how long a run would have taken with other numbers of workers; empty if nobody noted times.

    Each trial takes as long as it did. Trials start in the order of their ids, as soon as a worker is free and the
    results are there that they depend on: those of the generation before, and within a generation those of the slot
    `max_concurrent` places earlier. More workers than `max_concurrent` give nothing more, so that is the last estimate.
    """
    state = state_of(run)
    most = state.settings.max_concurrent
    timings = {record.trial.id: timing for record in state.records if (timing := timing_of(record)) is not None}
    if not timings:
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


def _estimate(state: State, timings: Mapping[int, Timing], workers: int) -> Estimate:
    """The run on this number of workers, one trial after the other on the worker that is free first."""
    free = [0.0] * workers
    asked = opened = work = 0.0  # when the driver is free, and when the open generation was planned
    for _, group in itertools.groupby(state.records, key=lambda record: record.trial.generation):
        ends: list[float] = []
        latest: list[float] = []  # of all slots up to this one
        for record in group:
            timing = timings.get(record.trial.id)
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


@attrs.frozen
class _Gap:
    """Time in which a worker had no trial."""

    generation: int
    seconds: float
    first: bool  # whether it ends with the worker's first trial


def _places(timings: Iterable[Timing]) -> dict[tuple[float, str], tuple[float, int]]:
    """For each process or thread that trained, its call of `run` and the number of its place among the workers there.

    Who begins when another has trained for the last time has its place: most often that one died and was replaced.

    Args:
        timings: In the order in which they began.
    """
    lives: dict[tuple[float, str], tuple[float, float]] = {}
    for timing in timings:
        begin, end = lives.get((timing.run, timing.worker), (timing.begin, timing.end))
        lives[timing.run, timing.worker] = begin, max(end, timing.end)
    ends: dict[float, list[float]] = {}  # of each place in each call
    found = {}
    for (run, worker), (begin, end) in lives.items():
        places = ends.setdefault(run, [])
        place = next((number for number, free in enumerate(places) if free <= begin), len(places))
        places[place : place + 1] = [end]
        found[run, worker] = run, place
    return found


def _gaps(
    spans: Iterable[Span], places: Mapping[tuple[float, str], tuple[float, int]], ends: Mapping[float, float]
) -> Iterator[_Gap]:
    by_worker: dict[tuple[float, int], list[Span]] = {}
    for span in spans:
        by_worker.setdefault(places[span.timing.run, span.timing.worker], []).append(span)
    for (run, _), own in by_worker.items():
        free = run
        for span in own:
            yield _Gap(span.generation, max(0.0, span.timing.begin - free), span is own[0])  # clocks may differ
            free = max(free, span.timing.end)
        yield _Gap(own[-1].generation, max(0.0, ends[run] - free), first=False)


def _by_generation(state: State, seconds: Iterable[tuple[int, float]]) -> Floats:
    sums = np.zeros(len(state.closed) + (state.open.asked > 0))
    for generation, value in seconds:
        sums[generation] += value
    return sums
