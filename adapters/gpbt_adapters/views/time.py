"""Where the time of a run went, and what more workers would have given; from the times that the driver notes."""

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping

import attrs
import numpy as np

from gpbt_adapters.views.columns import Floats, Ints, Run, ints, once, state_of
from gpbt_adapters.views.notes import Timing, times_of
from gpbt_adapters.views.words import counted, duration
from gpbt_core.records import Trial
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
        known: The number of trials that have times.
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

    known: int
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
    _columns: "_Columns"
    _lanes: tuple[int, ...]
    _begins: Floats

    @property
    def spans(self) -> tuple[Span, ...]:
        """The trials that have times, in the order in which they began."""
        places = zip(self._columns.spans(), self._lanes, self._begins.tolist(), strict=True)
        return tuple(
            Span(trial=trial, generation=generation, worker=worker, begin=begin, timing=timing)
            for (trial, generation, timing), worker, begin in places
        )

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
    state, seen = state_of(run), _columns(run)
    calls, call = np.unique(seen.run, return_inverse=True)
    last = calls.copy()
    np.maximum.at(last, call, seen.end)
    ends = dict(zip(calls.tolist(), last.tolist(), strict=True))
    starts = _starts(ends)
    offsets = [starts[begun] for begun in seen.run.tolist()]
    places = _places(seen)
    lanes: dict[float, dict[tuple[float, int], int]] = {}
    own = [
        (lane := lanes.setdefault(offset, {})).setdefault(place, len(lane))
        for offset, place in zip(offsets, places, strict=True)
    ]
    count = len(state.closed) + (state.open.asked > 0)
    loading, training, saving, searching = (
        np.bincount(seen.generation, seconds, count).astype(np.float64)
        for seconds in (seen.loading, seen.training, seen.saving, seen.searching)
    )
    starting, waiting = _gaps(seen, places, ends, count)
    while_waiting = np.minimum(waiting, searching)
    while_starting = np.minimum(starting, searching - while_waiting)
    trained = sum(state.records[trial].steps for trial in seen.trial.tolist())
    return Times(
        known=len(own),
        missing=sum(record.loss is not None for record in state.records)
        - sum(state.records[trial].loss is not None for trial in seen.trial.tolist()),
        workers=max(map(len, lanes.values()), default=0),
        wall=max((end + starts[begun] for begun, end in ends.items()), default=0.0),
        loading=loading,
        training=training,
        saving=saving,
        searching=while_waiting + while_starting,
        starting=starting - while_starting,
        waiting=waiting - while_waiting,
        step=float(training.sum()) / trained if trained else math.nan,
        columns=seen,
        lanes=tuple(own),
        begins=seen.begin + np.array(offsets, dtype=np.float64),
    )


@attrs.frozen(kw_only=True, eq=False)
class _Columns:
    """The trials that have times, in the order in which they began; for each field of `Timing` an array or a list."""

    trial: Ints
    generation: Ints
    worker: list[str]
    run: Floats
    begin: Floats
    loading: Floats
    training: Floats
    saving: Floats
    searching: Floats

    @property
    def busy(self) -> Floats:
        return self.loading + self.training + self.saving

    @property
    def end(self) -> Floats:
        return self.begin + self.busy

    def spans(self) -> Iterator[tuple[int, int, Timing]]:
        """Each trial's id, generation and times."""
        names = [field.name for field in attrs.fields(Timing)]
        columns = [list(getattr(self, name)) if name == "worker" else getattr(self, name).tolist() for name in names]
        for trial, generation, *parts in zip(self.trial.tolist(), self.generation.tolist(), *columns, strict=True):
            yield trial, generation, Timing(**dict(zip(names, parts, strict=True)))


