"""The failure node of a workflow: it runs once the workflow has failed, and is told why."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core import types_pb2

from flyteoptuna.testing.engine.scopes import ExecutionFailed, Scope


def failure_node(template: Any, scope: Scope, error: ExecutionFailed) -> Any:
    """Return the failure node of a workflow that has failed, with the error for each input that takes one."""
    node = type(template.failure_node)()
    node.CopyFrom(template.failure_node)
    # By the failure node's own id, as in flytekit.
    error_of = types_pb2.Error(failed_node_id=node.id, message=error.message)
    inputs = _variables(node, scope)
    for binding in node.inputs:
        if (told := _told(inputs[binding.var].type, pb.Scalar(error=error_of))) is not None:
            binding.binding.CopyFrom(pb.BindingData(scalar=told))
    return node


def _variables(node: Any, scope: Scope) -> Any:
    if node.HasField("task_node"):
        return scope.tasks[node.task_node.reference_id.name].interface.inputs.variables
    return scope.workflows[node.workflow_node.sub_workflow_ref.name].interface.inputs.variables


def _told(kind: Any, error: Any) -> Any:
    """Return an error as an input of a type takes it; None where it takes none."""
    if kind.simple == types_pb2.ERROR:
        return error
    for each in kind.union_type.variants:
        if each.simple == types_pb2.ERROR:
            return pb.Scalar(union=pb.Union(value=pb.Literal(scalar=error), type=each))
    return None
