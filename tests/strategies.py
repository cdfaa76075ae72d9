"""Hypothesis strategies for spaces and what goes with them, for any test that wants arbitrary ones.

Whatever they draw is sound: bounds at the edges of what floats can hold are as likely as everyday ones.
"""

from typing import Any, Literal

import numpy as np
from hypothesis import assume, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpbt_core.errors import ConfigError
from gpbt_core.space import Categorical, Float, Int, Parameter, Space, When

__all__ = ["categoricals", "examples", "floats", "generators", "ints", "parameters", "points", "spaces", "units"]

_everyday = st.sampled_from([1e-5, 1e-3, 0.1, 0.3, 0.5, 0.9, 0.999, 1.0, 2.0, 10.0, 100.0, 1e6])
_below_1 = st.sampled_from([-1.0, 0.0, 0.1, 0.5, 0.9, 0.99, 0.9999, 1 - 1e-8, 1 - 2**-53])
_plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-1.0, 0.0, 1.0, 2.0, 0.5]),
    st.text(max_size=3),
)


def examples(count: int) -> settings:
    """Settings with so many examples; a profile with fewer or more than hypothesis's 100 scales the number."""
    return settings(max_examples=max(1, count * settings().max_examples // 100))


@st.composite
def floats(draw: st.DrawFn) -> Float:
    """Floats of every scale, continuous and stepped, of one value, of neighboring floats, of huge and tiny bounds."""
    log: bool | Literal["1-x"] = draw(st.sampled_from([False, True, "1-x"]))
    if log is True:
        bound = _everyday | st.floats(5e-324, 1e308)
    elif log == "1-x":
        bound = _below_1 | st.floats(-5e307, 1 - 2**-53)
    else:
        bound = _everyday | st.just(0.0) | st.floats(-5e307, 5e307) | st.floats(-10, 10)
    low = draw(bound)
    high = draw(bound | st.just(low) | st.integers(1, 100).map(lambda ulps: low + ulps * float(np.spacing(low))))
    low, high = sorted((low, high))
    assume(high - low <= 1e308)
    assume(high < 1 or log != "1-x")
    step = draw(st.none() | st.sampled_from([0.1, 0.25, 1.0, 3.0]) | st.integers(1, 40).map(lambda n: (high - low) / n))
    try:
        return Float(low, high, log=log, step=step)
    except ConfigError:  # the step is too fine for these bounds, or 0
        return Float(low, high, log=log)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    """Ints: linear and log, with and without a step, of one value, of up to 2**40 values, and far from 0."""
    log = draw(st.booleans())
    low = draw(st.integers(1, 5) | st.integers(1, 2**52) if log else st.integers(-5, 5) | st.integers(-(2**52), 2**52))
    bins = draw(st.integers(1, 10) | st.integers(1, 2**40))
    step = draw(st.just(1) | st.integers(1, 50))
    high = min(low + (bins - 1) * step + draw(st.integers(0, step - 1)), 2**53)
    return Int(low, high, log=log, step=step)


@st.composite
def categoricals(draw: st.DrawFn) -> Categorical:
    """Categoricals of mixed types, among them values that Python holds to be equal."""
    return Categorical(draw(st.lists(_plain, min_size=1, max_size=6, unique_by=lambda v: (type(v), v))))


def parameters() -> st.SearchStrategy[Parameter]:
    """Any parameter."""
    return st.one_of(floats(), ints(), categoricals())


@st.composite
def spaces(draw: st.DrawFn, *, max_parameters: int = 5, conditional: bool = True, depth: int = 2) -> Space:
    """Spaces: flat, nested, and conditional on parameters that stand before or after.

    Args:
        draw: Hypothesis' own.
        max_parameters: At most so many parameters and nested spaces side by side.
        conditional: Whether there may be conditions.
        depth: At most so many spaces inside one another.
    """
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=max_parameters, unique=True))
    nodes: dict[str, Any] = {}
    for name in names:
        nested = depth > 1 and draw(st.integers(0, 4)) == 0
        smaller = spaces(max_parameters=max(1, max_parameters - 2), conditional=conditional, depth=depth - 1)
        nodes[name] = draw(smaller if nested else parameters())
    if conditional:
        rank = draw(st.permutations(names))
        for i, name in enumerate(rank):
            controllers = [one for other in rank[:i] for one in _controllers(other, nodes[other])]
            if controllers and draw(st.integers(0, 1)) == 0:
                chosen = draw(st.lists(st.sampled_from(controllers), min_size=1, max_size=2, unique_by=lambda c: c[0]))
                nodes[name] = When(nodes[name], {other: draw(_values(parameter)) for other, parameter in chosen})
    try:
        return Space(nodes)
    except ConfigError as error:
        if "can never be active" not in str(error):
            raise
        return reject()


def _controllers(name: str, node: Any) -> list[tuple[str, Parameter]]:
    """The flat names and parameters under a node that others may depend on."""
    while isinstance(node, When):
        node = node.what
    flat = {f"{name}.{inner}": p for inner, p in node.parameters.items()} if isinstance(node, Space) else {name: node}
    return [(name, parameter) for name, parameter in flat.items() if parameter.bins > 0]


@st.composite
def _values(draw: st.DrawFn, parameter: Parameter) -> list[Any]:
    """Some values of a discrete parameter, each once."""
    space = Space(it=parameter)
    found = [space.decode([u])["it"] for u in draw(st.lists(st.floats(0, 1), min_size=1, max_size=4))]
    return list({(type(value), value): value for value in found}.values())


def units() -> st.SearchStrategy[float]:
    """Numbers from 0 to 1, both included, with a liking for edges of bins."""
    edges = st.sampled_from([0.0, 1.0, 0.5, 0.25, 1 / 3, 2 / 3, 5e-324, 1 - 2**-53, 2**-53, 2**-48, 2**-49])
    return st.floats(0, 1) | edges


@st.composite
def points(draw: st.DrawFn, space: Space, *, count: int = 1) -> NDArray[np.float64]:
    """Arrays (count, d) in the unit cube of a space."""
    d = len(space)
    flat = draw(st.lists(units(), min_size=count * d, max_size=count * d))
    return np.array(flat, dtype=np.float64).reshape(count, d)


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Seeded generators."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)
