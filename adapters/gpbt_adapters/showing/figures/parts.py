"""What all figures share: layouts, axes, texts and colors."""

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gpbt_adapters.showing.palette import BACK, GRID, INK, PALE, SCALE
from gpbt_adapters.views import Run, Trials, state_of
from gpbt_adapters.views.columns import Ints
from gpbt_adapters.views.words import number, span

__all__ = [
    "COLORS",
    "FONT",
    "MOST",
    "Figure",
    "base_layout",
    "color_scale",
    "columns_of",
    "domain_of",
    "drawn_of",
    "escaped",
    "generations_axis",
    "hover_texts",
    "legend_above",
    "line_trace",
    "log_ticks",
    "minimizes",
    "named",
    "nice_ticks",
    "nines_ticks",
    "padded",
    "panel_title",
    "plain_axis",
    "score_axis",
    "short",
    "shortened",
    "thinned",
]

Figure = dict[str, Any]


MOST = 2000
"""The number of trials that a figure draws at most: more would hide one another, and take seconds to draw."""


FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", "color": INK, "size": 13}


COLORS = [[i / (len(SCALE) - 1), color] for i, color in enumerate(SCALE)]


def base_layout(least_width: int, **more: Any) -> Figure:
    """The layout that all figures share, with further attributes.

    Args:
        least_width: The width in pixels below which a page scrolls the figure sideways instead of shrinking it.
        more: Attributes of Plotly's layout.
    """
    return {
        "meta": {"leastWidth": least_width},
        "font": FONT,
        "paper_bgcolor": BACK,
        "plot_bgcolor": BACK,
        "margin": {"l": 60, "r": 20, "t": 62, "b": 50},  # top: a line of buttons and a line of legend
        "hoverlabel": {"bgcolor": BACK, "bordercolor": PALE, "align": "left", "font": {"color": INK, "size": 12}},
        "uirevision": "kept",  # a new generation keeps zoom and selections
        **more,
    }


def plain_axis() -> Figure:
    """An axis with ticks outside and pale lines."""
    return {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": PALE,
        "tickcolor": PALE,
        "ticks": "outside",
        "tickfont": {"size": 11},
        "exponentformat": "e",  # 2e-5 as elsewhere, not 20µ
    }


def score_axis(bounds: tuple[float, float] | None) -> Figure:
    """An axis for scores within bounds (None: there are none), logarithmic if they span more than two powers of ten."""
    axis = {**plain_axis(), "title": {"text": "score", "font": {"size": 12}}}
    if bounds is None:
        return axis
    if bounds[0] > 0 and bounds[1] > 100 * bounds[0]:
        low, high = math.log10(bounds[0]), math.log10(bounds[1])
        return {**axis, "type": "log", "range": padded(low, high), "dtick": max(1, round((high - low) / 10))}
    return {**axis, "range": padded(*bounds)}


def generations_axis(count: int) -> Figure:
    """An axis with room for this many generations."""
    pad = 0.5 if count < 30 else 0.02 * count
    axis = {
        **plain_axis(),
        "title": {"text": "generation", "standoff": 8, "font": {"size": 12}},
        "range": [-pad, count - 1 + pad],
    }
    axis |= {"showgrid": False, "dtick": 1} if count <= 12 else {"showgrid": False, "tickformat": "d"}
    return axis


def legend_above() -> Figure:
    """A legend on one line above the plot, with its entries in the order of the traces."""
    return {
        "orientation": "h",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"size": 12},
        "traceorder": "normal",
    }


def panel_title(text: str, x: float, y: float, place: int) -> Figure:
    """The title of one of several panels, counted by `place`; x and y are shares of the plot."""
    return {
        "name": str(place),
        "text": f"<b>{text}</b>",
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12},
    }


