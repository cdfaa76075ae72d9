"""Spaces to and from plain JSON-able data.

The data contains every field, defaults included, so a later default does not change a stored space. It is checked by
the same constructors that check what users write.
"""

from collections.abc import Mapping
from typing import Any

from gpbt_core.errors import ConfigError
from gpbt_core.space.conditions import Conditions, Wanted
from gpbt_core.space.parameters import Categorical, Float, Int, Parameter

__all__ = ["from_plain", "to_plain"]

_FIELDS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
}


def to_plain(parameters: Mapping[str, Parameter], conditions: Conditions) -> dict[str, Any]:
    """The data of a space.

    Args:
        parameters: By flat name, in order.
        conditions: Those of each conditional parameter; flat names.
    """
    items = []
    for name, parameter in parameters.items():
        item: dict[str, Any] = {"name": name, **_facts(parameter)}
        if name in conditions:
            item["when"] = [[controller, list(values)] for controller, values in conditions[name]]
        items.append(item)
    return {"parameters": items}


def _facts(parameter: Parameter) -> dict[str, Any]:
    kind = type(parameter).__name__.lower()
    facts = {field: getattr(parameter, field) for field in _FIELDS[kind]}
    if isinstance(parameter, Categorical):
        facts["choices"] = list(parameter.choices)
    return {"type": kind, **facts}


def from_plain(data: object) -> tuple[dict[str, Parameter], Wanted]:
    """The parameters and conditions from the data of `to_plain`.

    Args:
        data: What it returned, possibly by way of JSON.

    Raises:
        ConfigError: It is something else, or describes an unsound parameter.
    """
    if not isinstance(data, Mapping) or set(data) != {"parameters"} or not isinstance(data["parameters"], list):
        raise _refusal("data must be {'parameters': [...]} as Space.to_dict makes it", data)
    parameters: dict[str, Parameter] = {}
    conditions: dict[str, list[tuple[str, list[Any]]]] = {}
    for item in data["parameters"]:
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
            raise _refusal("each parameter must be a dict with a name", item)
        name = item["name"]
        if name in parameters:
            raise _refusal("each name must stand once", name)
        parameters[name] = _parameter(item)
        if "when" in item:
            conditions[name] = _pairs(item["when"])
    return parameters, conditions


def _parameter(item: Mapping[str, Any]) -> Parameter:
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise _refusal(f"type must be one of {list(_FIELDS)}", item)
    if set(item) - {"when"} != {"name", "type", *_FIELDS[kind]}:
        raise _refusal(
            f"the keys of {kind!r} must be name, type, {', '.join(_FIELDS[kind])}, and when if it is conditional", item
        )
    try:
        if kind == "categorical":
            return Categorical(item["choices"])
        return (Int if kind == "int" else Float)(item["low"], item["high"], log=item["log"], step=item["step"])
    except ConfigError as error:
        raise ConfigError(f"Space.from_dict, parameter {item['name']!r}: {error}") from None


def _pairs(when: object) -> list[tuple[str, list[Any]]]:
    if not isinstance(when, list) or not when:
        raise _refusal("'when' must be a list of [name, values]", when)
    pairs: dict[str, list[Any]] = {}
    for pair in when:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in pairs:
            raise _refusal("'when' must be a list of [name, values], each name once", when)
        pairs[pair[0]] = pair[1]
    return list(pairs.items())


def _refusal(rule: str, came: object) -> ConfigError:
    return ConfigError(f"Space.from_dict: {rule}, got {came!r}")
