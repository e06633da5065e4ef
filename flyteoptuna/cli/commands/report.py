"""``flyteoptuna report``: write the HTML report of a study."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from flyteoptuna.cli.errors import CommandError, UsageError, first_line
from flyteoptuna.cli.loading import STUDY_HELP, study_argument
from flyteoptuna.cli.running import load_with_failure
from flyteoptuna.cli.tables import print_parts, printable, short_text, table_cell


@click.command(
    short_help="A study as a page to look at.",
    help=inspect.cleandoc("""Write the report of a study: one HTML file, readable offline.

    It shows the best trials, what the search cost, what its parameters did, learning curves, failures, and a table of
    all trials that can be sorted.

    """)
    + f"\n\n{STUDY_HELP}",
)
@study_argument
@click.option("--to", "target", required=True, metavar="FILE", help="Where to write, a file that ends in .html.")
@click.option("--overwrite", is_flag=True, help="Replace the file.")
def report(study: str, target: str, overwrite: bool) -> None:
    """Write the report of a study."""
    if Path(target).suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"`--to` must end in .html, but got {target!r}.")
    if Path(target).exists() and not overwrite:
        raise CommandError(f"{target} exists: give another one, or --overwrite it.")
    loaded, failure = load_with_failure(study)
    from flyteoptuna.page.html_report import report as write_report

    try:
        write_report(loaded, target)
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {first_line(error)}") from error
    click.echo(f"The report of {printable(short_text(loaded.study_name))} is in {target}")
    if failure:
        print_parts(table_cell(failure))
