"""The results of the trials, as scores of the caller: a view of the records, which keep losses."""

from collections.abc import Sequence
from typing import Literal, overload

import attrs

from gpbt_core.records import Record, Status, Trial

__all__ = ["Results", "TrialResult"]


@attrs.frozen(kw_only=True)
class TrialResult:
    """A trial and its result, with scores in the direction of the run.

    Attributes:
        trial: The trial.
        status: The status of the trial.
        score: The score told for it; None unless completed or stopped.
        steps: The steps trained in this segment, as in `Record`.
        reports: The reported (step within the segment from 1, score) pairs, steps rising. A score that was not finite
            is the worst there is: infinite in the wrong direction.
        reason: Why it failed or was cancelled; None otherwise.
    """

    trial: Trial
    status: Status
    score: float | None
    steps: int
    reports: tuple[tuple[int, float], ...]
    reason: str | None


@attrs.frozen
class Results(Sequence[TrialResult]):
    """The results of all trials asked, by id; each is created on access."""

    _records: Sequence[Record]
    _direction: Literal["minimize", "maximize"]

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> TrialResult: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[TrialResult, ...]: ...
    def __getitem__(self, place: int | slice) -> TrialResult | tuple[TrialResult, ...]:
        if isinstance(place, slice):
            return tuple(self._result(record) for record in self._records[place])
        return self._result(self._records[place])

    def __repr__(self) -> str:
        return f"<{len(self)} results, direction {self._direction!r}>"

    def _result(self, record: Record) -> TrialResult:
        sign = 1.0 if self._direction == "minimize" else -1.0
        return TrialResult(
            trial=record.trial,
            status=record.status,
            score=None if record.loss is None else sign * record.loss,
            steps=record.steps,
            reports=tuple((step, sign * loss) for step, loss in record.reports),
            reason=record.reason,
        )
