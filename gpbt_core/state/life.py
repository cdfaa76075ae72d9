"""The life cycle of a trial: one table of status transitions, from which errors and a diagram are made."""

from collections.abc import Mapping
from typing import Literal

from gpbt_core.errors import ProtocolError
from gpbt_core.records import Record, Status

__all__ = ["ENDED", "LIFE", "PENDING", "Move", "following"]

Move = Literal["ask", "report", "stop", "tell", "fail", "cancel", "requeue"]
"""What can happen to a trial. "stop" is a report above the limit; "fail" is also a tell without a finite score."""

LIFE: Mapping[Status, Mapping[Move, Status]] = {
    Status.RUNNING: {
        "report": Status.RUNNING,
        "stop": Status.STOPPING,
        "tell": Status.COMPLETED,
        "fail": Status.FAILED,
        "cancel": Status.CANCELLED,
        "requeue": Status.QUEUED,
    },
    Status.STOPPING: {
        "tell": Status.STOPPED,
        "fail": Status.FAILED,
        "cancel": Status.CANCELLED,
        "requeue": Status.QUEUED,
    },
    Status.QUEUED: {
        "ask": Status.RUNNING,
        "tell": Status.COMPLETED,
        "fail": Status.FAILED,
        "cancel": Status.CANCELLED,
    },
    Status.COMPLETED: {},
    Status.STOPPED: {},
    Status.FAILED: {},
    Status.CANCELLED: {},
}
"""For each status, the status after each move; other moves are refused. A new trial is RUNNING."""

ENDED = tuple(status for status, moves in LIFE.items() if not moves)
"""The statuses of a trial that has ended. A tuple: hashing an enum is slower than four identity comparisons."""

PENDING = tuple(status for status, moves in LIFE.items() if moves)
"""The statuses of a trial whose result is awaited."""

_WHY_NOT: Mapping[Status, str] = {
    Status.STOPPING: "was told to stop at step {steps}; tell its score, train no more",
    Status.QUEUED: "was given back by requeue; wait until ask hands it out again",
    Status.COMPLETED: "was told already: it is completed; drop this result",
    Status.STOPPED: "was told already: it is stopped; drop this result",
    Status.FAILED: "was told already: it is failed; drop this result",
    Status.CANCELLED: "was cancelled ({reason}); drop its result",
}


def following(record: Record, move: Move, call: str) -> Status:
    """The status of a trial after a move.

    Args:
        record: The trial.
        move: What happens to it.
        call: The method that an error names.

    Raises:
        ProtocolError: The move is not legal in the trial's status.
    """
    found = LIFE[record.status].get(move)
    if found is None:
        why = _WHY_NOT[record.status].format(steps=record.steps, reason=record.reason)
        raise ProtocolError(f"{call}: trial {record.trial.id} {why}")
    return found
