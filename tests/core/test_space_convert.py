"""Other libraries' spaces: read exactly, or refused."""

import time
from collections.abc import Callable
from typing import Any

import ConfigSpace
import numpy as np
import pytest
from scipy import stats

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Space, When

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402 - it may be missing


def test_optuna_distributions_are_read() -> None:
    space = Space.from_optuna(
        {
            "x": FloatDistribution(0, 1),
            "lr": FloatDistribution(1e-5, 1, log=True),
            "drop": FloatDistribution(0, 0.9, step=0.1),
            "n": IntDistribution(1, 9, step=2),
            "units": IntDistribution(16, 256, log=True),
            "act": CategoricalDistribution(["relu", None, 3, 1.5, True]),
        }
    )
    assert space == Space(
        x=Float(0, 1),
        lr=Float(1e-5, 1, log=True),
        drop=Float(0, 0.9, step=0.1),
        n=Int(1, 9, step=2),
        units=Int(16, 256, log=True),
        act=Categorical(["relu", None, 3, 1.5, True]),
    )


@pytest.mark.parametrize("log", [False, True])
def test_optunas_integers_keep_their_odds(log: bool) -> None:
    distribution = IntDistribution(1, 6, log=log)
    space = Space.from_optuna({"n": distribution})
    u = (np.arange(6000) + 0.5) / 6000
    ours = np.bincount([config["n"] for config in space.decode_all(u.reshape(-1, 1))], minlength=7)[1:] / len(u)
    optuna.logging.disable_default_handler()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    theirs = [study.ask({"n": distribution}).params["n"] for _ in range(3000)]
    np.testing.assert_allclose(ours, np.bincount(theirs, minlength=7)[1:] / 3000, atol=0.03)


def test_distributions_and_lists_of_a_randomized_search_are_read() -> None:
    space = Space.from_scipy(
        {
            "a": stats.uniform(0.5, 1.5),
            "b": stats.uniform(loc=-1, scale=2),
            "c": stats.loguniform(1e-4, 1e-1),
            "d": stats.reciprocal(1, 100, scale=2),
            "e": stats.randint(1, 5),
            "f": stats.randint(low=0, high=3, loc=10),
            "g": ["relu", "tanh"],
            "h": np.array([0.1, 0.5]),
            "i": (None, True),
            "j": range(3),
        }
    )
    assert space == Space(
        a=Float(0.5, 2.0),
        b=Float(-1, 1),
        c=Float(1e-4, 1e-1, log=True),
        d=Float(2, 200, log=True),
        e=Int(1, 4),
        f=Int(10, 12),
        g=Categorical(["relu", "tanh"]),
        h=Categorical([0.1, 0.5]),
        i=Categorical([None, True]),
        j=Categorical([0, 1, 2]),
    )


def test_hyperparameters_of_a_configspace_are_read() -> None:
    source = ConfigSpace.ConfigurationSpace()
    source.add(
        ConfigSpace.CategoricalHyperparameter("act", ["relu", "tanh"], weights=[2, 2]),
        ConfigSpace.UniformFloatHyperparameter("lr", 1e-5, 1.0, log=True),
        ConfigSpace.UniformIntegerHyperparameter("n", 1, 10),
        ConfigSpace.Constant("batch", 32),
        ConfigSpace.OrdinalHyperparameter("size", ["s", "m", "l"]),
    )
    source.add_configuration_space("sub", ConfigSpace.ConfigurationSpace({"x": (0.0, 1.0)}))
    assert dict(Space.from_configspace(source).parameters) == {
        "act": Categorical(["relu", "tanh"]),
        "lr": Float(1e-5, 1, log=True),
        "n": Int(1, 10),
        "batch": Categorical([32]),
        "size": Categorical(["s", "m", "l"]),
        "sub:x": Float(0, 1),
    }


def configspace_with_conditions() -> Any:
    source = ConfigSpace.ConfigurationSpace(
        {"k": ["a", "b", "c"], "n": (1, 5), **dict.fromkeys("pqrstuv", (0.0, 1.0))},
        seed=0,
    )
    source.add(ConfigSpace.OrdinalHyperparameter("size", ["xs", "s", "m", "l"]))
    k, n, size = source["k"], source["n"], source["size"]
    source.add(
        ConfigSpace.EqualsCondition(source["p"], k, "b"),
        ConfigSpace.InCondition(source["q"], k, ["a", "c"]),
        ConfigSpace.NotEqualsCondition(source["r"], k, "a"),
        ConfigSpace.GreaterThanCondition(source["s"], size, "s"),
        ConfigSpace.AndConjunction(
            ConfigSpace.LessThanCondition(source["t"], n, 4), ConfigSpace.InCondition(source["t"], n, [2, 3, 4])
        ),
        ConfigSpace.OrConjunction(
            ConfigSpace.EqualsCondition(source["u"], n, 1), ConfigSpace.EqualsCondition(source["u"], n, 5)
        ),
        ConfigSpace.AndConjunction(
            ConfigSpace.EqualsCondition(source["v"], k, "a"), ConfigSpace.EqualsCondition(source["v"], size, "m")
        ),
    )
    return source


def test_conditions_of_a_configspace_are_read() -> None:
    assert Space.from_configspace(configspace_with_conditions()).conditions == {
        "p": (("k", ("b",)),),
        "q": (("k", ("a", "c")),),
        "r": (("k", ("b", "c")),),
        "s": (("size", ("m", "l")),),
        "t": (("n", (2, 3)),),
        "u": (("n", (1, 5)),),
        "v": (("k", ("a",)), ("size", ("m",))),
    }


