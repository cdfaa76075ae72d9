"""What a run comes to depends on its seed, its settings and its scores; not on the workers, nor on interruptions."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core import Optimizer, Search, Trial, codec
from gpbt_core.registry import resolve_rule
from gpbt_core.searcher import Query
from runs import SPACE, Curious, World, run_interleaved, run_sequentially, setups, summary
from strategies import examples

worlds = st.builds(
    World, trouble=st.sampled_from([0.0, 0.1, 0.4]), reports=st.sampled_from([0.0, 0.5, 1.0]), ties=st.booleans()
)

orders = st.integers(0, 1 << 20).map(random.Random)  # plain seeds: what they lead to is too long to shrink


def _optimizer(setup: dict[str, Any]) -> Optimizer:
    return Optimizer(SPACE, **setup)


@examples(300)
@given(setups(), worlds, st.integers(1, 12), orders)
def test_a_run_does_not_depend_on_its_workers(
    setup: dict[str, Any], world: World, workers: int, order: random.Random
) -> None:
    alone = _optimizer(setup)
    run_sequentially(alone, world)
    crowd = run_interleaved(_optimizer(setup), world, order.randrange, workers=workers)
    assert summary(crowd) == summary(alone)


@examples(60)
@given(setups(), worlds, st.integers(1, 12), orders, st.sampled_from([1, 3]))
def test_an_extended_run_does_not_depend_on_its_workers(
    setup: dict[str, Any], world: World, workers: int, order: random.Random, more: int
) -> None:
    alone, crowd = _optimizer(setup), _optimizer(setup)
    run_sequentially(alone, world)
    crowd = run_interleaved(crowd, world, order.randrange, workers=workers)
    if not alone.extinct:
        alone.extend(more)
        crowd.extend(more)
        assert not alone.finished
    run_sequentially(alone, world)
    crowd = run_interleaved(crowd, world, order.randrange, workers=workers)
    assert summary(crowd) == summary(alone)


@examples(60)
@given(setups(), worlds, st.integers(0, 20), st.integers(2, 7))
def test_asking_for_many_is_asking_for_one_many_times(
    setup: dict[str, Any], world: World, told: int, count: int
) -> None:
    many, single = _optimizer(setup), _optimizer(setup)
    for optimizer in (many, single):
        run_sequentially(optimizer, world, until=told)
    asked = many.ask(count)
    again: list[Trial] = []
    for _ in range(count):
        again += single.ask()
    assert list(asked) == again
    assert many.state == single.state
    assert list(many.events) == list(single.events)


def _through_state(optimizer: Optimizer, setup: dict[str, Any]) -> Optimizer:  # noqa: ARG001 - its state knows
    return Optimizer.from_state(optimizer.state, space=SPACE)


def _through_json(optimizer: Optimizer, setup: dict[str, Any]) -> Optimizer:
    data = json.loads(json.dumps(codec.encode_state(optimizer.state), allow_nan=False))
    state = codec.decode_state(data, resolve_rule)
    assert state == optimizer.state
    return Optimizer.from_state(state, search=setup["searcher"])


@pytest.mark.parametrize("resumed", [_through_state, _through_json])
@examples(60)
@given(setups(), worlds, st.integers(1, 12), orders)
def test_a_run_resumed_from_its_state_goes_on_as_if_nothing_had_been(
    resumed: Any, setup: dict[str, Any], world: World, workers: int, order: random.Random
) -> None:
    whole = _optimizer(setup)
    run_sequentially(whole, world)

    def on_turn(optimizer: Optimizer) -> Optimizer:
        again: Optimizer = resumed(optimizer, setup) if order.random() < 0.1 else optimizer
        return again

    crowd = run_interleaved(_optimizer(setup), world, order.randrange, workers=workers, on_turn=on_turn)
    assert summary(crowd) == summary(whole)


@examples(100)
@given(setups(quorum=None), worlds, st.integers(1, 12), orders)
def test_a_run_resumed_from_its_events_goes_on_as_if_nothing_had_been(
    setup: dict[str, Any], world: World, workers: int, order: random.Random
) -> None:
    whole = run_interleaved(_optimizer(setup), world, order.randrange, workers=workers)
    events = list(whole.events)
    lines = [json.dumps(codec.encode_event(event), allow_nan=False) for event in events]
    assert [codec.decode_event(json.loads(line)) for line in lines] == events
    cut = order.randrange(len(events) + 1)
    again = Optimizer.from_events(SPACE, events[:cut], **{**setup, "searcher": _Silent()})
    again.replay(events[cut:])
    assert again.state == whole.state
    assert list(again.events) == events
    assert set(again.released()) == set(whole.state.released)


class _Silent:
    def propose(self, query: Query, rng: Any) -> Any:  # noqa: ARG002 - a searcher's signature
        raise AssertionError("a replay asks no searcher")


@pytest.mark.parametrize(
    ("searcher", "population", "steps", "count"), [("random", 7, 8, 20), ("tpe", 7, 8, 15), ("gp", 5, 6, 3)]
)
def test_a_run_of_a_real_searcher_does_not_depend_on_its_workers(
    searcher: str, population: int, steps: int, count: int
) -> None:
    world = World(trouble=0.1)

    @examples(count)
    @given(st.integers(0, 9), st.integers(1, 6), st.integers(1, 8), orders)
    def check(seed: int, max_concurrent: int, workers: int, order: random.Random) -> None:
        def make() -> Optimizer:
            given = {"population": population, "steps": steps, "seed": seed, "max_concurrent": max_concurrent}
            return Optimizer(SPACE, searcher=searcher, **given)  # type: ignore[arg-type]  # all are whole numbers

        alone = make()
        run_sequentially(alone, world)

        def on_turn(optimizer: Optimizer) -> Optimizer:
            if order.random() < 0.05:
                return Optimizer.from_dict(json.loads(json.dumps(optimizer.to_dict(), allow_nan=False)))
            return optimizer

        crowd = run_interleaved(make(), world, order.randrange, workers=workers, on_turn=on_turn)
        assert summary(crowd) == summary(alone)

    check()


def test_another_seed_or_another_number_of_slots_at_once_is_another_run() -> None:
    def configs(**setup: int) -> list[Any]:
        optimizer = Optimizer(SPACE, population=6, steps=3, searcher=Search(Curious()), **setup)  # type: ignore[arg-type]  # all are whole numbers
        run_sequentially(optimizer, World(trouble=0))
        return [record.trial.config for record in optimizer.records]

    assert configs(seed=1) == configs(seed=1)
    assert configs(seed=1) != configs(seed=2)
    assert configs(seed=1, max_concurrent=1) != configs(seed=1, max_concurrent=4)
