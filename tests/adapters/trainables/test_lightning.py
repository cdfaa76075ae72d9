import functools
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.trainables.lightning import (
    BatchSize,
    DataField,
    HParam,
    LightningParts,
    LightningTrainable,
    ModuleField,
    Nth,
    OptimizerField,
    ScheduledRate,
    Setter,
)
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.space import Float, Int, Space

INPUTS = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(INPUTS, (INPUTS[:, 0] > 0).long())
CPU: dict[str, Any] = {"accelerator": "cpu", "devices": 1}
CONFIG = {"lr": 0.05, "dropout": 0.1, "alpha": 0.5, "batch_size": 8, "noise": 0.2}
SPACE = Space(
    lr=Float(1e-3, 1e-1, log=True),
    dropout=Float(0, 0.6),
    alpha=Float(0.1, 1),
    batch_size=Int(4, 32),
    noise=Float(0, 0.5),
)


class Net(pl.LightningModule):
    """Records the rates and batch sizes that its steps see."""

    def __init__(self, alpha: float = 1.0) -> None:  # noqa: ARG002 - save_hyperparameters reads it
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
        self.seen: list[tuple[float, int]] = []

    def training_step(self, batch: Any, number: int) -> torch.Tensor:  # noqa: ARG002 - Lightning's signature
        inputs, targets = batch
        self.seen.append((self.trainer.optimizers[0].param_groups[0]["lr"], len(inputs)))
        loss: torch.Tensor = self.hparams["alpha"] * nn.functional.cross_entropy(self.layers(inputs), targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:  # noqa: ARG002 - as above
        self.log("loss", nn.functional.cross_entropy(self.layers(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1.0)


class Data(pl.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 16
        self.noise = 0.0

    def train_dataloader(self) -> Any:
        inputs, targets = DATA.tensors
        noisy = inputs + self.noise * torch.randn(inputs.shape)
        return DataLoader(TensorDataset(noisy, targets), batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(DATA, batch_size=32)


BINDINGS: dict[str, Any] = {
    "lr": OptimizerField("lr"),
    "dropout": ModuleField("p", nn.Dropout),
    "alpha": HParam("alpha"),
    "batch_size": BatchSize(),
    "noise": DataField("noise"),
}
ONLY_LR = {"lr": BINDINGS["lr"]}


def _make(**changes: Any) -> LightningTrainable:
    usual: dict[str, Any] = {
        "model": lambda _: Net(),
        "data": Data,
        "monitor": "loss",
        "bindings": BINDINGS,
        "trainer": CPU,
    }
    return LightningTrainable(**{**usual, **changes})


def _stepped(config: Mapping[str, Any], steps: int = 1, **changes: Any) -> LightningTrainable:
    trainable = _make(**changes)
    trainable.setup(config, seed=1)
    for _ in range(steps):
        trainable.step()
    return trainable


def _weights(trainable: Any) -> Any:
    return {name: value.numpy() for name, value in trainable.module.state_dict().items()}


def _loaders() -> tuple[Any, Any]:
    train = DataLoader(DATA, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(5))
    return train, DataLoader(DATA, batch_size=48)


def test_it_keeps_its_promises() -> None:
    check_trainable(_make, SPACE, state=_weights)


class Warm(Net):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0, momentum=0.9)
        schedule = LambdaLR(optimizer, lambda call: min(1.0, (call + 1) / 8))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def test_it_keeps_its_promises_with_a_scheduler_callbacks_with_a_state_and_a_loader_with_its_own_generator() -> None:
    def trainer() -> pl.Trainer:
        quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        stopping = EarlyStopping("loss", patience=1)
        return pl.Trainer(**CPU, **quiet, enable_model_summary=False, max_epochs=30, callbacks=[stopping])

    check_trainable(
        functools.partial(
            _make, model=lambda _: Warm(), data=_loaders, trainer=trainer, bindings={"lr": ScheduledRate()}
        ),
        Space(lr=Float(1e-3, 1e-1, log=True)),
        state=_weights,
    )


def test_every_batch_is_trained_under_the_values_of_its_config() -> None:
    trainable = _stepped(CONFIG)
    module = trainable.module
    assert isinstance(module, Net)
    assert module.seen == [(0.05, 8)] * 6
    trainable.apply({**CONFIG, "lr": 0.01, "batch_size": 24})
    trainable.step()
    assert module.seen[6:] == [(0.01, 24)] * 2
    assert trainable.applied() == {**CONFIG, "lr": 0.01, "batch_size": 24}
    assert trainable.figures().keys() == {"train_loss"}


def test_a_loaded_child_trains_under_its_own_values_and_not_under_those_that_lightning_restores(tmp_path: Path) -> None:
    _stepped(CONFIG).save(tmp_path)
    child = _make()
    child.load(tmp_path)
    child.apply({**CONFIG, "lr": 0.002})
    child.step()
    module = child.module
    assert isinstance(module, Net)
    assert module.seen == [(0.002, 8)] * 6
    assert child.applied()["lr"] == 0.002


def test_a_value_that_lightning_never_reads_is_an_error_before_the_first_batch() -> None:
    def put(parts: LightningParts, value: float) -> None:
        parts.trainer.optimizers[0].defaults["lr"] = value

    wrong = Setter(put, lambda parts: parts.trainer.optimizers[0].param_groups[0]["lr"])
    trainable = _make(bindings={"lr": wrong})
    trainable.setup({"lr": 0.1}, seed=1)
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected lr=0\.1, but the live value is 1\.0"):
        trainable.step()
    module = trainable.module
    assert isinstance(module, Net)
    assert module.seen == []


class Decaying(Net):
    def on_train_batch_end(self, *_: Any) -> None:
        self.trainer.optimizers[0].param_groups[0]["lr"] *= 0.9


def test_a_value_that_training_writes_over_is_an_error_at_the_end_of_the_segment() -> None:
    factory = functools.partial(_make, model=lambda _: Decaying(), bindings=ONLY_LR)
    with pytest.raises(HyperparameterNotAppliedError, match=r"lr was set to .*, but after 1 step of training"):
        run(Optimizer(Space(lr=Float(0.01, 0.1)), population=1, steps=1), factory, progress=False)


def test_a_rate_under_a_scheduler_is_refused() -> None:
    with pytest.raises(ConfigError, match="LambdaLR writes over that at each of its steps"):
        _stepped({"lr": 0.1}, model=lambda _: Warm(), bindings=ONLY_LR)


class Cycle(Net):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        updates = int(self.trainer.estimated_stepping_batches)
        self.horizons = [*getattr(self, "horizons", []), updates]
        return [optimizer], [OneCycleLR(optimizer, 0.1, updates, cycle_momentum=False)]


def test_the_horizon_of_a_scheduler_is_that_of_the_whole_line() -> None:
    trainable = _stepped(
        {"dropout": 0.1},
        2,
        model=lambda _: Cycle(),
        bindings={"dropout": BINDINGS["dropout"]},
        trainer={**CPU, "max_epochs": 4},
    )
    module = trainable.module
    assert isinstance(module, Cycle)
    assert module.horizons == [12, 12]
    trainable.step()
    trainable.step()
    with pytest.raises(ConfigError, match=r"a step must train epochs=1, got 0: .*max_epochs=4 \(after 4 steps"):
        trainable.step()


def test_a_step_of_several_epochs_trains_them_all() -> None:
    trainable = _stepped(CONFIG, epochs=3)
    module = trainable.module
    assert isinstance(module, Net)
    assert len(module.seen) == 18


def test_two_processes_train_one_model_and_agree_with_themselves(tmp_path: Path) -> None:
    parallel: dict[str, Any] = {"trainer": {**CPU, "devices": 2, "strategy": "ddp_fork"}}
    trainable = _stepped({**CONFIG, "lr": 0.01}, **parallel)
    trainable.save(tmp_path)
    score = trainable.step()
    child = _make(**parallel)
    child.load(tmp_path)
    child.apply({**CONFIG, "lr": 0.01})
    assert child.step() == score != _stepped({**CONFIG, "lr": 0.01}, 2).score()
    np.testing.assert_equal(_weights(child), _weights(trainable))
    assert child.applied()["lr"] == 0.01


def test_a_mistake_that_another_process_finds_is_the_error_that_it_would_be_in_this_one() -> None:
    with pytest.raises(ConfigError, match="bound to the field 'speed'"):
        _stepped(
            {"lr": 0.1},
            bindings={"lr": OptimizerField("speed")},
            trainer={**CPU, "devices": 2, "strategy": "ddp_fork"},
        )


def test_processes_that_would_run_the_whole_script_again_are_refused() -> None:
    with pytest.raises(ConfigError, match='pass strategy="ddp_fork"'):
        _stepped(CONFIG, trainer={**CPU, "devices": 2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer": {"callbacks": [EarlyStopping("loss")]}}, r"must be plain values, got objects in \['callbacks'\]"),
        ({"data": Data()}, "data must be a function, got a Data"),
        ({"trainer": {**CPU, "max_steps": 9}}, "a step must train whole epochs, got a Trainer with max_steps=9"),
        (
            {"monitor": "los"},
            r"monitor='los' must be one of the metrics that each validation has, got \['loss', 'train_loss'\]",
        ),
        ({"bindings": {**BINDINGS, "noise": DataField("noize")}}, "a data module with the attribute 'noize', got Data"),
        ({"bindings": {**BINDINGS, "alpha": HParam("beta")}}, r"hparams must have 'beta', got \['alpha'\]"),
        ({"bindings": {**BINDINGS, "lr": Nth(1, OptimizerField("lr"))}}, r"must be 0 \.\. 0, got 1"),
        ({"bindings": ONLY_LR}, "no binding for the hyperparameters"),
        ({"data": _loaders}, "Net must have an attribute batch_size"),
    ],
)
def test_mistakes_of_the_set_up_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _stepped(CONFIG, **changes)


def test_a_batch_size_that_the_loader_does_not_take_is_an_error() -> None:
    class Deaf(Data):
        def train_dataloader(self) -> Any:
            return DataLoader(DATA, batch_size=16)

    with pytest.raises(HyperparameterNotAppliedError, match="expected batch_size=8, but the live value is 16"):
        _stepped(CONFIG, data=Deaf)


class Two(Net):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        loss = super().training_step(batch, number)
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()
        return loss

    def configure_optimizers(self) -> Any:
        halves = [self.layers[:2].parameters(), self.layers[2:].parameters()]
        return [torch.optim.SGD(half, lr=1.0) for half in halves]


def test_each_of_several_optimizers_has_its_own_rate() -> None:
    bindings = {"early": OptimizerField("lr"), "late": Nth(1, OptimizerField("lr"))}
    trainable = _stepped({"early": 0.1, "late": 0.02}, 2, model=lambda _: Two(), bindings=bindings)
    assert trainable.applied() == {"early": 0.1, "late": 0.02}


def test_a_model_that_diverges_scores_nan() -> None:
    trainable = _make(bindings=ONLY_LR)
    trainable.setup({"lr": 1e30}, seed=1)
    assert any(np.isnan(trainable.step()) for _ in range(3))


def test_the_sanity_check_does_not_count(tmp_path: Path) -> None:
    def checked() -> pl.Trainer:
        return pl.Trainer(
            **CPU,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_epochs=2,
            num_sanity_val_steps=1,
            check_val_every_n_epoch=2,
        )

    with pytest.raises(ConfigError, match=r"must be one of the metrics that each validation has, got \['train_loss'\]"):
        _stepped(CONFIG, trainer=checked)
    assert not list(tmp_path.iterdir())


def test_a_run_leaves_nothing_on_the_screen_and_only_the_checkpoints_that_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    optimizer = Optimizer(SPACE, population=3, steps=2, seed=0)
    with CheckpointStore(tmp_path / "store", durable=False) as store:
        result = run(optimizer, _make, store=store, progress=False)
        kept = {int(path.name.removeprefix("trial-")) for path in (tmp_path / "store").glob("trial-*")}
    assert optimizer.best.trial.id in kept
    assert len(kept) <= 3 < len(optimizer.records)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert result.optimizer.finished
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_ctrl_c_is_not_turned_into_the_end_of_the_program() -> None:
    class Interrupted(Net):
        def training_step(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        _stepped(CONFIG, model=lambda _: Interrupted())
    assert signal.getsignal(signal.SIGINT) is before


def test_using_it_before_set_up_or_after_close_says_so() -> None:
    trainable = _make()
    for use in (trainable.step, trainable.score, trainable.applied, lambda: trainable.module):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            use()
