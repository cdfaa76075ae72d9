"""The importance of each hyperparameter, generation by generation, beside what chance alone gives.

It is computed from the records of a run; nothing here changes or proposes anything. You can replace the function that
finds the shares of one generation. The searcher `gp` offers one from its model, `gpbt_searchers.gp.importance`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Status
from gpbt_core.space import Categorical, Space

__all__ = ["Importance", "Method", "importance", "measured", "ped_anova_shares", "pooled"]

_TOLD = frozenset({Status.COMPLETED, Status.STOPPED, Status.FAILED})
_ALPHA = 0.01  # the chance that a generation in which nothing matters has a name above the floor
_PERMUTATIONS = 999
_SHUFFLES = 19  # for methods that take longer; the chance above is then 1 in 20
_WAVES = 2  # per number: a slope and a bend
_MOST = 1000  # trials that are compared; of more, a sample
_PARTS = 10  # of the trials, each left out once for the intervals
_NORMAL = 1.645  # standard errors on either side of an interval of 90%

Floats = NDArray[np.float64]
Groups = NDArray[np.int64]


@attrs.frozen(kw_only=True)
class Importance(Mapping[str, float]):
    """The share of each hyperparameter in the differences between trials; a mapping from names to shares.

    Attributes:
        shares: By name, in the order of the space; they sum to 1, and are equal if the losses show no differences.
        low: By name, the lower end of a 90% interval of the share.
        high: By name, its upper end.
        floor: By name, the share that a hyperparameter without effect reaches by chance; in [0, 1].
        named: The names whose share is above their floor, the largest share first. The comparison of siblings also asks
            that the effect is above chance beside that of the most important other hyperparameter.
        first: The first of the pooled generations; the last is the one that was asked for.
        trials: How many told trials were compared.

    Examples:
        >>> found = Importance(
        ...     shares={"a": 0.9, "b": 0.1},
        ...     low={"a": 0.7, "b": 0.0},
        ...     high={"a": 1.0, "b": 0.3},
        ...     floor={"a": 0.4, "b": 0.4},
        ...     named=("a",),
        ...     first=0,
        ...     trials=25,
        ... )
        >>> found["a"], found.enough
        (0.9, True)
    """

    shares: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    floor: Mapping[str, float]
    named: tuple[str, ...]
    first: int
    trials: int

    @property
    def enough(self) -> bool:
        """Whether there are enough trials to tell that some hyperparameter matters."""
        return bool(self.named)

    def __getitem__(self, name: str) -> float:
        return self.shares[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shares)

    def __len__(self) -> int:
        return len(self.shares)


class Method(Protocol):
    """A function that finds the shares of some trials."""

    def __call__(self, space: Space, records: Sequence[Record], /, *, generations: int) -> Mapping[str, float]:
        """Returns a share in [0, 1] for each name of the space; the shares sum to 1.

        Args:
            space: The space of the configs.
            records: Told trials, in order of id.
            generations: The number of generations of the run.
        """


def importance(
    optimizer: Optimizer, method: Literal["siblings", "ped-anova"] | Method = "siblings", *, at_least: int = 40
) -> dict[int, Importance]:
    """The share of each hyperparameter in the differences between the trials of each generation.

    Only siblings are compared, since they start from the same weights. Pooled with the generations before it, as far as
    necessary, each generation has `at_least` trials beyond the first of each litter.

    Args:
        optimizer: A run, finished or not.
        method: "siblings": how much of the differences in rank between siblings follows a slope and a bend along the
            hyperparameter; "ped-anova": `ped_anova_shares`, from Optuna; or a function such as
            `gpbt_searchers.gp.importance`, which reads the fitted length-scales. The last two are computed 30 times per
            generation, for the floor and the intervals.
        at_least: From how many comparisons on a generation is not pooled with earlier ones; at least 1.

    Returns:
        For each generation with a told trial, the shares with their intervals and floors. Revisions are left out: they
        continue the configs of one line.

    Raises:
        ConfigError: The method is none of these, or `at_least` is below 1.
        ImportError: "ped-anova" needs Optuna, which is not installed.

    Examples:
        >>> from gpbt import Float
        >>> space = Space(a=Float(0, 1), b=Float(0, 1))
        >>> optimizer = Optimizer(space, population=40, steps=1, preset="random")
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask():
        ...         optimizer.tell(trial.id, trial.config["a"] ** 2)
        >>> found = importance(optimizer)[0]
        >>> found.named, found["a"] > 0.9
        (('a',), True)
    """
    if isinstance(at_least, bool) or not isinstance(at_least, int) or at_least < 1:
        raise ConfigError(f"importance: at_least must be a whole number of at least 1, got {at_least!r}")
    chosen = _method(method)
    told = {record.trial.generation for record in optimizer.records if record.status in _TOLD}
    generations = sorted(generation for generation in told if not optimizer.settings.is_revision(generation))
    return {
        generation: measured(
            optimizer.space,
            pooled(optimizer.records, generation, at_least=at_least),
            method=chosen,
            generations=optimizer.generations,
        )
        for generation in generations
    }


def pooled(records: Sequence[Record], last: int, *, at_least: int = 40) -> list[Record]:
    """The told trials of a generation, with those of as many generations before it as are needed.

    Args:
        records: The trials of a run.
        last: The generation.
        at_least: How many of the trials must have an older sibling among them, where the run has as many.
    """
    told = [record for record in records if record.status in _TOLD and record.trial.generation <= last]
    for first in range(last, -1, -1):
        found = [record for record in told if record.trial.generation >= first]
        if len(found) - len(set(_litters(found).tolist())) >= at_least:
            return found
    return told


def measured(
    space: Space, records: Sequence[Record], *, method: Method | None = None, generations: int = 1
) -> Importance:
    """The importance of the hyperparameters in some trials of a run; the same each time.

    Args:
        space: The space of the configs.
        records: At least one told trial, in order of id.
        method: What finds the shares; None: the comparison of siblings.
        generations: The number of generations of the run, for the method.
    """
    if len(records) > _MOST:  # enough to tell, and the permutations of more would fill the memory
        chosen = np.random.default_rng(0).choice(len(records), _MOST, replace=False)
        records = [records[index] for index in sorted(chosen)]
    litters = _litters(records)
    losses = _losses(records)
    if np.unique(litters).size == litters.size or not _varies(losses, litters):
        shares, floor = np.full(len(space), 1 / max(1, len(space))), np.ones(len(space))
        return _record(space, records, shares, np.zeros(len(space)), np.ones(len(space)), floor)
    alone = None
    if method is None:
        shares, floor, left_out, alone = _by_siblings(space, records, litters)
    else:
        shares, floor, left_out = _by_method(space, records, litters, method, generations)
    # Jackknife over parts of the trials: Efron and Tibshirani 1993, section 11.5.
    deviation = np.sqrt((len(left_out) - 1) * left_out.var(axis=0))
    low, high = shares - _NORMAL * deviation, shares + _NORMAL * deviation
    return _record(space, records, shares, np.clip(low, 0, 1), np.clip(high, 0, 1), floor, alone)


def _record(
    space: Space,
    records: Sequence[Record],
    shares: Floats,
    low: Floats,
    high: Floats,
    floor: Floats,
    alone: NDArray[np.bool_] | None = None,
) -> Importance:
    above = [i for i in np.argsort(-shares, kind="stable") if shares[i] > floor[i] and (alone is None or alone[i])]
    by_name = [dict(zip(space.names, values.tolist(), strict=True)) for values in (shares, low, high, floor)]
    return Importance(
        shares=by_name[0],
        low=by_name[1],
        high=by_name[2],
        floor=by_name[3],
        named=tuple(space.names[i] for i in above),
        first=min(record.trial.generation for record in records),
        trials=len(records),
    )


# ------------------------------------------------------------------------------------------- the comparison of siblings


def _by_siblings(
    space: Space, records: Sequence[Record], litters: Groups
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Shares, floors, shares without each part of the trials, shape (parts, d), and which effects stand alone.

    An effect is the R^2 of a regression of the normal scores of the losses on one hyperparameter, with a constant for
    each litter, less what chance explains on average. It is compared with effects after permuting the scores within
    litters; the floor is what the largest of all standardized effects exceeds in 1% of the permutations (Westfall and
    Young 1993, the max-T procedure). A searcher tries configs near good ones, so good trials are alike in
    hyperparameters without effect, too: an effect stands alone if it is as large beside the largest of the others.
    """
    u = space.encode([record.trial.config for record in records])
    losses = _losses(records)
    generations = np.array([record.trial.generation for record in records])
    effects, bases, y = _effects(space, u, losses, generations, litters)
    rng = np.random.default_rng(0)
    shuffled = np.stack([y[_shuffled(litters, rng)] for _ in range(_PERMUTATIONS)], axis=1)
    total = float(y @ y)
    null = np.stack([np.sum((basis.T @ shuffled) ** 2, axis=0) / total for basis in bases])
    mean, deviation = null.mean(axis=1), null.std(axis=1)
    known = deviation > 0
    largest = np.max((null[known] - mean[known, None]) / deviation[known, None], axis=0, initial=0.0)
    critical = float(np.quantile(largest, 1 - _ALPHA))
    floor = critical * deviation
    shares, total_effect = _normalized(effects - mean)
    alone = _stand_alone(bases, y, effects - mean, critical, len(records) - np.unique(litters).size)
    left_out = []
    for part in range(min(_PARTS, len(records))):
        kept = np.arange(len(records)) % _PARTS != part
        less, some, _ = _effects(space, u[kept], losses[kept], generations[kept], litters[kept])
        by_chance = np.array([basis.shape[1] for basis in some]) / max(1, kept.sum() - np.unique(litters[kept]).size)
        left_out.append(_normalized(less - by_chance)[0])
    floor = np.minimum(1.0, floor / total_effect) if total_effect > 0 else np.ones(len(space))
    return shares, np.where(known, floor, 1.0), np.array(left_out), alone


