from itertools import chain
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from gpbt_adapters.trainables.pytorch import Batches, Parts
from gpbt_core.errors import ConfigError

DATA = TensorDataset(torch.arange(10))


def _numbers(batches: Any) -> list[list[int]]:
    return [batch[0].tolist() for batch in batches]


def test_a_pass_is_an_epoch_and_the_next_one_is_shuffled_anew() -> None:
    torch.manual_seed(0)
    batches = Batches(DataLoader(DATA, batch_size=4, shuffle=True))
    first, second = _numbers(batches.take()), _numbers(batches.take())
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second


def test_a_number_of_batches_goes_on_from_epoch_to_epoch() -> None:
    batches = Batches(DataLoader(DATA, batch_size=4))
    assert _numbers(batches.take(2)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert _numbers(batches.take(3)) == [[8, 9], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert _numbers(batches.take()) == [[8, 9]]


def test_a_new_batch_size_holds_from_the_next_batch_on_and_no_sample_is_lost() -> None:
    batches = Batches(DataLoader(DATA, batch_size=4))
    _numbers(batches.take(1))
    batches.batch_size = 3
    assert _numbers(batches.take()) == [[4, 5, 6], [7, 8, 9]]


def test_the_last_batch_is_dropped_where_the_loader_drops_it() -> None:
    batches = Batches(DataLoader(DATA, batch_size=4, drop_last=True))
    assert _numbers(batches.take(3)) == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert _numbers(batches.take()) == [[4, 5, 6, 7]]


def test_a_rest_that_is_too_small_after_a_change_is_dropped_and_the_next_epoch_comes() -> None:
    batches = Batches(DataLoader(DATA, batch_size=4, drop_last=True))
    _numbers(batches.take(2))
    batches.batch_size = 5
    assert _numbers(batches.take()) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(DATA, batch_size=3, shuffle=True),
        lambda: DataLoader(DATA, batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(1)),
        lambda: DataLoader(
            DATA, batch_size=3, sampler=WeightedRandomSampler([1.0] * 10, 7, generator=torch.Generator())
        ),
    ],
    ids=["global generator", "generator of its own", "weighted sampler"],
)
@pytest.mark.parametrize("position", [1, 2, 5])
def test_a_saved_position_goes_on_with_the_same_batches(make: Any, position: int) -> None:
    torch.manual_seed(5)
    batches = Batches(make())
    _numbers(batches.take(position))
    state, random = batches.state_dict(), torch.get_rng_state()
    wanted = _numbers(batches.take(9))
    other = Batches(make())
    _numbers(other.take(1))
    other.load_state_dict(state)
    torch.set_rng_state(random)
    assert _numbers(other.take(9)) == wanted


def test_a_loader_with_other_generators_than_the_saved_one_is_refused() -> None:
    state = Batches(DataLoader(DATA, shuffle=True)).state_dict()
    other = Batches(DataLoader(DATA, shuffle=True, generator=torch.Generator()))
    with pytest.raises(ConfigError, match="had 0 generators of its own, this one has 1"):
        other.load_state_dict(state)


class Stream(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(3))


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda: DataLoader(Stream()), "IterableDataset, whose position only itself knows"),
        (
            lambda: DataLoader(DATA, batch_sampler=BatchSampler(SequentialSampler(DATA), 2, drop_last=False)),
            "batch_sampler of its own",
        ),
        (lambda: DataLoader(DATA, batch_size=None), "no automatic batching"),
        (
            lambda: DataLoader(DATA, num_workers=1, persistent_workers=True),
            "persistent_workers=True keeps random states",
        ),
    ],
)
def test_a_loader_whose_position_cannot_be_saved_is_refused(loader: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be saved: .*{message}"):
        Batches(loader())


def test_an_epoch_without_a_batch_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(ConfigError, match="an epoch of 10 samples has no batch of 11, and smaller ones are dropped"):
        Batches(DataLoader(DATA, batch_size=11, drop_last=True)).take(1)
    with pytest.raises(ConfigError, match="an epoch of 0 samples has no batch of 1"):
        Batches(DataLoader(TensorDataset(torch.zeros(0, 2)))).take()


def test_nested_batches_are_moved_to_the_device() -> None:
    def collate(_: list[Any]) -> dict[str, Any]:
        return {"pair": [torch.tensor([1.0]), (torch.tensor([2]), "text")]}

    batches = Batches(DataLoader(DATA, batch_size=10, collate_fn=collate))
    parts = Parts(model=torch.nn.Linear(1, 1), batches=batches, device="meta")
    (batch,) = list(parts.take())
    assert batch["pair"][0].device.type == batch["pair"][1][0].device.type == "meta"
    assert batch["pair"][1][1] == "text"


def test_taking_batches_without_a_loader_says_so() -> None:
    with pytest.raises(ConfigError, match="there is no loader"):
        Parts(model=torch.nn.Linear(1, 1)).take()
