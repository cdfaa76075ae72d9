"""Named set-ups on the one engine: gpbt, the paper's, PBT, PB2, random search and others.

A preset is data: rules, searchers and which history they learn from. It decides nothing that a caller could not set.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from gpbt_core.early_stopping import GenerationStopping, Quantile, TrialStopping
from gpbt_core.errors import ConfigError, PluginError
from gpbt_core.genealogy import History
from gpbt_core.reproduction import Genealogical, Independent, Reproduction, Truncation
from gpbt_core.searcher import Searcher

__all__ = ["PRESETS", "Preset", "SearcherChoice", "preset", "resolve_rule", "searcher_choice", "selecting"]


@attrs.frozen(kw_only=True)
class SearcherChoice:
    """A searcher by name, so that a study can be opened again, or by itself.

    Attributes:
        name: What it is offered under; None: the caller brought an object.
        options: What its build takes.
        searcher: The caller's object; None: built by name.
    """

    name: str | None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    searcher: Searcher | None = None

    def build(self) -> Searcher:
        """The searcher itself.

        Raises:
            PluginError: The name is unknown, offered twice, or its build failed.
        """
        if self.searcher is not None:
            return self.searcher
        assert self.name is not None  # one of the two is given
        from gpbt_core.registry import registry  # plugins are looked for when a name is used, not when gpbt is imported

        return registry().searcher(self.name, self.options)


def resolve_rule(kind: Literal["reproduction", "early stopping"], name: str, options: Mapping[str, Any]) -> Any:
    """A rule by name: a built-in one or a plugin's.

    Raises:
        ConfigError: Its build does not take these options.
        PluginError: The name is unknown, offered twice, or its build failed.
    """
    from gpbt_core.registry import registry  # as above

    found = registry()
    return found.reproduction(name, options) if kind == "reproduction" else found.early_stopping(name, options)


def selecting(rule: Any, select_by: str) -> Any:
    """A rule like the given one that goes by something else.

    Raises:
        ConfigError: The rule is of another kind than "genealogical", or the one of that name goes by something else.
        PluginError: The name is unknown, offered twice, or its build failed.
    """
    if select_by == getattr(rule, "select_by", None):
        return rule
    if not isinstance(rule, Genealogical):
        raise ConfigError(
            f"select_by: wanted a genealogical rule to select by {select_by!r}, got {getattr(rule, 'name', rule)!r}, "
            f"which has its own way; leave select_by out, or choose another reproduction or preset"
        )
    options = {field.name: getattr(rule, field.name) for field in attrs.fields(Genealogical)}
    try:
        other = resolve_rule("reproduction", Genealogical.name if select_by == "score" else select_by, options)
    except PluginError as error:
        raise PluginError(f"select_by: wanted 'score' or the name of a rule, got {select_by!r}: {error}") from error
    if other.select_by != select_by:
        raise ConfigError(f"select_by: the rule {select_by!r} goes by {other.select_by!r}; give it as reproduction")
    return other


def searcher_choice(given: str | tuple[str, Mapping[str, Any]] | Searcher | SearcherChoice) -> SearcherChoice:
    """A choice from what a caller may write: a name, (name, options), or an object with `propose`.

    Raises:
        ConfigError: It is none of these.
    """
    match given:
        case SearcherChoice():
            return given
        case str():
            return SearcherChoice(name=given)
        case (str() as name, Mapping() as options):
            return SearcherChoice(name=name, options=dict(options))
        case Searcher() if not isinstance(given, type):
            return SearcherChoice(name=None, searcher=given)
    raise ConfigError(f"searcher: wanted a name, (name, options) or an object with propose(query, rng), got {given!r}")


@attrs.frozen(kw_only=True)
class Preset:
    """A set-up.

    Attributes:
        name: What users write.
        summary: One line for listings.
        reproduction: Who begets whom; or what makes the rule from the population n and the steps per model T.
        searcher: Who proposes configs.
        founders: Who proposes the first `number_of_founders(n)` configs of generation 0; None: the searcher.
        number_of_founders: From the population n.
        history: What the searcher learns from.
        trial_stopping: Which trials stop early; None: none.
        generation_stopping: Which generations end early; None: none.
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
        """Who begets whom in a population of n models of T steps each."""
        return self.reproduction(population, steps) if callable(self.reproduction) else self.reproduction


def _named(name: str, **options: Any) -> SearcherChoice:
    return SearcherChoice(name=name, options=options)


FEW = 16
"""Fewer models than this are too few to find a good founder among: they begin with more, and with a shorter look."""


def _default(population: int, steps: int) -> Genealogical:
    """The default's rule; all of it was found by experiment."""
    if not (isinstance(population, int) and isinstance(steps, int) and 1 <= population < FEW and steps >= 1):
        return Genealogical()  # enough models; or no numbers at all, which the settings then say
    rule = Genealogical(segments=(0.05, 0.15, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1), parents=(0.9, 0.5, 0.45, 0.3, 0.2))
    first = rule.segment_lengths(population, steps)[0]
    # At least .6 n slots are left for the later segments; hence at least one.
    most = (population * steps - math.ceil(max(1, 0.6 * population) * (steps - first))) // first
    founders = min(_founders(population), most)
    return attrs.evolve(rule, founders=founders) if founders > population else Genealogical()


def _third(population: int) -> int:
    return max(4, population // 3)


def _founders(population: int) -> int:
    """How many of them are spread evenly; all, where there are few models."""
    return _third(population) if population >= FEW else round(8 * math.sqrt(population))


_PAPER = Genealogical(segments=1, parents=None, c=1.0, per_parent=None, spread=0, order="litter", refill=False)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        made.name: made
        for made in (
            Preset(
                name="gpbt",
                summary="lineage GP, shrinking segments, trial stopping with refill (the default)",
                reproduction=_default,
                searcher=_named("gp"),
                founders=_named("sobol"),
                number_of_founders=_founders,
                trial_stopping=Quantile(),
            ),
            Preset(
                name="paper",
                summary="Scardigli et al. 2021: floor(sqrt(n)) parents, a generation a step, TPE",
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
    """A set-up by name.

    Raises:
        ConfigError: There is none of that name.
    """
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    import difflib  # for an error alone

    close = difflib.get_close_matches(str(name), PRESETS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConfigError(f"preset: wanted one of {', '.join(PRESETS)}, got {name!r}{hint}")
