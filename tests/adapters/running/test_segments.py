import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.segments import Order, Package, pack, train_packed_segment, train_segment
from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore
from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_adapters.trainables.trainable import HyperparameterNotAppliedError
from gpbt_core.errors import ConfigError, GpbtError
from gpbt_core.records import Trial
from gpbt_core.space import Config
from toy_trainables import Descent, Full, Raising, Slow


def _order(trial_id: int = 0, parent: int | None = None, lr: float = 0.1, steps: int = 3, **settings: Any) -> Order:
    trial = Trial(
        id=trial_id, parent=parent, generation=0, depth=0, config=Config({"lr": lr}), steps=steps, start_step=0
    )
    return Order(**{"trial": trial, "seed": 5, "maximize": True, **settings})


def _undisturbed(steps: int) -> tuple[tuple[int, float], ...]:
    model = Descent()
    model.setup({"lr": 0.1}, 5)
    return tuple((step, model.step()) for step in range(1, steps + 1))


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "store", durable=False)


def test_a_founder_is_set_up_trained_and_saved(store: CheckpointStore) -> None:
    outcome = train_segment(_order(), Descent, store)
    assert (outcome.trial_id, outcome.status, outcome.reason) == (0, "done", None)
    assert outcome.scores == _undisturbed(3)
    assert store.ids() == {0}


def test_a_child_goes_on_where_its_parent_ended(store: CheckpointStore) -> None:
    train_segment(_order(steps=2), Descent, store)
    child = train_segment(_order(1, parent=0, steps=3), Descent, store)
    assert [score for _, score in child.scores] == [score for _, score in _undisturbed(5)[2:]]


def test_a_segment_without_steps_scores_the_parents_weights(store: CheckpointStore) -> None:
    parent = train_segment(_order(steps=2), Descent, store)
    child = train_segment(_order(1, parent=0, steps=0), Descent, store)
    assert child.scores == ((0, parent.scores[-1][1]),)
    assert store.ids() == {0, 1}


@pytest.mark.parametrize("limits", [(), (-1e9,)], ids=["to the end", "stopped"])
def test_a_value_that_training_wrote_over_ends_the_run_instead_of_being_saved(
    store: CheckpointStore, limits: tuple[float, ...]
) -> None:
    class Decaying(Descent):
        def step(self) -> float:
            self.live = {**self.live, "lr": self.live["lr"] / 2}
            return super().step()

    outcome = train_segment(_order(limits=limits), Decaying, store)
    assert outcome.status == "refused"
    assert isinstance(outcome.error, HyperparameterNotAppliedError)
    assert (outcome.error.parameter, outcome.error.wanted) == ("lr", 0.1)
    assert f"after {len(outcome.scores)} step" in str(outcome.error)
    assert store.ids() == set()


def test_a_loss_above_its_limit_ends_the_segment_without_a_checkpoint(store: CheckpointStore) -> None:
    scores = [score for _, score in _undisturbed(3)]
    at_second = -(scores[1] + 1e-9)
    stopped = train_segment(_order(limits=(float("inf"), at_second - 1e-6)), Descent, store)
    assert (stopped.status, len(stopped.scores)) == ("stopped", 2)
    assert store.ids() == set()
    on_it = train_segment(_order(limits=(float("inf"), -scores[1])), Descent, store)
    assert on_it.status == "done"  # above, not at


def test_limits_are_losses_whichever_way_the_scores_point(store: CheckpointStore) -> None:
    assert train_segment(_order(limits=(0.0, 0.0), maximize=False), Descent, store).status == "done"
    assert train_segment(_order(limits=(0.0, 0.0), maximize=True), Descent, store).status == "stopped"


def test_a_score_that_is_no_number_ends_the_trial_as_failed(store: CheckpointStore) -> None:
    outcome = train_segment(_order(lr=1e200), Descent, store)
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert outcome.reason.startswith("diverged: the score of step 2 is")
    assert store.ids() == set()


