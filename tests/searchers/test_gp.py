"""The searcher `gp`: legal over arbitrary spaces, a pure function, and worth having."""

import concurrent.futures
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.errors import ConfigError
from gpbt_core.records import Record, Status, Trial
from gpbt_core.searcher import Family, Query, Searcher
from gpbt_core.space import Categorical, Config, Float, Int, Space, When
from gpbt_searchers.gp import GaussianProcess
from strategies import examples, spaces

BOX = Space(x=Float(0, 1), y=Float(0, 1))
NET = Space(
    lr=Float(1e-5, 1, log=True),
    layers=Int(1, 4),
    kind=Categorical(["sgd", "adam"]),
    momentum=When(Float(0, 0.99), {"kind": ["sgd"]}),
    beta=When(Float(0.5, 0.999), {"kind": ["adam"]}),
)


def trial(number: int, config: Mapping[str, Any], *, parent: int | None = None, generation: int = 0) -> Trial:
    return Trial(
        id=number,
        parent=parent,
        generation=generation,
        depth=generation,
        config=Config(config),
        steps=1,
        start_step=generation,
    )


def told(number: int, config: Mapping[str, Any], loss: float | None, **place: Any) -> Record:
    status = Status.FAILED if loss is None else Status.COMPLETED
    return Record(trial=trial(number, config, **place), status=status, loss=loss, steps=1)


def history(space: Space, losses: Sequence[float | None], seed: int = 0, generations: int = 1) -> tuple[Record, ...]:
    """Told records of random configs, their generations rising, each but the first generation with parent 0."""
    rng = np.random.default_rng(seed)
    found = []
    for k, loss in enumerate(losses):
        generation = k * generations // len(losses)
        found.append(told(k, space.sample(rng), loss, parent=0 if generation else None, generation=generation))
    return tuple(found)


def query(space: Space, records: Sequence[Record] = (), pending: Sequence[Trial] = (), **rest: Any) -> Query:
    family = Family(told=tuple(records), pending=tuple(pending))
    return Query(space=space, family=lambda: family, **rest)


def propose(asked: Query, seed: int = 0, searcher: Searcher | None = None) -> Mapping[str, Any]:
    return (searcher or GaussianProcess()).propose(asked, np.random.default_rng(seed))


def run(
    space: Space, loss: Callable[[Mapping[str, Any]], float | None], count: int, seed: int = 0
) -> tuple[Record, ...]:
    """A run of one generation, one trial at a time."""
    records: tuple[Record, ...] = ()
    for k in range(count):
        config = GaussianProcess().propose(query(space, records, slot=k), np.random.default_rng([seed, k]))
        records = (*records, told(k, config, loss(config)))
    return records


losses_strategy = st.lists(st.none() | st.floats(-1e308, 1e308) | st.sampled_from([0.0, 1.0]), max_size=17)


@examples(150)
@given(space=spaces(), losses=losses_strategy, pending=st.integers(0, 3), seed=st.integers(0, 9), data=st.data())
def test_every_proposal_is_a_config_of_the_space(
    space: Space, losses: list[float | None], pending: int, seed: int, data: st.DataObject
) -> None:
    generations = data.draw(st.sampled_from([1, 4]))
    records = history(space, losses, seed, generations)
    parent = data.draw(st.none() | st.sampled_from(records)) if records and generations > 1 else None
    generation = generations - 1
    rng = np.random.default_rng(seed)
    waiting = [trial(100 + k, space.sample(rng), parent=0, generation=generation) for k in range(pending)]
    asked = query(
        space, records, waiting, parent=parent, generation=generation, generations=generations, depth=generation
    )
    config = propose(asked, seed)
    assert type(config) is type(space.sample(rng))
    assert space.validate(config) == config


@pytest.mark.parametrize("generations", [1, 6])
def test_the_same_question_has_the_same_answer_whatever_was_asked_between(generations: int) -> None:
    records = history(NET, list(np.random.default_rng(1).random(23)), generations=generations)
    asked = query(NET, records, parent=records[3], generation=generations - 1, generations=generations)
    first = propose(asked)
    for count in range(23):
        propose(query(NET, records[:count], generations=generations), seed=count)
    assert propose(asked) == first


