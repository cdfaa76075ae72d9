"""The map between configs and the unit cube: bounds, types and round trips, for arbitrary spaces."""

import decimal
import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Config, Float, Int, Parameter, Space, When
from strategies import floats, generators, parameters, points, spaces, units


def typed(config: Any) -> list[tuple[str, type, Any]]:
    """A config such that equality tells 1, 1.0 and True apart, and the order too."""
    return [(name, type(value), value) for name, value in config.items()]


def assert_is_a_value(value: Any, parameter: Parameter) -> None:
    if isinstance(parameter, Categorical):
        assert (type(value), value) in [(type(choice), choice) for choice in parameter.choices]
    elif isinstance(parameter, Int):
        assert type(value) is int
        assert parameter.low <= value <= parameter.high
        assert (value - parameter.low) % parameter.step == 0
    else:
        assert type(value) is float
        assert parameter.low <= value <= parameter.high


def is_active(name: str, space: Space, config: Config) -> bool:
    """The definition, evaluated naively."""
    return all(
        is_active(other, space, config)
        and (type(config[other]), config[other]) in [(type(value), value) for value in values]
        for other, values in space.conditions.get(name, ())
    )


@given(st.data(), spaces())
def test_every_decoded_config_is_in_the_space(data: st.DataObject, space: Space) -> None:
    config = space.decode(data.draw(points(space))[0])
    assert type(config) is Config
    assert list(config) == [name for name in space.names if is_active(name, space, config)]
    for name, value in config.items():
        assert_is_a_value(value, space.parameters[name])
    assert typed(space.validate(config)) == typed(config)


@given(spaces(), generators())
def test_a_sample_is_the_config_at_d_uniform_numbers(space: Space, rng: np.random.Generator) -> None:
    state = rng.bit_generator.state
    config = space.sample(rng)
    after = rng.random()
    rng.bit_generator.state = state
    assert typed(space.decode(rng.random(len(space)))) == typed(config)
    assert rng.random() == after


@given(st.data(), spaces())
def test_encoding_a_config_of_the_space_and_decoding_it_gives_the_same_config(
    data: st.DataObject, space: Space
) -> None:
    configs = space.decode_all(data.draw(points(space, count=4)))
    encoded = space.encode(configs)
    assert encoded.dtype == np.float64
    assert encoded.shape == (4, len(space))
    assert [typed(config) for config in space.decode_all(encoded)] == [typed(config) for config in configs]
    for config, row in zip(configs, encoded, strict=True):
        assert typed(space.decode(row)) == typed(config)
        for name, u in zip(space.names, row.tolist(), strict=True):
            assert 0 <= u <= 1 if name in config else math.isnan(u)


@given(st.data(), spaces())
def test_snapping_moves_points_to_where_their_configs_lie(data: st.DataObject, space: Space) -> None:
    u = data.draw(points(space, count=4))
    before = u.copy()
    snapped = space.snap(u)
    np.testing.assert_array_equal(u, before)
    np.testing.assert_array_equal(space.snap(snapped), snapped)
    configs = space.decode_all(u)
    assert [typed(config) for config in space.decode_all(snapped)] == [typed(config) for config in configs]
    encoded = space.encode(configs)
    discrete = space.bins > 0
    np.testing.assert_array_equal(snapped[:, discrete], encoded[:, discrete])
    np.testing.assert_array_equal(np.isnan(snapped), np.isnan(encoded))
    np.testing.assert_array_equal(snapped[:, ~discrete], np.where(np.isnan(snapped), np.nan, u)[:, ~discrete])


@given(parameters(), units(), units())
def test_decoding_never_falls_where_u_rises(parameter: Parameter, a: float, b: float) -> None:
    space = Space(x=parameter)
    first, second = (space.decode([u])["x"] for u in sorted((a, b)))
    if isinstance(parameter, Categorical):
        choices = [(type(choice), choice) for choice in parameter.choices]
        first, second = (choices.index((type(value), value)) for value in (first, second))
    assert first <= second or math.isclose(first, second, rel_tol=1e-15)  # pow may be off by its last bit


@given(parameters())
@example(Float(1e-05, 1.0000000000000003e-05, log=True, step=0.1))  # all of it within 1e-9 of a step
@example(Float(0.001, 0.001000000000000001, step=1.0842021724855044e-18))  # as long as the range, but not in decimals
def test_the_ends_of_the_interval_are_the_first_and_the_last_value(parameter: Parameter) -> None:
    space = Space(x=parameter)
    first, last = space.decode([0.0])["x"], space.decode([1.0])["x"]
    if isinstance(parameter, Categorical):
        assert (first, last) == (parameter.choices[0], parameter.choices[-1])
    else:
        assert first == parameter.low
        rounding = 2 * math.ulp(parameter.high)  # of the bounds, where the step is hardly longer
        assert last == parameter.high or (parameter.step and parameter.high - last < parameter.step + rounding)


