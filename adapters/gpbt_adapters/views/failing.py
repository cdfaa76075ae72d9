"""The failures of a run, by reason."""

from collections.abc import Mapping
from typing import Any

import attrs

from gpbt_adapters.views.columns import Run, state_of
from gpbt_adapters.views.words import without_numbers
from gpbt_core.records import Record, Status

__all__ = ["Failure", "failures"]


@attrs.frozen(kw_only=True)
class Failure:
    """Trials that failed or were cancelled for the same reason; reasons that differ only in numbers are the same.

    Attributes:
        status: FAILED or CANCELLED.
        reason: The reason, in the words of the first trial.
        trials: The ids of the trials, ascending.
        generations: The generations of the trials, ascending.
        config: The config of the first trial.
    """

    status: Status
    reason: str
    trials: tuple[int, ...]
    generations: tuple[int, ...]
    config: Mapping[str, Any]


def failures(run: Run) -> tuple[Failure, ...]:
    """Returns the failures of a run, one entry per reason, the most frequent first."""
    groups: dict[tuple[Status, str], list[Record]] = {}  # by the reason without its numbers
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
