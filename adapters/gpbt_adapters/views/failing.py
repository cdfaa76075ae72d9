"""What went wrong in a run."""

from collections.abc import Mapping
from typing import Any

import attrs

from gpbt_adapters.views.columns import Run, state_of
from gpbt_core.records import Record, Status

__all__ = ["Failure", "failures"]


@attrs.frozen(kw_only=True)
class Failure:
    """Trials that failed, or were cancelled, for one reason.

    Attributes:
        status: FAILED or CANCELLED.
        reason: In words.
        trials: Their ids, rising.
        generations: Those that it happened in, rising.
        config: Of the first of them.
    """

    status: Status
    reason: str
    trials: tuple[int, ...]
    generations: tuple[int, ...]
    config: Mapping[str, Any]


def failures(run: Run) -> tuple[Failure, ...]:
    """What went wrong in a run, one entry for each reason, the most frequent first."""
    groups: dict[tuple[Status, str], list[Record]] = {}
    for record in state_of(run).records:
        if record.status in {Status.FAILED, Status.CANCELLED}:
            groups.setdefault((record.status, record.reason or "no reason given"), []).append(record)
    found = [
        Failure(
            status=status,
            reason=reason,
            trials=tuple(record.trial.id for record in group),
            generations=tuple(sorted({record.trial.generation for record in group})),
            config=group[0].trial.config,
        )
        for (status, reason), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda failure: (-len(failure.trials), failure.trials)))
