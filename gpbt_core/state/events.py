"""The events of a run, as plain records; their sequence is the log from which a run can be replayed."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from gpbt_core.records import Trial
from gpbt_core.reproduction import Plan

__all__ = ["Asked", "Cancelled", "Event", "Extended", "Planned", "Reported", "Requeued", "Told"]


@attrs.frozen(kw_only=True)
class Asked:
    """A trial was handed out; the event carries its config, so that a replay needs no searcher."""

    trial: Trial


@attrs.frozen(kw_only=True)
class Reported:
    """A running trial had `loss` (may be inf) after `step` steps of its segment (from 1).

    Attributes:
        trial_id: The trial.
        step: The step within the segment, from 1.
        loss: The loss there.
        attempt: The `Trial.attempt` that reported; None: not said.
    """

    trial_id: int
    step: int
    loss: float
    attempt: int | None = None


@attrs.frozen(kw_only=True)
class Told:
    """A trial ended with a finite loss, or failed.

    Attributes:
        trial_id: The trial.
        loss: Its loss; None: it failed.
        reason: Why it failed.
        steps: How many steps it trained, if the caller specified it. None: its whole segment, or the steps that it
            reported if it was told to stop.
        attempt: The `Trial.attempt` that told; None: not said.
        notes: What the caller noted about the training, JSON-able; no decision depends on it. None: nothing.
        call: The method that an error names; not stored.
    """

    trial_id: int
    loss: float | None
    reason: str | None = None
    steps: int | None = None
    attempt: int | None = None
    notes: Mapping[str, Any] | None = attrs.field(default=None, eq=False, repr=False)
    call: Literal["tell", "fail"] = attrs.field(default="tell", eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Cancelled:
    """The caller gave up a trial."""

    trial_id: int
    reason: str
    attempt: int | None = None


@attrs.frozen(kw_only=True)
class Requeued:
    """A trial's worker was lost: the trial will be asked again, and its reports are discarded."""

    trial_id: int
    attempt: int | None = None


@attrs.frozen(kw_only=True)
class Extended:
    """The run was extended by `generations`."""

    generations: int


@attrs.frozen(kw_only=True)
class Planned:
    """A generation was closed, and the next one planned; the event carries the plan, so that a replay needs no rule.

    It directly follows the event that closed the generation. Logs of version 1 lack it: the rule makes their plans
    again.

    Attributes:
        generation: The generation that is planned, from 1.
        plan: Its plan.
    """

    generation: int
    plan: Plan


Event = Asked | Reported | Told | Cancelled | Requeued | Extended | Planned
"""Any event of a run."""
