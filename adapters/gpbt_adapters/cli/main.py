"""The command line `gpbt`: each command is a thin wrapper around the module that does its work.

Heavy modules are imported only when a command needs them, so that `gpbt --help` is fast. An error is one line on
stderr; its traceback is shown only with `--debug`. Exit codes: 0 done, 1 an error, 2 wrong usage, 130 interrupted.
"""

import json
import warnings
from collections.abc import Sequence

import click

from gpbt_adapters.cli.parts import examples, print_table
from gpbt_adapters.cli.studies import commands

__all__ = ["cli", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "GPBT"},
    epilog=examples("gpbt demo", "gpbt status runs.db --watch", "gpbt report runs.db digits -o digits.html")
    + '\n\nCompletion for bash: eval "$(_GPBT_COMPLETE=bash_source gpbt)" (or zsh_source, fish_source).',
)
@click.version_option(package_name="gpbt", prog_name="gpbt")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, *, debug: bool) -> None:
    """Finds schedules of hyperparameters while the models train."""
    context.ensure_object(dict)["debug"] = debug


@cli.command(
    epilog=examples("gpbt demo", "gpbt demo --seeds 2 --models 12"),
    short_help="Compare with PBT and random search on real data.",
)
@click.option("--seeds", default=12, show_default=True, type=click.IntRange(min=1), help="Runs of each method.")
@click.option("--models", default=25, show_default=True, type=click.IntRange(min=4), help="Models of a run.")
@click.option("--steps", default=10, show_default=True, type=click.IntRange(min=2), help="Steps per model.")
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(min=1), help="Processes of the comparison."
)
def demo(*, seeds: int, models: int, steps: int, workers: int) -> None:
    """Tune a network on real data and compare with PBT and random search."""
    from gpbt_adapters.cli import demo as program

    program.show(seeds=seeds, models=models, steps=steps, workers=workers)


@cli.command(epilog=examples("gpbt plugins", "gpbt plugins --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plugins(*, as_json: bool) -> None:
    """List what is installed, and from which distribution.

    A plugin that does not load is listed with its error, and so is an offer whose name gpbt itself has; the others keep
    working.
    """
    from gpbt_core.registry import registry

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they are about is listed below
        found = registry()
    headings = ("kind", "name", "summary", "distribution")
    rows = [
        *((offer.kind, offer.spec.name, offer.spec.summary, offer.distribution) for offer in found.offers()),
        *(
            ("left out", offer.spec.name, f"gpbt itself has a {offer.kind} of that name", offer.distribution)
            for offer in found.left_out
        ),
        *(("broken", broken.entry_point, broken.error, broken.distribution) for broken in found.broken),
    ]
    if as_json:
        click.echo(json.dumps([dict(zip(headings, row, strict=True)) for row in rows], indent=2))
    else:
        print_table(headings, rows)


for command in commands:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The arguments after the program's name; None: those of the process.

    Returns:
        The exit code.
    """
    settings = {"debug": False}
    try:
        code = cli.main(args=arguments, prog_name="gpbt", standalone_mode=False, obj=settings)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("gpbt: interrupted", err=True)
        return 130
    except Exception as error:
        if settings["debug"]:
            raise
        click.echo(f"gpbt: {type(error).__name__}: {' '.join(str(error).split())}", err=True)
        return 1
    return code if isinstance(code, int) else 0
