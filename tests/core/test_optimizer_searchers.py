"""An optimizer and its searcher: what it may propose, and what happens when it fails or calls back."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gpbt_core import (
    Categorical,
    Float,
    Optimizer,
    ProtocolError,
    Search,
    SearcherError,
    Space,
    Status,
)
from gpbt_core.searcher import Query
from gpbt_core.state import Told
from runs import World, run_sequentially
from small_optimizers import Uniform, make


class Strange:
    """Answers rightly up to a trial, then otherwise."""

    def __init__(self, answer: Callable[[Query], Any], since: int = 2) -> None:
        self.answer, self.since = answer, since

    def propose(self, query: Query, rng: np.random.Generator) -> Any:
        return query.space.sample(rng) if query.slot < self.since else self.answer(query)


def _raise(query: Query) -> Any:
    raise ZeroDivisionError(f"slot {query.slot}")


def test_founders_are_asked_for_the_first_slots_of_generation_0_alone() -> None:
    class Ends:
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:  # noqa: ARG002 - a searcher's
            return {"x": 1.0, "y": 1.0}

    optimizer = make(searcher=Search(Uniform(), founders=Ends(), number_of_founders=2))
    run_sequentially(optimizer, World(trouble=0))
    founded = [r.trial.id for r in optimizer.records if r.trial.config["x"] == 1.0 and r.trial.generation == 0]
    assert founded == [0, 1]
    assert all(r.trial.config["x"] != 1.0 or r.trial.parent in founded for r in list(optimizer.records)[2:])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_raise, "raised ZeroDivisionError: slot 2"),
        (lambda _: {"x": 2.0, "y": 0.5}, "proposed what is not a config of the space: .*x.*2.0"),
        (lambda _: {"x": 0.5}, "proposed what is not a config of the space: .*y"),
        (lambda _: {"x": 0.5, "y": 0.5, "z": 0.5}, "proposed what is not a config of the space: .*z"),
        (lambda _: {"x": math.nan, "y": 0.5}, "proposed what is not a config of the space: .*nan"),
        (lambda _: {"x": "0.5", "y": 0.5}, "proposed what is not a config of the space: .*'0.5'"),
        (lambda _: None, "proposed what is not a config of the space: .*None"),
    ],
)
def test_a_searcher_that_fails_is_named_and_nothing_is_asked(answer: Callable[[Query], Any], message: str) -> None:
    optimizer = make(searcher=Search(Strange(answer)))
    state, events = optimizer.state, optimizer.events
    with pytest.raises(
        SearcherError, match=r"test_optimizer_searchers\.Strange, asked for slot 2 of generation 0, " + message
    ):
        optimizer.ask(4)
    assert optimizer.state is state
    assert optimizer.events is events
    assert [trial.id for trial in optimizer.ask(2)] == [0, 1]


def test_a_result_told_while_a_searcher_proposes_is_kept_and_the_ask_is_refused() -> None:
    optimizer = make()
    (first,) = optimizer.ask()

    class CallsBack(Uniform):
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
            if optimizer.records[first.id].status is Status.RUNNING:
                optimizer.tell(first.id, 0.5)
            return super().propose(query, rng)

    optimizer = Optimizer.from_state(optimizer.state, search=Search(CallsBack()))
    with pytest.raises(ProtocolError, match="another call changed it while this one was computing"):
        optimizer.ask(2)
    assert optimizer.records[first.id].loss == 0.5
    assert [type(event) for event in optimizer.events] == [Told]
    assert [trial.id for trial in optimizer.ask(2)] == [1, 2]


def test_threads_never_get_the_same_trial_twice_and_lose_no_result() -> None:
    class Slow(Uniform):
        def propose(self, query: Query, rng: np.random.Generator) -> Mapping[str, Any]:
            time.sleep(0.0002)  # lets other threads run
            return super().propose(query, rng)

    optimizer = make(population=24, max_concurrent=24, searcher=Slow())
    given: list[int] = []
    told: list[int] = []

    def work() -> None:
        while not optimizer.finished:
            with contextlib.suppress(ProtocolError):
                for trial in optimizer.ask():
                    given.append(trial.id)
                    while True:
                        try:
                            optimizer.tell(trial.id, trial.config["x"])
                        except ProtocolError:
                            continue
                        told.append(trial.id)
                        break

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(given) == sorted(told) == list(range(len(optimizer.records)))
    assert all(record.status is Status.COMPLETED for record in optimizer.records)
    assert sum(type(event) is Told for event in optimizer.events) == len(given)


def test_a_searcher_s_numpy_scalars_do_not_leak_into_a_config() -> None:
    space = Space(x=Float(0, 1), kind=Categorical(["a", True]))
    proposed = {"x": np.float64(0.5), "kind": np.str_("a")}
    optimizer = Optimizer(space, steps=2, searcher=Search(Strange(lambda _: proposed, since=0)))
    (trial,) = optimizer.ask()
    assert {name: type(value) for name, value in trial.config.items()} == {"x": float, "kind": str}
