"""The searches in a compiled workflow, and their counts of trials."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    inputs = _default_inputs(workflow)
    known = workflow.python_interface.inputs
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
    return inputs


def _default_inputs(entity: Any) -> dict[str, Any]:
    """Defaults of a workflow, and the inputs that a launch plan sets."""
    workflow = getattr(entity, "workflow", entity)
    defaults = {name: value for name, (_, value) in workflow.python_interface.inputs_with_defaults.items()}
    given = {**defaults, **getattr(entity, "saved_inputs", {})}
    # Flytekit has no other value for none.
    return {name: value for name, value in given.items() if value is not None}


def _bound_value(binding: Any, inputs: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """The value of a node's input, if it is known before the workflow runs."""
    promise, scalar = binding.promise, binding.scalar
    while scalar is not None and scalar.union is not None:
        scalar = scalar.union.value.scalar
    if binding.collection is not None:
        return [_bound_value(item, inputs, names) for item in binding.collection.bindings]
    if promise is None:
        return scalar.primitive.value if scalar is not None and scalar.primitive is not None else None
    if promise.node_id:
        node = f"node {promise.node_id} ({names[promise.node_id]})" if promise.node_id in names else promise.node_id
        return Unknown(f"is an output of {node}, which is known when that has run")
    value = inputs.get(promise.var, Unknown(f"is the input `{promise.var}`, which has no default"))
    return _part(value, promise.attr_path or (), promise.var)


def _part(value: Any, path: Sequence[Any], name: str) -> Any:
    """A field or an item of a value, such as of a dataclass that is the default of an input."""
    for key in path:
        if isinstance(value, Unknown):
            return value
        try:
            value = value[key] if isinstance(value, (dict, list)) else getattr(value, key)
        except (AttributeError, KeyError, IndexError, TypeError):
            return Unknown(f"is a part of the input `{name}`")
    return value


class FoundSearch(NamedTuple):
    """A search in a compiled workflow."""

    objective: str
    node: str
    bound: dict[str, Any]  # values of the inputs
    reuse_pods: bool


class Unseen(NamedTuple):
    """A node whose searches, if it has any, are not known before it runs."""

    node: str
    reason: str


def find_searches(workflow: Any, inputs: Mapping[str, Any], prefix: str = "") -> Iterator[FoundSearch | Unseen]:
    """The searches of a compiled workflow, and of all that it contains; and the nodes that do not show theirs."""
    nodes = list(_iterate_nodes([*workflow.nodes, *filter(None, [workflow.failure_node])]))
    names = {node.id: str(getattr(node.flyte_entity, "name", "")) for node in nodes}
    for node in nodes:
        bound = {b.var: _bound_value(b.binding, inputs, names) for b in node.bindings}
        yield from _searches_of(node.flyte_entity, bound, f"{prefix}{node.id}")


def _searches_of(entity: Any, bound: dict[str, Any], node: str) -> Iterator[FoundSearch | Unseen]:
    """The searches of a node's entity."""
    from flytekit.core.array_node import ArrayNode
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    if reason := _reason_unseen(entity):
        yield Unseen(node, f"{getattr(entity, 'name', entity)} is {reason}")
    elif (reuse_pods := _search_kind(entity)) is not None:
        yield FoundSearch(entity.name.rpartition(".search-")[0], node, bound, reuse_pods)
    elif isinstance(entity, ArrayNode):
        for elements, values in _mapped_inputs(bound):
            yield from _searches_of(entity.flyte_entity, values, f"{node}[{elements}]")
    elif isinstance(entity, LaunchPlan):
        yield from find_searches(entity.workflow, {**_default_inputs(entity), **bound}, f"{node}/")
    elif isinstance(entity, WorkflowBase):
        yield from find_searches(entity, {**_default_inputs(entity), **bound}, f"{node}/")


def _search_kind(entity: Any) -> bool | None:
    """Whether a task that begins a search reuses pods; None for any other entity."""
    from flyteoptuna.search.batches.graph import BatchTasks
    from flyteoptuna.search.reused.graph import ReusedPodTasks

    kinds: dict[Any, bool] = {(BatchTasks.REBUILD, "search"): False, (ReusedPodTasks.REBUILD, "search"): True}
    return kinds.get(tuple(getattr(entity, "rebuild_args", ()))[:2])


def _reason_unseen(entity: Any) -> str:
    """Description of an entity that does not show whether it contains searches; empty for any other."""
    from flytekit.core.python_function_task import EagerAsyncPythonFunctionTask, PythonFunctionTask
    from flytekit.core.reference_entity import ReferenceEntity

    if isinstance(entity, ReferenceEntity):
        return "a reference, whose code is elsewhere"
    if isinstance(entity, EagerAsyncPythonFunctionTask):
        return "an eager task, whose searches are known when it runs"
    dynamic = PythonFunctionTask.ExecutionBehavior.DYNAMIC
    if isinstance(entity, PythonFunctionTask) and entity.execution_mode == dynamic and _search_kind(entity) is None:
        return "a dynamic task, whose searches are known when it runs"
    return "" if hasattr(entity, "python_interface") or hasattr(entity, "workflow") else "not in this code"


def _mapped_inputs(bound: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The inputs of the elements of a map, with the positions that have the same; unknown lists have one element."""
    lengths = [len(value) for value in bound.values() if isinstance(value, list)]
    if not lengths:
        values = {name: _element(name, value) for name, value in bound.items()}
        yield "*", values
        return
    rows = [
        {name: value[i] if isinstance(value, list) else _element(name, value) for name, value in bound.items()}
        for i in range(min(lengths))
    ]
    first = 0
    for i in range(1, len(rows) + 1):
        if i == len(rows) or rows[i] != rows[first]:
            yield str(first) if i == first + 1 else f"{first}-{i - 1}", rows[first]
            first = i


def _element(name: str, value: Any) -> Unknown:
    if isinstance(value, Unknown):
        return Unknown(value.reason.replace("is ", "is an element of ", 1))
    return Unknown(f"is an element of `{name}`, which must be a list, but is {value!r}")


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
    from flytekit.core.base_task import Task
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase

    module_name, colon, name = target.rpartition(":")
    if not colon or not module_name or not name:
        raise UsageError(
            f"Expected MODULE:WORKFLOW, as in pkg.train:main or path/to/train.py:main, but got {target!r}."
        )
    module = _import_module(module_name)
    workflow = getattr(module, name, None)
    if isinstance(workflow, Task) and (reason := _reason_unseen(workflow)):
        raise CommandError(f"{target} is {reason}.")
    if not isinstance(workflow, (WorkflowBase, LaunchPlan)):
        known = [n for n, v in vars(module).items() if isinstance(v, (WorkflowBase, LaunchPlan))]
        raise UsageError(f"{module_name} has no workflow `{name}`; it has: {', '.join(known) or 'none'}.")
    if reason := _reason_unseen(workflow):
        raise CommandError(f"{target} is {reason}.")
    try:
        with _silent_log():
            (workflow.workflow if isinstance(workflow, LaunchPlan) else workflow).compile()
    except Exception as error:
        raise CommandError(f"{target} does not compile: {exception_line(error)}") from error
    return workflow


@contextmanager
def _silent_log() -> Iterator[None]:
    """Suppress the warnings of a search, which the command gives itself, for the numbers of its options."""
    logger = logging.getLogger("flyteoptuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


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
