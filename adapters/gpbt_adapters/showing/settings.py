"""The settings and the space of a run as rows of text."""

from typing import Any

import attrs

from gpbt_adapters.views.words import number
from gpbt_core.searcher import Search, SearcherChoice
from gpbt_core.space import Categorical, Float, Space
from gpbt_core.state import Settings

__all__ = ["settings_rows", "space_rows"]


def settings_rows(chosen: Settings) -> list[list[str]]:
    """The settings of a run, each with its value."""
    lengths = list(map(str, chosen.lengths))
    segments = ", ".join(lengths if len(lengths) <= 20 else [*lengths[:10], "…", *lengths[-3:]])
    return [
        ["population", f"{chosen.population:,}"],
        ["steps per model", f"{chosen.steps:,}"],
        ["direction", chosen.direction],
        ["seed", str(chosen.seed)],
        ["reproduction", _rule(chosen.reproduction)],
        ["trial stopping", _rule(chosen.trial_stopping)],
        ["generation stopping", _rule(chosen.generation_stopping)],
        *_search(chosen.search),
        ["steps of the generations", segments],
        ["concurrent trials", f"at most {chosen.max_concurrent:,}"],
        ["quorum", number(float(chosen.quorum))],
    ]


def space_rows(space: Space) -> list[list[str]]:
    """The hyperparameters: name, kind, range, scale, and when they are active."""
    rows = []
    for name, parameter in space.parameters.items():
        given = dict(space.conditions.get(name, ()))
        when = " and ".join(f"{other} is {' or '.join(map(str, values))}" for other, values in given.items())
        if isinstance(parameter, Categorical):
            rows.append([name, "one of", ", ".join(map(str, parameter.choices)), "", "", when])
            continue
        kind = "real" if isinstance(parameter, Float) else "whole"
        scale = "log of 1 - x" if parameter.log == "1-x" else "log" if parameter.log else "linear"
        if parameter.step not in (None, 1):
            scale += f", step {number(parameter.step)}"
        rows.append([name, kind, number(parameter.low), number(parameter.high), scale, when])
    return rows


def _rule(rule: Any) -> str:
    """The name of a rule with the options that are not its defaults."""
    if rule is None:
        return "none"
    options = []
    for field in attrs.fields(type(rule)) if attrs.has(type(rule)) else ():
        value = getattr(rule, field.name)
        if field.init and value != field.default:
            options.append(f"{field.name}={value!r}")
    return f"{rule.name}({', '.join(options)})" if options else str(rule.name)


def _search(search: Search | None) -> list[list[str]]:
    if search is None:
        return []
    rows = [["searcher", _searcher(search.searcher)], ["history", search.history]]
    if search.founders is not None:
        rows.append(["founders", f"{search.number_of_founders} by {_searcher(search.founders)}"])
    if search.known_configs:
        rows.append(["known configs", str(len(search.known_configs))])
    return rows


def _searcher(choice: SearcherChoice) -> str:
    name = choice.name or type(choice.searcher).__name__
    options = ", ".join(f"{key}={value!r}" for key, value in choice.options.items())
    return f"{name}({options})" if options else name
