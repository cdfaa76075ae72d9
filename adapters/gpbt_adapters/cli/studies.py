"""Commands for stored runs: list them, show their progress and print their results.

As everywhere on the command line, heavy modules are imported only when a command needs them. All commands are
read-only; if a SOURCE is a database, it must exist.
"""

import csv
import io
import json
import math
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from gpbt_adapters.cli.parts import examples, print_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gpbt_adapters.showing.sources import Watched
    from gpbt_core.state import State

__all__ = ["commands"]

_URL = click.argument("url")
_STUDY = click.argument("study", required=False)
_SOURCE = click.argument("source")


@click.command(epilog=examples("gpbt studies sqlite:///runs.db", "gpbt studies runs.db --json"))
@_URL
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def studies(*, url: str, as_json: bool) -> None:
    """List the studies of a journal; one that cannot be read is listed with the reason.

    URL is a database, "sqlite:///runs.db" or "postgresql://user@host/database", or the path of a SQLite file.
    """
    from gpbt_adapters.showing.sources import Follower, reading
    from gpbt_adapters.views.words import printable
    from gpbt_core import GpbtError

    found: list[dict[str, Any]] = []
    with reading(url) as journal:
        for name in journal.names():
            try:
                found.append(_plain(Follower(journal, name).read()))
            except GpbtError as error:  # e.g. a rule that is not installed; the other studies are unaffected
                found.append({"study": name, "stands": f"cannot be read: {error}"})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    headings = ("study", "generation", "trials", "best score", "status")
    rows = [
        [
            printable(one["study"]),
            f"{one['generation']} of {one['generations']}",
            str(sum(one["trials"].values())),
            "-" if one["score"] is None else f"{one['score']:.6g}",
            one["stands"],
        ]
        if "trials" in one
        else [printable(one["study"]), "-", "-", "-", printable(one["stands"])]
        for one in found
    ]
    print_table(headings, rows, empty="There is no study in this journal yet.")


@click.command(
    epilog=examples("gpbt status sqlite:///runs.db digits", "gpbt status runs.db --watch"),
    short_help="Show how far a study is, once or live.",
)
@_URL
@_STUDY
@click.option("--watch", is_flag=True, help="Go on until the study has finished, or Ctrl-C.")
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds between looks of --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch a line each time.")
def status(*, url: str, study: str | None, watch: bool, interval: float, as_json: bool) -> None:
    """Show the progress of a study: generation, best score, running and failed trials, time left.

    STUDY may be omitted if there is only one.
    """
    from rich.console import Console
    from rich.live import Live

    from gpbt_adapters.showing.sources import Follower, only_study, reading

    with reading(url) as journal:
        follower = Follower(journal, only_study(journal, study))
        seen = follower.read()
        if as_json:
            click.echo(json.dumps(_plain(seen), indent=None if watch else 2))
            while watch and not seen.state.finished:
                time.sleep(interval)
                seen = follower.read()
                click.echo(json.dumps(_plain(seen)))
            return
        console = Console(highlight=False, markup=False)
        if not watch:
            console.print(_screen(seen))
            return
        with Live(_screen(seen), console=console, auto_refresh=False) as live:
            while not seen.state.finished:
                time.sleep(interval)
                before, seen = seen, follower.read()
                if (seen.sequence, seen.workers) != (before.sequence, before.workers):
                    live.update(_screen(seen), refresh=True)


