"""The problems by name; each builds itself when asked, heavy imports and data included."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from benchmarks.problem import Options, Problem

__all__ = ["PROBLEMS", "Offer"]


@attrs.frozen
class Offer:
    """A problem that can be built.

    Attributes:
        summary: One line for listings.
        place: The location of its builder: a module of this package, a colon, and a function of `Options`.
    """

    summary: str
    place: str

    def build(self, options: Options) -> Problem:
        """Builds the problem; imports its module only on this call."""
        module, name = self.place.split(":")
        problem: Problem = getattr(importlib.import_module(f"{__name__}.{module}"), name)(options)
        return problem


PROBLEMS: Mapping[str, Offer] = MappingProxyType(
    {
        "nqm": Offer("the noisy quadratic model, exact; -log10 expected loss", "quadratic:noisy_quadratic"),
        "short-horizon": Offer(
            "a noisy quadratic in which the greedy schedule is a trap; -log10 expected loss", "quadratic:short_horizon"
        ),
        "linear-regression": Offer(
            "linear regression by SGD, exact; -log10 expected excess loss", "regression:linear_regression"
        ),
        "triangle": Offer("the example problem of Ray's PBT: the best rate is a triangle wave", "triangle:triangle"),
        "triangle-shared": Offer("the same with one noise for all models of a seed", "triangle:triangle_shared"),
        "toy-plain": Offer("a toy on which greed is right", "toys:toy_plain"),
        "toy-deceptive": Offer("a toy on which greed is a trap", "toys:toy_deceptive"),
        "digits-mlp": Offer("digits, one hidden layer of 32, Adam; NLL", "digits:digits_mlp"),
        "digits-mlp-quarter": Offer("the same on a quarter of the training rows; NLL", "digits:digits_mlp_quarter"),
        "digits-mlp-mixed": Offer(
            "digits with activation, optimizer and batch size among the HPs, too; NLL", "digits:digits_mlp_mixed"
        ),
        "fmnist-mlp-log": Offer(
            "Fashion-MNIST 14x14, one hidden layer of 64, log scales; accuracy", "fashion:fashion_mlp_log"
        ),
        "fmnist-mlp-log-quarter": Offer(
            "the same on a quarter of the training rows; accuracy", "fashion:fashion_mlp_quarter"
        ),
        "fmnist-mlp-wide": Offer(
            "all rows again, on uniform scales, weight decay from 0; accuracy", "fashion:fashion_mlp_wide"
        ),
        "fmnist-lenet": Offer("Fashion-MNIST, all of it, LeNet by PyTorch; accuracy", "lenet:lenet"),
        "fmnist-lenet-subset": Offer("the same on 10000 training images; accuracy", "lenet:lenet_subset"),
        "fmnist-cnn": Offer(
            "Fashion-MNIST 14x14, a small convolutional network with augmentation and label smoothing; accuracy",
            "convolutional:convolutional",
        ),
        "fmnist-cnn-quarter": Offer(
            "the same on a quarter of the training rows; accuracy", "convolutional:convolutional_quarter"
        ),
        "language-model": Offer(
            "the next character of Python's standard library, a small decoder; NLL", "language:language_model"
        ),
        "language-model-narrow": Offer("the same with a quarter of the width; NLL", "language:language_model_narrow"),
        "cartpole-ppo": Offer("CartPole by stable-baselines3's PPO, noisy; mean return", "cartpole:cartpole"),
        "friedman-gb": Offer("make_friedman1, gradient boosting; R2", "boosting:friedman"),
        "diabetes-gb": Offer("diabetes, gradient boosting; R2", "boosting:diabetes"),
        "sgd-linear": Offer("digits, a linear model by SGDClassifier; NLL", "linear:linear"),
        "tsp-annealing": Offer("a travelling salesman's tour by annealing; relative length", "salesman:salesman"),
        "poisson-sor": Offer(
            "Poisson's equation by successive over-relaxation; log10 residual, which misleads", "poisson:poisson_sor"
        ),
        "poisson-sor-error": Offer("the same, scored by the true error", "poisson:poisson_sor_error"),
    }
)
