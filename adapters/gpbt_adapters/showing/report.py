"""A run as one self-contained HTML file: to read it, you need no network, no server and no installation.

The page forbids the browser to load anything from elsewhere, and shows the contents of configs and reasons as text.
"""

import html
import os
from pathlib import Path
from string import Template

from gpbt_adapters.showing.page import asset, contents, embedded
from gpbt_adapters.views import Replays, Run, shares, weighed_of

__all__ = ["report", "write_report"]

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
    head = f"<style>\n{asset('page.css')}</style>\n<script>{asset('plotly-basic.min.js')}</script>"
    wanted = weighed_of(run) if importance else ()
    found = {generation: known for generation in wanted if (known := shares(run, generation)) is not None}
    data = embedded(contents(run, title, found, replays, command=command))
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
