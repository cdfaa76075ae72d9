"""`GPBTSearchCV` and the boosting trainables beside other searches, at equal training steps: scores and processor time.

    python -m benchmarks.search_cv                      # small models, 2 seeds: some minutes
    python -m benchmarks.search_cv --models 25 --steps 20 --seeds 0-4
    python -m benchmarks.search_cv --task gb-friedman,mlp-digits --method gpbt,random --seeds 0
    python -m benchmarks.search_cv --summary results.jsonl

Every method may train `models` x `steps` steps per fold, and one more model on all of the training data. Methods run
one after another within a task and a seed, in one thread each, so that what else the machine does reaches them alike.
Time is processor time of the whole search: fits, scores, searcher, checkpoints and the final fit.

scikit-learn's searches fit each candidate anew, and score it once. Optuna's trials continue step by step, as in
Optuna's own examples of pruning, and report each step; what pruning saves goes into further trials. The boosters of
XGBoost and LightGBM are scored on one validation set, without folds.
"""

import argparse
import functools
import itertools
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification, make_friedman1
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next import possible
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import get_scorer, log_loss, mean_squared_error
from sklearn.model_selection import HalvingRandomSearchCV, KFold, RandomizedSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from gpbt import Categorical, Float, GPBTSearchCV, Int, Optimizer, Space, run

__all__ = ["BOOSTED", "METHODS", "TASKS", "Budget", "Task", "main", "rungs", "summary"]

FOLDS = 3
EVERY = 10**9
"""More iterations without improvement than any fit has, so that no estimator stops by itself."""

Split: TypeAlias = tuple[Any, Any, Any, Any]
"""Training inputs, test inputs, training targets, test targets."""


@attrs.frozen(kw_only=True)
class Task:
    """An estimator, its data, and what is searched.

    Attributes:
        estimator: With settings under which it trains as long as it is told to.
        data: Makes the inputs and targets from a seed.
        space: The parameters.
        count: The parameter that counts iterations in a fit from scratch.
        iterations: Iterations per step.
        scoring: The name of a scorer.
        settings: Settings of the estimator in fits from scratch only.
    """

    estimator: Any
    data: Callable[[int], tuple[Any, Any]]
    space: Space
    count: str
    iterations: int
    scoring: str
    settings: Mapping[str, Any] = attrs.Factory(dict)

    def split(self, seed: int) -> Split:
        """Holds out 40 percent for the test."""
        features, target = self.data(seed)
        stratify = target if self.scoring == "neg_log_loss" else None
        return tuple(train_test_split(features, target, test_size=0.4, random_state=seed, stratify=stratify))

    def folds(self, seed: int) -> Any:
        """The folds, which are the same for all methods."""
        kind = StratifiedKFold if self.scoring == "neg_log_loss" else KFold
        return kind(FOLDS, shuffle=True, random_state=seed)

    def fresh(self, iterations: int, seed: int) -> Any:
        """The estimator for a fit from scratch."""
        return clone(self.estimator).set_params(**{**self.settings, self.count: iterations, "random_state": seed})


def _digits(seed: int) -> tuple[Any, Any]:
    features, target = load_digits(return_X_y=True)
    rows = np.random.default_rng(seed).permutation(len(target))[:900]
    return features[rows] / 16, target[rows]


def _friedman(seed: int) -> tuple[Any, Any]:
    features, target = make_friedman1(n_samples=600, noise=1.0, random_state=seed)
    return features, target


def _synthetic(seed: int) -> tuple[Any, Any]:
    features, target = make_classification(
        n_samples=900, n_features=20, n_informative=8, n_classes=3, flip_y=0.05, random_state=seed
    )
    return features, target


_TREES = Space(
    learning_rate=Float(1e-2, 1, log=True), max_depth=Int(1, 8), min_samples_leaf=Int(1, 50), subsample=Float(0.3, 1)
)
_HIST = Space(
    learning_rate=Float(1e-2, 1, log=True),
    max_leaf_nodes=Int(3, 40),
    min_samples_leaf=Int(2, 50),
    l2_regularization=Float(1e-4, 10, log=True),
)

