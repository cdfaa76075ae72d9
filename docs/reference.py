"""Fills the reference pages: `python docs/reference.py` writes them, `--check` says whether they are up to date.

A page lists its names in a comment, `<!-- names gpbt: run Result -->`, or `<!-- names gpbt.pytorch -->` for all of a
module. Below it this program writes a table, so that the page can be read anywhere, and a directive for each name,
from which the site takes its docstring. A name that is documented on another page appears in the table only, as a link.
"""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PAGES = Path(__file__).parent / "reference"
BLOCK = re.compile(r"<!-- names ([\w.]+)(?:: ([\w ]+))? -->\n(?:.*?<!-- end of names -->\n)?", re.DOTALL)


def pages() -> list[Path]:
    """The pages, in the order of the navigation: the first that lists a name is its home."""
    text = (PAGES.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    found = re.findall(r": (reference/[\w/]+\.md)$", text, re.MULTILINE)
    return [PAGES.parent / name for name in [*found, "reference/index.md"]]


def listed(page: Path) -> Iterator[tuple[str, str]]:
    """The names on a page: each with the module that it is imported from."""
    for module, names in BLOCK.findall(page.read_text(encoding="utf-8")):
        yield from ((module, name) for name in names.split() or importlib.import_module(module).__all__)


def homes() -> dict[int, tuple[Path, str]]:
    """By the identity of what it names: where each public name is documented, and under which path."""
    found: dict[int, tuple[Path, str]] = {}
    for page in pages():
        for module, name in listed(page):
            found.setdefault(id(getattr(importlib.import_module(module), name)), (page, f"{module}.{name}"))
    return found


def summary(thing: object, module: str, name: str) -> str:
    """The first line of a docstring; of a constant, the first line of the text below it."""
    if inspect.isclass(thing) or inspect.isroutine(thing):
        text = inspect.getdoc(thing) or ""
    else:
        source = inspect.getsource(importlib.import_module(_defining(module, name)))
        found = re.search(rf'^{name}\b(?:(?!^""").)*?^"""(.*?)(?:\n\n|""")', source, re.MULTILINE | re.DOTALL)
        text = found[1] if found else ""
    line = " ".join(text.split("\n\n")[0].split())
    if not line:
        raise SystemExit(f"{module}.{name} has no docstring, and no text below its definition")
    return line.replace("|", "\\|")


def _defining(module: str, name: str) -> str:
    """The module that assigns a constant, found along the imports."""
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _defining(str(node.module), name)
    return module


def filled(page: Path, known: dict[int, tuple[Path, str]]) -> str:
    """A page with its tables and directives."""

    def block(found: re.Match[str]) -> str:
        module, names = found[1], (found[2] or "").split()
        chosen = names or list(importlib.import_module(module).__all__)
        rows, directives = [], []
        for name in chosen:
            thing = getattr(importlib.import_module(module), name)
            home, path = known[id(thing)]
            here = home == page and path == f"{module}.{name}"
            link = f"`{name}`" if here else f"[`{name}`]({_relative(home, page)})"
            rows.append(f"| {link} | {summary(thing, module, name)} |")
            directives += [f"::: {path}"] if here else []
        head = f"<!-- names {module}{': ' + ' '.join(names) if names else ''} -->"
        table = "\n".join([f"| `from {module} import` ... | |", "|---|---|", *rows])
        return "\n\n".join([head, table, *directives, "<!-- end of names -->\n"])

    return BLOCK.sub(block, page.read_text(encoding="utf-8"))


def _relative(home: Path, page: Path) -> str:
    return home.name if home.parent == page.parent else f"../{home.relative_to(PAGES)}"


def main() -> int:
    """Writes or checks all pages; the status is 1 if a check finds one out of date."""
    known = homes()
    stale = [page for page in pages() if filled(page, known) != page.read_text(encoding="utf-8")]
    for page in stale:
        if "--check" in sys.argv:
            print(f"{page.relative_to(PAGES.parent)} is out of date: run python docs/reference.py")
        else:
            page.write_text(filled(page, known), encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
