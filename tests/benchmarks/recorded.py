"""Lines of results, as the runner writes them, of runs that never were."""

from collections.abc import Sequence
from typing import Any


def line(
    method: str,
    seed: int,
    scores: Sequence[float | None],
    *,
    problem: str = "falls",
    direction: str = "minimize",
    test: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    finite = [score for score in scores if score is not None]
    best = min(finite) if direction == "minimize" else max(finite)
    trial: dict[str, Any] = {"id": 0, "parent": None, "start": 0, "config": {}, "scores": list(scores)}
    trial["clock"] = list(range(1, len(scores) + 1))
    return {
        "problem": problem,
        "method": method,
        "seed": seed,
        "models": 1,
        "steps": len(scores),
        "smoke": False,
        "direction": direction,
        "validation": best,
        "test": best if test is None else test,
        "chosen": {"trial": 0, "step": scores.index(best) + 1},
        "used": len(scores),
        "seconds": {"searcher": 1.0, "training": 3.0},
        "versions": {"python": "3"},
        "settings": {},
        "trials": [trial],
        **more,
    }
