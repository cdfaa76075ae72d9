"""The code of a schedule runs as it is, and gives the schedule's values."""

import json
from typing import Any

import pytest

from gpbt_adapters.views import codes
from gpbt_adapters.views.code import rate_of
from gpbt_core import Config, Schedule, Segment
from gpbt_core.codec import decode_schedule
from toy_trainables import Descent

RATES = [0.5, 0.5, 0.05, 0.05, 0.05, 0.001]

FOUND = Schedule(
    (
        Segment(config=Config({"lr": 0.5, "kind": "it's </script>", "on": True}), start_step=0, steps=2),
        Segment(config=Config({"lr": 0.05, "kind": None, "on": False}), start_step=2, steps=3),
        Segment(config=Config({"lr": 0.001, "kind": 'a "b"\n', "on": True}), start_step=5, steps=1),
    )
)


def _executed(name: str, schedule: Schedule = FOUND, **given: Any) -> dict[str, Any]:
    (code,) = (code for code in codes(schedule) if code.name == name)
    exec(compile(code.text, name, "exec"), given)  # noqa: S102 - that it runs is what is tested
    return given


def test_plain_python_has_each_steps_config_and_keeps_the_last() -> None:
    config_at = _executed("Python")["config_at"]
    assert [config_at(step) for step in range(6)] == [dict(FOUND.at(step)) for step in range(6)]
    assert config_at(100) == config_at(5)


def test_json_is_what_gpbt_reads() -> None:
    (code,) = (code for code in codes(FOUND) if code.name == "JSON")
    assert decode_schedule(json.loads(code.text)) == FOUND


def test_the_replay_trains_under_the_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    schedule = Schedule((Segment(config=Config({"lr": 0.5}), start_step=0, steps=2),))
    assert _executed("Replay", schedule, factory=Descent)["schedule"] == schedule
    assert "over 5 seeds" in capsys.readouterr().out


def test_the_torch_scheduler_sets_the_rates() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = _executed("PyTorch", optimizer=optimizer)["scheduler"]
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == [*RATES, RATES[-1]]


def test_the_optax_schedule_gives_the_rates() -> None:
    pytest.importorskip("optax")
    rate = _executed("Optax")["learning_rate"]
    assert [float(rate(step)) for step in range(7)] == pytest.approx([*RATES, RATES[-1]])


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras on TensorFlow
def test_the_keras_callback_sets_the_rates() -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    callback = _executed("Keras")["callback"]
    callback.set_model(model)
    rates = []
    for epoch in range(7):
        callback.on_epoch_begin(epoch)
        rates.append(float(model.optimizer.learning_rate))
    assert rates == pytest.approx([*RATES, RATES[-1]])


@pytest.mark.parametrize(
    ("configs", "name"),
    [
        ([{"weight_decay": 0.1, "optimizer.lr": 0.1}], "optimizer.lr"),
        ([{"clf__eta0": 0.1}], "clf__eta0"),
        ([{"learning_rate": "constant"}], None),  # a kind of schedule, as in scikit-learn
        ([{"lr": 0.1}, {}], None),  # not active all the time
        ([{"momentum": 0.1}], None),
    ],
)
def test_code_of_frameworks_needs_a_learning_rate(configs: list[dict[str, Any]], name: str | None) -> None:
    schedule = Schedule(tuple(Segment(config=Config(one), start_step=i, steps=1) for i, one in enumerate(configs)))
    assert rate_of(schedule) == name
    assert ("PyTorch" in [code.name for code in codes(schedule)]) == (name is not None)
