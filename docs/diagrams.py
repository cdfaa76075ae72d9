"""Draws the diagrams: `python docs/diagrams.py` writes them, `--check` says whether they are up to date.

The life of a trial is drawn from the table in `gpbt_core/state/life.py`, the layers from the contracts in
`pyproject.toml`. Only where a box lies is said here.
"""

import sys
import tomllib
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from gpbt_core.records import Status
from gpbt_core.state import ENDED, LIFE, PENDING

ASSETS = Path(__file__).parent / "assets"
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1f2933; text-anchor: middle; dominant-baseline: central; }
.move, .note { font-size: 12px; fill: #69758a; }
.halo { font-size: 12px; stroke: #ffffff; stroke-width: 6px; }
.title { font-weight: 600; }
rect { fill: #ffffff; stroke: #c3cad5; stroke-width: 1.2; }
.frame { fill: none; stroke-dasharray: 5 4; }
path { fill: none; stroke: #69758a; stroke-width: 1.3; }
.tip { fill: #69758a; stroke: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e8ebf0; } .move, .note { fill: #c3cad5; } .halo { stroke: #1e2129; }
  rect { fill: #2b303b; stroke: #69758a; } .frame { fill: none; } path { stroke: #c3cad5; } .tip { fill: #c3cad5; }
}
"""
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'
)

WIDTH, HEIGHT = 118, 38  # of a box
PLACES: Mapping[Status, tuple[int, int]] = {
    Status.QUEUED: (140, 110),
    Status.RUNNING: (380, 110),
    Status.STOPPING: (660, 110),
    Status.COMPLETED: (190, 330),
    Status.FAILED: (375, 330),
    Status.CANCELLED: (515, 330),
    Status.STOPPED: (660, 330),
}
"""The middle of each box."""

WORDS = {"stop": "report answers STOP"}
"""Moves that are no calls, in words."""


def life() -> str:
    """The life of a trial as an SVG."""
    arrows: dict[tuple[Status, Status], list[str]] = {}
    for status, moves in LIFE.items():
        for move, after in moves.items():
            arrows.setdefault((status, after), []).append(move)
    shared = {  # a move that leads from every pending status to the same one is drawn once, from their frame
        (move, after)
        for move, after in LIFE[PENDING[0]].items()
        if all(LIFE[status].get(move) is after for status in PENDING)
    }
    parts = [_box(x, y, status.value) for status, (x, y) in PLACES.items()]
    parts += [_frame(PENDING, 44), _frame(ENDED, 40)]
    start = PLACES[Status.RUNNING]
    parts += [_arrow((start[0], 20), (start[0], start[1] - HEIGHT // 2), "ask", (start[0], 42))]
    for (before, after), moves in arrows.items():
        names = [move for move in moves if (move, after) not in shared]
        if names:
            parts.append(_move(before, after, ", ".join(WORDS.get(name, name) for name in names)))
    for move, after in sorted(shared, key=lambda one: PLACES[one[1]]):
        x, y = PLACES[after]
        parts.append(_arrow((x, PLACES[PENDING[0]][1] + 44 + 19), (x, y - HEIGHT // 2), move, (x, 232)))
    parts.append(_arrow((380, 330 + 40 + 19), (380, 452), "no later trial can need its checkpoint", (380, 420)))
    parts.append(_box(380, 471, "released"))
    return _svg(800, 510, "The life of a trial", parts)


def _box(x: int, y: int, text: str, width: int = WIDTH) -> str:
    corner = f'x="{x - width // 2}" y="{y - HEIGHT // 2}" width="{width}" height="{HEIGHT}" rx="7"'
    return f'<rect {corner}/><text x="{x}" y="{y}">{escape(text)}</text>'


def _frame(statuses: Iterable[Status], margin: int) -> str:
    xs, ys = zip(*(PLACES[status] for status in statuses), strict=True)
    left, top = min(xs) - WIDTH // 2 - 24, min(ys) - HEIGHT // 2 - margin
    width, height = max(xs) - min(xs) + WIDTH + 48, HEIGHT + 2 * margin
    return f'<rect class="frame" x="{left}" y="{top}" width="{width}" height="{height}" rx="12"/>'


def _arrow(start: tuple[int, int], end: tuple[int, int], label: str, at: tuple[int, int]) -> str:
    line = f'<path marker-end="url(#tip)" d="M{start[0]} {start[1]} L{end[0]} {end[1]}"/>'
    return line + _label(at[0], at[1], label)


def _move(before: Status, after: Status, label: str) -> str:
    (x, y), (to_x, to_y) = PLACES[before], PLACES[after]
    half = HEIGHT // 2
    if before is after:  # a loop below the box
        line = f"M{x + 10} {y + half} C{x + 10} {y + half + 30} {x + 50} {y + half + 30} {x + 50} {y + half}"
        return f'<path marker-end="url(#tip)" d="{line}"/>' + _label(x + 30, y + half + 23, label)
    if y == to_y and abs(to_x - x) < 400:  # neighbors: there above the middle, back below it
        side, shift = (1, -8) if to_x > x else (-1, 8)
        ends = (x + side * WIDTH // 2, y + shift), (to_x - side * WIDTH // 2, to_y + shift)
        return _arrow(*ends, label, ((x + to_x) // 2, y + shift * 2))
    if y == to_y:  # over the box between them
        over = y - half - 34
        line = f"M{x} {y - half} C{x} {over} {to_x} {over} {to_x} {to_y - half}"
        return f'<path marker-end="url(#tip)" d="{line}"/>' + _label((x + to_x) // 2 + 90, over + 12, label)
    out, into = (x + 40 * ((to_x > x) - (to_x < x)), y + half), (to_x + 25 * ((x > to_x) - (x < to_x)), to_y - half)
    return _arrow(out, into, label, ((out[0] + into[0]) // 2, 232))


def _label(x: int, y: int, text: str) -> str:
    place = f'x="{x}" y="{y}">{escape(text)}</text>'
    return f'<text class="halo" {place}<text class="move" {place}'


def layers() -> str:
    """The layers of the packages as an SVG: a module imports only what lies below it."""
    contracts = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    columns = [
        ((contract.get("containers") or ["packages"])[0], contract["layers"])
        for contract in contracts
        if contract["type"] == "layers"
    ]
    parts: list[str] = []
    wide, tall = 360, HEIGHT + 12
    for column, (title, rows) in enumerate(columns):
        middle = 20 + column * (wide + 20) + wide // 2
        parts.append(f'<text class="title" x="{middle}" y="24">{escape(title)}</text>')
        for row, names in enumerate(rows):
            siblings = [name.strip() for name in names.split("|")]
            width = (wide - 8 * (len(siblings) - 1)) // len(siblings)
            left = middle - wide // 2 + width // 2
            y = 62 + row * tall
            parts += [_box(left + place * (width + 8), y, name, width) for place, name in enumerate(siblings)]
    height = 62 + max(len(rows) for _, rows in columns) * tall
    parts.append(f'<text class="note" x="{20 + wide // 2}" y="{height - 4}">imports go downwards only</text>')
    return _svg(20 + len(columns) * (wide + 20), height + 16, "The layers of the packages", parts)


def _svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    return "\n".join([head, f"<title>{title}</title>", f"<style>{STYLE}</style>", TIP, *parts, "</svg>"]) + "\n"


DIAGRAMS = {"trial-life.svg": life, "layers.svg": layers}


def main() -> int:
    """Writes or checks all diagrams; the status is 1 if a check finds one out of date."""
    stale = 0
    for name, draw in DIAGRAMS.items():
        path = ASSETS / name
        if path.is_file() and path.read_text("utf-8") == draw():
            continue
        stale = 1
        if "--check" in sys.argv:
            print(f"assets/{name} is out of date: run python docs/diagrams.py")
        else:
            path.write_text(draw(), "utf-8")
    return stale if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
