"""Reads results files, and writes the tables and plots of a comparison.

    python -m benchmarks.report results.jsonl --html report.html --markdown report.md

Without `--html` or `--markdown` the tables go to the screen as Markdown. With `--cells` each problem under each budget
is a cell, and the report shows who leads over all cells and who is the strongest rival in each.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks import plots
from benchmarks.cells import grouped, rivals, standing
from benchmarks.collection import Collection, collect, flaw
from benchmarks.pages import as_html, as_markdown
from benchmarks.results import read_results
from benchmarks.sections import Section, costs, counted, everywhere, outcome, pairs, ranks, speed, speed_matrix, spread

__all__ = ["main"]

SHOWN = 10  # default number of entrants in a plot or matrix: more lines are hard to tell apart


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the report of the command line; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        lines: Iterable[dict[str, Any]] = itertools.chain.from_iterable(read_results(path) for path in given.results)
        if given.problem:
            lines = (line for line in lines if line["problem"] in given.problem.split(","))
        if given.method:
            lines = (line for line in lines if line["method"] in given.method.split(","))
        collection = collect(_sound(lines), given.budget, cells=given.cells)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    reference = given.reference or collection.entrants()[0]
    if reference not in collection.entrants():
        parser.error(f"--reference: must be one of {', '.join(collection.entrants())}, got {reference!r}")
    shown = given.show.split(",") if given.show else _shown(collection, reference)
    for name in shown:
        if name not in collection.entrants():
            parser.error(f"--show: must be some of {', '.join(collection.entrants())}, got {name!r}")
    introduction = _introduction(collection, cells=given.cells)
    sections = _of_cells if given.cells else _sections
    if given.html:
        pictured = sections(collection, reference, shown, pictures=True)
        given.html.write_text(as_html(given.title, introduction, pictured), encoding="utf-8")
    if given.preface:
        introduction = f"{given.preface.read_text('utf-8').strip()}\n\n{introduction}"
    text = as_markdown(given.title, introduction, sections(collection, reference, shown, pictures=False))
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")
    elif not given.html:
        print(text)
    return 0


def _sound(lines: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The lines that can be compared; reports the others on standard error."""
    for line in lines:
        if (wrong := flaw(line)) is None:
            yield line
        else:
            name = f"{line['problem']} {line['method']} seed {line['seed']} {line['models']}x{line['steps']}"
            print(f"{name}: left out: {wrong}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path, nargs="+", help="files written by python -m benchmarks.run")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one HTML file with tables and plots")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--preface", type=Path, metavar="FILE", help="Markdown to begin the Markdown page with")
    parser.add_argument("--reference", metavar="NAME", help="whom to compare with all others; the first of the file")
    parser.add_argument("--show", metavar="NAMES", help=f"entrants in plots and matrices; the {SHOWN} best ranked")
    parser.add_argument("--problem", metavar="NAMES", help="only these, comma-separated")
    parser.add_argument("--method", metavar="NAMES", help="only these, comma-separated")
    parser.add_argument("--budget", type=_budget, metavar="MODELSxSTEPS", help="the main one; that of the most runs")
    parser.add_argument("--cells", action="store_true", help="compare problems under all budgets, each pair a cell")
    parser.add_argument("--title", default="Benchmarks", help="of the page")
    return parser


def _budget(text: str) -> tuple[int, int]:
    if not (match := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)):
        raise argparse.ArgumentTypeError(f"must be MODELSxSTEPS, such as 25x10, got {text!r}")
    return int(match[1]), int(match[2])


def _shown(collection: Collection, reference: str) -> list[str]:
    """The reference, then the best ranked of those that ran everywhere, then others in the order of the file."""
    table = ranks(collection).table if everywhere(collection) else None
    ranked = [row[0] for row in table.rows] if table else []
    return list(dict.fromkeys([reference, *ranked, *collection.entrants()]))[:SHOWN]


def _introduction(collection: Collection, *, cells: bool) -> str:
    runs = [len(found) for problem in collection.problems.values() for found in problem.runs.values()]
    seeds = (f"{min(runs)} to " if min(runs) < max(runs) else "") + counted(max(runs), "seed")
    models, steps = collection.budget
    versions = ", ".join(f"{name} {' and '.join(found)}" for name, found in sorted(collection.versions.items()))
    size = "At reduced size: a check that everything runs, and no result. " if collection.smoke else ""
    noun, budget = "problem", f"An entrant without a budget in its name has {models} x {steps} steps. "
    if cells:
        noun, budget = "cell", "A cell is a problem with a budget, models x steps. "
    return (
        f"{size}{counted(sum(runs), 'run')}: {counted(len(collection.problems), noun)}, "
        f"{counted(len(collection.entrants()), 'entrant')}, {seeds} each. {budget}"
        f"Made with {versions}. Written by `python -m benchmarks.report`."
    )


def _sections(collection: Collection, reference: str, shown: Sequence[str], *, pictures: bool) -> list[Section]:
    sections = []
    if everywhere(collection):
        sections.append(ranks(collection))
    sections += [pairs(collection, reference, "validation"), pairs(collection, reference, "test")]
    sections += [speed(collection, reference), spread(collection, reference), costs(collection)]
    sections.append(Section(title="Problem by problem", text="Best test median first."))
    for name, problem in collection.problems.items():
        found = outcome(name, problem, reference)
        if pictures:
            found = attrs.evolve(found, figure=plots.anytime(name, problem, shown) + plots.boxes(name, problem, shown))
        sections += [found, speed_matrix(name, problem, shown)]
    return sections


def _of_cells(collection: Collection, reference: str, shown: Sequence[str], *, pictures: bool) -> list[Section]:
    sections = [standing(collection, reference), rivals(collection, reference)]
    if everywhere(collection):
        sections += [grouped(collection, "problem"), grouped(collection, "budget")]
    sections += [costs(collection, detailed=False), Section(title="Cell by cell", text="Best test median first.")]
    for name, problem in collection.problems.items():
        found = outcome(name, problem, reference)
        if pictures:
            found = attrs.evolve(found, figure=plots.anytime(name, problem, shown) + plots.boxes(name, problem, shown))
        sections.append(found)
    return sections


if __name__ == "__main__":
    sys.exit(main())
