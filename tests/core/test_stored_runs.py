"""Runs that an earlier version has stored come back as they were, and what this version stores needs no rule again.

`stored/runs-1.json` was written by the first version, whose logs have no plans. Some trials were stopped, failed,
cancelled or given back, and its runs were extended.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gpbt_core import Genealogical, Optimizer, PluginError, Truncation, codec
from gpbt_core.registry import resolve_rule
from gpbt_core.state import Event, Planned, Requeued, State, initial, replay

RUNS = {run["name"]: run for run in json.loads((Path(__file__).parent / "stored" / "runs-1.json").read_text("utf-8"))}


def _replayed(run: dict[str, Any], events: list[Event]) -> tuple[State, list[Event]]:
    state = initial(codec.decode_settings(run["header"]["settings"], resolve_rule))
    happened: list[Event] = []
    for after, event in replay(state, events):
        state = after
        happened.append(event)
    return state, happened


def _log(run: dict[str, Any]) -> list[Event]:
    return [codec.decode_event(data) for data in run["events"]]


def _forbidden(*_: Any) -> Any:
    raise AssertionError("a replay asks no rule for a plan")


@pytest.mark.parametrize("name", RUNS)
def test_a_log_of_the_first_version_leads_to_the_state_that_was_stored_with_it(name: str) -> None:
    run = RUNS[name]
    state, happened = _replayed(run, _log(run))
    assert state == codec.decode_state(run["state"], resolve_rule)
    assert [event for event in happened if type(event) is not Planned] == _log(run)
    assert sum(type(event) is Planned for event in happened) == len(state.closed)


@pytest.mark.parametrize("name", RUNS)
def test_a_log_with_its_plans_is_replayed_without_the_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RUNS[name]
    state, happened = _replayed(run, _log(run))
    stored = json.dumps([codec.encode_event(event) for event in happened], allow_nan=False)
    for rule in (Genealogical, Truncation):
        monkeypatch.setattr(rule, "plan", _forbidden)
    again, events = _replayed(run, [codec.decode_event(data) for data in json.loads(stored)])
    assert again == state
    assert events == happened
    with pytest.raises(PluginError, match="a replay asks no rule for a plan"):
        _replayed(run, _log(run))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_from_a_stored_state_as_from_its_log(name: str) -> None:
    run = RUNS[name]
    by_state = codec.decode_state(run["state"], resolve_rule)
    by_log, _ = _replayed(run, _log(run))
    attempts = {event.trial_id for event in _log(run) if type(event) is Requeued}
    assert {r.trial.id for r in by_log.records if r.trial.attempt} == attempts
    for state in (by_state, by_log):
        again = codec.decode_state(json.loads(json.dumps(codec.encode_state(state))), resolve_rule)
        assert again == state
        assert [r.trial.attempt for r in again.records] == [r.trial.attempt for r in state.records]


def test_a_log_may_be_replayed_in_pieces_that_end_anywhere() -> None:
    run = RUNS["truncation"]
    state, happened = _replayed(run, _log(run))
    settings = codec.decode_settings(run["header"]["settings"], resolve_rule)
    for size in (1, 7):
        pieces = initial(settings)
        for start in range(0, len(happened), size):
            for after, _ in replay(pieces, happened[start : start + size]):
                pieces = after
        assert pieces == state


def test_an_optimizer_keeps_the_plans_that_it_made_for_a_log_without_them() -> None:
    run = RUNS["survivors"]
    settings = codec.decode_settings(run["header"]["settings"], resolve_rule)
    optimizer = Optimizer.from_events(
        settings.space,
        _log(run),
        population=settings.population,
        steps=settings.steps,
        seed=settings.seed,
        direction=settings.direction,
        reproduction=settings.reproduction,
        trial_stopping=settings.trial_stopping,
        preset="random",
    )
    assert sum(type(event) is Planned for event in optimizer.events) == len(optimizer.state.closed)
    assert optimizer.state == codec.decode_state(run["state"], resolve_rule)
