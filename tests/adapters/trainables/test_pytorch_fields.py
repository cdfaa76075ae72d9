from typing import Any

import attrs
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from gpbt_adapters.trainables.pytorch import (
    Batches,
    BatchSize,
    DatasetField,
    ModuleField,
    OptimizerArgument,
    OptimizerField,
    Parts,
    ScheduledRate,
    apply,
    capture,
    restore,
    verify,
)
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core.errors import ConfigError


def _parts(**options: Any) -> Parts:
    body = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.1), nn.Dropout(0.2))
    head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 1))
    model = nn.ModuleDict({"body": body, "head": head})
    groups = [{"params": body.parameters(), "name": "body"}, {"params": head.parameters(), "name": "head"}]
    return Parts(model=model, optimizer=torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.999)), **options)


def _groups(parts: Parts) -> list[dict[str, Any]]:
    assert parts.optimizer is not None
    return parts.optimizer.param_groups


def _rates(parts: Parts) -> list[float]:
    return [module.p for module in parts.model.modules() if isinstance(module, nn.Dropout)]


def test_a_field_is_set_in_all_groups_or_in_the_one_that_is_meant() -> None:
    parts = _parts()
    bindings = {
        "lr": OptimizerField("lr"),
        "beta2": OptimizerField("betas", index=1, group=0),
        "decay": OptimizerField("weight_decay", group="head"),
    }
    config = {"lr": 0.5, "beta2": 0.9, "decay": 0.25}
    apply(parts, bindings, config)
    assert [group["lr"] for group in _groups(parts)] == [0.5, 0.5]
    assert [group["betas"] for group in _groups(parts)] == [(0.9, 0.9), (0.9, 0.999)]
    assert [group["weight_decay"] for group in _groups(parts)] == [0.01, 0.25]
    verify(parts, bindings, config)


def test_a_rate_that_is_a_tensor_is_changed_in_place() -> None:
    rate = torch.tensor(1.0)
    parts = Parts(model=nn.Linear(1, 1))
    parts.optimizer = torch.optim.Adam(parts.model.parameters(), lr=rate, foreach=False)
    live = parts.optimizer.param_groups[0]["lr"]
    apply(parts, {"lr": OptimizerField("lr")}, {"lr": 0.1})
    assert parts.optimizer.param_groups[0]["lr"] is live
    verify(parts, {"lr": OptimizerField("lr")}, {"lr": 0.1})


def test_groups_that_share_a_rate_as_a_tensor_can_have_each_their_own() -> None:
    model = nn.Linear(1, 1)
    groups: list[dict[str, Any]] = [{"params": [model.weight]}, {"params": [model.bias]}]
    parts = Parts(model=model, optimizer=torch.optim.Adam(groups, lr=torch.tensor(1.0), foreach=False))
    bindings = {"a": OptimizerField("lr", group=0), "b": OptimizerField("lr", group=1)}
    apply(parts, bindings, {"a": 0.1, "b": 0.2})
    verify(parts, bindings, {"a": 0.1, "b": 0.2})


def _after_a_step(optimizer: Any, **options: Any) -> Parts:
    model = nn.Linear(2, 1)
    parts = Parts(model=model, optimizer=optimizer(model.parameters(), **options))
    _step(parts)
    return parts


def _step(parts: Parts) -> None:
    assert parts.optimizer is not None
    torch.autograd.backward(parts.model(torch.ones(1, 2)).sum())
    parts.optimizer.step()


@pytest.mark.parametrize(
    ("optimizer", "field", "value"),
    [
        (torch.optim.Adam, "amsgrad", True),
        (torch.optim.AdamW, "amsgrad", True),
        (torch.optim.RMSprop, "momentum", 0.5),
        (torch.optim.RMSprop, "centered", True),
        (torch.optim.SGD, "momentum", 0.5),
    ],
)
def test_a_field_can_be_turned_on_in_mid_run(optimizer: Any, field: str, value: Any) -> None:
    parts = _after_a_step(optimizer, lr=0.1)
    apply(parts, {"it": OptimizerField(field)}, {"it": value})
    _step(parts)
    verify(parts, {"it": OptimizerField(field)}, {"it": value})


