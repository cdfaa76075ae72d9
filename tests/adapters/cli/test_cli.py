"""The command line: what it prints, where, and with which exit code."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from gpbt_adapters.cli import demo
from gpbt_adapters.cli.main import main
from gpbt_core import ConfigError


def _failing(error: BaseException) -> object:
    def show(**_: object) -> None:
        raise error

    return show


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["plugins", "-h"], ["--version"]])
def test_asking_for_help_or_the_version_is_no_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out
    assert not printed.err


@pytest.mark.parametrize("command", ["demo", "plugins"])
def test_the_help_of_every_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, "--help"])
    assert f"gpbt {command}" in capsys.readouterr().out.partition("Examples:")[2]


@pytest.mark.parametrize("arguments", [["dmeo"], ["demo", "--seeds", "0"], ["plugins", "--yaml"]])
def test_wrong_usage_ends_with_2_and_says_so_on_stderr(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("Error:")


def test_an_error_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "show", _failing(ConfigError("population: expected at least 4,\n got 3")))
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "gpbt: ConfigError: population: expected at least 4, got 3\n"


def test_with_debug_the_error_itself_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "show", _failing(ConfigError("no")))
    with pytest.raises(ConfigError, match="no"):
        main(["--debug", "demo"])


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "show", _failing(KeyboardInterrupt()))
    assert main(["demo"]) == 130
    assert capsys.readouterr().err.strip() == "gpbt: interrupted"


def test_the_installed_program_passes_its_exit_code_on() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="gpbt")
    program = f"import sys; from {entry.module} import {entry.attr}; sys.exit({entry.attr}())"
    done = subprocess.run([sys.executable, "-c", program, "dmeo"], check=False, capture_output=True, text=True)
    assert done.returncode == 2


def test_the_plugins_that_come_with_gpbt_are_listed_with_their_distribution(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plugins", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    searchers = {row["name"]: row for row in rows if row["kind"] == "searcher"}
    assert {"random", "sobol", "perturb", "tpe"} <= searchers.keys()
    assert searchers["tpe"]["distribution"] == f"gpbt {metadata.version('gpbt')}"
    assert main(["plugins"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in searchers)
