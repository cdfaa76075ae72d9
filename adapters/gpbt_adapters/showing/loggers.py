"""Watchers that record a run for other programs: JSON lines, CSV, TensorBoard, MLflow, Weights & Biases.

Each is a context manager, to be passed among the `callbacks` of `run`. A logger only writes; to resume a run, keep a
journal.
"""

import csv
import importlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import attrs

from gpbt_adapters.views import figures_of, losses_of
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Status
from gpbt_core.state import Asked, Cancelled, Event, Extended, Planned, Reported, Told

__all__ = ["CsvLog", "JsonLines", "MlflowLog", "TensorBoardLog", "WandbLog"]

SETTINGS = ("population", "steps", "direction", "seed", "max_concurrent")
"""The settings of a run that are logged."""

COLUMNS = ("trial", "parent", "generation", "depth", "status", "score", "start_step", "steps", "reason")
"""The first columns of a CSV file; those of the parameters follow."""


class _Logger:
    """What all loggers share: a context that closes them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Writes the rest."""


class JsonLines(_Logger):
    """One line of JSON per event, appended as it happens.

    A line has `event`, `time` (seconds since 1970), `trial`, and by event: `parent`, `generation`, `depth`, `config`,
    `steps` and `start_step` (asked); `step` and `score` (reported); `status`, `score`, `steps`, `reason` and the
    `figures` of the trainable (ended); `generations` (extended); `generation`, `parents` and `slots` (planned). Scores
    are in the direction of the run. A number that is not finite, or not there, is null.

    Args:
        path: The file; if it exists, lines are appended.

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
    one per parameter of the space. A missing value is empty, and a value None is written as `None`. A
    parameter with the name of another column is called `config.<name>`.

    Args:
        path: The file; if it exists with the same columns, rows are appended.

    Raises:
        ConfigError: The file exists with other columns, or two parameters would share one (at the first row).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()  # a training may change the working directory
        self._columns: list[str] | None = None

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Writes a row when a trial has ended."""
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
            raise ConfigError(f"CsvLog: the columns of the parameters must differ, got {columns}; rename one")
        if self._path.exists() and self._path.stat().st_size:
            with self._path.open(encoding="utf-8", newline="") as file:
                there = next(csv.reader(file), [])
            if there != columns:
                raise ConfigError(
                    f"CsvLog: {str(self._path)!r} must have the columns {columns}, got {there}; choose another file"
                )
            return columns
        with self._path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(columns)
        return columns


