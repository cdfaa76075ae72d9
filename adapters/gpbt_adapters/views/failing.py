"""What went wrong in a run."""

from collections.abc import Mapping
from typing import Any

import attrs

from gpbt_adapters.views.columns import Run, state_of
from gpbt_adapters.views.words import without_numbers
from gpbt_core.records import Record, Status

__all__ = ["Failure", "failures"]


@attrs.frozen(kw_only=True)
class Failure:
    """Trials that failed, or were cancelled, for one reason; reasons that differ in numbers alone are one.

    Attributes:
        status: FAILED or CANCELLED.
        reason: In words, those of the first of them.
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
    groups: dict[tuple[Status, str], list[Record]] = {}  # by what is left of the reason without its numbers
    for record in state_of(run).records:
        if record.status in {Status.FAILED, Status.CANCELLED}:
            groups.setdefault((record.status, without_numbers(str(record.reason or ""))), []).append(record)
    found = [
        Failure(
            status=status,
            reason=str(group[0].reason or "no reason given"),
            trials=tuple(record.trial.id for record in group),
            generations=tuple(sorted({record.trial.generation for record in group})),
            config=group[0].trial.config,
        )
        for (status, _), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda failure: (-len(failure.trials), failure.trials)))
