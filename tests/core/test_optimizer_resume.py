"""An optimizer continued from its state, its events, a dict or a pickle."""

import copy
import math
import pickle
from typing import Any

import pytest

from gpbt_core import (
    Config,
    ConfigError,
    Float,
    Independent,
    Optimizer,
    ProtocolError,
    Search,
    Space,
    codec,
)
from gpbt_core.registry import resolve_rule
from gpbt_core.state import Asked, Extended, Reported, Told
from runs import SPACE, World, run_sequentially
from small_optimizers import LINE, Uniform, make


def test_a_config_and_a_state_cannot_be_changed() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    with pytest.raises(TypeError):
        trial.config["x"] = 0.5
    with pytest.raises(AttributeError):
        trial.steps = 3  # type: ignore[misc]  # the mistake under test
    with pytest.raises(AttributeError):
        optimizer.state.extinct = True  # type: ignore[misc]  # the mistake under test


def test_a_state_is_a_value_that_later_events_leave_alone() -> None:
    optimizer = make()
    seen = []
    while not optimizer.finished:
        (trial,) = optimizer.ask()
        optimizer.tell(trial.id, trial.config["x"])
        seen.append((optimizer.state, copy.deepcopy(optimizer.state)))
    for state, as_it_was in seen:
        assert state == as_it_was


def test_a_state_goes_on_in_its_own_space_alone() -> None:
    optimizer = make()
    optimizer.ask()
    resumed = Optimizer.from_state(optimizer.state, space=LINE)
    assert resumed.state is optimizer.state
    assert not resumed.events
    assert resumed.search is optimizer.search
    other = Space(x=Float(0, 1), y=Float(0, 2))
    with pytest.raises(ConfigError, match=r"from_state: the space must be the one that the state .*, got "):
        Optimizer.from_state(optimizer.state, space=other)


def test_a_state_goes_on_with_the_search_of_its_run_or_says_that_it_does_not_know_it() -> None:
    search = Search(Uniform(), history="none", known_configs=[{"x": 0.25, "y": 0.5}])
    optimizer = make(searcher=search)
    trials = optimizer.ask(2)
    resumed = Optimizer.from_state(optimizer.state)
    assert resumed.search == search
    assert resumed.ask(2) == optimizer.ask(2)
    data = codec.encode_state(optimizer.state)
    decoded = codec.decode_state(data, resolve_rule)
    assert decoded == optimizer.state
    with pytest.raises(
        ConfigError, match=r"from_state: the state does not say who proposes its configs.*give the search"
    ):
        Optimizer.from_state(decoded)
    again = Optimizer.from_state(decoded, search=search)
    for one in (again, optimizer):
        one.tell(trials[0], 0.5)
    assert again.ask(2) == optimizer.ask(2)
    other = Optimizer.from_state(optimizer.state, search=Search("random"))
    assert other.search == Search("random")


def test_a_run_of_named_searchers_goes_through_a_dict() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=4, searcher=Search("perturb", founders="random"), seed=3)
    run_sequentially(optimizer, World(), until=5)
    again = Optimizer.from_dict(optimizer.to_dict(), space=SPACE)
    assert again.state == optimizer.state
    assert again.to_dict() == optimizer.to_dict()
    with pytest.raises(ConfigError, match="from_state: the space must be the one that the state was made with"):
        Optimizer.from_dict(optimizer.to_dict(), space=LINE)


def test_a_searcher_without_a_name_cannot_be_written_down() -> None:
    with pytest.raises(
        ConfigError, match=r"to_dict: the searcher must have a name to be stored, got the object <.*Uni"
    ):
        make().to_dict()
    with pytest.raises(
        ConfigError, match=r"to_dict: the founders must have a name to be stored, got the object <.*Uni"
    ):
        make(searcher=Search("random", founders=Uniform())).to_dict()


@pytest.mark.parametrize("data", [{}, {"state": 3}, 3, {"state": {"version": 1}, "search": None}])
def test_data_that_to_dict_did_not_give_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Optimizer.from_dict(data)


def test_damaged_searchers_in_a_dict_are_refused() -> None:
    optimizer = Optimizer(SPACE, population=4, steps=4, preset="random")
    for search in ({"searcher": "random"}, {"searcher": {"name": "random"}}, {"what": 1}, {"searcher": {"options": 1}}):
        with pytest.raises(ConfigError, match="search: must be the data of a search, with searcher, founders"):
            Optimizer.from_dict(optimizer.to_dict() | {"search": search})


def test_a_replay_refuses_events_of_another_run() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.tell(trial.id, 0.5)
    with pytest.raises(ConfigError, match="'y'"):
        Optimizer.from_events(Space(x=Float(0, 1)), optimizer.events, steps=4, preset="random", population=6)
    with pytest.raises(ProtocolError, match=r"ask: the next trial must be Order.*, with any config, got Trial"):
        make(steps=3, reproduction=Independent()).replay(optimizer.events)
    with pytest.raises(ProtocolError, match="tell: trial 0 is unknown"):
        make().replay(list(optimizer.events)[1:])
    with pytest.raises(ProtocolError, match="ask: the next trial must be Order"):
        make().replay([optimizer.events[0], optimizer.events[0]])


def test_an_event_s_numbers_are_checked_where_it_happens() -> None:
    optimizer = make()
    optimizer.ask()
    state = optimizer.state
    wrong: list[tuple[Any, str]] = [
        (Told(trial_id=0, loss=math.nan), "tell: the loss of trial 0 must be finite, or None with a reason, got nan"),
        (Told(trial_id=0, loss=math.inf), "tell: the loss of trial 0 must be finite"),
        (
            Reported(trial_id=0, step=1, loss=math.nan),
            "report: the loss of trial 0 must be a number above -inf, or inf if there is none",
        ),
        (Reported(trial_id=0, step=1, loss=-math.inf), "report: the loss of trial 0 must be"),
        (Extended(generations=0), "extend: generations: must be a whole number of at least 1, got 0"),
    ]
    for event, message in wrong:
        with pytest.raises(ConfigError, match=message):
            optimizer.replay([event])
    assert optimizer.state is state


def test_a_trial_handed_out_again_must_be_the_one_that_was_given_back() -> None:
    optimizer = make()
    (trial,) = optimizer.ask()
    optimizer.requeue(trial.id)
    other = Asked(trial=type(trial)(id=0, parent=None, generation=0, depth=0, config=Config(), steps=2, start_step=0))
    with pytest.raises(ConfigError, match="x"):
        optimizer.replay([other])
    moved = {"x": 0.125, "y": 0.25}
    with pytest.raises(ProtocolError, match="which was given back, got Trial"):
        optimizer.replay([Asked(trial=type(trial)(**{**_fields(trial), "config": moved}))])


def _fields(trial: Any) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in ("id", "parent", "generation", "depth", "steps", "start_step")}


def test_an_optimizer_pickles() -> None:
    optimizer = make()
    run_sequentially(optimizer, World(), until=8)
    again = pickle.loads(pickle.dumps(optimizer))  # noqa: S301 - written on this line
    assert again.state == optimizer.state
    assert again.ask(2) == optimizer.ask(2)
