"""What `GPBTSearchCV` prints on stdout, with or without a terminal, as scikit-learn's searches do."""

import contextlib

from gpbt_adapters.views import timing_of
from gpbt_adapters.views.words import duration, number, printable, settings, span
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record
from gpbt_core.state import Event, Planned, Told

__all__ = ["PrintedLines"]


class PrintedLines:
    """A watcher that prints a line for each generation and, if wanted, for each trial.

    Args:
        trials: Whether to print a line for each trial.
    """

    def __init__(self, *, trials: bool) -> None:
        self._trials = trials

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Prints what has ended."""
        if isinstance(event, Told) and self._trials:
            _say(_trial(optimizer.records[event.trial_id], optimizer))
        if isinstance(event, Planned) or (isinstance(event, Told) and optimizer.extinct):
            _say(_generation(optimizer))


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone ends no search
        print(line, flush=True)  # noqa: T201 - as scikit-learn does


def _trial(record: Record, optimizer: Optimizer) -> str:
    trial, timing = record.trial, timing_of(record)
    if record.loss is None:
        end = f"{record.status.value}: {printable(record.reason or '')}"
    else:
        end = f"{record.status.value}, score {number(optimizer.score_of(record.loss))}"
    steps = f"steps {span(trial.start_step, record.steps)}" if record.steps else "no steps"
    took = "" if timing is None else f", {duration(timing.busy)}"
    return f"[trial {trial.id}] {steps}, {settings(trial.config)}: {end}{took}"


def _generation(optimizer: Optimizer) -> str:
    best = optimizer.state.best
    score = "no trial is completed" if best is None else f"best score {number(optimizer.score_of(best[0]))}"
    done = optimizer.generations if optimizer.finished else optimizer.generation
    steps = f"{optimizer.tally.trained:,} of {optimizer.budget:,} steps"
    return f"[generation {done}/{optimizer.generations}] {score}, {steps}"
