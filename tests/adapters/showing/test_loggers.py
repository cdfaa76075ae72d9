import csv
import importlib
import json
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.showing.loggers import CsvLog, JsonLines, MlflowLog, TensorBoardLog, WandbLog
from gpbt_core import Categorical, ConfigError, Float, Int, Optimizer, Space, Status, When
from toy_trainables import Descent

SPACE = Space(
    kind=Categorical(["plain", "heavy"]), lr=Float(0.01, 0.4), momentum=When(Float(0, 0.9), {"kind": ["heavy"]})
)


class Fussy(Descent):
    """Fails where the learning rate is large."""

    def step(self) -> float:
        if self.live["lr"] > 0.3:
            raise ArithmeticError("too large")
        return super().step()

    def figures(self) -> Mapping[str, float]:
        return {"train_loss": 2 * abs(self.weight)}


def _line(result: Result) -> list[tuple[int, float, float]]:
    """The (step, score, lr) of each step of the best model."""
    optimizer = result.optimizer
    return [
        (record.trial.start_step + step, optimizer.score_of(loss), record.trial.config["lr"])
        for record in optimizer.lineage(result.best.trial.id)
        for step, loss in record.reports
    ]


def _run(*loggers: Any) -> Result:
    optimizer = Optimizer(SPACE, population=6, steps=10, direction="maximize", searcher="random", seed=1)
    return run(optimizer, Fussy, callbacks=loggers, progress=False)


@pytest.fixture(autouse=True)
def _nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_json_lines_hold_every_event(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "run.jsonl") as log:
        result = _run(log)
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [type(event).__name__.lower() for event in result.optimizer.events]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    asked = [line for line in lines if line["event"] == "asked"]
    assert asked[0]["config"] == dict(result.optimizer.records[0].trial.config)
    told = {line["trial"]: line for line in lines if line["event"] == "told"}
    assert told[result.best.trial.id]["score"] == result.best.score
    assert told[result.best.trial.id]["figures"] == dict(result.figures[result.best.trial.id])
    failed = [line for line in told.values() if line["status"] == "failed"]
    assert failed
    assert all(line["score"] is None and line["reason"].startswith("ArithmeticError") for line in failed)


def test_json_lines_are_appended_to_and_readable_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    counts: list[int] = []
    with JsonLines(path) as log:
        _run(log, lambda _, __: counts.append(len(path.read_text().splitlines())))
    assert counts == list(range(1, len(counts) + 1))
    with JsonLines(path) as log:
        _run(log)
    assert len(path.read_text().splitlines()) == 2 * len(counts)


def test_csv_has_a_row_for_each_ended_trial(tmp_path: Path) -> None:
    with CsvLog(tmp_path / "run.csv") as log:
        result = _run(log)
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = {int(row["trial"]): row for row in csv.DictReader(file)}
    assert sorted(rows) == [record.trial.id for record in result.optimizer.records]
    for record in result.optimizer.records:
        row = rows[record.trial.id]
        assert row["status"] == record.status.value
        assert row["parent"] == ("" if record.trial.parent is None else str(record.trial.parent))
        assert float(row["lr"]) == record.trial.config["lr"]
        assert (row["momentum"] == "") == (record.trial.config["kind"] == "plain")
        assert (row["score"] == "") == (record.status is Status.FAILED)
    assert float(rows[result.best.trial.id]["score"]) == result.best.score


def test_csv_tells_the_value_none_from_a_parameter_that_is_not_active(tmp_path: Path) -> None:
    space = Space(
        lr=Float(0.01, 0.3),
        weights=Categorical(["balanced", None]),
        power=When(Categorical([None, 2]), {"weights": ["balanced"]}),
    )
    optimizer = Optimizer(space, population=8, steps=2, searcher="random", seed=1)
    with CsvLog(tmp_path / "run.csv") as log:
        run(optimizer, Descent, callbacks=[log], progress=False)
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = {int(row["trial"]): row for row in csv.DictReader(file)}
    for record in optimizer.records:
        row, config = rows[record.trial.id], record.trial.config
        assert row["weights"] == str(config["weights"])
        assert row["power"] == (str(config["power"]) if "power" in config else "")
        assert row["reason"] == (record.reason or "")


def test_csv_goes_on_only_in_a_file_of_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    for _ in range(2):
        with CsvLog(path) as log:
            _run(log)
    header, *rows = path.read_text().splitlines()
    assert rows.count(header) == 0
    path.write_text("a,b\n")
    with CsvLog(path) as log:
        optimizer = Optimizer(SPACE, population=2, steps=4)
        (trial,) = optimizer.ask()
        optimizer.tell(trial.id, 1.0)
        with pytest.raises(ConfigError, match=r"must have the columns .* got \['a', 'b'\]"):
            log.gpbt_event(optimizer.events[-1], optimizer)
    assert path.read_text() == "a,b\n"


