"""The group of all commands, ``flyteoptuna``."""

from __future__ import annotations

import sys
from typing import Any

import click

from flyteoptuna.cli.commands.dashboard import dashboard
from flyteoptuna.cli.commands.export import export
from flyteoptuna.cli.commands.list import list_studies
from flyteoptuna.cli.commands.plan import plan
from flyteoptuna.cli.commands.report import report
from flyteoptuna.cli.commands.show import show
from flyteoptuna.cli.commands.watch import watch
from flyteoptuna.streams import tolerant_stream, usable_streams


class _Group(click.Group):
    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, with any standard streams. It fails if standard output cannot be written."""
        with usable_streams(strict=("stdout",)):
            try:
                return super().main(*args, **kwargs)
            except OSError as error:
                if error.filename is not None:
                    raise
                # Python flushes it once more.
                sys.stdout = tolerant_stream(sys.stdout)
                click.echo(f"Error: The output cannot be written: {error.strerror}", err=True)
                sys.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flyteoptuna", message="flyteoptuna %(version)s")
def main() -> None:
    """Hyperparameter searches as plain Flyte workflows: plan them, and look at their studies.

    \b
    What would this search run?
      flyteoptuna plan workflows/train.py:train --n-trials 200 --concurrency 16
    How did it go, or how is it going?
      flyteoptuna show flyte://flytesnacks/development/f3a1c9d27e5b84d0
      flyteoptuna show latest                              the latest local search
    Follow it live, in the terminal or in optuna-dashboard:
      flyteoptuna watch flyte://flytesnacks/development/f3a1c9d27e5b84d0
      flyteoptuna dashboard flyte://flytesnacks/development/f3a1c9d27e5b84d0
    Look at it in a browser, offline:
      flyteoptuna report s3://bucket/study --to report.html
    Take it to a database, or to pandas:
      flyteoptuna export s3://bucket/study --to sqlite:///study.db
      flyteoptuna export s3://bucket/study --to trials.csv
    """


for _command in (plan, list_studies, show, watch, dashboard, report, export):
    main.add_command(_command)

if __name__ == "__main__":
    main(prog_name="flyteoptuna")
