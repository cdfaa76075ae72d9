"""Upper bounds on what a run needs, computed from its settings before it starts."""

import attrs

from gpbt_core.state import Settings

__all__ = ["Needs", "needs_of"]


@attrs.frozen(kw_only=True)
class Needs:
    """Upper bounds on what a run needs.

    Attributes:
        trials: How many trials the run plans. Each slot that a refill opens is one more, in place of at least half a
            segment that stopped trials have saved.
        steps: The steps that it trains: population x steps, and up to half a segment more per generation that refills.
        checkpoints: How many checkpoints are kept at a time: of a generation's parents, of those that may be the next
            ones, of the trials in training, of the best, and of lines that may be revisited. Runs with revisions
            usually need about half of this, because most of these lines have ancestors in common. None: with a quorum
            below 1 there is no bound.
    """

    trials: int
    steps: int
    checkpoints: int | None


def needs_of(settings: Settings, generations: int) -> Needs:
    """Upper bounds on what a run of this many generations needs.

    A reproduction rule may define `slots(generation, population, steps)`, the number of slots of a generation, and
    `number_of_parents(generation, population)`, the number of its parents. By default, a generation has one slot per
    model, and as many parents as slots.
    """
    rule, n = settings.reproduction, settings.population
    lengths = [settings.lengths[min(g, len(settings.lengths) - 1)] for g in range(generations)]
    slots = [_slots(settings, g) for g in range(generations)]
    over = sum(length // 2 for length in lengths) if rule.refill else 0
    checkpoints = lines = 0
    for generation, count in enumerate(slots):
        keep = rule.keep(generation + 1, n)
        candidates = count if keep is None else min(count, keep.count)
        parents = 0 if generation == 0 else _parents(settings, generation)
        survivors = parents if keep is not None and keep.survivors else 0
        checkpoints = max(checkpoints, lines + parents + max(candidates, survivors))
        if settings.revisits and generation < settings.line:
            lines += parents  # their lines may be revisited; later, only the best one and those of the open round
    return Needs(
        trials=sum(slots),
        steps=sum(count * length for count, length in zip(slots, lengths, strict=True)) + over,
        checkpoints=checkpoints + settings.max_concurrent + 1 if settings.quorum == 1 else None,
    )


def _slots(settings: Settings, generation: int) -> int:
    rule, n = settings.reproduction, settings.population
    if generation == 0:
        return rule.first_slots(n)
    slots = getattr(rule, "slots", None)
    return n if slots is None else int(slots(generation, n, settings.steps))


def _parents(settings: Settings, generation: int) -> int:
    rule, n = settings.reproduction, settings.population
    number = getattr(rule, "number_of_parents", None)
    return _slots(settings, generation) if number is None else int(number(generation, n))
