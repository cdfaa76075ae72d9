"""How the steps of each generation were spent, as a figure."""

from gpbt_adapters.showing.figures.parts import Figure, base_layout, generations_axis, legend_above, plain_axis
from gpbt_adapters.showing.palette import BACK, CALM, PART
from gpbt_adapters.views import Run, Savings, savings, state_of

__all__ = ["stopping"]


def stopping(run: Run) -> Figure:
    """The steps of each generation: of trials that were not stopped, of stopped trials, and saved."""
    return _stopping(savings(run), state_of(run).generations)


def _stopping(view: Savings, planned: int) -> Figure:
    generations = list(range(len(view.completed)))
    bars = (
        ("trained, not stopped", view.completed, {"color": CALM}),
        ("trained, then stopped", view.stopped, {"color": PART}),
        ("saved by stopping", view.untrained, {"color": BACK, "line": {"color": PART, "width": 1.5}}),
    )
    data = [
        {
            "type": "bar",
            "name": name,
            "x": generations,
            "y": values.tolist(),
            "marker": marker,
            "width": 0.6,
            "hovertemplate": "generation %{x}: %{y} steps<extra>" + name + "</extra>",
        }
        for name, values, marker in bars
    ]
    layout = base_layout(
        320,
        height=340,
        barmode="stack",
        xaxis=generations_axis(planned),
        yaxis={**plain_axis(), "title": {"text": "steps", "font": {"size": 12}}, "rangemode": "tozero"},
        legend=legend_above(),
    )
    return {"data": data, "layout": layout}