@click.command(
    epilog=examples(
        "gpbt schedule sqlite:///runs.db digits",
        "gpbt schedule runs.db digits --trial 17 --format csv > schedule.csv",
        "gpbt schedule run.json --format json",
    )
)
@_SOURCE
@_STUDY
@click.option("--trial", type=click.IntRange(min=0), help="Whose schedule; default: the best trial's.")
@click.option(
    "--format",
    "form",
    default="table",
    show_default=True,
    type=click.Choice(["table", "json", "csv"]),
    help="What it is printed as.",
)
def schedule(*, source: str, study: str | None, trial: int | None, form: str) -> None:
    """Print the schedule of the best trial, or of any other.

    SOURCE is a journal, as for `gpbt studies`, or a file: the JSON of Optimizer.to_dict(), or what `gpbt export` wrote.
    """
    from gpbt_adapters.views import overview, story
    from gpbt_core import ConfigError
    from gpbt_core.codec import encode_schedule
    from gpbt_core.genealogy import schedule as schedule_of

    state, name = _read(source, study)
    if trial is None:
        if state.final is None:
            raise ConfigError(f"{name}: {overview(state).nothing}, so none is the best; choose one with --trial")
        trial = state.final
    if trial >= len(state.records):
        raise ConfigError(f"{name}: expected a trial from 0 to {len(state.records) - 1}, got {trial}")
    found = schedule_of(state, trial)
    if form == "json":
        click.echo(json.dumps(encode_schedule(found), indent=2))
        return
    names = state.settings.space.names
    headings = ["start_step", "steps", *names]
    rows = [[part.start_step, part.steps, *_cells(part.config, names)] for part in found.segments]
    if form == "csv":
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([headings, *rows])
        click.echo(written.getvalue(), nl=False)
    else:
        from gpbt_adapters.views.words import number

        print_table(headings, [[number(cell) for cell in row] for row in rows], turn=True)
        if trial == state.final:
            for sentence in story(state):
                click.echo(sentence)


@click.command(
    epilog=examples("gpbt report sqlite:///runs.db digits -o digits.html", "gpbt report run.json"),
    short_help="Write a run as one HTML file.",
)
@_SOURCE
@_STUDY
@click.option(
    "-o", "--output", default="run.html", show_default=True, type=click.Path(path_type=Path), help="Where to."
)
@click.option("--title", help="Title of the page; default: the study's name.")
@click.option("--importance/--no-importance", default=True, help="Find out what mattered.")
def report(*, source: str, study: str | None, output: Path, title: str | None, importance: bool) -> None:
    """Write a complete report of a run as one HTML file that needs no network.

    SOURCE is a journal, as for `gpbt studies`, or a file: the JSON of Optimizer.to_dict(), or what `gpbt export` wrote.
    """
    from gpbt_adapters.showing.report import write_report
    from gpbt_adapters.showing.sources import without_password
    from gpbt_adapters.views.words import counted

    state, name = _read(source, study)
    command = shlex.join(["gpbt", "schedule", without_password(source), *([] if study is None else [study])])
    write_report(state, output, title=title or name, importance=importance, command=command)
    click.echo(f"{output}: {counted(len(state.records), 'trial')}, {output.stat().st_size / 1e6:.1f} MB")


@click.command(
    epilog=examples("gpbt compare sqlite:///runs.db", "gpbt compare runs.db digits-0 digits-1 --html compared.html"),
    short_help="Compare studies side by side.",
)
@_URL
@click.argument("names", nargs=-1, metavar="[STUDY]...")
@click.option("--html", "output", type=click.Path(path_type=Path), help="Write a page instead of printing tables.")
@click.option("--title", default="Comparison", show_default=True, help="Title of the page.")
def compare(*, url: str, names: tuple[str, ...], output: Path | None, title: str) -> None:
    """Compare two or more studies: best scores, steps, times and, as a page, curves and schedules.

    Without STUDY, all studies of the journal are compared. Studies with the same settings except the seed are repeats:
    they have a mean and a standard deviation, and are paired by seed with other repeats.
    """
    from gpbt_adapters.showing.sources import Follower, reading
    from gpbt_adapters.views import compare as compared

    with reading(url) as journal:
        states = {name: Follower(journal, name).read().state for name in names or journal.names()}
    if output is not None:
        from gpbt_adapters.showing.report import write_comparison

        write_comparison(states, output, title=title)
        click.echo(f"{output}: {len(states)} studies, {output.stat().st_size / 1e6:.1f} MB")
        return
    found = compared(states)
    print_table(*found.table)
    if found.group_table[1]:
        click.echo()
        print_table(*found.group_table)
    for said in found.told:
        click.echo(said)


