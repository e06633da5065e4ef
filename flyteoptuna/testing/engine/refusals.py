"""Graphs that are refused before a pod is started: by Flyte's compiler, or because the engine does not run them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyteoptuna.testing.compiler.nodes import nodes_of, nodes_of_workflow
from flyteoptuna.testing.compiler.problems import CompileError
from flyteoptuna.testing.compiler.registration import check_dynamic
from flyteoptuna.testing.engine.scopes import ExecutionFailed, Scope
from flyteoptuna.testing.pods.pod import Pod, container

_TARGETS = {"task_node": "task", "array_node": "map", "workflow_node": "subworkflow", "branch_node": "branch"}


def check_graph(job: Any, task: Any, pod: Pod, scope: Scope) -> None:
    """Refuse the graph that a dynamic task has made.

    Raises:
        ExecutionFailed: Flyte's compiler refuses it.
        NotImplementedError: it holds a node that the engine does not run.
    """
    check_nodes(job.nodes, scope)
    try:
        check_dynamic(job, task, f"dynamic_{pod.path}")
    except CompileError as error:
        raise ExecutionFailed(pod.path, pod.task, f"malformed dynamic workflow, caused by: {error}") from error


def check_nodes(nodes: Iterable[Any], scope: Scope) -> None:
    """Refuse the nodes of a graph, and of the graphs in it, that the engine does not run.

    Raises:
        NotImplementedError: names the first such node, and why.
    """
    for node in nodes:
        check_node(node, scope)


def check_node(node: Any, scope: Scope) -> None:
    """Refuse a node that the engine does not run; see :func:`check_nodes`."""
    path, target = scope.child(node.id), node.WhichOneof("target")
    match _TARGETS.get(target):
        case "task":
            _check_task(node, path, scope)
        case "map" if node.array_node.node.WhichOneof("target") == "task_node":
            _check_task(node.array_node.node, path, scope)
        case "map":
            raise NotImplementedError(f"the engine maps tasks only: node {path}")
        case "subworkflow" if node.workflow_node.WhichOneof("reference") == "sub_workflow_ref":
            template = scope.workflows[node.workflow_node.sub_workflow_ref.name]
            check_nodes(nodes_of_workflow(template), scope.inside(node.id, 0))
        case "subworkflow":
            plan = node.workflow_node.launchplan_ref.name
            raise NotImplementedError(f"the engine runs no launch plans: node {path} ({plan})")
        case "branch":
            check_nodes(nodes_of(node), scope.inside(node.id, 0))
        # The ends of a graph have none.
        case _ if target is not None:
            raise NotImplementedError(f"the engine runs no {target}: node {path}")


def _check_task(node: Any, path: str, scope: Scope) -> None:
    name = node.task_node.reference_id.name
    template = scope.tasks.get(name)
    if template is None:
        raise NotImplementedError(f"the engine runs no task that is registered elsewhere: node {path} ({name})")
    if template.WhichOneof("target") not in ("container", "k8s_pod"):
        raise NotImplementedError(
            f"the engine runs containers only, and no {template.type} for an agent or a plugin of the backend: "
            f"node {path} ({name})"
        )
    args, _ = container(template)
    if not args or not args[0].startswith("pyflyte-"):
        raise NotImplementedError(
            f"the engine runs Python tasks only, and has no images: node {path} ({name}) runs `{' '.join(args)}`"
        )
