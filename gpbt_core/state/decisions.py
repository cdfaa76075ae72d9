"""The boundary to the rules: each call of a reproduction or stopping rule goes through here, and its answer is checked.

A rule is third-party code. If it raises, or returns an answer that would break the run later, a `PluginError` that
names the rule is raised. The state is then unchanged, because every transition is computed before it is committed.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.errors import ConfigError, PluginError
from gpbt_core.reproduction import Closing, Keep, Plan, Reproduction, Slot
from gpbt_core.space import Config, Space
from gpbt_core.space.parameters import alike

__all__ = [
    "MOST_MODELS",
    "found_enough",
    "founding_plan",
    "limits",
    "line",
    "next_plan",
    "promise",
    "segment_lengths",
]

T = TypeVar("T")

MOST_MODELS = 1_000_000
"""The most slots that generation 0 may have: its plan has an entry for each."""


def segment_lengths(rule: Reproduction, population: int, steps: int) -> tuple[int, ...]:
    """The lengths of the segments, one per generation.

    Raises:
        ConfigError: The options of the rule do not fit the population or the steps.
        PluginError: The rule raised; its lengths are not positive ints that sum to `steps`, or of which the first do if
            the rule revisits lines; or its `refill` or `select_by` is of the wrong type.
    """
    if not isinstance(rule.refill, bool) or not isinstance(rule.select_by, str):
        raise PluginError(
            f"{_who(rule)}: refill must be a bool and select_by a str, got {rule.refill!r} and {rule.select_by!r}"
        )
    asked = f"segment_lengths({population}, {steps})"
    lengths = _answer(rule, asked, lambda: rule.segment_lengths(population, steps), passes=ConfigError)
    if isinstance(lengths, tuple) and all(_is_int(length, 1) for length in lengths):
        segments = line(lengths, steps)
        if segments == len(lengths) or (segments and getattr(rule, "revisits", False)):
            return lengths
    raise PluginError(
        f"{_who(rule)}: {asked} must be a tuple of ints of at least 1 that sum to {steps}, got {lengths!r:.200}"
    )


def line(lengths: Sequence[int], steps: int) -> int:
    """The number of segments of a line: as many of the first lengths as sum to `steps`; 0 if none do."""
    for number, trained in enumerate(itertools.accumulate(lengths), start=1):
        if trained >= steps:
            return number if trained == steps else 0
    return 0


def founding_plan(rule: Reproduction, population: int) -> Plan:
    """The plan of generation 0, in which every slot starts from scratch.

    Raises:
        PluginError: The rule raised, or its number of slots is not an int from 1 to `MOST_MODELS`.
    """
    asked = f"first_slots({population})"
    slots = _answer(rule, asked, lambda: rule.first_slots(population))
    if not _is_int(slots, 1) or slots > MOST_MODELS:
        raise PluginError(f"{_who(rule)}: {asked} must be an int from 1 to {MOST_MODELS:,}, got {slots!r:.200}")
    return Plan((), (Slot(None),) * slots)


def next_plan(rule: Reproduction, closing: Closing, rng: "np.random.Generator", *, most: int | None = None) -> Plan:
    """The plan of the next generation.

    Args:
        rule: The rule.
        closing: The data available to the rule.
        rng: The random generator of this decision.
        most: The number of slots that the budget of the run leaves; None: any number.

    Raises:
        PluginError: The rule raised, or its answer is not a `Plan` with at least one slot whose parents are distinct
            candidates, parents of the closing generation or trials of the best line.
        PluginError: The plan has more slots than the budget leaves.
    """
    asked = f"the plan of generation {closing.generation}"
    plan = _answer(rule, asked, lambda: rule.plan(closing, rng))
    fault = next(_faults(plan, closing), None)
    if fault is None and most is not None and len(plan.slots) > most:
        fault = f"must have at most {most} slots, which is what the budget of the run leaves, got {len(plan.slots)}"
    if fault is not None:
        raise PluginError(f"{_who(rule)}: {asked} {fault}")
    return plan


def promise(rule: Reproduction, generation: int, population: int) -> Keep | None:
    """What is certain about the parents of a generation before it is planned.

    Raises:
        PluginError: The rule raised, or its answer is neither None nor a `Keep` of whole numbers of at least 1.
    """
    asked = f"keep({generation}, {population})"
    keep = _answer(rule, asked, lambda: rule.keep(generation, population))
    if keep is not None and not (
        isinstance(keep, Keep)
        and _is_int(keep.count, 1)
        and (keep.per_parent is None or _is_int(keep.per_parent, 1))
        and isinstance(keep.survivors, bool)
        and isinstance(keep.distinct, bool)
    ):
        raise PluginError(
            f"{_who(rule)}: {asked} must be None, or a Keep with ints of at least 1 as count and per_parent (or None), "
            f"got {keep!r:.200}"
        )
    return keep


def limits(rule: TrialStopping | None, rankings: Iterable[Sequence[tuple[float, int]]]) -> tuple[float, ...]:
    """For each step the loss above which a trial stops; empty without a rule.

    Raises:
        PluginError: The rule raised, or a limit is not a number above -inf.
    """
    if rule is None:
        return ()
    found: list[float] = []
    for step, ranking in enumerate(rankings, start=1):
        try:
            limit = rule.limit(ranking)
        except Exception as error:
            raise PluginError(f"{_who(rule)}: limit at step {step} raised {_words(error)}") from error
        if isinstance(limit, bool) or not isinstance(limit, (float, int)) or not limit > -math.inf:
            raise PluginError(
                f"{_who(rule)}: limit at step {step} must be a number above -inf (inf: no trial stops), got "
                f"{limit!r:.200}"
            )
        found.append(float(limit))
    return tuple(found)


def found_enough(rule: GenerationStopping, best: float, before: Sequence[float]) -> bool:
    """Whether to cancel the slots of the open generation that have not been asked.

    Raises:
        PluginError: The rule raised, or its answer is not a bool.
    """
    answer = _answer(rule, "enough", lambda: rule.enough(best, before))
    if not isinstance(answer, (bool, np.bool_)):
        raise PluginError(f"{_who(rule)}: enough({best!r}, ...) must be a bool, got {answer!r:.200}")
    return bool(answer)


def _answer(rule: Any, asked: str, call: Callable[[], T], passes: type[Exception] | tuple[()] = ()) -> T:
    try:
        return call()
    except passes:
        raise
    except Exception as error:
        raise PluginError(f"{_who(rule)}: {asked} raised {_words(error)}") from error


def _faults(plan: object, closing: Closing) -> Iterator[str]:
    """Yields the faults of a plan, as text to follow its name; an early fault may prevent the later checks."""
    if not isinstance(plan, Plan):
        yield f"must be a Plan, got {plan!r:.200}"
        return
    parents, slots = plan.parents, plan.slots
    if not isinstance(parents, tuple) or not all(_is_int(parent, 0) for parent in parents):
        yield f"must have a tuple of plain ints as parents, got {parents!r:.200}"
    known = set(parents)
    if len(known) < len(parents):
        yield f"must have distinct parents, got {parents!r:.200}"
    if not isinstance(slots, tuple) or not slots:
        yield f"must have a tuple of at least one Slot as slots, got {slots!r:.200}"
    for slot in slots:
        if not isinstance(slot, Slot) or not isinstance(slot.repeat, bool):
            yield f"must have slots that are Slots, with a bool as repeat, got {slot!r:.200}"
        elif slot.parent is not None and not (_is_int(slot.parent, 0) and slot.parent in known):
            yield f"must name the parents of all slots among its parents {parents!r:.200}, got {slot!r:.200}"
        elif slot.config is not None and not _is_config(slot.config, closing.space):
            yield f"must have slots whose config is None or a Config of the space, got {slot!r:.200}"
    allowed = {record.trial.id for record in (*closing.candidates, *closing.parents, *closing.line)}
    for parent in parents:
        if parent not in allowed:
            yield (
                f"must take its parents from closing.candidates, closing.parents or closing.line, got "
                f"{_what(parent, closing)}"
            )


def _what(trial_id: int, closing: Closing) -> str:
    if trial_id >= len(closing.records):
        return f"trial {trial_id}, which is unknown"
    status = closing.records[trial_id].status.value
    released = ", but released: keep promised that it would not be a parent, or its generation is long closed"
    return f"trial {trial_id}, which is {status}{released if status == 'completed' else ''}"


def _who(rule: Any) -> str:
    kind = type(rule)
    return f"rule {getattr(rule, 'name', kind.__name__)!r} ({kind.__module__}.{kind.__qualname__})"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _is_config(value: object, space: Space) -> bool:
    try:
        return isinstance(value, Config) and alike(space.validate(value), value)
    except ConfigError:
        return False


def _is_int(value: object, low: int) -> bool:
    return type(value) is int and value >= low  # numpy's integers cannot be stored
