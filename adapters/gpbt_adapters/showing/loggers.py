"""Watchers that write a run down for others to read: JSON lines, CSV, TensorBoard, MLflow, Weights & Biases.

Each is a context manager and goes among the `callbacks` of `run`. A logger only writes; to resume, keep a journal.
"""

import csv
import importlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import attrs

from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Status
from gpbt_core.state import Asked, Cancelled, Event, Extended, Planned, Reported, Told

__all__ = ["CsvLog", "JsonLines", "MlflowLog", "TensorBoardLog", "WandbLog"]

SETTINGS = ("population", "steps", "direction", "seed", "max_concurrent")
"""What of a run's settings is logged."""

COLUMNS = ("trial", "parent", "generation", "depth", "status", "score", "start_step", "steps", "reason")
"""Of a CSV file, before those of the parameters."""


class _Logger:
    """What every logger shares: it is entered, and closed at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Writes what is left."""


class JsonLines(_Logger):
    """One line of JSON per event, appended as it happens.

    A line has `event`, `time` (seconds since 1970), `trial`, and by event: `parent`, `generation`, `depth`, `config`,
    `steps` and `start_step` (asked); `step` and `score` (reported); `status`, `score`, `steps` and `reason` (ended);
    `generations` (extended); `generation`, `parents` and `slots` (planned). Scores are in the direction of the run; a
    score that does not exist is null.

    Args:
        path: The file; appended to where it exists.

    Examples:
        >>> import tempfile
        >>> from gpbt import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(lr=Float(0, 1)), population=4, steps=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with JsonLines(f"{folder}/run.jsonl") as log:
        ...         trial = optimizer.ask()[0]
        ...         log.gpbt_event(optimizer.events[-1], optimizer)
        ...     json.loads(Path(f"{folder}/run.jsonl").read_text())["event"]
        'asked'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - closed by `close`

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Writes an event."""
        line = {"event": type(event).__name__.lower(), "time": time.time(), **_facts(event, optimizer)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file. May be called again."""
        self._file.close()


class CsvLog(_Logger):
    """One row per ended trial, in the order in which they end.

    The columns are `trial`, `parent`, `generation`, `depth`, `status`, `score`, `start_step`, `steps`, `reason`, and
    one per parameter of the space; what a trial does not have is empty, and a value None is written so. A parameter
    that has the name of another column is called `config.<name>`.

    Args:
        path: The file; appended to where it has the same columns.

    Raises:
        ConfigError: The file is there, with other columns, or two parameters would share one (at the first row).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()  # a training may change the working directory
        self._columns: list[str] | None = None

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Writes a row, where a trial has ended."""
        if not isinstance(event, Told | Cancelled):
            return
        if self._columns is None:
            self._columns = self._begin(optimizer)
        record = optimizer.records[event.trial_id]
        config = {_column(name): "None" if value is None else value for name, value in record.trial.config.items()}
        row = {**_ended(record, optimizer), **_trial(record), **config}
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns, restval="", extrasaction="ignore").writerow(row)

    def _begin(self, optimizer: Optimizer) -> list[str]:
        columns = [*COLUMNS, *map(_column, optimizer.space.names)]
        if len(set(columns)) < len(columns):
            raise ConfigError(f"CsvLog: wanted parameters whose columns differ, got {columns}; rename one")
        if self._path.exists() and self._path.stat().st_size:
            with self._path.open(encoding="utf-8", newline="") as file:
                there = next(csv.reader(file), [])
            if there != columns:
                raise ConfigError(f"CsvLog: wanted the columns {columns} in {str(self._path)!r}, got {there}")
            return columns
        with self._path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(columns)
        return columns


class TensorBoardLog(_Logger):
    """Curves for TensorBoard over the steps that the whole run has trained.

    `score/best` and `score/trial` (of each completed trial), `run/generation`, `run/stopped`, `run/failed`, and for
    each numeric parameter `config/<name>` of each completed trial and `best/<name>` of the best one.

    Args:
        directory: Of the event files.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        place = str(directory)
        if "://" not in place:
            place = str(Path(place).absolute())  # a training may change the working directory
        self._writer: Any = _imported("tensorboard.summary", "loggers").Writer(place)
        self._counts = {Status.STOPPED: 0, Status.FAILED: 0}

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Adds a point to the curves, where a trial has ended."""
        if not isinstance(event, Told):
            return
        record, step = optimizer.records[event.trial_id], optimizer.tally.trained
        if record.status in self._counts:
            self._counts[record.status] += 1
            self._writer.add_scalar(f"run/{record.status.value}", self._counts[record.status], step)
        if record.status is Status.COMPLETED:
            for name, value in _curves(record, optimizer).items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event files. May be called again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MlflowLog(_Logger):
    """An MLflow run: settings as parameters, curves as metrics over the steps trained, the best schedule at the end.

    The metrics are those of `TensorBoardLog`; the schedule is the artifact `schedule.json`.

    Args:
        experiment: Its name; None: MLflow's default.
        tracking_uri: Where MLflow keeps it; None: as MLflow is set up.
        name: Of the run; None: MLflow finds one.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(
        self, experiment: str | None = None, *, tracking_uri: str | None = None, name: str | None = None
    ) -> None:
        self._mlflow = _imported("mlflow", "loggers")
        self._client = self._mlflow.MlflowClient(tracking_uri)
        found = self._client.get_experiment_by_name(experiment or "Default")
        number = found.experiment_id if found else self._client.create_experiment(experiment or "Default")
        self.run_id = str(self._client.create_run(number, run_name=name).info.run_id)
        self._optimizer: Optimizer | None = None
        self._open = True

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Logs the settings at the first event, and a point of the curves where a trial has ended."""
        if self._optimizer is None:
            for name in SETTINGS:
                self._client.log_param(self.run_id, name, getattr(optimizer.settings, name))
        self._optimizer = optimizer
        if not isinstance(event, Told) or optimizer.records[event.trial_id].status is not Status.COMPLETED:
            return
        now, step = int(1000 * time.time()), optimizer.tally.trained
        metric = self._mlflow.entities.Metric
        curves = _curves(optimizer.records[event.trial_id], optimizer)
        self._client.log_batch(self.run_id, metrics=[metric(name, value, now, step) for name, value in curves.items()])

    def close(self) -> None:
        """Logs the best schedule and ends the run. May be called again."""
        if not self._open:
            return
        self._open = False
        optimizer = self._optimizer
        if optimizer is not None and optimizer.state.best is not None:
            self._client.log_dict(self.run_id, {"segments": _segments(optimizer)}, "schedule.json")
        failed = optimizer is not None and optimizer.extinct
        self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


class WandbLog(_Logger):
    """A run of Weights & Biases: settings as config, curves over the steps trained, the best schedule in the summary.

    The curves are those of `TensorBoardLog`, over `run/trained`; the summary has `schedule`, the best one's segments as
    JSON.

    Args:
        project: Its name; None: as W&B is set up.
        name: Of the run; None: W&B finds one.
        directory: Where W&B keeps its files; None: below the working directory.
        mode: "online"; "offline": nothing leaves this machine until `wandb sync`; "disabled"; None: as W&B is set up.
        settings: What else `wandb.init` takes: entity, group, tags, id and resume (to go on with a run), ...

    Raises:
        ConfigError: W&B is not installed.
    """

    def __init__(
        self,
        project: str | None = None,
        *,
        name: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
        **settings: Any,
    ) -> None:
        wandb = _imported("wandb", "loggers")
        folder = None if directory is None else os.fspath(directory)
        self._run = wandb.init(project=project, name=name, dir=folder, mode=mode, **settings)
        self._run.define_metric("run/trained", hidden=True)
        self._run.define_metric("*", step_metric="run/trained")
        self.run_id = str(self._run.id)
        self._optimizer: Optimizer | None = None
        self._open = True

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Logs the settings at the first event, and a point of the curves where a trial has ended."""
        if self._optimizer is None:
            self._run.config.update({name: getattr(optimizer.settings, name) for name in SETTINGS})
        self._optimizer = optimizer
        if isinstance(event, Told) and optimizer.records[event.trial_id].status is Status.COMPLETED:
            curves = _curves(optimizer.records[event.trial_id], optimizer)
            self._run.log({**curves, "run/trained": optimizer.tally.trained})

    def close(self) -> None:
        """Puts the best schedule into the summary and ends the run. May be called again."""
        if not self._open:
            return
        self._open = False
        optimizer = self._optimizer
        if optimizer is not None and optimizer.state.best is not None:
            self._run.summary["schedule"] = json.dumps(_segments(optimizer))
        self._run.finish(exit_code=1 if optimizer is not None and optimizer.extinct else 0)


def _facts(event: Event, optimizer: Optimizer) -> dict[str, Any]:
    """An event as plain data."""
    match event:
        case Asked():
            record = optimizer.records[event.trial.id]
            return {**_trial(record), "steps": record.trial.steps, "config": dict(record.trial.config)}
        case Reported():
            return {"trial": event.trial_id, "step": event.step, "score": _score(event.loss, optimizer)}
        case Told() | Cancelled():
            return {"trial": event.trial_id, **_ended(optimizer.records[event.trial_id], optimizer)}
        case Extended():
            return {"generations": event.generations}
        case Planned():
            return {
                "generation": event.generation,
                "parents": list(event.plan.parents),
                "slots": len(event.plan.slots),
            }
        case _:
            return {"trial": event.trial_id}


def _column(parameter: str) -> str:
    return f"config.{parameter}" if parameter in COLUMNS else parameter


def _trial(record: Record) -> dict[str, Any]:
    trial = record.trial
    return {
        "trial": trial.id,
        "parent": trial.parent,
        "generation": trial.generation,
        "depth": trial.depth,
        "start_step": trial.start_step,
    }


def _ended(record: Record, optimizer: Optimizer) -> dict[str, Any]:
    return {
        "status": record.status.value,
        "score": _score(record.loss, optimizer),
        "steps": record.steps,
        "reason": record.reason,
    }


def _score(loss: float | None, optimizer: Optimizer) -> float | None:
    """In the direction of the run; None where there is no finite one, as JSON has no infinity."""
    return None if loss is None or not math.isfinite(loss) else optimizer.score_of(loss)


def _curves(record: Record, optimizer: Optimizer) -> Mapping[str, float]:
    """The points that a completed trial adds."""
    best = optimizer.best
    assert record.loss is not None
    return {
        "score/trial": optimizer.score_of(record.loss),
        "score/best": best.score,
        "run/generation": float(record.trial.generation),
        **{f"config/{name}": value for name, value in _numbers(record.trial.config).items()},
        **{f"best/{name}": value for name, value in _numbers(best.trial.config).items()},
    }


def _segments(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The best schedule as plain data."""
    segments = [attrs.asdict(segment, recurse=False) for segment in optimizer.best.schedule.segments]
    return [{**segment, "config": dict(segment["config"])} for segment in segments]


def _numbers(config: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in config.items() if isinstance(value, int | float)}


def _imported(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(f'{package} is not installed: pip install "gpbt[{extra}]"') from error
