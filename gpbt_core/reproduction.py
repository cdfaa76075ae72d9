"""Reproduction: how long the segments are, which trials become parents, and how their children are ordered.

A rule plans one generation from the records of the one before. It is pure: its only source of randomness is the
generator passed to it, and everything it has to remember is in the records.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_float, as_int, plain
from gpbt_core.records import Record, Status
from gpbt_core.rule import Rule
from gpbt_core.space import Config, Space
from gpbt_core.space.parameters import alike, typed

__all__ = [
    "Closing",
    "Genealogical",
    "Independent",
    "Keep",
    "Plan",
    "Reproduction",
    "ReproductionRule",
    "ReproductionSpec",
    "Slot",
    "Truncation",
    "litters",
]


@attrs.frozen
class Slot:
    """A place in a generation.

    Attributes:
        parent: The id of the trial whose weights the child starts from; None: from scratch.
        repeat: Whether the child keeps the parent's config instead of searching for one.
        config: The child's config, if the rule chooses it; None: it is searched for, or repeated.
    """

    parent: int | None
    repeat: bool = False
    config: Config | None = None


@attrs.frozen
class Plan:
    """The parents of one generation, and its slots.

    Attributes:
        parents: The ids of the distinct parents, best first; empty in generation 0.
        slots: The slots in the order in which they open. Slots that a refill adds at the end go to the parents in
            turn.
        litters: For each parent, its places among `slots`; derived from the other attributes.
    """

    parents: tuple[int, ...]
    slots: tuple[Slot, ...]
    litters: dict[int | None, tuple[int, ...]] = attrs.field(init=False, repr=False, eq=False)

    @litters.default
    def _places(self) -> dict[int | None, tuple[int, ...]]:
        places: dict[int | None, list[int]] = {parent: [] for parent in self.parents}
        for place, slot in enumerate(self.slots):
            places.setdefault(slot.parent, []).append(place)
        return {parent: tuple(found) for parent, found in places.items()}


@attrs.frozen(kw_only=True)
class Closing:
    """What a rule may look at when it plans a generation.

    Attributes:
        space: The space of the run.
        population: n, the number of models.
        generation: The generation to plan, at least 1.
        candidates: The completed trials that may become parents, in order of id; at least one.
        members: All ended trials of the closing generation, and late trials of earlier generations, in order of id.
        parents: The parents of the closing generation, best first.
        generations: The number of generations of the run.
        steps: T, the steps per model.
        records: Every trial asked so far, by id, for rules that look further back.
        line: In a run with generations after the first T steps: the lineage of the best complete line, from its founder
            on; of the deepest line if none is complete. Its trials may become parents again. Otherwise empty.
    """

    space: Space
    population: int
    generation: int
    candidates: tuple[Record, ...]
    members: tuple[Record, ...]
    parents: tuple[Record, ...]
    generations: int = 1
    steps: int = 1
    records: Sequence[Record] = ()
    line: tuple[Record, ...] = ()


@attrs.frozen(kw_only=True)
class Keep:
    """A promise about a future selection, so that checkpoints can be deleted before it.

    Attributes:
        count: Only the `count` best candidates can become parents.
        per_parent: At most this many children of one parent can become parents; None: no limit.
        survivors: Whether the parents themselves are among the candidates.
        distinct: Whether only the best of several candidates with the same parent and config can become a parent.
    """

    count: int
    per_parent: int | None = None
    survivors: bool = False
    distinct: bool = False


@runtime_checkable
class Reproduction(Protocol):
    """Decides which trials become parents, and how many children each has.

    A rule is an attrs class whose fields are its options. It carries the name under which it is offered.

    Attributes:
        name: The name that users write.
        select_by: What the rule ranks trials by: "score" or the name of another measure. With another measure, the
            final model of a run is the first of the parents that the rule would choose next.
    """

    name: ClassVar[str]
    select_by: ClassVar[str]

    @property
    def refill(self) -> bool:
        """Whether steps saved by stopped trials open further slots in the same generation."""

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:
        """The segment length of each generation in steps.

        The lengths sum to `steps`. Only a rule with a true attribute `revisits` may give more after these, for
        generations that train again from trials of the best line (`Closing.line`). The checkpoints of all lines that
        may be the best are then kept until the last generation closes, and in the later generations nothing ends
        early, neither a trial nor a generation.

        Args:
            population: n, at least 1.
            steps: T, the steps per model, at least 1.

        Raises:
            ConfigError: The options do not fit n or T.
        """

    def first_slots(self, population: int) -> int:
        """The number of slots of generation 0, at least 1; later generations have theirs in their plans."""

    def plan(self, closing: Closing, rng: "np.random.Generator") -> Plan:
        """The plan of the next generation; called once, when a generation closes, with at least one candidate."""

    def keep(self, generation: int, population: int) -> Keep | None:
        """What is certain about the parents of `generation` before it is planned; None if nothing is."""


@attrs.frozen(kw_only=True)
class ReproductionSpec:
    """A reproduction rule that a plugin offers.

    Attributes:
        name: The name that users write, in lower case; equal to the rule's own `name`.
        summary: One line for listings.
        build: Makes the rule from the user's options.
    """

    name: str
    summary: str
    build: Callable[..., Reproduction]


def litters(
    parents: Sequence[int],
    slots: int,
    *,
    repeats: Collection[int] = (),
    order: Literal["round-robin", "litter"] = "round-robin",
) -> Plan:
    """A plan in which the parents share the slots evenly; of an uneven number, the first parents get one more each.

    Args:
        parents: The ids of the parents, best first; at least one, and no more than `slots`.
        slots: The number of slots of the generation.
        repeats: The ids of the parents whose first slot repeats their config.
        order: "round-robin" over the parents, or one "litter" after the other.

    Examples:
        >>> [slot.parent for slot in litters([7, 3], 5).slots]
        [7, 3, 7, 3, 7]
        >>> [slot.parent for slot in litters([7, 3], 5, order="litter").slots]
        [7, 7, 7, 3, 3]
    """
    count = len(parents)
    first = [Slot(parent, parent in repeats) for parent in parents]
    if order == "round-robin":
        others = [Slot(parent) for parent in parents]
        return Plan(tuple(parents), tuple(first[k] if k < count else others[k % count] for k in range(slots)))
    sizes = [slots // count + (k < slots % count) for k in range(count)]
    return Plan(
        tuple(parents),
        tuple(slot for k, size in enumerate(sizes) for slot in [first[k], *[Slot(parents[k])] * (size - 1)][:size]),
    )


@attrs.frozen
class ReproductionRule(Rule):
    """The base class for your own reproduction rules; you only have to write `plan`.

    By default, a run has one generation per step, generation 0 has one slot per model, and nothing is refilled. The
    rule promises nothing about the next parents, so all completed trials keep their checkpoints until their generation
    closes.

    Examples:
        >>> from gpbt_core import Float, Optimizer, Space
        >>> class Winner(ReproductionRule):
        ...     def plan(self, closing, rng):
        ...         best = min(closing.candidates, key=lambda record: record.loss)
        ...         return litters([best.trial.id], closing.population)
        >>> optimizer = Optimizer(Space(x=Float(0, 1)), population=3, steps=5, reproduction=Winner())
        >>> optimizer.generations
        5
    """

    select_by: ClassVar[str] = "score"

    @property
    def refill(self) -> bool:
        """See `Reproduction.refill`."""
        return False

    @property
    def revisits(self) -> bool:
        """Whether generations after the first T steps train again from trials of the best line."""
        return False

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:  # noqa: ARG002  # for others
        """See `Reproduction.segment_lengths`."""
        return (1,) * steps

    def first_slots(self, population: int) -> int:
        """See `Reproduction.first_slots`."""
        return population

    def plan(self, closing: Closing, rng: "np.random.Generator") -> Plan:
        """See `Reproduction.plan`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method plan(closing, rng)")

    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002  # for others
        """See `Reproduction.keep`."""
        return None