@given(parameters())
def test_as_many_bins_as_values(parameter: Parameter) -> None:
    space = Space(x=parameter)
    bins = int(space.bins[0])
    if 0 < bins <= 60:
        found = {(type(c["x"]), c["x"]) for c in space.decode_all(np.linspace(0, 1, 3001).reshape(-1, 1))}
        assert len(found) <= bins
        if not getattr(parameter, "log", False):
            assert len(found) == bins
    else:
        assert bins == 0 or bins > 60


@given(st.data(), floats())
def test_a_float_from_elsewhere_comes_back_within_the_resolution(data: st.DataObject, parameter: Float) -> None:
    space = Space(x=parameter)
    value = data.draw(st.floats(parameter.low, parameter.high))
    if space.bins[0]:
        return
    back = space.decode(space.encode([{"x": value}])[0])["x"]
    low, high = parameter.low, parameter.high
    coarse = 64 * math.ulp(max(abs(low), abs(high)))  # where a range holds few floats, the resolution is in them
    if parameter.log == "1-x":
        ratio = math.log(1 - low) - math.log(1 - high)
        resolution = max(2.0**-48 * ratio, 64 * 2.0**-52 / min(1.0, 1 - high))  # of 1 - x
        assert math.isclose(1 - back, 1 - value, rel_tol=resolution) or abs(back - value) <= coarse
    elif parameter.log:
        ratio = math.log(high) - math.log(low)
        assert math.isclose(back, value, rel_tol=max(2.0**-48 * ratio, 64 * 2.0**-52), abs_tol=5e-324)
    else:
        assert abs(back - value) <= max(2.0**-48 * (high - low), coarse)
    assert space.decode(space.encode([{"x": back}])[0])["x"] == back


def test_on_the_scale_1_minus_x_each_decade_towards_1_takes_the_same_room() -> None:
    space = Space(beta=Float(0.9, 0.9999, log="1-x"))
    betas = [config["beta"] for config in space.decode_all([[0.0], [1 / 3], [2 / 3], [1.0]])]
    assert betas == pytest.approx([0.9, 0.99, 0.999, 0.9999], rel=1e-12)
    stepped = Space(beta=Float(0.5, 0.98, step=0.01, log="1-x"))
    assert 0.89 <= stepped.decode([0.5])["beta"] <= 0.91  # half-way from 1/2 to 1/50 on the log scale is 1/10
    assert stepped.snap([[0.0]])[0, 0] < 1 - stepped.snap([[1.0]])[0, 0]  # bins become wider towards 1


def test_a_lattice_far_finer_than_its_distance_to_1_is_even() -> None:
    space = Space(x=Float(0, 8e-310, step=2e-310, log="1-x"))
    assert [config["x"] for config in space.decode_all([[0.1], [0.3], [0.5], [0.7], [0.9]])] == [
        0, 2e-310, 4e-310, 6e-310, 8e-310,
    ]  # fmt: skip


@given(st.floats(1e-6, 0.5), st.floats(1.01, 1e6), units())
def test_the_scale_1_minus_x_is_the_log_scale_of_the_distance_to_1(nearest: float, ratio: float, u: float) -> None:
    farthest = nearest * ratio
    distance = Space(x=Float(nearest, farthest, log=True)).decode([1 - u])["x"]
    value = Space(x=Float(1 - farthest, 1 - nearest, log="1-x")).decode([u])["x"]
    assert 1 - value == pytest.approx(distance, rel=1e-8)


def everyday_floats(log: bool | Literal["1-x"]) -> list[Float]:
    """Many bounds: wide ones and narrow ones, down to a few neighboring floats, of all magnitudes."""
    rng = np.random.default_rng(0)
    if log == "1-x":
        near = 1 - 10.0 ** rng.uniform(-15, 6, 1500)
        distant = near - np.maximum(1 - near, 1e-3) * 10.0 ** rng.uniform(-15, 9, 1500)
        return [Float(a, b, log="1-x") for a, b in zip(distant.tolist(), near.tolist(), strict=True)]
    low = 10.0 ** rng.uniform(-12, 12, 1500) * (1 if log else rng.choice([-1, 0, 1], 1500))
    width = np.maximum(np.abs(low), 1e-3) * 10.0 ** rng.uniform(-15, 9, 1500)
    far = [Float(10.0**-a, 10.0**b, log=True) for a in range(155, 300, 5) for b in range(155, 300, 5)] if log else []
    if not log:
        far = [Float(-0.3, 0.1), Float(-0.9, 0.2), Float(0.2, 0.9)]  # low + (high - low) is above or below high
    return [Float(a, a + b, log=log) for a, b in zip(low.tolist(), width.tolist(), strict=True)] + far


