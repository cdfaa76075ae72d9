import os
import random
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
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


class Scaling(DataLoader[Any]):
    def __iter__(self) -> Any:
        for (numbers,) in super().__iter__():
            yield numbers / 10


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda: DataLoader(Stream()), "IterableDataset, which alone knows its position"),
        (
            lambda: DataLoader(DATA, batch_sampler=BatchSampler(SequentialSampler(DATA), 2, drop_last=False)),
            "batch_sampler of its own",
        ),
        (lambda: DataLoader(DATA, batch_size=None), "no automatic batching"),
        (lambda: Scaling(DATA), "Scaling has an __iter__ of its own, which would be left out"),
    ],
)
def test_a_loader_whose_position_cannot_be_saved_is_refused(loader: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be interrupted and resumed: .*{message}"):
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


def test_something_else_than_a_loader_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loader must be a torch\.utils\.data\.DataLoader, got list; make one"):
        Batches([(torch.zeros(1), torch.zeros(1))])  # type: ignore[arg-type]


def test_a_sampler_is_told_the_number_of_each_epoch_also_after_a_break() -> None:
    def batches() -> Batches:
        sampler: Any = DistributedSampler(DATA, num_replicas=1, rank=0)
        return Batches(DataLoader(DATA, batch_size=10, sampler=sampler))

    whole = batches()
    epochs = [_numbers(whole.take()) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    first, second = batches(), batches()
    _numbers(first.take())
    second.load_state_dict(first.state_dict())
    assert [_numbers(second.take()) for _ in range(2)] == epochs[1:]


class Drawing(Dataset[Any]):
    """Random numbers from each global generator, and the process that drew them."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        drawn = [float(torch.rand(())), random.random(), np.random.rand()]  # noqa: NPY002, S311 - it is about these
        return torch.tensor([index, *drawn, DRAWN_IN_INIT]), os.getpid()


DRAWN_IN_INIT = 0.0


def _draw_in_init(worker: int) -> None:
    global DRAWN_IN_INIT  # noqa: PLW0603 - as a dataset's own generator would be
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, Drawing)
    assert info.seed == torch.initial_seed()
    DRAWN_IN_INIT = worker + float(torch.rand(()))


def _persistent(**options: Any) -> Batches:
    loader = DataLoader(
        Drawing(), 1, shuffle=True, num_workers=2, persistent_workers=True, worker_init_fn=_draw_in_init, **options
    )
    return Batches(loader)


def _drawn(batches: Batches) -> tuple[list[list[float]], set[int]]:
    taken = [(numbers.squeeze(0).tolist(), int(pid)) for numbers, pid in batches.take()]
    return [numbers for numbers, _ in taken], {pid for _, pid in taken}


def test_persistent_workers_live_on_from_step_to_step_until_the_batches_are_closed() -> None:
    batches = _persistent()
    steps = [_drawn(batches)[1] for _ in range(3)]
    assert len(steps[0]) == 2
    assert steps[0] == steps[1] == steps[2]
    batches.close()
    assert not _drawn(batches)[1] & steps[0]


def test_persistent_workers_draw_the_same_numbers_after_a_break() -> None:
    torch.manual_seed(3)
    whole = _persistent()
    first = _drawn(whole)[0]
    state, random_state = whole.state_dict(), torch.get_rng_state()
    wanted = [_drawn(whole)[0] for _ in range(2)]
    assert first != wanted[0] != wanted[1]
    resumed = _persistent()
    resumed.load_state_dict(state)
    torch.set_rng_state(random_state)
    assert [_drawn(resumed)[0] for _ in range(2)] == wanted


def test_an_iteration_that_was_left_early_does_not_leak_into_the_next_step() -> None:
    batches = _persistent()
    next(batches.take(4))
    (last, _), (again, _) = _drawn(batches), _drawn(batches)
    assert len(last) == 2
    assert sorted(numbers[0] for numbers in again) == [0, 1, 2, 3, 4, 5]


LOADER_IN_A_SCRIPT = """
import sys, torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from gpbt import Float, Optimizer, Space, run
from gpbt.pytorch import OptimizerField, TorchTrainable

class Noisy(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        inputs = torch.randn(3)
        return inputs, inputs.sum(0, keepdim=True)

def collate(pairs):
    return torch.utils.data.default_collate(pairs)

def loader():
    return DataLoader(Noisy(), batch_size=4, num_workers=1, collate_fn=collate, multiprocessing_context={context!r},
        persistent_workers=True)

def training():
    torch.set_num_threads(1)
    return TorchTrainable(
        model=lambda config: nn.Linear(3, 1),
        optimizer=lambda model, config: torch.optim.SGD(model.parameters(), lr=0.1),
        loader=loader,
        loss=nn.MSELoss(),
        score=lambda parts: float(parts.model.weight.sub(1).abs().sum()),
        bindings={{"lr": OptimizerField("lr")}},
    )

if __name__ == "__main__":
    result = run(Optimizer(Space(lr=Float(0.01, 0.1)), population=1, steps=1), training, workers=1, progress=False)
    reasons = [record.reason for record in result.optimizer.records if record.reason]
    print(reasons or "all trials were trained")
"""


@pytest.mark.parametrize("context", [None, "spawn"])
def test_a_loader_with_workers_over_a_dataset_of_the_script_works_in_the_processes_of_a_run(
    context: str | None, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(LOADER_IN_A_SCRIPT.format(context=context))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.strip() == "all trials were trained", done.stdout + done.stderr
