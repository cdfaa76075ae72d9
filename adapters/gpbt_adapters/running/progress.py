"""The progress display of a run: a bar in a terminal or a notebook, otherwise an occasional line; and log records.

It shows only what the optimizer knows. The time left is the time so far, scaled by the share of steps still to train.
The display never ends or disturbs a run: once the terminal is closed, its output is dropped.
"""

import contextlib
import errno
import html
import importlib
import io
import logging
import math
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.state import Asked, Cancelled, Event, Reported, Requeued, Told

__all__ = ["ProgressBar"]

logger = logging.getLogger(__name__)

WIDE = 110
"""Minimum width of a terminal, in columns, for the full bar."""

WIDEST = 160
"""Minimum width of a terminal, in columns, for the gain beside the best score."""

NARROW = 80
"""Width of a terminal, in columns, below which words are shortened."""

FIRST = {True: 30.0, "rich": 1.0}
"""Seconds until the first line without a terminal; a shorter run prints nothing."""

LONGEST = 600.0
"""Longest pause between two lines, in seconds; each pause is 1.5 times as long as the one before."""


REFRESH = 0.5
"""Shortest pause between two updates of a notebook's output, in seconds."""


class ProgressBar:
    """Shows generation, best score, steps and time left; a context manager.

    The wider the terminal, the more: the trials in training and the time so far from `WIDE` columns on, what the run
    has gained from `WIDEST` on. In a notebook, one line with a bar is overwritten. Elsewhere, writes an occasional
    line. Each generation that ends is logged at level INFO, whatever the value of `wanted`.

    Args:
        wanted: True: a bar in a terminal (on stderr) or a notebook; otherwise lines, the first after half a minute;
            "rich": the first line after a second, and the whole bar at the end; False: nothing.
        optimizer: The optimizer of the run.

    Raises:
        ConfigError: `wanted` is something else.
    """

    def __init__(self, wanted: bool | Literal["rich"], optimizer: Optimizer) -> None:  # noqa: FBT001 - as `run` takes it
        if wanted not in (True, False, "rich"):
            raise ConfigError(f'run: progress must be True, False or "rich", got {wanted!r}')
        self._training: dict[int, int] = {}  # steps reported by each trial in training
        self._bar: Progress | None = None
        self._out = _Outlet()
        self._begun = time.monotonic()
        self._trained_before = optimizer.tally.trained
        self._pause = FIRST.get(wanted, 0.0)
        self._next = self._begun + self._pause if wanted and self._out.there else math.inf
        self._generation = optimizer.generation
        self._optimizer = optimizer
        self._terminal = self._out.isatty()
        self._cell = _Cell() if wanted and _in_notebook() else None
        self._drawn = -math.inf  # when the notebook's output was last updated
        if self._cell is not None:
            self._next = math.inf
            self._draw(optimizer)
        elif wanted == "rich" or (wanted and self._terminal):
            console = Console(file=cast("IO[str]", self._out), force_terminal=True if self._terminal else None)
            self._narrow, self._wide, self._widest = (
                console.width < NARROW,
                console.width >= WIDE,
                console.width >= WIDEST,
            )
            if self._terminal:
                self._next = math.inf
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=10 if self._narrow else 40),
                TextColumn("{task.completed}/{task.total} steps"),
                *([TimeElapsedColumn()] if self._wide else []),
                TextColumn("{task.fields[after]}"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
                redirect_stdout=_is_terminal(sys.stdout),  # output to a file or a pipe stays there
            )
            self._task = self._bar.add_task("", total=None, after="left")
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
        self._draw(self._optimizer)

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
        if optimizer.generation > self._generation or (optimizer.finished and self._generation < optimizer.generations):
            self._generation = optimizer.generations if optimizer.finished else optimizer.generation
            logger.info("%s", self._line(optimizer))
        self._show(optimizer)
        self.tick(optimizer)

    def tick(self, optimizer: Optimizer) -> None:
        """Writes a line if it is time for one."""
        now = time.monotonic()
        if now >= self._drawn + REFRESH:
            self._draw(optimizer)
        if now < self._next:
            return
        self._pause = min(max(self._pause, 20.0) * 1.5, LONGEST)
        self._next = now + self._pause
        self.say(f"gpbt: {self._line(optimizer)}")

    def say(self, text: str) -> None:
        """Prints a line: above the bar where there is one, on stderr where there is none."""
        if self._bar is None or not self._terminal:
            self._out.write(f"{text}\n")
            self._out.flush()
        else:
            self._bar.console.print(text, highlight=False, markup=False)

    def _draw(self, optimizer: Optimizer) -> None:
        """Updates the output of a notebook."""
        if self._cell is not None:
            self._cell.show(self._line(optimizer), self._done(optimizer), optimizer.budget)
            self._drawn = time.monotonic()

    def _done(self, optimizer: Optimizer) -> int:
        done = optimizer.tally.trained + sum(self._training.values())
        return done if optimizer.settings.reproduction.refill else done + optimizer.tally.saved

    def _head(self, optimizer: Optimizer, *, gain: bool) -> str:
        state = optimizer.state
        best = "" if state.best is None else f" · best {optimizer.score_of(state.best[0]):.6g}"
        if gain and state.best is not None and state.closed and state.best[0] < state.closed[0].best < math.inf:
            best += f" ({state.closed[0].best - state.best[0]:.3g} better than generation 0)"
        generation = min(optimizer.generation + 1, optimizer.generations)
        return f"generation {generation}/{optimizer.generations}{best}"

    def _line(self, optimizer: Optimizer) -> str:
        done, passed = self._done(optimizer), time.monotonic() - self._begun
        trained = optimizer.tally.trained - self._trained_before + sum(self._training.values())
        left = (optimizer.budget - done) * passed / trained if trained > 0 else None
        ends = "" if left is None or left <= 0 else f" · {_span(left)} left"
        return f"{self._head(optimizer, gain=True)} · {done}/{optimizer.budget} steps · {_span(passed)} so far{ends}"

    def _show(self, optimizer: Optimizer) -> None:
        if self._bar is None:
            return
        head = self._head(optimizer, gain=self._widest)
        if self._wide:
            head += f" · {len(self._training)} in training"
        done = self._done(optimizer)
        self._bar.update(
            self._task,
            total=optimizer.budget,
            completed=done,
            description=head.replace("generation ", "gen ", 1) if self._narrow else head,
            after="left" if done < optimizer.budget else "in",
        )


