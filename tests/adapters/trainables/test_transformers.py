import functools
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("accelerate")
pytest.importorskip("transformers")

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_adapters.trainables.transformers import (
    ArgumentField,
    ModuleField,
    OptimizerField,
    ScheduledRate,
    Setter,
    TransformersParts,
    TransformersTrainable,
    WeightDecay,
)
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.space import Float, Space

TOKENS = torch.randint(2, 30, (40, 6), generator=torch.Generator().manual_seed(0))
DATA: Any = [{"input_ids": row, "labels": int((row < 10).sum() > 2)} for row in TOKENS]
CONFIG = {"lr": 0.01, "decay": 0.5, "dropout": 0.1, "clip": 0.8, "beta": 0.8}
SPACE = Space(
    lr=Float(1e-3, 1e-1, log=True),
    decay=Float(0, 0.6),
    dropout=Float(0, 0.5),
    clip=Float(0.1, 1),
    beta=Float(0.5, 0.95),
)
BINDINGS: dict[str, Any] = {
    "lr": ScheduledRate(),
    "decay": WeightDecay(),
    "dropout": ModuleField("p", nn.Dropout),
    "clip": ArgumentField("max_grad_norm"),
    "beta": OptimizerField("betas", index=0),
}
ONLY_LR = {"lr": BINDINGS["lr"]}


@pytest.fixture(autouse=True, scope="module")
def _quick_collections() -> Iterator[None]:
    """Accelerate collects garbage at each train(); what other tests have left need not be walked each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Watch(TrainerCallback):
    """Records what holds at each update."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def on_optimizer_step(self, *_: Any, **live: Any) -> None:
        optimizer = live["optimizer"]
        self.seen.append(tuple(group["lr"] for group in optimizer.param_groups))


def _trainer(folder: Path, *, callbacks: Any = (), **arguments: Any) -> Trainer:
    config = BertConfig(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
    )
    usual: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "max_steps": 60,
        "per_device_train_batch_size": 8,
        "use_cpu": True,
        "lr_scheduler_type": "constant",
        "report_to": "none",
    }
    return Trainer(
        model=BertForSequenceClassification(config),
        args=TrainingArguments(**{**usual, **arguments}),
        train_dataset=DATA,
        eval_dataset=DATA,
        callbacks=list(callbacks),
    )


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def factory(*, callbacks: Any = (), arguments: Mapping[str, Any] | None = None, **changes: Any) -> Any:
        usual: dict[str, Any] = {
            "trainer": lambda _: _trainer(tmp_path, callbacks=callbacks, **(arguments or {})),
            "monitor": "eval_loss",
            "bindings": BINDINGS,
            "updates": 3,
        }
        return TransformersTrainable(**{**usual, **changes})

    return factory


def _stepped(trainable: Any, config: Mapping[str, Any], steps: int = 1) -> Any:
    trainable.setup(config, seed=1)
    for _ in range(steps):
        trainable.step()
    return trainable


def _weights(trainable: Any) -> Any:
    return {name: value.clone().numpy() for name, value in trainable.model.state_dict().items()}


def test_it_keeps_its_promises_with_steps_that_end_within_epochs(make: Any) -> None:
    factory = functools.partial(make, arguments={"lr_scheduler_type": "linear"})
    check_trainable(factory, SPACE, steps=1, state=_weights)  # a step is 3 of the 5 batches of an epoch


def test_it_keeps_its_promises_with_steps_of_an_epoch(make: Any) -> None:
    check_trainable(
        functools.partial(make, updates=None, bindings=ONLY_LR), Space(lr=Float(1e-3, 1e-1, log=True)), steps=1
    )


def test_every_update_is_made_under_the_values_of_its_config_in_all_groups(make: Any, tmp_path: Path) -> None:
    watch = Watch()
    parent = _stepped(make(callbacks=[watch]), CONFIG)
    parent.save(tmp_path)
    child = make(callbacks=[watch])
    child.load(tmp_path)
    child.apply({**CONFIG, "lr": 0.002, "decay": 0.25})
    child.step()
    assert watch.seen == [(0.01, 0.01)] * 3 + [(0.002, 0.002)] * 3
    assert child.applied() == {**CONFIG, "lr": 0.002, "decay": 0.25}
    assert child.figures().keys() == {"train_loss"}


def test_weight_decay_leaves_biases_and_norms_alone(make: Any) -> None:
    decays = []

    class Look(TrainerCallback):
        def on_optimizer_step(self, *_: Any, **live: Any) -> None:
            decays.append([group["weight_decay"] for group in live["optimizer"].param_groups])

    _stepped(make(callbacks=[Look()]), CONFIG)
    assert decays == [[0.5, 0.0]] * 3


