"""One thread of linear algebra, whatever the process has, and the process's own setting afterwards."""

import os
import subprocess
import sys

ASKED_IN_THREADS = """
import threading
import scipy.linalg  # noqa: F401 - loads what is limited
from threadpoolctl import threadpool_info
from gpbt_core import Float, Optimizer, Space


def setting():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def ask(seed):
    optimizer = Optimizer(Space(x=Float(0, 1)), population=30, steps=6, seed=seed)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, trial.config["x"])


before = setting()
for _ in range(3):
    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(before == setting())
"""

BELIEVED = """
import numpy as np
from gpbt_core.records import Record, Status, Trial
from gpbt_core.space import Categorical, Float, Space
from gpbt_searchers.gp import importance, posterior

space = Space(**{f"x{k}": Float(0, 1) for k in range(6)}, kind=Categorical(["a", "b", "c"]))
rng = np.random.default_rng(0)
told = [
    Record(
        trial=Trial(id=k, parent=None, generation=0, depth=0, config=space.sample(rng), steps=1, start_step=0),
        status=Status.COMPLETED,
        loss=float(rng.random()),
    )
    for k in range(120)
]
print(importance(space, told), posterior(space, told, [record.trial for record in told]))
"""


def _said(program: str, threads: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout


def test_optimizers_that_are_asked_in_several_threads_leave_the_setting_as_it_was() -> None:
    assert _said(ASKED_IN_THREADS, threads=2) == "True\n"


def test_what_the_model_believes_does_not_depend_on_the_number_of_threads() -> None:
    assert _said(BELIEVED, threads=2) == _said(BELIEVED, threads=1)
