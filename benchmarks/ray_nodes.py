"""A run on a Ray cluster of several nodes, one of which is killed, compared with an undisturbed run in one process.

    python -m benchmarks.ray_nodes [--nodes 3] [--population 12]

The nodes are on this machine (`ray.cluster_utils.Cluster`), each with a raylet and workers of its own; the driver is
connected to the head. Once two of the other nodes have trained, one of them is killed without notice. Shown are how
many segments each node trained, and whether records, events, best and checkpoints are those of the undisturbed run
(the order in which trials end, and trials that were handed out again, aside). Exits with an error where they are not,
or where fewer than three nodes trained.
"""

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaos import SPACE, Descent
from gpbt_adapters.running.driver import Result, run
from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_core import Optimizer
from gpbt_core.state import Event, Reported, Requeued

__all__ = ["main"]


class Placed(Descent):
    """Takes 50 ms per step, and leaves a file that says on which node."""

    folder: Path

    def step(self) -> float:
        """As `Descent`."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{node}-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.05)
        return super().step()


def _placed(folder: Path) -> type[Placed]:
    return type("Placed", (Placed,), {"folder": folder})


def _nodes(folder: Path) -> Counter[str]:
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())


def _lasting(result: Result) -> list[str]:
    """The events that do not depend on workers: whatever else was reported or given back."""
    events: list[Event] = [event for event in result.optimizer.events if not isinstance(event, Reported | Requeued)]
    return sorted({repr(event).partition(", attempt=")[0] for event in events})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns the exit status.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--population", type=int, default=12)
    given = parser.parse_args(arguments)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    settings: dict[str, Any] = {"population": given.population, "steps": 10, "searcher": "random", "seed": 0}
    settings |= {"direction": "maximize", "max_concurrent": 2 * given.nodes}
    wanted = run(Optimizer(SPACE, **settings), Descent, progress=False)
    import ray
    from ray.cluster_utils import Cluster

    from gpbt_adapters.running.ray import RayExecutor

    memory = 80 * 2**20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    others = [cluster.add_node(num_cpus=1, object_store_memory=memory) for _ in range(given.nodes - 1)]
    with tempfile.TemporaryDirectory() as scratch:
        marks = Path(scratch) / "marks"
        marks.mkdir()
        killed: list[str] = []

        def kill() -> None:
            mine = {others[0].node_id, others[1].node_id}
            while not mine <= _nodes(marks).keys():
                time.sleep(0.02)
            cluster.remove_node(others[0], allow_graceful=False)
            killed.append(others[0].node_id)

        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        threading.Thread(target=kill, daemon=True).start()
        with RayExecutor() as executor:
            store = CheckpointStore(Path(scratch) / "store")
            found = run(Optimizer(SPACE, **settings), _placed(marks), executor=executor, store=store, progress=False)
        for node, steps in _nodes(marks).most_common():
            print(f"node {node[:8]}: {steps} steps{' before it was killed' if node in killed else ''}")
        again = sum(isinstance(event, Requeued) for event in found.optimizer.events)
        print(f"{again} trials were handed out again")
        differences = [
            name
            for name, same in {
                "the kill": bool(killed),
                "nodes that trained": len(_nodes(marks)) >= min(3, given.nodes),
                "records": list(found.optimizer.records) == list(wanted.optimizer.records),
                "events": _lasting(found) == _lasting(wanted),
                "best": found.best == wanted.best and found.restore().score() == wanted.restore().score(),
                "checkpoints": found.store.ids() == wanted.store.ids(),
            }.items()
            if not same
        ]
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]  # of Ray
    print(f"wrong: {', '.join(differences)}" if differences else "the same as the undisturbed run")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
