"""Each framework's trainable in a whole run: what is found can be restored, and trained again under its schedule."""

import os
from pathlib import Path

import pytest

from framework_trainables import FRAMEWORKS, SPACE
from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.running.replay import replay
from gpbt_adapters.trainables.random_states import setup_seed
from gpbt_core import Optimizer, Status

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Keras 3.15 turns TensorFlow's variables into arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def _run(library: str, store: Path, workers: int | None = None) -> Result:
    optimizer = Optimizer(SPACE, population=3, steps=5, seed=1)
    return run(optimizer, FRAMEWORKS[library], store=store, workers=workers, progress=False)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Result]:
    """A library and a run of its trainable, which the tests only read."""
    pytest.importorskip(request.param)
    return request.param, _run(request.param, tmp_path_factory.mktemp(request.param))


def test_the_best_model_is_restored_and_its_schedule_trains_the_same_model_again(ran: tuple[str, Result]) -> None:
    library, result = ran
    assert all(record.status in {Status.COMPLETED, Status.STOPPED} for record in result.optimizer.records)
    best = result.restore()
    assert best.score() == result.best.score
    best.close()
    again = replay(FRAMEWORKS[library], result.schedule, result.founder_seed)
    assert again.score == result.best.score
    again.trainable.close()


def test_a_schedule_of_several_segments_trains_the_same_model_again(ran: tuple[str, Result]) -> None:
    """A child's schedule, as the best trial may be a founder: that depends on the last bits of the processor."""
    library, result = ran
    optimizer = result.optimizer
    completed = [record for record in optimizer.records if record.status is Status.COMPLETED]
    child = next(record for record in completed if len(optimizer.schedule(record.trial.id).segments) > 1)
    schedule = optimizer.schedule(child.trial.id)
    founder = optimizer.lineage(child.trial.id)[0].trial
    again = replay(FRAMEWORKS[library], schedule, setup_seed(optimizer.seed, founder.id))
    assert again.score == child.loss
    again.trainable.close()


def test_training_in_other_processes_comes_to_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    here, elsewhere = _run("torch", tmp_path / "here"), _run("torch", tmp_path / "elsewhere", workers=2)
    assert elsewhere.best.score == here.best.score
    assert [record.loss for record in elsewhere.optimizer.records] == [record.loss for record in here.optimizer.records]
