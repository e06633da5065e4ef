"""Pass the error of a failed workflow to its failure node."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core import types_pb2

from flyteoptuna.testing.engine.scopes import ExecutionFailedError, ExecutionScope


def failure_node_with_error(template: Any, scope: ExecutionScope, error: ExecutionFailedError) -> Any:
    """Return a workflow's failure node with the error bound to each input of type ``FlyteError``."""
    node = type(template.failure_node)()
    node.CopyFrom(template.failure_node)
    # The ID is that of the failure node itself, as in flytekit.
    error_proto = types_pb2.Error(failed_node_id=node.id, message=error.message)
    inputs = _input_variables(node, scope)
    for binding in node.inputs:
        scalar = _error_scalar(inputs[binding.var].type, pb.Scalar(error=error_proto))
        if scalar is not None:
            binding.binding.CopyFrom(pb.BindingData(scalar=scalar))
    return node


def _input_variables(node: Any, scope: ExecutionScope) -> Any:
    if node.HasField("task_node"):
        return scope.tasks[node.task_node.reference_id.name].interface.inputs.variables
    return scope.workflows[node.workflow_node.sub_workflow_ref.name].interface.inputs.variables


def _error_scalar(input_type: Any, error: Any) -> Any:
    """Convert an error to the type of an input; None if the input takes no error."""
    if input_type.simple == types_pb2.ERROR:
        return error
    for variant in input_type.union_type.variants:
        if variant.simple == types_pb2.ERROR:
            return pb.Scalar(union=pb.Union(value=pb.Literal(scalar=error), type=variant))
    return None
