"""The importance of the hyperparameters in one generation."""

from gpbt_adapters.views.columns import Run, state_of
from gpbt_adapters.views.importances import Importance, measured, pooled

__all__ = ["shares", "weighed", "weighed_of"]

MOST = 10
"""Roughly the most generations whose importance a page shows."""


def weighed(count: int) -> tuple[int, ...]:
    """Indices of the generations whose importance a page shows: all of a few; of many, evenly spread and the last.

    Args:
        count: How many generations there are.

    Examples:
        >>> weighed(4)
        (0, 1, 2, 3)
        >>> weighed(38)
        (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 37)
    """
    stride = 1
    while count > MOST * stride:
        stride *= 2  # so that a run that goes on keeps every other generation
    return tuple(sorted({*range(0, count, stride), *([count - 1] if count else [])}))


def weighed_of(run: Run) -> tuple[int, ...]:
    """The closed generations of a run whose importance a page shows; those that revise the best line have none."""
    state = state_of(run)
    generations = [generation for generation in range(len(state.closed)) if not state.settings.is_revision(generation)]
    return tuple(generations[index] for index in weighed(len(generations)))


def shares(run: Run, generation: int) -> Importance | None:
    """The importance of each hyperparameter in a closed generation, by the comparison of siblings.

    It always gives the same result, and takes some hundredths of a second, so keep it.

    Args:
        run: The run.
        generation: The generation, from 0.

    Returns:
        The shares, with what chance alone gives; small generations are pooled with those before them. None if the
        generation is not closed, revises the best line, or has no told trial.
    """
    state = state_of(run)
    if not 0 <= generation < len(state.closed) or state.settings.is_revision(generation):
        return None
    records = pooled(state.records, generation)
    return measured(state.settings.space, records) if records else None