def line_trace(x: Any, y: Any, *, color: str, width: float) -> Figure:
    """Lines without hover texts."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": short(x),
        "y": short(y),
        "line": {"color": color, "width": width},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def hover_texts(table: Trials, ids: Ints) -> dict[int, str]:
    """The hover texts of some trials, by id."""
    texts = {}
    parents, starts, trained = table.parent.tolist(), table.start_step.tolist(), table.trained.tolist()
    names = list(dict.fromkeys(name for config in table.configs for name in config))
    shown = dict(zip(names, named(names, 30), strict=True))
    for i in ids.tolist():
        said = [f"<b>trial {i}</b> · {table.status[i].value}", f"score {number(float(table.score[i]))}"]
        steps = f"steps {span(starts[i], trained[i])}" if trained[i] else "no steps yet"
        said.append(steps + (f" · child of {parents[i]}" if parents[i] >= 0 else ""))
        said += [f"{shown[name]} = {escaped(number(value), 40)}" for name, value in table.configs[i].items()][:20]
        reason = table.reasons[i]
        if reason:
            said.append(f"<i>{escaped(reason, 120)}</i>")
        texts[i] = "<br>".join(said)
    return texts


def escaped(text: str, most: int = 60) -> str:
    """Text that Plotly shows literally, cut to a number of characters."""
    line = " ".join(text.split())
    cut = line if len(line) <= most else f"{line[: most - 1]}…"
    return html.escape(cut, quote=False)  # Plotly knows no entities for quotes


def shortened(names: Sequence[str], most: int) -> list[str]:
    """Names on one line each, cut to a number of characters so that different names stay different.

    A name that is too long loses its middle. It keeps more of its end, which distinguishes nested names. If two names
    would become equal, another part is cut, or less if no part will do.

    >>> shortened(["encoder.attention.dropout", "decoder.attention.dropout", "lr"], 16)
    ['encod…on.dropout', 'decod…on.dropout', 'lr']
    >>> shortened(["layers.07.attention.dropout", "layers.08.attention.dropout"], 16)
    ['layers.07…ropout', 'layers.08…ropout']
    """
    lines = [" ".join(name.split()) for name in names]
    while True:
        for head in (most // 3, *range(most)):
            tail = most - 1 - head
            made = [line if len(line) <= most else f"{line[:head]}…{line[len(line) - tail :]}" for line in lines]
            if len(set(made)) == len(set(lines)):
                return made
        most += 1


def named(names: Sequence[str], most: int) -> list[str]:
    """The names of `shortened`, escaped for Plotly."""
    return [html.escape(name, quote=False) for name in shortened(names, most)]


def nice_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round values from low to high, evenly spaced; low < high.

    >>> nice_ticks(0.5, 0.9999), nice_ticks(1, 30, whole=True), nice_ticks(1, 3, whole=True)
    ([0.5, 0.6, 0.7, 0.8, 0.9], [10.0, 20.0, 30.0], [1.0, 2.0, 3.0])
    """
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round values from low to high for a logarithmic axis that is too short for powers of ten; 0 < low <= high.

    >>> log_ticks(16, 256), log_ticks(8, 64), log_ticks(62, 78), log_ticks(1, 4, whole=True)
    ([20.0, 50.0, 100.0, 200.0], [10.0, 20.0, 50.0], [65.0, 70.0, 75.0], [1.0, 2.0, 3.0, 4.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
    inside = [tick for tick in found if low <= tick <= high]
    return inside if len(inside) > 2 or low == high else nice_ticks(low, high, whole=whole)


def nines_ticks(low: float, high: float) -> list[float]:
    """Places of round values on the scale "1-x", where x is drawn at -log10(1 - x).

    >>> nines_ticks(1, 4), [round(tick, 3) for tick in nines_ticks(0.9, 2.1)]
    ([1.0, 2.0, 3.0, 4.0], [1.0, 1.301, 1.699, 2.0])
    """
    low, high = round(low, 9), round(high, 9)
    if high - low >= 2:
        return [float(tick) for tick in range(math.ceil(low), math.floor(high) + 1)]
    nearest, farthest = (float(f"{10.0**-place:.8g}") for place in (high, low))  # without rounding errors
    return sorted(-math.log10(distance) for distance in log_ticks(nearest, farthest))


def color_scale(*, minimize: bool) -> list[list[Any]]:
    """The colors of scores from the lowest to the highest."""
    if minimize:
        return COLORS
    return [[share, color] for (share, _), (_, color) in zip(COLORS, reversed(COLORS), strict=True)]


def short(values: npt.ArrayLike) -> list[float | None]:
    """Values with six digits, which are enough to draw and half as long; None for values that are not finite."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in np.asarray(values, dtype=np.float64).tolist()]


def padded(low: float, high: float) -> list[float]:
    """A range with some room on both sides."""
    pad = 0.06 * (high - low) or abs(low) * 0.05 or 0.5
    return [low - pad, high + pad]


def columns_of(panels: int) -> int:
    """How many of so many panels stand side by side."""
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


def domain_of(place: int, count: int, gap: float) -> tuple[float, float]:
    """The start and end of one of `count` panels, as shares of the plot."""
    width = (1 - gap * (count - 1)) / count
    start = place * (width + gap)
    return start, min(1.0, start + width)


def thinned(ids: Ints, most: int = MOST, *, first: Ints | None = None) -> Ints:
    """At most so many ids, evenly spread over their order; those in `first` before the others.

    >>> thinned(np.arange(10), 4), thinned(np.arange(10), 4, first=np.array([2, 3, 7])).tolist()
    (array([0, 3, 6, 9]), [0, 2, 3, 7])
    """
    if len(ids) <= most:
        return ids
    if first is not None:
        wanted = np.isin(ids, first)
        taken = thinned(ids[wanted], most)
        return ids[np.isin(ids, np.concatenate([taken, thinned(ids[~wanted], most - len(taken))]))]
    return ids[np.linspace(0, len(ids) - 1, most).round().astype(np.int64)]


def drawn_of(drawn: int, count: int) -> str:
    """How many of the trials a figure draws, in brackets.

    >>> drawn_of(5, 5), drawn_of(1000, 2000)
    ('(5)', '(1,000 of 2,000)')
    """
    return f"({count:,})" if drawn == count else f"({drawn:,} of {count:,})"


def minimizes(run: Run) -> bool:
    """Whether low scores are good."""
    return state_of(run).settings.direction == "minimize"