@pytest.mark.parametrize(
    ("optimizer", "field"), [(torch.optim.Rprop, "lr"), (torch.optim.Adagrad, "initial_accumulator_value")]
)
def test_a_field_that_is_read_only_as_the_state_begins_is_refused(optimizer: Any, field: str) -> None:
    model = nn.Linear(2, 1)
    parts = Parts(model=model, optimizer=optimizer(model.parameters()))
    with pytest.raises(ConfigError, match=f"'it' is bound to '{field}', which {optimizer.__name__} reads only as"):
        apply(parts, {"it": OptimizerField(field)}, {"it": 0.5})


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (OptimizerField("momentum"), r"bound to the field 'momentum'; AdamW has \['amsgrad'"),
        (OptimizerField("lr", group=2), r"parameter group 2; the optimizer has 2 groups, named \['body', 'head'\]"),
        (OptimizerField("lr", group="tail"), "parameter group 'tail'"),
        (OptimizerField("betas", index=2), r"element 2 of betas=\(0.9, 0.999\)"),
        (OptimizerField("lr", index=0), "element 0 of lr=1.0"),
        (ModuleField("p", nn.LSTM), r"attribute 'p' of modules of .*LSTM.*; the model has \['Dropout', 'Linear'"),
        (ModuleField("p", nn.Dropout, names="tail.*"), "named 'tail"),
        (ModuleField("rate", nn.Dropout), "attribute 'rate', which Dropout does not have"),
        (BatchSize(), "there is no loader"),
        (OptimizerArgument(), "Parts.make_optimizer"),
        (ScheduledRate(), "composes with a torch LambdaLR; got NoneType"),
    ],
)
def test_a_place_that_does_not_exist_is_named(binding: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"hyperparameter 'it'.*{message}"):
        apply(_parts(), {"it": binding}, {"it": 1})


def test_a_bound_optimizer_must_be_there() -> None:
    with pytest.raises(ConfigError, match="'lr' is bound to the optimizer, but there is none"):
        apply(Parts(model=nn.Linear(1, 1)), {"lr": OptimizerField("lr")}, {"lr": 1.0})


def test_modules_are_chosen_by_class_and_by_name() -> None:
    parts = _parts()
    for name, rate in (("body.1", 0.6), ("*.2", 0.6), ("head.*", 0.6)):
        apply(parts, {"p": ModuleField("p", names=name)}, {"p": rate})
    apply(parts, {"p": ModuleField("p", nn.Dropout)}, {"p": 0.5})
    assert _rates(parts) == [0.5, 0.5, 0.5]
    apply(parts, {"p": ModuleField("p", names="body.*")}, {"p": 0.4})
    assert _rates(parts) == [0.4, 0.4, 0.5]


def test_the_loss_is_among_the_modules_and_buffers_are_filled_in_place() -> None:
    class Scaled(nn.Module):
        scale: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.tensor(1.0))

    loss = Scaled()
    buffer = loss.scale
    parts = _parts(loss=loss)
    bindings = {"scale": ModuleField("scale", Scaled)}
    apply(parts, bindings, {"scale": 0.1})
    assert loss.scale is buffer
    verify(parts, bindings, {"scale": 0.1})


def test_places_that_disagree_are_an_error_and_not_an_average() -> None:
    parts = _parts()
    with pytest.raises(ConfigError, match=r"'p' has different live values in the modules' p: \[0.1, 0.2, 0.3\]"):
        verify(parts, {"p": ModuleField("p", nn.Dropout)}, {"p": 0.1})
    _groups(parts)[1]["lr"] = 0.5
    with pytest.raises(ConfigError, match=r"'lr' has different live values"):
        verify(parts, {"lr": OptimizerField("lr")}, {"lr": 1.0})


def test_a_batch_size_below_one_is_refused() -> None:
    data = TensorDataset(torch.zeros(4, 2))
    parts = _parts(batches=Batches(DataLoader(data, batch_size=2)))
    apply(parts, {"batch": BatchSize()}, {"batch": 3})
    verify(parts, {"batch": BatchSize()}, {"batch": 3})
    with pytest.raises(ConfigError, match="the batch size must be at least 1, got 0"):
        apply(parts, {"batch": BatchSize()}, {"batch": 0})


