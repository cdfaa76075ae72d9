"""The searcher `random`: uniform in the unit cube, whatever has happened.

It uses nothing but the space, so the family history is never computed.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from gpbt_core.searcher import Query

__all__ = ["Random"]


@attrs.frozen
class Random:
    """Draws each config uniformly from the unit cube of the space.

    Examples:
        >>> from gpbt_core.space import Float, Space
        >>> query = Query(space=Space(lr=Float(1e-5, 1, log=True)))
        >>> 1e-5 <= Random().propose(query, np.random.default_rng(0))["lr"] <= 1
        True
    """

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        """Answers with a config of `query.space`."""
        return query.space.sample(rng)
