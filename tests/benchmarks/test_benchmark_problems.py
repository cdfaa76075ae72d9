"""Problems are pure functions of seed and configs; their arithmetic agrees with what it stands for."""

import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from benchmarks.problem import Options, Problem, ProblemUnavailable
from benchmarks.problems import PROBLEMS
from benchmarks.problems.boosting import Boosting, friedman
from benchmarks.problems.data import split
from benchmarks.problems.digits import digits_mlp_mixed
from benchmarks.problems.fashion import fashion_images, read_idx
from benchmarks.problems.mlp import MLP, Weights
from benchmarks.problems.optimum import best_constant, best_schedule, greedy_schedule
from benchmarks.problems.poisson import best_factor, poisson_sor, poisson_sor_error
from benchmarks.problems.quadratic import noisy_quadratic, short_horizon
from benchmarks.problems.regression import BATCH, linear_regression
from benchmarks.problems.salesman import salesman
from benchmarks.problems.toys import toy_deceptive, toy_plain
from benchmarks.problems.triangle import Triangle, best_rate, triangle, triangle_shared
from benchmarks.testing import check_problem
from gpbt_core.space import Float

EXACT = {"nqm", "short-horizon", "linear-regression", "toy-plain", "toy-deceptive"}
SMOOTH = {"max_depth": 3, "subsample": 1.0, "max_features": 1.0, "min_samples_leaf": 5}


@pytest.fixture(params=list(PROBLEMS))
def problem(request: pytest.FixtureRequest, fashion_data: Path) -> Problem:
    if request.param == "cartpole-ppo":
        pytest.importorskip("stable_baselines3", exc_type=ImportError)
    return PROBLEMS[request.param].build(Options(data=fashion_data, smoke=True))


