"""The questions that a searcher gets, and the answers that it must give.

A searcher is a pure function of the query and the generator: it holds no state, changes nothing, and may cache only
what the query determines. It must ignore results that are not in the query, even if they have already arrived. This
makes a run depend on its scores and not on its workers (docs/algorithm.md, "Determinism").
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import attrs
import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import at_least, plain
from gpbt_core.records import Record, Trial
from gpbt_core.space import Config, Space

__all__ = ["Family", "History", "Query", "Search", "Searcher", "SearcherChoice", "SearcherSpec"]

History = Literal["family", "all", "none"]
"""What a searcher learns from: the family history of the parent, every trial, or nothing."""


@attrs.frozen(kw_only=True)
class Family:
    """What a child may learn from.

    Attributes:
        told: Ended trials of the family history that are visible to the asking slot, in order of id: completed, stopped
            and failed ones (failed trials have no loss).
        pending: Trials whose config is known but whose result is not, in order of id.
    """

    told: tuple[Record, ...] = ()
    pending: tuple[Trial, ...] = ()


@attrs.frozen(kw_only=True, slots=False, eq=False)
class Query:
    """One question to a searcher: the config of one slot.

    Attributes:
        space: The space that the config must come from.
        parent: The parent's record; None in a slot that starts from scratch. Its `loss` may be None if the reproduction
            rule let a trial without a loss continue.
        generation: The slot's generation, from 0. A revision counts as the generation that first trained its segment.
        generations: The number of generations of the run without those of revisions; it grows when the run is extended.
        depth: The number of trials before this one on its line.
        slot: The slot's place in its generation, from 0; use it as the index into a low-discrepancy sequence.
        seed: The run's seed. It is the same for all queries of a run, whereas each slot has its own generator.
        family: Builds the family history on first use, so that a searcher that does not read it pays nothing.
    """

    space: Space
    parent: Record | None = None
    generation: int = 0
    generations: int = 1
    depth: int = 0
    slot: int = 0
    seed: int = 0
    family: Callable[[], Family] = Family

    @functools.cached_property
    def _family(self) -> Family:
        return self.family()

    @property
    def history(self) -> tuple[Record, ...]:
        """The visible ended trials of the family history, in order of id."""
        return self._family.told

    @property
    def pending(self) -> tuple[Trial, ...]:
        """The trials of the family whose result is not known yet, in order of id."""
        return self._family.pending

    def are_siblings(self, trials: Iterable[Trial]) -> list[bool]:
        """Flags the trials of the same generation that start from the same weights as the trial to propose.

        Args:
            trials: n trials of the family, such as `query.pending`.

        Returns:
            n flags.
        """
        parent = None if self.parent is None else self.parent.trial.id
        return [trial.generation == self.generation and trial.parent == parent for trial in trials]


@runtime_checkable
class Searcher(Protocol):
    """Proposes one config from one family history."""

    def propose(self, query: Query, rng: "np.random.Generator") -> Mapping[str, Any]:
        """Returns a config of `query.space`: a value in bounds for each active parameter, and nothing else.

        Args:
            query: Everything that the searcher may learn from.
            rng: The slot's own generator, made from (seed, trial id); the only source of randomness.
        """


@attrs.frozen(kw_only=True)
class SearcherSpec:
    """A searcher that a plugin offers.

    Attributes:
        name: The name that users write, in lower case.
        summary: One line for listings.
        build: Makes the searcher from the user's options; put heavy imports inside.
    """

    name: str
    summary: str
    build: Callable[..., Searcher]


@attrs.frozen(kw_only=True)
class SearcherChoice:
    """A searcher by name, so that a run with it can be stored, or the caller's object.

    Attributes:
        name: The name under which it is offered; None: the caller passed an object.
        options: The arguments of its build.
        searcher: The caller's object; None: it is built by name.
    """

    name: str | None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    searcher: Searcher | None = None

    @classmethod
    def of(cls, given: "str | tuple[str, Mapping[str, Any]] | Searcher | SearcherChoice") -> "SearcherChoice":
        """A choice from what a caller can pass: a name, (name, options), or an object with `propose`.

        Raises:
            ConfigError: The argument is none of these.
        """
        match given:
            case SearcherChoice():
                return given
            case str():
                return cls(name=given)
            case (str() as name, Mapping() as options):
                return cls(name=name, options=dict(options))
            case Searcher() if not isinstance(given, type):
                return cls(name=None, searcher=given)
        raise ConfigError(
            f"searcher: must be a name, (name, options) or an object with propose(query, rng), got {given!r}"
            f"{_spelling(given)}"
        )


def _spelling(given: object) -> str:
    """A hint for callers who pass an Optuna sampler."""
    kind = given if isinstance(given, type) else type(given)
    if not any(base.__module__.partition(".")[0] == "optuna" for base in kind.__mro__):
        return ""
    return (
        f'; for an Optuna sampler, write searcher="optuna:{kind.__name__}", or wrap the object: '
        f"searcher=gpbt.optuna.OptunaSearcher(sampler)"
    )


def _choice(given: str | tuple[str, Mapping[str, Any]] | Searcher | SearcherChoice) -> SearcherChoice:
    return SearcherChoice.of(given)


def _optional_choice(given: Any) -> SearcherChoice | None:
    return None if given is None else SearcherChoice.of(given)


def _history(_: object, __: object, value: object) -> None:
    if value not in ("family", "all", "none"):
        raise ConfigError(f'history: must be "family", "all" or "none", got {value!r}')


def _configs(given: Sequence[Mapping[str, Any]]) -> tuple[Config, ...]:
    if not isinstance(given, Sequence) or not all(isinstance(config, Mapping) for config in given):
        raise ConfigError(f"known_configs: must be a list of dicts from names to values, got {given!r:.200}")
    return tuple(Config(config) for config in given)


@attrs.frozen
class Search:
    """How a run finds its configs: which searcher proposes them, and from which trials it learns.

    Attributes:
        searcher: The searcher: a name, (name, options), or an object with `propose`.
        founders: The searcher for the first `number_of_founders` slots of generation 0, in the same form; None: the
            same searcher.
        number_of_founders: The number of slots that `founders` fills, at least 0.
        history: What the searcher learns from: the "family" history of the parent, "all" trials, or "none".
        known_configs: Configs for the first slots of generation 0, each complete or partial.

    Raises:
        ConfigError: An attribute is of the wrong type or out of its range.

    Examples:
        >>> Search("tpe", history="all").searcher.name
        'tpe'
    """

    searcher: SearcherChoice = attrs.field(converter=_choice)
    founders: SearcherChoice | None = attrs.field(default=None, converter=_optional_choice, kw_only=True)
    number_of_founders: int = attrs.field(default=0, converter=plain, validator=at_least(0, "Search"), kw_only=True)
    history: History = attrs.field(default="family", validator=_history, kw_only=True)
    known_configs: tuple[Config, ...] = attrs.field(default=(), converter=_configs, kw_only=True)
