"""Family histories as arrays, and a memory of them that saves time and changes no answer.

A record never changes, so what was worked out for a history holds for each longer one that begins with the very same
records. Whether it does is looked up each time; nothing is taken for granted.
"""

import operator
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from gpbt_core.records import Record
from gpbt_core.searcher import Query
from gpbt_core.space import Space
from gpbt_searchers.tpe.layout import Floats

__all__ = ["History", "Memory"]

_FAMILIES = 64  # as many as are kept in mind, of which the oldest is forgotten first


@attrs.frozen(kw_only=True, eq=False)
class History:
    """The told part of a family history as arrays.

    Attributes:
        records: The n records.
        rows: Their configs in the unit cube, shape (n, d), NaN where a parameter is not active; read-only.
        losses: Theirs, shape (n,), NaN where a trial failed; read-only.
    """

    records: tuple[Record, ...]
    rows: Floats
    losses: Floats

    @classmethod
    def of(cls, space: Space, records: tuple[Record, ...]) -> "History":
        """Works it out."""
        rows = space.encode([record.trial.config for record in records])
        losses = np.array([record.loss for record in records], dtype=np.float64)
        return cls._frozen(records, rows, losses)

    def extended(self, space: Space, records: tuple[Record, ...]) -> "History | None":
        """The history of more records, or None if they do not begin with those of this one."""
        known = len(self.records)
        if known > len(records) or not all(map(operator.is_, self.records, records)):
            return None
        if known == len(records):
            return self
        new = History.of(space, records[known:])
        return self._frozen(records, np.concatenate([self.rows, new.rows]), np.concatenate([self.losses, new.losses]))

    @classmethod
    def _frozen(cls, records: tuple[Record, ...], rows: Floats, losses: Floats) -> "History":
        rows.setflags(write=False)
        losses.setflags(write=False)
        return cls(records=records, rows=rows, losses=losses)


class Memory:
    """The histories that were asked for last, one per space and parent; pickles and copies empty."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[Space, int | None], History] = {}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return type(self), ()

    def history(self, query: Query) -> History:
        """The told part of the query's family history."""
        key = query.space, None if query.parent is None else query.parent.trial.id
        records = query.history
        kept = self._kept.get(key)
        now = None if kept is None else kept.extended(query.space, records)
        if now is None:
            now = History.of(query.space, records)
        if now is not kept:
            self._kept[key] = now
            for oldest in list(self._kept)[:-_FAMILIES]:
                self._kept.pop(oldest, None)  # another thread may have been faster
        return now
