"""States, events and schedules come back from plain data as they went; data that cannot be are refused by name."""

import copy
import json
import math
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import (
    ConfigError,
    Float,
    Genealogical,
    Improvement,
    Optimizer,
    Quantile,
    Search,
    Space,
    Truncation,
    codec,
)
from gpbt_core.records import Trial
from gpbt_core.registry import resolve_rule
from gpbt_core.reproduction import Plan, Slot
from gpbt_core.space import Config
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
    replay,
)
from runs import SPACE, Curious, World, run_sequentially, setups
from strategies import examples

TRIAL = Trial(id=3, parent=1, generation=1, depth=1, config=Config({"x": 0.1 + 0.2}), steps=2, start_step=4)
EVENTS: list[Event] = [
    Asked(trial=TRIAL),
    Asked(trial=attrs.evolve(TRIAL, parent=None, config=Config({"a.b": None, "c": "ü", "d": True, "e": 2**53}))),
    Reported(trial_id=3, step=1, loss=-1e-308),
    Reported(trial_id=3, step=2, loss=math.inf),
    Told(trial_id=3, loss=5e-324),
    Told(trial_id=3, loss=None, reason="it's lost"),
    Cancelled(trial_id=3, reason=""),
    Requeued(trial_id=3),
    Extended(generations=2),
    Planned(generation=1, plan=Plan((4, 0), (Slot(4, repeat=True), Slot(0), Slot(None)))),
    Reported(trial_id=3, step=1, loss=0.5, attempt=2),
    Told(trial_id=3, loss=0.5, steps=3, attempt=0),
    Cancelled(trial_id=3, reason="", attempt=1),
    Requeued(trial_id=3, attempt=1),
]


def through_json(data: Any) -> Any:
    """The data as a file would hold it: without NaN or infinity, which are no JSON."""
    return json.loads(json.dumps(data, allow_nan=False))


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_comes_back_as_it_went(event: Event) -> None:
    again = codec.decode_event(through_json(codec.encode_event(event)))
    assert again == event
    assert type(again) is type(event)


def test_notes_come_back_as_they_went_and_make_no_difference() -> None:
    optimizer = Optimizer(SPACE, population=5, steps=9, searcher=Search("random"))
    (first, second) = optimizer.ask(2)
    bare = optimizer.state
    optimizer.tell(first, 0.5, notes={"figures": {"train_loss": 0.25}})
    optimizer.fail(second, "it broke", notes={"by": "night"})
    assert [record.notes for record in optimizer.records] == [{"figures": {"train_loss": 0.25}}, {"by": "night"}]
    events = [codec.decode_event(through_json(codec.encode_event(event))) for event in optimizer.events]
    for state, _ in replay(bare, [event for event in events if isinstance(event, Told)]):
        replayed = state
    stored = codec.decode_state(through_json(codec.encode_state(replayed)), resolve_rule)
    assert [record.notes for record in stored.records] == [record.notes for record in optimizer.records]
    same = Optimizer(SPACE, population=5, steps=9, searcher=Search("random"))
    same.ask(2)
    same.tell(0, 0.5)
    same.fail(1, "it broke")
    assert same.state == stored


def test_notes_may_be_any_mapping_of_what_json_and_numpy_can_hold() -> None:
    optimizer = Optimizer(SPACE, population=5, steps=9, searcher=Search("random"))
    (trial,) = optimizer.ask()
    figures = OrderedDict(loss=np.float32(0.5), seen=np.int64(3), done=np.bool_(True))
    notes = MappingProxyType({"figures": MappingProxyType(figures)})
    optimizer.tell(trial, 0.5, notes=notes)
    kept = optimizer.records[0].notes
    assert kept == {"figures": {"loss": 0.5, "seen": 3, "done": True}}
    assert through_json(kept) == kept


