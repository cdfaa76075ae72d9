"""The code of a page in Markdown: found block by block, and run as a reader would who follows the page from its top."""

import contextlib
import importlib.metadata
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import attrs
import pytest

from gpbt_adapters.cli import main as cli

__all__ = ["ROOT", "Block", "as_one_script", "blocks_of", "check_command", "check_outputs", "run_page"]

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r'^([ \t]*)```[ \t]*(\w+)(?: title="([^"\n]+)")?[^\n]*\n(.*?)^\1```[ \t]*$', re.MULTILINE | re.DOTALL
)
NUMBER = re.compile(r"(?<![\w.])-?\d*\.?\d+(?:e-?\d+)?(?![\w.])")

BREAK = "\f"
GUARD = 'if __name__ == "__main__":\n'

NOT_RUN = {"demo", "dashboard"}
"""Commands of gpbt that take minutes, or do not end."""


@attrs.frozen
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence.
        line: At which line of the page its content starts, from 1.
        content: What is in it, without the indentation of its fence.
        title: The file that it belongs to: a program of its own, if it has a guard `if __name__ == "__main__":`;
            otherwise a module, whose blocks the page uses. Empty: a part of the page alone.
    """

    language: str
    line: int
    content: str
    title: str = ""


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page with a language, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[2], text.count("\n", 0, match.start(4)) + 1, textwrap.dedent(match[4]), match[3] or "")
        for match in BLOCK.finditer(text)
    ]


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Runs the Python of a page in one namespace, and its commands of gpbt, in order and in the current folder.

    Python with a title is a program or a module: a program is written to the file of that name and run, a module is
    written there, one block after the other, and runs as a part of the page as well.

    A block `text` right behind a block of Python or a command is what that printed; numbers may differ by .2 percent,
    as the last digits depend on the machine.
    """
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)  # as in a script: what it defines can go to other processes
    printed = ""
    for block in blocks_of(page):
        if block.language in ("python", "sh"):
            printed = _printed(block, page, module)
            sys.stdout.write(printed)
        elif block.language == "text":
            _check_output(block, page, printed)
    return module


def check_outputs(page: Path, printed: str) -> None:
    """Compares each block `text` of a page with what its script printed for the block of Python before it."""
    outputs = printed.split(BREAK)
    seen = 0
    for block in blocks_of(page):
        seen += block.language == "python" and not _on_top(block)
        if block.language == "text":
            _check_output(block, page, outputs[seen])


def _check_output(block: Block, page: Path, printed: str) -> None:
    where = f"{page.name}, line {block.line}"
    assert _words(block.content) == _words(printed), where
    assert _numbers(block.content) == pytest.approx(_numbers(printed), rel=0.002), where


def check_command(line: str) -> None:
    """Whether a line of shell that is not run names what there is: an extra, a module, a program."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["pip", "install"]:
        for extras in re.findall(r"(?:gpbt|\.)\[([\w,]+)\]", line):
            known = set(importlib.metadata.metadata("gpbt").get_all("Provides-Extra") or [])
            assert set(extras.split(",")) <= known, line
    elif words[:2] in (["python", "-m"], ["python3", "-m"]):
        assert importlib.util.find_spec(words[2]) is not None, line
    elif words[:1] == ["python"]:
        assert (ROOT / words[1]).is_file() or words[1] == "train.py", line
    else:
        assert words[0] in {"git", "cd", "gpbt", "mkdocs", "export", "./check", "twine"}, line


def _run_python(block: Block, page: Path, module: types.ModuleType) -> None:
    padded = "\n" * (block.line - 1) + block.content  # so that a traceback names the line of the page
    exec(compile(padded, str(page), "exec"), vars(module))  # noqa: S102 - the page is our own


def is_program(block: Block) -> bool:
    """Whether a block is a program of its own."""
    return bool(block.title) and GUARD in block.content


def _on_top(block: Block) -> bool:
    """Whether a block is a part of a module, which a script has above its guard."""
    return bool(block.title) and not is_program(block)


def as_one_script(page: Path) -> str:
    """The Python of a page as one script: its modules on top, and all that it runs, programs too, below the guard.

    It prints a form feed before what each block below the guard prints, for `check_outputs`.
    """
    every = blocks_of(page)
    assert all(block.language != "sh" for block in every), f"{page.name}: a script cannot run commands"
    blocks = [block for block in every if block.language == "python"]
    top = [block.content for block in blocks if _on_top(block)]
    run = [
        block.content.partition(GUARD)[2] if is_program(block) else block.content
        for block in blocks
        if not _on_top(block)
    ]
    below = [f"print({BREAK!r})\n{textwrap.dedent(text)}" for text in run]
    return "\n".join([*top, GUARD, textwrap.indent("\n".join(below), "    ")])


def run_program(block: Block) -> str:
    """Runs a block as a program, as its worker processes import it from a file; what it printed."""
    Path(block.title).write_text(block.content, encoding="utf-8")
    done = subprocess.run([sys.executable, block.title], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run_commands(block: Block, where: str) -> None:
    for line in block.content.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["gpbt"] and not NOT_RUN.intersection(words[1:2]):
            _run_command(words[1:], f"{where}: {line}")
        elif words:
            check_command(line)


def _run_command(words: list[str], where: str) -> None:
    """Runs a command of gpbt in this process; with `> file` at its end, what it prints goes there."""
    *words, file = words if words[-2:-1] == [">"] else (*words, "")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main(words[:-1] if file else words) == 0, where
    if file:
        Path(file).write_text(out.getvalue(), encoding="utf-8")
    else:
        sys.stdout.write(out.getvalue())


def _printed(block: Block, page: Path, module: types.ModuleType) -> str:
    """Runs a block; what it wrote to stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if block.language == "python" and is_program(block):
            sys.stdout.write(run_program(block))
        elif block.language == "python":
            if block.title:
                with Path(block.title).open("a", encoding="utf-8") as file:
                    file.write(block.content)
            _run_python(block, page, module)
        else:
            _run_commands(block, f"{page.name}, line {block.line}")
    return out.getvalue()


def _words(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def _numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]
