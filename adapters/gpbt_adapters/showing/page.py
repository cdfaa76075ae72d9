"""The page that shows a run: its content as plain data, and the files that draw it in a browser.

Reports embed these data, and the dashboard sends them repeatedly. This module alone defines what is on the page. The
files in `web/` define how it is drawn; they insert all texts as text, never as HTML.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from gpbt_adapters.showing import figures
from gpbt_adapters.views import (
    Importance,
    Overview,
    Replays,
    Run,
    failures,
    overview,
    savings,
    schedules,
    state_of,
    story,
    time_spent,
)
from gpbt_adapters.views.words import counted, number, settings, span
from gpbt_core.records import Status

__all__ = ["asset", "contents", "embedded", "plotly_script"]

SHOWN = 200
"""The maximum number of failure reasons that a page lists."""


def asset(name: str) -> str:
    """The text of one of gpbt's files for browsers; `name` never comes from outside."""
    return resources.files("gpbt_adapters.showing").joinpath("web", name).read_text("utf-8")


def plotly_script() -> str:
    """Plotly's JavaScript, about 5 MB.

    Raises:
        ImportError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ImportError('a report needs plotly, which is not installed: pip install "gpbt[report]"') from error
    return str(get_plotlyjs())


def embedded(data: Any) -> str:
    r"""Data as JSON that is safe in a script element of a page: nothing in it can end the element.

    >>> embedded({"reason": "</script>"})
    '{"reason":"\\u003c/script>"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def contents(
    run: Run,
    title: str,
    importance: Mapping[int, Importance] | None = None,
    replays: Replays | None = None,
) -> dict[str, Any]:
    """All content of the page of a run, as plain JSON-able data.

    Args:
        run: The run, finished or not.
        title: The name of the run.
        importance: By generation, the known shares of the hyperparameters; see `views.importances`.
        replays: Replays of the best schedule, if you made any.
    """
    seen = overview(run)
    space = state_of(run).settings.space
    goal = "lower is better" if seen.direction == "minimize" else "higher is better"
    return {
        "title": title,
        "subtitle": f"{_where(seen)} · {goal} · {counted(len(space), 'hyperparameter')} · seed {seen.seed}",
        "tiles": _tiles(run, seen),
        "sections": [
            _drawn(
                "genealogy",
                "Genealogy",
                "Each trial by generation, with a line to the parent whose weights it started from. Siblings are "
                "together, the best on top. Lines to trials with children are darker. The darker a trial, the better "
                "its score. Hold Ctrl and scroll to zoom, drag to move, and point at a trial to see its details.",
                run,
            ),
            _drawn(
                "score",
                "Scores",
                "The score of each trial, in the order of the slots. The axis leaves out outliers; double-click to see "
                "all trials.",
                run,
            ),
            _drawn(
                "curve",
                "Learning curves",
                "The scores along the lines of the best trial and of the newest parents. A child continues where its "
                "parent ended.",
                run,
            ),
            _drawn(
                "schedule",
                "Schedules",
                "The schedules of the best trial and of the newest parents, for each hyperparameter.",
                run,
            ),
            _best(run, seen, replays),
            _importance(importance or {}),
            _drawn(
                "parallel",
                "Parallel coordinates",
                "Completed trials; the darker, the better. Drag along an axis to select a range; double-click to undo.",
                run,
            ),
            _drawn("stopping", "Early stopping", _saved(run), run),
            *_times(run),
            _failed(run),
        ],
        "footer": _version(),
    }


def _tiles(run: Run, seen: Overview) -> list[list[str]]:
    counts = {status: seen.counts.get(status, 0) for status in Status}
    asked = sum(counts.values())
    tally = state_of(run).tally
    share = f"{seen.steps / seen.budget:.0%} of the budget of {seen.budget:,}" if seen.budget else ""
    return [
        [seen.heading, number(seen.score), seen.nothing if seen.best is None else f"trial {seen.best}"],
        ["generations", f"{min(seen.generation + 1, seen.generations)} of {seen.generations}", _where(seen)],
        ["trials", f"{asked:,}", f"{counts[Status.COMPLETED]:,} completed, {seen.pending:,} in training"],
        ["steps trained", f"{seen.steps:,}", share],
        [
            "stopped early",
            f"{counts[Status.STOPPED]:,}",
            f"{counted(tally.saved, 'step')} saved, {tally.refilled:,} trained in their place",
        ],
        ["failed", f"{counts[Status.FAILED]:,}", f"{counts[Status.CANCELLED]:,} cancelled"],
    ]


