"""Renders sections as pages: Markdown for the documentation, and one self-contained HTML file."""

import html
from collections.abc import Sequence

from benchmarks.sections import Section, Table

__all__ = ["as_html", "as_markdown"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 78rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem }
h2 { font-size: 1.3rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc }
h3 { font-size: 1.1rem; margin-top: 2rem }
p { max-width: 60rem; color: #555 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e5e5e5 }
th { color: #555; font-weight: 600; vertical-align: bottom } th:first-child, td:first-child { text-align: left }
tr:hover td { background: #f5f7fa }
svg { max-width: 100%; height: auto }
code { background: #f3f3f3; padding: 0 .2rem }
"""


def as_markdown(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """A page without its pictures."""
    parts = [f"# {title}", introduction]
    for section in sections:
        if section.table is None and not section.text:
            continue
        parts.append(f"{'###' if section.sub else '##'} {section.title}")
        parts += [section.text] if section.text else []
        parts += [_markdown_table(section.table)] if section.table else []
    return "\n\n".join(parts) + "\n"


def as_html(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """A page with its pictures, style and text in one file."""
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{_inline(introduction)}</p>"]
    for section in sections:
        level = "h3" if section.sub else "h2"
        parts.append(f"<{level}>{html.escape(section.title)}</{level}>")
        parts += [f"<p>{html.escape(section.text)}</p>"] if section.text else []
        parts += [section.figure] if section.figure else []
        parts += [f'<div class="wide">{_html_table(section.table)}</div>'] if section.table else []
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _inline(text: str) -> str:
    """Escaped text in which words between backticks are code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rows = [
        [f"**{cell}**" if (row, column) in table.strong and cell else cell for column, cell in enumerate(cells)]
        for row, cells in enumerate(table.rows)
    ]
    rule = ["---", *["---:"] * (len(table.headers) - 1)]
    return "\n".join([line(table.headers), line(rule), *(line(cells) for cells in rows)])


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(header)}</th>" for header in table.headers)
    rows = []
    for row, cells in enumerate(table.rows):
        marked = [
            f"<b>{html.escape(cell)}</b>" if (row, column) in table.strong else html.escape(cell)
            for column, cell in enumerate(cells)
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in marked) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
