import functools
import math
import pickle
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset, random_split

from gpbt_adapters.running.driver import run
from gpbt_adapters.trainables.pytorch import (
    BatchSize,
    Fixed,
    ModuleField,
    OptimizerArgument,
    OptimizerField,
    Parts,
    ScheduledRate,
    StepValue,
    TorchTrainable,
    verify,
)
from gpbt_adapters.trainables.testing import check_trainable
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.space import Categorical, Float, Int, Space, When

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The same bits are promised on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 6, generator=generator)
    return TensorDataset(inputs, inputs[:, :3].argmax(dim=1))


def _net(config: Mapping[str, Any]) -> nn.Module:
    width = config.get("width", 8)
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 3))


def _adam(model: nn.Module, _: Mapping[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1.0)


def _score(parts: Parts) -> float:
    inputs, targets = _data().tensors
    return -float(nn.functional.cross_entropy(parts.model(inputs.to(parts.device)), targets.to(parts.device)))


BINDINGS: dict[str, Any] = {
    "lr": OptimizerField("lr"),
    "beta": OptimizerField("betas", index=0),
    "decay": OptimizerField("weight_decay"),
    "dropout": ModuleField("p", nn.Dropout),
    "smoothing": ModuleField("label_smoothing", nn.CrossEntropyLoss),
    "batch": BatchSize(),
}

SPACE = Space(
    lr=Float(1e-3, 1e-1, log=True),
    beta=Float(0.5, 0.99),
    decay=Float(0, 0.1),
    dropout=Float(0, 0.9),
    smoothing=Float(0, 0.5),
    batch=Int(3, 20),
)

CONFIG = {"lr": 0.01, "beta": 0.9, "decay": 0.01, "dropout": 0.5, "smoothing": 0.1, "batch": 8}


def _make(**options: Any) -> TorchTrainable:
    return TorchTrainable(
        **{
            "model": _net,
            "optimizer": _adam,
            "score": _score,
            "bindings": BINDINGS,
            "loader": lambda: DataLoader(_data(), batch_size=4, shuffle=True, drop_last=True),
            "loss": nn.CrossEntropyLoss(),
            **options,
        }
    )


def _live_state(trainable: TorchTrainable) -> Any:
    state = {name: tensor.detach().cpu().numpy() for name, tensor in trainable.parts.model.state_dict().items()}
    optimizer = trainable.parts.optimizer
    assert optimizer is not None
    moments = [tensor.numpy(force=True) for slots in optimizer.state.values() for tensor in slots.values()]
    return state, moments


def _sgd_or_adam(model: nn.Module, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    if config["kind"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=config["momentum"])
    return torch.optim.Adam(model.parameters(), lr=0.1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="epochs"),
        pytest.param({"updates": 5}, id="in the middle of an epoch"),
        pytest.param({"optimizer": lambda model, _: torch.optim.Adam(model.parameters(), amsgrad=True)}, id="amsgrad"),
        pytest.param({"autocast": torch.bfloat16}, id="autocast"),
        pytest.param({"autocast": torch.float16}, id="gradient scaler"),
        pytest.param({"compile": {"backend": "eager"}}, id="compiled"),
        pytest.param(
            {"loader": lambda: DataLoader(_data(), shuffle=True, generator=torch.Generator().manual_seed(3))},
            id="loader with a generator of its own",
        ),
        pytest.param(
            {
                "scheduler": lambda optimizer: LambdaLR(optimizer, lambda step: 0.9**step),
                "scheduler_every": "update",
                "bindings": {**BINDINGS, "lr": ScheduledRate()},
            },
            id="scheduler",
        ),
    ],
)
def test_it_keeps_the_promises_of_a_trainable(options: dict[str, Any], device: str) -> None:
    check_trainable(
        lambda: _make(device=device, **options),
        SPACE,
        state=_live_state,
        diverging={**CONFIG, "lr": 1e30, "decay": 0.1},
    )


class RandomFeatures(nn.Module):
    """Draws numbers that its state dict does not have."""

    features: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("features", torch.randn(6, 8), persistent=False)
        self.head = nn.Linear(8, 3)

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.head(torch.cos(inputs @ self.features))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"model": lambda _: RandomFeatures()}, id="a constant of the model"),
        pytest.param(
            {"loader": lambda: DataLoader(random_split(_data(), [30, 20])[0], batch_size=10)}, id="a split of the data"
        ),
    ],
)
def test_what_the_factories_drew_is_the_same_in_each_child(options: dict[str, Any]) -> None:
    bindings = {"lr": OptimizerField("lr")}
    check_trainable(lambda: _make(**options, bindings=bindings), [{"lr": 0.1}, {"lr": 0.01}], seed=5)