class TensorBoardLog(_Logger):
    """Curves for TensorBoard, and its table of hyperparameters.

    The curves of the whole run are over the steps that it has trained: `score/best` and `score/trial` (of each
    completed trial), `run/generation`, `run/stopped`, `run/failed`, and for each numeric parameter `config/<name>` of
    each completed trial and `best/<name>` of the best one.

    Each completed or stopped trial is a separate run, `trial-<id>`: its learning curve `score` over the steps of its
    line, so that a child continues where its parent ended; the figures of its trainable, such as `train_loss`; and its
    config in the tab HPARAMS. At the end `best-line` has the learning curve of the best model from its first step on,
    with the values that were in force.

    Args:
        directory: The directory of the event files.
        trials: Whether to log each trial as a separate run.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, directory: str | os.PathLike[str], *, trials: bool = True) -> None:
        place = str(directory)
        if "://" not in place:
            place = str(Path(place).absolute())  # a training may change the working directory
        self._place = place.rstrip("/")
        self._writer: Any = _imported("tensorboard.summary", "loggers").Writer(place)
        self._counts = {Status.STOPPED: 0, Status.FAILED: 0}
        self._trials = trials
        self._optimizer: Optimizer | None = None

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Adds a point to the curves of the run, and the run of a trial, when a trial has ended."""
        self._optimizer = optimizer
        if not isinstance(event, Told):
            return
        record, step = optimizer.records[event.trial_id], optimizer.tally.trained
        if self._trials and record.status in {Status.COMPLETED, Status.STOPPED}:
            self._write(f"trial-{record.trial.id}", _curve(record, optimizer), record.trial.config)
        if record.status in self._counts:
            self._counts[record.status] += 1
            self._writer.add_scalar(f"run/{record.status.value}", self._counts[record.status], step)
        if record.status is Status.COMPLETED:
            for name, value in _curves(record, optimizer).items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Writes the best line and closes the event files. May be called again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            if self._optimizer is not None and self._optimizer.state.best is not None:
                self._write("best-line", _best_line(self._optimizer))

    def _write(
        self, run: str, points: list[tuple[int, dict[str, float]]], config: Mapping[str, Any] | None = None
    ) -> None:
        """Writes a separate run: a curve, and a session of the table of hyperparameters if there is a config."""
        files = _imported("tensorboard.summary.writer.event_file_writer", "loggers")
        events = _imported("tensorboard.compat.proto.event_pb2", "loggers")
        summaries = _imported("tensorboard.compat.proto.summary_pb2", "loggers")
        writer = files.EventFileWriter(f"{self._place}/{run}")
        for summary in [] if config is None else _session(config):
            writer.add_event(events.Event(wall_time=time.time(), summary=summary))
        for step, values in points:
            scalars = [summaries.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
            writer.add_event(events.Event(wall_time=time.time(), step=step, summary=summaries.Summary(value=scalars)))
        writer.close()


class MlflowLog(_Logger):
    """An MLflow run: settings as parameters, curves as metrics over the steps trained, the best schedule at the end.

    The metrics are those of `TensorBoardLog`; the schedule is the artifact `schedule.json`. At the end, the metrics
    `line/score`, `line/config/<name>` and the trainable's figures, such as `line/train_loss`, are the learning curve
    of the best model over its own steps. With `trials=True` each completed or stopped trial is a child run, with its
    config as parameters and its learning curve as the metric `score`.

    Args:
        experiment: The name of the experiment; None: MLflow's default.
        tracking_uri: The URI of the server or store; None: as configured in MLflow.
        name: The name of the run; None: MLflow chooses one.
        trials: Whether to log each trial as a child run, which takes several calls to the server per trial.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(
        self,
        experiment: str | None = None,
        *,
        tracking_uri: str | None = None,
        name: str | None = None,
        trials: bool = False,
    ) -> None:
        self._trials = trials
        self._mlflow = _imported("mlflow", "loggers")
        self._client = self._mlflow.MlflowClient(tracking_uri)
        found = self._client.get_experiment_by_name(experiment or "Default")
        number = found.experiment_id if found else self._client.create_experiment(experiment or "Default")
        self._experiment = number
        self.run_id = str(self._client.create_run(number, run_name=name).info.run_id)
        self._optimizer: Optimizer | None = None
        self._open = True

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Logs the settings at the first event, and a point of the curves when a trial has ended."""
        if self._optimizer is None:
            for name in SETTINGS:
                self._client.log_param(self.run_id, name, getattr(optimizer.settings, name))
        self._optimizer = optimizer
        if not isinstance(event, Told):
            return
        record = optimizer.records[event.trial_id]
        if self._trials and record.status in {Status.COMPLETED, Status.STOPPED}:
            self._log_child(record, optimizer)
        if record.status is Status.COMPLETED:
            self._log(self.run_id, [(optimizer.tally.trained, _curves(record, optimizer))])

    def _log_child(self, record: Record, optimizer: Optimizer) -> None:
        trial = record.trial
        tags = {"mlflow.parentRunId": self.run_id, "gpbt.parent": str(trial.parent)}
        child = self._client.create_run(self._experiment, run_name=f"trial-{trial.id}", tags=tags).info.run_id
        for name, value in trial.config.items():
            self._client.log_param(child, name, value)
        self._log(child, _curve(record, optimizer))
        self._client.set_terminated(child, "FINISHED")

    def _log(self, run_id: str, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        now, metric = int(1000 * time.time()), self._mlflow.entities.Metric
        metrics = [metric(name, value, now, step) for step, values in points for name, value in values.items()]
        for start in range(0, len(metrics), 1000):  # the most that MLflow accepts per call
            self._client.log_batch(run_id, metrics=metrics[start : start + 1000])

    def close(self) -> None:
        """Logs the best schedule and its learning curve, and ends the run. May be called again."""
        if not self._open:
            return
        self._open = False
        optimizer = self._optimizer
        if optimizer is not None and optimizer.state.best is not None:
            self._client.log_dict(self.run_id, {"segments": _segments(optimizer)}, "schedule.json")
            self._log(self.run_id, [(step, _named("line", values)) for step, values in _best_line(optimizer)])
        failed = optimizer is not None and optimizer.extinct
        self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


class WandbLog(_Logger):
    """A run of Weights & Biases: settings as config, curves over the steps trained, the best schedule in the summary.

    The curves are those of `TensorBoardLog`, over `run/trained`; the summary has `schedule`, the best one's segments as
    JSON. At the end, `line/score`, `line/config/<name>` and the trainable's figures, such as `line/train_loss`, are the
    learning curve of the best model over `line/step`, and the table `curves` has the scores and figures of all trials
    over the steps of their lines (columns trial, parent, step, score, and one for each figure).

    Args:
        project: The name of the project; None: as configured in W&B.
        name: The name of the run; None: W&B chooses one.
        directory: The directory of W&B's files; None: the working directory.
        mode: "online"; "offline": nothing leaves this machine until `wandb sync`; "disabled"; None: as W&B
            is configured.
        settings: Further arguments of `wandb.init`: entity, group, tags, id and resume (to continue a run), ...

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
        self._wandb = _imported("wandb", "loggers")
        folder = None if directory is None else os.fspath(directory)
        self._run = self._wandb.init(project=project, name=name, dir=folder, mode=mode, **settings)
        self._run.define_metric("run/trained", hidden=True)
        self._run.define_metric("*", step_metric="run/trained")
        self._run.define_metric("line/step", hidden=True)
        self._run.define_metric("line/*", step_metric="line/step")
        self.run_id = str(self._run.id)
        self._optimizer: Optimizer | None = None
        self._open = True

    def gpbt_event(self, event: Event, optimizer: Optimizer) -> None:
        """Logs the settings at the first event, and a point of the curves when a trial has ended."""
        if self._optimizer is None:
            self._run.config.update({name: getattr(optimizer.settings, name) for name in SETTINGS})
        self._optimizer = optimizer
        if isinstance(event, Told) and optimizer.records[event.trial_id].status is Status.COMPLETED:
            curves = _curves(optimizer.records[event.trial_id], optimizer)
            self._run.log({**curves, "run/trained": optimizer.tally.trained})

    def close(self) -> None:
        """Logs the best schedule and the learning curves, and ends the run. May be called again."""
        if not self._open:
            return
        self._open = False
        optimizer = self._optimizer
        if optimizer is not None and optimizer.state.best is not None:
            self._run.summary["schedule"] = json.dumps(_segments(optimizer))
            for step, values in _best_line(optimizer):
                self._run.log({**_named("line", values), "line/step": step})
            points = [
                (record.trial, step, values)
                for record in optimizer.records
                for step, values in _curve(record, optimizer)
            ]
            names = list(dict.fromkeys(name for *_, values in points for name in values))
            rows = [(trial.id, trial.parent, step, *map(values.get, names)) for trial, step, values in points]
            columns = ["trial", "parent", "step", *names]
            self._run.log({"curves": self._wandb.Table(columns=columns, data=rows)})
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
            return _told(optimizer.records[event.trial_id], optimizer)
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


def _told(record: Record, optimizer: Optimizer) -> dict[str, Any]:
    figures = {name: value if math.isfinite(value) else None for name, value in figures_of(record).items()}
    return {"trial": record.trial.id, **_ended(record, optimizer), "figures": figures}


def _score(loss: float | None, optimizer: Optimizer) -> float | None:
    """In the direction of the run; None if it is not finite, since JSON has no infinity."""
    return None if loss is None or not math.isfinite(loss) else optimizer.score_of(loss)


def _curves(record: Record, optimizer: Optimizer) -> Mapping[str, float]:
    """The points that a completed trial adds to the curves of the run."""
    best = optimizer.best
    assert record.loss is not None
    return {
        "score/trial": optimizer.score_of(record.loss),
        "score/best": best.score,
        "run/generation": float(record.trial.generation),
        **{f"config/{name}": value for name, value in _numbers(record.trial.config).items()},
        **{f"best/{name}": value for name, value in _numbers(best.trial.config).items()},
    }


def _curve(record: Record, optimizer: Optimizer) -> list[tuple[int, dict[str, float]]]:
    """The (step along the line, values) pairs of a trial: the score after each step, the figures after the last."""
    points = [(step, {"score": optimizer.score_of(loss)}) for step, loss in losses_of(record)]
    if points:
        points[-1][1].update({name: value for name, value in figures_of(record).items() if math.isfinite(value)})
    return points


def _best_line(optimizer: Optimizer) -> list[tuple[int, dict[str, float]]]:
    """The learning curve of the best model from its first step on, with the values that were in force."""
    points = []
    for record in optimizer.lineage(optimizer.best.trial.id):
        config = {f"config/{name}": value for name, value in _numbers(record.trial.config).items()}
        points += [(step, {**values, **config}) for step, values in _curve(record, optimizer)]
    return points


def _session(config: Mapping[str, Any]) -> list[Any]:
    """The records that mark the start and end of a trial in TensorBoard's table of hyperparameters."""
    data = _imported("tensorboard.plugins.hparams.plugin_data_pb2", "loggers")
    metadata = _imported("tensorboard.plugins.hparams.metadata", "loggers")
    states = _imported("tensorboard.plugins.hparams.api_pb2", "loggers")
    summaries = _imported("tensorboard.compat.proto.summary_pb2", "loggers")
    start = data.SessionStartInfo(start_time_secs=time.time())
    for name, value in config.items():
        kind = "bool_value" if isinstance(value, bool) else "number_value" if isinstance(value, int | float) else None
        setattr(start.hparams[name], kind or "string_value", value if kind else str(value))
    end = data.SessionEndInfo(status=states.STATUS_SUCCESS, end_time_secs=time.time())
    summary = []
    for tag, content in (
        (metadata.SESSION_START_INFO_TAG, data.HParamsPluginData(session_start_info=start)),
        (metadata.SESSION_END_INFO_TAG, data.HParamsPluginData(session_end_info=end)),
    ):
        about = metadata.create_summary_metadata(content)
        value = summaries.Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
        summary.append(summaries.Summary(value=[value]))
    return summary


def _named(group: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{group}/{name}": value for name, value in values.items()}


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