def configs(problem: Problem, count: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    if isinstance(problem, Triangle):  # of the whole space, most learning rates keep it at 0
        return [problem.space.decode(0.1 * rng.random(1)) for _ in range(count)]
    return [problem.space.sample(rng) for _ in range(count)]


def scores(problem: Problem, seed: int, steps: list[Any]) -> list[float]:
    state, found = problem.start(seed), []
    for config in steps:
        state, score = problem.train(state, config)
        found.append(score)
    return [*found, problem.test(state)]


def test_equal_seeds_and_configs_give_equal_scores(problem: Problem) -> None:
    steps = configs(problem, 3)
    assert scores(problem, 1, steps) == scores(problem, 1, steps)


def test_another_seed_is_another_run(problem: Problem, request: pytest.FixtureRequest) -> None:
    steps = configs(problem, 3)
    exact = request.node.callspec.params["problem"] in EXACT
    assert (scores(problem, 1, steps) == scores(problem, 2, steps)) == exact


def test_a_problem_keeps_its_promises(problem: Problem) -> None:
    check_problem(problem, steps=2)


def test_training_leaves_the_state_that_it_started_from_as_it_was(problem: Problem) -> None:
    first, second, third = configs(problem, 3)
    parent, _ = problem.train(problem.start(0), first)
    child, score = problem.train(parent, second)
    other, _ = problem.train(parent, third)
    problem.train(other, second)
    again, score_again = problem.train(parent, second)
    assert score_again == score
    assert problem.test(again) == problem.test(child)


def test_the_config_of_a_later_step_matters(problem: Problem) -> None:
    found = []
    for seed in range(8):  # some models are stuck, whatever is tried
        first, second, third = configs(problem, 3, seed)
        found.append(scores(problem, seed, [first, second]) != scores(problem, seed, [first, third]))
    assert any(found)


def test_corners_of_the_space_score_without_a_warning(problem: Problem) -> None:
    for u in (np.zeros(len(problem.space)), np.ones(len(problem.space))):
        state = problem.start(0)
        for _ in range(2):
            state, score = problem.train(state, problem.space.decode(u))
            if np.isnan(score):
                break


def test_scores_are_plain_floats(problem: Problem) -> None:
    assert {type(score) for score in scores(problem, 0, configs(problem, 1))} == {float}


def test_the_default_budget_is_250_steps_and_smaller_in_smoke() -> None:
    for name in ("nqm", "digits-mlp", "friedman-gb", "tsp-annealing"):
        full, smoke = PROBLEMS[name].build(Options()), PROBLEMS[name].build(Options(smoke=True))
        assert (full.models, full.steps) == (25, 10)
        assert smoke.models * smoke.steps <= 30


def test_the_noisy_quadratic_has_the_known_optima() -> None:
    problem = noisy_quadratic(Options())
    assert best_constant(problem, 10, starts=3)[0] == pytest.approx(0.399, abs=1e-3)
    assert best_schedule(problem, 10, starts=2)[0] == pytest.approx(0.571, abs=1e-3)


def test_the_moments_of_the_quadratic_are_those_of_simulated_runs() -> None:
    problem = noisy_quadratic(Options())
    config = {"lr": 0.3, "momentum": 0.6}
    exact = problem.train(problem.train(problem.start(0), config)[0], config)[0]
    rng = np.random.default_rng(0)
    x, m = np.ones((4000, 100)), np.zeros((4000, 100))
    for _ in range(40):
        m = 0.6 * m + problem.curvature * x + np.sqrt(problem.noise) * rng.normal(size=x.shape)
        x = x - 0.3 * m
    np.testing.assert_allclose((x**2).mean(axis=0), exact.xx, rtol=0.15)
    np.testing.assert_allclose((m**2).mean(axis=0), exact.mm, rtol=0.15)


def test_the_greedy_schedule_falls_into_the_trap() -> None:
    problem = short_horizon(Options())
    greedy = greedy_schedule(problem, 10)[0]
    constant = best_constant(problem, 10, starts=3)[0]
    schedule, values = best_schedule(problem, 10, starts=2)
    assert greedy < constant - 0.2 < schedule - 0.5
    state, path = problem.start(0), []
    for lr, momentum in values:
        state, score = problem.train(state, {"lr": lr, "momentum": momentum})
        path.append(score)
    assert path[0] < float(problem.score(problem.start(0)))  # the best schedule starts by getting worse


def test_the_moments_of_the_regression_are_those_of_simulated_runs() -> None:
    problem = linear_regression(Options())
    exact, _ = problem.train(problem.start(0), {"lr": 0.5})
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(2000):
        error = np.ones(200)
        for _ in range(20):
            x = rng.normal(size=(BATCH, 200)) * np.sqrt(problem.curvature)
            residual = x @ error - np.sqrt(problem.noise) * rng.normal(size=BATCH)
            error = error - 0.5 * x.T @ residual / BATCH
        squares.append(error**2)
    np.testing.assert_allclose(np.mean(squares, axis=0), exact, rtol=0.15)


def test_the_best_schedule_of_the_regression_is_constant_and_then_falls() -> None:
    problem = linear_regression(Options())
    constant = best_constant(problem, 10, starts=3)[0]
    schedule, values = best_schedule(problem, 10, starts=2)
    assert constant == pytest.approx(1.076, abs=1e-3)
    assert schedule == pytest.approx(1.245, abs=1e-3)
    rates = values[:, 0]
    assert rates[:6].max() / rates[:6].min() < 1.1
    assert (np.diff(rates[6:]) < 0).all()
    assert rates[-1] < 0.2 * rates[0]


@pytest.mark.parametrize("steps", [10, 50, 200])
def test_the_deceptive_toy_rewards_a_line_and_traps_the_greedy(steps: int) -> None:
    problem = toy_deceptive(Options(length=steps))
    line = [{"h": 1 - t / steps} for t in range(steps)]
    constants = [scores(problem, 0, [{"h": h / 20}] * steps)[-1] for h in range(21)]
    assert scores(problem, 0, line)[-1] == pytest.approx(1.198, abs=1e-3)
    assert max(constants) < 1.11
    assert constants[0] < 0.9  # h = 0, which is the best of the first step
    first = [problem.train(problem.start(0), {"h": h / 20})[1] for h in range(21)]
    assert first[0] == max(first)


def test_on_the_plain_toy_the_fastest_is_the_best() -> None:
    problem = toy_plain(Options(length=50))
    ends = [scores(problem, 0, [{"h": h}] * 50)[-1] for h in (0.0, 0.3, 1.0)]
    assert ends == sorted(ends, reverse=True)
    assert ends[0] == pytest.approx(1.2 - 0.81 * (1 - 0.004) ** 2000, abs=1e-9)


def test_the_triangle_wave_peaks_in_the_middle() -> None:
    assert [best_rate(accuracy) for accuracy in (0, 50, 100, 150, 200, 300)] == [
        pytest.approx(rate) for rate in (0.001, 0.005, 0.01, 0.005, 0.001, 0.001)
    ]


def test_models_of_the_triangle_have_their_own_noise_unless_it_is_shared() -> None:
    best, near = {"lr": 0.001}, {"lr": 0.001001}
    gaps = {}
    for problem in (triangle(Options()), triangle_shared(Options())):
        ends = [[scores(problem, seed, [config] * 20)[-1] for seed in range(5)] for config in (best, near)]
        gaps[problem.shared] = np.abs(np.subtract(ends[0], ends[1])).max()
    assert gaps[True] < 0.1
    assert gaps[False] > 1


def test_boosting_under_constant_hps_is_scikit_learns_own() -> None:
    problem = friedman(Options(smoke=True))
    config = {**SMOOTH, "learning_rate": 0.1}
    state = problem.start(0)
    for _ in range(2):
        state, score = problem.train(state, config)
    data = problem.data
    own = GradientBoostingRegressor(n_estimators=20, **config).fit(data.x_train, data.y_train)
    assert score == pytest.approx(own.score(data.x_valid, data.y_valid), abs=1e-9)
    assert problem.test(state) == pytest.approx(own.score(data.x_test, data.y_test), abs=1e-9)


def test_trees_keep_the_learning_rate_that_they_were_grown_under() -> None:
    problem: Boosting = friedman(Options(smoke=True))
    state, _ = problem.train(problem.start(0), {**SMOOTH, "learning_rate": 0.5})
    after, _ = problem.train(state, {**SMOOTH, "learning_rate": 0.001})
    assert np.abs(after.train - state.train).max() < 0.02 * np.abs(state.train - state.train.mean()).max()


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_the_network_trains_as_pytorchs_does(activation: str, optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    problem = digits_mlp_mixed(Options(smoke=True))
    rows = len(problem.data.x_train)  # one batch an epoch: the order of the rows is nothing to agree upon
    config = {
        "lr": 0.05,
        "dropout": 0.0,
        "weight_decay": 0.01,
        "activation": activation,
        "optimizer": optimizer,
        "batch_size": rows,
    }
    state = problem.start(3)
    layers = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), layers[activation](), torch.nn.Linear(32, 10))
    w1, b1, w2, b2 = problem._layers(state.theta)
    with torch.no_grad():
        for tensor, values in zip(module.parameters(), (w1.T, b1, w2.T, b2), strict=True):
            tensor.copy_(torch.from_numpy(values.copy()))
    made = {
        "sgd": lambda: torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01),
        "adam": lambda: torch.optim.Adam(module.parameters(), lr=0.05, weight_decay=0.01),
        "rmsprop": lambda: torch.optim.RMSprop(module.parameters(), lr=0.05, weight_decay=0.01),
    }[optimizer]()
    x, y = torch.from_numpy(problem.data.x_train), torch.from_numpy(problem.data.y_train)
    x_valid, y_valid = torch.from_numpy(problem.data.x_valid), torch.from_numpy(problem.data.y_valid)
    for _ in range(4):
        state, score = problem.train(state, config)
        made.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        made.step()
        expected = torch.nn.functional.cross_entropy(module(x_valid), y_valid).item()
        assert score == pytest.approx(expected, rel=2e-3)


