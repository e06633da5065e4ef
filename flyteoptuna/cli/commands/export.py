"""``flyteoptuna export``: write a study for other tools."""

from __future__ import annotations

import inspect

import click

from flyteoptuna.cli.errors import CommandError, UsageError
from flyteoptuna.cli.loading import STUDY_HELP, load_source, study_argument
from flyteoptuna.cli.tables import print_parts, printable, short_text
from flyteoptuna.errors import ExportError
from flyteoptuna.values.text import plural


@click.command(
    short_help="A study for optuna-dashboard, pandas or Optuna.",
    help=inspect.cleandoc("""Write a study where other tools read it.

    Every trial is kept, with its number, state, values, parameters, times, attributes and intermediate values.

    \b
    --to sqlite:///study.db   a database of Optuna's, also mysql:// and postgresql://
    --to study.log            a journal file of Optuna's; ten times as fast
    --to trials.csv           a table; lists and dictionaries in it are JSON,
                              text like a formula stands behind an apostrophe
    --to trials.parquet       the same; needs pyarrow

    optuna-dashboard opens the first two, and optuna.load_study a database.

    """)
    + f"\n\n{STUDY_HELP}",
)
@study_argument
@click.option("--to", "target", required=True, metavar="TARGET", help="Where to write, and as what.")
@click.option("--name", help="Name of the study in a database or a journal.  [default: the study's own]")
@click.option("--overwrite", is_flag=True, help="Replace the file, or the study of that name in the database.")
def export(study: str, target: str, name: str | None, overwrite: bool) -> None:
    """Write a study where other tools read it."""
    from flyteoptuna.load import export as exports

    try:
        exports.find_writer(target)
    except ValueError as error:
        raise UsageError(str(error)) from error
    loaded = load_source(study)
    try:
        shown_target = exports.export(loaded, target, name=name, overwrite=overwrite)
    except ExportError as error:
        raise CommandError(str(error)) from error
    trials, study_name = loaded.get_trials(deepcopy=False), printable(short_text(loaded.study_name))
    print_parts(f"{plural(len(trials), 'trial')} of {study_name} written to {shown_target}")
