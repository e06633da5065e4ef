"""The occasions on which Flyte compiles: a workflow is registered and started, a dynamic task has made its graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.workflow_pb2 import WorkflowTemplate

from flyteoptuna.testing.compiler.inputs import check_defaults, check_inputs
from flyteoptuna.testing.compiler.problems import CompileError, Problem
from flyteoptuna.testing.compiler.workflows import compile_workflow


def check_execution(
    template: Any,
    subworkflows: Iterable[Any],
    tasks: Iterable[Any],
    parameters: Mapping[str, Any],
    given: Mapping[str, Literal],
) -> dict[str, Literal]:
    """Check a workflow that is registered, and the inputs that it is started with; all inputs, with the defaults.

    Raises:
        CompileError: Flyte would refuse one of them.
    """
    _check_ids(template, *subworkflows)
    compile_workflow(template, subworkflows, tasks)
    check_defaults(parameters)
    return check_inputs(given, parameters)


def check_dynamic(job: Any, task: Any, name: str) -> None:
    """Check the graph of a dynamic task, whose inputs are constants by now.

    Args:
        job: the graph.
        task: the template of the task.
        name: what stands for the graph in errors.

    Raises:
        CompileError: Flyte would refuse it.
    """
    template = WorkflowTemplate(id=Identifier(name=name), nodes=job.nodes, outputs=job.outputs)
    template.interface.outputs.CopyFrom(task.interface.outputs)
    _check_ids(template, *job.subworkflows)
    compile_workflow(template, job.subworkflows, job.tasks)


def _check_ids(*templates: Any) -> None:
    """Refuse two nodes of one id. Flyte does not, and drops the second without a word."""
    for template in templates:
        seen: set[str] = set()
        for node in template.nodes:
            if node.id in seen:
                about = "Flyte runs the first of two nodes with the same id, and drops the second."
                raise CompileError([Problem("DuplicateId", node.id, about)])
            seen.add(node.id)
