"""``flyteoptuna plan``: the pods that a search would run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from flyteoptuna.cli.compiled_workflow import (
    COUNT_INPUTS,
    FoundSearch,
    Unknown,
    Unseen,
    count_problems,
    find_searches,
    load_workflow,
    resolve_counts,
    workflow_inputs,
)
from flyteoptuna.cli.errors import CommandError
from flyteoptuna.cli.numbers import COUNT
from flyteoptuna.cli.tables import print_table, printable
from flyteoptuna.search.plan import search_shape
from flyteoptuna.study.settings import batch_size_warning

COUNT_HEADERS = (
    *(">trials", ">at once", ">batch", ">generations"),
    *(">span pods", ">driver pods", ">trial pods", ">depth", ">widest"),
)


@click.command(short_help="What a search would run: generations, pods, nesting.")
@click.argument("workflow", metavar="MODULE:WORKFLOW")
@click.option("--n-trials", "--n_trials", type=COUNT, metavar="N", help="Trials, instead of the workflow's number.")
@click.option("--concurrency", type=COUNT, metavar="N", help="Trials at once, instead of the workflow's number.")
@click.option(
    "--batch-size",
    "--batch_size",
    type=COUNT,
    metavar="N",
    help="Trials of a generation.  [default: the concurrency]",
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of the workflow. Repeatable.")
def plan(workflow: str, inputs: tuple[str, ...], **options: int | None) -> None:
    """Show the generations, pods and nesting of a workflow's searches, without running anything.

    MODULE is pkg.module or path/to/file.py. The numbers are those of the workflow and of the defaults of its inputs;
    options replace them, for every search. What ends a search early (a timeout, a callback) makes them fewer.

    It sees the searches of subworkflows, launch plans and maps over these (n0[2] is the third element), of every branch
    of a conditional, and of a failure handler. It does not see those of a dynamic or an eager task and of a reference,
    and says so.

    Driver pods are those of the search, its spans, the asks and the finish; the pod of a span asks its first batch.
    Depth is the number of dynamic nodes inside each other, and widest is the most nodes in one of them. A search with
    reuse_pods=True has no generations and no dynamic nodes: its trial pods are the workers, its driver pods the search
    and the finish.

    \b
      flyteoptuna plan train.py:main --n-trials 500
      flyteoptuna plan pkg.train:main --input n_trials=500 --batch-size 32
    """
    loaded = load_workflow(workflow)
    found = list(find_searches(getattr(loaded, "workflow", loaded), workflow_inputs(loaded, inputs)))
    searches = [each for each in found if isinstance(each, FoundSearch)]
    unseen = [f"{each.node or workflow}: {each.reason}." for each in found if isinstance(each, Unseen)]
    if not searches:
        raise CommandError(" ".join([f"There is no search in {workflow}{' that is seen' * bool(unseen)}.", *unseen]))
    rows: list[list[str]] = []
    problems: list[str] = []
    notes: list[str] = []
    for search in searches:
        counts = resolve_counts(search.bound, options)
        problems += count_problems(search.node, counts)
        notes += _notes(search, counts, options)
        cells = _reused_pod_cells(counts) if search.reuse_pods else _shape_cells(counts)
        rows.append([search.objective, search.node, *cells])
    print_table(("objective", "node", *COUNT_HEADERS), rows)
    for kind, lines in (("Note", [*notes, *unseen]), ("Error", problems)):
        for line in lines:
            click.echo(f"{kind}: {printable(line)}", err=True)
    if problems:
        click.get_current_context().exit(1)


def _notes(search: FoundSearch, counts: Mapping[str, Any], options: Mapping[str, int | None]) -> Iterator[str]:
    """Remarks on a search beside its numbers."""
    numbers = [counts[name] for name in ("n_trials", "concurrency", "batch_size")]
    if not search.reuse_pods and all(isinstance(number, int) for number in numbers):
        warning = batch_size_warning(*numbers)
        if warning:
            yield f"{search.node}: {warning}"
    if search.reuse_pods and options["batch_size"] is not None:
        yield f"{search.node}: a search with reuse_pods=True has no batches, so that --batch-size changes nothing."
    timeout = search.bound.get("timeout")
    if isinstance(timeout, (int, float)):
        yield f"{search.node}: its timeout of {timeout:g} s may end it earlier, so that its numbers are upper bounds."


def _shape_cells(counts: Mapping[str, Any]) -> list[str]:
    trials, at_once, batch = (counts[name] for name in COUNT_INPUTS)
    cells = ["?" if isinstance(value, Unknown) else str(value) for value in (trials, at_once, batch)]
    if not all(isinstance(value, int) and value >= 1 for value in (trials, batch)):
        return [*cells, *"?" * 6]
    shape = search_shape(trials, batch)
    numbers = (shape.generations, shape.spans, shape.drivers, trials, shape.depth, shape.widest)
    return [*cells, *map(str, numbers)]


def _reused_pod_cells(counts: Mapping[str, Any]) -> list[str]:
    trials, at_once = (counts[name] for name in ("n_trials", "concurrency"))
    known = all(isinstance(value, int) and value >= 1 for value in (trials, at_once))
    cells = ["?" if isinstance(value, Unknown) else str(value) for value in (trials, at_once)]
    return [*cells, "-", "-", "0", "2", str(min(trials, at_once)) if known else "?", "0", "-"]