def test_a_new_optimizer_starts_from_rest() -> None:
    problem = digits_mlp_mixed(Options(smoke=True))
    config = {**configs(problem, 1)[0], "optimizer": "adam"}
    adam, _ = problem.train(problem.start(0), config)
    kept, _ = problem.train(adam, config)
    other, _ = problem.train(adam, {**config, "optimizer": "sgd"})
    assert kept.updates == 2 * adam.updates
    assert other.updates == adam.updates


def test_dropping_every_unit_leaves_only_the_last_biases_to_learn() -> None:
    problem: MLP = digits_mlp_mixed(Options(smoke=True))
    start: Weights = problem.start(0)
    config = {
        "lr": 0.1,
        "dropout": 1.0,
        "weight_decay": 1e-6,
        "activation": "relu",
        "optimizer": "sgd",
        "batch_size": 50,
    }
    state, score = problem.train(start, config)
    before, after = problem._layers(start.theta), problem._layers(state.theta)
    assert np.abs(after[3] - before[3]).max() > 0.01
    for layer in (0, 1, 2):
        np.testing.assert_allclose(after[layer], before[layer], rtol=1e-4)
    assert np.isfinite(score)


def test_label_smoothing_and_augmentation_train_another_network(fashion_data: Path) -> None:
    problem = PROBLEMS["fmnist-cnn"].build(Options(data=fashion_data, smoke=True))
    plain = {"lr": 0.1, "one_minus_momentum": 0.1, "weight_decay": 1e-6, "label_smoothing": 0.0, "augmentation": 0.0}
    changed = (plain, {**plain, "label_smoothing": 0.3}, {**plain, "augmentation": 0.5})
    weights = [problem.train(problem.start(0), one)[0].weights["9.weight"].numpy() for one in changed]
    assert np.abs(weights[0] - weights[1]).max() > 1e-3
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_images_are_shifted_and_turned_by_the_strength_asked_for() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.problems.convolutional import augmented

    image = torch.zeros(200, 1, 14, 14)
    image[:, :, 6:8, 6:8] = 1.0
    places = torch.arange(14) - 6.5
    spread = []
    for strength in (0.0, 0.3, 1.0):
        torch.manual_seed(0)
        moved = augmented(image, strength)
        centers = (moved.sum(dim=(1, 2)) * places).sum(dim=1) / moved.sum(dim=(1, 2, 3))
        spread.append(float(centers.abs().max()))
    assert spread[0] < 1e-5
    assert spread[0] < spread[1] < 0.8 < spread[2] < 2.6  # .3 of 7 pixels, and what turning adds