def _draw() -> tuple[float, ...]:
    """Draws from the global generators."""
    return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002, S311 - it is about these


def _noisy_step(parts: Parts) -> None:
    """Draws from every generator that a training may draw from."""
    assert parts.optimizer is not None
    for inputs, targets in parts.take():
        noise = sum(_draw()) + parts.rng.random()
        loss = nn.functional.cross_entropy(parts.model(inputs + noise * parts.config["noise"]), targets)
        parts.optimizer.zero_grad()
        torch.autograd.backward(loss)
        parts.optimizer.step()
    average: Any = parts.extras["average"]
    average.update_parameters(parts.model)


def _average(parts: Parts) -> dict[str, Any]:
    return {"average": torch.optim.swa_utils.AveragedModel(parts.model)}


def test_it_keeps_them_with_a_step_function_that_draws_from_every_generator() -> None:
    def state(trainable: TorchTrainable) -> Any:
        average: Any = trainable.parts.extras["average"]
        return _live_state(trainable), {name: value.numpy() for name, value in average.state_dict().items()}

    check_trainable(
        lambda: _make(step=_noisy_step, extras=_average, bindings={**BINDINGS, "noise": StepValue()}),
        [{"lr": 0.01, "noise": 0.3, "batch": 7}, {"lr": 0.1, "noise": 0.0, "batch": 11}],
        state=state,
    )


def test_it_keeps_them_when_the_kind_of_optimizer_changes_along_a_line() -> None:
    bindings = {
        "momentum": OptimizerField("momentum"),
        "lr": OptimizerField("lr"),
        "kind": OptimizerArgument(),
    }
    check_trainable(
        lambda: _make(optimizer=_sgd_or_adam, bindings=bindings),
        [{"lr": 0.1, "kind": "sgd", "momentum": 0.9}, {"lr": 0.01, "kind": "adam"}, {"lr": 0.2, "kind": "adam"}],
        state=_live_state,
    )


def test_conditional_hyperparameters_of_a_space_can_be_applied_in_any_order() -> None:
    space = Space(
        momentum=When(Float(0.0, 0.99), {"kind": ["sgd"]}), kind=Categorical(["adam", "sgd"]), lr=Float(0.01, 0.1)
    )
    bindings = {"momentum": OptimizerField("momentum"), "lr": OptimizerField("lr"), "kind": OptimizerArgument()}
    trainable = _make(optimizer=_sgd_or_adam, bindings=bindings)
    rng = np.random.default_rng(0)
    trainable.setup(space.sample(rng), 0)
    kinds = set()
    for _ in range(8):
        config = space.sample(rng)
        trainable.apply(config)
        assert trainable.applied() == config
        kinds.add(type(trainable.parts.optimizer).__name__)
    assert kinds == {"SGD", "Adam"}


def test_workers_that_load_data_change_no_bit() -> None:
    scores = []
    for workers in (0, 2):
        trainable = _make(loader=lambda n=workers: DataLoader(_data(), batch_size=4, shuffle=True, num_workers=n))
        trainable.setup(CONFIG, seed=0)
        scores.append([trainable.step(), trainable.step()])
    assert scores[0] == scores[1]


def test_the_process_own_generators_are_as_before_afterwards(tmp_path: Path) -> None:
    def seed() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - it is about this one
        torch.manual_seed(1)

    seed()
    wanted = _draw()
    seed()
    trainable = _make(step=_noisy_step, extras=_average, bindings={"lr": OptimizerField("lr"), "noise": StepValue()})
    trainable.setup({"lr": 0.1, "noise": 1.0}, seed=0)
    trainable.step()
    trainable.save(tmp_path)
    trainable.load(tmp_path)
    assert _draw() == wanted


def _train_child(path: Path, config: dict[str, Any], **options: Any) -> TorchTrainable:
    child = _make(**options)
    child.load(path)
    child.apply(config)
    child.step()
    return child


