"""Tables on the command line: none is cut off, in a terminal or in a pipe."""

import pytest

from gpbt_adapters.cli.parts import print_table

HEADINGS = ["start_step", *(f"a rather long name {i}" for i in range(9))]
ROWS = [[str(step), *("0.000123457" for _ in range(9))] for step in (0, 8)]


def test_a_pipe_gets_every_row_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADINGS, ROWS, turn=True)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ROWS[0] in lines
    assert ROWS[1] in lines


def test_in_a_terminal_rows_become_columns_where_they_would_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("COLUMNS", "60"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    print_table(HEADINGS, ROWS, turn=True)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60
    assert all(heading in shown for heading in HEADINGS)
    assert shown.count("0.000123457") == 18


def test_a_table_that_fits_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("COLUMNS", "60"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    print_table(["a", "b"], [["[red]1", "2"]], turn=True)
    assert ["[red]1", "2"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a"], [], empty="There is none.")
    assert capsys.readouterr().out == "There is none.\n"
