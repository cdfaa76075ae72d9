"""What the programs tune: a Lightning module with its data, a Trainer of Transformers, an environment of Gymnasium."""

from typing import Any

import gymnasium
import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

CPU = {"accelerator": "cpu", "devices": 1}
ROLLOUTS: dict[str, Any] = {"n_steps": 64, "batch_size": 64, "device": "cpu"}


class Digits(pl.LightningDataModule):
    """The digits of scikit-learn."""

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size
        pixels, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
        data = TensorDataset(pixels.float() / 16, labels.long())
        self.train, self.valid = torch.utils.data.random_split(data, [800, 997], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> Any:
        """Those to train on."""
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        """Those to score on."""
        return DataLoader(self.valid, batch_size=997)


class Net(pl.LightningModule):
    """A network with one hidden layer."""

    def __init__(self, lr: float = 1e-3, dropout: float = 0.2) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10))

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """The loss of a batch."""
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: Any, _: int) -> None:
        """Logs the accuracy."""
        self.log("val_acc", (self.layers(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def make_model(_: Any = None) -> Any:
    """A tiny BERT with random weights."""
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    return BertForSequenceClassification(BertConfig(vocab_size=32, max_position_embeddings=8, **shape))


def make_trainer(config: Any = None, *, folder: str = "out", **arguments: Any) -> Trainer:  # noqa: ARG001 - as gpbt calls it
    """A Trainer on sequences of which a token's frequency is to be told."""
    tokens = torch.randint(2, 30, (80, 6), generator=torch.Generator().manual_seed(0))
    data: Any = [{"input_ids": row, "labels": int((row < 10).sum() > 2)} for row in tokens]
    usual: dict[str, Any] = {"max_steps": 40, "lr_scheduler_type": "constant", "use_cpu": True, "report_to": "none"}
    return Trainer(
        model_init=arguments.pop("model_init", None),
        model=None if "eval_strategy" in arguments else make_model(),
        args=TrainingArguments(folder, **{**usual, **arguments}),
        train_dataset=data[:60],
        eval_dataset=data[60:],
    )


def make_env() -> gymnasium.Env[Any, Any]:
    """A cart that balances a pole."""
    return gymnasium.make("CartPole-v1")
