"""How long `tpe` takes for a proposal, beside Optuna's TPESampler in the same run.

    python -m benchmarks.micro.tpe_speed

Both have the same number of told trials at the start, and are asked and told in turn, as in a real run; only asking is
timed. They take turns of ten proposals, so that a busy machine slows both alike. What counts is the ratio of the
medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.micro.contestants import Contestant, contestant
from benchmarks.micro.functions import FUNCTIONS
from gpbt_core.space import Float, Space

__all__ = ["main", "measure"]

RIVALS = ("tpe", "optuna:TPESampler")
TURN = 10
FIVE = Space({f"x{k}": Float(0, 1) for k in range(5)})


def _bowl(config: Mapping[str, Any]) -> float:
    return float(sum((x - 0.4) ** 2 for x in config.values()))


def measure(space: Space, loss: Callable[[Mapping[str, Any]], float], told: int, repeats: int) -> list[float]:
    """Median seconds per proposal of each rival.

    Args:
        space: Where to search.
        loss: A config -> its loss.
        told: How many trials are told before the clock runs.
        repeats: How many turns of ten proposals; each proposal is told before the next.
    """
    rivals: list[Contestant] = [contestant(name)(space, 0) for name in RIVALS]
    rng = np.random.default_rng(0)
    for known in [space.sample(rng) for _ in range(told)]:
        for rival in rivals:
            rival.add(known, loss(known))
    times: list[list[float]] = [[] for _ in rivals]
    for _ in range(repeats):
        for rival, seconds in zip(rivals, times, strict=True):
            for _ in range(TURN):
                start = time.perf_counter()
                config = rival.ask()
                seconds.append(time.perf_counter() - start)
                rival.tell(config, loss(config))
    return [statistics.median(seconds) for seconds in times]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program.

    Args:
        arguments: Command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="tpe_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--told", default="100,1000", help="trials told before, comma-separated")
    parser.add_argument("--repeats", type=int, default=5, help="turns of ten proposals to time")
    given = parser.parse_args(arguments)
    print(f"{'space':10}{'told':>8}" + "".join(f"{name:>22}" for name in RIVALS) + f"{'ratio':>8}")
    for name, space, loss in [
        ("5 floats", FIVE, _bowl),
        ("mixed", FUNCTIONS["mixed"].space, FUNCTIONS["mixed"].evaluate),
    ]:
        for told in map(int, given.told.split(",")):
            ours, theirs = measure(space, loss, told, given.repeats)
            print(f"{name:10}{told:>8}{1e3 * ours:>19.3f} ms{1e3 * theirs:>19.3f} ms{theirs / ours:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