def test_a_longer_history_asked_first_changes_nothing() -> None:
    script = """
import numpy as np, test_gp
losses = list(np.random.default_rng(1).random(23))
records = test_gp.history(test_gp.NET, losses)
order = {order}
answers = {{n: dict(test_gp.propose(test_gp.query(test_gp.NET, records[:n]))) for n in order}}
print([answers[n] for n in sorted(order)])
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", script.format(order=order)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout
        for order in ([10, 12, 15, 23], [23, 15, 12, 10])
    ]
    assert found[0] == found[1]


def _in_a_process(asked: int) -> Mapping[str, Any]:
    return propose(query(NET, history(NET, list(np.random.default_rng(asked).random(12)))))


def _check_answers(method: str) -> None:
    expected = [_in_a_process(k) for k in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_in_a_process, range(4))) == expected
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as processes:
        assert list(processes.map(_in_a_process, range(4))) == expected


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_answers_alike_in_threads_and_processes(method: str) -> None:
    """In an interpreter of its own: what else this one has started may not survive a fork."""
    subprocess.run(
        [sys.executable, "-c", f"import test_gp; test_gp._check_answers({method!r})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=300,
    )


def test_it_is_a_frozen_value_that_pickles() -> None:
    searcher = GaussianProcess(candidates=50)
    again = pickle.loads(pickle.dumps(searcher))  # noqa: S301 - its own
    assert again == searcher
    records = history(NET, [3.0, 1.0, 2.0, 0.5] * 3)
    assert propose(query(NET, records), searcher=again) == propose(query(NET, records), searcher=searcher)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        searcher.candidates = 3  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "150"])
def test_a_count_of_candidates_that_is_none_is_refused(count: Any) -> None:
    with pytest.raises(ConfigError, match="gp: candidates: must be a whole number"):
        GaussianProcess(candidates=count)


def test_one_candidate_of_each_kind_is_enough_to_propose() -> None:
    records = history(NET, [3.0, 1.0, 2.0, 0.5] * 3, generations=3)
    for parent in (None, records[1]):
        config = propose(query(NET, records, parent=parent, generations=3), searcher=GaussianProcess(candidates=1))
        assert NET.validate(config) == config


def test_without_history_a_child_is_a_step_from_its_parent_and_a_founder_is_anywhere() -> None:
    parent = told(0, {"x": 0.5, "y": 0.5}, 1.0)
    near = [propose(query(BOX, parent=parent, generation=1, generations=3), seed) for seed in range(40)]
    far = [propose(query(BOX, generations=3), seed) for seed in range(40)]
    spread = [np.std([config["x"] for config in configs]) for configs in (near, far)]
    assert spread[0] < 0.7 * spread[1]
    assert all(config != parent.trial.config for config in near)


def test_it_finds_the_bottom_of_a_bowl() -> None:
    records = run(BOX, lambda c: (c["x"] - 0.3) ** 2 + (c["y"] - 0.8) ** 2, 25)
    losses = [record.loss for record in records if record.loss is not None]
    assert min(losses) < 1e-4
    assert min(losses[:8]) > 1e-3


def test_it_finds_the_better_category_and_what_depends_on_it() -> None:
    def loss(config: Mapping[str, Any]) -> float:
        if config["kind"] == "adam":
            return float(0.3 + (config["beta"] - 0.9) ** 2 + (config["layers"] - 2) ** 2)
        bowl = (config["momentum"] - 0.2) ** 2 + 0.2 * (config["layers"] - 3) ** 2
        return float(bowl + 0.1 * (np.log10(config["lr"]) + 2) ** 2)

    best = min(run(NET, loss, 45), key=lambda record: record.loss or 0.0)
    assert best.trial.config["kind"] == "sgd"
    assert best.trial.config["layers"] == 3
    assert best.loss is not None
    assert best.loss < 0.01


def test_it_keeps_away_from_where_trials_fail() -> None:
    records = run(BOX, lambda c: None if c["x"] > 0.5 else (c["x"] - 0.4) ** 2 + (c["y"] - 0.6) ** 2, 30)
    late = [record.status is Status.FAILED for record in records[12:]]
    assert sum(late) <= 6


def test_trials_that_failed_are_enough_to_go_elsewhere() -> None:
    rng = np.random.default_rng(0)
    records = [told(k, {"x": float(0.5 * rng.random()), "y": float(rng.random())}, None) for k in range(12)]
    right = [propose(query(BOX, records), seed)["x"] > 0.5 for seed in range(10)]
    assert sum(right) == 10


def test_a_stopped_trial_enters_with_its_last_loss() -> None:
    records = history(BOX, list(np.random.default_rng(2).random(12)))
    stopped = tuple(attrs.evolve(record, status=Status.STOPPED) for record in records)
    assert propose(query(BOX, stopped)) == propose(query(BOX, records))


@pytest.mark.parametrize("losses", [[1.0] * 12, [None] * 12, [1.0, None] * 6])
def test_losses_that_tell_nothing_make_it_spread_out(losses: list[float | None]) -> None:
    records = history(BOX, losses)
    config = propose(query(BOX, records))
    distances = [max(abs(config[name] - record.trial.config[name]) for name in "xy") for record in records]
    assert min(distances) > 0.1


def test_pending_siblings_are_kept_away_from() -> None:
    records = history(BOX, list(np.random.default_rng(3).random(12)))
    alone = propose(query(BOX, records))
    beside = propose(query(BOX, records, [trial(100, alone)]))
    assert max(abs(beside[name] - alone[name]) for name in "xy") > 0.01


LATTICE = Space(a=Int(1, 3), b=Categorical(["u", "v"]), c=Float(0, 1, step=0.5))


def test_a_discrete_space_is_tried_out_before_anything_is_repeated() -> None:
    records = run(LATTICE, lambda c: c["a"] + (c["b"] == "u") + c["c"], 18)
    assert len({tuple(record.trial.config.items()) for record in records}) == 18
    assert LATTICE.validate(propose(query(LATTICE, records))) in [record.trial.config for record in records]


def test_a_child_repeats_no_sibling_and_may_repeat_what_other_weights_had() -> None:
    only = Space(a=Int(1, 2))
    parent = told(0, {"a": 1}, 1.0)
    elders = [parent, told(1, {"a": 2}, 0.0), told(2, {"a": 1}, 1.0, parent=None), told(3, {"a": 2}, 0.1)]
    sibling = told(4, {"a": 2}, 0.0, parent=0, generation=1)
    place: Any = {"parent": parent, "generation": 1, "generations": 2}
    for seed in range(10):
        assert propose(query(only, elders, **place), seed)["a"] in (1, 2)
        assert propose(query(only, [*elders, sibling], **place), seed)["a"] == 1
        assert propose(query(only, elders, [sibling.trial], **place), seed)["a"] == 1


def test_fifty_hyperparameters_and_two_thousand_records_are_no_trouble() -> None:
    wide = Space({f"x{k}": Float(0, 1) for k in range(50)})
    records = history(wide, list(np.random.default_rng(5).random(2000)), generations=6)
    config = propose(query(wide, records, parent=records[7], generation=5, generations=6))
    assert wide.validate(config) == config


def test_the_family_history_is_asked_for_once_and_left_as_it_was() -> None:
    records = history(NET, [2.0, 1.0, None, 4.0, 0.5, 3.0])
    before = pickle.dumps(records)
    calls = []

    def family() -> Family:
        calls.append(1)
        return Family(told=records)

    propose(Query(space=NET, family=family, generations=2))
    assert len(calls) == 1
    assert pickle.dumps(records) == before


FROZEN_LOSSES = [None if k == 4 else float(np.sin(7 * k)) + 0.1 * k % 3 for k in range(23)]


def frozen_queries() -> dict[str, Query]:
    """Questions whose answers are on record: a change of the algorithm has to be meant."""
    lines = history(NET, FROZEN_LOSSES, generations=4)
    return {
        "plain": query(NET, history(NET, FROZEN_LOSSES)),
        "lineage": query(NET, lines, [lines[-1].trial], parent=lines[3], generation=3, generations=4),
        "founder": query(NET, lines[:6], generations=4),
    }


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("plain", {"lr": 0.026906026364103608, "layers": 2, "kind": "sgd", "momentum": 0.41969907377630006}),
        ("lineage", {"lr": 0.00025169624029615367, "layers": 4, "kind": "sgd", "momentum": 0.40847653501239123}),
        ("founder", {"lr": 0.05382212620902114, "layers": 3, "kind": "sgd", "momentum": 0.010242412042198551}),
    ],
)
def test_it_proposes_what_it_proposed_before(name: str, recorded: dict[str, Any]) -> None:
    config = propose(frozen_queries()[name])
    assert list(config) == list(recorded)
    np.testing.assert_allclose(NET.encode([config]), NET.encode([NET.validate(recorded)]), atol=1e-4)