def _where(seen: Overview) -> str:
    if seen.extinct:
        return "extinct"
    return "finished" if seen.finished else "not finished"  # a state does not know whether anyone trains it


def _drawn(name: str, title: str, about: str, run: Run) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "about": about,
        "figure": figures.FIGURES[name](run),
        "empty": "There is nothing to show yet.",
    }


def _best(run: Run, seen: Overview, replays: Replays | None) -> dict[str, Any]:
    view = schedules(run, most=0)
    columns, rows = ["steps", *(axis.name for axis in view.axes)], []
    about = f"{seen.nothing.capitalize()}."
    if view.best is not None:
        about = f"The schedule that trained trial {view.best.trial}, with a score of {number(view.best.score)}."
        about = " ".join([about, *story(run)])
        for part in view.best.schedule.segments:
            values = [number(part.config[axis.name]) if axis.name in part.config else "-" for axis in view.axes]
            rows.append([span(part.start_step, part.steps), *values])
        if replays is not None:
            about += f" Models trained from scratch under this schedule: {replays}."
    return _listed("best", "The best schedule", about, columns, rows, empty="")


def _saved(run: Run) -> str:
    view = savings(run)
    text = f"{view.trained:,} of {view.budget:,} steps were trained"
    if view.saved:
        text += f"; {view.saved:,} were saved by stopping, and {view.refilled:,} trained in additional trials instead"
    return f"{text}."


def _times(run: Run) -> list[dict[str, Any]]:
    """Where the time went; empty if nobody noted times."""
    told = time_spent(run)
    known = {**_drawn("spent", "Time by generation", " ".join(told), run), "empty": told[0]}
    return [
        known,
        {**_drawn("workers", "Workers over time", "Which worker trained which trials when.", run), "empty": told[0]},
        {**_drawn("more", "With more workers", _more(run), run), "empty": told[0]},
    ]


def _more(run: Run) -> str:
    return (
        "An estimate: each trial takes as long as it did and starts as soon as a worker is free and the results are "
        "there that it depends on. It leaves out the start of the workers and the driver's own work, and assumes that "
        f"more workers do not slow one another down. max_concurrent = {state_of(run).settings.max_concurrent} lets no "
        "more workers be used."
    )


def _failed(run: Run) -> dict[str, Any]:
    found = failures(run)
    rows = [
        [
            str(len(one.trials)),
            one.status.value,
            one.reason,
            ", ".join(map(str, one.trials[:8])) + (", …" if len(one.trials) > 8 else ""),
            ", ".join(map(str, one.generations[:8])) + (", …" if len(one.generations) > 8 else ""),
            settings(one.config),
        ]
        for one in found[:SHOWN]
    ]
    about = "Trials that failed or were cancelled, by reason. Reasons that differ only in numbers count as one."
    if len(found) > SHOWN:
        about += f" The {SHOWN} most frequent of {len(found):,} reasons."
    columns = ["trials", "status", "reason", "which", "generations", "config of the first"]
    return _listed("failures", "Failures", about, columns, rows, empty="Nothing failed.")


def _listed(
    name: str, title: str, about: str, columns: list[str], rows: list[list[str]], *, empty: str
) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "about": about,
        "table": {"columns": columns, "rows": rows, "empty": empty},
    }


def _importance(found: Mapping[int, Importance]) -> dict[str, Any]:
    return {
        "id": "importance",
        "title": "Importance",
        "about": "How much each hyperparameter contributed to the differences between siblings, which start from the "
        "same weights. Numbers stand where a share is above the noise floor, which chance gives a hyperparameter "
        "without effect. Small generations are pooled with those before them.",
        "figure": figures.importance(found),
        "empty": "No generation is closed, or the importances have not been computed yet.",
    }


def _version() -> str:
    from importlib import metadata

    return f"gpbt {metadata.version('gpbt')}"
