"""A run as one self-contained HTML file: to read it, you need no network, no server and no installation.

The page forbids the browser to load anything from elsewhere, and shows the contents of configs and reasons as text.
"""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from gpbt_adapters.showing.page import asset, comparison_contents, contents, embedded
from gpbt_adapters.views import Replays, Run, compare, shares, weighed_of

__all__ = ["report", "write_comparison", "write_report"]

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""The scripts are inline."""


def report(
    run: Run,
    *,
    title: str = "gpbt run",
    importance: bool = True,
    replays: Replays | None = None,
    command: str = "",
) -> str:
    """A run as an HTML page.

    Args:
        run: The run, finished or not.
        title: The name of the run.
        importance: Whether to compute the importance of the hyperparameters; of a run with more than ten
            generations, for some of them.
        replays: The result of `Result.replay`, which shows how good the best schedule is without the luck of the run.
        command: The command that prints the best schedule, if there is one.

    Returns:
        The whole page, from 1.3 MB on, most of it Plotly.
    """
    wanted = weighed_of(run) if importance else ()
    found = {generation: known for generation in wanted if (known := shares(run, generation)) is not None}
    return _page(title, contents(run, title, found, replays, command=command))


def _page(title: str, content: dict[str, Any]) -> str:
    head = f"<style>\n{asset('page.css')}</style>\n<script>{asset('plotly-basic.min.js')}</script>"
    data = embedded(content)
    body = f'<script type="application/json" id="run">{data}</script>\n<script>\n{asset("page.js")}</script>'
    return Template(asset("page.html")).substitute(policy=_POLICY, title=html.escape(title), head=head, body=body)


def write_report(
    run: Run,
    path: str | os.PathLike[str],
    *,
    title: str = "gpbt run",
    importance: bool = True,
    replays: Replays | None = None,
    command: str = "",
) -> None:
    """Writes `report` to a file and replaces an existing one.

    Args:
        run: The run, finished or not.
        path: The path of the file.
        title: The name of the run.
        importance: Whether to compute the importance of the hyperparameters; of a run with more than ten
            generations, for some of them.
        replays: The result of `Result.replay`, which shows how good the best schedule is without the luck of the run.
        command: The command that prints the best schedule, if there is one.

    Raises:
        OSError: The file cannot be written.
    """
    Path(path).write_text(
        report(run, title=title, importance=importance, replays=replays, command=command), encoding="utf-8"
    )


def write_comparison(
    runs: Mapping[str, Run] | Sequence[Run], path: str | os.PathLike[str], *, title: str = "Comparison"
) -> None:
    """Writes a page that shows two or more runs side by side, and replaces an existing file.

    Args:
        runs: The runs, as for `compare`.
        path: The path of the file.
        title: The title of the page.

    Raises:
        ConfigError: There are fewer than two runs, or their directions differ.
        OSError: The file cannot be written.
    """
    Path(path).write_text(_page(title, comparison_contents(compare(runs), title)), encoding="utf-8")