def test_conditions_on_many_values_are_read_at_once() -> None:
    source = ConfigSpace.ConfigurationSpace({"n": (0, 2**16 - 1), "x": (0.0, 1.0)})
    n, x = source["n"], source["x"]
    source.add(
        ConfigSpace.AndConjunction(
            ConfigSpace.GreaterThanCondition(x, n, 5), ConfigSpace.LessThanCondition(x, n, 60_000)
        )
    )
    start = time.process_time()
    space = Space.from_configspace(source)
    assert time.process_time() - start < 5  # it was a minute when each value was looked for among all
    assert space.conditions == {"x": (("n", tuple(range(6, 60_000))),)}


def test_configs_of_a_configspace_are_configs_of_the_space() -> None:
    source = configspace_with_conditions()
    space = Space.from_configspace(source)
    for config in source.sample_configuration(200):
        space.validate(dict(config))
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = {name: str(value) if name in ("k", "size") else value for name, value in space.sample(rng).items()}
        ConfigSpace.Configuration(source, values=values)  # raises where it is none


ANY_SPACE: Any = Space  # for what a type checker would refuse before we do

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: ANY_SPACE.from_optuna([1]), "Space.from_optuna: wanted a dict by name, got"),
    (
        lambda: Space.from_optuna({"x": stats.uniform()}),
        "Space.from_optuna, parameter 'x': wanted a FloatDistribution, an IntDistribution or a CategoricalDistribution",
    ),
    (lambda: Space.from_optuna({}), "wanted at least one parameter"),
    (lambda: ANY_SPACE.from_scipy([{"x": [1]}]), "Space.from_scipy: wanted a dict by name"),
    (
        lambda: Space.from_scipy({"x": stats.norm(0, 1)}),
        r"Space.from_scipy, parameter 'x': wanted a list .* loguniform \(reciprocal\) or randint .* got 'norm'",
    ),
    (lambda: Space.from_scipy({"x": stats.uniform}), "wanted a list of choices, or a frozen uniform"),
    (lambda: Space.from_scipy({"x": "abc"}), "wanted a list of choices, or a frozen uniform"),
    (lambda: Space.from_scipy({"x": {"a": 1}}), "wanted a list of choices"),
    (lambda: Space.from_scipy({"x": stats.loguniform(1, 10, loc=3)}), "wanted a loguniform without loc, got loc=3"),
    (lambda: Space.from_scipy({"x": stats.loguniform(1, 10, 3)}), "wanted a loguniform without loc, got loc=3"),
    (lambda: Space.from_scipy({"x": stats.uniform(0, -1)}), "parameter 'x': .*wanted low to be finite, got nan"),
    (lambda: Space.from_scipy({"x": stats.randint(5, 1)}), "parameter 'x': .*wanted low to be a whole number"),
    (lambda: Space.from_scipy({"x": stats.uniform([0, 1], 1)}), "parameter 'x': .*wanted low to be a number"),
    (lambda: Space.from_scipy({"x": [(1,), (2,)]}), "parameter 'x': Categorical: wanted choices of type"),
    (lambda: Space.from_scipy({"x": []}), "parameter 'x': Categorical: wanted at least one choice"),
    (lambda: Space.from_configspace({"x": (0, 1)}), "Space.from_configspace: wanted a ConfigSpace.ConfigurationSpace"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_has_no_counterpart_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda _: ConfigSpace.NormalFloatHyperparameter("z", 0, 1, lower=-1, upper=1),
            "parameter 'z': wanted a uniform, categorical, ordinal or constant hyperparameter",
        ),
        (
            lambda _: ConfigSpace.CategoricalHyperparameter("z", ["a", "b"], weights=[1, 3]),
            "parameter 'z': wanted choices of equal weight",
        ),
        (
            lambda source: ConfigSpace.ForbiddenEqualsClause(source["k"], "b"),
            "wanted no forbidden clauses, got .*; say them as conditions, or fail the trials that break them",
        ),
        (
            lambda source: ConfigSpace.GreaterThanCondition(source["y"], source["x"], 0.5),
            "the condition y .*: wanted it to be on a parameter of at most 65536 values, got Float",
        ),
        (
            lambda source: ConfigSpace.OrConjunction(
                ConfigSpace.EqualsCondition(source["y"], source["k"], "a"),
                ConfigSpace.EqualsCondition(source["y"], source["n"], 1),
            ),
            r"wanted alternatives on one parameter, got them on \['k', 'n'\]",
        ),
    ],
)
def test_a_configspace_that_has_no_counterpart_is_refused(make: Callable[[Any], Any], message: str) -> None:
    source = ConfigSpace.ConfigurationSpace({"k": ["a", "b"], "n": (1, 5), "x": (0.0, 1.0), "y": (0.0, 1.0)})
    source.add(make(source))
    with pytest.raises(ConfigError, match=message):
        Space.from_configspace(source)


def test_a_read_space_may_be_nested_like_any_other() -> None:
    space = Space(k=Int(0, 1), svm=When(Space.from_scipy({"C": stats.loguniform(1, 10)}), {"k": [1]}))
    assert space.conditions == {"svm.C": (("k", (1,)),)}