def test_a_rate_under_a_schedule_keeps_its_horizon_over_the_steps(make: Any) -> None:
    watch = Watch()
    trainable = _stepped(
        make(callbacks=[watch], bindings=ONLY_LR, arguments={"lr_scheduler_type": "linear"}), {"lr": 0.06}, 2
    )
    trainable.apply({"lr": 0.6})
    trainable.step()
    factors = [(60 - update) / 60 for update in range(9)]
    wanted = [0.06 * factor for factor in factors[:6]] + [0.6 * factor for factor in factors[6:]]
    assert [rates[0] for rates in watch.seen] == pytest.approx(wanted)


def test_a_value_that_is_never_read_is_an_error_before_the_first_update(make: Any) -> None:
    def put(parts: TransformersParts, value: float) -> None:
        parts.trainer.args.learning_rate = value

    def rate(parts: TransformersParts) -> Any:
        assert parts.optimizer is not None
        return parts.optimizer.param_groups[0]["lr"]

    watch = Watch()
    wrong = Setter(put, rate)
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected lr=0\.1, but the live value is 5e-05"):
        _stepped(make(callbacks=[watch], bindings={"lr": wrong}), {"lr": 0.1})
    assert watch.seen == []


def test_a_value_that_a_callback_writes_over_is_an_error_at_the_end_of_the_segment(make: Any) -> None:
    class Meddling(TrainerCallback):
        def on_step_end(self, *_: Any, **live: Any) -> None:
            for group in live["optimizer"].param_groups:
                group["betas"] = (0.1, 0.999)

    factory = functools.partial(make, callbacks=[Meddling()], bindings={"beta": BINDINGS["beta"]})
    with pytest.raises(HyperparameterNotAppliedError, match=r"beta was set to .* live value is 0\.1: something writes"):
        run(Optimizer(Space(beta=Float(0.5, 0.9)), population=1, steps=1), factory, progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bindings": {**BINDINGS, "lr": OptimizerField("lr")}}, "LambdaLR writes over that at each of its steps"),
        ({"bindings": {**BINDINGS, "clip": ArgumentField("learning_rate")}}, "must be 'max_grad_norm' or"),
        ({"bindings": {**BINDINGS, "clip": ArgumentField("label_smoothing_factor")}}, "made with label smoothing"),
        ({"bindings": ONLY_LR}, "no binding for the hyperparameters"),
        ({"monitor": "loss"}, r"monitor='loss' must be one of .*, got \['eval_loss', 'train_loss'\]"),
        ({"arguments": {"save_only_model": True}}, "save_only_model must be False, got True"),
        (
            {"arguments": {"max_steps": 2}, "updates": 2},
            "must allow for all .* max_steps=2, of which 2",
        ),
    ],
)
def test_mistakes_of_the_set_up_are_named(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _stepped(make(**changes), CONFIG, 2)


def test_label_smoothing_is_tuned_where_the_trainer_reads_it(make: Any) -> None:
    trainable = make(
        bindings={"smoothing": ArgumentField("label_smoothing_factor")}, arguments={"label_smoothing_factor": 0.1}
    )
    assert _stepped(trainable, {"smoothing": 0.3}).applied() == {"smoothing": 0.3}


def test_a_model_that_diverges_scores_nan(make: Any) -> None:
    trainable = make(bindings=ONLY_LR, arguments={"optim": "sgd", "max_grad_norm": 0})
    trainable.setup({"lr": 1e30}, seed=1)
    assert np.isnan([trainable.step() for _ in range(2)]).any()


def test_a_run_leaves_nothing_on_the_screen_and_only_the_checkpoints_that_are_needed(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    optimizer = Optimizer(SPACE, population=3, steps=2, seed=0)
    with CheckpointStore(tmp_path / "store", durable=False) as store:
        run(optimizer, make, store=store, progress=False)
        kept = {int(path.name.removeprefix("trial-")) for path in (tmp_path / "store").glob("trial-*")}
    assert optimizer.best.trial.id in kept
    assert len(kept) <= 3 < len(optimizer.records)
    assert list((tmp_path / "tmp").iterdir()) == []
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_using_it_before_set_up_or_after_close_says_so(make: Any) -> None:
    trainable = make()
    for use in (trainable.step, trainable.score, trainable.applied, lambda: trainable.model):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            use()