@click.command(
    epilog=examples(
        "gpbt export sqlite:///runs.db digits -o digits.jsonl", "gpbt export runs.db digits -o trials.csv --format csv"
    )
)
@_SOURCE
@_STUDY
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A file that is not there yet.")
@click.option(
    "--format",
    "form",
    default="jsonl",
    show_default=True,
    type=click.Choice(["jsonl", "csv"]),
    help="jsonl: all events, to be read by gpbt again; csv: a row for each trial.",
)
def export(*, source: str, study: str | None, output: Path, form: str) -> None:
    """Write a run to a file: its events, or a table of its trials."""
    from gpbt_adapters.showing.sources import is_journal, only_study, reading
    from gpbt_core import ConfigError

    if form == "csv":
        state, _ = _read(source, study)
        with output.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
            _write_trials(state, file)
        return
    if Path(source).exists() and not is_journal(source):
        raise ConfigError(f"export: expected a journal, whose events are known, got the file {source!r}")
    with reading(source) as journal:
        name = only_study(journal, study)
    from gpbt_adapters.storing.journal import export_study

    export_study(source, name, output)


@click.command(
    epilog=examples("gpbt check runs.db", "gpbt check postgresql://me@host/runs"),
    short_help="Check that a journal is intact.",
)
@_URL
def check(*, url: str) -> None:
    """Compare a journal with its checksums and replay every study; nothing is changed.

    Exits with status 1 if something is damaged.
    """
    from gpbt_adapters.showing.sources import reading
    from gpbt_adapters.views.words import printable

    with reading(url):  # raises if it is not a journal
        from gpbt_adapters.storing.journal import check_journal

        found = check_journal(url)
    for name, damage in found.items():
        click.echo(f"{name or 'the database'}: {'intact' if damage is None else printable(damage)}")
    if not found:
        click.echo("There is no study in this journal yet.")
    if any(damage is not None for damage in found.values()):
        click.get_current_context().exit(1)


@click.command(
    epilog=examples("gpbt copy runs.db backup.db", "gpbt copy sqlite:///runs.db /backup/runs-$(date +%F).db"),
    short_help="Copy a SQLite journal safely.",
)
@_URL
@click.argument("destination", type=click.Path(path_type=Path))
def copy(*, url: str, destination: Path) -> None:
    """Copy a SQLite journal in its current state, even while it is in use.

    A copy of the file alone would miss data still in its write-ahead log (-wal). DESTINATION must not exist yet.
    """
    from gpbt_adapters.showing.sources import reading

    with reading(url):
        from gpbt_adapters.storing.journal import copy_journal

        copy_journal(url, destination)
    click.echo(f"{destination}: {destination.stat().st_size / 1e6:.1f} MB")


@click.command(epilog=examples("gpbt dashboard sqlite:///runs.db", "gpbt dashboard runs.db --port 9000"))
@_URL
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--name", "names", multiple=True, help="Another name under which browsers may ask for it.")
def dashboard(*, url: str, host: str, port: int, names: tuple[str, ...]) -> None:
    """Serve a live report of the studies of a journal.

    The dashboard is read-only. It has no password: anyone who can reach the port sees the runs. By default, only this
    machine can. Ctrl-C ends it.
    """
    from gpbt_adapters.showing.sources import reading

    with reading(url) as journal:
        from gpbt_adapters.showing.dashboard import serve  # after the check for SQLAlchemy

        serve(
            journal,
            host=host,
            port=port,
            names=names,
            announce=lambda address: click.echo(f"gpbt dashboard: {address}"),
        )


commands = (studies, status, schedule, report, compare, export, check, copy, dashboard)
"""The commands that `gpbt` adds from here."""


# ------------------------------------------------------------------------------------------------------------- inside


