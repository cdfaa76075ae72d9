"""Determines which trials may still become parents, and which checkpoints are no longer needed.

A trial is released as soon as there is no more reason to hold it: events name the trials that may be released.
"""

from collections.abc import Iterable

from gpbt_core.persistent import Key, Ranking, Vector, has_key, with_key, without_key
from gpbt_core.records import Record, Status, Trial
from gpbt_core.space.parameters import alike
from gpbt_core.state.model import Open, State

__all__ = ["candidates", "free", "lines", "with_candidate"]


def with_candidate(
    o: Open, key: Key, trial: Trial, records: Vector[Record]
) -> tuple[Ranking, Vector[tuple[Key, ...]], list[int]]:
    """The candidates with one more, the litters, and the ids of those that can no longer be among the next parents."""
    keep, candidates, litters = o.keep, o.candidates, o.litters
    outranked: list[int] = []  # list[int]() takes ten times as long
    if keep is None:
        return candidates, litters, outranked
    # The last candidate only gets better, so the litter can ignore a trial ranked behind it: every trial in the litter
    # that it would outrank is ranked behind the last candidate, too.
    if len(candidates) == keep.count and key > candidates[-1]:
        return candidates, litters, [key[1]]
    place = 0 if keep.per_parent is None or trial.parent is None else o.plan.parents.index(trial.parent)
    litter = litters[place] if keep.per_parent is not None else ()
    clone = _clone(o, trial, litter, records) if keep.distinct else None
    if clone is not None:
        if key > clone:
            return candidates, litters, [key[1]]
        litter = tuple(mate for mate in litter if mate != clone)
        if has_key(candidates, clone):
            candidates = without_key(candidates, clone)
            outranked.append(clone[1])
    if keep.per_parent is not None:
        if len(litter) == keep.per_parent and key > litter[-1]:
            return candidates, litters, [*outranked, key[1]]
        best = sorted((*litter, key))
        litters = litters.replace(place, tuple(best[: keep.per_parent]))
        if len(best) > keep.per_parent and has_key(candidates, best[-1]):
            candidates = without_key(candidates, best[-1])
            outranked.append(best[-1][1])
    if len(candidates) == keep.count:
        outranked.append(candidates[-1][1])
        candidates = candidates[:-1]
    return with_key(candidates, key), litters, outranked


def _clone(o: Open, trial: Trial, litter: tuple[Key, ...], records: Vector[Record]) -> Key | None:
    """The candidate with the same parent and config; None where there is none."""
    assert o.keep is not None  # without it there are no candidates to look at
    # Where litters are kept, they have all but the survivors.
    among = litter if o.keep.per_parent is not None and not o.keep.survivors else (*litter, *o.candidates)
    for key in among:
        other = records[key[1]].trial
        if other.parent == trial.parent and alike(other.config, trial.config):
            return key
    return None


def free(
    leavers: Iterable[int],
    records: Vector[Record],
    o: Open,
    best: Key | None,
    late: tuple[int, ...],
    held: tuple[int, ...],
) -> list[int]:
    """The ended trials among `leavers` that a state of these parts no longer holds."""
    return [
        trial_id
        for trial_id in dict.fromkeys(leavers)
        if trial_id not in held and not _held(trial_id, records, o, best, late)
    ]


def lines(ends: Iterable[int | None], records: Vector[Record]) -> tuple[int, ...]:
    """The ids of all trials on the lines that end with these trials, ascending."""
    found: set[int] = set()
    for end in ends:
        at = end
        while at is not None and at not in found:
            found.add(at)
            at = records[at].trial.parent
    return tuple(sorted(found))


def _held(trial_id: int, records: Vector[Record], o: Open, best: Key | None, late: tuple[int, ...]) -> bool:
    """Whether a checkpoint may still be needed: the best's, a candidate's, a parent's of what can be in training."""
    record = records[trial_id]
    if record.status is not Status.COMPLETED:
        return False
    assert record.loss is not None  # a completed trial is one with a loss
    key = record.loss, trial_id
    if best == key or trial_id in o.plan.litters:
        return True
    if has_key(o.candidates, key) if o.keep else trial_id >= o.first or trial_id in o.latecomers:
        return True
    return bool(late) and any(records[i].trial.parent == trial_id for i in late)


def candidates(state: State) -> list[Record]:
    """The completed trials that may be among the next parents, by rising id; without the parents that survive."""
    o, records = state.open, state.records
    if o.keep is not None:
        return [records[i] for i in sorted(i for _, i in o.candidates) if i >= o.first]
    ids = (*o.latecomers, *range(o.first, o.first + o.asked))
    return [records[i] for i in sorted(ids) if records[i].status is Status.COMPLETED]
