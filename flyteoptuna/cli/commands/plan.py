"""``flyteoptuna plan``: what a search would run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flyteoptuna.cli import compiled_workflow
from flyteoptuna.cli.tables import write_rows
from flyteoptuna.core import plan as plans

NUMBERS = (
    ">trials",
    ">at once",
    ">batch",
    ">generations",
    ">span pods",
    ">driver pods",
    ">trial pods",
    ">depth",
    ">widest",
)


@click.command(short_help="What a search would run: generations, pods, nesting.")
@click.argument("workflow", metavar="MODULE:WORKFLOW")
@click.option(
    "--n-trials", "--n_trials", type=click.IntRange(1), metavar="N", help="Trials, instead of the workflow's number."
)
@click.option(
    "--concurrency", type=click.IntRange(1), metavar="N", help="Trials at once, instead of the workflow's number."
)
@click.option(
    "--batch-size",
    "--batch_size",
    type=click.IntRange(1),
    metavar="N",
    help="Trials of a generation.  [default: the concurrency]",
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of the workflow. Repeatable.")
def plan(workflow: str, inputs: tuple[str, ...], **given: int | None) -> None:
    """The generations, pods and nesting that a workflow's searches lead to, without running anything.

    MODULE is pkg.module or path/to/file.py. The numbers are those of the workflow and of the defaults of its inputs;
    options replace them, for every search. What ends a search early (a timeout, a callback) makes them fewer. Searches
    that a dynamic or an eager task makes while it runs are not seen.

    Driver pods are those of the search, its spans, the asks and the finish; the pod of a span asks its first batch.
    Depth is the number of dynamic nodes inside each other, and widest is the most nodes in one of them.

    \b
      flyteoptuna plan train.py:main --n-trials 500
      flyteoptuna plan pkg.train:main --input n_trials=500 --batch-size 32
    """
    found = compiled_workflow.workflow(workflow)
    searches = list(
        compiled_workflow.searches(getattr(found, "workflow", found), compiled_workflow.options(found, inputs))
    )
    if not searches:
        raise click.ClickException(f"There is no search in {workflow}.")
    rows: list[list[str]] = []
    problems: list[str] = []
    for objective, node, bound in searches:
        counts = compiled_workflow.counts(bound, given)
        problems += compiled_workflow.problems(node, counts)
        rows.append([objective, node, *_planned(counts)])
    write_rows(("objective", "node", *NUMBERS), rows)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(1)


def _planned(counts: Mapping[str, Any]) -> list[str]:
    trials, at_once, batch = (counts[name] for name in compiled_workflow.COUNTS)
    known = ["?" if isinstance(value, compiled_workflow.Unknown) else str(value) for value in (trials, at_once, batch)]
    if not all(isinstance(value, int) and value >= 1 for value in (trials, batch)):
        return [*known, *"?" * 6]
    of = plans.shape(trials, batch)
    return [*known, *map(str, (of.generations, of.spans, of.drivers, trials, of.depth, of.widest))]
