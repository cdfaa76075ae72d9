"""gpbt: its default, its other presets, and two of these with one decision changed at a time.

Beside them, gpbt's GP over practitioners' schedules, and selection without search. All run serially; what a run finds
does not depend on that, only on `max_concurrent`.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from benchmarks.ledger import Ledger
from benchmarks.method import Method
from benchmarks.methods.support import Line, shaped_space
from benchmarks.shapes import SHAPES, Shape
from gpbt_core import PRESETS, Optimizer, Verdict
from gpbt_core.reproduction import Genealogical
from gpbt_core.searcher import Query

__all__ = ["METHODS", "drive"]

JITTER = 1e-3  # of the unit cube: too small for a searcher to notice, large enough for two networks to diverge


def drive(ledger: Ledger, optimizer: Optimizer) -> None:
    """Trains the trials of an optimizer, one after the other, until it is finished."""
    entries: dict[int, int] = {}
    while not optimizer.finished:
        for trial in optimizer.ask():
            parent = None if trial.parent is None else entries[trial.parent]
            entries[trial.id] = entry = ledger.begin(trial.config, parent=parent)
            score = math.nan
            for step in range(1, trial.steps + 1):
                score = ledger.train(entry)
                if optimizer.report(trial.id, step, score) is Verdict.STOP or math.isnan(score):
                    break
            optimizer.tell(trial.id, score)
        for trial_id in optimizer.released():
            ledger.release(entries[trial_id])


def _run(ledger: Ledger, *, options: dict[str, Any], all_at_once: bool = False) -> None:
    if all_at_once:
        options = {**options, "max_concurrent": ledger.models}
    if "controls" in options:
        options = {**options, "controls": min(options["controls"], ledger.models // 3)}  # a small grid has few slots
    if "search" in options:
        own = PRESETS[options.get("preset", "gpbt")].search(ledger.models)
        options = {**options, "searcher": attrs.evolve(own, **options["search"])}
        del options["search"]
    drive(
        ledger,
        Optimizer(
            ledger.space,
            population=ledger.models,
            steps=ledger.steps,
            direction=ledger.direction,
            seed=ledger.seed,
            **options,
        ),
    )


def _method(summary: str, *, all_at_once: bool = False, **options: Any) -> Method:
    """Creates a method from the options of `Optimizer`."""
    settings = {name: _plain(value) for name, value in options.items()}
    if all_at_once:
        settings["max_concurrent"] = "all"
    return Method(
        summary=summary, run=functools.partial(_run, options=options, all_at_once=all_at_once), settings=settings
    )


def _shaped(shape: Shape) -> Method:
    """The preset gp over schedules of a shape: each of its trials is one whole model."""

    def run(ledger: Ledger) -> None:
        space = shaped_space(ledger, shape)
        optimizer = Optimizer(
            space,
            population=ledger.models,
            steps=ledger.steps,
            direction=ledger.direction,
            seed=ledger.seed,
            preset="gp",
        )
        while not optimizer.finished:
            (trial,) = optimizer.ask()
            line = Line(ledger, shape.configs(ledger.space, ledger.rate, trial.config, ledger.steps))
            score = math.nan
            for _ in range(trial.steps):
                score = line.train()
                if math.isnan(score):
                    break
            line.release()
            optimizer.tell(trial.id, score)

    return Method(
        summary=f"the preset gp over {shape.summary}", run=run, settings={"preset": "gp", "shape": shape.name}
    )


@attrs.frozen(kw_only=True, eq=False)
class _Near:
    """A searcher that always proposes the same config, up to a negligible jitter."""

    center: NDArray[np.float64]

    def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
        return query.space.decode(np.clip(self.center + JITTER * rng.uniform(-1, 1, len(self.center)), 0, 1))


def _selection_only(ledger: Ledger) -> None:
    """Half of the models search one constant config by gpbt's GP; the others are bred under near copies of it."""
    searched = ledger.models // 2
    optimizer = Optimizer(
        ledger.space,
        population=max(searched, 1),
        steps=ledger.steps,
        direction=ledger.direction,
        seed=ledger.seed,
        preset="gp",
    )
    drive(ledger, optimizer)
    if not searched or optimizer.extinct:
        return
    (center,) = ledger.space.encode([optimizer.best.trial.config])
    drive(
        ledger,
        Optimizer(
            ledger.space,
            population=ledger.models - searched,
            steps=ledger.steps,
            direction=ledger.direction,
            seed=ledger.seed,
            preset="paper",
            searcher=_Near(center=center),
        ),
    )


def _plain(value: Any) -> Any:
    """A setting as recorded: rules become their fields."""
    return {"rule": value.name, **attrs.asdict(value)} if attrs.has(type(value)) else value


def _greedy(summary: str, *, all_at_once: bool = False, **options: Any) -> Method:
    """The preset greedy with other options of `Optimizer`."""
    return _method(summary, all_at_once=all_at_once, preset="greedy", **options)


def _bred(summary: str, **options: Any) -> Method:
    """The preset greedy with other options of its reproduction rule."""
    return _greedy(summary, reproduction=Genealogical(**options))


