"""The searches in a compiled workflow, and their counts of trials."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flyteoptuna.cli.errors import CommandError, UsageError
from flyteoptuna.values.text import exception_line

COUNT_INPUTS = ("n_trials", "concurrency", "batch_size")


@dataclass(frozen=True)
class Unknown:
    """A number that is unknown before the workflow runs, and the reason."""

    reason: str


def workflow_inputs(workflow: Any, options: Sequence[str]) -> dict[str, Any]:
    """The inputs of a workflow or a launch plan: the defaults, overridden by ``NAME=VALUE`` options."""
    inputs = dict(workflow.saved_inputs) if hasattr(workflow, "saved_inputs") else {}
    known = workflow.python_interface.inputs_with_defaults
    defaults = {name: value for name, (_, value) in known.items() if value is not None}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UsageError(f"`--input` must be NAME=VALUE, but got {option!r}.")
        if name not in known:
            raise UsageError(f"{workflow.name} has no input `{name}`; it has: {', '.join(known) or 'none'}.")
        try:
            inputs[name] = json.loads(value)
        except ValueError:
            inputs[name] = value
    return {**defaults, **inputs}


def _bound_value(binding: Any, inputs: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """The value of a node's input, if it is known before the workflow runs."""
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


class FoundSearch(NamedTuple):
    """A search in a compiled workflow."""

    objective: str
    node: str
    bound: dict[str, Any]  # values of the inputs
    reuse_pods: bool


def find_searches(workflow: Any, inputs: Mapping[str, Any], prefix: str = "") -> Iterator[FoundSearch]:
    """The searches of a compiled workflow and its subworkflows."""
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    from flyteoptuna.search.batches.graph import BatchTasks
    from flyteoptuna.search.reused.graph import ReusedPodTasks

    kinds: dict[Any, bool] = {(BatchTasks.REBUILD, "search"): False, (ReusedPodTasks.REBUILD, "search"): True}

    nodes = list(_iterate_nodes(workflow.nodes))
    names = {node.id: str(getattr(node.flyte_entity, "name", "")) for node in nodes}
    for node in nodes:
        entity, node_id = node.flyte_entity, f"{prefix}{node.id}"
        bound = {b.var: _bound_value(b.binding, inputs, names) for b in node.bindings}
        reuse_pods = kinds.get(tuple(getattr(entity, "rebuild_args", ()))[:2])
        if reuse_pods is not None:
            yield FoundSearch(entity.name.rpartition(".search-")[0], node_id, bound, reuse_pods)
        elif isinstance(entity, LaunchPlan):
            yield from find_searches(entity.workflow, {**entity.saved_inputs, **bound}, f"{node_id}/")
        elif isinstance(entity, WorkflowBase) and hasattr(entity, "nodes"):
            yield from find_searches(entity, bound, f"{node_id}/")


def _iterate_nodes(nodes: Sequence[Any]) -> Iterator[Any]:
    from flytekit.core.condition import BranchNode

    from flyteoptuna.internals.flytekit_internals import branch_nodes

    for node in nodes:
        if isinstance(node.flyte_entity, BranchNode):
            yield from _iterate_nodes(branch_nodes(node.flyte_entity))
        else:
            yield node


def load_workflow(target: str) -> Any:
    """Import and compile the workflow or launch plan ``MODULE:NAME``."""
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    module_name, colon, name = target.rpartition(":")
    if not colon or not module_name or not name:
        raise UsageError(
            f"Expected MODULE:WORKFLOW, as in pkg.train:main or path/to/train.py:main, but got {target!r}."
        )
    module = _import_module(module_name)
    workflow = getattr(module, name, None)
    if not isinstance(workflow, (WorkflowBase, LaunchPlan)):
        known = [n for n, v in vars(module).items() if isinstance(v, (WorkflowBase, LaunchPlan))]
        raise UsageError(f"{module_name} has no workflow `{name}`; it has: {', '.join(known) or 'none'}.")
    try:
        (workflow.workflow if isinstance(workflow, LaunchPlan) else workflow).compile()
    except Exception as error:
        raise CommandError(f"{target} does not compile: {exception_line(error)}") from error
    return workflow


def _import_module(path_or_name: str) -> Any:
    root, name = Path.cwd(), path_or_name
    if path_or_name.endswith(".py"):
        path = Path(path_or_name).resolve()
        if not path.is_file():
            raise UsageError(f"There is no file {path_or_name}.")
        parts, root = [path.stem], path.parent
        while (root / "__init__.py").is_file():
            parts, root = [root.name, *parts], root.parent
        name = ".".join(parts)
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    except Exception as error:
        # The module is the user's code.
        raise CommandError(f"{path_or_name} cannot be imported: {exception_line(error)}") from error


def resolve_counts(bound: Mapping[str, Any], options: Mapping[str, int | None]) -> dict[str, Any]:
    """The counts of a search: its inputs, overridden by the options of the command line."""
    counts = {name: bound[name] for name in COUNT_INPUTS}
    # By default, the batch size equals the concurrency.
    default_batch = counts["batch_size"] == counts["concurrency"]
    counts |= {name: value for name, value in options.items() if value is not None}
    if default_batch and options["batch_size"] is None:
        counts["batch_size"] = counts["concurrency"]
    return counts


def count_problems(node: str, counts: Mapping[str, Any]) -> Iterator[str]:
    """A line for each count of a search that is unknown or not a positive int."""
    for name, value in counts.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, Unknown):
            if name == "batch_size" and value == counts["concurrency"]:
                continue
            yield f"`{name}` of {node} {value.reason}: give {option}."
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield f"`{name}` of {node} must be a positive int, but is {value!r}."