def test_the_language_model_learns_from_texts_that_share_no_file() -> None:
    pytest.importorskip("torch")
    from benchmarks.problems.language import LETTERS, language_model

    problem = language_model(Options(smoke=True))
    train, test = ["".join(LETTERS[at] for at in text.tolist()) for text in (problem.data.train, problem.data.test)]
    assert "def " in train
    assert not {line for line in train.split("\n") if len(line) > 60} & set(test.split("\n"))
    state = problem.start(0)
    assert problem.test(state) == pytest.approx(np.log(len(LETTERS)), abs=0.3)  # nothing is known yet
    config = {"lr": 0.02, "weight_decay": 1e-4, "one_minus_beta2": 0.01, "dropout": 0.0, "batch_size": 16}
    for _ in range(4):
        state, _ = problem.train(state, config)
    assert problem.test(state) < 4.1


def test_the_language_model_sees_nothing_of_what_it_predicts() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.problems.language import _Decoder

    module = _Decoder(16, 0.0).eval()
    text = torch.zeros(1, 8, dtype=torch.int64)
    other = text.clone()
    other[0, 5] = 7
    with torch.no_grad():
        first, second = module(text), module(other)
    torch.testing.assert_close(first[:, :5], second[:, :5])
    assert (first[:, 5:] - second[:, 5:]).abs().max() > 1e-4


def test_a_problem_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "benchmarks.problems.cartpole", raising=False)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ProblemUnavailable, match="pip install stable-baselines3"):
        PROBLEMS["cartpole-ppo"].build(Options(smoke=True))


