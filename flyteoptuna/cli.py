"""The command line: what a search would run, what a study holds, and a study for other tools."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna import plan as plans

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial
    from rich.console import Console
    from rich.table import Table

STUDY_HELP = """STUDY is a path, a URL (s3://bucket/..., file://..., any that fsspec knows), or an execution of the
cluster that Flyte's configuration names: flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT after it where the workflow
outputs several studies, or #NODE for the study of one node. Of an execution that still runs, or has failed, it is the
study as it stands. Nothing is unpickled."""
COUNTS = ("n_trials", "concurrency", "batch_size")
MOST_NUMBERS = 8
"""Most numbers of trials that one line of failures names."""


class UsageError(click.ClickException):
    """What was asked for cannot be; ends with 2, as click's own errors of usage do."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flyteoptuna", message="flyteoptuna %(version)s")
def main() -> None:
    """Hyperparameter searches as plain Flyte workflows: plan them, and look at their studies.

    \b
    What would this search run?
      flyteoptuna plan workflows/train.py:train --n-trials 200 --concurrency 16
    How did it go, or how is it going?
      flyteoptuna show flyte://flytesnacks/development/f3a1c9d27e5b84d0
    Look at it in optuna-dashboard, or in pandas:
      flyteoptuna export s3://bucket/study --to sqlite:///study.db
      flyteoptuna export s3://bucket/study --to trials.csv
    """


@dataclass(frozen=True)
class Shape:
    """What a search runs if it is not over early.

    Attributes:
        generations: rounds of asking, running and telling a batch.
        spans: pods of spans; the topmost span has none, for it is in the search's own.
        depth: dynamic nodes inside each other: the search, the spans, a generation.
        widest: most nodes in one of them.
    """

    generations: int
    spans: int
    depth: int
    widest: int

    @property
    def drivers(self) -> int:
        """Pods that run no trial: the search, its spans, its generations and the finish."""
        return self.generations + self.spans + 2


def shape(n_trials: int, batch: int) -> Shape:
    """The shape of a search.

    Args:
        n_trials: trials in all, at least 1.
        batch: trials of a generation, at least 1.
    """
    generations = plans.generations(n_trials, batch)
    spans, depth, widest = _tree(generations)
    return Shape(generations, spans - 1, depth, widest)


@functools.cache
def _tree(length: int) -> tuple[int, int, int]:
    """Spans, depth and the most children of a span of so many generations."""
    lengths = [len(child) for child in plans.children(plans.Span(0, length))]
    inner = [_tree(each) for each in lengths if each > 1]
    depth = 1 + max((tree[1] for tree in inner), default=1)
    return 1 + sum(tree[0] for tree in inner), depth, max(len(lengths), *(tree[2] for tree in inner), 0)


@dataclass(frozen=True)
class _Unknown:
    """A number that is not known before the workflow runs, and why."""

    reason: str


def _options(workflow: Any, given: Sequence[str]) -> dict[str, Any]:
    """The inputs of a workflow or a launch plan: the defaults, and what is given over them."""
    inputs = dict(workflow.saved_inputs) if hasattr(workflow, "saved_inputs") else {}
    known = workflow.python_interface.inputs_with_defaults
    defaults = {name: value for name, (_, value) in known.items() if value is not None}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"`--input` must be NAME=VALUE, but got {text!r}.")
        if name not in known:
            raise UsageError(f"{workflow.name} has no input `{name}`; it has: {', '.join(known) or 'none'}.")
        try:
            inputs[name] = json.loads(value)
        except ValueError:
            inputs[name] = value
    return {**defaults, **inputs}


