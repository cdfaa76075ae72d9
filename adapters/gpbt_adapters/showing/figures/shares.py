"""The importance of hyperparameters by generation, as a figure."""

from collections.abc import Mapping

from gpbt_adapters.showing.figures.parts import Figure, base_layout, escaped, named, plain_axis
from gpbt_adapters.views import Importance

__all__ = ["importance"]


def importance(found: Mapping[int, Importance]) -> Figure:
    """The importance of hyperparameters by generation: a row for each, the most important on top.

    Shares below the noise floor are pale and have no number; hovering shows them, the interval and the floor.

    Args:
        found: The importance of the hyperparameters, by generation.
    """
    names = sorted(
        {name for one in found.values() for name in one},
        key=lambda name: sum(one[name] for one in found.values() if name in one.named),
    )
    few = len(found) * len(names) <= 300
    trace = {
        "type": "heatmap",
        "x": [_generations(generation, one) for generation, one in found.items()],
        "y": list(range(len(names))),
        "z": [[round(one[name], 4) if name in one.named else 0 for one in found.values()] for name in names],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "#f5f6f8"], [0.5, "#6baed6"], [1, "#08306b"]],
        "xgap": 2 if few else 0,
        "ygap": 2 if few else 0,
        "text": [[f"{one[name]:.0%}" if few and name in one.named else "" for one in found.values()] for name in names],
        "texttemplate": "%{text}",
        "customdata": [[_hover(name, one) for one in found.values()] for name in names],
        "hovertemplate": "%{customdata}<extra></extra>",
        "showscale": False,
    }
    layout = base_layout(
        140 + 50 * len(found),
        height=132 + max(26 * len(names), 60),
        xaxis={
            **plain_axis(),
            "type": "category",
            "title": {
                "text": "generations"
                if all(one.enough for one in found.values())
                else "generations (?: too few trials)",
                "standoff": 8,
                "font": {"size": 12},
            },
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


def _generations(last: int, one: Importance) -> str:
    """The pooled generations, with a question mark if they have too few trials to tell what matters."""
    return f"{last if one.first == last else f'{one.first}-{last}'}{'' if one.enough else ' ?'}"


def _hover(name: str, one: Importance) -> str:
    said = "" if name in one.named else "<br>not enough trials to tell"
    return (
        f"{escaped(name)}: {one[name]:.1%} ({one.low[name]:.0%} to {one.high[name]:.0%})<br>by chance up to "
        f"{one.floor[name]:.0%}; {one.trials} trials{said}"
    )