def test_a_restored_checkpoint_does_not_overwrite_the_childs_values(tmp_path: Path) -> None:
    parent = _make()
    parent.setup(CONFIG, seed=0)
    parent.step()
    parent.save(tmp_path)
    config = {"lr": 0.002, "beta": 0.6, "decay": 0.05, "dropout": 0.2, "smoothing": 0.3, "batch": 16}
    child = _make()
    child.load(tmp_path)
    assert child.applied() == CONFIG  # the trap: that is what a restored optimizer brings back
    child.apply(config)
    optimizer, modules = child.parts.optimizer, list(child.parts.model.modules())
    assert optimizer is not None
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.002, (0.6, 0.999), 0.05)
    assert [module.p for module in modules if isinstance(module, nn.Dropout)] == [0.2]
    assert child.applied() == config


def test_the_optimizer_state_is_kept_or_reset_as_told(tmp_path: Path) -> None:
    parent = _make()
    parent.setup(CONFIG, seed=0)
    parent.step()
    parent.save(tmp_path)
    kept, reset = _make(), _make(optimizer_state="reset")
    for child in (kept, reset):
        child.load(tmp_path)
        child.apply(CONFIG)
    assert kept.parts.optimizer is not None
    assert reset.parts.optimizer is not None
    assert len(kept.parts.optimizer.state) == len(list(kept.parts.model.parameters()))
    assert len(reset.parts.optimizer.state) == 0
    for one, other in zip(kept.parts.model.parameters(), reset.parts.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("optimizer_state", ["keep", "reset"])
def test_inactive_hyperparameters_keep_their_values_over_a_break(tmp_path: Path, optimizer_state: str) -> None:
    live = _make(optimizer_state=optimizer_state)
    live.setup(CONFIG, seed=0)
    live.step()
    live.apply({})
    live.save(tmp_path)
    loaded = _make(optimizer_state=optimizer_state)
    loaded.load(tmp_path)
    loaded.apply({})
    for trainable in (live, loaded):
        verify(trainable.parts, BINDINGS, CONFIG)


def _one_cycle(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)


@pytest.mark.parametrize(
    "scheduler",
    [
        functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
        functools.partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=10),
        functools.partial(LambdaLR, lr_lambda=lambda step: 0.5**step),
        _one_cycle,
    ],
)
def test_a_scheduler_goes_on_where_it_was_under_a_new_optimizer_state(tmp_path: Path, scheduler: Any) -> None:
    options = {"scheduler": scheduler, "bindings": {"dropout": ModuleField("p", nn.Dropout)}}
    live, reset = _make(**options), _make(**options, optimizer_state="reset")
    live.setup({"dropout": 0.1}, seed=0)
    for _ in range(4):
        live.step()
    live.save(tmp_path)
    reset.load(tmp_path)
    for _ in range(2):
        rates = [
            (group["lr"], group["betas"])
            for trainable in (live, reset)
            for group in trainable.parts.optimizer.param_groups  # type: ignore[union-attr]  # there is one
        ]
        assert rates[0] == rates[1]
        live.step()
        reset.step()


def test_a_model_is_built_anew_as_its_lines_founder_had_it(tmp_path: Path) -> None:
    bindings = {**BINDINGS, "width": Fixed()}
    parent = _make(bindings=bindings)
    parent.setup({**CONFIG, "width": 12}, seed=0)
    parent.save(tmp_path)
    child = _make(bindings=bindings)
    child.load(tmp_path)
    child.apply({**CONFIG, "lr": 0.5, "width": 12})
    assert child.applied()["width"] == 12
    assert child.parts.model[0].out_features == 12  # type: ignore[index]  # it is a Sequential
    with pytest.raises(ConfigError, match="'width' is bound as Fixed"):
        child.apply({**CONFIG, "width": 8})


@pytest.mark.parametrize("where", ["weight", "running statistic"])
def test_a_model_that_is_not_finite_scores_nan_whatever_its_score_says(where: str) -> None:
    def break_it(parts: Parts) -> None:
        tensors = list(parts.model.parameters() if where == "weight" else parts.model.buffers())
        tensors[0].data[0] = math.inf

    trainable = _make(step=break_it, score=lambda _: 0.9)
    trainable.setup(CONFIG, seed=0)
    assert trainable.score() == 0.9
    assert math.isnan(trainable.step())