def _value(binding: Any, inputs: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """The value that a node's input is bound to, as far as it is known before the workflow runs."""
    promise, scalar = binding.promise, binding.scalar
    while scalar is not None and scalar.union is not None:
        scalar = scalar.union.value.scalar
    if promise is None:
        return scalar.primitive.value if scalar is not None and scalar.primitive is not None else None
    if promise.node_id:
        node = f"node {promise.node_id} ({names[promise.node_id]})" if promise.node_id in names else promise.node_id
        return _Unknown(f"is an output of {node}, which is known when that has run")
    if promise.attr_path:
        return _Unknown(f"is a part of the input `{promise.var}`")
    return inputs.get(promise.var, _Unknown(f"is the input `{promise.var}`, which has no default"))


def _searches(workflow: Any, inputs: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The searches of a compiled workflow, and of those in it: objective, node and what their inputs are bound to."""
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    nodes = list(_nodes(workflow.nodes))
    names = {node.id: str(getattr(node.flyte_entity, "name", "")) for node in nodes}
    for node in nodes:
        entity, at = node.flyte_entity, f"{where}{node.id}"
        bound = {b.var: _value(b.binding, inputs, names) for b in node.bindings}
        args: Sequence[str] = getattr(entity, "rebuild_args", ())
        if args[:2] == ("flyteoptuna.graph:rebuild", "search"):
            yield entity.name.rpartition(".search-")[0], at, bound
        elif isinstance(entity, LaunchPlan):
            yield from _searches(entity.workflow, {**entity.saved_inputs, **bound}, f"{at}/")
        elif isinstance(entity, WorkflowBase) and hasattr(entity, "nodes"):
            yield from _searches(entity, bound, f"{at}/")


def _nodes(nodes: Sequence[Any]) -> Iterator[Any]:
    from flytekit.core.condition import BranchNode

    for node in nodes:
        if isinstance(node.flyte_entity, BranchNode):
            block = node.flyte_entity._ifelse_block
            branches = [b.then_node for b in (block.case, *(block.other or ()))]
            yield from _nodes([b for b in (*branches, block.else_node) if b is not None])
        else:
            yield node


def _workflow(target: str) -> Any:
    """The workflow or the launch plan that ``MODULE:NAME`` names, imported and compiled."""
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(
            f"Expected MODULE:WORKFLOW, as in pkg.train:main or path/to/train.py:main, but got {target!r}."
        )
    module = _module(place)
    found = getattr(module, name, None)
    if not isinstance(found, (WorkflowBase, LaunchPlan)):
        known = [n for n, v in vars(module).items() if isinstance(v, (WorkflowBase, LaunchPlan))]
        raise UsageError(f"{place} has no workflow `{name}`; it has: {', '.join(known) or 'none'}.")
    workflow = found.workflow if isinstance(found, LaunchPlan) else found
    try:
        workflow.compile()
    except Exception as error:
        raise click.ClickException(f"{target} does not compile: {_line(error)}") from error
    return found


def _module(place: str) -> Any:
    root, name = Path.cwd(), place
    if place.endswith(".py"):
        path = Path(place).resolve()
        if not path.is_file():
            raise UsageError(f"There is no file {place}.")
        parts, root = [path.stem], path.parent
        while (root / "__init__.py").is_file():
            parts, root = [root.name, *parts], root.parent
        name = ".".join(parts)
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    except Exception as error:
        # Importing runs the user's own code.
        raise click.ClickException(f"{place} cannot be imported: {_line(error)}") from error


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _counts(bound: Mapping[str, Any], given: Mapping[str, int | None]) -> dict[str, Any]:
    counts = {name: bound[name] for name in COUNTS}
    # What follows the concurrency by default goes on following it.
    follows = counts["batch_size"] == counts["concurrency"]
    counts |= {name: value for name, value in given.items() if value is not None}
    if follows and given["batch_size"] is None:
        counts["batch_size"] = counts["concurrency"]
    return counts


@main.command(short_help="What a search would run: generations, pods, nesting.")
@click.argument("workflow", metavar="MODULE:WORKFLOW")
@click.option("--n-trials", type=click.IntRange(1), help="Trials, instead of the workflow's number.")
@click.option("--concurrency", type=click.IntRange(1), help="Trials at once, instead of the workflow's number.")
@click.option("--batch-size", type=click.IntRange(1), help="Trials of a generation.  [default: the concurrency]")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of the workflow. Repeatable.")
def plan(workflow: str, inputs: tuple[str, ...], **given: int | None) -> None:
    """The generations, pods and nesting that a workflow's searches lead to, without running anything.

    MODULE is pkg.module or path/to/file.py. The numbers are those of the workflow and of the defaults of its inputs;
    options replace them, for every search. What ends a search early (a timeout, a callback) makes them fewer. Searches
    that a dynamic or an eager task makes while it runs are not seen.

    \b
      flyteoptuna plan train.py:main --n-trials 500
      flyteoptuna plan pkg.train:main --input n_trials=500 --batch-size 32
    """
    found = _workflow(workflow)
    searches = list(_searches(getattr(found, "workflow", found), _options(found, inputs)))
    if not searches:
        raise click.ClickException(f"There is no search in {workflow}.")
    table = _table("objective", "node", ">trials", ">at once", ">batch", ">gener- ations", ">span pods", ">driver pods")
    for name in ("trial pods", "depth", "most nodes in one"):
        table.add_column(name, justify="right")
    problems = []
    for objective, node, bound in searches:
        counts = _counts(bound, given)
        problems += _problems(node, counts)
        table.add_row(objective, node, *_planned(counts))
    _console().print(table)
    if problems:
        raise click.ClickException("\nError: ".join(problems))
    _console().print(
        "Driver pods are the search's own, its spans', its generations' and the finish's. Depth counts dynamic nodes "
        "inside each other.",
        style="dim",
    ) if sys.stdout.isatty() else None


def _problems(node: str, counts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in counts.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, _Unknown):
            if name == "batch_size" and value == counts["concurrency"]:
                continue
            yield f"`{name}` of {node} {value.reason}: give {option}."
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield f"`{name}` of {node} must be a positive int, but is {value!r}."


def _planned(counts: Mapping[str, Any]) -> list[str]:
    trials, at_once, batch = (counts[name] for name in COUNTS)
    known = ["?" if isinstance(value, _Unknown) else str(value) for value in (trials, at_once, batch)]
    if not all(isinstance(value, int) and value >= 1 for value in (trials, batch)):
        return [*known, *"?" * 6]
    of = shape(trials, batch)
    return [*known, *map(str, (of.generations, of.spans, of.drivers, trials, of.depth, of.widest))]
