"""The importance of each hyperparameter, generation by generation.

It is computed from the records of a run; nothing here changes or proposes anything. You can replace the function that
finds the shares of one generation. The searcher `gp` offers one from its model, `gpbt_searchers.gp.importance`.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Record, Status
from gpbt_core.space import Space

__all__ = ["Method", "forest_shares", "importance", "ped_anova_shares"]

_TOLD = frozenset({Status.COMPLETED, Status.STOPPED, Status.FAILED})
_FOLDS = 5
_TREES = 50
_SHUFFLES = 5
_ENOUGH = 500
"""Trials from which a forest learns; of more, a random sample is taken."""

Floats = NDArray[np.float64]


class Method(Protocol):
    """A function that finds the shares of one generation."""

    def __call__(self, space: Space, records: Sequence[Record], /, *, generations: int) -> Mapping[str, float]:
        """Returns a share in [0, 1] for each name of the space; the shares sum to 1.

        Args:
            space: The space of the configs.
            records: Told trials of one generation, in order of id.
            generations: The number of generations of the run.
        """


def importance(
    optimizer: Optimizer, method: Literal["forest", "ped-anova"] | Method = "forest", *, at_least: int = 10
) -> dict[int, dict[str, float]]:
    """The share of each hyperparameter in the differences between the trials of each generation.

    Args:
        optimizer: A run, finished or not.
        method: "forest": `forest_shares`, which accounts for inherited weights; "ped-anova": `ped_anova_shares`, from
            Optuna; or a function such as `gpbt_searchers.gp.importance`, which reads the fitted length-scales.
        at_least: Generations with fewer told trials are left out; at least 5.

    Returns:
        For each generation, shares by name in the order of the space. They sum to 1, and are equal if the losses show
        no differences between hyperparameters.

    Raises:
        ConfigError: The method is none of these, or `at_least` is below 5.
        ImportError: "ped-anova" needs Optuna, which is not installed.

    Examples:
        >>> from gpbt import Float
        >>> space = Space(a=Float(0, 1), b=Float(0, 1))
        >>> optimizer = Optimizer(space, population=40, steps=1, preset="random")
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask():
        ...         optimizer.tell(trial.id, trial.config["a"] ** 2)
        >>> importance(optimizer)[0]["a"] > 0.9
        True
    """
    if isinstance(at_least, bool) or not isinstance(at_least, int) or at_least < _FOLDS:
        raise ConfigError(f"importance: at_least must be a whole number from {_FOLDS} on, got {at_least!r}")
    by_generation: dict[int, list[Record]] = {}
    for record in optimizer.records:
        if record.status in _TOLD:
            by_generation.setdefault(record.trial.generation, []).append(record)
    found = _method(optimizer, method)
    return {
        generation: dict(found(optimizer.space, records, generations=optimizer.generations))
        for generation, records in sorted(by_generation.items())
        if len(records) >= at_least
    }


def _method(optimizer: Optimizer, method: Any) -> Method:
    if method == "forest":
        losses = {record.trial.id: record.loss for record in optimizer.records if record.loss is not None}
        return functools.partial(forest_shares, inherited=losses)
    if method == "ped-anova":
        return ped_anova_shares
    if not callable(method):
        raise ConfigError(f'importance: expected the method "forest", "ped-anova" or a function, got {method!r}')
    chosen: Method = method
    return chosen


def forest_shares(
    space: Space,
    records: Sequence[Record],
    /,
    *,
    generations: int = 1,  # noqa: ARG001  # the protocol's signature
    inherited: Mapping[int, float] | None = None,
) -> dict[str, float]:
    """Shares by permutation importance under a random forest (Breiman 2001, section 10), on held-out trials.

    The forest learns ranks of losses from configs in the unit cube and from the rank of the parent's loss, so that
    better inherited weights are not attributed to hyperparameters. In each of 5 folds, each column is shuffled among
    the held-out trials; its importance is the increase of the squared error, or 0 if there is none. Failed trials count
    as the worst. Of more than 500 trials, a random sample of 500 counts. The sample, trees and shuffles are the same
    each time.

    Args:
        space: The space of the configs.
        records: At least 5 told trials of one generation.
        generations: Not used.
        inherited: The losses of the parents by id, where known.

    References:
        L. Breiman, Random forests, Machine Learning 45, 2001.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    if len(records) > _ENOUGH:
        chosen = np.random.default_rng(0).choice(len(records), _ENOUGH, replace=False)
        records = [records[index] for index in sorted(chosen)]
    losses = _losses(records)
    ranks = (rankdata(losses) - 0.5) / losses.size  # ties have the mean of their ranks
    known = inherited or {}
    before = [known.get(-1 if record.trial.parent is None else record.trial.parent, np.nan) for record in records]
    u = space.encode([record.trial.config for record in records])
    # Ranks here, too: a tree uses only the order, and its float32 cannot hold some losses.
    x = np.column_stack([np.where(np.isnan(u), -1.0, u), np.nan_to_num(rankdata(before, nan_policy="omit"))])
    total = np.zeros(len(space))
    for fold, (seen, held) in enumerate(KFold(_FOLDS, shuffle=True, random_state=0).split(x)):
        forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=fold).fit(x[seen], ranks[seen])
        total += _increases(forest, x[held], ranks[held], len(space), np.random.default_rng(fold)) * held.size
    return _shares(space, np.maximum(total, 0.0))


def _increases(forest: Any, x: Floats, y: Floats, columns: int, rng: np.random.Generator) -> Floats:
    """By how much shuffling each of the first columns increases the mean squared error; (columns,).

    All shuffled copies are predicted in one call: the calls take most of the time otherwise.
    """
    copies = np.tile(x, (1 + columns * _SHUFFLES, 1, 1))  # the first one stays as it is
    for column in range(columns):
        for shuffle in range(_SHUFFLES):
            copy = copies[1 + column * _SHUFFLES + shuffle]
            copy[:, column] = rng.permutation(copy[:, column])
    predicted = forest.predict(copies.reshape(-1, x.shape[1])).reshape(len(copies), -1)
    errors = ((predicted - y) ** 2).mean(axis=1)
    return np.asarray(errors[1:].reshape(columns, _SHUFFLES).mean(axis=1) - errors[0])


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
    return _shares(space, np.array([found.get(name, 0.0) for name in space.names]))


def _losses(records: Sequence[Record]) -> Floats:
    """Losses, with the worst finite loss in place of failures; all 0 if none is finite."""
    losses = np.array([np.nan if record.loss is None else record.loss for record in records], dtype=np.float64)
    if np.isnan(losses).all():
        return np.zeros_like(losses)
    return np.where(np.isnan(losses), np.nanmax(losses), losses)


def _shares(space: Space, values: Floats) -> dict[str, float]:
    total = float(values.sum())
    shares = values / total if total > 0 else np.full(len(space), 1 / max(1, len(space)))
    return dict(zip(space.names, shares.tolist(), strict=True))
