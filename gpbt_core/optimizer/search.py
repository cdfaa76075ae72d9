"""The search step: who is asked for the config of the next slot, with which query, and what may come back."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import attrs

from gpbt_core import genealogy
from gpbt_core.errors import ConfigError, SearcherError
from gpbt_core.genealogy import History
from gpbt_core.presets import SearcherChoice, searcher_choice
from gpbt_core.searcher import Query, Searcher
from gpbt_core.space import Config
from gpbt_core.space.parameters import plain
from gpbt_core.state import Order, State, generator

__all__ = ["Choice", "Search", "propose"]

Choice = str | tuple[str, Mapping[str, Any]]


@attrs.frozen(kw_only=True)
class Search:
    """The searchers of a run, and what they may look at."""

    choice: SearcherChoice
    founders_choice: SearcherChoice | None
    searcher: Searcher
    founders: Searcher | None
    number_of_founders: int
    history: History

    @classmethod
    def make(
        cls,
        *,
        searcher: SearcherChoice,
        founders: Choice | Searcher | SearcherChoice | None,
        number_of_founders: int,
        history: History,
    ) -> Self:
        """Checks the choices and builds the searchers.

        Raises:
            ConfigError: An argument is of the wrong type or out of its range.
            PluginError: A name is unknown, offered twice, or cannot be built.
        """
        if history not in ("family", "all", "none"):
            raise ConfigError(f'history: wanted "family", "all" or "none", got {history!r}')
        number_of_founders = plain(number_of_founders)
        if isinstance(number_of_founders, bool) or not isinstance(number_of_founders, int) or number_of_founders < 0:
            raise ConfigError(f"number_of_founders: wanted a whole number of at least 0, got {number_of_founders!r}")
        founding = None if founders is None else searcher_choice(founders)
        return cls(
            choice=searcher,
            founders_choice=founding,
            searcher=searcher.build(),
            founders=founding.build() if founding else None,
            number_of_founders=number_of_founders,
            history=history,
        )

    def to_dict(self) -> dict[str, Any]:
        """The choices as plain data.

        Raises:
            ConfigError: A searcher was given as an object, which has no name.
        """
        return {
            "searcher": _choice_data("searcher", self.choice),
            "founders": None if self.founders_choice is None else _choice_data("founders", self.founders_choice),
            "number_of_founders": self.number_of_founders,
            "history": self.history,
        }


def propose(search: Search, state: State, parent: int | None, order: Order) -> Config:
    """The config of the next slot, from the searcher whose turn it is.

    Raises:
        SearcherError: The searcher raised, or proposed a config that is not in the space.
    """
    place = state.open.asked
    is_founder = order.generation == 0 and place < search.number_of_founders
    searcher = search.founders if is_founder and search.founders is not None else search.searcher
    query = Query(
        space=state.settings.space,
        parent=None if parent is None else state.records[parent],
        generation=order.generation,
        generations=state.generations,
        depth=order.depth,
        slot=place,
        seed=state.settings.seed,
        family=lambda: genealogy.family(state, parent, search.history),
    )
    rng = generator(state.settings, "trial", order.id)
    try:
        proposed = searcher.propose(query, rng)
    except Exception as error:
        who = _who(searcher, query)
        raise SearcherError(f"{who} raised {type(error).__name__}: {error}") from error
    try:
        config = state.settings.space.validate(proposed)
    except ConfigError as error:
        who = _who(searcher, query)
        raise SearcherError(f"{who} proposed what is not a config of the space: {error}") from error
    return state.settings.space.untried(config, _tried(state, parent))


def _tried(state: State, parent: int | None) -> Iterator[Config]:
    """The configs of a parent's children, those of the founders if there is no parent.

    Training one of them again from the same weights would tell nothing new, and its clones would take the places of
    parents. A repeat that the plan still holds counts too. All of this is known whatever has been told.
    """
    born, plan = -1, state.open.plan
    if parent is not None:
        born = state.records[parent].trial.generation
        if any(plan.slots[place].repeat for place in plan.litters.get(parent, ())):
            yield state.records[parent].trial.config
    for generation in range(born + 1, state.open.index + 1):
        for trial_id in genealogy.children(state, parent, generation):
            yield state.records[trial_id].trial.config


def _who(searcher: Searcher, query: Query) -> str:
    """Names a searcher and what it was asked, for an error."""
    kind = type(searcher)
    place = f"slot {query.slot} of generation {query.generation}"
    return f"searcher {kind.__module__}.{kind.__qualname__}, asked for {place},"


def _choice_data(part: str, choice: SearcherChoice) -> dict[str, Any]:
    if choice.name is None:
        raise ConfigError(
            f"to_dict: wanted a {part} with a name, got the object {choice.searcher!r}; offer it by a plugin, or keep "
            f"the state and give the object to from_state"
        )
    return {"name": choice.name, "options": dict(choice.options)}