@once
def _columns(run: Run) -> _Columns:
    trials: list[Trial] = []
    workers: list[str] = []
    flat: list[float] = []
    for record in state_of(run).records:
        found = times_of(record)
        if found is not None:
            trials.append(record.trial)
            workers.append(found[0])
            flat += found[1]
    numbers = np.array(flat, dtype=np.float64).reshape(-1, len(attrs.fields(Timing)) - 1)
    numbers[:, 1] += numbers[:, 0]  # when it began, no more from the start of the run
    order = np.argsort(numbers[:, 1], kind="stable")
    begun, begin, loading, training, saving, searching = numbers[order].T
    return _Columns(
        trial=ints(trial.id for trial in trials)[order],
        generation=ints(trial.generation for trial in trials)[order],
        worker=[workers[place] for place in order.tolist()],
        run=begun,
        begin=begin,
        loading=loading,
        training=training,
        saving=saving,
        searching=searching,
    )


def estimates(run: Run) -> tuple[Estimate, ...]:
    """Estimates how long a run would have taken with other numbers of workers; empty if nobody noted times.

    Each trial takes as long as it did. Trials start in the order of their ids, as soon as a worker is free and the
    results are there that they depend on: those of the generation before, and within a generation those of the slot
    `max_concurrent` places earlier. More workers than `max_concurrent` give nothing more, so that is the last estimate.
    """
    state = state_of(run)
    most = state.settings.max_concurrent
    seen = _columns(run)
    if not len(seen.trial):
        return ()
    parts = zip(seen.searching.tolist(), seen.busy.tolist(), strict=True)
    timings = dict(zip(seen.trial.tolist(), parts, strict=True))
    used = times(run).workers
    return tuple(
        _estimate(state, timings, workers)
        for workers in sorted({most, *(count for count in (used, *WORKERS) if count <= most)})
    )


def time_spent(run: Run) -> tuple[str, ...]:
    """Says where the time of a run went: sentences; the first one says so if nobody noted times."""
    state, view = state_of(run), times(run)
    if not view.known:
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


def _estimate(state: State, timings: Mapping[int, tuple[float, float]], workers: int) -> Estimate:
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
                searching, busy = timing
                begin = max(ready, asked, heapq.heappop(free)) + searching
                asked, end = begin, begin + busy
                work += busy
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


def _places(seen: _Columns) -> list[tuple[float, int]]:
    """For each trial, its call of `run` and the number of its worker's place among the workers there.

    Who begins when another has trained for the last time has its place: most often that one died and was replaced.
    """
    workers = list(zip(seen.run.tolist(), seen.worker, strict=True))
    lives: dict[tuple[float, str], tuple[float, float]] = {}  # in the order in which they began
    for worker, began, ended in zip(workers, seen.begin.tolist(), seen.end.tolist(), strict=True):
        begin, end = lives.get(worker, (began, ended))
        lives[worker] = begin, max(end, ended)
    ends: dict[float, list[float]] = {}  # of each place in each call
    found = {}
    for (call, name), (begin, end) in lives.items():
        taken = ends.setdefault(call, [])
        place = next((number for number, free in enumerate(taken) if free <= begin), len(taken))
        taken[place : place + 1] = [end]
        found[call, name] = call, place
    return [found[worker] for worker in workers]


def _gaps(
    seen: _Columns, places: list[tuple[float, int]], ends: Mapping[float, float], count: int
) -> tuple[Floats, Floats]:
    """The seconds without a trial by generation, shape (count,): before the first trial of a worker, and otherwise."""
    starting, waiting = np.zeros(count), np.zeros(count)
    by_worker: dict[tuple[float, int], list[int]] = {}
    for number, place in enumerate(places):
        by_worker.setdefault(place, []).append(number)
    finished = seen.end
    for (begun, _), trials in by_worker.items():
        free = np.maximum.accumulate([begun, *finished[trials]])
        gaps = np.maximum(0.0, np.array([*seen.begin[trials], ends[begun]]) - free)  # clocks may differ
        generations = seen.generation[trials]
        starting[generations[0]] += gaps[0]
        np.add.at(waiting, generations[1:], gaps[1:-1])
        waiting[generations[-1]] += gaps[-1]
    return starting, waiting
