"""States and events to and from plain JSON-able data, versioned; no files.

Decoding gives back equal values. Infinity has no JSON: where a loss may be infinite it is written as null.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from gpbt_core.errors import ConfigError
from gpbt_core.persistent import Ranking, Vector
from gpbt_core.records import Record, Schedule, Segment, Status, Trial
from gpbt_core.reproduction import Keep, Plan, Slot
from gpbt_core.space import Config, Space
from gpbt_core.state import (
    Asked,
    Cancelled,
    Event,
    Extended,
    Generation,
    Open,
    Reported,
    Requeued,
    Settings,
    State,
    Tally,
    Told,
    View,
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

VERSION = 1
"""Rises whenever data of the version before would be misread."""

_SETTINGS = tuple(field.name for field in attrs.fields(Settings) if field.init and field.name != "search")
_KEEP = tuple(field.name for field in attrs.fields(Keep))
_TALLY = tuple(field.name for field in attrs.fields(Tally))

Resolve = Callable[[Literal["reproduction", "early stopping"], str, Mapping[str, Any]], Any]
"""Makes a rule from its kind, name and options."""


# ----------------------------------------------------------------------------------------------------------------
# events


def encode_event(event: Event) -> dict[str, Any]:
    """An event as plain data; `type` says which."""
    match event:
        case Asked():
            return {"type": "asked", **_trial(event.trial)}
        case Reported():
            return {"type": "reported", "id": event.trial_id, "step": event.step, "loss": _finite(event.loss)}
        case Told():
            return {"type": "told", "id": event.trial_id, "loss": event.loss, "reason": event.reason}
        case Cancelled():
            return {"type": "cancelled", "id": event.trial_id, "reason": event.reason}
        case Requeued():
            return {"type": "requeued", "id": event.trial_id}
        case Extended():
            return {"type": "extended", "generations": event.generations}


def decode_event(data: Mapping[str, Any]) -> Event:
    """An event from `encode_event`.

    Raises:
        ConfigError: It is no such data.
    """
    try:
        match data["type"]:
            case "asked":
                return Asked(trial=_to_trial(data))
            case "reported":
                return Reported(trial_id=data["id"], step=_whole(data["step"]), loss=_loss(data["loss"]))
            case "told":
                return Told(trial_id=data["id"], loss=_told(data["loss"]), reason=data["reason"])
            case "cancelled":
                return Cancelled(trial_id=data["id"], reason=data["reason"])
            case "requeued":
                return Requeued(trial_id=data["id"])
            case "extended":
                return Extended(generations=_whole(data["generations"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"decode_event: wanted the data of an event, got {data!r:.200}: {error!r}") from error
    raise ConfigError(f"decode_event: wanted the data of an event, got type {data['type']!r}")


# --------------------------------------------------------------------------------------------------------------
# settings


def encode_settings(settings: Settings) -> dict[str, Any]:
    """Settings as plain data, rules by name and options.

    Raises:
        ConfigError: A rule is no attrs class with a name.
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
    """Settings from `encode_settings`.

    Args:
        data: The data.
        resolve: Makes the rules.

    Raises:
        ConfigError: It is no such data.
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
        raise ConfigError(f"decode_settings: wanted the data of settings, got {data!r:.200}: {error}") from error


def _rule(rule: Any) -> dict[str, Any] | None:
    if rule is None:
        return None
    if not attrs.has(type(rule)) or not isinstance(getattr(rule, "name", None), str):
        raise ConfigError(f"codec: wanted a rule that is an attrs class with a name, to be written down, got {rule!r}")
    options = {field.alias: getattr(rule, field.name) for field in attrs.fields(type(rule)) if field.init}
    return {"name": rule.name, "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}}


# -----------------------------------------------------------------------------------------------------------------
# state


def encode_state(state: State) -> dict[str, Any]:
    """A state as plain data.

    Raises:
        ConfigError: A rule is no attrs class with a name.
    """
    o = state.open
    return {
        "version": VERSION,
        "settings": encode_settings(state.settings),
        "generations": state.generations,
        "records": [_record(record) for record in state.records],
        "closed": [
            {"first": g.first, "count": g.count, "plan": _plan(g.plan), "best": _finite(g.best)} for g in state.closed
        ],
        "open": {
            "index": o.index,
            "first": o.first,
            "steps": o.steps,
            "plan": _plan(o.plan),
            "keep": None if o.keep is None else attrs.asdict(o.keep),
            "asked": o.asked,
            "ended": o.ended,
            "prefix": o.prefix,
            "view": {
                "end": o.view.end,
                "used": o.view.used,
                "best": _finite(o.view.best),
                "reported": [_ranking(ranking) for ranking in o.view.reported],
            },
            "ready": o.ready,
            "over": o.over,
            "candidates": _ranking(o.candidates),
            "litters": [[list(key) for key in litter] for litter in o.litters],
            "latecomers": list(o.latecomers),
        },
        "best": None if state.best is None else list(state.best),
        "queue": list(state.queue),
        "late": list(state.late),
        "released": list(state.released),
        "extinct": state.extinct,
        "tally": attrs.asdict(state.tally),
    }


def decode_state(data: Mapping[str, Any], resolve: Resolve) -> State:
    """A state from `encode_state`.

    Args:
        data: The data.
        resolve: Makes the rules.

    Raises:
        ConfigError: It is of another version, or no such data.
    """
    version = data.get("version") if isinstance(data, Mapping) else None
    if version != VERSION:
        raise ConfigError(
            f"decode_state: wanted state data of version {VERSION}, got version {version!r}; use the gpbt that wrote "
            f"it, or replay its events"
        )
    try:
        return _decode_state(data, resolve)
    except ConfigError:
        raise
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ConfigError(f"decode_state: the data is damaged: {error!r}") from error


def _decode_state(data: Mapping[str, Any], resolve: Resolve) -> State:
    o = data["open"]
    view = o["view"]
    return State(
        settings=decode_settings(data["settings"], resolve),
        generations=data["generations"],
        records=Vector(_to_record(record) for record in data["records"]),
        closed=Vector(
            Generation(first=g["first"], count=g["count"], plan=_to_plan(g["plan"]), best=_loss(g["best"]))
            for g in data["closed"]
        ),
        open=Open(
            index=o["index"],
            first=o["first"],
            steps=o["steps"],
            plan=_to_plan(o["plan"]),
            keep=None if o["keep"] is None else Keep(**{name: o["keep"][name] for name in _KEEP}),
            asked=o["asked"],
            ended=o["ended"],
            prefix=o["prefix"],
            view=View(
                end=view["end"],
                used=view["used"],
                best=_loss(view["best"]),
                reported=tuple(_to_ranking(ranking) for ranking in view["reported"]),
            ),
            ready=o["ready"],
            over=o["over"],
            candidates=_to_ranking(o["candidates"]),
            litters=Vector(tuple((loss, i) for loss, i in litter) for litter in o["litters"]),
            latecomers=tuple(o["latecomers"]),
        ),
        best=None if data["best"] is None else (data["best"][0], data["best"][1]),
        queue=tuple(data["queue"]),
        late=tuple(data["late"]),
        released=Vector(data["released"]),
        extinct=data["extinct"],
        tally=Tally(*(data["tally"][name] for name in _TALLY)),
    )


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.id,
        "parent": trial.parent,
        "generation": trial.generation,
        "depth": trial.depth,
        "config": dict(trial.config),
        "steps": trial.steps,
        "start_step": trial.start_step,
    }


def _to_trial(data: Mapping[str, Any]) -> Trial:
    return Trial(
        id=data["id"],
        parent=data["parent"],
        generation=data["generation"],
        depth=data["depth"],
        config=Config(data["config"]),
        steps=data["steps"],
        start_step=data["start_step"],
    )


def _record(record: Record) -> dict[str, Any]:
    return {
        "trial": _trial(record.trial),
        "status": record.status.value,
        "loss": record.loss,
        "steps": record.steps,
        "reports": [[step, _finite(loss)] for step, loss in record.reports],
        "reason": record.reason,
        "limits": [_finite(limit) for limit in record.limits],
    }


def _to_record(data: Mapping[str, Any]) -> Record:
    return Record(
        trial=_to_trial(data["trial"]),
        status=Status(data["status"]),
        loss=_told(data["loss"]),
        steps=data["steps"],
        reports=tuple((step, _loss(loss)) for step, loss in data["reports"]),
        reason=data["reason"],
        limits=tuple(_loss(limit) for limit in data["limits"]),
    )


def _plan(plan: Plan) -> dict[str, Any]:
    return {"parents": list(plan.parents), "slots": [[slot.parent, slot.repeat] for slot in plan.slots]}


def _to_plan(data: Mapping[str, Any]) -> Plan:
    return Plan(tuple(data["parents"]), tuple(Slot(parent, repeat) for parent, repeat in data["slots"]))


def _ranking(ranking: Ranking) -> list[list[Any]]:
    return [[_finite(loss), i] for loss, i in ranking]


def _to_ranking(data: list[list[Any]]) -> Ranking:
    return Ranking((_loss(loss), i) for loss, i in data)


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _loss(value: float | None) -> float:
    return math.inf if value is None else _number(value)


def _told(value: float | None) -> float | None:
    return None if value is None else _number(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"wanted a number, got {value!r}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"wanted a whole number, got {value!r}")
    return value


# -------------------------------------------------------------------------------------------------------------
# schedules


def encode_schedule(schedule: Schedule) -> list[dict[str, Any]]:
    """A schedule as plain data: its segments with config, start_step and steps."""
    return [
        {"config": dict(segment.config), "start_step": segment.start_step, "steps": segment.steps}
        for segment in schedule.segments
    ]


def decode_schedule(data: list[Mapping[str, Any]]) -> Schedule:
    """A schedule from `encode_schedule`.

    Raises:
        ConfigError: It is no such data.
    """
    try:
        return Schedule(
            tuple(Segment(config=Config(s["config"]), start_step=s["start_step"], steps=s["steps"]) for s in data)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"decode_schedule: wanted the data of a schedule, got {data!r:.200}: {error}") from error
