"""A run in a few labelled lines, the same in the terminal and in notebooks."""

import math

from gpbt_adapters.views.advice import advice
from gpbt_adapters.views.columns import Run
from gpbt_adapters.views.findings import amount
from gpbt_adapters.views.gains import gain_over_constant, gain_over_first
from gpbt_adapters.views.summary import overview
from gpbt_adapters.views.time import time_spent, times
from gpbt_adapters.views.words import number

__all__ = ["brief"]


def brief(run: Run) -> tuple[tuple[str, str], ...]:
    """The best score, what the run gained, where its time went, and the first advice: (label, text) pairs.

    What is not known is left out.

    >>> from gpbt import Float, Optimizer, Space
    >>> optimizer = Optimizer(Space(rate=Float(0, 1)), population=2, steps=1, preset="random")
    >>> brief(optimizer)
    (('best score', '-'),)
    """
    seen = overview(run)
    label = "best score" if seen.best_by == "score" else f"best by {seen.best_by}"
    if seen.best is None:
        return ((label, "-"),)
    told = [(label, f"{number(seen.score)} (trial {seen.best})")]
    gains = [
        (gain_over_constant(run), "over a constant config"),
        (gain_over_first(run), "over generation 0"),
    ]
    said = [
        f"{amount(gain.gain)} {over}{' (an estimate)' if gain.kind == 'estimate' else ''}"
        for gain, over in gains
        if gain is not None and not math.isnan(gain.gain)
    ]
    if said:
        told.append(("gain", ", ".join(said)))
    if times(run).known:
        told.append(("time", time_spent(run)[0]))
    found = [one for one in advice(run) if one.level == "look"] or advice(run)
    return (*told, *((("next", found[0].text),) if found else ()))
