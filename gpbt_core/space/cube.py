"""The map between a parameter's values and the unit interval.

The maps are pure and are made when the space is created. `decode` takes one u and is the hot path; the others take
whole columns. A discrete parameter divides [0, 1] into bins, one per value. A continuous one has a resolution of 2**-48
of the interval, or a coarser one where the range holds fewer floats. That is far below what matters in training, and it
lets encode invert decode exactly.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from gpbt_core.space.parameters import Categorical, Float, Int, Parameter, lattice_value

__all__ = ["Axis", "Lattice", "axis"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_RESOLUTION = 48  # bits of u that decode uses; encode errs by less than 2**-49, which decode rounds away
_MARGIN = 16  # neighboring values are at least this many rounding errors apart, for the same reason
_EVEN = 1e300  # steps from which on bins on a log scale are as good as even
_TABLE = 1024  # log-scaled lattices up to this size have their bin centers in a table


@attrs.frozen(kw_only=True)
class Lattice:
    """The bins of a discrete parameter.

    Attributes:
        locate: Values of the parameter (n,) -> their indices (n,), from 0.
        index: u in [0, 1], (n,) -> the indices of the bins that they lie in, (n,).
        center: Indices (n,) -> the centers of their bins in [0, 1], (n,).
    """

    locate: Callable[[Sequence[Any]], Indices]
    index: Callable[[Floats], Indices]
    center: Callable[[Indices], Floats]


@attrs.frozen(kw_only=True)
class Axis:
    """One parameter as a dimension of the unit cube.

    Attributes:
        bins: The number of values; 0: continuous.
        decode: u in [0, 1] -> the value, of its plain type and in bounds.
        encode: Valid values (n,) -> u (n,) in [0, 1], bin centers where the parameter is discrete.
        lattice: The bins; None: continuous.
    """

    bins: int
    decode: Callable[[float], Any]
    encode: Callable[[Sequence[Any]], Floats]
    lattice: Lattice | None = None


def axis(parameter: Parameter) -> Axis:
    """A parameter as a dimension of the unit cube.

    Args:
        parameter: Any of the three kinds.
    """
    if isinstance(parameter, Categorical):
        return _categorical(parameter)
    if isinstance(parameter, Int):
        return _int(parameter)
    if parameter.bins:
        return _stepped(parameter)
    if parameter.log == "1-x":
        return _mirrored_log(parameter)
    return _log(parameter) if parameter.log else _linear(parameter)


def _rounder(resolved: float) -> float:
    """The c for which (u + c) - c rounds a u of [0, 1] to a multiple of a power of 1/2.

    Floats from c to 2c are c * 2**-52 apart, so that this is what the sum is rounded to.

    Args:
        resolved: How many rounding errors of a value the range is long.
    """
    bits = math.floor(math.log2(min(max(resolved / _MARGIN, 1.0), 2.0**_RESOLUTION)))
    return 2.0 ** (52 - bits)


def _linear(parameter: Float) -> Axis:
    low, high = parameter.low, parameter.high
    width = high - low
    c = _rounder(width / math.ulp(max(abs(low), abs(high))))

    def decode(u: float) -> float:
        u = (u + c) - c
        value = low + u * width
        return value if u < 1.0 and value < high else high

    def encode(values: Sequence[float]) -> Floats:
        return (np.array(values, dtype=np.float64) - low) / width

    return Axis(bins=0, decode=decode, encode=encode)


def _log(parameter: Float) -> Axis:
    low, high = parameter.low, parameter.high
    ratio = high / low
    if not math.isfinite(ratio):
        return _log_extreme(parameter)
    width = math.log(ratio)
    if width == 0.0:  # neighboring floats: their ratio rounds to 1
        return _linear(parameter)
    c = _rounder(width * 2.0**52)

    def decode(u: float) -> float:
        u = (u + c) - c
        value = low * ratio**u  # more exact than exp of a sum of logarithms
        return low if value < low else value if u < 1.0 and value < high else high

    def encode(values: Sequence[float]) -> Floats:
        x = np.array(values, dtype=np.float64)
        return _within(np.log(x / low) / width, x, parameter)

    return Axis(bins=0, decode=decode, encode=encode)


def _log_extreme(parameter: Float) -> Axis:
    """Bounds so far apart that their ratio is no float."""
    low, high = parameter.low, parameter.high
    start = math.log(low)
    width = math.log(high) - start
    c = _rounder(width * 2.0**52)

    def decode(u: float) -> float:
        u = (u + c) - c
        value = math.exp(start + u * width) if u < 1.0 else high
        return low if value < low or u == 0.0 else min(value, high)

    def encode(values: Sequence[float]) -> Floats:
        x = np.array(values, dtype=np.float64)
        return _within((np.log(x) - start) / width, x, parameter)

    return Axis(bins=0, decode=decode, encode=encode)


def _mirrored_log(parameter: Float) -> Axis:
    """The log axis of 1 - x, from its far end to its near one."""
    low, high = parameter.low, parameter.high
    if (1.0 - low) / (1.0 - high) == 1.0:  # so narrow that the logarithm cannot tell the values apart
        return _linear(parameter)
    distance = _log(Float(1.0 - high, 1.0 - low, log=True))
    # 1 - x has an absolute error of an ulp of x, which is a large relative error where x is close to 1.
    width = math.log(1.0 - low) - math.log(1.0 - high)
    c = _rounder(width * 2.0**52 * min(1.0, 1.0 - high))

    def decode(u: float) -> float:
        u = (u + c) - c
        if u == 0.0:
            return low
        value = 1.0 - float(distance.decode(1.0 - u))
        return low if value < low else value if u < 1.0 and value < high else high

    def encode(values: Sequence[float]) -> Floats:
        x = np.array(values, dtype=np.float64)
        return _within(1.0 - distance.encode((1.0 - x).tolist()), x, parameter)

    return Axis(bins=0, decode=decode, encode=encode)


def _within(u: Floats, values: Floats, parameter: Float) -> Floats:
    """The u of values in bounds, rid of what rounding adds beyond [0, 1]; NaN for values out of bounds."""
    inside = (values >= parameter.low) & (values <= parameter.high)
    return np.where(inside, np.minimum(np.maximum(u, 0.0), 1.0), np.nan)


def _discrete(
    bins: int,
    decode: Callable[[float], Any],
    locate: Callable[[Sequence[Any]], Indices],
    index: Callable[[Floats], Indices],
    center: Callable[[Indices], Floats],
) -> Axis:
    return Axis(
        bins=bins,
        decode=decode,
        encode=lambda values: center(locate(values)),
        lattice=Lattice(locate=locate, index=index, center=center),
    )


def _even(bins: int) -> tuple[Callable[[Floats], Indices], Callable[[Indices], Floats]]:
    """`index` and `center` of bins of one width."""
    last = bins - 1

    def index(u: Floats) -> Indices:
        return np.minimum((u * bins).astype(np.int64), last)

    def center(indices: Indices) -> Floats:
        return (indices + 0.5) / bins

    return index, center


def _categorical(parameter: Categorical) -> Axis:
    choices = parameter.choices
    bins = len(choices)
    last = bins - 1
    places = {(type(choice), choice): i for i, choice in enumerate(choices)}

    def decode(u: float) -> Any:
        i = int(u * bins)
        return choices[i if i < bins else last]

    def locate(values: Sequence[Any]) -> Indices:
        return np.array([places[value.__class__, value] for value in values], dtype=np.int64)

    return _discrete(bins, decode, locate, *_even(bins))


def _int(parameter: Int) -> Axis:
    low, step, bins = parameter.low, parameter.step, parameter.bins
    last = bins - 1

    def locate(values: Sequence[int]) -> Indices:
        return (np.array(values, dtype=np.int64) - low) // step

    if parameter.log and bins > 1:
        place, index, center = _uneven(bins, low / step)

        def decode(u: float) -> int:
            return low + step * place(u)

        return _discrete(bins, decode, locate, index, center)

    def decode_even(u: float) -> int:
        i = int(u * bins)
        return low + step * (i if i < bins else last)

    return _discrete(bins, decode_even, locate, *_even(bins))


def _stepped(parameter: Float) -> Axis:
    low, step, bins = parameter.low, parameter.step or 1.0, parameter.bins
    value_at = lattice_value(parameter)

    def locate(values: Sequence[float]) -> Indices:
        return np.rint((np.array(values, dtype=np.float64) - low) / step).astype(np.int64)

    if parameter.log and bins > 1:
        mirrored = parameter.log == "1-x"
        nearest = min((1.0 - value_at(bins - 1)) / step, _EVEN) if mirrored else low / step
        scale = _uneven(bins, nearest)
        place, index, center = _mirrored(bins, *scale) if mirrored else scale
        return _discrete(bins, lambda u: value_at(place(u)), locate, index, center)
    return _discrete(bins, lambda u: value_at(int(u * bins)), locate, *_even(bins))


_Bins = tuple[Callable[[float], int], Callable[[Floats], Indices], Callable[[Indices], Floats]]


def _mirrored(
    bins: int, place: Callable[[float], int], index: Callable[[Floats], Indices], center: Callable[[Indices], Floats]
) -> _Bins:
    """The same bins from right to left."""
    last = bins - 1
    return (
        lambda u: last - place(1.0 - u),
        lambda u: last - index(1.0 - u),
        lambda indices: 1.0 - center(last - indices),
    )


def _uneven(bins: int, low: float) -> _Bins:
    """Bins on a log scale: the index of one u, and `index` and `center`.

    In units of the step, value i has the bin [low + i - 1/2, low + i + 1/2], as in Optuna's IntDistribution; but the
    first bin reaches no lower than low / 2, where a long step would take it to 0 or below.

    Args:
        bins: The number of values, at least 2.
        low: The smallest value, in steps; above 0.
    """
    start = max(low - 0.5, low / 2)
    shift = 0.5 - (low - start)  # of the index against the distance from the start: 0 where the first bin is whole
    width = math.log1p((bins - shift) / start)
    last = bins - 1

    def place(u: float) -> int:
        i = int(start * math.expm1(u * width) + shift)
        return i if i < bins else last

    def middle(i: int) -> float:
        below = math.log1p((i - shift) / start) / width if i else 0.0
        above = math.log1p((i + 1 - shift) / start) / width if i < last else 1.0
        return (below + above) / 2

    # One u at a time: numpy's expm1 may differ from math's in the last bit, and so take another bin than decode does.
    def index(u: Floats) -> Indices:
        return np.array([place(one) for one in u.tolist()], dtype=np.int64)

    if bins <= _TABLE:
        table = np.array([middle(i) for i in range(bins)])
        return place, index, lambda indices: table[indices]
    return place, index, lambda indices: np.array([middle(i) for i in indices.tolist()], dtype=np.float64)
