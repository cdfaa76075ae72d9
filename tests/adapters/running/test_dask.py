"""The driver on dask.distributed: the executor of a local cluster, whose workers may die."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpbt_adapters.running.driver import run
from gpbt_adapters.running.segments import Order, pack, train_packed_segment
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_adapters.storing.journal import open_study
from gpbt_core.optimizer import Optimizer
from gpbt_core.space import Float, Space
from toy_trainables import Descent

distributed: Any = pytest.importorskip("distributed", exc_type=ImportError)

pytestmark = pytest.mark.filterwarnings("default")  # dask's own

SPACE = Space(lr=Float(0.01, 0.4, log=True), momentum=Float(0, 0.9))
SETTINGS: dict[str, Any] = {"population": 5, "steps": 10, "direction": "maximize", "searcher": "random"}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


def test_a_run_on_dask_comes_to_the_same(client: Any) -> None:
    alone = run(Optimizer(SPACE, **SETTINGS), Descent, progress=False)
    with client.get_executor() as executor:
        result = run(Optimizer(SPACE, **SETTINGS), Descent, executor=executor, workers=2, progress=False)
    assert list(result.optimizer.records) == list(alone.optimizer.records)
    assert result.best == alone.best
    assert result.restore().score() == result.best.score


def test_a_trial_that_is_trained_again_is_not_answered_from_memory(client: Any, tmp_path: Path) -> None:
    with CheckpointStore(tmp_path / "store") as store:
        (trial,) = Optimizer(SPACE, **SETTINGS).ask(1)
        package = pack(Descent, store)
        remembered = []  # dask knows a call as long as its future is held
        for _ in range(2):
            store.delete([trial.id])
            remembered.append(client.submit(train_packed_segment, Order(trial=trial, seed=0), package, store))
            assert remembered[-1].result().status == "done"
            assert store.ids() == {trial.id}


def test_a_journalled_run_on_dask_goes_on_where_it_was_interrupted(client: Any, tmp_path: Path) -> None:
    alone = run(Optimizer(SPACE, **SETTINGS), Descent, progress=False)
    told: list[object] = []

    class Enough(BaseException):
        """Ends a run from the outside."""

    def end(event: object, _: object) -> None:
        told.append(event)
        if len(told) == 20:
            raise Enough

    with client.get_executor() as executor:
        with open_study(tmp_path / "runs.db", "run", SPACE, **SETTINGS) as study, pytest.raises(Enough):
            run(study, Descent, executor=executor, workers=2, store=tmp_path / "store", callbacks=[end], progress=False)
        with open_study(tmp_path / "runs.db", "run") as study:
            store = CheckpointStore(tmp_path / "store", resume=True)
            result = run(study, Descent, executor=executor, workers=2, store=store, progress=False)
            assert list(result.optimizer.records) == list(alone.optimizer.records)
            assert result.best == alone.best
