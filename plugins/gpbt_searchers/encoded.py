"""Family histories as arrays, encoded once.

A record never changes, so the arrays of a history are the beginning of those of each longer history that begins with
the same records. A `Memory` checks each time whether one does, so that it saves time and changes no answer.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.records import Record
from gpbt_core.searcher import Query
from gpbt_core.space import Space

__all__ = ["Encoded", "Memory"]

_KEPT = 64  # histories; the oldest is forgotten first


@attrs.frozen(kw_only=True, eq=False)
class Encoded:
    """Told records as arrays, which are read-only.

    Attributes:
        records: The n records.
        u: Their configs in the unit cube, shape (n, d), NaN where a parameter is not active.
        losses: Their losses, shape (n,), NaN where a trial failed.
        generations: Their generations, shape (n,).
    """

    records: tuple[Record, ...]
    u: NDArray[np.float64]
    losses: NDArray[np.float64]
    generations: NDArray[np.intp]

    @classmethod
    def of(cls, space: Space, records: Sequence[Record]) -> "Encoded":
        """The arrays of records whose configs are of the space."""
        return cls._frozen(
            tuple(records),
            space.encode([record.trial.config for record in records]),
            np.array([record.loss for record in records], dtype=np.float64),
            np.array([record.trial.generation for record in records], dtype=np.intp),
        )

    def extended(self, space: Space, records: tuple[Record, ...]) -> "Encoded | None":
        """The arrays of more records, or None if they do not begin with these very records."""
        known = len(self.records)
        if known > len(records) or not all(map(operator.is_, self.records, records)):
            return None
        if known == len(records):
            return self
        new = Encoded.of(space, records[known:])
        return self._frozen(
            records,
            np.concatenate([self.u, new.u]),
            np.concatenate([self.losses, new.losses]),
            np.concatenate([self.generations, new.generations]),
        )

    @classmethod
    def _frozen(
        cls,
        records: tuple[Record, ...],
        u: NDArray[np.float64],
        losses: NDArray[np.float64],
        generations: NDArray[np.intp],
    ) -> "Encoded":
        for array in (u, losses, generations):
            array.setflags(write=False)
        return cls(records=records, u=u, losses=losses, generations=generations)


class Memory:
    """The histories that were asked for last, one per space and parent; pickles and copies empty."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[Space, int | None], Encoded] = {}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return type(self), ()

    def history(self, query: Query) -> Encoded:
        """The told part of the query's family history."""
        key = query.space, None if query.parent is None else query.parent.trial.id
        records = query.history
        kept = self._kept.get(key)
        now = None if kept is None else kept.extended(query.space, records)
        if now is None:
            now = self._begun(query.space, records)
        if now is not kept:
            self._kept.pop(key, None)  # the last one written is the last one in order
            self._kept[key] = now
            for oldest in list(self._kept)[:-_KEPT]:
                self._kept.pop(oldest, None)  # another thread may have been faster
        return now

    def _begun(self, space: Space, records: tuple[Record, ...]) -> Encoded:
        """The arrays of a history of a parent that is new here: it may go on from the last one that was asked for.

        It does where searchers learn from all lines, and where a founder's family is asked for first.
        """
        for (known, _), last in list(self._kept.items())[-1:]:
            found = last.extended(space, records) if known == space else None
            if found is not None:
                return found
        return Encoded.of(space, records)