@pytest.mark.parametrize("log", [False, True, "1-x"])
def test_rounding_neither_leaves_the_bounds_nor_spoils_a_round_trip(log: bool | Literal["1-x"]) -> None:
    rng = np.random.default_rng(1)
    for parameter in everyday_floats(log):
        space = Space(x=parameter)
        u = np.array([0.0, 1.0, 2.0**-53, 1 - 2.0**-53, 1 - 2.0**-47, 1 - 2.0**-30, *rng.random(20)]).reshape(-1, 1)
        values = [config["x"] for config in space.decode_all(u)]
        assert values[:2] == [parameter.low, parameter.high]
        assert min(values) == parameter.low
        assert max(values) == parameter.high
        again = [config["x"] for config in space.decode_all(space.encode([{"x": value} for value in values]))]
        assert again == values


@pytest.mark.parametrize(
    ("parameter", "u"),
    [
        (Float(0.05913, 0.06375650963606062, log=True), 0.9010494695334883),
        (Float(0.03013, 0.031986466325603126, log=True), 0.7120684629281205),
        (Float(0.9294, 1.0127303288227607, log=True), 0.94543515049226),
        (Float(93.83, 97.9048679867883), 0.41278834308159096),
        (Float(0.007846, 0.008345531167808846), 0.9062475281214022),
    ],
)
def test_a_narrow_range_is_resolved_no_finer_than_rounding_allows(parameter: Float, u: float) -> None:
    space = Space(x=parameter)
    config = space.decode([u])
    assert space.decode(space.encode([config])[0]) == config


@pytest.mark.parametrize("parameter", [Float(1e-5, 1, log=True), Float(1e-300, 1e300, log=True), Float(2, 3, log=True)])
def test_log_scales_are_accurate(parameter: Float) -> None:
    space = Space(x=parameter)
    u = np.linspace(0, 1, 65).reshape(-1, 1)  # exact at any resolution
    configs = space.decode_all(u)
    with decimal.localcontext(prec=40):
        low, high = decimal.Decimal(parameter.low).ln(), decimal.Decimal(parameter.high).ln()
        exact = [float((low + (high - low) * decimal.Decimal(one)).exp()) for one in u.ravel().tolist()]
    tolerance = 4e-16 if parameter.low > 1e-100 else 2e-13
    np.testing.assert_allclose([config["x"] for config in configs], exact, rtol=tolerance, atol=0)
    np.testing.assert_allclose(space.encode(configs), u, rtol=0, atol=5e-16)


@pytest.mark.parametrize("parameter", [Int(1, 64, log=True), Float(0.5, 32, log=True, step=0.5)])
def test_a_log_scaled_lattice_gives_each_value_its_share(parameter: Parameter) -> None:
    assert not isinstance(parameter, Categorical)
    space = Space(x=parameter)
    u = (np.arange(200_000) + 0.5) / 200_000
    values = np.array([config["x"] for config in space.decode_all(u.reshape(-1, 1))]) / parameter.step
    found = np.bincount(values.astype(int))[1:] / len(u)
    edges = np.log(np.arange(1, 66) - 0.5)
    np.testing.assert_allclose(found, np.diff(edges) / (edges[-1] - edges[0]), atol=2e-5)


def test_a_long_step_on_a_log_scale_leaves_the_first_value_its_place_only() -> None:
    space = Space(x=Int(1, 101, log=True, step=10))
    u = (np.arange(10_000) + 0.5) / 10_000
    values = [config["x"] for config in space.decode_all(u.reshape(-1, 1))]
    assert sorted(set(values)) == list(range(1, 102, 10))
    edges = np.log([0.5, *range(6, 107, 10)])
    share = np.diff(edges) / (edges[-1] - edges[0])
    np.testing.assert_allclose(np.bincount(values)[1::10] / len(u), share, atol=2e-4)