def _stand_alone(
    bases: Sequence[Floats], y: Floats, effects: Floats, critical: float, comparisons: int
) -> NDArray[np.bool_]:
    """Whether each effect, beside the largest of the others, is more than `critical` deviations above chance."""
    found = np.ones(len(bases), bool)
    first, *rest = np.argsort(-effects, kind="stable").tolist()
    for i, other in [(first, rest[0]), *((i, first) for i in rest)] if rest else []:
        given = bases[other]
        left = y - given @ (given.T @ y)
        basis = _orthonormal(bases[i] - given @ (given.T @ bases[i]))
        k, n = basis.shape[1], comparisons - given.shape[1]
        chance = k / n if n > k else 1.0
        # R^2 by chance has the distribution Beta(k / 2, (n - k) / 2).
        deviation = math.sqrt(2 * chance * (1 - chance) / (n + 2)) if n > k else 0.0
        explained = float(np.sum((basis.T @ left) ** 2))
        found[i] = explained > (chance + critical * deviation) * float(left @ left)
    return found


def _effects(
    space: Space, u: Floats, losses: Floats, generations: Groups, litters: Groups
) -> tuple[Floats, list[Floats], Floats]:
    """The R^2 of each hyperparameter, the orthonormal bases that it comes from, and the scores they explain."""
    y = _centred(_normal_scores(losses, generations), litters)
    total = float(y @ y)
    bases = [
        _orthonormal(_centred(_columns(u[:, i], categorical=isinstance(parameter, Categorical)), litters))
        for i, parameter in enumerate(space.parameters.values())
    ]
    effects = np.array([np.sum((basis.T @ y) ** 2) for basis in bases])
    return effects / total if total > 0 else np.zeros(len(bases)), bases, y


