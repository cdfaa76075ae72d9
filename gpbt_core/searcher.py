"""What a searcher is asked, and what it must answer.

A searcher is a pure function of the query and the generator: it holds no state, changes nothing, and may cache only
what the query determines. What is not in the query did not happen, even if it has arrived already: that is what makes a
run depend on its scores alone and not on its workers (docs/algorithm.md, "Determinism").
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np

from gpbt_core.records import Record, Trial
from gpbt_core.space import Space

__all__ = ["Family", "Query", "Searcher", "SearcherSpec"]


@attrs.frozen(kw_only=True)
class Family:
    """What a child may learn from.

    Attributes:
        told: Ended trials of the family history that are visible to the asking slot, by rising id: completed, stopped
            and failed ones (those have no loss).
        pending: Members whose config is known and whose result is not, by rising id.
    """

    told: tuple[Record, ...] = ()
    pending: tuple[Trial, ...] = ()


@attrs.frozen(kw_only=True, slots=False, eq=False)
class Query:
    """One question to a searcher: the config of one slot.

    Attributes:
        space: The space to propose in.
        parent: The parent's record (its `loss` may be None where the rule let a trial without one go on); None in a
            slot that starts from scratch.
        generation: The slot's generation, from 0.
        generations: How many generations the run has; rises when the run is extended.
        depth: How many trials lie before this one on its line.
        slot: The slot's place in its generation, from 0; a low-discrepancy sequence is indexed by it.
        seed: The run's seed; equal for all queries of a run, unlike the generator, which is the slot's own.
        family: Makes the family history when first asked for, so that a searcher that does not look does not pay.
    """

    space: Space
    parent: Record | None = None
    generation: int = 0
    generations: int = 1
    depth: int = 0
    slot: int = 0
    seed: int = 0
    family: Callable[[], Family] = Family

    @functools.cached_property
    def _family(self) -> Family:
        return self.family()

    @property
    def history(self) -> tuple[Record, ...]:
        """The told and visible part of the family history, by rising id."""
        return self._family.told

    @property
    def pending(self) -> tuple[Trial, ...]:
        """The family's trials whose result is not known yet, by rising id."""
        return self._family.pending

    def are_siblings(self, trials: Iterable[Trial]) -> list[bool]:
        """Which trials start from the same weights as the trial to propose, in the same generation.

        Args:
            trials: n trials of the family, such as `query.pending`.

        Returns:
            n flags.
        """
        parent = None if self.parent is None else self.parent.trial.id
        return [trial.generation == self.generation and trial.parent == parent for trial in trials]


@runtime_checkable
class Searcher(Protocol):
    """Proposes one config from one family history."""

    def propose(self, query: Query, rng: "np.random.Generator") -> Mapping[str, Any]:
        """Answers with a config of `query.space`: each active parameter, in bounds, and nothing else.

        Args:
            query: All that may be learnt from.
            rng: The slot's own generator, made from (seed, trial id); the only source of randomness.
        """


@attrs.frozen(kw_only=True)
class SearcherSpec:
    """An offer of a searcher by a plugin.

    Attributes:
        name: What users write, lower case.
        summary: One line for listings.
        build: Makes the searcher from the user's options; heavy imports belong inside.
    """

    name: str
    summary: str
    build: Callable[..., Searcher]


SearcherSpecs = Iterable[SearcherSpec]
