"""The notes that the driver keeps with a trial: when and where it was trained, and what its trainable reported.

Notes are in the run's events, so they survive in journals and exports. Nothing that decides reads them.
"""

import math
from collections.abc import Mapping
from typing import Any

import attrs

from gpbt_core.records import Record

__all__ = ["Timing", "figures_of", "noted", "times_of", "timing_of"]


@attrs.frozen(kw_only=True)
class Timing:
    """When and where a trial was trained.

    Attributes:
        worker: The host, process and thread.
        run: When the call of `run` began, in seconds since 1970.
        begin: When the worker began with the trial, likewise.
        loading: Seconds to make the model and to set it up or load it.
        training: Seconds to train and score it.
        saving: Seconds to write its checkpoint.
        searching: Seconds that the driver took to ask for it, before `begin`.
    """

    worker: str
    run: float
    begin: float
    loading: float
    training: float
    saving: float
    searching: float

    @property
    def busy(self) -> float:
        """Seconds that the worker was busy with the trial."""
        return self.loading + self.training + self.saving

    @property
    def end(self) -> float:
        """When the worker was done, in seconds since 1970."""
        return self.begin + self.busy


_PARTS = len(attrs.fields(Timing))


def noted(timing: Timing, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Notes as plain, short data: they are in each trial's event.

    Figures that are no numbers are left out. JSON has no NaN and no infinity, so those are null.

    >>> timing = Timing(worker="a:1", run=8.0, begin=9.0, loading=0.25, training=2.0, saving=0.5, searching=0.0)
    >>> noted(timing, {"loss": 0.5, "name": "x", "norm": math.inf})
    {'time': ['a:1', 8.0, 1.0, 0.25, 2.0, 0.5, 0.0], 'figures': {'loss': 0.5, 'norm': None}}
    """
    parts = (timing.loading, timing.training, timing.saving, timing.searching)
    begin = round(timing.begin - timing.run, 4)  # coarser begins would make trials of a worker overlap
    times = [timing.worker, round(timing.run, 3), begin, *(float(f"{seconds:.4g}") for seconds in parts)]
    told = {}
    for name, value in figures.items():
        number = _number(value)
        if number is not None:
            told[name] = number if math.isfinite(number) else None
    return {"time": times, "figures": told} if told else {"time": times}


def timing_of(record: Record) -> Timing | None:
    """When and where a trial was trained; None if `run` did not note it, as with ask and tell."""
    times = times_of(record)
    if times is None:
        return None
    worker, (run, begin, loading, training, saving, searching) = times
    return Timing(
        worker=worker,
        run=run,
        begin=run + begin,
        loading=loading,
        training=training,
        saving=saving,
        searching=searching,
    )


def times_of(record: Record) -> tuple[str, list[float]] | None:
    """The times of a trial as they were noted: its worker, and the numbers of `Timing`, its begin from `run` on."""
    times = (record.notes or {}).get("time")
    if not isinstance(times, list | tuple) or len(times) != _PARTS:
        return None
    try:
        return str(times[0]), [float(number) for number in times[1:]]
    except (TypeError, ValueError):  # somebody else's notes
        return None


def figures_of(record: Record) -> Mapping[str, float]:
    """What the trainable of a trial reported besides its score; NaN for what was not finite. Empty if nothing."""
    found = (record.notes or {}).get("figures")
    if not isinstance(found, Mapping):
        return {}
    numbers = {str(name): math.nan if value is None else _number(value) for name, value in found.items()}
    return {name: value for name, value in numbers.items() if value is not None}


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        return None
