"""The README: its code runs as it stands, its commands are the ones that are used, its map is the repository's."""

import re
import sys
import types
from pathlib import Path

import click
import pytest

from gpbt_adapters.cli import cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[tuple[int, str]]:
    """The line at which each block of a language starts (from 1), and its code."""
    found = [match for match in BLOCK.finditer(TEXT) if match[1] == language]
    return [(TEXT.count("\n", 0, match.start(2)) + 1, match[2]) for match in found]


def _commands() -> list[str]:
    return [line for _, block in _blocks("sh") for line in block.splitlines()]


def test_every_block_of_python_runs_in_the_order_of_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = _blocks("python")
    assert len(blocks) >= 3
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # what the page defines can be pickled, as in a script
    for line, code in blocks:
        padded = "\n" * (line - 1) + code  # so that a traceback names the line of the page
        exec(compile(padded, str(ROOT / "README.md"), "exec"), vars(page))  # noqa: S102 - the page is our own
    assert "eta0" in capsys.readouterr().out
    assert page.result.best.score < 1


def test_the_first_loop_has_at_most_twenty_lines_and_the_searcher_fifteen() -> None:
    loop, searcher = (code.strip().splitlines() for _, code in _blocks("python")[:2])
    assert len([line for line in loop if line]) <= 20
    start = next(number for number, line in enumerate(searcher) if line.startswith("class"))
    end = next(number for number, line in enumerate(searcher) if number > start and line and not line.startswith(" "))
    assert len([line for line in searcher[:end] if line]) <= 15


def test_the_page_has_the_two_commands_that_do_everything() -> None:
    main_job, tests = _commands()
    assert main_job.endswith(".venv/bin/gpbt demo")
    assert tests.endswith("./check")
    for path in re.findall(r"-c (\S+)", tests):
        assert (ROOT / path).is_file()


def test_continuous_integration_runs_the_test_command_of_the_page() -> None:
    assert _commands()[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_command_of_gpbt_that_the_page_names_exists() -> None:
    context = click.Context(cli)
    for command in re.findall(r"`gpbt (\w+)", TEXT):
        assert cli.get_command(context, command) is not None


def test_every_path_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|toml|txt))`", TEXT)
    assert len(named) >= 8
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_map_names_every_folder_at_the_top() -> None:
    folders = {path.parts[0] for path in (each.relative_to(ROOT) for each in ROOT.glob("[!.]*/**/*.py"))}
    for folder in folders - {"build", "dist", "site"}:
        assert f"`{folder}/" in TEXT, folder
