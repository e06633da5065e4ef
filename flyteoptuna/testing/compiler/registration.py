"""Check a workflow at its registration and start, and the graph that a dynamic task returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.workflow_pb2 import WorkflowTemplate

from flyteoptuna.testing.compiler.inputs import check_default_inputs, check_execution_inputs
from flyteoptuna.testing.compiler.problems import CompileError, Problem
from flyteoptuna.testing.compiler.workflows import compile_workflow


def check_execution(
    template: Any,
    subworkflows: Iterable[Any],
    tasks: Iterable[Any],
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Literal],
) -> dict[str, Literal]:
    """Check a workflow and the inputs of its execution, and return the inputs with the defaults filled in.

    Raises:
        CompileError: Flyte would refuse the workflow or an input.
    """
    _check_unique_ids(template, *subworkflows)
    compile_workflow(template, subworkflows, tasks)
    check_default_inputs(parameters)
    return check_execution_inputs(inputs, parameters)


def check_dynamic_graph(job: Any, task: Any, name: str) -> None:
    """Check the graph of a dynamic task, in which all inputs are constants.

    Args:
        job: the graph, a ``DynamicJobSpec``.
        task: the template of the task.
        name: the name of the graph in error messages.

    Raises:
        CompileError: Flyte would refuse the graph.
    """
    template = WorkflowTemplate(id=Identifier(name=name), nodes=job.nodes, outputs=job.outputs)
    template.interface.outputs.CopyFrom(task.interface.outputs)
    _check_unique_ids(template, *job.subworkflows)
    compile_workflow(template, job.subworkflows, job.tasks)


def _check_unique_ids(*templates: Any) -> None:
    """Refuse two nodes with the same ID. Flyte silently drops the second."""
    for template in templates:
        seen: set[str] = set()
        for node in template.nodes:
            if node.id in seen:
                about = "Flyte runs the first of two nodes with the same id, and drops the second."
                raise CompileError([Problem("DuplicateId", node.id, about)])
            seen.add(node.id)
