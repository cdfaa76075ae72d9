"""Converts states and events to and from plain, versioned, JSON-able data; does not touch files.

Decoding gives back equal values. JSON has no infinity, so an infinite loss is written as null.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from gpbt_core.errors import ConfigError
from gpbt_core.numbers import as_float, as_int
from gpbt_core.persistent import Vector
from gpbt_core.records import Schedule, Segment, Status, Trial
from gpbt_core.reproduction import Plan, Slot
from gpbt_core.space import Config, Space
from gpbt_core.state import (
    Asked,
    Cancelled,
    Event,
    Extended,
    Planned,
    Reported,
    Requeued,
    Settings,
    State,
    Told,
)

__all__ = [
    "VERSION",
    "decode_event",
    "decode_schedule",
    "decode_settings",
    "decode_state",
    "encode_event",
    "encode_schedule",
    "encode_settings",
    "encode_state",
]

VERSION = 4
"""The version that is written. Version 2 added attempts, and plans as events; version 3 lines that are revisited;
version 4 notes."""

_READABLE = (1, 2, 3, 4)

_SETTINGS = tuple(field.name for field in attrs.fields(Settings) if field.init and field.name != "search")

Resolve = Callable[[Literal["reproduction", "early stopping"], str, Mapping[str, Any]], Any]
"""Builds a rule from its kind, name and options."""


# ----------------------------------------------------------------------------------------------------------------
# events


def encode_event(event: Event) -> dict[str, Any]:
    """An event as plain data, with its class in `type`. Optional fields that are None are left out."""
    match event:
        case Asked():
            return {"type": "asked", **_coder(Trial).encode(event.trial)}
        case Reported():
            data = {"type": "reported", "id": event.trial_id, "step": event.step, "loss": _finite(event.loss)}
        case Told():
            data = {"type": "told", "id": event.trial_id, "loss": event.loss, "reason": event.reason}
            if event.steps is not None:
                data["steps"] = event.steps
            if event.notes is not None:
                data["notes"] = event.notes
        case Cancelled():
            data = {"type": "cancelled", "id": event.trial_id, "reason": event.reason}
        case Requeued():
            data = {"type": "requeued", "id": event.trial_id}
        case Extended():
            return {"type": "extended", "generations": event.generations}
        case Planned():
            return {"type": "planned", "generation": event.generation, **_coder(Plan).encode(event.plan)}
    if event.attempt is not None:
        data["attempt"] = event.attempt
    return data


def decode_event(data: Mapping[str, Any]) -> Event:
    """The event in data from `encode_event`, of this version or an earlier one.

    Raises:
        ConfigError: The data are not those of an event.
    """
    try:
        kind = data["type"]
        if kind not in _EVENTS:
            raise ConfigError(f"decode_event: must be the data of an event, got type {kind!r:.200}")
        return _EVENTS[kind](data)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"decode_event: must be the data of an event, got {data!r:.200}: {error!r}") from error


def _to_asked(data: Mapping[str, Any]) -> Asked:
    return Asked(trial=_coder(Trial).decode(data if "attempt" in data else {**data, "attempt": 0}))


def _to_reported(data: Mapping[str, Any]) -> Reported:
    attempt = _whole_or_none(data.get("attempt"))
    return Reported(trial_id=data["id"], step=_whole(data["step"]), loss=_loss(data["loss"]), attempt=attempt)


def _to_told(data: Mapping[str, Any]) -> Told:
    steps, attempt = _whole_or_none(data.get("steps")), _whole_or_none(data.get("attempt"))
    return Told(
        trial_id=data["id"],
        loss=_told(data["loss"]),
        reason=data["reason"],
        steps=steps,
        attempt=attempt,
        notes=data.get("notes"),
    )


def _to_cancelled(data: Mapping[str, Any]) -> Cancelled:
    return Cancelled(trial_id=data["id"], reason=data["reason"], attempt=_whole_or_none(data.get("attempt")))


def _to_requeued(data: Mapping[str, Any]) -> Requeued:
    return Requeued(trial_id=data["id"], attempt=_whole_or_none(data.get("attempt")))


def _to_planned(data: Mapping[str, Any]) -> Planned:
    return Planned(generation=_whole(data["generation"]), plan=_coder(Plan).decode(data))


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "asked": _to_asked,
    "reported": _to_reported,
    "told": _to_told,
    "cancelled": _to_cancelled,
    "requeued": _to_requeued,
    "extended": lambda data: Extended(generations=_whole(data["generations"])),
    "planned": _to_planned,
}


# --------------------------------------------------------------------------------------------------------------
# settings


def encode_settings(settings: Settings) -> dict[str, Any]:
    """Settings as plain data, rules by name and options.

    Raises:
        ConfigError: A rule is not an attrs class with a name.
    """
    return {
        "space": settings.space.to_dict(),
        "population": settings.population,
        "steps": settings.steps,
        "direction": settings.direction,
        "seed": settings.seed,
        "max_concurrent": settings.max_concurrent,
        "quorum": settings.quorum,
        "reproduction": _rule(settings.reproduction),
        "trial_stopping": _rule(settings.trial_stopping),
        "generation_stopping": _rule(settings.generation_stopping),
    }


def decode_settings(data: Mapping[str, Any], resolve: Resolve) -> Settings:
    """The settings in data from `encode_settings`.

    Args:
        data: The data.
        resolve: Builds the rules.

    Raises:
        ConfigError: The data are not those of settings.
    """
    try:
        plain = {name: data[name] for name in _SETTINGS}
        plain["space"] = Space.from_dict(plain["space"])
        for part in ("reproduction", "trial_stopping", "generation_stopping"):
            kind: Literal["reproduction", "early stopping"] = (
                "reproduction" if part == "reproduction" else "early stopping"
            )
            rule = plain[part]
            plain[part] = None if rule is None else resolve(kind, rule["name"], rule["options"])
        return Settings(**plain)
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"decode_settings: must be the data of settings, got {data!r:.200}: {error}") from error


def _rule(rule: Any) -> dict[str, Any] | None:
    if rule is None:
        return None
    if not attrs.has(type(rule)) or not isinstance(getattr(rule, "name", None), str):
        raise ConfigError(f"codec: a rule must be an attrs class with a name to be stored, got {rule!r}")
    options = {field.alias: getattr(rule, field.name) for field in attrs.fields(type(rule)) if field.init}
    return {"name": rule.name, "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}}


# -----------------------------------------------------------------------------------------------------------------
# state


def encode_state(state: State) -> dict[str, Any]:
    """A state as plain data.

    Raises:
        ConfigError: A rule is not an attrs class with a name.
    """
    return {"version": VERSION, **_coder(State).encode(state)}


def decode_state(data: Mapping[str, Any], resolve: Resolve) -> State:
    """The state in data from `encode_state`, of this version or an earlier one.

    Args:
        data: The data.
        resolve: Builds the rules.

    Raises:
        ConfigError: The data are of an unknown version, or not those of a state.
    """
    version = data.get("version") if isinstance(data, Mapping) else None
    if version not in _READABLE:
        raise ConfigError(
            f"decode_state: state data must be of version {' or '.join(map(str, _READABLE))}, got {version!r}; use the "
            f"gpbt that wrote it, or replay its events"
        )
    try:
        data = {**data, "settings": decode_settings(data["settings"], resolve)}
        if version < 4:
            data["records"] = [{**record, "notes": None} for record in data["records"]]
        if version < 3:
            data |= {"whole": None, "held": []}
        if version == 1:
            data["records"] = [{**record, "trial": {"attempt": 0, **record["trial"]}} for record in data["records"]]
            data["open"] = _with_distinct(data["open"], data["settings"])
        decoded: State = _coder(State).decode(data)
    except ConfigError:
        raise
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ConfigError(f"decode_state: the data is damaged: {error!r}") from error
    return decoded


def _with_distinct(opened: Mapping[str, Any], settings: Settings) -> Mapping[str, Any]:
    """An open generation in version 1, whose promise did not yet say whether parents differ in their configs."""
    if opened["keep"] is None:
        return opened
    now = settings.reproduction.keep(opened["index"] + 1, settings.population)
    return {**opened, "keep": {**opened["keep"], "distinct": now is not None and now.distinct}}


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _loss(value: float | None) -> float:
    return math.inf if value is None else _number(value)


def _told(value: float | None) -> float | None:
    return None if value is None else _number(value)


def _number(value: Any) -> float:
    if as_float(value) is None:
        raise TypeError(f"must be a number, got {value!r}")
    found: float = value
    return found


def _whole(value: Any) -> int:
    found = as_int(value)
    if found is None:
        raise TypeError(f"must be a whole number, got {value!r}")
    return found


def _whole_or_none(value: Any) -> int | None:
    return None if value is None else _whole(value)


@attrs.frozen
class _Coder:
    """Writes and reads values of one type; derived from the type, so that only the class lists its fields."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