def _scheduled() -> tuple[Parts, dict[str, Any]]:
    parts = _parts()
    assert parts.optimizer is not None
    parts.scheduler = LambdaLR(parts.optimizer, lambda step: 0.5**step)
    return parts, {"rate": ScheduledRate()}


def test_a_scheduled_rate_is_the_base_that_the_scheduler_multiplies() -> None:
    parts, bindings = _scheduled()
    assert parts.optimizer is not None
    assert parts.scheduler is not None
    apply(parts, bindings, {"rate": 0.8})
    seen = []
    for _ in range(2):
        seen.append(_groups(parts)[1]["lr"])
        parts.optimizer.step()
        parts.scheduler.step()
    apply(parts, bindings, {"rate": 0.4})
    seen.append(_groups(parts)[1]["lr"])
    parts.optimizer.step()
    parts.scheduler.step()
    seen.append(_groups(parts)[1]["lr"])
    assert seen == pytest.approx([0.8, 0.4, 0.1, 0.05])
    verify(parts, bindings, {"rate": 0.4})


def test_a_scheduled_rate_that_something_else_wrote_over_is_found() -> None:
    parts, bindings = _scheduled()
    apply(parts, bindings, {"rate": 0.8})
    for group in _groups(parts):
        group["lr"] = 0.2
    with pytest.raises(HyperparameterNotAppliedError, match=r"expected rate=0\.8, but the live value is 0\.2"):
        verify(parts, bindings, {"rate": 0.8})


def test_a_factor_of_zero_hides_the_rate_and_is_no_error() -> None:
    parts, bindings = _scheduled()
    assert parts.optimizer is not None
    parts.scheduler = LambdaLR(parts.optimizer, lambda _: 0.0)
    apply(parts, bindings, {"rate": 0.8})
    assert _groups(parts)[0]["lr"] == 0.0
    verify(parts, bindings, {"rate": 0.8})


def test_a_scheduler_that_computes_the_next_rate_from_the_last_is_not_composed() -> None:
    parts, bindings = _scheduled()
    assert parts.optimizer is not None
    parts.scheduler = ExponentialLR(parts.optimizer, gamma=0.5)
    with pytest.raises(ConfigError, match="composes with a torch LambdaLR; got ExponentialLR"):
        apply(parts, bindings, {"rate": 0.8})


def test_an_optimizer_is_made_anew_only_when_its_argument_changes() -> None:
    made = []

    def make(config: Any) -> Any:
        made.append(dict(config))
        return torch.optim.SGD(parts.model.parameters(), lr=0.1, nesterov=config["nesterov"], momentum=0.9)

    parts = _parts(make_optimizer=make)
    bindings = {"lr": OptimizerField("lr"), "nesterov": OptimizerArgument()}
    apply(parts, bindings, {"lr": 0.3, "nesterov": True})
    first = parts.optimizer
    apply(parts, bindings, {"lr": 0.2, "nesterov": True})
    assert parts.optimizer is first
    apply(parts, bindings, {"lr": 0.2, "nesterov": False})
    assert parts.optimizer is not first
    assert [config["nesterov"] for config in made] == [True, False]
    assert _groups(parts)[0]["lr"] == 0.2
    verify(parts, bindings, {"lr": 0.2, "nesterov": False})


def test_an_optimizer_that_a_scheduler_hangs_on_is_not_replaced() -> None:
    parts = _parts()
    assert parts.optimizer is not None
    parts.scheduler = LambdaLR(parts.optimizer, lambda _: 1.0)
    parts.make_optimizer = lambda _: torch.optim.SGD(parts.model.parameters())
    with pytest.raises(ConfigError, match="LambdaLR would keep changing the optimizer that it replaces"):
        apply(parts, {"kind": OptimizerArgument()}, {"kind": "sgd"})


