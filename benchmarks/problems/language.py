"""A small language model by PyTorch: the next character of the source text of Python's own standard library.

The text is that of the Python that runs it, so results of two versions of Python differ; the version is in each line of
results.
"""

import sysconfig
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from benchmarks.problem import Direction, Options
from benchmarks.problems.network import INITIAL, TRAINING, Network, after, drawn, resume
from gpbt_core.space import Float, Int, Space

__all__ = ["LanguageModel", "Texts", "language_model", "language_model_narrow", "library_text"]

CONTEXT = 64
"""Characters that a prediction may look back on."""

LETTERS = "\n" + "".join(map(chr, range(32, 127)))  # any other character is read as the last of them
_UPDATES = 50
_LAYERS, _HEADS = 2, 4
_CHUNK = 64  # stretches scored at a time
_SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True),
    weight_decay=Float(1e-4, 1, log=True),
    one_minus_beta2=Float(1e-4, 1e-1, log=True),
    dropout=Float(0, 0.5),
    batch_size=Int(4, 32, log=True),
)


@attrs.frozen(kw_only=True, eq=False)
class Texts:
    """Letters as their places in `LETTERS`, int64, each of shape (characters,); no file is in two of them."""

    train: torch.Tensor
    valid: torch.Tensor
    test: torch.Tensor


@attrs.frozen(kw_only=True, eq=False)
class LanguageModel:
    """A decoder of two layers with causal attention, trained by AdamW; the score is the mean NLL of a character.

    Attributes:
        data: The three texts.
        width: Of the layers, a multiple of 4.
        updates: Per step.
        models: Number of models in the default budget.
        steps: Steps per model in the default budget.
        space: AdamW's hyperparameters, dropout, and the stretches of text per update.
    """

    data: Texts
    width: int
    updates: int = _UPDATES
    models: int
    steps: int
    direction: Direction = "minimize"
    space: Space = _SPACE
    rate: str = "lr"

    def start(self, seed: int) -> Network:
        """Initial weights, drawn from the seed."""
        with drawn(seed, INITIAL, 0):
            return Network(seed=seed, weights=_Decoder(self.width, 0.0).state_dict())

    def train(self, state: Network, config: Mapping[str, Any]) -> tuple[Network, float]:
        """Fifty updates on stretches from anywhere in the training text, then the NLL on the validation text."""
        module = _Decoder(self.width, config["dropout"])
        optimizer = torch.optim.AdamW(module.parameters())
        resume(
            state,
            module,
            optimizer,
            lr=config["lr"],
            betas=(0.9, 1 - config["one_minus_beta2"]),
            weight_decay=config["weight_decay"],
        )
        module.train()
        offsets = torch.arange(CONTEXT + 1)
        with drawn(state.seed, TRAINING, state.step):
            for _ in range(self.updates):
                begins = torch.randint(len(self.data.train) - CONTEXT, (config["batch_size"], 1))
                optimizer.zero_grad()
                torch.autograd.backward(_nll(module, self.data.train[begins + offsets]))
                nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
        return after(state, module, optimizer), _measure(module, self.data.valid)

    def test(self, state: Network) -> float:
        """The NLL on the test text."""
        module = _Decoder(self.width, 0.0)
        module.load_state_dict(state.weights)
        return _measure(module, self.data.test)


def language_model(options: Options) -> LanguageModel:
    """A width of 64; a million characters to train, 16000 to validate, 64000 to test."""
    if options.smoke:
        return LanguageModel(
            data=library_text(20_000, 2_000, 2_000), width=16, updates=5, models=4, steps=options.steps
        )
    return LanguageModel(data=library_text(1_000_000, 16_000, 64_000), width=64, models=8, steps=options.length or 20)


def language_model_narrow(options: Options) -> LanguageModel:
    """The same with a quarter of the width."""
    problem = language_model(options)
    return attrs.evolve(problem, width=problem.width // 4)


def library_text(train: int, valid: int, test: int) -> Texts:
    """The first characters of each part of the library's top-level modules; a module's name decides its part.

    Raises:
        FileNotFoundError: The library's source text is not installed, or is shorter.
    """
    place = Path(sysconfig.get_paths()["stdlib"])
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for path in sorted(place.glob("*.py")):
        digest = zlib.crc32(path.name.encode()) % 10
        parts["valid" if digest == 0 else "test" if digest == 1 else "train"].append(
            path.read_text(encoding="utf-8", errors="replace")
        )
    codes = torch.full((128,), len(LETTERS) - 1)
    codes[torch.tensor([ord(letter) for letter in LETTERS])] = torch.arange(len(LETTERS))
    found = {}
    for (name, texts), wanted in zip(parts.items(), (train, valid, test), strict=True):
        text = "".join(texts)[:wanted]
        if len(text) < wanted:
            raise FileNotFoundError(
                f"language-model: needs {wanted} characters of the standard library's source text to {name} in "
                f"{place}, found {len(text)}; run it by a Python that is installed with its sources"
            )
        found[name] = codes[torch.tensor(list(text.encode("ascii", errors="replace")))]
    return Texts(**found)


class _Decoder(nn.Module):
    """Letters and places to vectors, layers of attention and perceptron on a normalized residual stream, and back."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), width)
        self.places = nn.Embedding(CONTEXT, width)
        self.layers = nn.ModuleList(_Layer(width, dropout) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(width)
        self.dropout = dropout
        for table in (self.letters, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Logits of the next letter, (rows, length, letters), of texts (rows, length)."""
        x = self.letters(text) + self.places.weight[: text.shape[1]]
        x = nn.functional.dropout(x, self.dropout, self.training)
        for layer in self.layers:
            x = layer(x)
        return nn.functional.linear(self.norm(x), self.letters.weight)


class _Layer(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, width = x.shape
        parts = self.attention(self.before(x)).view(rows, length, 3, _HEADS, width // _HEADS).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
        seen = self.mixed(seen.transpose(1, 2).reshape(rows, length, width))
        x = x + nn.functional.dropout(seen, self.dropout, self.training)
        thought = self.narrow(nn.functional.gelu(self.wide(self.between(x))))
        return x + nn.functional.dropout(thought, self.dropout, self.training)


def _nll(module: nn.Module, stretches: torch.Tensor) -> torch.Tensor:
    """The mean NLL of all letters but the first of each stretch, shape (rows, length + 1)."""
    logits = module(stretches[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1), stretches[:, 1:].flatten())


@torch.no_grad()
def _measure(module: nn.Module, text: torch.Tensor) -> float:
    torch.set_num_threads(1)
    module.eval()
    stretches = text[: len(text) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
    losses = [float(_nll(module, part)) * len(part) for part in torch.split(stretches, _CHUNK)]
    return sum(losses) / len(stretches)
