"""``flyteoptuna report``: a study as a page."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from flyteoptuna.cli.errors import UsageError, first
from flyteoptuna.cli.study_source import STUDY_HELP, load
from flyteoptuna.cli.tables import clean, short


@click.command(
    short_help="A study as a page to look at.",
    help=inspect.cleandoc("""Write the report of a study: one HTML file, readable offline.

    It shows the best trials, what the search cost, what its parameters did, learning curves, failures, and a table of
    all trials that can be sorted.

    """)
    + f"\n\n{STUDY_HELP}",
)
@click.argument("study", metavar="STUDY")
@click.option("--to", "target", required=True, metavar="FILE", help="Where to write, a file that ends in .html.")
@click.option("--overwrite", is_flag=True, help="Replace the file.")
def report(study: str, target: str, overwrite: bool) -> None:
    """Write the report of a study."""
    if Path(target).suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"`--to` must end in .html, but got {target!r}.")
    if Path(target).exists() and not overwrite:
        raise click.ClickException(f"{target} exists: give another one, or --overwrite it.")
    found = load(study)
    from flyteoptuna.show.html_report import report as write

    try:
        write(found, target)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {first(error)}") from error
    click.echo(f"The report of {clean(short(found.study_name))} is in {target}")
