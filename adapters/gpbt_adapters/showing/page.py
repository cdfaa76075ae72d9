"""The page that shows a run: its content as plain data, and the files that draw it in a browser.

Reports embed these data, and the dashboard sends them repeatedly. This module alone defines what is on the page:
groups, each a question, of sections with `id`, `title`, `about` and one of

    facts   a list of {"text", "level"}; the level is "good", "look", "unknown" or ""
    figure  a Plotly figure of scatter and bar traces, or of one heatmap or parcoords trace; "empty": shown without data
    table   {"columns", "rows", "empty"}, cells are text, numbers or None; with "sort" true, headings sort
    sparks  a list of {"name", "text", "points", "range"}: small pictures of [step, height from 0 to 1 or None]
    code    a list of {"name", "about", "text"}, one tab each

The files in `web/` define how it is drawn; they insert all texts as text, never as HTML.
"""

import json
import math
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, Literal

from gpbt_adapters.showing import figures
from gpbt_adapters.showing.palette import DARK
from gpbt_adapters.showing.settings import settings_rows, space_rows
from gpbt_adapters.storing.collecting import uncollected
from gpbt_adapters.views import (
    Axis,
    Comparison,
    Finding,
    Importance,
    Line,
    Overview,
    Replays,
    Run,
    advice,
    codes,
    curves,
    failures,
    gain_over_constant,
    gain_over_first,
    overview,
    savings,
    schedules,
    state_of,
    time_spent,
    times,
    trials,
    trust,
)
from gpbt_adapters.views.findings import amount
from gpbt_adapters.views.words import counted, number, settings, span
from gpbt_core.records import Status

__all__ = ["asset", "comparison_contents", "contents", "embedded"]

SHOWN = 200
"""The maximum number of failure reasons that a page lists."""

Section = dict[str, Any]


def asset(name: str) -> str:
    """The text of one of gpbt's files for browsers; `name` never comes from outside."""
    return resources.files("gpbt_adapters.showing").joinpath("web", name).read_text("utf-8")