@pytest.mark.parametrize("notes", [3, ["a"], {"a": object()}, {"a": math.nan}])
def test_notes_that_json_cannot_hold_are_refused_and_nothing_happens(notes: Any) -> None:
    optimizer = Optimizer(SPACE, population=5, steps=9, searcher=Search("random"))
    (trial,) = optimizer.ask()
    before = optimizer.state
    with pytest.raises(ConfigError, match="tell: the notes of trial 0 must be a mapping that JSON can hold"):
        optimizer.tell(trial, 0.5, notes=notes)
    assert optimizer.state is before


def test_a_state_of_version_3_has_no_notes() -> None:
    data = through_json(codec.encode_state(some_state()))
    for record in data["records"]:
        del record["notes"]
    assert codec.decode_state({**data, "version": 3}, resolve_rule) == some_state()


def test_every_kind_of_event_is_among_those_tested() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


def test_the_attempt_of_a_trial_comes_back_though_equal_trials_may_differ_in_it() -> None:
    again = codec.decode_event(through_json(codec.encode_event(Asked(trial=attrs.evolve(TRIAL, attempt=2)))))
    assert isinstance(again, Asked)
    assert (again.trial, again.trial.attempt) == (TRIAL, 2)
    optimizer = Optimizer(SPACE, steps=2, searcher=Search(Curious()))
    (trial,) = optimizer.ask()
    optimizer.requeue(trial)
    state = codec.decode_state(through_json(codec.encode_state(optimizer.state)), resolve_rule)
    assert state.records[0].trial.attempt == 1


def test_a_decoded_trial_s_config_cannot_be_changed() -> None:
    again = codec.decode_event(through_json(codec.encode_event(EVENTS[0])))
    assert isinstance(again, Asked)
    with pytest.raises(TypeError):
        again.trial.config["x"] = 1


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": "born"},
        {"type": "told", "id": 3},
        {"type": "asked", "id": 3},
        {**codec.encode_event(EVENTS[0]), "config": 3},
        {**codec.encode_event(EVENTS[0]), "config": "abc"},
        {**codec.encode_event(EVENTS[2]), "loss": "0.5"},
        {**codec.encode_event(EVENTS[2]), "step": 1.5},
        {**codec.encode_event(EVENTS[2]), "step": "1"},
        {**codec.encode_event(EVENTS[4]), "loss": "0.5"},
        {**codec.encode_event(EVENTS[4]), "loss": [0.5]},
        {**codec.encode_event(EVENTS[8]), "generations": "2"},
        {**codec.encode_event(EVENTS[9]), "slots": 3},
        {**codec.encode_event(EVENTS[9]), "slots": [[1, 2, 3]]},
        {"type": "planned", "generation": 1},
        {**codec.encode_event(EVENTS[10]), "attempt": "2"},
        {**codec.encode_event(EVENTS[11]), "steps": 1.5},
        {"type": ["told"]},
        3,
        "told",
        None,
        [],
    ],
)
def test_data_of_no_event_are_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="decode_event: must be the data of an event, got "):
        codec.decode_event(data)


# -------------------------------------------------------------------------------------------------------------- states


@examples(60)
@given(setups(quorum=None), st.integers(0, 40), st.integers(0, 9))
def test_a_state_comes_back_as_it_went(setup: dict[str, Any], asked: int, seed: int) -> None:
    optimizer = Optimizer(SPACE, **setup)
    run_sequentially(optimizer, World(trouble=seed / 20), until=asked)
    running = optimizer.ask(2)
    for trial in running[:1]:
        optimizer.report(trial.id, 1, math.nan)
        optimizer.requeue(trial.id)
    for trial in running[1:]:
        optimizer.report(trial.id, 1, math.inf)
    data = codec.encode_state(optimizer.state)
    again = codec.decode_state(through_json(data), resolve_rule)
    assert again == optimizer.state
    assert codec.encode_state(again) == data
    assert isinstance(again.settings.space, Space)


