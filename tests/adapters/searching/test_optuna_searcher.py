"""Optuna's samplers as searchers."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gpbt_core.registry
from gpbt_core import Optimizer
from gpbt_core.errors import ConfigError, PluginError
from gpbt_core.searcher import Query
from gpbt_core.space import Categorical, Float, Int, Space, When
from gpbt_core.testing import check_searcher, example_spaces
from searchers.family import ask, queries, query_of
from strategies import examples, spaces

optuna = pytest.importorskip("optuna")
from gpbt_adapters.searching.optuna import OptunaSearcher  # noqa: E402 - after the library that it needs
from gpbt_adapters.searching.optuna.distributions import dimensions  # noqa: E402 - likewise
from gpbt_adapters.searching.spaces import from_optuna  # noqa: E402 - likewise

LINE = Space(x=Float(0, 1), y=Float(0, 1))
GOOD_LEFT = [({"x": x, "y": (7 * x) % 1}, abs(x - 0.2)) for x in np.linspace(0, 1, 21).tolist()]


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small matrices: more threads only get into each other's way
    yield
    torch.set_num_threads(before)


def built(name: str, **options: Any) -> Any:
    return gpbt_core.registry.registry().searcher(name, options)


@pytest.mark.parametrize(
    ("name", "options", "learns"),
    [
        ("optuna:TPESampler", {"multivariate": True, "group": True, "n_startup_trials": 5}, True),
        ("optuna:NSGAIISampler", {"population_size": 8}, True),
        ("optuna:NSGAIIISampler", {"population_size": 8}, True),
        ("optuna:RandomSampler", {}, False),
        ("optuna:BruteForceSampler", {}, False),
    ],
)
def test_a_sampler_is_a_searcher(name: str, options: dict[str, Any], learns: bool) -> None:
    spaces = None if name == "optuna:TPESampler" else example_spaces()[2:5]  # how spaces are mapped is common to all
    check_searcher(built(name, **options), spaces=spaces, learns=learns)


@pytest.mark.usefixtures("one_thread")
def test_the_gp_sampler_is_a_searcher() -> None:
    searcher = built("optuna:GPSampler")
    check_searcher(searcher, spaces=[Space(only=Float(2, 2), kind=Categorical(["a", None]))])
    good_right = [({**config, "x": 1 - config["x"]}, loss) for config, loss in GOOD_LEFT]
    left, right = (ask(searcher, query_of(LINE, told), 3) for told in (GOOD_LEFT, good_right))
    assert max(config["x"] for config in left) < min(config["x"] for config in right)


def test_an_instance_is_a_searcher_whose_seed_and_memory_play_no_part() -> None:
    query = query_of(LINE, GOOD_LEFT)
    answers = [
        ask(OptunaSearcher(optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)), query, 5) for seed in (0, 1)
    ]
    by_name = ask(built("optuna:TPESampler", n_startup_trials=5), query, 5)
    assert answers[0] == answers[1] == by_name
    assert len({config["x"] for config in by_name}) == 5


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_inside_a_sampler_is_seeded_too() -> None:
    searcher = OptunaSearcher(optuna.samplers.PartialFixedSampler({"y": 0.25}, optuna.samplers.RandomSampler()))
    first, second = (ask(searcher, query_of(LINE, GOOD_LEFT), 3) for _ in range(2))
    assert first == second
    assert {config["y"] for config in first} == {0.25}
    assert len({config["x"] for config in first}) == 3


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_fixed_values_are_those_of_the_space() -> None:
    space = Space(
        n=Float(0, 5, step=0.5),
        width=Int(10, 1000, log=True, step=7),
        far=Int(-(2**53), 2**53, step=2**14 + 1),
        near=Float(1, 1 + 1e-9),
        kind=Categorical([1, True, "a"]),
        x=Float(0, 1),
    )
    rng = np.random.default_rng(0)
    for _ in range(5):
        fixed = {name: value for name, value in space.sample(rng).items() if name != "x"}
        sampler = optuna.samplers.PartialFixedSampler(fixed, optuna.samplers.TPESampler(n_startup_trials=1))
        query = query_of(space, [(space.sample(rng), float(k)) for k in range(4)])
        for config in ask(OptunaSearcher(sampler), query, 2):
            assert {name: (type(config[name]), config[name]) for name in fixed} == {
                name: (type(value), value) for name, value in fixed.items()
            }


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"n": 0.3}, "parameter 'n' must be a float from 0.0 to 5.0 in steps of 0.5, got 0.3"),
        ({"kind": 1.0}, "parameter 'kind' must be one of"),
        ({"m": 1.0}, r"names must be among \['n', 'kind'\], got 'm'"),
    ],
)
def test_what_cannot_be_fixed_is_refused(fixed: dict[str, Any], message: str) -> None:
    space = Space(n=Float(0, 5, step=0.5), kind=Categorical([1, True]))
    sampler = optuna.samplers.PartialFixedSampler(fixed, optuna.samplers.RandomSampler())
    with pytest.raises(ConfigError, match="PartialFixedSampler: " + message):
        OptunaSearcher(sampler).propose(Query(space=space), np.random.default_rng(0))


@examples(40)
@given(query=queries(), seed=st.integers(0, 2**32 - 1))
def test_a_proposal_is_a_config_of_any_space_after_any_history(query: Query, seed: int) -> None:
    config = built("optuna:TPESampler", n_startup_trials=3).propose(query, np.random.default_rng(seed))
    assert query.space.validate(config) == config


@examples(100)
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_values_go_to_optuna_and_come_back_as_they_were(space: Space, seed: int) -> None:
    for name, value in space.sample(np.random.default_rng(seed)).items():
        dimension = dimensions(space)[name]
        there = dimension.to_optuna(value)
        assert dimension.distribution._contains(dimension.distribution.to_internal_repr(there))
        back = dimension.from_optuna(there)
        assert (type(back), back) == (type(value), value)


@examples(60)
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_whatever_optuna_may_draw_is_a_value_of_the_space(space: Space, seed: int) -> None:
    config = built("optuna:RandomSampler").propose(Query(space=space), np.random.default_rng(seed))
    assert list(space.validate(config)) == list(config)


def test_whole_numbers_farther_apart_than_floats_can_tell_are_learnt_from() -> None:
    space = Space(far=Int(-(2**53), 2**53, step=2**14 + 1))
    rng = np.random.default_rng(0)
    told = [(config, float(abs(config["far"] - 7 * 10**15))) for config in (space.sample(rng) for _ in range(30))]
    found = [config["far"] for config in ask(built("optuna:TPESampler"), query_of(space, told), 10)]
    assert np.median(found) > 4 * 10**15


def test_a_space_and_its_distributions_say_the_same() -> None:
    space = Space(rate=Float(1e-4, 1, log=True), n=Int(1, 7, step=2), kind=Categorical(["a", None, 2]))
    described = {name: dimension.distribution for name, dimension in dimensions(space).items()}
    assert from_optuna(described) == space


def test_a_momentum_is_searched_on_the_scale_1_minus_x() -> None:
    space = Space(momentum=Float(0, 0.9999, log="1-x"), beta=Float(0, 0.99, step=0.01, log="1-x"))
    found = ask(built("optuna:RandomSampler"), Query(space=space), 200)
    assert 0.4 < np.mean([config["momentum"] > 0.99 for config in found]) < 0.6
    assert 0.35 < np.mean([config["beta"] > 0.9 for config in found]) < 0.65


def test_a_logarithmic_lattice_is_searched_on_the_log_scale() -> None:
    space = Space(width=Int(10, 10_000, log=True, step=10))
    widths = [config["width"] for config in ask(built("optuna:RandomSampler"), Query(space=space), 200)]
    assert 0.2 < np.mean([width < 100 for width in widths]) < 0.5


def test_stopped_trials_count_with_their_loss_and_failed_and_pending_ones_without() -> None:
    seen: list[Any] = []

    class Spy(optuna.samplers.BaseSampler):  # type: ignore[misc, name-defined]  # importorskip gives Any
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            seen.extend((t.state.name, t.values, t.params) for t in study.get_trials() if t.number != trial.number)
            return {}

        def sample_relative(self, *_: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, *_: Any) -> float:
            return 0.5

    space = Space(x=Float(0, 1))
    query = query_of(space, [({"x": 0.1}, 3.0), ({"x": 0.2}, None)], pending=[{"x": 0.3}])
    assert OptunaSearcher(Spy()).propose(query, np.random.default_rng(0)) == {"x": 0.5}
    assert seen == [("COMPLETE", [3.0], {"x": 0.1}), ("FAIL", None, {"x": 0.2}), ("RUNNING", None, {"x": 0.3})]


def test_only_what_is_active_is_asked_for_even_where_the_control_comes_last() -> None:
    space = Space({"momentum": When(Float(0, 1), {"kind": ["sgd"]}), "kind": Categorical(["sgd", "adam"])})
    configs = ask(built("optuna:TPESampler"), Query(space=space), 20)
    assert {tuple(config) for config in configs} == {("momentum", "kind"), ("kind",)}


@pytest.mark.parametrize(
    ("name", "instead"),
    [("CmaEsSampler", "'cmaes'"), ("QMCSampler", "'sobol'"), ("GridSampler", "'sobol'")],
)
def test_a_sampler_that_lives_on_its_memory_is_refused_with_what_to_use_instead(name: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=instead):
        built(f"optuna:{name}")


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_refused_sampler_is_found_inside_another() -> None:
    inner = optuna.samplers.QMCSampler()
    with pytest.raises(ConfigError, match="QMCSampler cannot be used"):
        OptunaSearcher(optuna.samplers.PartialFixedSampler({"x": 0.5}, inner))


@pytest.mark.filterwarnings("ignore:.*constraints_func", "ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["TPESampler", "GPSampler", "NSGAIISampler", "NSGAIIISampler"])
def test_a_sampler_with_constraints_is_refused_with_what_to_do_instead(name: str) -> None:
    constrained = getattr(optuna.samplers, name)(constraints_func=lambda trial: (trial.params["x"] - 0.2,))
    for sampler in (constrained, optuna.samplers.PartialFixedSampler({"x": 0.5}, constrained)):
        with pytest.raises(ConfigError, match=rf"{name} with a constraints_func, .* Optimizer\.fail"):
            OptunaSearcher(sampler)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("optuna", {}, "behind a colon"),
        ("optuna:TPESampel", {}, "did you mean 'TPESampler'"),
        ("optuna:BaseSampler", {}, "is no sampler"),
        ("optuna:TPESampler", {"seed": 3}, "seed must be left out"),
        ("optuna:TPESampler", {"depth": 3}, "the options must be those of its constructor"),
        ("optuna:NSGAIISampler", {"population_size": 1}, "the options must be those of its constructor"),
    ],
)
def test_what_cannot_be_built_says_why(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(name, **options)


def test_what_is_no_sampler_is_refused() -> None:
    wrong: Any = optuna.samplers.TPESampler
    with pytest.raises(ConfigError, match="sampler must be an instance"):
        OptunaSearcher(wrong)


def test_brute_force_refuses_what_has_no_end() -> None:
    with pytest.raises(ConfigError, match="give it a step"):
        built("optuna:BruteForceSampler").propose(Query(space=LINE), np.random.default_rng(0))


def test_a_missing_pytorch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(PluginError, match=r"gpbt\[torch\]"):
        built("optuna:GPSampler")


def test_optuna_is_silent_within_and_as_loud_as_before_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.enable_propagation()
    try:
        optuna.logging.set_verbosity(logging.INFO)
        with caplog.at_level(logging.INFO):
            searcher = built("optuna:TPESampler")
            threads = [threading.Thread(target=ask, args=(searcher, query_of(LINE, GOOD_LEFT), 5)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not caplog.records
        assert optuna.logging.get_verbosity() == logging.INFO
    finally:
        optuna.logging.disable_propagation()
        optuna.logging.set_verbosity(before)


def test_a_run_with_it_is_written_down_and_opened_again() -> None:
    from gpbt_core import Optimizer

    def played(optimizer: Optimizer) -> Optimizer:
        while not optimizer.finished:
            for trial in optimizer.ask():
                optimizer.tell(trial.id, (trial.config["x"] - 0.3) ** 2)
        return optimizer

    made = Optimizer(LINE, population=6, steps=3, searcher=("optuna:TPESampler", {"n_startup_trials": 3}), seed=2)
    again = Optimizer.from_dict(made.to_dict())
    assert played(again).records == played(made).records


def test_a_bare_sampler_is_answered_with_the_spellings_that_work() -> None:
    sampler = optuna.samplers.TPESampler(n_startup_trials=2)
    wrong: Any = sampler
    with pytest.raises(ConfigError) as refused:
        Optimizer(LINE, population=4, steps=2, searcher=wrong)
    named, wrapped = '"optuna:TPESampler"', "gpbt.optuna.OptunaSearcher(sampler)"
    assert named in str(refused.value)
    assert wrapped in str(refused.value)
    for searcher in (named.strip('"'), OptunaSearcher(sampler)):
        assert Optimizer(LINE, population=4, steps=2, searcher=searcher).ask()
