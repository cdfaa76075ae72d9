"""The importance of hyperparameters by generation, as a figure."""

from collections.abc import Mapping

from gpbt_adapters.showing.figures.parts import Figure, base_layout, escaped, named, plain_axis

__all__ = ["importance"]


def importance(found: Mapping[int, Mapping[str, float]]) -> Figure:
    """The importance of hyperparameters by generation: a row for each, the most important on top.

    Args:
        found: The share of each hyperparameter, by generation; see `views.importances`.
    """
    names = sorted(
        {name for shares in found.values() for name in shares},
        key=lambda name: sum(shares.get(name, 0.0) for shares in found.values()),
    )
    rows = [[round(shares.get(name, 0.0), 4) for shares in found.values()] for name in names]
    few = len(found) * len(names) <= 300
    trace = {
        "type": "heatmap",
        "x": [str(generation) for generation in found],
        "y": list(range(len(names))),
        "z": rows,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "#f5f6f8"], [0.5, "#6baed6"], [1, "#08306b"]],
        "xgap": 2 if few else 0,
        "ygap": 2 if few else 0,
        "text": [[escaped(name)] * len(found) for name in names],
        "texttemplate": "%{z:.0%}" if few else "",
        "hovertemplate": "%{text}, generation %{x}: %{z:.1%}<extra></extra>",
        "showscale": False,
    }
    layout = base_layout(
        140 + 50 * len(found),
        height=132 + max(26 * len(names), 60),
        xaxis={
            **plain_axis(),
            "type": "category",
            "title": {"text": "generation", "standoff": 8, "font": {"size": 12}},
            "showgrid": False,
        },
        yaxis={
            **plain_axis(),
            "tickvals": list(range(len(names))),
            "ticktext": named(names, 24),
            "showgrid": False,
            "automargin": True,
        },
    )
    return {"data": [trace] if found and names else [], "layout": layout}
