"""The search step: selects the searcher for the next slot, makes its query and checks its proposal."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import attrs

from gpbt_core import genealogy
from gpbt_core.errors import ConfigError, SearcherError
from gpbt_core.optimizer.known import completed, is_complete
from gpbt_core.searcher import Query, Search, Searcher, SearcherChoice
from gpbt_core.space import Config
from gpbt_core.state import Order, Settings, State, generator

__all__ = ["Searchers", "arguments_of", "propose", "search_from_dict", "search_to_dict"]


@attrs.frozen
class Searchers:
    """The searchers that a `Search` names, built."""

    searcher: Searcher
    founders: Searcher

    @classmethod
    def of(cls, search: Search) -> Self:
        """Builds them.

        Raises:
            ConfigError: A searcher does not accept the options.
            PluginError: A name is unknown, offered twice, or cannot be built.
        """
        searcher = _built(search.searcher)
        return cls(searcher, searcher if search.founders is None else _built(search.founders))


def propose(searchers: Searchers, state: State, parent: int | None, order: Order) -> Config:
    """The config of the next slot, from the searcher whose turn it is.

    Raises:
        SearcherError: The searcher raised, or proposed a config that is not in the space.
    """
    search, place = state.settings.search, state.open.asked
    assert search is not None  # an optimizer's settings have one
    config = search.known_configs[place] if order.generation == 0 and place < len(search.known_configs) else None
    if config is not None and is_complete(state.settings.space, config):
        return config
    is_founder = order.generation == 0 and place < search.number_of_founders
    searcher = searchers.founders if is_founder else searchers.searcher
    line, planned = state.settings.line, len(state.settings.lengths)
    revising = line <= order.generation < planned and parent is not None
    # To a searcher, a run has the generations of its first lines; a revision is asked for as if it were one of these.
    generation = order.depth if revising else order.generation - max(0, min(order.generation, planned) - line)
    query = Query(
        space=state.settings.space,
        parent=None if parent is None else state.records[parent],
        generation=generation,
        generations=state.generations - (planned - line),
        depth=order.depth,
        slot=place,
        seed=state.settings.seed,
        family=lambda: (
            genealogy.revised(state, parent, search.history)
            if revising and parent is not None
            else genealogy.family(state, parent, search.history)
        ),
    )
    rng = generator(state.settings, "trial", order.id)
    try:
        proposed = searcher.propose(query, rng)
    except Exception as error:
        who = _who(searcher, query)
        raise SearcherError(f"{who} raised {type(error).__name__}: {error}") from error
    try:
        valid = state.settings.space.validate(proposed)
    except ConfigError as error:
        who = _who(searcher, query)
        raise SearcherError(f"{who} proposed what is not a config of the space: {error}") from error
    if config is not None:
        return completed(state.settings.space, config, valid, rng)
    space = state.settings.space
    return space.untried(valid, _tried(state, parent)) if space.finite else valid


def _tried(state: State, parent: int | None) -> Iterator[Config]:
    """The configs of a parent's children, those of the founders if there is no parent.

    Training one of them again from the same weights would give no new information, and its clones would take the places
    of other parents. A repeat still to come in the plan counts too. None of this depends on the results told so far.
    """
    born, plan = -1, state.open.plan
    if parent is not None:
        born = state.records[parent].trial.generation
        if any(plan.slots[place].repeat for place in plan.litters.get(parent, ())):
            yield state.records[parent].trial.config
    for generation in range(born + 1, state.open.index + 1):
        for trial_id in genealogy.children(state, parent, generation):
            yield state.records[trial_id].trial.config


def search_to_dict(search: Search) -> dict[str, Any]:
    """A search as plain data.

    Raises:
        ConfigError: A searcher was given as an object, which has no name.
    """
    return {
        "searcher": _choice_data("searcher", search.searcher),
        "founders": None if search.founders is None else _choice_data("founders", search.founders),
        "number_of_founders": search.number_of_founders,
        "history": search.history,
        # Omitted if empty, so that data stored before this field existed compares equal.
        **({"known_configs": [dict(config) for config in search.known_configs]} if search.known_configs else {}),
    }


def search_from_dict(data: Mapping[str, Any]) -> Search:
    """A search from `search_to_dict`.

    Raises:
        ConfigError: The data is invalid.
    """
    try:
        searcher, founders = data["searcher"], data["founders"]
        return Search(
            (searcher["name"], searcher["options"]),
            founders=None if founders is None else (founders["name"], founders["options"]),
            number_of_founders=data["number_of_founders"],
            history=data["history"],
            known_configs=data.get("known_configs", ()),
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"search: must be the data of a search, with searcher, founders, number_of_founders and history, got "
            f"{data!r:.200}: {error!r}"
        ) from error


def arguments_of(settings: Settings) -> dict[str, Any]:
    """The arguments of the `Optimizer` that has these settings, the space among them."""
    arguments = attrs.asdict(settings, recurse=False, filter=lambda field, _: field.init and field.name != "search")
    return {**arguments, "searcher": settings.search}


def _built(choice: SearcherChoice) -> Searcher:
    if choice.searcher is not None:
        return choice.searcher
    assert choice.name is not None  # one of the two is given
    from gpbt_core.registry import registry  # plugins are looked for when a name is used, not when gpbt is imported

    return registry().searcher(choice.name, choice.options)


def _who(searcher: Searcher, query: Query) -> str:
    """Names a searcher and what it was asked, for an error."""
    kind = type(searcher)
    place = f"slot {query.slot} of generation {query.generation}"
    return f"searcher {kind.__module__}.{kind.__qualname__}, asked for {place},"


def _choice_data(part: str, choice: SearcherChoice) -> dict[str, Any]:
    if choice.name is None:
        raise ConfigError(
            f"to_dict: the {part} must have a name to be stored, got the object {choice.searcher!r}; offer it by a "
            f"plugin, or keep the state, which from_state goes on from"
        )
    return {"name": choice.name, "options": dict(choice.options)}
