"""The searches in a compiled workflow, and the numbers that they are given."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from flyteoptuna.cli.errors import UsageError, line

COUNTS = ("n_trials", "concurrency", "batch_size")


@dataclass(frozen=True)
class Unknown:
    """A number that is not known before the workflow runs, and why."""

    reason: str


def options(workflow: Any, given: Sequence[str]) -> dict[str, Any]:
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
        return Unknown(f"is an output of {node}, which is known when that has run")
    if promise.attr_path:
        return Unknown(f"is a part of the input `{promise.var}`")
    return inputs.get(promise.var, Unknown(f"is the input `{promise.var}`, which has no default"))


def searches(workflow: Any, inputs: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The searches of a compiled workflow, and of those in it: objective, node and what their inputs are bound to."""
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    nodes = list(_nodes(workflow.nodes))
    names = {node.id: str(getattr(node.flyte_entity, "name", "")) for node in nodes}
    for node in nodes:
        entity, at = node.flyte_entity, f"{where}{node.id}"
        bound = {b.var: _value(b.binding, inputs, names) for b in node.bindings}
        args: Sequence[str] = getattr(entity, "rebuild_args", ())
        if args[:2] == ("flyteoptuna.search.batches.graph:rebuild", "search"):
            yield entity.name.rpartition(".search-")[0], at, bound
        elif isinstance(entity, LaunchPlan):
            yield from searches(entity.workflow, {**entity.saved_inputs, **bound}, f"{at}/")
        elif isinstance(entity, WorkflowBase) and hasattr(entity, "nodes"):
            yield from searches(entity, bound, f"{at}/")


def _nodes(nodes: Sequence[Any]) -> Iterator[Any]:
    from flytekit.core.condition import BranchNode

    for node in nodes:
        if isinstance(node.flyte_entity, BranchNode):
            block = node.flyte_entity._ifelse_block
            branches = [b.then_node for b in (block.case, *(block.other or ()))]
            yield from _nodes([b for b in (*branches, block.else_node) if b is not None])
        else:
            yield node


def workflow(target: str) -> Any:
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
    inner = found.workflow if isinstance(found, LaunchPlan) else found
    try:
        inner.compile()
    except Exception as error:
        raise click.ClickException(f"{target} does not compile: {line(error)}") from error
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
        raise click.ClickException(f"{place} cannot be imported: {line(error)}") from error


def counts(bound: Mapping[str, Any], given: Mapping[str, int | None]) -> dict[str, Any]:
    """The numbers of a search: those that it is bound to, and what is given over them."""
    numbers = {name: bound[name] for name in COUNTS}
    # What follows the concurrency by default goes on following it.
    follows = numbers["batch_size"] == numbers["concurrency"]
    numbers |= {name: value for name, value in given.items() if value is not None}
    if follows and given["batch_size"] is None:
        numbers["batch_size"] = numbers["concurrency"]
    return numbers


def problems(node: str, counts: Mapping[str, Any]) -> Iterator[str]:
    """A line for each number of a search that is unknown, or no positive int."""
    for name, value in counts.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, Unknown):
            if name == "batch_size" and value == counts["concurrency"]:
                continue
            yield f"`{name}` of {node} {value.reason}: give {option}."
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield f"`{name}` of {node} must be a positive int, but is {value!r}."