_PLAIN = _Coder(_as_it_is, _as_it_is)


@functools.cache
def _coder(hint: Any) -> _Coder:
    """The coder of a type hint: of an attrs class, of a container, or of a plain value."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _CODERS:
        found = _CODERS[hint]
    elif attrs.has(hint):
        found = _fields(hint)
    elif type(None) in arguments:
        (some,) = (part for part in arguments if part is not type(None))
        found = _Coder(_as_it_is, _told) if some is float else _optional(_coder(some))
    elif origin is Vector or arguments[1:] == (...,):
        found = _sequence(Vector if origin is Vector else tuple, _coder(arguments[0]))
    elif origin is tuple:
        found = _pair(*(_coder(part) for part in arguments))
    else:
        found = _PLAIN
    return found


def _optional(some: _Coder) -> _Coder:
    return _Coder(
        lambda value: None if value is None else some.encode(value),
        lambda value: None if value is None else some.decode(value),
    )


def _sequence(kind: Callable[[Iterable[Any]], Any], item: _Coder) -> _Coder:
    if item is _PLAIN:
        return _Coder(list, kind)
    return _Coder(
        lambda values: [item.encode(value) for value in values],
        lambda values: kind(item.decode(value) for value in values),
    )


def _pair(first: _Coder, second: _Coder) -> _Coder:
    def decode(data: list[Any]) -> tuple[Any, Any]:
        one, other = data
        return first.decode(one), second.decode(other)

    return _Coder(lambda pair: [first.encode(pair[0]), second.encode(pair[1])], decode)


def _fields(kind: Any) -> _Coder:
    """The coder of an attrs class."""
    hints = get_type_hints(kind)
    names = tuple(field.name for field in attrs.fields(kind) if field.init)
    coders = {name: _coder(hints[name]) for name in names}
    encoders = [(name, coder.encode) for name, coder in coders.items() if coder.encode is not _as_it_is]
    decoders = [(name, coder.decode) for name, coder in coders.items() if coder.decode is not _as_it_is]
    values_of, read = operator.attrgetter(*names), operator.itemgetter(*names)

    def encode(value: Any) -> dict[str, Any]:
        data = dict(zip(names, values_of(value)))  # noqa: B905  # as many as names; `strict` is slow
        for name, encoded in encoders:
            data[name] = encoded(data[name])
        return data

    def decode(data: Mapping[str, Any]) -> Any:
        found = dict(zip(names, read(data)))  # noqa: B905  # likewise
        for name, decoded in decoders:
            found[name] = decoded(found[name])
        return kind(**found)

    return _Coder(encode, decode)


_CODERS: Mapping[Any, _Coder] = {
    float: _Coder(_finite, _loss),
    # The same result as the general way in a third of the time: most data of a record are in these two.
    tuple[float, ...]: _Coder(
        lambda losses: [loss if loss < math.inf else None for loss in losses],
        lambda data: tuple(map(_loss, data)),
    ),
    Sequence[tuple[int, float]]: _Coder(
        lambda reports: [[step, loss if loss < math.inf else None] for step, loss in reports],
        lambda data: tuple([(step, _loss(loss)) for step, loss in data]),
    ),
    Settings: _Coder(encode_settings, _as_it_is),  # decoded earlier, because rules have to be resolved
    Slot: _Coder(
        lambda slot: [slot.parent, slot.repeat, *([] if slot.config is None else [dict(slot.config)])],
        lambda data: Slot(data[0], data[1], None if len(data) < 3 else Config(data[2])),
    ),
    Status: _Coder(lambda status: status.value, Status),
    Config: _Coder(dict, Config),
}
"""Types that have their own format."""


# -------------------------------------------------------------------------------------------------------------
# schedules


def encode_schedule(schedule: Schedule) -> list[dict[str, Any]]:
    """A schedule as plain data: its segments with config, start_step and steps."""
    return [
        {"config": dict(segment.config), "start_step": segment.start_step, "steps": segment.steps}
        for segment in schedule.segments
    ]


def decode_schedule(data: list[Mapping[str, Any]]) -> Schedule:
    """The schedule in data from `encode_schedule`.

    Raises:
        ConfigError: The data are not those of a schedule.
    """
    try:
        return Schedule(
            tuple(Segment(config=Config(s["config"]), start_step=s["start_step"], steps=s["steps"]) for s in data)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"decode_schedule: must be the data of a schedule, got {data!r:.200}: {error}") from error
