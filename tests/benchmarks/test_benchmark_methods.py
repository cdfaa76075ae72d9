"""Every method spends no more than the budget, repeats itself under a seed, and speaks the space's language."""

import contextlib
import functools
import random
from pathlib import Path

import attrs
import numpy as np
import pytest
from counting import Counting

from benchmarks.ledger import BudgetSpent, Ledger
from benchmarks.method import MethodUnavailable
from benchmarks.methods import METHODS, subprocesses
from benchmarks.methods.subprocesses import interpreter, is_available
from benchmarks.methods.support import active, library
from benchmarks.problem import Options
from benchmarks.problems import PROBLEMS
from benchmarks.randomness import global_randomness
from gpbt_core import Categorical, Float, Int, Space, When

MODULES = {"ray": "ray.tune", "cmaes": "cmaes", "optuna": "optuna", "hyperopt": "hyperopt"}
CONSTANT = {"random", "cmaes", "optuna-tpe", "optuna-tpe-hyperband", "optuna-tpe-median", "optuna-gp", "hyperopt-tpe"}
CONSTANT |= {"gp-constant", "tpe-constant", "syne-tune-asha", "syne-tune-bohb", "dehb", "hebo"}


def spend(name: str, problem_name: str = "digits-mlp-mixed", seed: int = 0) -> Ledger:
    problem = PROBLEMS[problem_name].build(Options(smoke=True))
    slow = name.startswith("ray-pb2") or name == "greedy-optuna-gp"  # up to a second for each proposal
    ledger = Ledger(problem, models=4 if slow else problem.models, steps=3 if slow else problem.steps, seed=seed)
    with contextlib.suppress(BudgetSpent):
        METHODS[name].run(ledger)
    return ledger


spent = functools.cache(spend)  # for tests that only look


@pytest.fixture(params=list(METHODS))
def name(request: pytest.FixtureRequest) -> str:
    for package in METHODS[request.param].packages:
        pytest.importorskip(MODULES.get(package, package), exc_type=ImportError)
    if (other := METHODS[request.param].settings.get("library")) and not is_available(other):
        pytest.skip(f"no {other} in {interpreter(other)}")
    return str(request.param)


def test_a_method_spends_its_budget_and_repeats_itself(name: str) -> None:
    first, again = spent(name), spend(name)
    assert first.used <= first.budget
    assert first.used >= first.budget - first.steps
    assert [(entry.config, entry.parent, entry.scores) for entry in first.entries] == [
        (entry.config, entry.parent, entry.scores) for entry in again.entries
    ]


def test_another_seed_tries_other_configs(name: str) -> None:
    configs = [[entry.config for entry in ledger.entries] for ledger in (spent(name), spend(name, seed=1))]
    assert configs[0] != configs[1]


def test_methods_with_constant_hps_copy_no_model(name: str) -> None:
    ledger = spent(name)
    assert all(entry.parent is None for entry in ledger.entries) == (name in CONSTANT)


@pytest.mark.parametrize("name", ["ray-pbt", "ray-pb2"])
def test_rays_population_trains_in_step_and_replaces_its_worst(name: str) -> None:
    pytest.importorskip("ray.tune", exc_type=ImportError)
    ledger = spend(name, "nqm")
    trained = [entry for entry in ledger.entries if entry.scores]
    assert len(trained) == ledger.models * ledger.steps  # an entry is a segment of one step
    last_step = [entry for entry in trained if entry.start == ledger.steps - 1]
    assert last_step
    assert all(entry.start == ledger.entries[entry.parent].start + 1 for entry in trained if entry.parent is not None)
    changed = [e for e in trained if e.parent is not None and e.config != ledger.entries[e.parent].config]
    kept = [e for e in trained if e.parent is not None and e.config == ledger.entries[e.parent].config]
    assert changed
    assert len(kept) > len(changed)  # a quarter is replaced each time


def test_rays_population_survives_models_that_diverge() -> None:
    pytest.importorskip("ray.tune", exc_type=ImportError)
    ledger = Ledger(Counting(limit=20.0), models=8, steps=6, seed=0)
    METHODS["ray-pbt"].run(ledger)
    assert any(np.isnan(entry.scores[-1]) for entry in ledger.entries if entry.scores)
    assert max(entry.start + len(entry.scores) for entry in ledger.entries) == 6


