"""Refuse graphs before any pod starts: by Flyte's compiler, or because the engine cannot run them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyteoptuna.testing.compiler.nodes import iter_branch_targets, workflow_nodes
from flyteoptuna.testing.compiler.problems import CompileError
from flyteoptuna.testing.compiler.registration import check_dynamic_graph
from flyteoptuna.testing.engine.scopes import ExecutionFailedError, ExecutionScope
from flyteoptuna.testing.pods.pod import Pod, container_command

_TARGETS = {"task_node": "task", "array_node": "map", "workflow_node": "subworkflow", "branch_node": "branch"}


def refuse_dynamic_graph(job: Any, task: Any, pod: Pod, scope: ExecutionScope) -> None:
    """Refuse the graph of a dynamic task.

    Raises:
        ExecutionFailedError: Flyte's compiler refuses it.
        NotImplementedError: it has a node that the engine cannot run.
    """
    refuse_nodes(job.nodes, scope)
    try:
        check_dynamic_graph(job, task, f"dynamic_{pod.path}")
    except CompileError as error:
        raise ExecutionFailedError(pod.path, pod.task, f"malformed dynamic workflow, caused by: {error}") from error


def refuse_nodes(nodes: Iterable[Any], scope: ExecutionScope) -> None:
    """Refuse nodes of a graph and its nested graphs that the engine cannot run.

    Raises:
        NotImplementedError: names the first such node and the reason.
    """
    for node in nodes:
        _refuse_node(node, scope)


def _refuse_node(node: Any, scope: ExecutionScope) -> None:
    path, target = scope.node_path(node.id), node.WhichOneof("target")
    match _TARGETS.get(target):
        case "task":
            _refuse_task(node, path, scope)
        case "map" if node.array_node.node.WhichOneof("target") == "task_node":
            _refuse_task(node.array_node.node, path, scope)
        case "map":
            raise NotImplementedError(f"the engine maps tasks only: node {path}")
        case "subworkflow" if node.workflow_node.WhichOneof("reference") == "sub_workflow_ref":
            template = scope.workflows[node.workflow_node.sub_workflow_ref.name]
            refuse_nodes(workflow_nodes(template), scope.nested(node.id, 0))
        case "subworkflow":
            plan = node.workflow_node.launchplan_ref.name
            raise NotImplementedError(f"the engine runs no launch plans: node {path} ({plan})")
        case "branch":
            refuse_nodes(iter_branch_targets(node), scope.nested(node.id, 0))
        # The start and end nodes have no target.
        case _ if target is not None:
            raise NotImplementedError(f"the engine runs no {target}: node {path}")


def _refuse_task(node: Any, path: str, scope: ExecutionScope) -> None:
    name = node.task_node.reference_id.name
    template = scope.tasks.get(name)
    if template is None:
        raise NotImplementedError(f"the engine runs no task that is registered elsewhere: node {path} ({name})")
    if template.WhichOneof("target") not in ("container", "k8s_pod"):
        raise NotImplementedError(
            f"the engine runs containers only, and no {template.type} for an agent or a plugin of the backend: "
            f"node {path} ({name})"
        )
    args, _ = container_command(template)
    if not args or not args[0].startswith("pyflyte-"):
        raise NotImplementedError(
            f"the engine runs Python tasks only, and has no images: node {path} ({name}) runs `{' '.join(args)}`"
        )