def test_a_tour_visits_every_city_once_and_never_gets_longer_in_the_cold() -> None:
    problem = salesman(Options(smoke=True))
    state, length = problem.start(0), float("inf")
    for reach in (1, 3, 10, 100):
        for carry in (0.0, 0.5, 1.0):
            state, score = problem.train(state, {"temperature": 1e-3, "reach": reach, "carry": carry})
            assert sorted(state.cities) == list(range(len(problem.distances)))
            assert score <= length + 0.01
            length = score


def test_relaxation_by_the_known_factor_solves_the_equation() -> None:
    assert best_factor(63) == pytest.approx(1.906, abs=1e-3)
    problem = poisson_sor_error(Options(smoke=True))
    best = best_factor(problem.points)
    errors = {factor: scores(problem, 0, [{"omega": factor}] * 30) for factor in (best - 0.2, best, best + 0.2)}
    assert min(errors, key=lambda factor: errors[factor][-2]) == best
    assert max(errors[best][-2:]) < -12  # of the error and of the residual


def test_the_residual_after_one_step_favors_a_factor_that_the_error_does_not() -> None:
    steps = {factor: [{"omega": factor}] * 10 for factor in (1.1, 1.9)}
    residuals, errors = (
        {factor: scores(problem, 0, steps[factor]) for factor in steps}
        for problem in (poisson_sor(Options()), poisson_sor_error(Options()))
    )
    assert residuals[1.1][0] < residuals[1.9][0] - 0.5
    assert residuals[1.1][9] > residuals[1.9][9] + 1
    assert errors[1.1][0] > errors[1.9][0] + 0.1
    assert [errors[factor][-1] for factor in steps] == [residuals[factor][-1] for factor in steps]  # tested alike


def test_rows_are_cut_into_parts_without_overlap() -> None:
    x = np.arange(50)
    cut = split(x, -x, train=20, valid=10)
    parts = [cut.x_train, cut.x_valid, cut.x_test]
    assert [len(part) for part in parts] == [20, 10, 20]
    assert sorted(np.concatenate(parts).tolist()) == x.tolist()
    assert (cut.y_test == -cut.x_test).all()
    with pytest.raises(ValueError, match="needs 40 \\+ 20"):
        split(x, x, train=40, valid=20, test=10)


def test_test_images_come_from_the_test_files(fashion_data: Path) -> None:
    images = fashion_images(Options(data=fashion_data), train=600, valid=100, test=300)
    stored = read_idx(fashion_data / "t10k-images-idx3-ubyte.gz") / 255
    assert images.x_test.mean() == pytest.approx(stored.mean(), rel=1e-5)
    assert images.x_train.shape == (600, 28, 28)


@pytest.mark.parametrize("name", ["fmnist-mlp-log", "fmnist-lenet"])
def test_missing_data_are_asked_for_by_their_option(name: str, tmp_path: Path) -> None:
    for options in (Options(), Options(data=tmp_path)):
        with pytest.raises(FileNotFoundError, match="--data"):
            PROBLEMS[name].build(options)


def test_a_file_of_another_format_is_refused(fashion_data: Path, tmp_path: Path) -> None:
    import gzip

    content = gzip.decompress((fashion_data / "t10k-labels-idx1-ubyte.gz").read_bytes())
    for wrong, said in ((b"\0\0\x0d" + content[3:], "00 00 0d"), (content[:-5], "must have 300 values")):
        path = tmp_path / "wrong.gz"
        path.write_bytes(gzip.compress(wrong))
        with pytest.raises(ValueError, match=said):
            read_idx(path)


def test_the_uniform_space_is_as_wide_as_the_log_one(fashion_data: Path) -> None:
    options = Options(data=fashion_data, smoke=True)
    log, wide = (PROBLEMS[f"fmnist-mlp-{kind}"].build(options).space.parameters for kind in ("log", "wide"))
    floats = {name: parameter for name, parameter in wide.items() if isinstance(parameter, Float)}
    assert len(floats) == len(wide) == len(log)
    assert {name: one.high for name, one in floats.items()} == {
        name: one.high for name, one in log.items() if isinstance(one, Float)
    }
    assert not any(one.log for one in floats.values())
    assert floats["weight_decay"].low == 0
    assert attrs.evolve(floats["lr"], log=True) == log["lr"]
