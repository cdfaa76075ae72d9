"""Mistakes of set-up: they end a run at once, cost no trial, and leave a run that goes on once they are mended."""

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import run
from gpbt_adapters.storing.checkpoints import CheckpointError, CheckpointStore
from gpbt_core import Float, Optimizer, Space, Status
from gpbt_core.errors import ConfigError
from toy_runs import environment, failed, records, run_small, small, small_run
from toy_trainables import Descent


class Broken(Descent):
    """Fails in the way that its class says, as long as it says one."""

    way = ""

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        super().setup(config, seed)
        if self.way == "setup":
            raise FileNotFoundError("/data/digits.npz")

    def step(self) -> float:
        score: Any = super().step()
        if self.way == "first step":
            raise RuntimeError(f"shapes do not match, batch {id(self)}")
        returned: float = {"list": [score], "dict": {"score": score}, "none": None}.get(self.way, score)
        return returned

    def save(self, path: Path) -> None:
        super().save(path)
        if self.way == "save":
            raise ConnectionError("the tracker does not answer")
        if self.way == "link":
            (path / "last").symlink_to("state.json")
        if self.way == "link outside":
            (path / "last").symlink_to("/etc/hosts")

    def load(self, path: Path) -> None:
        super().load(path)
        if self.way == "load":
            raise RuntimeError("size mismatch")


@pytest.fixture(autouse=True)
def _mended() -> Any:
    yield
    Broken.way = ""


@pytest.mark.parametrize("way", ["setup", "first step", "save"])
def test_first_trials_that_all_fail_alike_end_the_run_and_are_given_back(way: str) -> None:
    optimizer = small()
    Broken.way = way
    with pytest.raises(
        ConfigError, match=r"4 trials in a row failed .*test_driver_setup\.py:\d+, in (setup|step|save)"
    ):
        run(optimizer, Broken, progress=False)
    assert not failed(optimizer)
    Broken.way = ""
    assert records(run_small(optimizer, Broken)) == records(small_run())


def test_a_run_too_small_for_so_many_failures_ends_before_it_is_extinct() -> None:
    optimizer = Optimizer(Space(lr=Float(0.01, 0.4)), population=2, steps=3, max_concurrent=1)
    Broken.way = "setup"
    with pytest.raises(ConfigError, match=r"failed for one reason.*digits\.npz"):
        run(optimizer, Broken, progress=False)
    assert not optimizer.extinct
    Broken.way = ""
    assert run(optimizer, Broken, progress=False).optimizer.best.trial.steps > 0


class Choosy(Descent):
    """Refuses learning rates above a tenth at once."""

    def setup(self, config: Mapping[str, Any], seed: int) -> None:
        super().setup(config, seed)
        if config["lr"] > 0.2:
            raise MemoryError("out of memory")


def test_configs_that_fail_at_once_among_others_that_work_are_failed_trials() -> None:
    result = small_run(Choosy)
    assert result.optimizer.finished
    reasons = failed(result.optimizer)
    assert set(reasons) == {
        r.trial.id for r in result.optimizer.records if r.trial.parent is None and r.status is Status.FAILED
    }
    assert set(result.tracebacks) == set(reasons)


@pytest.mark.parametrize("way", ["list", "dict", "none"])
def test_a_score_that_is_no_number_ends_the_run_at_the_first_step(way: str) -> None:
    optimizer = small()
    Broken.way = way
    with pytest.raises(ConfigError, match=r"Broken\.step: the score must be a number, got "):
        run(optimizer, Broken, progress=False)
    assert len(optimizer.records) == 1


def test_an_intact_checkpoint_that_does_not_load_ends_the_run_and_gives_the_trial_back() -> None:
    optimizer = small()
    store = CheckpointStore(durable=False)
    Broken.way = "load"
    with pytest.raises(CheckpointError, match=r"is intact but cannot be loaded: RuntimeError: size mismatch .*in load"):
        run(optimizer, Broken, store=store, progress=False)
    assert not failed(optimizer)
    Broken.way = ""
    assert records(run_small(optimizer, Broken, store=store)) == records(small_run())


def test_a_link_inside_a_checkpoint_is_followed() -> None:
    Broken.way = "link"
    result = small_run(Broken)
    with result.store.reading(result.best.trial.id) as path:
        assert (path / "last").read_text() == (path / "state.json").read_text()
        assert not (path / "last").is_symlink()


def test_a_link_out_of_a_checkpoint_is_refused_by_name() -> None:
    Broken.way = "link outside"
    with pytest.raises(CheckpointError, match=r"'last' is a link to '/etc/hosts'.*save a copy"):
        small_run(Broken)


class Wide(Descent):
    """Has a hyperparameter that cannot change on a model."""

    def fixed(self) -> tuple[str, ...]:
        return ("momentum",)


def test_what_cannot_change_on_a_model_is_refused_before_the_first_step_unless_configs_stay() -> None:
    optimizer = small()
    with pytest.raises(ConfigError, match="Wide: 'momentum' cannot change in mid-training"):
        run(optimizer, Wide, progress=False)
    assert optimizer.tally.trained == 0
    for preset in ("gp", "tpe", "random"):
        space = Space(lr=Float(0.01, 0.4), momentum=Float(0, 0.9))
        assert run(Optimizer(space, population=3, steps=2, preset=preset), Wide, progress=False).optimizer.finished


MAIN = """
import dataclasses, enum, logging, pickle, sys
from pathlib import Path
from gpbt import Float, Optimizer, Space, Trainable, run

@dataclasses.dataclass
class State:
    weight: float

class Mood(enum.Enum):
    GOOD = 1

class Model(Trainable):
    def setup(self, config, seed):
        self.state, self.config, self.mood = State(8.0), dict(config), Mood.GOOD

    def apply(self, config):
        self.config = dict(config)

    def applied(self):
        return self.config

    def step(self):
        self.state.weight *= 1 - self.config["rate"]
        return self.score()

    def score(self):
        return abs(self.state.weight)

    def save(self, path):
        (path / "state").write_bytes(pickle.dumps((self.state, self.mood)))

    def load(self, path):
        self.state, self.mood = pickle.loads((path / "state").read_bytes())

if __name__ == "__main__":
    class Guarded(Model):
        pass

    space = Space(rate=Float(0.01, 0.5, log=True))
    for factory in (Model, lambda: Model(), Guarded):
        result = run(Optimizer(space, population=2, steps=2), factory, **EXECUTOR, progress=False)
        assert not [record.reason for record in result.optimizer.records if record.reason]
        assert result.restore().score() == result.best.score
    print("ended")
"""


@pytest.mark.parametrize("executor", ["dict(workers=2)", "dict(executor=loky)"])
def test_classes_of_ones_own_script_can_be_saved_in_other_processes(tmp_path: Path, executor: str) -> None:
    program = tmp_path / "script.py"
    loky = "from joblib.externals.loky import ProcessPoolExecutor\nloky = lambda: ProcessPoolExecutor(2)\n"
    program.write_text(
        (loky if "loky" in executor else "") + textwrap.dedent(MAIN).replace("**EXECUTOR", f"**{executor}")
    )
    done = subprocess.run(
        [sys.executable, str(program)], check=False, capture_output=True, text=True, env=environment(), timeout=300
    )
    assert (done.stdout, done.returncode) == ("ended\n", 0), done.stderr