@pytest.mark.parametrize("name", ["gpbt", "random", "optuna-tpe", "optuna-tpe-hyperband", "hyperopt-tpe", "ray-pbt"])
def test_a_problem_on_which_everything_diverges_ends_all_the_same(name: str) -> None:
    for package in METHODS[name].packages:
        pytest.importorskip(MODULES.get(package, package), exc_type=ImportError)
    ledger = Ledger(Counting(limit=-1.0), models=4, steps=3, seed=0)
    with contextlib.suppress(BudgetSpent):
        METHODS[name].run(ledger)
    assert 0 < ledger.used <= ledger.budget


def test_a_missing_library_is_named_with_what_to_install() -> None:
    with pytest.raises(MethodUnavailable, match=r"no_such_module.*pip install 'no-such'"):
        library("no_such_module", install="no-such")


def test_inactive_values_are_left_out_of_a_config() -> None:
    space = Space(
        kind=Categorical(["a", "b"]),
        inner=When(Categorical(["x", "y"]), {"kind": ["a"]}),
        depth=When(Int(1, 3), {"inner": ["x"]}),
        rate=Float(0, 1),
    )
    values = {"kind": "b", "inner": "x", "depth": 2, "rate": 0.5}
    assert space.validate(active(space, values)) == {"kind": "b", "rate": 0.5}
    assert active(space, {**values, "kind": "a"}) == {**values, "kind": "a"}


def test_global_generators_are_given_back_as_they_were() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the one under test
    expected = random.random(), np.random.random()  # noqa: NPY002, S311 - as above
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - as above
    with global_randomness(5):
        inside = random.random(), np.random.random()  # noqa: NPY002, S311 - as above
    with global_randomness(5):
        assert (random.random(), np.random.random()) == inside  # noqa: NPY002, S311 - as above
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002, S311 - as above


SCRIPT = """
import json, sys
from link import Link
link = Link()
print("this is no answer")
if link.options.get("fails"):
    raise SystemExit("out of ideas")
while True:
    entry = link.begin({"rate": 3}) if link.seed else link.begin(point=[0.5])
    loss = link.train(entry, link.steps)
    assert loss == (float("inf") if link.parameters[0]["high"] > 10 else loss)
    if link.options.get("stops"):
        break
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "run_json.py").write_text(SCRIPT)
    (tmp_path / "link.py").write_bytes(subprocesses._SCRIPTS.joinpath("link.py").read_bytes())
    monkeypatch.setattr(subprocesses, "_SCRIPTS", tmp_path)


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize(("seed", "scores"), [(0, [5.0, 10.0, 15.0]), (1, [4.0, 7.0, 10.0])])
def test_a_script_elsewhere_trains_by_configs_or_points_until_the_budget_ends(seed: int, scores: list[float]) -> None:
    ledger = Ledger(Counting(), models=2, steps=3, seed=seed)
    with pytest.raises(BudgetSpent):
        subprocesses._method("", "json").run(ledger)
    assert [entry.scores for entry in ledger.entries if entry.scores] == [scores, scores]


@pytest.mark.usefixtures("script")
def test_a_script_elsewhere_may_stop_before_the_budget_ends() -> None:
    ledger = Ledger(Counting(), models=2, steps=3, seed=0)
    subprocesses._method("", "json", stops=True).run(ledger)
    assert ledger.used == 3


@pytest.mark.usefixtures("script")
def test_a_script_elsewhere_learns_of_divergence() -> None:
    ledger = Ledger(Counting(limit=1.0, space=Space(rate=Float(0, 20))), models=1, steps=3, seed=0)
    subprocesses._method("", "json", stops=True).run(ledger)
    assert ledger.used == 1


@pytest.mark.usefixtures("script")
def test_a_script_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)run_json.py: ended with status 1.*out of ideas"):
        subprocesses._method("", "json", fails=True).run(Ledger(Counting(), models=1, steps=3, seed=0))


def test_a_library_that_is_nowhere_is_asked_for() -> None:
    with pytest.raises(MethodUnavailable, match="BENCHMARKS_PYTHON_NOSUCHTHING"):
        subprocesses._method("", "nosuchthing").run(Ledger(Counting(), models=1, steps=3, seed=0))


def test_every_method_says_what_it_is() -> None:
    assert all(method.summary and attrs.has(type(method)) for method in METHODS.values())
