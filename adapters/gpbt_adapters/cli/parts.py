"""Helpers shared by all commands: examples below the help, and tables.

Rich is imported only when something is printed.
"""

from collections.abc import Sequence

__all__ = ["examples", "print_table"]


def examples(*lines: str) -> str:
    r"""What stands below the help of a command, each line as it is (for click, behind a backspace).

    >>> examples("gpbt plugins", "gpbt plugins --json")
    '\x08\nExamples:\n  gpbt plugins\n  gpbt plugins --json'
    """
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "", turn: bool = False) -> None:
    """Prints a table, as wide as the terminal at most; into a pipe or a file, as wide as it is.

    Args:
        headings: One for each column.
        rows: Cells, as they are.
        empty: What is printed where there are no rows.
        turn: Whether rows may become columns where that makes the table fit into the terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for heading in headings:
            made.add_column(Text(heading), overflow="fold")
        for row in rows:
            made.add_row(*map(Text, row))
        return made

    def width(made: Table) -> int:
        return console.measure(made, options=console.options.update(width=10_000)).maximum

    console = Console(highlight=False, markup=False)
    if not rows:
        console.print(empty)
        return
    made = table(headings, rows)
    if not console.is_terminal:
        console.width = max(console.width, width(made))
    elif turn and width(made) > console.width:
        first, *others = zip(headings, *rows, strict=True)
        turned = table(first, others)
        made = min(made, turned, key=width)
    console.print(made)