def _columns(values: Floats, *, categorical: bool) -> Floats:
    """What a score may depend on: waves of the rank of a number, each category, and whether the parameter is active."""
    from scipy.stats import rankdata

    active = ~np.isnan(values)
    if categorical:
        columns = [values == one for one in np.unique(values[active])]
    else:
        place = (rankdata(values, nan_policy="omit") - 0.5) / max(1, active.sum())
        columns = [np.where(active, np.cos(np.pi * wave * place), 0.0) for wave in range(1, _WAVES + 1)]
    return np.stack([*columns, active], axis=1).astype(np.float64)


def _orthonormal(columns: Floats) -> Floats:
    vectors, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    found: Floats = vectors[:, sizes > 1e-9]
    return found


def _centred(values: Floats, litters: Groups) -> Floats:
    """Values less the mean of their litter."""
    _, places, counts = np.unique(litters, return_inverse=True, return_counts=True)
    sums = np.zeros((counts.size, *values.shape[1:]))
    np.add.at(sums, places, values)
    return values - (sums.T / counts).T[places]


def _normal_scores(losses: Floats, generations: Groups) -> Floats:
    """Blom's scores of the ranks within each generation: the size of the losses, which fall in training, drops out."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores = np.empty(losses.size)
    for generation in np.unique(generations):
        those = generations == generation
        scores[those] = ndtri((rankdata(losses[those]) - 0.375) / (those.sum() + 0.25))
    return scores


def _normalized(effects: Floats) -> tuple[Floats, float]:
    """Shares of the effects above 0, equal ones if there are none, and the sum of these effects."""
    above = np.maximum(effects, 0.0)
    total = float(above.sum())
    return (above / total if total > 0 else np.full(above.size, 1 / max(1, above.size))), total


# ---------------------------------------------------------------------------------------------------- any other method


def _by_method(
    space: Space, records: Sequence[Record], litters: Groups, method: Method, generations: int
) -> tuple[Floats, Floats, Floats]:
    """Shares, floors, and shares without each part of the trials; the floor is the largest share without effects."""

    def shares(some: Sequence[Record]) -> Floats:
        found = method(space, some, generations=generations)
        return np.array([found[name] for name in space.names])

    rng = np.random.default_rng(0)
    largest = max(float(shares(_exchanged(records, _shuffled(litters, rng))).max()) for _ in range(_SHUFFLES))
    left_out = [
        shares([record for place, record in enumerate(records) if place % _PARTS != part]) for part in range(_PARTS)
    ]
    return shares(records), np.full(len(space), largest), np.array(left_out)


def _exchanged(records: Sequence[Record], order: Groups) -> list[Record]:
    """The trials, each with the outcome of another."""
    return [attrs.evolve(records[outcome], trial=record.trial) for record, outcome in zip(records, order, strict=True)]


def _method(method: Any) -> Method | None:
    if method == "siblings":
        return None
    if method == "ped-anova":
        return ped_anova_shares
    if not callable(method):
        raise ConfigError(f'importance: method must be "siblings", "ped-anova" or a function, got {method!r}')
    chosen: Method = method
    return chosen


def ped_anova_shares(
    space: Space,
    records: Sequence[Record],
    /,
    *,
    generations: int = 1,  # noqa: ARG001  # the protocol's signature
) -> dict[str, float]:
    """Shares by Optuna's PED-ANOVA: how far the values of good trials differ from those of all trials.

    It does not account for inherited weights. A parameter that no completed trial had has a share of 0. Stopped trials
    count as completed; failed trials do not count.

    Args:
        space: The space of the configs.
        records: Told trials of one generation.
        generations: Not used.

    Raises:
        ImportError: Optuna is not installed.

    References:
        Watanabe, Bansal, Hutter, PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces,
        IJCAI 2023.
    """
    from gpbt_adapters.searching.optuna.importances import ped_anova

    found = ped_anova(space, records)
    shares, _ = _normalized(np.array([found.get(name, 0.0) for name in space.names]))
    return dict(zip(space.names, shares.tolist(), strict=True))


# --------------------------------------------------------------------------------------------------------------- parts


def _litters(records: Sequence[Record]) -> Groups:
    """A number for each trial, equal for those of one generation and parent."""
    numbers: dict[tuple[int, int | None], int] = {}
    return np.array(
        [numbers.setdefault((record.trial.generation, record.trial.parent), len(numbers)) for record in records],
        dtype=np.int64,
    )


def _losses(records: Sequence[Record]) -> Floats:
    """Losses; those of failed trials are infinite, the worst."""
    return np.array([math.inf if record.loss is None else record.loss for record in records], dtype=np.float64)


def _varies(losses: Floats, litters: Groups) -> bool:
    return any(np.unique(losses[litters == litter]).size > 1 for litter in np.unique(litters))


def _shuffled(litters: Groups, rng: np.random.Generator) -> Groups:
    """Indices that exchange trials with siblings."""
    order = np.empty(litters.size, dtype=np.int64)
    order[np.argsort(litters, kind="stable")] = np.lexsort((rng.random(litters.size), litters))
    return order
