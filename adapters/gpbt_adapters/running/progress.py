"""The progress bar of a run: a watcher that draws on stderr, and draws nothing where nobody looks.

It shows only what the optimizer knows; the time left is the time so far, scaled by the share of steps still to train.
"""

import sys
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.state import Asked, Cancelled, Event, Reported, Requeued, Told

__all__ = ["ProgressBar"]

WIDE = 110
"""Columns of a terminal from which on there is room for all that the bar can say."""


class ProgressBar:
    """Shows generation, best score, steps and time left; a context manager.

    In a terminal of at least `WIDE` columns also the trials in training and the time so far.

    Args:
        wanted: True: where stderr is a terminal; "rich": in any case; False: not at all.
        optimizer: Whose run it is.

    Raises:
        ConfigError: `wanted` is something else.
    """

    def __init__(self, wanted: bool | Literal["rich"], optimizer: Optimizer) -> None:  # noqa: FBT001 - as `run` takes it
        if wanted not in (True, False, "rich"):
            raise ConfigError(f'run: wanted progress to be True, False or "rich", got {wanted!r}')
        self._training: dict[int, int] = {}  # of each trial in training, the steps that it has reported
        self._bar: Progress | None = None
        if wanted == "rich" or (wanted and sys.stderr is not None and sys.stderr.isatty()):
            console = Console(stderr=True)
            self._wide = console.width >= WIDE
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} steps"),
                *([TimeElapsedColumn()] if self._wide else []),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
            )
            self._task = self._bar.add_task("", total=None)
            self._show(optimizer)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Shows what an event has changed."""
        match event:
            case Asked():
                self._training[event.trial.id] = 0
            case Reported():
                self._training[event.trial_id] = event.step
            case Told() | Cancelled() | Requeued():
                self._training.pop(event.trial_id, None)
            case _:
                pass
        self._show(optimizer)

    def say(self, text: str) -> None:
        """Prints a line: above the bar where there is one, on stderr where there is none."""
        if self._bar is None:
            sys.stderr.write(f"{text}\n")
        else:
            self._bar.console.print(text, highlight=False)

    def _show(self, optimizer: Optimizer) -> None:
        if self._bar is None:
            return
        tally = optimizer.tally
        done = tally.trained + sum(self._training.values())
        if not optimizer.settings.reproduction.refill:
            done += tally.saved
        best = "" if optimizer.state.best is None else f" · best {optimizer.score_of(optimizer.state.best[0]):.6g}"
        generation = min(optimizer.generation + 1, optimizer.generations)
        training = f" · {len(self._training)} in training" if self._wide else ""
        self._bar.update(
            self._task,
            total=optimizer.budget,
            completed=done,
            description=f"generation {generation}/{optimizer.generations}{best}{training}",
        )
