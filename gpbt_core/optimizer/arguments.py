"""Checks of arguments: each returns the value in its plain form, or raises an error that names the call."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np

from gpbt_core.controls import Controlled
from gpbt_core.errors import ConfigError, PluginError, ProtocolError
from gpbt_core.numbers import as_int, plain, whole
from gpbt_core.records import Record, Status, Trial
from gpbt_core.reproduction import Genealogical
from gpbt_core.state import ENDED

__all__ = [
    "controlled",
    "id_and_attempt",
    "id_of",
    "last_report",
    "noted",
    "number",
    "resolved",
    "rule",
    "selecting",
    "stopping_rule",
]


def id_of(who: str, trial: object, records: Sequence[Record] | None = None) -> Any:
    """The id of a trial, given the trial or its id.

    Args:
        who: The call, for errors.
        trial: The trial or its id.
        records: If given, the id must be one of them. (The transitions look up ids themselves.)

    Raises:
        ProtocolError: There is no such trial in `records`.
    """
    found, _ = id_and_attempt(trial)
    if records is not None and (as_int(found) is None or not 0 <= found < len(records)):
        raise ProtocolError(f"{who}: trial {found!r} is unknown; {len(records)} trials were asked so far")
    return found


def id_and_attempt(trial: object) -> tuple[Any, int | None]:
    """The id and attempt of a trial; given an id, that id and None."""
    return (trial.id, trial.attempt) if isinstance(trial, Trial) else (plain(trial), None)


def noted(who: str, trial_id: object, notes: object) -> dict[str, Any] | None:
    """Notes as JSON keeps them; None if there are none.

    Raises:
        ConfigError: They are no mapping, or JSON cannot hold them.
    """
    if notes is None:
        return None
    try:
        if isinstance(notes, Mapping):
            found: dict[str, Any] = _copied(notes)
            return found
    except TypeError:
        pass
    raise ConfigError(f"{who}: the notes of trial {trial_id} must be a mapping that JSON can hold, got {notes!r:.200}")


def _copied(value: Any) -> Any:
    """A copy of what JSON can hold: faster than a round trip through JSON, which each trial would pay for."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)  # numpy's are floats, too
    if kind is list or kind is tuple:
        return [_copied(one) for one in value]
    if (kind is dict or isinstance(value, Mapping)) and all(type(name) is str for name in value):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        return _copied(value.item())
    raise TypeError(f"JSON cannot hold {value!r:.200}")


def last_report(records: Sequence[Record], trial_id: object, steps: int | None = None) -> float:
    """The loss that a trial reported at its last step; 0 if it is unknown or has ended, which the transition refuses.

    Args:
        records: All trials.
        trial_id: The trial.
        steps: How many steps it trained; None: its whole segment, unless it was told to stop.

    Raises:
        ProtocolError: The trial is running and has reported nothing.
        ProtocolError: Its last report is not of its last step.
    """
    if not isinstance(trial_id, int) or not 0 <= trial_id < len(records):
        return 0.0
    record = records[trial_id]
    if record.status in ENDED:
        return 0.0
    if not record.reports:
        raise ProtocolError(f"tell: trial {trial_id} reported no score; give its score")
    step, loss = record.reports[-1]
    wanted = record.trial.steps if steps is None else steps
    if step == wanted or record.status is Status.STOPPING or not math.isfinite(loss):  # a failure at any step
        return loss
    if steps is None:
        raise ProtocolError(
            f"tell: trial {trial_id} reported {step} of {wanted} steps: train on, or give a score and the steps, "
            f"tell({trial_id}, score, steps={step})"
        )
    raise ProtocolError(
        f"tell: trial {trial_id} reported no score at step {steps}, its last one was at step {step}; give the score"
    )


def number(who: str, trial_id: object, score: Any) -> float:
    """A score as a plain float.

    Raises:
        ConfigError: It is not a single number.
    """
    if type(score) is float:
        return score
    if (
        not isinstance(score, (bool, np.bool_, str, bytes))
        and hasattr(score, "__float__")
        and getattr(score, "ndim", 0) == 0
    ):
        try:
            return float(score)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"{who}: the score of trial {trial_id!r} must be a number, got {score!r:.200}: {error}"
            ) from error
    raise ConfigError(f"{who}: the score of trial {trial_id!r} must be a number, got {score!r}")


def rule(kind: Literal["reproduction", "early stopping"], given: Any) -> Any:
    """The rule for a name, (name, options), or a rule; None for None.

    Raises:
        ConfigError: It is none of these, or the options do not fit the rule.
        PluginError: The name is unknown, offered twice, or its build failed.
    """
    match given:
        case str():
            return resolved(kind, given, {})
        case (str() as name, Mapping() as options):
            return resolved(kind, name, options)
    if given is not None and (isinstance(given, type) or not hasattr(given, "name")):
        raise ConfigError(f"{kind}: must be a name, (name, options) or a rule, got {given!r}")
    return given


def stopping_rule(argument: str, given: Any) -> Any:
    """As `rule`, for early stopping; False also means None."""
    if given is False:
        return None
    if given is True:
        raise ConfigError(
            f"{argument}: must be a name, (name, options), a rule, None or False, got True; leave it out for the "
            f"preset's rule"
        )
    return rule("early stopping", given)


def resolved(kind: Literal["reproduction", "early stopping"], name: str, options: Mapping[str, Any]) -> Any:
    """As `gpbt_core.registry.resolve_rule`."""
    from gpbt_core.registry import resolve_rule  # plugins are looked for when a name is used, not when gpbt is imported

    return resolve_rule(kind, name, options)


def controlled(rule: Any, controls: Any) -> Any:
    """A rule like the given one, with control lines.

    Raises:
        ConfigError: The rule is of another kind than "genealogical", or `controls` is not a whole number of at least 0.
    """
    count = whole("controls", controls, 0)
    if not count:
        return rule
    if type(rule) is not Genealogical:
        raise ConfigError(
            f"controls: the rule must be genealogical to have control lines, got {getattr(rule, 'name', rule)!r}; "
            f"leave controls out, or choose another reproduction or preset"
        )
    options = {field.name: getattr(rule, field.name) for field in attrs.fields(Genealogical)}
    return Controlled(**options, controls=count)


def selecting(rule: Any, select_by: str) -> Any:
    """A rule like the given one, with another criterion of selection.

    Raises:
        ConfigError: The rule is of another kind than "genealogical", or the rule of that name has another criterion.
        PluginError: The name is unknown, offered twice, or its build failed.
    """
    if select_by == getattr(rule, "select_by", None):
        return rule
    if not isinstance(rule, Genealogical) or isinstance(rule, Controlled):
        raise ConfigError(
            f"select_by: the rule must be genealogical to select by {select_by!r}, got "
            f"{getattr(rule, 'name', rule)!r}, which has its own way; leave select_by out, or choose "
            f"another reproduction or preset"
        )
    options = {field.name: getattr(rule, field.name) for field in attrs.fields(Genealogical)}
    try:
        other = resolved("reproduction", Genealogical.name if select_by == "score" else select_by, options)
    except PluginError as error:
        raise PluginError(f"select_by: must be 'score' or the name of a rule, got {select_by!r}: {error}") from error
    if other.select_by != select_by:
        raise ConfigError(f"select_by: the rule {select_by!r} goes by {other.select_by!r}; give it as reproduction")
    return other