def some_state() -> State:
    """A state with a bit of everything."""
    optimizer = Optimizer(SPACE, population=5, steps=9, searcher=Search(Curious()), generation_stopping=Improvement())
    run_sequentially(optimizer, World(), until=17)
    optimizer.ask()
    return optimizer.state


@pytest.mark.parametrize("version", [None, 0, codec.VERSION + 1, "1"])
def test_a_state_of_another_version_is_refused(version: Any) -> None:
    data = {**codec.encode_state(some_state()), "version": version}
    with pytest.raises(ConfigError, match=f"state data must be of version 1 or 2 or 3 or 4, got {version!r}; use"):
        codec.decode_state(data, resolve_rule)


@pytest.mark.parametrize("data", [None, 3, [], "state", {}])
def test_what_is_no_state_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="state data must be of version 1 or 2 or 3 or 4, got None"):
        codec.decode_state(data, resolve_rule)


def _places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all that is in nested data; of a list, to its first item."""
    if isinstance(data, dict):
        return [place for key, value in data.items() for place in [(*at, key), *_places(value, (*at, key))]]
    return [(*at, 0), *_places(data[0], (*at, 0))] if isinstance(data, list) and data else []


PLACES = [
    place
    for place in _places(codec.encode_state(some_state()))
    if place[:2] != ("settings", "space") and "config" not in place[:-1] and "options" not in place[:-1]
]


@pytest.mark.parametrize("place", [place for place in PLACES if place[-1] != 0], ids=str)
def test_a_state_in_which_something_is_missing_is_refused(place: tuple[Any, ...]) -> None:
    data = copy.deepcopy(codec.encode_state(some_state()))
    at: Any = data
    for key in place[:-1]:
        at = at[key]
    del at[place[-1]]
    with pytest.raises(ConfigError, match=r"decode_\w+: "):
        codec.decode_state(data, resolve_rule)


def test_a_rule_that_is_unknown_or_has_no_name_is_refused() -> None:
    class Nameless(Genealogical):
        name = None  # type: ignore[assignment]  # the mistake under test

    own = Settings(space=SPACE, population=3, steps=3, reproduction=Nameless())  # type: ignore[arg-type]  # as above
    with pytest.raises(ConfigError, match="codec: a rule must be an attrs class with a name to be stored"):
        codec.encode_settings(own)


@pytest.mark.parametrize(
    "given",
    [
        {"reproduction": Genealogical(segments=2, parents=None, c=2.0, per_parent=None, noise=0.25, order="litter")},
        {"reproduction": Truncation(segments=(0.5, 0.5), quantile=0.25), "trial_stopping": Quantile(min_trials=7)},
        {"reproduction": Truncation(), "generation_stopping": Improvement(factor=0.5), "quorum": 0.5, "seed": 2**70},
        {"reproduction": Genealogical(), "direction": "maximize", "max_concurrent": 9},
    ],
)
def test_settings_come_back_as_they_went(given: dict[str, Any]) -> None:
    made = Settings(space=Space(x=Float(1e-5, 1, log=True)), population=7, steps=9, **given)
    again = codec.decode_settings(through_json(codec.encode_settings(made)), resolve_rule)
    assert again == made
    assert again.lengths == made.lengths


def test_a_schedule_comes_back_as_it_went() -> None:
    optimizer = Optimizer(SPACE, population=5, steps=9, searcher=Search(Curious()))
    run_sequentially(optimizer, World(trouble=0))
    schedule = optimizer.best.schedule
    assert codec.decode_schedule(through_json(codec.encode_schedule(schedule))) == schedule
    wrong: list[Any] = [3, [3], [{"config": {}}], [{"config": 3, "start_step": 0, "steps": 1}], None]
    for damaged in wrong:
        with pytest.raises(ConfigError, match="decode_schedule: must be the data of a schedule, got "):
            codec.decode_schedule(damaged)