def test_a_constant_that_was_never_finite_is_no_divergence(tmp_path: Path) -> None:
    """Such as the mask of a transformer, and no excuse for other weights."""

    def masked(_: Mapping[str, Any]) -> nn.Module:
        model = _net({})
        model.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(3))
        return model

    trainable = _make(model=masked)
    trainable.setup(CONFIG, seed=0)
    assert math.isfinite(trainable.step())
    trainable.parts.model[1].running_mean[0] = math.inf  # type: ignore[index]  # it is a Sequential
    trainable.save(tmp_path)
    assert math.isnan(trainable.step())
    loaded = _make(model=masked)
    loaded.load(tmp_path)
    assert math.isnan(loaded.step())


def test_scoring_is_without_dropout_and_gradients_and_the_same_each_time() -> None:
    seen = []

    def score(parts: Parts) -> float:
        seen.append((parts.model.training, torch.is_grad_enabled()))
        return float(torch.rand(()))

    trainable = _make(score=score)
    trainable.setup(CONFIG, seed=0)
    assert trainable.score() == trainable.score()
    trainable.step()
    assert trainable.parts.model.training is False
    assert set(seen) == {(False, False)}


def test_a_score_that_draws_from_the_trainings_generators_leaves_them_as_they_were() -> None:
    def own_generator(parts: Parts) -> dict[str, Any]:
        parts.generators = {"noise": torch.Generator().manual_seed(3)}
        return {}

    def score(parts: Parts) -> float:
        noise = torch.rand((), generator=parts.generators["noise"])
        return _score(parts) + parts.rng.random() + float(noise)

    check_trainable(lambda: _make(score=score, extras=own_generator), SPACE, inert=True)


def test_a_loss_of_the_caller_is_left_as_it_is() -> None:
    loss = nn.CrossEntropyLoss(label_smoothing=0.25)
    trainable = _make(loss=loss)
    trainable.setup(CONFIG, seed=0)
    assert loss.label_smoothing == 0.25
    assert trainable.applied()["smoothing"] == CONFIG["smoothing"]


class Custom:
    """A class that weights_only loading refuses."""