def test_steps_are_decimals() -> None:
    space = Space(x=Float(0, 1, step=0.1), y=Float(-0.3, 0.35, step=0.1))
    tenths = [config["x"] for config in space.decode_all([[(i + 0.5) / 11, 0] for i in range(11)])]
    rounded = Space(x=Float(0, 1e-5, step=1e-5 / 24))  # 24 times the step is 1.0000000000000001e-05
    assert rounded.bins.tolist() == [25]
    assert rounded.decode([1.0]) == {"x": 1e-5}
    thirds = Space(x=Float(0, 1, step=1 / 3))
    assert [config["x"] for config in thirds.decode_all([[0.1], [0.3], [0.6], [1.0]])] == [0, 1 / 3, 2 / 3, 1]
    assert tenths == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert space.bins.tolist() == [11, 7]
    assert space.decode([0, 1])["y"] == 0.3


def test_bins_of_one_width_have_their_centers_in_the_middle() -> None:
    space = Space(i=Int(0, 3), c=Categorical(["x", "y"]), f=Float(0, 1, step=0.5), one=Int(7, 7))
    np.testing.assert_array_equal(space.encode([{"i": 3, "c": "x", "f": 0.5, "one": 7}]), [[0.875, 0.25, 0.5, 0.5]])


def test_a_uniform_float_is_its_u() -> None:
    space = Space(x=Float(0, 1), y=Float(-2, 2))
    np.testing.assert_array_equal(space.encode([{"x": 0.25, "y": -1.0}]), [[0.25, 0.25]])
    assert space.decode([0.75, 0.5]) == {"x": 0.75, "y": 0.0}


@pytest.mark.parametrize("u", [-1e-9, 1 + 1e-9, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("x", [Float(0, 1), When(Float(0, 1), {"k": [0]}), When(Int(0, 9), {"k": [0]})])
def test_a_point_outside_the_cube_is_refused(x: Float | When, u: float) -> None:
    space = Space(k=Int(0, 1), x=x)
    message = r"parameter 'x': u must be in \[0, 1\], got"
    with pytest.raises(ConfigError, match=message):
        space.decode([0, u])
    with pytest.raises(ConfigError, match=message):
        space.decode_all([[0.0, 0.0], [0.0, u]])
    with pytest.raises(ConfigError, match=message):
        space.snap([[0.0, 0.0], [0.0, u]])


def test_anything_goes_where_a_parameter_is_not_active() -> None:
    space = Space(k=Int(0, 1), x=When(Float(0, 1), {"k": [0]}), n=When(Int(0, 9), {"k": [0]}))
    for u in (math.nan, -3.0, math.inf):
        assert space.decode([1, u, u]) == {"k": 1}
        np.testing.assert_array_equal(space.snap([[1, u, u]]), [[0.75, math.nan, math.nan]])


@pytest.mark.parametrize("call", ["decode", "decode_all", "snap"])
def test_points_of_another_shape_are_refused(call: str) -> None:
    space = Space(x=Float(0, 1), y=Float(0, 1))
    for u in ([[[0.5, 0.5]]], [0.5], [[0.5]], 0.5, []):
        with pytest.raises(ConfigError, match=rf"{call}: u must have the shape"):
            getattr(space, call)(u)


@pytest.mark.parametrize("call", ["decode", "decode_all", "snap"])
@pytest.mark.parametrize("u", ["half", [["a", "b"]], [[0.5], [0.5, 0.5]], None])
def test_points_that_are_no_numbers_are_refused(call: str, u: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{call}: u must (be an array of|have the shape)"):
        getattr(Space(x=Float(0, 1), y=Float(0, 1)), call)(u)


def test_no_configs_make_an_empty_array() -> None:
    space = Space(k=Int(0, 1), x=When(Float(0, 1), {"k": [0]}))
    assert space.encode([]).shape == (0, 2)
    assert space.snap(np.empty((0, 2))).shape == (0, 2)
    assert space.decode_all(np.empty((0, 2))) == []


@pytest.mark.parametrize(
    "config",
    [
        {"x": 0.5},
        {"x": 2.0, "n": 1},
        {"x": -1.0, "n": 1},
        {"x": 1e300, "n": 1},
        {"x": math.nan, "n": 1},
        {"x": "a", "n": 1},
        {"x": 0.5, "n": 11},
        {"x": None, "n": 1},
    ],
)
def test_encoding_what_is_not_in_the_space_is_refused(config: dict[str, Any]) -> None:
    for x in (Float(0.1, 1, log=True), Float(1e-320, 1, log=True), Float(0, 1), Float(0, 1, step=0.5)):
        space = Space(x=x, n=Int(1, 10))
        with pytest.raises(ConfigError, match=r"parameter '[xn]'"):
            space.encode([{"x": 0.5, "n": 1}, config])
