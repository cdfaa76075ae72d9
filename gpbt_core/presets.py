"""Named set-ups of the same engine: gpbt, the paper's, PBT, PB2, random search and others.

A preset chooses what a caller could also choose: the rules, the searchers and the history that they learn from. Its
choices may depend on the population and the steps. Once a run has started, its preset no longer matters.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from gpbt_core.early_stopping import GenerationStopping, Quantile, TrialStopping
from gpbt_core.errors import ConfigError
from gpbt_core.reproduction import Genealogical, Independent, Reproduction, Truncation
from gpbt_core.searcher import History, Search, SearcherChoice

__all__ = ["PRESETS", "Preset", "PresetName", "preset"]

PresetName = Literal["gpbt", "steady", "greedy", "paper", "pbt", "pb2", "random", "tpe", "gp"]
"""The names of the presets."""


@attrs.frozen(kw_only=True)
class Preset:
    """A set-up.

    Attributes:
        name: The name that users write.
        summary: One line for listings.
        reproduction: The reproduction rule, or a function that makes it from the population n and the steps T.
        searcher: The searcher that proposes configs.
        founders: The searcher that proposes the first `number_of_founders(n)` configs of generation 0; None: the same.
        number_of_founders: A function of the population n.
        history: What the searcher learns from.
        trial_stopping: The rule that stops trials early; None: no trial stops.
        generation_stopping: The rule that ends generations early; None: no generation ends early.
    """

    name: str
    summary: str
    reproduction: Reproduction | Callable[[int, int], Reproduction]
    searcher: SearcherChoice
    founders: SearcherChoice | None = None
    number_of_founders: Callable[[int], int] = lambda _: 0
    history: History = "family"
    trial_stopping: TrialStopping | None = None
    generation_stopping: GenerationStopping | None = None

    def rule(self, population: int, steps: int) -> Reproduction:
        """The reproduction rule for a population of n models of T steps each."""
        return self.reproduction(population, steps) if callable(self.reproduction) else self.reproduction

    def search(self, population: int) -> Search:
        """How a population of n models finds its configs."""
        return Search(
            self.searcher,
            founders=self.founders,
            number_of_founders=self.number_of_founders(population),
            history=self.history,
        )


def _named(name: str, **options: Any) -> SearcherChoice:
    return SearcherChoice(name=name, options=options)


FEW = 16
"""With fewer models than this, n founders seldom contain a good one: runs start with more, and a shorter segment."""


def _greedy(population: int, steps: int) -> Genealogical:
    """A longer first segment and shorter later ones; all of its numbers were found by experiment."""
    if population >= FEW:
        return Genealogical()
    rule = Genealogical(segments=(0.05, 0.15, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1), parents=(0.9, 0.5, 0.45, 0.3, 0.2))
    first = rule.segment_lengths(population, steps)[0]
    founders = min(_founders(population), _most_founders(population, steps, first))
    return attrs.evolve(rule, founders=founders) if founders > population else Genealogical()


def _default(population: int, steps: int) -> Genealogical:
    """The rule of `steady` for a smaller population, and revisions of its best line with the steps that this saves.

    The numbers were found by experiment; docs/what-was-tried.md lists the alternatives.
    """
    return _steady(population, steps, revisions=_revisions(population) if steps > 1 else 0.0)


def _revisions(population: int) -> float:
    """The share of the budget for revisions: few models need all steps to find good founders.

    It grows from 0 for 8 models to .3 for 17.
    """
    return min(0.3, max(0.0, (population - 8) / 30))


def _steady(population: int, steps: int, *, revisions: float = 0.0) -> Genealogical:
    """A longer first segment for many founders, then equal short segments in which steady lines keep their config."""
    first, later = max(1, round(0.2 * steps)), max(1, round(0.1 * steps))
    segments = [first]
    if steps > first:
        count = max(1, (steps - first) // later)
        segments += [later] * (count - 1) + [steps - first - later * (count - 1)]
    trained = itertools.accumulate(segments)
    models = population * (1 - revisions)
    shares = (0.9, *(0.6 - 0.5 * share / steps for share in itertools.islice(trained, 1, len(segments) - 1)))
    return Genealogical(
        segments=tuple(segments),
        founders=max(1, min(round(1.5 * models), _most_founders(models, steps, first))),
        parents=tuple(share * (1 - revisions) for share in shares),
        steady=True,
        revisions=revisions,
        together=max(1, round(population / 12)) if revisions else 1,
    )


def _most_founders(models: float, steps: int, first: int) -> int:
    """The number of founders that leaves at least .6 slots per model, and so at least one, for the later segments."""
    return int(models * steps - math.ceil(max(1, 0.6 * models) * (steps - first))) // first


def _third(population: int) -> int:
    return max(4, population // 3)


def _founders(population: int) -> int:
    """The number of founders that are spread evenly; all of them if there are few models."""
    return _third(population) if population >= FEW else round(8 * math.sqrt(population))


_PAPER = Genealogical(segments=1, parents=None, c=1.0, per_parent=None, spread=0, order="litter", refill=False)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        made.name: made
        for made in (
            Preset(
                name="gpbt",
                summary="lineage GP, steady lines, then revisions of the best line (the default)",
                reproduction=_default,
                searcher=_named("gp"),
                founders=_named("sobol"),
                number_of_founders=lambda population: max(8, round((1 - _revisions(population)) * population)),
            ),
            Preset(
                name="steady",
                summary="the default without revisions: for as many workers as models",
                reproduction=_steady,
                searcher=_named("gp"),
                founders=_named("sobol"),
                number_of_founders=lambda population: max(8, population),  # the other founders learn from these
            ),
            Preset(
                name="greedy",
                summary="lineage GP, shrinking segments, trial stopping with refill: where the first steps tell much",
                reproduction=_greedy,
                searcher=_named("gp"),
                founders=_named("sobol"),
                number_of_founders=_founders,
                trial_stopping=Quantile(),
            ),
            Preset(
                name="paper",
                summary="Scardigli et al. 2021: floor(sqrt(n)) parents, one generation per step, TPE",
                reproduction=_PAPER,
                searcher=_named("tpe"),
            ),
            Preset(
                name="pbt",
                summary="Jaderberg et al. 2017: truncation selection, perturbed configs",
                reproduction=Truncation(),
                searcher=_named("perturb"),
                founders=_named("random"),
                number_of_founders=lambda population: population,
                history="none",
            ),
            Preset(
                name="pb2",
                summary="Parker-Holder et al. 2020: truncation selection, time-varying GP bandit",
                reproduction=Truncation(),
                searcher=_named("pb2"),
                founders=_named("random"),
                number_of_founders=lambda population: population,
                history="all",
            ),
            Preset(
                name="random",
                summary="random search with constant configs",
                reproduction=Independent(),
                searcher=_named("random"),
                history="none",
            ),
            Preset(
                name="tpe",
                summary="TPE with constant configs",
                reproduction=Independent(),
                searcher=_named("tpe"),
            ),
            Preset(
                name="gp",
                summary="Bayesian optimization with a GP and constant configs",
                reproduction=Independent(),
                searcher=_named("gp"),
                founders=_named("sobol"),
                number_of_founders=_third,
            ),
        )
    }
)
"""The set-ups by name, for the argument `preset` of an optimizer."""


def preset(name: str) -> Preset:
    """Returns a set-up by name.

    Raises:
        ConfigError: No preset has that name.
    """
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    import difflib  # only needed for the error

    close = difflib.get_close_matches(str(name), PRESETS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConfigError(f"preset: must be one of {', '.join(PRESETS)}, got {name!r}{hint}")
