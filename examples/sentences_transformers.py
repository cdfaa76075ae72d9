"""Tunes a small BERT on sentences with Hugging Face Transformers, and tests the best model once.

    python examples/sentences_transformers.py [TABLE.tsv] [--small] [--workers 2]

Each line of TABLE has a label, 0 or 1, a tab and a sentence. Without it, the program generates sentences. The model
starts from random weights, and checksums turn words into numbers, so nothing is downloaded. The score is the accuracy
on a fifth of the sentences; another fifth is used for testing once, at the end.
"""

import argparse
import functools
import random
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from gpbt import Float, Optimizer, Result, Space, run
from gpbt.transformers import ArgumentField, ModuleField, ScheduledRate, TransformersTrainable, WeightDecay

SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True),
    weight_decay=Float(1e-4, 1, log=True),
    dropout=Float(0, 0.5),
    clip=Float(0.1, 10, log=True),
)

Sentences = list[dict[str, Any]]

LENGTH, WORDS = 12, 1000


def made_up(count: int) -> list[tuple[int, str]]:
    """Makes weather reports; the label says whether the weather is good."""
    rng = random.Random(0)  # noqa: S311 - not for cryptography
    words = {1: ("sunny", "warm", "clear", "calm"), 0: ("rainy", "cold", "foggy", "stormy")}
    reports = []
    for _ in range(count):
        label = rng.randrange(2)
        day = rng.choice(("monday", "tuesday", "today", "tomorrow"))
        reports.append((label, f"{day} will be {rng.choice(words[label])} and {rng.choice(words[label])}"))
    return reports


@functools.cache  # once per process, for any number of models
def read(table: Path | None) -> tuple[Sentences, Sentences, Sentences]:
    """Reads the sentences, pads them with zeros, and splits them into training, validation and test, 3 to 1 to 1."""
    if table is None:
        pairs = made_up(500)
    else:
        lines = [line.partition("\t") for line in table.read_text(encoding="utf-8").splitlines()]
        pairs = [(int(label), text) for label, _, text in lines]
    data = []
    for label, text in pairs:
        words = [1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in text.split()[:LENGTH]]
        ids = torch.tensor(words + [0] * (LENGTH - len(words)))
        data.append({"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": label})
    fifth = len(data) // 5
    return data[2 * fifth :], data[:fifth], data[fifth : 2 * fifth]


def accuracy(predictions: Any) -> dict[str, float]:
    """The share of sentences that the model classifies correctly."""
    return {"accuracy": float((predictions.predictions.argmax(1) == predictions.label_ids).mean())}


def trainer(table: Path | None, max_steps: int) -> Trainer:
    """Makes the Trainer, the same as without gpbt."""
    train, valid, _ = read(table)
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LENGTH,
    )
    return Trainer(
        model=BertForSequenceClassification(config),
        args=TrainingArguments(
            output_dir=tempfile.gettempdir(),  # nothing is written there
            max_steps=max_steps,
            per_device_train_batch_size=16,
            lr_scheduler_type="constant",
            use_cpu=True,
            report_to="none",
        ),
        train_dataset=train,
        eval_dataset=valid,
        compute_metrics=accuracy,
    )


def trainable(table: Path | None, updates: int, max_steps: int) -> TransformersTrainable:
    """Makes the trainable."""
    return TransformersTrainable(
        trainer=lambda _: trainer(table, max_steps),
        monitor="eval_accuracy",
        updates=updates,
        bindings={
            "lr": ScheduledRate(),
            "weight_decay": WeightDecay(),
            "dropout": ModuleField("p", nn.Dropout),
            "clip": ArgumentField("max_grad_norm"),
        },
    )


def main(arguments: Sequence[str] | None = None) -> Result:
    """Runs the search and prints the best model's accuracy and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", help="labels and sentences; by default, generated ones")
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8, help="steps per model")
    parser.add_argument("--updates", type=int, default=20, help="updates of the optimizer per step")
    parser.add_argument("--small", action="store_true", help="3 models, 3 steps, to try it out")
    parser.add_argument("--workers", type=int, default=None, help="processes to train in; by default, this one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    population, steps = (3, 3) if options.small else (options.population, options.steps)

    optimizer = Optimizer(SPACE, population=population, steps=steps, direction="maximize", seed=options.seed)
    factory = functools.partial(trainable, options.table, options.updates, steps * options.updates)
    result = run(optimizer, factory, workers=options.workers)

    best = result.restore()
    assert isinstance(best, TransformersTrainable)
    _, _, test = read(options.table)
    with torch.no_grad():
        batch = {name: torch.stack([sentence[name] for sentence in test]) for name in ("input_ids", "attention_mask")}
        found = best.model.eval()(**batch).logits.argmax(1)
    tested = float((found == torch.tensor([sentence["labels"] for sentence in test])).float().mean())
    print(f"accuracy: {result.best.score:.4f} on the validation sentences, {tested:.4f} on the test sentences")
    for segment in result.schedule.segments:
        values = ", ".join(f"{name}={value:.3g}" for name, value in segment.config.items())
        print(f"  steps {segment.start_step} to {segment.start_step + segment.steps}: {values}")
    return result


if __name__ == "__main__":
    main()
