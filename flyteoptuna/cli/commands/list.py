"""``flyteoptuna list``: the latest local studies."""

from __future__ import annotations

import inspect
import shlex
from datetime import datetime

import click

from flyteoptuna.cli.errors import CommandError
from flyteoptuna.cli.running import take_snapshot
from flyteoptuna.cli.tables import print_parts, short_text, table_cell
from flyteoptuna.storage.local_studies import LocalStudy, local_studies, no_study_line


@click.command(
    "list",
    short_help="The latest local studies.",
    help=inspect.cleandoc("""List this user's studies of local searches that are still there, the latest first.

    A search that was killed is listed too. The other commands take each path, and `latest` for the first of them.

    """),
)
@click.option("--last", type=click.IntRange(1), metavar="N", default=10, show_default=True, help="Most studies.")
def list_studies(last: int) -> None:
    """List the latest local studies."""
    studies = local_studies()
    if not studies:
        print_parts(table_cell(no_study_line()))
    for study in studies[:last]:
        for line in _lines(study):
            print_parts(table_cell(line))
    if len(studies) > last:
        print_parts(f"and {len(studies) - last} more")


def _lines(study: LocalStudy) -> tuple[str, str]:
    """Two lines about a study: what it is, and the command that shows it."""
    return (
        f"{datetime.fromtimestamp(study.start):%Y-%m-%d %H:%M:%S}  {_describe(study)}",
        f"    flyteoptuna show {shlex.quote(study.path)}",
    )


def _describe(study: LocalStudy) -> str:
    from flyteoptuna.storage.study_summary import describe_trials

    try:
        snapshot = take_snapshot(study.path)
    except CommandError as error:
        return f"cannot be read: {error.message}"
    loaded = snapshot.study
    if loaded is None:
        return "no study yet"
    state = snapshot.phase.lower() or ("failed" if snapshot.failure else "" if snapshot.ended else "running")
    return f"{short_text(loaded.study_name)}: {describe_trials(loaded)}{f', {state}' if state else ''}"