TASKS: Mapping[str, Task] = {
    "mlp-digits": Task(
        estimator=MLPClassifier((32,)),
        data=_digits,
        space=Space(
            learning_rate_init=Float(1e-4, 1e-1, log=True),
            alpha=Float(1e-6, 1, log=True),
            beta_1=Float(0.5, 0.99),
        ),
        count="max_iter",
        iterations=1,
        scoring="neg_log_loss",
        settings={"tol": 0.0, "n_iter_no_change": EVERY},
    ),
    "sgd-digits": Task(
        estimator=SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01),
        data=_digits,
        space=Space(
            eta0=Float(1e-4, 1, log=True),
            alpha=Float(1e-7, 1e-1, log=True),
            penalty=Categorical(["l2", "elasticnet"]),
        ),
        count="max_iter",
        iterations=1,
        scoring="neg_log_loss",
        settings={"tol": None},
    ),
    "gb-friedman": Task(
        estimator=GradientBoostingRegressor(),
        data=_friedman,
        space=_TREES,
        count="n_estimators",
        iterations=10,
        scoring="neg_mean_squared_error",
    ),
    "hist-friedman": Task(
        estimator=HistGradientBoostingRegressor(early_stopping=False),
        data=_friedman,
        space=_HIST,
        count="max_iter",
        iterations=10,
        scoring="neg_mean_squared_error",
    ),
    "hist-synthetic": Task(
        estimator=HistGradientBoostingClassifier(early_stopping=False),
        data=_synthetic,
        space=_HIST,
        count="max_iter",
        iterations=5,
        scoring="neg_log_loss",
    ),
    "forest-synthetic": Task(
        estimator=RandomForestClassifier(),
        data=_synthetic,
        space=Space(
            max_depth=Int(2, 20), min_samples_leaf=Int(1, 20), max_features=Float(0.1, 1), min_samples_split=Int(2, 20)
        ),
        count="n_estimators",
        iterations=5,
        scoring="neg_log_loss",
    ),
}
"""What `GPBTSearchCV` is compared on."""


@attrs.frozen(kw_only=True)
class Budget:
    """How much each method may train: `models` models of `steps` steps."""

    models: int
    steps: int


# ---------------------------------------------------------------------------------------------------------- the methods


def _gpbt(task: Task, data: Split, budget: Budget, seed: int, **settings: Any) -> Any:
    search = GPBTSearchCV(
        task.estimator,
        task.space,
        population=budget.models,
        steps=budget.steps,
        iterations=task.iterations,
        scoring=task.scoring,
        cv=task.folds(seed),
        random_state=seed,
        **settings,
    )
    return search.fit(data[0], data[2]).best_estimator_


def _random(task: Task, data: Split, budget: Budget, seed: int) -> Any:
    search = RandomizedSearchCV(
        task.fresh(task.iterations * budget.steps, seed),
        _distributions(task.space),
        n_iter=budget.models,
        scoring=task.scoring,
        cv=task.folds(seed),
        random_state=seed,
    )
    return search.fit(data[0], data[2]).best_estimator_


def _halving(task: Task, data: Split, budget: Budget, seed: int) -> Any:
    lengths, candidates = rungs(budget)
    search = HalvingRandomSearchCV(
        task.fresh(task.iterations, seed),
        _distributions(task.space),
        n_candidates=candidates,
        resource=task.count,
        min_resources=lengths[0] * task.iterations,
        max_resources=budget.steps * task.iterations,
        scoring=task.scoring,
        cv=task.folds(seed),
        random_state=seed,
    )
    return search.fit(data[0], data[2]).best_estimator_


