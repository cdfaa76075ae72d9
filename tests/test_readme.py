"""The README: its code runs as it stands, its commands are the ones that are used, its map is the repository's."""

import re

import click
import pytest

from gpbt_adapters.cli.main import cli
from page_blocks import ROOT, blocks_of, run_page

PAGE = ROOT / "README.md"
TEXT = PAGE.read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return [block.content for block in blocks_of(PAGE) if block.language == language]


def _commands() -> list[str]:
    return [line for block in _blocks("sh") for line in block.splitlines()]


def test_every_block_of_python_runs_in_the_order_of_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(_blocks("python")) >= 4
    page = run_page(PAGE, monkeypatch)
    assert "eta0" in capsys.readouterr().out
    assert page.result.best.score < 1


def test_the_loop_has_at_most_twenty_lines_and_the_searcher_fifteen() -> None:
    _, loop, searcher = (code.strip().splitlines() for code in _blocks("python")[:3])
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
