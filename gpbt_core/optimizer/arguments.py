"""Checks of what callers pass: each returns the value in its plain form, or raises an error that names the call."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from gpbt_core.errors import ConfigError
from gpbt_core.presets import resolve_rule
from gpbt_core.space.parameters import plain

__all__ = ["number", "rule", "whole"]


def whole(who: str, step: int) -> int:
    """A step as a plain int.

    Raises:
        ConfigError: It is not a whole number.
    """
    step = plain(step)
    if isinstance(step, bool) or not isinstance(step, int):
        raise ConfigError(f"{who}: wanted a step as a whole number, got {step!r}")
    return step


def number(who: str, trial_id: int, score: Any) -> float:
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
                f"{who}: wanted the score of trial {trial_id!r} as a number, got {score!r:.200}: {error}"
            ) from error
    raise ConfigError(f"{who}: wanted the score of trial {trial_id!r} as a number, got {score!r}")


def rule(kind: Literal["reproduction", "early stopping"], given: Any) -> Any:
    """A rule from what a caller may write: a name, (name, options), or the rule itself; None stays None.

    Raises:
        ConfigError: It is none of these, or the options do not fit the rule.
        PluginError: The name is unknown, offered twice, or its build failed.
    """
    match given:
        case str():
            return resolve_rule(kind, given, {})
        case (str() as name, Mapping() as options):
            return resolve_rule(kind, name, options)
    if given is not None and (isinstance(given, type) or not hasattr(given, "name")):
        raise ConfigError(f"{kind}: wanted a name, (name, options) or a rule, got {given!r}")
    return given