class _Cell:
    """A line in the output of a notebook, which is overwritten. What cannot be shown is not."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str, done: int, total: int) -> None:
        """Shows a bar and a text."""
        bar = f'<progress value="{done}" max="{total}" style="width:12em;vertical-align:middle"></progress>'
        data = {"text/plain": text, "text/html": f"{bar} {html.escape(text)}"}
        with contextlib.suppress(Exception):  # whatever the front end raises, the run goes on
            if self._handle is None:
                self._handle = importlib.import_module("IPython.display").display(data, raw=True, display_id=True)
            else:
                self._handle.update(data, raw=True)


def _in_notebook() -> bool:
    """Whether a kernel runs this program, whose front end shows more than text."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


class _Outlet(io.TextIOBase):
    """What stderr is as a run begins; a terminal or a pipe that is gone takes everything and shows nothing."""

    def __init__(self) -> None:
        self._stream = sys.stderr
        self.there = self._stream is not None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # rich looks whether it can draw its bar
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return _is_terminal(self._stream)

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if self.there:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode("ascii", "replace").decode("ascii"))
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if self.there:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.there = False
        if isinstance(error, OSError) and error.errno in {errno.EIO, errno.EPIPE}:
            # Python flushes what is left as it exits, and would exit with status 120 if nobody can take it.
            with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nothing:
                os.dup2(nothing.fileno(), self._stream.fileno())


def _is_terminal(stream: TextIO | None) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