def rungs(budget: Budget, factor: int = 3) -> tuple[list[int], int]:
    """The steps of a fit on each rung of successive halving, and the most candidates that stay within the budget."""
    count = 1 + int(np.log(budget.steps) / np.log(factor))
    lengths = [budget.steps // factor**rung for rung in reversed(range(count))]

    def spent(candidates: int) -> int:
        return sum(max(1, -(-candidates // factor**rung)) * length for rung, length in enumerate(lengths))

    candidates = next(n for n in itertools.count(1) if spent(n + 1) > budget.models * budget.steps)
    return lengths, candidates


def _optuna(task: Task, data: Split, budget: Budget, seed: int, pruner: str) -> Any:
    """Optuna's loop as its examples of pruning with scikit-learn have it: partial_fit or warm_start, step by step."""
    features, target = data[0], data[2]
    scorer, classes = get_scorer(task.scoring), np.unique(target)
    folds = [(features[a], target[a], features[b], target[b]) for a, b in task.folds(seed).split(features, target)]
    passes = hasattr(task.estimator, "partial_fit")

    def grow(model: Any, features: Any, target: Any, step: int) -> None:
        if passes:
            model.partial_fit(features, target, **({"classes": classes} if step == 0 else {}))
        else:
            model.set_params(**{task.count: (step + 1) * task.iterations}).fit(features, target)

    def made(config: Mapping[str, Any]) -> Any:
        settings = {} if passes and not hasattr(task.estimator, "warm_start") else {"warm_start": True}
        # A generator that advances: partial_fit would repeat one order of the data under a number.
        return clone(task.estimator).set_params(**settings, **config, random_state=np.random.RandomState(seed))

    def begin(config: Mapping[str, Any]) -> Callable[[int], float]:
        models = [made(config) for _ in folds]

        def train(step: int) -> float:
            scores = []
            for model, (x, y, x_test, y_test) in zip(models, folds, strict=True):
                grow(model, x, y, step)
                scores.append(scorer(model, x_test, y_test))
            return float(np.mean(scores))

        return train

    config, steps, _ = _optimize(task.space, begin, budget, seed, pruner, "maximize")
    model = made(config)
    for step in range(steps):
        grow(model, features, target, step)
    return model


def _optimize(
    space: Space,
    begin: Callable[[Mapping[str, Any]], Callable[[int], float]],
    budget: Budget,
    seed: int,
    pruner: str,
    direction: Literal["minimize", "maximize"],
    keep: Callable[[Callable[[int], float]], Any] = lambda _: None,
) -> tuple[Mapping[str, Any], int, Any]:
    """TPE with pruning until the steps are spent: the best config of a full-length trial, its steps, what was kept."""
    import optuna

    from benchmarks.micro.contestants import optuna_distributions

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
        "median": optuna.pruners.MedianPruner,
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=budget.steps),
        "none": optuna.pruners.NopPruner,
    }
    study = optuna.create_study(
        direction=direction, sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruners[pruner]()
    )
    distributions = optuna_distributions(space)
    sign = 1 if direction == "maximize" else -1
    left = budget.models * budget.steps
    best: tuple[float, Mapping[str, Any], int, Any] = (-np.inf, {}, 0, None)
    while left:
        trial = study.ask(distributions)
        train, score, step = begin(trial.params), -np.inf * sign, 0
        state = optuna.trial.TrialState.COMPLETE
        for step in range(min(budget.steps, left)):
            score = train(step)
            left -= 1
            trial.report(score, step)
            if step + 1 < budget.steps and trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        study.tell(trial, None if state is optuna.trial.TrialState.PRUNED else score, state)
        if np.isfinite(score) and sign * score > best[0]:
            best = (sign * score, dict(trial.params), step + 1, keep(train))
    return best[1], best[2], best[3]


def _distributions(space: Space) -> dict[str, Any]:
    """A space for scikit-learn's searches."""
    found: dict[str, Any] = {}
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Categorical):
            found[name] = list(parameter.choices)
        elif isinstance(parameter, Int):
            found[name] = randint(parameter.low, parameter.high + 1)
        elif isinstance(parameter, Float) and parameter.log:
            found[name] = loguniform(parameter.low, parameter.high)
        elif isinstance(parameter, Float):
            found[name] = uniform(parameter.low, parameter.high - parameter.low)
        else:
            raise TypeError(f"search_cv: no distribution for {parameter!r}")
    return found


METHODS: Mapping[str, Callable[[Task, Split, Budget, int], Any]] = {
    "gpbt": _gpbt,
    "random": _random,
    "halving": _halving,
    "optuna-median": functools.partial(_optuna, pruner="median"),
    "optuna-hyperband": functools.partial(_optuna, pruner="hyperband"),
}
EXTRA: Mapping[str, Callable[[Task, Split, Budget, int], Any]] = {
    "gpbt-gp": functools.partial(_gpbt, preset="gp"),
    "gpbt-tpe": functools.partial(_gpbt, preset="tpe"),
    "gpbt-steady": functools.partial(_gpbt, preset="steady"),
}
"""Presets of gpbt, only if named."""


# ------------------------------------------------------------------------------------------------ XGBoost and LightGBM


@attrs.frozen(kw_only=True)
class Boosted:
    """A data set for both libraries: regression, or classification into `classes` classes."""

    data: Callable[[int], tuple[Any, Any]]
    classes: int = 0

    def split(self, seed: int) -> tuple[Split, Split]:
        """Training and validation data, and all of both with the test data: 36, 24 and 40 percent."""
        features, target = self.data(seed)
        stratify = target if self.classes else None
        both = train_test_split(features, target, test_size=0.4, random_state=seed, stratify=stratify)
        stratify = both[2] if self.classes else None
        inner = train_test_split(both[0], both[2], test_size=0.4, random_state=seed, stratify=stratify)
        return tuple(inner), tuple(both)

    def loss(self, target: Any, predicted: Any) -> float:
        """Logarithmic loss, or squared error."""
        if not self.classes:
            return float(mean_squared_error(target, predicted))
        return float(log_loss(target, predicted, labels=range(self.classes)))


def _breast_cancer(seed: int) -> tuple[Any, Any]:
    del seed
    return tuple(load_breast_cancer(return_X_y=True))


def _diabetes(seed: int) -> tuple[Any, Any]:
    del seed
    return tuple(load_diabetes(return_X_y=True))


BOOSTED: Mapping[str, Boosted] = {
    "friedman": Boosted(data=_friedman),
    "diabetes": Boosted(data=_diabetes),
    "synthetic": Boosted(data=_synthetic, classes=3),
    "breast-cancer": Boosted(data=_breast_cancer, classes=2),
}
TREES = 10
"""Trees per step."""


class XGBoost:
    """Boosters of XGBoost."""

    space = Space(
        eta=Float(1e-2, 1, log=True),
        max_depth=Int(1, 8),
        subsample=Float(0.3, 1),
        colsample_bytree=Float(0.3, 1),
        min_child_weight=Float(0.1, 30, log=True),
        alpha=Float(1e-4, 10, log=True),
    )

    def __init__(self, kind: Boosted, data: Split, seed: int) -> None:
        import xgboost

        self.kind, self.engine = kind, xgboost
        self.train = xgboost.DMatrix(data[0], label=data[2])
        self.valid, self.target = xgboost.DMatrix(data[1], label=data[3]), data[3]
        objectives = {0: "reg:squarederror", 2: "binary:logistic"}
        self.params: dict[str, Any] = {
            "objective": objectives.get(kind.classes, "multi:softprob"), "nthread": 1, "verbosity": 0, "seed": seed
        }  # fmt: skip
        if kind.classes > 2:
            self.params["num_class"] = kind.classes

    def loss(self, booster: Any) -> float:
        """Loss on the validation data."""
        return self.kind.loss(self.target, booster.predict(self.valid))

    def test(self, booster: Any, features: Any, target: Any) -> float:
        """Loss on other data."""
        return self.kind.loss(target, booster.predict(self.engine.DMatrix(features)))

    def trainable(self) -> Any:
        """A trainable of gpbt."""
        from gpbt.boosting import XGBoostTrainable

        params = {name: value for name, value in self.params.items() if name != "seed"}
        return XGBoostTrainable(data=lambda: self.train, params=params, score=self.loss, rounds=TREES)

    def full(self, config: Mapping[str, Any], steps: int, report: Callable[[int, float], bool]) -> Any:
        """Trains as Optuna's example does, with a callback that may prune."""
        outer = self

        class Pruning(self.engine.callback.TrainingCallback):  # type: ignore[misc,name-defined]  # no type
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                del evals_log
                return (epoch + 1) % TREES == 0 and report(epoch // TREES, outer.loss(model))

        params = {**self.params, **config}
        return self.engine.train(params, self.train, steps * TREES, callbacks=[Pruning()], verbose_eval=False)


class LightGBM:
    """Boosters of LightGBM."""

    space = Space(
        learning_rate=Float(1e-2, 1, log=True),
        num_leaves=Int(2, 64),
        min_data_in_leaf=Int(1, 50),
        bagging_fraction=Float(0.3, 1),
        feature_fraction=Float(0.3, 1),
        lambda_l1=Float(1e-4, 10, log=True),
    )

    def __init__(self, kind: Boosted, data: Split, seed: int) -> None:
        import lightgbm

        self.kind, self.engine, self.data = kind, lightgbm, data
        objectives = {0: "regression", 2: "binary"}
        self.params: dict[str, Any] = {
            "objective": objectives.get(kind.classes, "multiclass"), "num_threads": 1, "verbosity": -1, "seed": seed,
            "bagging_freq": 1,
        }  # fmt: skip
        if kind.classes > 2:
            self.params["num_class"] = kind.classes

    def loss(self, booster: Any) -> float:
        """Loss on the validation data."""
        return self.kind.loss(self.data[3], booster.predict(self.data[1]))

    def test(self, booster: Any, features: Any, target: Any) -> float:
        """Loss on other data."""
        return self.kind.loss(target, booster.predict(features))

    def dataset(self) -> Any:
        """The training data."""
        return self.engine.Dataset(self.data[0], label=self.data[2], free_raw_data=False, params={"verbosity": -1})

    def trainable(self) -> Any:
        """A trainable of gpbt."""
        from gpbt.boosting import LightGBMTrainable

        params = {name: value for name, value in self.params.items() if name != "seed"}
        return LightGBMTrainable(data=self.dataset, params=params, score=self.loss, rounds=TREES)

    def full(self, config: Mapping[str, Any], steps: int, report: Callable[[int, float], bool]) -> Any:
        """Trains as Optuna's example does, with a callback that may prune."""

        def pruning(env: Any) -> None:
            if (env.iteration + 1) % TREES == 0 and report(env.iteration // TREES, self.loss(env.model)):
                raise self.engine.callback.EarlyStopException(env.iteration, [])

        params = {**self.params, **config, "num_iterations": steps * TREES}
        return self.engine.train(params, self.dataset(), callbacks=[pruning])


ENGINES: Mapping[str, Any] = {"xgboost": XGBoost, "lightgbm": LightGBM}


def _gpbt_boosted(engine: Any, budget: Budget, seed: int) -> Any:
    optimizer = Optimizer(engine.space, population=budget.models, steps=budget.steps, direction="minimize", seed=seed)
    trained: Any = run(optimizer, engine.trainable, progress=False).restore()
    return trained.model


def _optuna_boosted(engine: Any, budget: Budget, seed: int, pruner: str) -> Any:
    import optuna

    from benchmarks.micro.contestants import optuna_distributions

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = {"median": optuna.pruners.MedianPruner, "none": optuna.pruners.NopPruner}[pruner]()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=made)
    distributions = optuna_distributions(engine.space)
    left, best, kept = budget.models * budget.steps, np.inf, None
    while left:
        trial, length = study.ask(distributions), min(budget.steps, left)
        losses: list[float] = []

        def report(step: int, loss: float, trial: Any = trial, losses: list[float] = losses) -> bool:
            losses.append(loss)
            trial.report(loss, step)
            return step + 1 < budget.steps and trial.should_prune()

        model = engine.full(trial.params, length, report)
        left -= len(losses)
        pruned = len(losses) < length
        study.tell(trial, None if pruned else losses[-1], optuna.trial.TrialState.PRUNED if pruned else None)
        if losses[-1] < best:
            best, kept = losses[-1], model
    return kept


BOOSTED_METHODS: Mapping[str, Callable[[Any, Budget, int], Any]] = {
    "gpbt": _gpbt_boosted,
    "optuna-tpe": functools.partial(_optuna_boosted, pruner="none"),
    "optuna-median": functools.partial(_optuna_boosted, pruner="median"),
}


# ------------------------------------------------------------------------------------------------------- the comparison


def compare(
    tasks: Iterable[str], methods: Sequence[str], budget: Budget, seeds: Iterable[int]
) -> Iterator[dict[str, Any]]:
    """Runs every method on every task and seed, seed by seed; yields a line for each."""
    for seed, task, method in itertools.product(seeds, list(tasks), methods):
        if task in TASKS:
            if method in METHODS or method in EXTRA:
                yield _line(task, method, seed, budget, *_search(TASKS[task], method, budget, seed))
        elif method in BOOSTED_METHODS:
            library, _, name = task.partition(":")
            yield _line(task, method, seed, budget, *_boosted(library, BOOSTED[name], method, budget, seed))


def _line(task: str, method: str, seed: int, budget: Budget, score: float, seconds: float) -> dict[str, Any]:
    return {
        "task": task, "method": method, "seed": seed, "models": budget.models, "steps": budget.steps,
        "score": score, "seconds": seconds,
    }  # fmt: skip


def _search(task: Task, method: str, budget: Budget, seed: int) -> tuple[float, float]:
    data = task.split(seed)
    call = METHODS.get(method) or EXTRA[method]
    start = time.process_time()
    estimator = call(task, data, budget, seed)
    seconds = time.process_time() - start
    return float(get_scorer(task.scoring)(estimator, data[1], data[3])), seconds


def _boosted(library: str, kind: Boosted, method: str, budget: Budget, seed: int) -> tuple[float, float]:
    inner, both = kind.split(seed)
    engine = ENGINES[library](kind, inner, seed)
    start = time.process_time()
    model = BOOSTED_METHODS[method](engine, budget, seed)
    seconds = time.process_time() - start
    return -engine.test(model, both[1], both[3]), seconds


def summary(lines: Sequence[Mapping[str, Any]], reference: str = "gpbt") -> str:
    """Ratios of processor time, mean ranks and pairwise wins of the reference, as text."""
    table = {(line["task"], line["seed"], line["method"]): line for line in lines}
    groups = {"GPBTSearchCV": list(TASKS), "boosters": [f"{e}:{t}" for e in ENGINES for t in BOOSTED]}
    parts = []
    for title, names in groups.items():
        cells = sorted({(task, seed) for task, seed, _ in table if task in names})
        methods = [m for m in (*METHODS, *EXTRA, *BOOSTED_METHODS) if any((*cell, m) in table for cell in cells)]
        methods = list(dict.fromkeys(methods))
        cells = [cell for cell in cells if all((*cell, method) in table for method in methods)]
        if not cells or reference not in methods:
            continue
        ranks: dict[str, list[float]] = {method: [] for method in methods}
        for cell in cells:
            scores = [table[(*cell, method)]["score"] for method in methods]
            for method, score in zip(methods, scores, strict=True):
                ranks[method].append(sum(s > score for s in scores) + (sum(s == score for s in scores) + 1) / 2)
        rows = [f"{title}, {len(cells)} pairs of task and seed; time is {reference}'s divided by the method's, medians"]
        rows.append(f"  {'':18s} {'mean rank':>9s} {reference + ' wins':>10s} {'time x':>7s} {'tasks from-to':>14s}")
        for method in methods:
            own = {
                task: np.median([table[task, s, reference]["seconds"] for t, s in cells if t == task])
                / np.median([table[task, s, method]["seconds"] for t, s in cells if t == task])
                for task in dict.fromkeys(task for task, _ in cells)
            }
            better = sum(
                (table[(*cell, reference)]["score"] > table[(*cell, method)]["score"])
                + (table[(*cell, reference)]["score"] == table[(*cell, method)]["score"]) / 2
                for cell in cells
            )
            ratios = list(own.values())
            wins = "" if method == reference else f"{better:g}/{len(cells)}"
            rows.append(
                f"  {method:18s} {np.mean(ranks[method]):9.2f} {wins:>10s} {np.median(ratios):7.2f} "
                f"{min(ratios):6.2f}-{max(ratios):.2f}"
            )
        rows.append("")
        rows.append(f"  {'median seconds':18s} " + " ".join(f"{method:>17s}" for method in methods))
        for task in dict.fromkeys(task for task, _ in cells):
            medians = [
                np.median([table[task, s, method]["seconds"] for t, s in cells if t == task]) for method in methods
            ]
            rows.append(f"  {task:18s} " + " ".join(f"{value:17.2f}" for value in medians))
        rows.append(f"  {'wins by task':18s}")
        for task in dict.fromkeys(task for task, _ in cells):
            own_seeds = [seed for t, seed in cells if t == task]
            wins_of = [
                sum(table[task, s, reference]["score"] > table[task, s, method]["score"] for s in own_seeds)
                for method in methods
            ]
            rows.append(f"  {task:18s} " + " ".join(f"{f'{value}/{len(own_seeds)}':>17s}" for value in wins_of))
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return [int(seed) for seed in text.split(",")] if "," in text else list(range(int(first), int(last or first) + 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the comparison and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    every = [*TASKS, *(f"{engine}:{name}" for engine in ENGINES for name in BOOSTED)]
    parser.add_argument(
        "--task", default="all", help=f"comma-separated, or all, sklearn, boosters; of {', '.join(every)}"
    )
    parser.add_argument("--method", default="", help=f"comma-separated; also {', '.join(EXTRA)}")
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seeds", default="0-1")
    parser.add_argument("--out", type=Path, help="a file to which a line is appended for each search")
    parser.add_argument("--summary", type=Path, nargs="+", help="only print the tables of these files")
    options = parser.parse_args(arguments)
    if options.summary:
        print(summary([json.loads(line) for path in options.summary for line in path.read_text().splitlines()]))
        return
    chosen = {"all": every, "sklearn": list(TASKS), "boosters": every[len(TASKS) :]}
    tasks = chosen.get(options.task) or options.task.split(",")
    unknown = [task for task in tasks if task not in every]
    if unknown:
        parser.error(f"--task must be among {', '.join(every)}, got {', '.join(unknown)}")
    methods = options.method.split(",") if options.method else list(dict.fromkeys((*METHODS, *BOOSTED_METHODS)))
    unknown = [method for method in methods if method not in {**METHODS, **EXTRA, **BOOSTED_METHODS}]
    if unknown:
        parser.error(f"--method must be among {', '.join((*METHODS, *EXTRA, 'optuna-tpe'))}, got {', '.join(unknown)}")
    budget, lines = Budget(models=options.models, steps=options.steps), []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of models that diverge or have not converged
        for line in compare(tasks, methods, budget, _seeds(options.seeds)):
            lines.append(line)
            print(f"{line['task']} {line['method']} seed {line['seed']}: {line['seconds']:.2f} s", file=sys.stderr)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    print(summary(lines))


if __name__ == "__main__":
    main()