def test_csv_tells_a_parameter_from_the_column_of_its_name(tmp_path: Path) -> None:
    optimizer = Optimizer(Space(depth=Int(5, 9), score=Float(2, 3)), population=2, steps=4, searcher="random")
    (trial,) = optimizer.ask()
    optimizer.tell(trial.id, 1.0)
    with CsvLog(tmp_path / "run.csv") as log:
        log.gpbt_event(optimizer.events[-1], optimizer)
    with (tmp_path / "run.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["depth"], float(row["score"])) == ("0", 1.0)
    assert (int(row["config.depth"]), float(row["config.score"])) == (trial.config["depth"], trial.config["score"])
    twice = Optimizer(Space({"depth": Int(5, 9), "config.depth": Int(5, 9)}), population=2, steps=4)
    twice.tell(twice.ask()[0].id, 1.0)
    with CsvLog(tmp_path / "twice.csv") as log, pytest.raises(ConfigError, match="rename one"):
        log.gpbt_event(twice.events[-1], twice)


@pytest.mark.parametrize("kind", [JsonLines, CsvLog])
def test_a_log_stays_where_it_was_begun_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    optimizer = Optimizer(SPACE, population=2, steps=4, searcher="random")
    with kind("log") as log:
        for trial in optimizer.ask(2):
            optimizer.tell(trial.id, 1.0)
            log.gpbt_event(optimizer.events[-1], optimizer)
            monkeypatch.chdir(tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len((tmp_path / "log").read_text().splitlines()) == 2 + (kind is CsvLog)


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with TensorBoardLog(tmp_path) as log:
        result = _run(log)
    log.close()
    found = accumulator.EventAccumulator(str(tmp_path), {"scalars": 0, "tensors": 0}).Reload()
    completed = [record for record in result.optimizer.records if record.status is Status.COMPLETED]
    tags = found.Tags()
    names = tags["scalars"] or tags["tensors"]
    assert {"score/best", "score/trial", "run/generation", "run/failed", "config/lr", "best/lr"} <= set(names)
    points = _points(found, "score/best")
    assert len(points) == len(completed)
    assert points[-1][1] == pytest.approx(result.best.score, rel=1e-6)
    assert [value for _, value in points] == sorted(value for _, value in points)
    assert [step for step, _ in points] == sorted(step for step, _ in points)
    failed = [record for record in result.optimizer.records if record.status is Status.FAILED]
    assert _points(found, "run/failed")[-1][1] == len(failed)

    def of(run: str) -> Any:
        return accumulator.EventAccumulator(str(tmp_path / run), {"scalars": 0, "tensors": 0}).Reload()

    best = of("best-line")
    assert [step for step, _ in _points(best, "score")] == [step for step, _, _ in _line(result)]
    for tag, column in (("score", 1), ("config/lr", 2)):
        assert [value for _, value in _points(best, tag)] == pytest.approx([point[column] for point in _line(result)])
    ended = [record for record in result.optimizer.records if record.status in {Status.COMPLETED, Status.STOPPED}]
    assert {path.name for path in tmp_path.glob("trial-*")} == {f"trial-{record.trial.id}" for record in ended}
    child = result.optimizer.records[result.best.trial.id]
    curve = _points(of(f"trial-{child.trial.id}"), "score")
    assert [step for step, _ in curve] == [child.trial.start_step + step for step, _ in child.reports]
    ((step, loss),) = _points(of(f"trial-{child.trial.id}"), "train_loss")
    assert step == curve[-1][0]
    assert loss == pytest.approx(-2 * curve[-1][1])
    hparams = of(f"trial-{child.trial.id}").SummaryMetadata("_hparams_/session_start_info").plugin_data
    data = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    started = data.FromString(hparams.content).session_start_info.hparams
    assert started["lr"].number_value == child.trial.config["lr"]
    assert started["kind"].string_value == child.trial.config["kind"]


def test_tensorboard_leaves_the_runs_of_trials_out_where_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with TensorBoardLog(tmp_path, trials=False) as log:
        _run(log)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["best-line"]


def _points(found: Any, tag: str) -> list[tuple[int, float]]:
    """The (step, value) pairs of a curve, which newer files keep as tensors."""
    if tag in found.Tags()["scalars"]:
        return [(event.step, event.value) for event in found.Scalars(tag)]
    to_array = importlib.import_module("tensorboard.util.tensor_util").make_ndarray
    return [(event.step, float(to_array(event.tensor_proto))) for event in found.Tensors(tag)]


def test_mlflow_has_settings_curves_and_the_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the only store that needs neither a database nor a server
    uri = (tmp_path / "mlruns").as_uri()
    with MlflowLog("digits", tracking_uri=uri, name="first", trials=True) as log:
        result = _run(log)
    log.close()
    client = mlflow.MlflowClient(uri)
    logged = client.get_run(log.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.info.run_name == "first"
    assert logged.data.params["population"] == "6"
    assert logged.data.metrics["score/best"] == result.best.score
    completed = [record for record in result.optimizer.records if record.status is Status.COMPLETED]
    assert len(client.get_metric_history(log.run_id, "score/trial")) == len(completed)
    schedule = json.loads(next((tmp_path / "mlruns").rglob("schedule.json")).read_text())
    assert [part["steps"] for part in schedule["segments"]] == [part.steps for part in result.schedule.segments]
    assert schedule["segments"][0]["config"] == dict(result.schedule.segments[0].config)
    line = [(one.step, one.value) for one in client.get_metric_history(log.run_id, "line/score")]
    assert sorted(line) == [(step, score) for step, score, _ in _line(result)]
    assert client.get_metric_history(log.run_id, "line/train_loss")
    children = client.search_runs(
        [logged.info.experiment_id], f"tags.`mlflow.parentRunId` = '{log.run_id}'", max_results=1000
    )
    ended = [record for record in result.optimizer.records if record.status in {Status.COMPLETED, Status.STOPPED}]
    assert {child.info.run_name for child in children} == {f"trial-{record.trial.id}" for record in ended}
    (best,) = (child for child in children if child.info.run_name == f"trial-{result.best.trial.id}")
    assert best.data.params["lr"] == str(result.best.trial.config["lr"])
    assert best.data.metrics["score"] == result.best.score
    with MlflowLog("digits", tracking_uri=uri) as second:
        pass
    assert client.get_run(second.run_id).info.experiment_id == logged.info.experiment_id


@pytest.fixture
def wandb() -> Any:
    return pytest.importorskip("wandb", exc_type=ImportError)


def _wandb_records(folder: Path) -> list[Any]:
    """The records of an offline run; a process of W&B writes the last ones a moment after the run has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        records = _read_wandb(folder)
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            return records
        time.sleep(0.1)
    raise AssertionError(f"the run in {folder} has no end")


def _read_wandb(folder: Path) -> list[Any]:
    """What an offline run wrote: messages in the log format of LevelDB, behind a header of seven bytes."""
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")
    (path,) = folder.rglob("*.wandb")
    data, place, whole = path.read_bytes(), 7, b""
    records = []
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # the whole of a message, or its end
            records.append(messages.Record.FromString(whole))
            whole = b""
    return records


def _wandb_values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_wandb_has_settings_curves_and_the_schedule(tmp_path: Path, wandb: Any) -> None:
    settings = wandb.Settings(silent=True, console="off")
    with WandbLog("digits", name="first", directory=tmp_path, mode="offline", settings=settings) as log:
        result = _run(log)
    log.close()
    found = _wandb_records(tmp_path)
    (started,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (started.project, started.display_name, started.run_id) == ("digits", "first", log.run_id)
    config: dict[str, Any] = {}
    points, summary = [], {}
    for record in found:
        config.update(_wandb_values(record.config.update))
        summary.update(_wandb_values(record.summary.update))
        if record.WhichOneof("record_type") == "history":
            points.append(_wandb_values(record.history.item))
    assert (config["population"], config["direction"]) == (6, "maximize")
    completed = [record for record in result.optimizer.records if record.status is Status.COMPLETED]
    run = [point for point in points if "score/best" in point]
    assert len(run) == len(completed)
    assert run[-1]["score/best"] == result.best.score
    assert run[-1]["run/trained"] <= result.optimizer.tally.trained
    line = [(point["line/step"], point["line/score"]) for point in points if "line/step" in point]
    assert line == [(step, score) for step, score, _ in _line(result)]
    assert points[-1]["curves/nrows"] == sum(len(record.reports) for record in result.optimizer.records)
    segments = json.loads(summary["schedule"])
    assert [part["steps"] for part in segments] == [part.steps for part in result.schedule.segments]
    assert segments[0]["config"] == dict(result.schedule.segments[0].config)
    (ended,) = [record.exit.exit_code for record in found if record.WhichOneof("record_type") == "exit"]
    assert ended == 0


@pytest.mark.parametrize(
    ("make", "module", "package"),
    [
        (lambda: TensorBoardLog("x"), "tensorboard.summary", "tensorboard"),
        (MlflowLog, "mlflow", "mlflow"),
        (WandbLog, "wandb", "wandb"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    make: Callable[[], object], module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf'{package} is not installed: pip install "gpbt\[loggers\]"'):
        make()