def _uneven() -> Parts:
    model = nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": others, "weight_decay": 0.0, "lr": 1e-2, "betas": (0.8, 0.99), "name": "others"},
        {"params": decayed, "weight_decay": 0.02, "lr": 1e-3, "betas": (0.9, 0.99), "name": "decayed"},
    ]
    return Parts(model=model, optimizer=torch.optim.AdamW(groups))


@pytest.mark.parametrize(
    ("field", "index", "values"),
    [("weight_decay", None, r"\[0\.0, 0\.02\]"), ("lr", None, r"\[0\.01, 0\.001\]"), ("betas", 0, r"\[0\.8, 0\.9\]")],
)
def test_one_value_for_groups_that_were_built_with_different_ones_is_refused(
    field: str, index: int | None, values: str
) -> None:
    parts = _uneven()
    before = [dict(group) for group in _groups(parts)]
    binding = OptimizerField(field, index=index)
    with pytest.raises(
        ConfigError, match=rf"groups' {field}, which were built with different values, {values}.*group="
    ):
        apply(parts, {"it": binding}, {"it": 0.5})
    assert [dict(group) for group in _groups(parts)] == before
    apply(parts, {"it": attrs.evolve(binding, group="decayed")}, {"it": 0.5})
    verify(parts, {"it": attrs.evolve(binding, group="decayed")}, {"it": 0.5})


def test_groups_keep_the_ratio_that_they_were_built_with_where_that_is_asked_for() -> None:
    parts = _uneven()
    bindings = {
        "decay": OptimizerField("weight_decay", keep_ratio=True),
        "lr": OptimizerField("lr", keep_ratio=True),
    }
    for config in ({"decay": 0.3, "lr": 0.5}, {"decay": 0.0, "lr": 0.1}, {"decay": 0.1, "lr": 0.2}):
        apply(parts, bindings, config)
        assert [group["weight_decay"] for group in _groups(parts)] == [0.0, config["decay"]]
        assert [group["lr"] for group in _groups(parts)] == pytest.approx([config["lr"], config["lr"] / 10])
        verify(parts, bindings, config)
    child = _uneven()
    restore(child, capture(parts))
    apply(child, bindings, {"decay": 0.4, "lr": 0.4})
    assert [group["weight_decay"] for group in _groups(child)] == [0.0, 0.4]
    assert [group["lr"] for group in _groups(child)] == pytest.approx([0.4, 0.04])
    _groups(child)[0]["weight_decay"] = 0.1
    with pytest.raises(ConfigError, match="a group built with weight_decay=0 has another value by now"):
        verify(child, bindings, {"decay": 0.4, "lr": 0.4})


def test_a_ratio_of_nothing_is_refused() -> None:
    parts = Parts(model=nn.Linear(1, 1))
    parts.optimizer = torch.optim.SGD(parts.model.parameters(), lr=0.1)
    with pytest.raises(ConfigError, match="all of them were built with 0: there is no ratio to keep"):
        apply(parts, {"decay": OptimizerField("weight_decay", keep_ratio=True)}, {"decay": 0.1})


def test_a_scheduled_rate_keeps_the_ratio_of_the_groups_or_refuses_to_make_them_one() -> None:
    parts = _uneven()
    assert parts.optimizer is not None
    parts.scheduler = LambdaLR(parts.optimizer, lambda step: 0.5**step)
    with pytest.raises(ConfigError, match=r"different values, \[0\.01, 0\.001\].*ScheduledRate\(keep_ratio=True\)"):
        apply(parts, {"lr": ScheduledRate()}, {"lr": 0.5})
    bindings = {"lr": ScheduledRate(keep_ratio=True)}
    apply(parts, bindings, {"lr": 0.5})
    _step(parts)
    parts.scheduler.step()
    assert [group["lr"] for group in _groups(parts)] == pytest.approx([0.25, 0.025])
    verify(parts, bindings, {"lr": 0.5}, trained=1)


def test_one_value_for_modules_that_were_built_with_different_ones_is_refused() -> None:
    parts = _parts()
    with pytest.raises(
        ConfigError, match=r"'p' of 3 modules, which were built with different values, \[0\.1, 0\.2, 0\.3\]"
    ):
        apply(parts, {"dropout": ModuleField("p", nn.Dropout)}, {"dropout": 0.5})
    assert _rates(parts) == [0.1, 0.2, 0.3]


