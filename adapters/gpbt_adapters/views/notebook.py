"""A run in a few lines of HTML, for a notebook.

Needs no plotting library; `report` and `plots` show more.
"""

import html

from gpbt_adapters.views import Run, brief, overview, schedules, story
from gpbt_adapters.views.words import counted, number, span

__all__ = ["run_html"]

_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
_CELL = "text-align:left;padding:2px 14px 2px 0"


def run_html(run: Run, *, note: str = "") -> str:
    """A run as an HTML fragment: its result, and the best schedule as a table.

    Args:
        run: The run, finished or not.
        note: A further note, as text.

    Examples:
        >>> from gpbt import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space({"<rate>": Float(1, 1)}), population=4, steps=2, preset="random")
        >>> (trial,) = optimizer.ask()
        >>> optimizer.tell(trial.id, 0.5)
        >>> "best score 0.5" in run_html(optimizer), "&lt;rate&gt;" in run_html(optimizer)
        (True, True)
    """
    seen, view = overview(run), schedules(run, most=0)
    best = seen.nothing
    if seen.best is not None:
        best = f"{seen.heading} {number(seen.score)} (trial {seen.best})"
    where = "extinct" if seen.extinct else "finished" if seen.finished else "not finished"
    said = f"{best}; {where}, {counted(sum(seen.counts.values()), 'trial')}, {seen.spent}"
    parts = [f"<div><p><b>{_text(best)}</b>{_text(said[len(best) :] + note)}</p>"]
    if view.best is not None:
        head = _row("th", ["steps", *(axis.name for axis in view.axes)])
        parts.append(f'<table style="{_TABLE}"><thead>{head}</thead><tbody>')
        for part in view.best.schedule.segments:
            steps = span(part.start_step, part.steps)
            values = [number(part.config[axis.name]) if axis.name in part.config else "-" for axis in view.axes]
            parts.append(_row("td", [steps, *values]))
        parts.append("</tbody></table>")
    parts += [f"<p>{_text(sentence)}</p>" for sentence in story(run)]
    parts += [f"<p><b>{label}:</b> {_text(text)}</p>" for label, text in brief(run)[1:]]
    return "".join([*parts, "</div>"])


def _row(kind: str, cells: list[str]) -> str:
    opening, closing = f'<{kind} style="{_CELL}">', f"</{kind}>"
    return f"<tr>{''.join(opening + _text(cell) + closing for cell in cells)}</tr>"


def _text(text: str) -> str:
    return html.escape(text)
