"""Selection by what the model believes of trials instead of by their luckiest score: of the final model, of parents.

The rule `posterior` is `Genealogical` in everything but the values that it ranks. All is pure in the records.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeVar

import attrs
import numpy as np

from gpbt_core.genealogy import ancestry
from gpbt_core.records import Record, Status, Trial
from gpbt_core.reproduction import Closing, Genealogical, Keep
from gpbt_core.space import Space
from gpbt_searchers.gp.insight import posterior
from gpbt_searchers.gp.scores import rank_normal

__all__ = ["Posterior", "best_by_posterior", "expected_losses"]

_ENOUGH = 5  # told points below which a score says more than a model does
_DIGITS = 9  # equal configs have equal means but for the last bits, which are the machine's; ids are to decide
_STAGES = 2  # a rule begets at least one further generation, and the model then has a dimension for it


@attrs.frozen(kw_only=True)
class Posterior(Genealogical):
    """Ranks candidates by their expected loss under the model of `gp`, where scores are noisy.

    Of many noisy scores the best one is mostly lucky. Each candidate's loss is replaced by the posterior mean at its
    config and generation, given its family history; the mean, in normal scores of ranks, is read back as a loss of that
    history, so that litters can be compared. No promise about a selection can be kept before it: checkpoints of all
    completed children are held until their generation closes.

    The options are those of `Genealogical`; `Optimizer(select_by="posterior")` takes them over from the preset. After
    the end of a run `optimizer.best` is the final model by this rule.

    Examples:
        >>> from gpbt_core import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(x=Float(0, 1)), population=6, steps=4, reproduction="posterior")
        >>> optimizer.settings.reproduction.name
        'posterior'
    """

    name: ClassVar[str] = "posterior"
    select_by: ClassVar[str] = "posterior"

    def values(self, closing: Closing, records: Sequence[Record]) -> Sequence[float]:
        """The expected loss of each of `records`."""
        return _expected(closing.space, closing.records, records, closing.generations)

    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002  # the protocol's signature
        """Nothing: the model may turn every order round."""
        return None


def expected_losses(
    space: Space, history: Sequence[Record], records: Sequence[Record], *, generations: int
) -> tuple[float, ...]:
    """The losses that `records` of one family history would have without luck.

    Args:
        space: The space of their configs.
        history: Told, by rising id; `records` are among it.
        records: Completed.
        generations: How many generations the run has.

    Returns:
        For each of `records` its posterior mean, taken back from normal scores to losses through the finite losses of
        the history, linearly between two; hence between the best and the worst of them. With fewer than 5 told points
        the losses themselves.
    """
    losses = np.array([np.inf if record.loss is None else record.loss for record in history])
    if losses.size < _ENOUGH:
        return tuple(float(record.loss) for record in records if record.loss is not None)
    estimates = posterior(space, history, [record.trial for record in records], generations=generations)
    known = np.sort(losses[np.isfinite(losses)])
    scores = -rank_normal(losses)  # as a loss: lower is better
    means = [round(estimate.mean, _DIGITS) for estimate in estimates]
    return tuple(np.interp(means, np.sort(scores[np.isfinite(losses)]), known).tolist())


class _Finalist(Protocol):
    @property
    def trial(self) -> Trial: ...


Finalist_co = TypeVar("Finalist_co", bound=_Finalist, covariant=True)


class _Finished(Protocol[Finalist_co]):
    """What is used of an `Optimizer`; searchers do not import the face of the core."""

    @property
    def space(self) -> Space: ...
    @property
    def records(self) -> Sequence[Record]: ...
    @property
    def generations(self) -> int: ...
    @property
    def finalists(self) -> Sequence[Finalist_co]: ...
    @property
    def best(self) -> Finalist_co: ...


def best_by_posterior(optimizer: _Finished[Finalist_co]) -> Finalist_co:
    """The finalist with the lowest expected loss: the final model, where scores are noisy.

    Args:
        optimizer: An Optimizer whose run is finished, under any reproduction rule. The choice is among its `finalists`,
            whose checkpoints are kept.

    Returns:
        The finalist. Its `score` is what was told of it, not what is expected.

    Raises:
        NoResultError: The run is not finished.
        ExtinctError: It ended without a completed trial.
    """
    finalists = optimizer.finalists
    if not finalists:
        return optimizer.best  # raises, and says why none was completed
    records = [optimizer.records[finalist.trial.id] for finalist in finalists]
    expected = _expected(optimizer.space, optimizer.records, records, optimizer.generations)
    return finalists[int(np.argmin(expected))]


def _expected(space: Space, run: Sequence[Record], records: Sequence[Record], generations: int) -> list[float]:
    """The expected loss of each of `records`, completed trials of `run`, given its family history."""
    children = _children(run)
    litters: dict[tuple[int | None, int], list[int]] = {}
    for place, record in enumerate(records):
        litters.setdefault((record.trial.parent, record.trial.generation), []).append(place)
    values = [0.0] * len(records)
    for (parent, generation), places in litters.items():
        history = _family(run, children, parent, generation)
        litter = [records[place] for place in places]
        expected = expected_losses(space, history, litter, generations=max(_STAGES, generations))
        for place, value in zip(places, expected, strict=True):
            values[place] = value
    return values


def _children(run: Sequence[Record]) -> dict[int | None, list[Record]]:
    """The told children of each trial, by rising id; under None the founders."""
    found: dict[int | None, list[Record]] = {}
    for record in run:
        if record.status in {Status.COMPLETED, Status.STOPPED, Status.FAILED}:
            found.setdefault(record.trial.parent, []).append(record)
    return found


def _family(
    run: Sequence[Record], children: dict[int | None, list[Record]], parent: int | None, generation: int
) -> list[Record]:
    """What a child of a generation could learn from, by rising id."""
    found: list[Record] = []
    for ancestor, generations in ancestry(run, parent, generation):
        found += [record for record in children.get(ancestor, []) if record.trial.generation in generations]
    return sorted(found, key=lambda record: record.trial.id)