class Extra:
    """An extra whose state is more than tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        return {"custom": Custom()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def test_a_checkpoint_with_classes_opens_only_if_the_caller_names_them(tmp_path: Path) -> None:
    def extras(_: Parts) -> Mapping[str, Any]:
        return {"extra": Extra()}

    parent = _make(extras=extras)
    parent.setup(CONFIG, seed=0)
    parent.save(tmp_path)
    with pytest.raises(ConfigError, match=r"more than tensors and plain values.*trusted="):
        _make(extras=extras).load(tmp_path)
    trusting = _make(extras=extras, trusted=[Custom])
    trusting.load(tmp_path)
    assert trusting.applied() == CONFIG


class Malicious:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "owned")


def test_a_pickle_in_place_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"format": 1, "model": Malicious(tmp_path / "owned")}, tmp_path / "state.pt")
    with pytest.raises(ConfigError, match="more than tensors"):
        _make().load(tmp_path)
    (tmp_path / "state.pt").write_bytes(pickle.dumps(Malicious(tmp_path / "owned"), protocol=2))
    with pytest.raises(ConfigError, match="more than tensors"):
        _make().load(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_checkpoint_of_other_factories_is_named(tmp_path: Path) -> None:
    parent = _make()
    parent.setup(CONFIG, seed=0)
    parent.save(tmp_path)
    with pytest.raises(ConfigError, match="has no scaler, got parts with one"):
        _make(autocast=torch.float16).load(tmp_path)
    with pytest.raises(ConfigError, match=r"the extras must be \[\], as in the state, got \['average'\]"):
        _make(extras=_average).load(tmp_path)
    with pytest.raises(RuntimeError, match="size mismatch"):
        _make(model=lambda _: _net({"width": 9})).load(tmp_path)


def test_a_learning_rate_that_a_scheduler_would_overwrite_is_refused() -> None:
    trainable = _make(scheduler=functools.partial(torch.optim.lr_scheduler.StepLR, step_size=3))
    with pytest.raises(ConfigError, match=r"'lr' is bound to the optimizer's lr, and StepLR writes over that"):
        trainable.setup(CONFIG, seed=0)


def _any_cycle(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.ChainedScheduler([_one_cycle(optimizer)])


@pytest.mark.parametrize("scheduler", [_one_cycle, _any_cycle])
@pytest.mark.parametrize(
    ("binding", "value"), [(OptimizerField("betas", index=0), 0.5), (OptimizerField("betas"), (0.5, 0.9))]
)
def test_a_momentum_that_a_scheduler_would_overwrite_is_refused(scheduler: Any, binding: Any, value: Any) -> None:
    trainable = _make(scheduler=scheduler, bindings={"beta": binding})
    with pytest.raises(ConfigError, match=r"'beta' is bound to the optimizer's betas, and \w+ writes over that"):
        trainable.setup({"beta": value}, seed=0)


def test_a_momentum_that_no_scheduler_overwrites_is_welcome_beside_one() -> None:
    still = functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=20, cycle_momentum=False)
    first, second = OptimizerField("betas", index=0), OptimizerField("betas", index=1)
    _make(scheduler=still, bindings={"beta": first}).setup({"beta": 0.5}, seed=0)
    _make(scheduler=_one_cycle, bindings={"beta": second}).setup({"beta": 0.5}, seed=0)


def test_a_scheduler_is_welcome_where_the_rate_is_not_tuned() -> None:
    bindings = {"dropout": ModuleField("p", nn.Dropout)}
    trainable = _make(
        scheduler=functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5), bindings=bindings
    )
    trainable.setup({"dropout": 0.1}, seed=0)
    trainable.step()
    trainable.step()
    assert trainable.parts.optimizer is not None
    assert trainable.parts.optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": None}, "a loader and a loss for the usual loop, or a step function"),
        ({"loader": None}, "a loader and a loss for the usual loop, or a step function"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"step": _noisy_step, "scheduler_every": "update"}, "calls parts.scheduler.step"),
    ],
)
def test_settings_that_cannot_train_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _make(**options)


def test_a_scheduler_that_reacts_to_scores_is_refused() -> None:
    with pytest.raises(ConfigError, match="ReduceLROnPlateau reacts to scores"):
        _make(scheduler=ReduceLROnPlateau).setup(CONFIG, seed=0)


def test_using_it_before_set_up_or_after_close_says_so() -> None:
    trainable = _make()
    for call in (trainable.step, trainable.score, trainable.applied):
        with pytest.raises(ProtocolError, match="call setup or load first"):
            call()
    trainable.setup(CONFIG, seed=0)
    trainable.close()
    with pytest.raises(ProtocolError, match="call setup or load first"):
        trainable.step()


def test_a_compiled_model_is_saved_under_plain_names(tmp_path: Path) -> None:
    compiled = _make(compile={"backend": "eager"})
    compiled.setup(CONFIG, seed=0)
    compiled.step()
    compiled.save(tmp_path)
    loaded = _make()
    loaded.load(tmp_path)
    assert loaded.applied() == compiled.applied()
    assert loaded.score() == pytest.approx(compiled.score(), rel=1e-5)


def test_a_compiled_model_is_compiled_anew_for_each_new_value_in_a_module_and_for_no_other(tmp_path: Path) -> None:
    """Else dropout would stay what it was, or, from the ninth value on, the model would run uncompiled."""
    compiled = []

    def backend(graph: Any, _: Any) -> Any:
        dropouts = [node.args[1] for node in graph.graph.nodes if "dropout" in str(node.target) and node.args[2]]
        compiled.append(dropouts)
        return graph.forward

    def train(config: dict[str, Any]) -> list[Any]:
        compiled.clear()
        trainable = _make(compile={"backend": backend})
        if not any(tmp_path.iterdir()):
            trainable.setup(config, seed=0)
        else:
            trainable.load(tmp_path)
            trainable.apply(config)
        trainable.step()
        trainable.save(tmp_path)
        trainable.close()
        return [rate for dropouts in compiled for rate in dropouts]

    for rate in np.linspace(0.1, 0.9, 12).tolist():
        assert set(train({**CONFIG, "dropout": rate})) == {rate}
        assert train({**CONFIG, "dropout": rate, "lr": 0.005}) == []


def test_a_scheduler_that_the_step_function_hides_is_found_at_the_end_of_the_segment() -> None:
    def train(parts: Parts) -> None:
        assert parts.optimizer is not None
        scheduler = LambdaLR(parts.optimizer, lambda call: 0.5**call)
        for inputs, targets in parts.take():
            parts.optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(parts.model(inputs), targets))
            parts.optimizer.step()
            scheduler.step()

    space = Space(lr=Float(1e-3, 1e-1, log=True))
    factory = functools.partial(_make, step=train, bindings={"lr": BINDINGS["lr"]})
    with pytest.raises(
        HyperparameterNotAppliedError, match=r"TorchTrainable: lr was set to .* after \d steps? of trai"
    ):
        run(Optimizer(space, population=2, steps=2), factory, progress=False)
    with pytest.raises(AssertionError, match="Applied: after training: TorchTrainable: lr was set to"):
        check_trainable(factory, space)


def _warm_up(parts: Parts) -> None:
    assert parts.optimizer is not None
    assert parts.scheduler is not None
    for inputs, targets in parts.take():
        parts.optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(parts.model(inputs), targets))
        parts.optimizer.step()
        parts.scheduler.step()


def _ramp(optimizer: torch.optim.Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, lambda update: min(1.0, (update + 1) / 40))


def test_a_step_function_steps_its_scheduler_itself_after_each_update() -> None:
    options = {"step": _warm_up, "scheduler": _ramp, "updates": 30, "bindings": {"lr": ScheduledRate()}}
    trainable = _make(**options)
    trainable.setup({"lr": 0.01}, seed=0)
    for _ in range(4):
        trainable.step()
    scheduler = trainable.parts.scheduler
    assert scheduler is not None
    assert scheduler.last_epoch == 120
    check_trainable(functools.partial(_make, **options), [{"lr": 0.01}, {"lr": 0.05}], steps=1, state=_live_state)


def test_a_step_function_that_leaves_its_scheduler_alone_is_told_so() -> None:
    options: dict[str, Any] = {
        "step": lambda parts: parts.optimizer.step(),
        "scheduler": _ramp,
        "bindings": {"decay": BINDINGS["decay"]},
    }
    trainable = _make(**options)
    trainable.setup({"decay": 0.1}, seed=0)
    with pytest.raises(ConfigError, match=r"the step function must step the LambdaLR, which stands at 0 as before"):
        trainable.step()
    stepped = _make(**options, scheduler_every="step")
    stepped.setup({"decay": 0.1}, seed=0)
    stepped.step()
    scheduler = stepped.parts.scheduler
    assert scheduler is not None
    assert scheduler.last_epoch == 1


@pytest.mark.parametrize(
    "score", [[0.3, 0.9], {"accuracy": 0.9}, None, np.array([0.9]), torch.tensor([0.9]), True], ids=repr
)
def test_a_score_that_is_no_number_ends_the_run_at_the_first_step(score: Any) -> None:
    scored = []

    def factory() -> TorchTrainable:
        return _make(
            score=lambda _: scored.append(1) or score,  # type: ignore[func-returns-value]
            bindings={"lr": BINDINGS["lr"]},
        )

    with pytest.raises(ConfigError, match=r"TorchTrainable\.score: the score must be a number, got"):
        run(Optimizer(Space(lr=Float(1e-3, 1e-1)), population=4, steps=2), factory, progress=False)
    assert len(scored) == 1


def _as_dict(pairs: list[Any]) -> dict[str, Any]:
    inputs, targets = zip(*pairs, strict=True)
    return {"inputs": torch.stack(inputs), "targets": torch.stack(targets)}


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda: DataLoader(_data(), 4, collate_fn=_as_dict), r"got a dict with the keys \['inputs', 'targets'\]"),
        (lambda: DataLoader(TensorDataset(*_data().tensors, torch.ones(50)), 4), "got a list of 3"),
        (lambda: DataLoader(_data().tensors[0], 4), "got a Tensor"),  # type: ignore[arg-type]
    ],
)
def test_batches_that_the_usual_loop_cannot_use_are_refused(loader: Any, message: str) -> None:
    trainable = _make(loader=loader)
    trainable.setup(CONFIG, seed=0)
    with pytest.raises(ConfigError, match=rf"the usual loop needs batches of \(inputs, targets\), {message}"):
        trainable.step()


def test_a_thing_where_a_function_is_needed_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="TorchTrainable: loader must be a function, got a DataLoader; pass a function that"
    ):
        _make(loader=DataLoader(_data()))


def test_the_training_loss_is_among_the_figures_and_a_step_function_can_add_its_own() -> None:
    trainable = _make()
    trainable.setup(CONFIG, seed=0)
    assert trainable.figures() == {}
    trainable.step()
    assert 0 < trainable.figures()["train_loss"] < 5
    own = _make(step=lambda parts: parts.figures.update(entropy=0.5))
    own.setup(CONFIG, seed=0)
    own.step()
    assert own.figures() == {"entropy": 0.5}