class Jitter:
    def __init__(self, amount: float) -> None:
        self.amount = amount

    def __call__(self, sample: torch.Tensor) -> torch.Tensor:
        return sample + self.amount


class Erase(nn.Module):
    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        return sample * (1 - self.chance)


class Compose:
    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, sample: torch.Tensor) -> torch.Tensor:
        for transform in self.transforms:
            sample = transform(sample)
        return sample


class Images(Dataset[torch.Tensor]):
    def __init__(self, transform: Any) -> None:
        self.images = torch.ones(4, 2)
        self.transform = transform
        self.strength = 1.0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        augmented: torch.Tensor = self.transform(self.images[index])
        return self.strength * augmented


@pytest.mark.parametrize("workers", [0, 1])
def test_an_attribute_of_a_dataset_or_of_its_transforms_acts_on_the_samples_of_one_training_alone(workers: int) -> None:
    images = Images(Compose([Jitter(0.0), Erase(0.0)]))
    dataset: ConcatDataset[torch.Tensor] = ConcatDataset([Subset(images, [0, 1]), Subset(images, [2])])

    def parts() -> Parts:
        loader = DataLoader(dataset, batch_size=3, num_workers=workers, persistent_workers=workers > 0)
        return Parts(model=nn.Linear(2, 1), batches=Batches(loader))

    bindings = {
        "jitter": DatasetField("amount"),
        "erase": DatasetField("chance", of=Erase),
        "strength": DatasetField("strength"),
    }
    one, other = parts(), parts()
    apply(other, bindings, {"jitter": 0.0, "erase": 0.0, "strength": 1.0})
    for config, wanted in (
        ({"jitter": 1.0, "erase": 0.5, "strength": 3.0}, 3.0),
        ({"jitter": 2.0, "erase": 0.0, "strength": 1.0}, 3.0),
    ):
        apply(one, bindings, config)
        verify(one, bindings, config)
        for _ in range(2):
            assert torch.equal(next(one.take()), torch.full((3, 2), wanted))
    assert torch.equal(next(other.take()), torch.ones(3, 2))
    assert (images.strength, images.transform.transforms[0].amount) == (1.0, 0.0)
    assert one.batches is not None
    assert one.batches.dataset.datasets[0].dataset.images is images.images
    assert one.batches.dataset.datasets[0].dataset is one.batches.dataset.datasets[1].dataset
    for trainable in (one, other):
        assert trainable.batches is not None
        trainable.batches.close()


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (DatasetField("strenght"), r"the attribute 'strenght' of the dataset; .*\['Images', 'Compose', 'Jitter'\]"),
        (DatasetField("amount", of=Erase), r"the attribute 'amount' of <class .*Erase'>"),
    ],
)
def test_an_attribute_that_no_dataset_has_is_refused(binding: Any, message: str) -> None:
    parts = Parts(model=nn.Linear(2, 1), batches=Batches(DataLoader(Images(Compose([Jitter(0.0)])))))
    with pytest.raises(ConfigError, match=message):
        apply(parts, {"it": binding}, {"it": 0.5})


def test_transforms_built_with_different_values_are_not_made_one_and_an_attribute_that_cannot_be_set_is_named() -> None:
    class Sealed(Jitter):
        @property
        def doubled(self) -> float:
            return 2 * self.amount

    dataset = Images(Compose([Jitter(0.1), Sealed(0.2)]))
    parts = Parts(model=nn.Linear(2, 1), batches=Batches(DataLoader(dataset)))
    with pytest.raises(ConfigError, match=r"'amount' of Jitter, Sealed, which were built with different values.*of="):
        apply(parts, {"it": DatasetField("amount")}, {"it": 0.5})
    with pytest.raises(ConfigError, match="'doubled' of Sealed, which cannot be set"):
        apply(parts, {"it": DatasetField("doubled")}, {"it": 0.5})
    with pytest.raises(ConfigError, match="'it' is bound as DatasetField, but there is no loader"):
        apply(Parts(model=nn.Linear(2, 1)), {"it": DatasetField("amount")}, {"it": 0.5})
