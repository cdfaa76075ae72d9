"""What can happen to a run: plain facts, in the order of which a run can be replayed."""

import attrs

from gpbt_core.records import Trial

__all__ = ["Asked", "Cancelled", "Event", "Extended", "Reported", "Requeued", "Told"]


@attrs.frozen(kw_only=True)
class Asked:
    """A trial was handed out; it carries its config, so that a replay needs no searcher."""

    trial: Trial


@attrs.frozen(kw_only=True)
class Reported:
    """A running trial had `loss` (may be inf) after `step` steps of its segment (from 1)."""

    trial_id: int
    step: int
    loss: float


@attrs.frozen(kw_only=True)
class Told:
    """A trial ended with a finite loss, or failed: `loss` None and a `reason`."""

    trial_id: int
    loss: float | None
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Cancelled:
    """A trial was given up by the caller."""

    trial_id: int
    reason: str


@attrs.frozen(kw_only=True)
class Requeued:
    """A trial's worker was lost: the trial is to be handed out again, and what it reported is forgotten."""

    trial_id: int


@attrs.frozen(kw_only=True)
class Extended:
    """The run has `generations` more."""

    generations: int


Event = Asked | Reported | Told | Cancelled | Requeued | Extended
"""Anything that can happen to a run."""
