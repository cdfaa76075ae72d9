"""The searcher `sobol`: points of low discrepancy, one scrambled sequence per generation.

A point depends only on the run's seed, the generation and the slot; the slot's own generator is not used. Blocks of
points are cached, since the k-th point needs those before it.
"""

import functools
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from gpbt_core.errors import UnsupportedSpaceError
from gpbt_core.searcher import Query

__all__ = ["Sobol"]

_BLOCK = 256  # a power of 2, which scipy asks for


@attrs.frozen
class Sobol:
    """Covers the unit cube of the space more evenly than random draws do.

    The slots of one generation, whatever their parents, follow one Sobol sequence. Its scrambling depends on the run's
    seed and the generation, so later litters repeat no points of earlier ones. It learns nothing from results and is
    best for founders.

    Raises:
        UnsupportedSpaceError: The space has more parameters than there are dimensions with direction numbers (21,201).

    References:
        Sobol, The distribution of points in a cube and the accurate evaluation of integrals, 1967.
        Matousek, On the L2-discrepancy for anchored boxes, Journal of Complexity, 1998: how scipy.stats.qmc scrambles.

    Examples:
        >>> from gpbt_core.space import Float, Space
        >>> space = Space(x=Float(0, 1))
        >>> rng = np.random.default_rng(0)
        >>> found = [Sobol().propose(Query(space=space, slot=slot), rng)["x"] for slot in range(4)]
        >>> sorted(int(4 * x) for x in found)
        [0, 1, 2, 3]
    """

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:  # noqa: ARG002 - see the module
        """Answers with a config of `query.space`.

        Raises:
            UnsupportedSpaceError: The space has more parameters than the sequence has dimensions.
        """
        dimensions = len(query.space)
        if dimensions > qmc.Sobol.MAXDIM:
            raise UnsupportedSpaceError(
                f"sobol: the space must have at most {qmc.Sobol.MAXDIM} parameters, got {dimensions}; "
                "use the searcher 'random'"
            )
        block, place = divmod(query.slot, _BLOCK)
        return query.space.decode(_points(dimensions, query.seed, query.generation, block)[place])


@functools.lru_cache(maxsize=32)
def _points(dimensions: int, seed: int, generation: int, block: int) -> NDArray[np.float64]:
    """The points of a block of a sequence, shape (256, dimensions)."""
    engine = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng([seed, generation]))
    if block:
        engine.fast_forward(block * _BLOCK)
    points: NDArray[np.float64] = engine.random(_BLOCK)
    points.setflags(write=False)
    return points