def test_an_exception_of_the_training_ends_the_trial_with_its_reason_and_place(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBT_TEST_DEADLY", "0.1")
    outcome = train_segment(_order(), Raising, store)
    assert (outcome.status, len(outcome.scores)) == ("failed", 1)
    assert outcome.reason is not None
    assert outcome.reason.startswith("FloatingPointError: the loss blew up (toy_trainables.py:")
    assert outcome.reason.endswith(", in step), after 1 step")
    assert outcome.traceback.endswith("FloatingPointError: the loss blew up\n")


def test_a_factory_that_raises_is_no_failure_of_its_trial(store: CheckpointStore) -> None:
    def factory() -> Descent:
        raise OSError("no device")

    outcome = train_segment(_order(), factory, store)
    assert (outcome.status, outcome.scores) == ("refused", ())
    assert isinstance(outcome.error, ConfigError)
    assert "it raised OSError: no device" in str(outcome.error)


class Deaf(Descent):
    def apply(self, config: Mapping[str, Any]) -> None:
        pass


def test_a_value_that_does_not_take_is_refused_and_not_trained_with(store: CheckpointStore) -> None:
    train_segment(_order(), Deaf, store)
    outcome = train_segment(_order(1, parent=0, lr=0.2), Deaf, store)
    assert (outcome.status, outcome.scores) == ("refused", ())
    assert isinstance(outcome.error, HyperparameterNotAppliedError)


def test_a_missing_parent_and_a_full_disk_are_refused(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(train_segment(_order(1, parent=0), Descent, store).error, CheckpointError)
    monkeypatch.setenv("GPBT_TEST_FULL", str(tmp_path))
    outcome = train_segment(_order(), Full, store)
    assert isinstance(outcome.error, CheckpointError)
    assert len(outcome.scores) == 3


def test_a_segment_that_takes_too_long_ends_as_failed_after_a_step(store: CheckpointStore) -> None:
    outcome = train_segment(_order(steps=50, timeout=0.025), Slow, store)
    assert (outcome.status, len(outcome.scores) < 10) == ("failed", True)
    assert outcome.reason is not None
    assert outcome.reason.startswith("timed out: ")
    assert "of 50 steps took" in outcome.reason


def test_a_segment_that_has_made_all_its_steps_is_not_too_late(store: CheckpointStore) -> None:
    assert train_segment(_order(steps=1, timeout=0.0), Slow, store).status == "done"


def test_a_segment_ends_after_the_step_in_which_it_is_told_to(store: CheckpointStore) -> None:
    seen: list[int] = []
    outcome = train_segment(
        _order(), Descent, store, on_step=lambda step, _: seen.append(step), halted=lambda: len(seen) == 2
    )
    assert (outcome.status, seen) == ("halted", [1, 2])
    assert store.ids() == set()


def test_figures_come_with_the_outcome(store: CheckpointStore) -> None:
    class Telling(Descent):
        def figures(self) -> Mapping[str, float]:
            return {"weight": self.weight}

    outcome = train_segment(_order(), Telling, store)
    assert outcome.figures == {"weight": -outcome.scores[-1][1]}


def test_a_close_that_fails_costs_nothing_and_comes_in_any_case(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPBT_TEST_DEADLY", "0.7")

    class Unclosable(Raising):
        def close(self) -> None:
            raise OSError("device lost")

    assert train_segment(_order(), Unclosable, store).status == "done"
    assert train_segment(_order(lr=0.7), Unclosable, store).status == "failed"
    assert [record.message for record in caplog.records] == ["Unclosable.close() failed"] * 2


def test_interrupts_are_not_caught(store: CheckpointStore) -> None:
    class Interrupted(Descent):
        def step(self) -> float:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_segment(_order(), Interrupted, store)


def test_set_up_seeds_differ_by_run_and_by_trial() -> None:
    seeds = {setup_seed(seed, trial_id) for seed in range(20) for trial_id in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**32 for seed in seeds)


# ------------------------------------------------------------------------------------------------- in other processes


class Big(Descent):
    """A factory with data."""

    def __init__(self, size: int) -> None:
        self.data = bytes(size)

    def __call__(self) -> Descent:
        return Descent()


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_a_packed_factory_trains_the_same(store: CheckpointStore, size: int) -> None:
    package = pack(Big(size), store)
    assert (package.content is None) == (size > 1000)
    sent: Package = pickle.loads(pickle.dumps(package))  # noqa: S301 - its own
    assert len(pickle.dumps(package)) < 1000
    assert train_packed_segment(_order(), sent, store).scores == _undisturbed(3)


def _unread() -> Descent:
    raise FileNotFoundError("data.npz")


def test_a_worker_names_the_factory_that_raised(store: CheckpointStore) -> None:
    outcome = train_packed_segment(_order(), pack(_unread, store), store)
    assert isinstance(outcome.error, ConfigError)
    found = re.search(
        r"the factory <function (\S+) .*> must return a trainable, it raised FileNotFoundError: data.npz",
        str(outcome.error),
    )
    assert found is not None
    assert found[1] == "_unread"


def test_lambdas_and_functions_of_the_main_program_travel_by_value(store: CheckpointStore, tmp_path: Path) -> None:
    program = f"""
import pickle, sys
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.running.segments import pack
from toy_trainables import Descent
class Mine(Descent):
    pass
store = CheckpointStore({str(store.directory)!r}, resume=True)
pickle.dump([pack(Mine, store), pack(lambda: Mine(), store)], open({str(tmp_path / "packages")!r}, "wb"))
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    for trial_id, package in enumerate(pickle.loads((tmp_path / "packages").read_bytes())):  # noqa: S301 - its own
        assert train_packed_segment(_order(trial_id), package, store).scores == _undisturbed(3)


def test_a_factory_that_cannot_travel_is_an_error_that_says_so(store: CheckpointStore) -> None:
    lock = threading.Lock()

    def factory() -> Descent:
        with lock:
            return Descent()

    with pytest.raises(ConfigError, match=r"cannot be sent to other processes.*train in threads"):
        pack(factory, store)


def test_a_factory_file_that_was_changed_is_refused(store: CheckpointStore) -> None:
    package = pack(Big(1 << 21), store)  # of a size that this process has not unpacked yet
    assert package.name is not None
    (store.directory / package.name).write_bytes(pickle.dumps(Slow))
    outcome = train_packed_segment(_order(), package, store)
    assert outcome.status == "refused"
    assert "is not the factory that the driver wrote" in str(outcome.error)


def test_a_factory_that_a_worker_does_not_know_is_refused(store: CheckpointStore) -> None:
    package = Package(digest="x", content=b"cno_such_module\nThing\n.", name=None, pid=os.getpid())
    outcome = train_packed_segment(_order(), package, store)
    assert "a worker cannot unpickle the factory: ModuleNotFoundError" in str(outcome.error)


class StubbornError(GpbtError):
    """Cannot be pickled, whatever libraries teach pickle of exceptions."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.held = threading.Lock()


class Stubborn(Descent):
    def step(self) -> float:
        raise StubbornError(code=7)


def test_an_error_that_cannot_travel_arrives_as_its_text(store: CheckpointStore) -> None:
    outcome = train_packed_segment(_order(), pack(Stubborn, store), store)
    assert type(outcome.error) is GpbtError
    assert str(outcome.error).startswith("StubbornError: code 7 (test_segments.py:")


def test_only_another_process_learns_to_ignore_ctrl_c(store: CheckpointStore) -> None:
    before = signal.getsignal(signal.SIGINT)
    train_packed_segment(_order(), pack(Descent, store), store)
    assert signal.getsignal(signal.SIGINT) is before