def embedded(data: Any) -> str:
    r"""Data as JSON that is safe in a script element of a page: nothing in it can end the element.

    >>> embedded({"reason": "</script>"})
    '{"reason":"\\u003c/script>"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@uncollected()
def contents(
    run: Run,
    title: str,
    importance: Mapping[int, Importance] | None = None,
    replays: Replays | None = None,
    *,
    command: str = "",
) -> dict[str, Any]:
    """All content of the page of a run, as plain JSON-able data.

    Args:
        run: The run, finished or not.
        title: The name of the run.
        importance: By generation, the known shares of the hyperparameters; see `views.importances`.
        replays: Replays of the best schedule, if you made any.
        command: The command that prints the best schedule, if there is one.
    """
    seen = overview(run)
    space = state_of(run).settings.space
    goal = "lower is better" if seen.direction == "minimize" else "higher is better"
    return {
        "title": title,
        "subtitle": f"{_where(seen)} · {goal} · {counted(len(space), 'hyperparameter')} · seed {seen.seed}",
        "tiles": _tiles(run, seen, replays),
        "groups": [
            _group("result", "What did I get?", _result(run, seen, replays), columns=2),
            _group("trust", "Can I trust it?", [_facts("findings", trust(run, importance, replays), seen)], half=True),
            _group("next", "What next?", [_facts("advice", advice(run, importance, replays), seen)], half=True),
            _group("use", "How do I use it?", _use(run, command), columns=2),
            _group("course", "What happened?", _course(run)),
            _group("learning", "How did it learn?", _learning(run)),
            _group("time", "Where did the time go?", _time(run)),
            _group("effects", "What mattered?", _effects(run, importance or {})),
            _group("setup", "How was it set up?", _setup(run), columns=2),
        ],
        "footer": _version(),
        "dark": dict(DARK),
    }


def comparison_contents(view: Comparison, title: str) -> dict[str, Any]:
    """All content of the page that compares runs, as plain JSON-able data."""
    goal = "lower is better" if view.direction == "minimize" else "higher is better"
    headings, rows = view.table
    groups, group_rows = view.group_table
    outcome = [_listed("runs", "Studies", "", headings, rows)]
    if group_rows:
        about = "Studies with the same settings except the seed."
        outcome.append(_listed("repeats", "Repeats", about, groups, group_rows))
    if view.told:
        pairs = _said("pairs", view.told)
        outcome.append({**pairs, "title": "Paired by seed", "about": "Only seeds that both have count."})
    return {
        "title": title,
        "subtitle": f"{counted(len(view.runs), 'study', 'studies')} · {goal}",
        "tiles": [],
        "groups": [
            _group("outcome", "What did they get?", outcome),
            _group(
                "course",
                "How did they get there?",
                [
                    {
                        "id": "scores",
                        "title": "Best score over steps trained",
                        "about": "Steps are counted in the order of the slots, which does not depend on the workers. "
                        "The axis leaves out the worst scores; double-click to see all.",
                        "figure": figures.compared_scores(view),
                        "empty": "No trial is completed yet.",
                    },
                    {
                        "id": "schedules",
                        "title": "The best schedules",
                        "about": "The schedule of the best trial of each study.",
                        "figure": figures.compared_schedules(view),
                        "empty": "No trial is completed yet.",
                    },
                ],
            ),
        ],
        "footer": _version(),
        "dark": dict(DARK),
    }


def _group(
    name: str, title: str, sections: list[Section], *, half: bool = False, columns: Literal[1, 2] = 1
) -> dict[str, Any]:
    """A part of the page; on a wide screen, it takes half of the width, or has its sections in columns."""
    return {"id": name, "title": title, "sections": sections, "half": half, "columns": columns}


def _where(seen: Overview) -> str:
    if seen.extinct:
        return "extinct"
    return "finished" if seen.finished else "not finished"  # a state does not know whether anyone trains it


def _tiles(run: Run, seen: Overview, replays: Replays | None) -> list[list[str]]:
    counts = {status: seen.counts.get(status, 0) for status in Status}
    asked = sum(counts.values())
    fates = [
        f"{count:,} {name}"
        for name, count in (
            ("completed", counts[Status.COMPLETED]),
            ("stopped early", counts[Status.STOPPED]),
            ("failed", counts[Status.FAILED]),
            ("cancelled", counts[Status.CANCELLED]),
            ("in training", seen.pending),
        )
        if count
    ]
    note = seen.nothing if seen.best is None else f"trial {seen.best}"
    tiles = [[seen.heading, number(seen.score), note]]
    if replays is not None:
        scored, _, of = str(replays).partition(" over ")
        tiles.append(["score of its replays", scored, of])
    constant, first = gain_over_constant(run), gain_over_first(run)
    if constant is not None:
        known = not math.isnan(constant.gain)
        note = {"control": "with control lines", "itself": "the best is one itself"}.get(constant.kind, "an estimate")
        tiles.append(["gain over a constant", amount(constant.gain) if known else "unknown", note if known else ""])
    if first is not None:
        tiles.append(["gain over generation 0", amount(first.gain), f"which scored {number(first.score)}"])
    tiles += [
        [
            "generations",
            f"{min(seen.generation + 1, seen.generations)} of {seen.generations}",
            ", ".join(filter(None, (_where(seen), seen.revised))),
        ],
        ["trials", f"{asked:,}", ", ".join(fates)],
        ["steps trained", f"{seen.steps:,}", seen.spent.removeprefix(f"{seen.steps:,} ")],
    ]
    return tiles


def _result(run: Run, seen: Overview, replays: Replays | None) -> list[Section]:
    view = schedules(run, most=0)
    if view.best is None:
        return [_said("summary", [f"{seen.nothing.capitalize()}."])]
    best, schedule = view.best, view.best.schedule
    said = [f"The schedule that trained trial {best.trial} scored {number(best.score)}."]
    if replays is not None:
        said.append(f"Models trained from scratch under it scored {replays}.")
    said += [gain.text for gain in (gain_over_constant(run), gain_over_first(run)) if gain is not None]
    return [
        _said("summary", said),
        {
            "id": "shape",
            "title": "The best schedule",
            "about": f"Each hyperparameter over {counted(schedule.steps, 'step')}, on the scale of the search.",
            "sparks": [_spark(axis, best) for axis in view.axes],
        },
    ]


def _use(run: Run, command: str) -> list[Section]:
    view = schedules(run, most=0)
    best = view.best
    rows: list[list[Any]] = []
    shown: list[dict[str, str]] = []
    if best is not None:
        rows = [
            [span(part.start_step, part.steps), *(part.config.get(axis.name) for axis in view.axes)]
            for part in best.schedule.segments
        ]
        shown = [{"name": code.name, "about": code.about, "text": code.text} for code in codes(best.schedule)]
        if command:
            shown.insert(1, {"name": "Terminal", "about": "Prints the schedule.", "text": f"{command}\n"})
    columns = ["steps", *(axis.name for axis in view.axes)]
    return [
        {"id": "code", "title": "The best schedule as code", "about": "", "code": shown},
        _listed("best", "The best schedule as a table", "", columns, rows, empty="No trial is completed."),
    ]


def _said(name: str, texts: Iterable[str]) -> Section:
    return {"id": name, "title": "", "about": "", "facts": [{"text": text, "level": ""} for text in texts]}


def _facts(name: str, found: tuple[Finding, ...], seen: Overview) -> Section:
    if not found:
        return _said(name, [f"{seen.nothing.capitalize()}." if seen.best is None else "There is nothing to advise."])
    return {"id": name, "title": "", "about": "", "facts": [{"text": one.text, "level": one.level} for one in found]}


def _spark(axis: Axis, line: Line) -> dict[str, Any]:
    """A hyperparameter along a line: its values at both ends as text, and the ends of its segments, from 0 to 1."""
    points: list[list[float | None]] = []
    for part in line.schedule.segments:
        share = 0.5 if axis.low == axis.high and axis.name in part.config else axis.share(part.config)
        height = None if math.isnan(share) else round(share, 4)
        points += [[part.start_step, height], [part.start_step + part.steps, height]]
    values = [_short(part.config[axis.name]) for part in line.schedule.segments if axis.name in part.config]
    text = "not active" if not values else values[0] if len(set(values)) == 1 else f"{values[0]} → {values[-1]}"
    return {"name": axis.name, "text": text, "points": points, "range": _range(axis)}


def _short(value: Any) -> str:
    return number(float(f"{value:.3g}") if isinstance(value, float) else value)


def _range(axis: Axis) -> str:
    if axis.scale == "category":
        text = "one of " + ", ".join(axis.labels)
        return text if len(text) <= 60 else f"{text[:59]}…"
    return f"from {axis.text(axis.low)} to {axis.text(axis.high)}"


def _course(run: Run) -> list[Section]:
    return [
        _drawn(
            "genealogy",
            "Genealogy",
            "Each trial by generation, with a line to the parent whose weights it started from. Siblings are "
            "together, the best on top. The more a trial stands out, the better its score. "
            + _revised(run)
            + "Hold Ctrl and scroll to zoom, drag to move, and point at a trial to see its details.",
            run,
        ),
        _drawn(
            "score",
            "Scores",
            "The score of each trial, in the order of the slots. "
            + _revised(run)
            + "The axis leaves out outliers; double-click to see all trials.",
            run,
        ),
        _trials(run),
        _failed(run),
    ]


def _revised(run: Run) -> str:
    settings = state_of(run).settings
    if not settings.revisits:
        return ""
    last = len(settings.lengths) - 1
    return f"Generations {settings.line} to {last} revise the best line: they train its last steps again. "


def _learning(run: Run) -> list[Section]:
    return [
        _drawn(
            "curve",
            "Learning curves",
            _curves(run),
            run,
        ),
        _drawn(
            "schedule",
            "Schedules",
            "The schedules of the best trial and of the newest parents, for each hyperparameter.",
            run,
        ),
    ]


def _curves(run: Run) -> str:
    view = curves(run)
    names = figures.figure_names(view)
    said = (
        "The score after each step, along the lines of the best trial and of the newest parents. A child continues "
        "where its parent ended; trials that were stopped early end there. The axis leaves out the worst scores; "
        "double-click to see all."
    )
    if view.left_out:
        said += f" {counted(view.left_out, 'further trial')} of the background are left out."
    if names:
        said += " Below, what the trainables report at the end of each trial."
    hidden = len(names) - figures.PANELS
    if hidden > 0:
        said += f" {counted(hidden, 'further figure')} of the trainables {'is' if hidden == 1 else 'are'} not shown."
    return said


def _time(run: Run) -> list[Section]:
    told = time_spent(run)
    sections = [
        _drawn("spent", "Time of the workers", " ".join(told), run),
        _drawn(
            "workers",
            "Workers over time",
            "A row for each worker, a bar for each trial. Point at a bar to see the trial.",
            run,
        ),
        _drawn("more", "With more workers", _more(run), run),
    ]
    if not times(run).known:
        sections = [_said("spent", told)]
    return [*sections, _drawn("stopping", "Early stopping", _saved(run), run)]


def _more(run: Run) -> str:
    most = state_of(run).settings.max_concurrent
    return (
        "An estimate: each trial takes as long as it did, and starts as soon as a worker is free and the results that "
        "it depends on are known. It leaves out the start of the workers and the driver's own work, and assumes that "
        f"workers do not slow one another down. With max_concurrent={most}, more than {counted(most, 'worker')} "
        "cannot be used."
    )


def _effects(run: Run, importance: Mapping[int, Importance]) -> list[Section]:
    return [
        {
            "id": "importance",
            "title": "Importance",
            "about": "How much each hyperparameter contributed to the differences between siblings, which start from "
            "the same weights. Numbers stand where a share is above the noise floor, which chance gives a parameter "
            "without effect. Small generations are pooled with those before them.",
            "figure": figures.importance(importance),
            "empty": "No generation is closed, or the importances have not been computed yet.",
        },
        _drawn(
            "slices",
            "Slices",
            "The score of each completed trial over each hyperparameter. Later trials start from better weights, so "
            "compare trials of the same generation.",
            run,
        ),
        _drawn(
            "parallel",
            "Parallel coordinates",
            "Completed trials; the more a line stands out, the better its score. Drag along an axis to select a range; "
            "double-click the axis to undo. The table of trials has the same numbers.",
            run,
        ),
    ]


def _setup(run: Run) -> list[Section]:
    chosen = state_of(run).settings
    columns = ["hyperparameter", "kind", "from", "to", "scale", "active when"]
    return [
        _listed("settings", "Settings", "", ["setting", "value"], settings_rows(chosen)),
        _listed("space", "Space", "", columns, space_rows(chosen.space)),
    ]


def _drawn(name: str, title: str, about: str, run: Run) -> Section:
    return {
        "id": name,
        "title": title,
        "about": about,
        "figure": figures.FIGURES[name](run),
        "empty": "There is nothing to show yet.",
    }


def _saved(run: Run) -> str:
    view = savings(run)
    text = f"{overview(run).spent} were trained"
    if view.saved:
        text += f"; {view.saved:,} were saved by stopping, and {view.refilled:,} trained in additional trials instead"
    return f"{text}."


def _trials(run: Run) -> Section:
    table, names = trials(run), state_of(run).settings.space.names
    columns = ["trial", "generation", "parent", "status", "from step", "steps", "score", *names]
    rows = [
        [
            i,
            generation,
            parent if parent >= 0 else None,
            status.value,
            start + 1,
            trained,
            float(f"{score:.6g}") if math.isfinite(score) else None,
            *(float(f"{v:.6g}") if isinstance(v, float) else v for v in map(config.get, names)),
        ]
        for i, (generation, parent, status, start, trained, score, config) in enumerate(
            zip(
                table.generation.tolist(),
                table.parent.tolist(),
                table.status,
                table.start_step.tolist(),
                table.trained.tolist(),
                table.score.tolist(),
                table.configs,
                strict=True,
            )
        )
    ]
    about = "Select a heading to sort by it."
    return _listed("trials", "Trials", about, columns, rows, empty="There is no trial yet.", sort=True)


def _failed(run: Run) -> Section:
    found = failures(run)
    rows = [
        [
            len(one.trials),
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
    name: str, title: str, about: str, columns: list[str], rows: list[list[Any]], *, empty: str = "", sort: bool = False
) -> Section:
    return {
        "id": name,
        "title": title,
        "about": about,
        "table": {"columns": columns, "rows": rows, "empty": empty, "sort": sort},
    }


def _version() -> str:
    from importlib import metadata

    return f"gpbt {metadata.version('gpbt')}"
