"""Other libraries' spaces: read exactly, or refused."""

import time
from collections.abc import Callable
from typing import Any

import ConfigSpace
import numpy as np
import pytest
from scipy import stats

from gpbt.spaces import from_configspace, from_optuna, from_scipy
from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Space, When

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402 - it may be missing


def test_optuna_distributions_are_read() -> None:
    space = from_optuna(
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
    space = from_optuna({"n": distribution})
    u = (np.arange(6000) + 0.5) / 6000
    ours = np.bincount([config["n"] for config in space.decode_all(u.reshape(-1, 1))], minlength=7)[1:] / len(u)
    optuna.logging.disable_default_handler()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    theirs = [study.ask({"n": distribution}).params["n"] for _ in range(3000)]
    np.testing.assert_allclose(ours, np.bincount(theirs, minlength=7)[1:] / 3000, atol=0.03)


def test_distributions_and_lists_of_a_randomized_search_are_read() -> None:
    space = from_scipy(
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
    assert dict(from_configspace(source).parameters) == {
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
    assert from_configspace(configspace_with_conditions()).conditions == {
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
    space = from_configspace(source)
    assert time.process_time() - start < 5  # it was a minute when each value was looked for among all
    assert space.conditions == {"x": (("n", tuple(range(6, 60_000))),)}


def test_configs_of_a_configspace_are_configs_of_the_space() -> None:
    source = configspace_with_conditions()
    space = from_configspace(source)
    for config in source.sample_configuration(200):
        space.validate(dict(config))
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = {name: str(value) if name in ("k", "size") else value for name, value in space.sample(rng).items()}
        ConfigSpace.Configuration(source, values=values)  # raises where it is none


ANY_OPTUNA: Any = from_optuna  # for what a type checker would refuse before we do
ANY_SCIPY: Any = from_scipy

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: ANY_OPTUNA([1]), "from_optuna: the distributions must be a dict by name, got"),
    (
        lambda: from_optuna({"x": stats.uniform()}),
        "from_optuna, parameter 'x': a distribution must be a FloatDistribution, an IntDistribution or",
    ),
    (lambda: from_optuna({}), "there must be at least one parameter"),
    (lambda: ANY_SCIPY([{"x": [1]}]), "from_scipy: the distributions must be a dict by name"),
    (
        lambda: from_scipy({"x": stats.norm(0, 1)}),
        r"from_scipy, parameter 'x': a distribution must be a list .* loguniform \(reciprocal\) or .* got 'norm'",
    ),
    (lambda: from_scipy({"x": stats.uniform}), "must be a list of choices, or a frozen uniform"),
    (lambda: from_scipy({"x": "abc"}), "must be a list of choices, or a frozen uniform"),
    (lambda: from_scipy({"x": {"a": 1}}), "must be a list of choices"),
    (lambda: from_scipy({"x": stats.loguniform(1, 10, loc=3)}), "a loguniform must have no loc, got loc=3"),
    (lambda: from_scipy({"x": stats.loguniform(1, 10, 3)}), "a loguniform must have no loc, got loc=3"),
    (lambda: from_scipy({"x": stats.uniform(0, -1)}), "parameter 'x': .*low must be finite, got nan"),
    (lambda: from_scipy({"x": stats.randint(5, 1)}), "parameter 'x': .*low must be a whole number"),
    (lambda: from_scipy({"x": stats.uniform([0, 1], 1)}), "parameter 'x': .*low must be a number"),
    (lambda: from_scipy({"x": [(1,), (2,)]}), "parameter 'x': Categorical: choices must be of type"),
    (lambda: from_scipy({"x": []}), "parameter 'x': Categorical: there must be at least one choice"),
    (lambda: from_configspace({"x": (0, 1)}), "from_configspace: the space must be a ConfigSpace.ConfigurationSpace"),
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
            "parameter 'z': a hyperparameter must be uniform, categorical, ordinal or constant",
        ),
        (
            lambda _: ConfigSpace.CategoricalHyperparameter("z", ["a", "b"], weights=[1, 3]),
            "parameter 'z': choices must have equal weights",
        ),
        (
            lambda source: ConfigSpace.ForbiddenEqualsClause(source["k"], "b"),
            "must have no forbidden clauses, got .*; write them as conditions, or fail the trials that break them",
        ),
        (
            lambda source: ConfigSpace.GreaterThanCondition(source["y"], source["x"], 0.5),
            "the condition y .*: it must be on a parameter of at most 65536 values, got Float",
        ),
        (
            lambda source: ConfigSpace.OrConjunction(
                ConfigSpace.EqualsCondition(source["y"], source["k"], "a"),
                ConfigSpace.EqualsCondition(source["y"], source["n"], 1),
            ),
            r"alternatives must be on one parameter, got \['k', 'n'\]",
        ),
    ],
)
def test_a_configspace_that_has_no_counterpart_is_refused(make: Callable[[Any], Any], message: str) -> None:
    source = ConfigSpace.ConfigurationSpace({"k": ["a", "b"], "n": (1, 5), "x": (0.0, 1.0), "y": (0.0, 1.0)})
    source.add(make(source))
    with pytest.raises(ConfigError, match=message):
        from_configspace(source)


def test_a_read_space_may_be_nested_like_any_other() -> None:
    space = Space(k=Int(0, 1), svm=When(from_scipy({"C": stats.loguniform(1, 10)}), {"k": [1]}))
    assert space.conditions == {"svm.C": (("k", (1,)),)}