def _read(source: str, study: str | None) -> "tuple[State, str]":
    """A run and its name."""
    from gpbt_adapters.showing.sources import Follower, is_journal, only_study, read_file, reading
    from gpbt_core import ConfigError

    if not is_journal(source):
        if study is not None:
            raise ConfigError(f"{source!r}: expected a journal, in which a study has a name, got the file of one run")
        return read_file(source), Path(source).stem
    with reading(source) as journal:
        name = only_study(journal, study)
        return Follower(journal, name).read().state, name


def _plain(seen: "Watched") -> dict[str, Any]:
    """A study as plain data."""
    from gpbt_adapters.views import overview

    view = overview(seen.state)
    return {
        "study": seen.name,
        "stands": "extinct" if view.extinct else "finished" if view.finished else _worked(seen.workers),
        "generation": min(view.generation + 1, view.generations),
        "generations": view.generations,
        "trials": {kind.value: count for kind, count in view.counts.items()},
        "best": view.best,
        "best_by": view.best_by,
        "score": None if view.best is None else view.score,
        "steps": view.steps,
        "budget": view.budget,
        "seconds_left": seen.left,
        "store": seen.store,
    }


def _worked(workers: int) -> str:
    if not workers:
        return "nobody trains it"
    return f"trained by {workers} worker{'s' if workers > 1 else ''}"


def _screen(seen: "Watched") -> "RenderableType":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from gpbt_adapters.storing.collecting import uncollected
    from gpbt_adapters.views import brief, failures, overview
    from gpbt_adapters.views.words import printable

    data = _plain(seen)
    kinds = {} if seen.workers else {"running": "unfinished"}  # no worker trains the study
    counts = ", ".join(f"{count} {kinds.get(kind, kind)}" for kind, count in data["trials"].items())
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    with uncollected():
        told, revised = dict(brief(seen.state)), overview(seen.state).revised
    last = {name: told.pop(name) for name in ("time", "next") if name in told}
    rows: list[tuple[str, Any]] = [
        *told.items(),
        ("generation", f"{data['generation']} of {data['generations']}" + (f" ({revised})" if revised else "")),
        ("trials", f"{sum(data['trials'].values())}" + (f" ({counts})" if counts else "")),
        ("steps", f"{data['steps']:,} of {data['budget']:,}"),
        ("", ProgressBar(total=max(1, data["budget"]), completed=data["steps"], width=40, complete_style="cyan")),
    ]
    if not seen.state.finished:
        rows.append(("time left", "-" if seen.left is None else _duration(seen.left)))
    if seen.store is not None:
        rows.append(("checkpoints", printable(seen.store)))
    for failure in failures(seen.state)[:3]:
        count, text = len(failure.trials), printable(failure.reason)
        rows.append((failure.status.value, Text(f"{count} x {text}", overflow="ellipsis", no_wrap=True)))
    rows += last.items()
    for label, value in rows:
        table.add_row(label, Text(value) if isinstance(value, str) else value)
    head = Text.assemble((printable(seen.name), "bold"), f"  {data['stands']}")
    return Group(head, table)


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {minutes:.0f} min" if minutes < 90 else f"about {hours:.1f} h"


def _write_trials(state: "State", file: IO[str]) -> None:
    from gpbt_adapters.views import trials
    from gpbt_adapters.views.words import printable

    table, names = trials(state), state.settings.space.names
    writer = csv.writer(file, lineterminator="\n")
    head = ["trial", "parent", "generation", "status", "score", "start_step", "steps", "trained", "reason", *names]
    writer.writerow(head)
    for i, kind in enumerate(table.status):
        parent, score = int(table.parent[i]), float(table.score[i])
        known = ["" if parent < 0 else parent, int(table.generation[i]), kind.value, "" if math.isnan(score) else score]
        steps = [int(column[i]) for column in (table.start_step, table.ordered, table.trained)]
        writer.writerow([i, *known, *steps, printable(table.reasons[i] or ""), *_cells(table.configs[i], names)])


def _cells(config: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    """A config as part of a row: only inactive parameters are empty, because None is a value too."""
    values = [config.get(name, "") for name in names]
    return ["None" if value is None else value for value in values]