def _tuple(values: Any) -> Any:
    """A sequence as a tuple, so that a rule can be hashed; anything else unchanged, for the checks to reject."""
    found = plain(values)
    return tuple(found) if isinstance(found, Iterable) and not isinstance(found, (str, bytes)) else found


def _are_shares(values: object, most: float) -> bool:
    """Whether `shares` has at least one item, and only positive finite numbers of at most `most`."""
    if not isinstance(values, tuple) or not values:
        return False
    shares = [as_float(value) for value in values]
    return all(share is not None and 0 < share <= most and math.isfinite(share) for share in shares)


def _segments(who: str, lengths: int | tuple[float, ...], steps: int) -> tuple[int, ...]:
    """Segment lengths from shares of `steps`, or of equal length; at least one step each, the last has the rest."""
    length = as_int(lengths)
    if length is not None and length >= 1:
        count = max(1, steps // length)
        return (length,) * (count - 1) + (steps - length * (count - 1),)
    if not isinstance(lengths, tuple) or not _are_shares(lengths, math.inf):
        raise ConfigError(
            f"{who}: segments must be a whole number of at least 1, or positive shares of the steps, got {lengths!r}"
        )
    found: list[int] = []
    left = steps
    for share in lengths[:-1]:
        length = min(left, max(1, round(share / sum(lengths) * steps)))
        if length == 0:
            break
        found.append(length)
        left -= length
    if left:
        found.append(left)
    return tuple(found)


@attrs.frozen(kw_only=True)
class Genealogical(ReproductionRule):
    """The best trials of a generation become parents, and their children inherit their weights (GPBT's rule).

    Of several trials with the same parent and the same config, only the best becomes a parent. Otherwise, copies of one
    config would displace others in a small space. A generation can therefore have fewer parents than `parents` says.

    Attributes:
        segments: Shares of the steps per model, one per generation, each at least one step (the last takes the
            remainder); or the length in steps of equal segments.
        parents: Shares of n, one per generation from 1 on, rounded and at least 1. The last share holds for all later
            generations. None: floor(sqrt(n / c)), the paper's number.
        founders: The number of slots of generation 0; None: n. The later generations share the rest of the n x T steps:
            each has as many slots as there are steps left in the budget per step left of a line, rounded up where the
            budget allows it.
        c: c of the paper's formula, in [1/n, n]; a small c gives many parents with small litters.
        per_parent: The maximum number of children of one former parent that become parents; None: no limit. It does
            not apply to parents from generation 0, which have no former parent.
        steady: Whether the child that repeats its parent's config becomes a parent along with the best of its litter,
            whatever its own score. Such a line keeps its config and is judged by what its siblings make of its weights.
            A config that pays off only later is then not lost to one that pays off immediately. The steady child counts
            toward `per_parent`. The parents of the last generation are chosen without this rule.
        spread: A parent from generation 0 is taken only if its config is farther than this from those already taken
            (Chebyshev distance in the unit cube); missing parents are then filled up by rank. In [0, 1]; 0: by rank
            alone.
        survivors: Whether parents compete with their children; a survivor's next litter has no repeat slot.
        repeat: Whether the first slot of each litter repeats the parent's config.
        noise: Ranks by loss + N(0, s^2), s = noise * (loss[p] - loss[1]); at least 0.
        order: "round-robin" over the parents or one "litter" after the other, the best parent first in both.
        refill: Whether steps saved by stopped trials open further slots.
        revisions: The share of the n x T steps that is kept for revisions of the best complete line, in [0, 1). A
            revision starts again from a checkpoint of that line, at the beginning of one of its later segments, with a
            searched config. In the segments that follow, it keeps the line's own configs, shifted by the same distance
            in the unit cube, which shrinks linearly to 0 at the end. Only the score at its end counts. If that is
            better, the next revisions start from the new line. Revisions find what a choice by the present score
            misses. They begin with the last segment, go back one segment each time, and start over.
        together: How many revisions start from the same checkpoint and can be trained at the same time, at least 1.

    Raises:
        ConfigError: An option is out of its range, or does not fit the population.

    References:
        Scardigli, Fournier, Vilucchio, Naccache: "Genealogical Population-Based Training for Hyperparameter
        Optimization" (2021); number of parents: floor(sqrt(n / c)).

    Examples:
        >>> Genealogical().segment_lengths(25, 10), Genealogical(segments=1).segment_lengths(25, 4)
        ((4, 2, 1, 1, 1, 1), (1, 1, 1, 1))
        >>> [Genealogical().number_of_parents(g, 25) for g in range(1, 7)]
        [15, 11, 9, 6, 4, 4]
        >>> rule = Genealogical(segments=(0.1, 0.2, 0.3, 0.4), founders=12)
        >>> [rule.slots(g, 4, 20) for g in range(4)], rule.segment_lengths(4, 20)
        ([12, 4, 3, 2], (2, 4, 6, 8))
    """

    name: ClassVar[str] = "genealogical"

    segments: int | tuple[float, ...] = attrs.field(default=(0.4, 0.2, 0.1, 0.1, 0.1, 0.1), converter=_tuple)
    parents: tuple[float, ...] | None = attrs.field(default=(0.6, 0.45, 0.35, 0.25, 0.16), converter=_tuple)
    founders: int | None = attrs.field(default=None, converter=plain)
    c: float = 1.0
    per_parent: int | None = attrs.field(default=2, converter=plain)
    steady: bool = attrs.field(default=False, converter=plain)
    spread: float = 0.1
    survivors: bool = attrs.field(default=False, converter=plain)
    repeat: bool = attrs.field(default=True, converter=plain)
    noise: float = 0.0
    order: Literal["round-robin", "litter"] = "round-robin"
    refill: bool = attrs.field(default=True, converter=plain)
    revisions: float = 0.0
    together: int = attrs.field(default=1, converter=plain)

    def __attrs_post_init__(self) -> None:
        share = as_float(self.revisions)
        count, per_parent, spread, noise = self.founders, self.per_parent, as_float(self.spread), as_float(self.noise)
        checks = {
            "parents": (
                self.parents is None or _are_shares(self.parents, 1),
                "shares of n, each above 0 and at most 1, or None",
            ),
            "founders": (count is None or (as_int(count) or 0) >= 1, "a whole number of at least 1, or None for n"),
            "c": (as_float(self.c) is not None, "a number"),
            "per_parent": (
                per_parent is None or (as_int(per_parent) or 0) >= 1,
                "a whole number of at least 1, or None for no limit",
            ),
            "spread": (spread is not None and 0 <= spread <= 1, "a number in [0, 1]"),
            "noise": (noise is not None and 0 <= noise < math.inf, "a finite number of at least 0"),
            "revisions": (share is not None and 0 <= share < 1, "a number in [0, 1)"),
            "together": ((as_int(self.together) or 0) >= 1, "a whole number of at least 1"),
            "order": (self.order in ("round-robin", "litter"), '"round-robin" or "litter"'),
            **{
                name: (isinstance(getattr(self, name), bool), "a bool")
                for name in ("steady", "survivors", "repeat", "refill")
            },
        }
        for name, (is_right, wanted) in checks.items():
            if not is_right:
                raise ConfigError(f"genealogical: {name} must be {wanted}, got {getattr(self, name)!r}")

    @property
    def revisits(self) -> bool:
        """See `ReproductionRule.revisits`."""
        return self.revisions > 0

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:  # likewise
        """See `Reproduction.segment_lengths`."""
        if self.parents is None and not 1 / population <= self.c <= population:
            raise ConfigError(
                f"genealogical: c must be from 1/n = {1 / population:.4g} to n = {population}, so that "
                f"floor(sqrt(n / c)) is from 1 to n, got {self.c!r}"
            )
        lengths = _segments("genealogical", self.segments, steps)
        rounds = self._rounds(population, steps)
        founders, left = self.first_slots(population), population * steps - _cost(rounds)
        if (self.founders is not None or rounds) and founders * lengths[0] + steps - lengths[0] > left:
            raise ConfigError(
                f"genealogical: {founders} founders of {lengths[0]} steps each do not leave one slot for the other "
                f"{steps - lengths[0]} steps of a line, of {left} steps; take fewer or shorter ones, or fewer revisions"
            )
        return (*lengths, *itertools.chain.from_iterable(each.lengths for each in rounds))

    def _rounds(self, population: int, steps: int) -> tuple["_Round", ...]:
        """The rounds of revisions, in order: they go back from the last segment, and begin again where steps run out.

        The last ones have fewer revisions if the budget has no room for `together`.
        """
        lengths = _segments("genealogical", self.segments, steps)
        left = math.floor(self.revisions * population * steps + 1e-9)  # .3 * 10 * 10 may lie a rounding error below 30
        rounds: list[_Round] = []
        segment, count = len(lengths), self.together
        while len(lengths) > 1 and left >= lengths[-1]:
            segment -= 1
            if segment == 0 or left < sum(lengths[segment:]):
                segment = len(lengths) - 1
            made = _Round(segment, min(count, left // sum(lengths[segment:])), lengths[segment:])
            rounds.append(made)
            left -= _cost([made])
        return tuple(rounds)

    def first_slots(self, population: int) -> int:
        """See `Reproduction.first_slots`."""
        return population if self.founders is None else self.founders

    def slots(self, generation: int, population: int, steps: int) -> int:
        """The number of slots of `generation` (from 0) before any refill, for n models of T steps each."""
        lengths, rounds = _segments("genealogical", self.segments, steps), self._rounds(population, steps)
        if generation >= len(lengths):
            counts = [made.count for made in rounds for _ in made.lengths]
            place = generation - len(lengths)
            return counts[place] if place < len(counts) else population  # the run was extended
        if self.founders is None and not rounds:
            return population
        left, line, count = population * steps - _cost(rounds), steps, self.first_slots(population)
        for length, following in itertools.pairwise(lengths[: generation + 1]):
            left, line = left - count * length, line - length
            count = -(-left // line)
            if left - count * following < line - following:  # the later segments need a slot each
                count = left // line
        return count

    def number_of_parents(self, generation: int, population: int) -> int:
        """The number of parents of `generation` (from 1), for a population of n."""
        if self.parents is None:
            count = math.floor(math.sqrt(population / self.c) + 1e-9)  # n / c may lie a rounding error below a square
        else:
            count = round(self.parents[min(generation, len(self.parents)) - 1] * population)
        return min(population, max(1, count))

    def plan(self, closing: Closing, rng: "np.random.Generator") -> Plan:
        """See `Reproduction.plan`."""
        place = closing.generation - len(_segments("genealogical", self.segments, closing.steps))
        for made in self._rounds(closing.population, closing.steps):
            if 0 <= place < len(made.lengths):
                return _revisions(closing, made.segment + place, made.count, begin=place == 0)
            place -= len(made.lengths)
        n = self.slots(closing.generation, closing.population, closing.steps)
        parents = self._select(closing, n, rng)
        survivors = {parent.trial.id for parent in closing.parents}
        ids = [parent.trial.id for parent in parents]
        return litters(ids, n, repeats=set(ids) - survivors if self.repeat else (), order=self.order)

    def keep(self, generation: int, population: int) -> Keep | None:
        """See `Reproduction.keep`."""
        if self.noise or self.steady or self.revisions or (self.spread and generation == 1):
            return None
        return Keep(
            count=self.number_of_parents(generation, population),
            per_parent=None if generation == 1 else self.per_parent,
            survivors=self.survivors,
            distinct=True,
        )

    def values(self, closing: Closing, records: Sequence[Record]) -> Sequence[float]:  # noqa: ARG002  # for others
        """The values that candidates are ranked by, lowest first: their losses.

        A derived rule can rank by something else. Its `keep` must then promise nothing, and its `select_by` must name
        what it ranks by.
        """
        return [_loss(record) for record in records]

    def _select(self, closing: Closing, slots: int, rng: "np.random.Generator") -> list[Record]:
        candidates = {record.trial.id: record for record in closing.candidates}
        if self.survivors:
            candidates |= {record.trial.id: record for record in closing.parents}
        later = sum(len(made.lengths) for made in self._rounds(closing.population, closing.steps))
        first = closing.generation if closing.generation <= closing.generations - later else closing.generation - later
        if later and first < closing.generation:  # an extension continues the best line, too
            candidates |= {record.trial.id: record for record in closing.line[-1:]}
        count = min(slots, self.number_of_parents(closing.generation, closing.population))
        records = list(candidates.values())
        ranked = _distinct(self._ranked(records, self.values(closing, records), count, rng))
        if closing.generation == 1:
            return _apart(closing.space, ranked, count, self.spread) if self.spread else ranked[:count]
        if self.steady and first < closing.generations - later - 1:
            return _with_steady(ranked, count, self.per_parent, closing.records)
        return _limited(ranked, count, self.per_parent, {record.trial.id for record in closing.parents})

    def _ranked(
        self, records: list[Record], losses: Sequence[float], count: int, rng: "np.random.Generator"
    ) -> list[Record]:
        if self.noise:
            best = sorted(losses)
            scale = self.noise * (best[min(count, len(best)) - 1] - best[0])
            losses = (np.array(losses) + rng.normal(0.0, 1.0, len(losses)) * scale).tolist()
        order = sorted(range(len(records)), key=lambda i: (losses[i], records[i].trial.id))
        return [records[i] for i in order]


@attrs.frozen
class _Round:
    """Revisions that start from the same checkpoint.

    Attributes:
        segment: The first segment that they train again, from 1.
        count: How many there are.
        lengths: The lengths of their segments.
    """

    segment: int
    count: int
    lengths: tuple[int, ...]


def _cost(rounds: Iterable[_Round]) -> int:
    return sum(made.count * sum(made.lengths) for made in rounds)


def _revisions(closing: Closing, segment: int, count: int, *, begin: bool) -> Plan:
    """The plan of one generation of revisions: they begin at `segment` of the best line, or continue with it.

    If none of them is left that could continue, as all have failed, new ones begin here.
    """
    line = closing.line
    going_on = [] if begin else [record for record in closing.candidates if record.trial.depth == segment - 1][:count]
    if not going_on:
        parent = line[min(segment, len(line)) - 1].trial.id
        return Plan((parent,), (Slot(parent),) * count)
    on_line = {record.trial.id for record in line}
    slots = []
    for record in going_on:
        branch = record
        while (before := branch.trial.parent) is not None and before not in on_line:
            branch = closing.records[before]
        slots.append(Slot(record.trial.id, config=_shifted(closing, branch, record, segment)))
    return Plan(tuple(record.trial.id for record in going_on), tuple(slots))


def _shifted(closing: Closing, branch: Record, last: Record, segment: int) -> Config:
    """The line's config in a segment, shifted as far as the revision left the line at its beginning, or less.

    The shift shrinks linearly, to 0 at the end. A categorical parameter that was changed there stays changed. So does
    one that was not active on the line.
    """
    space, line = closing.space, closing.line
    start = branch.trial.start_step
    share = 1 - (last.trial.start_step + last.steps - start) / max(1, closing.steps - start)
    left = line[min(branch.trial.depth, len(line) - 1)].trial.config
    own = line[min(segment, len(line) - 1)].trial.config
    old, new, u = space.encode([left, branch.trial.config, own])
    changed = np.where(np.isnan(new), u, new)
    shifted = np.where(space.categorical, np.where(new == old, u, changed), u + max(0.0, share) * (new - old))
    shifted = np.where(np.isnan(shifted), changed, shifted)
    return space.decode(np.nan_to_num(np.clip(shifted, 0, 1), nan=0.5))  # inactive ones: any value does


def _loss(record: Record) -> float:
    assert record.loss is not None  # only completed trials are candidates
    return record.loss


def _distinct(ranked: list[Record]) -> list[Record]:
    """The best trial of each parent and config: a clone would displace another config that is worth trying."""
    found: dict[Any, Record] = {}
    for record in ranked:
        config = record.trial.config
        found.setdefault((record.trial.parent, *config, *typed(config.values())), record)
    return list(found.values())


def _limited(ranked: list[Record], count: int, per_parent: int | None, parents: set[int]) -> list[Record]:
    """The `count` best, with at most `per_parent` children per former parent; surviving parents do not count."""
    taken: list[Record] = []
    children: dict[int | None, int] = {}
    for record in ranked:
        if len(taken) == count:
            break
        if record.trial.id not in parents:
            children[record.trial.parent] = children.get(record.trial.parent, 0) + 1
            if per_parent is not None and children[record.trial.parent] > per_parent:
                continue
        taken.append(record)
    return taken


def _with_steady(ranked: list[Record], count: int, per_parent: int | None, records: Sequence[Record]) -> list[Record]:
    """The best and the steady child of each of the best litters, at most `per_parent` of each; filled up by rank.

    Args:
        ranked: The candidates, best first.
        count: The number of trials to take.
        per_parent: The maximum number of a litter, including the steady child; None: no limit.
        records: All trials, by id.

    Returns:
        Up to `count` of the candidates, litter by litter; the litter with the best child comes first.
    """
    litters: dict[int | None, list[Record]] = {}
    for record in ranked:
        litters.setdefault(record.trial.parent, []).append(record)
    taken: dict[int, Record] = {}
    for parent, litter in litters.items():
        steady = [r for r in litter if parent is not None and alike(records[parent].trial.config, r.trial.config)][:1]
        best = litter[: 1 if per_parent is None else max(1, per_parent - 1)]
        for record in (*best, *steady):
            if len(taken) < count:
                taken[record.trial.id] = record
    for record in ranked:
        if len(taken) == count:
            break
        taken.setdefault(record.trial.id, record)
    return list(taken.values())


def _apart(space: Space, ranked: list[Record], count: int, spread: float) -> list[Record]:
    """The best trials whose configs lie farther than `spread` from better ones already taken, filled up by rank."""
    points = space.encode([record.trial.config for record in ranked])
    taken: list[int] = []
    for i, point in enumerate(points):
        if len(taken) == count:
            break
        gaps = np.abs(points[taken] - point)
        one_sided = np.isnan(points[taken]) != np.isnan(point)  # active in only one of the two: the largest distance
        if not taken or np.where(one_sided, 1.0, np.nan_to_num(gaps)).max(axis=1).min() > spread:
            taken.append(i)
    chosen = set(taken)
    taken += [i for i in range(len(ranked)) if i not in chosen][: count - len(taken)]
    return [ranked[i] for i in sorted(taken)]


@attrs.frozen(kw_only=True)
class Truncation(ReproductionRule):
    """Classic PBT: members keep their config, but the worst become copies of random best ones with a new config.

    Attributes:
        segments: As in `Genealogical`; 1: exploit and explore after each step.
        quantile: The share of n that is replaced, and also the share that is copied; in [0, .5], rounded up. Failed
            and stopped members rank last.
        min_gap: A member is replaced only if its loss is at least this many standard deviations, of the generation's
            losses, above those of all members that may replace it; at least 0. Use .1 to .5 if scores are noisy. Failed
            and stopped members are replaced in any case.

    Raises:
        ConfigError: An option is out of its range.

    References:
        Jaderberg et al., "Population Based Training of Neural Networks" (2017), truncation selection: the bottom 20%
        copy the top 20%.
    """

    name: ClassVar[str] = "truncation"

    segments: int | tuple[float, ...] = attrs.field(default=1, converter=_tuple)
    quantile: float = 0.2
    min_gap: float = 0.0

    def __attrs_post_init__(self) -> None:
        gap = as_float(self.min_gap)
        if gap is None or not (gap >= 0 and math.isfinite(gap)):
            raise ConfigError(f"truncation: min_gap must be a number of at least 0, got {self.min_gap!r}")
        if as_float(self.quantile) is None or not 0 <= self.quantile <= 0.5:
            raise ConfigError(f"truncation: quantile must be in [0, .5], got {self.quantile!r}")

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:  # noqa: ARG002  # likewise
        """See `Reproduction.segment_lengths`."""
        return _segments("truncation", self.segments, steps)

    def plan(self, closing: Closing, rng: "np.random.Generator") -> Plan:
        """See `Reproduction.plan`."""
        ranked = sorted(closing.candidates, key=lambda record: (record.loss, record.trial.id))
        n, replaced = closing.population, self._replaced(closing.population)
        best = ranked[: max(1, replaced)]
        limit = self._limit(ranked, best[-1])
        kept = max(1, n - replaced)
        going_on = {r.trial.id for place, r in enumerate(ranked[:n]) if place < kept or _loss(r) < limit}
        donors = [record.trial.id for record in best]
        copies = n - sum(member.trial.id in going_on for member in closing.members)
        slots = []
        # There can be fewer than n members if a generation ended early, or more if results came late.
        for member in (*closing.members, *[None] * copies):
            if member is not None and member.trial.id in going_on:
                slots.append(Slot(member.trial.id, repeat=True))
            elif copies > 0:
                slots.append(Slot(donors[int(rng.integers(len(donors)))]))
                copies -= 1
        used = {slot.parent for slot in slots}
        return Plan(tuple(record.trial.id for record in ranked if record.trial.id in used), tuple(slots))

    def keep(self, generation: int, population: int) -> Keep | None:  # noqa: ARG002  # the protocol's signature
        """See `Reproduction.keep`."""
        return None if self.min_gap else Keep(count=max(1, population - self._replaced(population)))

    def _limit(self, ranked: list[Record], donor: Record) -> float:
        """The loss below which no member is replaced."""
        if not self.min_gap:
            return -math.inf
        losses = [_loss(record) for record in ranked if math.isfinite(_loss(record))]
        return _loss(donor) + self.min_gap * float(np.std(losses)) if losses else -math.inf

    def _replaced(self, members: int) -> int:
        return min(math.ceil(members * self.quantile), members // 2)


@attrs.frozen(kw_only=True)
class Independent(ReproductionRule):
    """n lines that keep their founders' configs: plain hyperparameter optimization, for comparisons.

    A line ends when it fails or is stopped.

    Attributes:
        segments: As in `Genealogical`; with 1.0 as the only share, the run is one segment without selection.

    Raises:
        ConfigError: The option is out of its range.
    """

    name: ClassVar[str] = "independent"

    segments: int | tuple[float, ...] = attrs.field(default=(1.0,), converter=_tuple)

    def segment_lengths(self, population: int, steps: int) -> tuple[int, ...]:  # noqa: ARG002  # likewise
        """See `Reproduction.segment_lengths`."""
        return _segments("independent", self.segments, steps)

    def plan(self, closing: Closing, rng: "np.random.Generator") -> Plan:  # noqa: ARG002  # the protocol's signature
        """See `Reproduction.plan`."""
        ids = [record.trial.id for record in closing.candidates if record.status is Status.COMPLETED]
        return Plan(tuple(ids), tuple(Slot(i, repeat=True) for i in ids))