METHODS = {
    "gpbt": _method("gpbt's default"),
    "paper": _method("the preset paper: equal segments, sqrt(n) parents, TPE", preset="paper"),
    "paper-stopping": _method(
        "the same with the paper's early stopping of generations", preset="paper", generation_stopping="improvement"
    ),
    "steady": _method("the preset steady: short segments, lines that keep their config", preset="steady"),
    "greedy": _method("the preset greedy: shrinking segments, stopping of trials", preset="greedy"),
    "pbt": _method("the preset pbt", preset="pbt"),
    "pb2": _method("the preset pb2", preset="pb2"),
    "gp-constant": _method("the preset gp: gpbt's model, constant HPs", preset="gp"),
    "tpe-constant": _method("the preset tpe: gpbt's TPE, constant HPs", preset="tpe"),
    # What practitioners do.
    "gp-cosine": _shaped(SHAPES["cosine"]),
    "gp-linear": _shaped(SHAPES["linear"]),
    "gp-ramps": _shaped(SHAPES["ramps"]),
    # How much of a gain is chance.
    "greedy-controls": _method("greedy, 3 founders keep their configs to the end", preset="greedy", controls=3),
    "selection-only": Method(
        summary="half of the models search one constant config by gp; the others are bred under near copies of it",
        run=_selection_only,
        settings={"searched": 0.5, "preset": "paper", "jitter": JITTER},
    ),
    # The default with one decision changed; what it is without revisions is `steady`.
    "gpbt-stopping": _method("gpbt with stopping of trials", trial_stopping="median"),
    "gpbt-random": _method("gpbt with random configs", search={"searcher": "random", "founders": None}),
    "gpbt-tpe": _method("gpbt with TPE", searcher="tpe"),
    "gpbt-perturb": _method("gpbt with PBT's perturbation", searcher="perturb"),
    "gpbt-1-at-once": _method("gpbt with max_concurrent 1", max_concurrent=1),
    "gpbt-all-at-once": _method("gpbt with max_concurrent n", all_at_once=True),
    # The preset greedy with one decision changed.
    # The data to learn from.
    "greedy-pooled": _greedy("greedy, learning from all lineages", search={"history": "all"}),
    "greedy-no-history": _greedy("greedy, learning from nothing", search={"history": "none"}),
    # The searcher.
    "greedy-random": _greedy("greedy with random configs", search={"searcher": "random", "founders": None}),
    "greedy-tpe": _greedy("greedy with TPE", searcher="tpe"),
    "greedy-perturb": _greedy("greedy with PBT's perturbation", searcher="perturb"),
    "greedy-pb2": _greedy("greedy with PB2's bandit", searcher="pb2"),
    "greedy-cmaes": _greedy("greedy with CMA-ES", searcher="cmaes"),
    "greedy-optuna-gp": _greedy("greedy with Optuna's GPSampler", searcher="optuna:GPSampler"),
    "greedy-optuna-tpe": _greedy("greedy with Optuna's TPESampler", searcher="optuna:TPESampler"),
    "greedy-no-sobol": _greedy("greedy whose searcher proposes the founders too", search={"founders": None}),
    # Parent selection.
    "greedy-no-repeat": _bred("greedy without repeat slots", repeat=False),
    "greedy-steady": _bred("greedy, a steady line beside the best child of each litter", steady=True),
    "greedy-survivors": _bred("greedy, parents compete with their children", survivors=True),
    "greedy-one-child": _bred("greedy, at most one child of a former parent may be a parent", per_parent=1),
    "greedy-any-children": _bred("greedy, any number of siblings may be parents", per_parent=None),
    "greedy-no-spread": _bred("greedy, the first parents by rank alone", spread=0),
    "greedy-litters": _bred("greedy, one litter after the other", order="litter"),
    "greedy-c-quarter": _bred("greedy with floor(sqrt(n / c)) parents, c = 1/4", parents=None, c=0.25),
    "greedy-c-half": _bred("greedy with floor(sqrt(n / c)) parents, c = 1/2", parents=None, c=0.5),
    "greedy-c-1": _bred("greedy with floor(sqrt(n / c)) parents, c = 1", parents=None, c=1.0),
    "greedy-c-2": _bred("greedy with floor(sqrt(n / c)) parents, c = 2", parents=None, c=2.0),
    "greedy-c-4": _bred("greedy with floor(sqrt(n / c)) parents, c = 4", parents=None, c=4.0),
    "greedy-half-parents": _bred("greedy with half the parents", parents=(0.3, 0.22, 0.18, 0.12, 0.08)),
    "greedy-prototype": _bred(
        "greedy with fewer parents, one child each", parents=(0.4, 0.32, 0.28, 0.24, 0.16), per_parent=1
    ),
    "greedy-segments-1": _bred("greedy with segments of one step", segments=1),
    "greedy-segments-2": _bred("greedy with segments of two steps", segments=2),
    "greedy-segments-halves": _bred("greedy with segments of half of what is left", segments=(0.5, 0.3, 0.1, 0.1)),
    # Early stopping.
    "greedy-no-stopping": _greedy("greedy without stopping of trials", trial_stopping=None),
    "greedy-no-refill": _bred("greedy, stopping trials without refill", refill=False),
    "greedy-generation-stopping": _greedy(
        "greedy with the paper's stopping of generations", generation_stopping="improvement"
    ),
    # Concurrency.
    "greedy-1-at-once": _greedy("greedy with max_concurrent 1", max_concurrent=1),
    "greedy-8-at-once": _greedy("greedy with max_concurrent 8", max_concurrent=8),
    "greedy-all-at-once": _greedy("greedy with max_concurrent n", all_at_once=True),
}
