"""Run a workflow in local processes as Flyte does on a cluster."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.promise import translate_inputs_to_literals
from flytekit.core.type_engine import TypeEngine
from flytekit.core.workflow import WorkflowBase
from flytekit.models.literals import Literal

from flyteoptuna.testing.arguments import check_number, check_type
from flyteoptuna.testing.engine.cache import Cache
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.faults import Faults, PodChoice, PodChoices
from flyteoptuna.testing.pods.pod import Pod
from flyteoptuna.testing.pods.processes import end_pods_on_interrupt
from flyteoptuna.values.tracebacks import public


@dataclass(frozen=True)
class Run:
    """Outputs and pods of a workflow run.

    Output files and the pods' logs exist until the process of the test ends.

    Attributes:
        outputs: the workflow's outputs: None, a value, or a named tuple of values.
        pods: the pods in the order of their start, one for each attempt.
        hits: records of the calls that the cache answered without a pod.
        depth: maximum nesting depth of dynamic tasks.
        visits: node visits of one traversal of all graphs by flytepropeller.
        largest: size of the largest message, bytes: of inputs, outputs, errors and graphs. Flyte's default limit is
            2 MiB.
    """

    outputs: Any
    pods: list[Pod]
    hits: list[Pod]
    depth: int
    visits: int
    largest: int

    def of(self, name: str) -> list[Pod]:
        """Return the pods of the tasks whose names contain ``name``."""
        return [pod for pod in self.pods if name in pod.task]


@public
def run(
    workflow: Any,
    inputs: Mapping[str, Any] | None = None,
    /,
    *,
    kill: PodChoices = (),
    drop: PodChoices = (),
    delay: Mapping[PodChoice, float] | Callable[[Pod], float] = {},  # noqa: B006 - it is not changed
    system_retries: int = 3,
    cache: Cache | None = None,
    pods_at_once: int = 2,
    seconds: float = 300,
    **more: Any,
) -> Run:
    """Compile a workflow and run it as Flyte does, each task by its own container command in a separate process.

    Bindings, dynamic tasks, subworkflows, conditionals, failure nodes, maps with their minimum of successes, retries,
    timeouts and the cache work as in Flyte. Processes exchange data through files only, and share no memory with the
    test.

    A *choice* of pods is a part of the task's name; a position, counted from 0 in the order of the pods' start; a
    ``RandomPods``; or a function of a ``Pod``. Each attempt is a pod, so that a choice by name includes retries.

    Args:
        workflow: the workflow.
        inputs: its inputs by name. Required for inputs with the name of an argument of this function.
        kill: one or several choices of pods that die before their work.
        drop: one or several choices of pods that lose their outputs after their work. In a map, the element is missing
            from the list, and the following ones move up. Elsewhere, Flyte considers the pod dead.
        delay: delay of the pods' work, seconds: a dictionary by choice, or a function of a pod.
        system_retries: maximum number of retries after dead pods, at least 0. Default: 3, as in Flyte.
        cache: outputs of cached tasks. Pass the same one to several runs to share it. Default: a new one.
        pods_at_once: maximum number of pods at once, at least 1.
        seconds: time limit of a pod, seconds, at least 0.1.
        **more: more inputs of the workflow.

    Returns:
        The outputs and the pods.

    Raises:
        CompileError: Flyte would refuse to register the workflow, or would refuse its inputs.
        ExecutionFailedError: the workflow failed. Its message has the node, the task and the task's traceback; its
            ``pods`` are those of the run.
        NotImplementedError: the workflow has launch plans, agents, gates or tasks that are not Python.
        TypeError: an input or an argument is missing, unknown or of a wrong type.
        ValueError: an argument is out of range; or a choice chose no pod, or fewer than the ``count`` of a
            ``RandomPods``, so that the test would prove nothing.
    """
    check_type("workflow", workflow, WorkflowBase, "a workflow")
    check_number("pods_at_once", pods_at_once, int, 1)
    check_number("system_retries", system_retries, int, 0)
    check_number("seconds", seconds, (int, float), 0.1)
    check_type("cache", cache, (Cache, type(None)), "a testing.Cache")
    literals = _input_literals(workflow, _merge_inputs(inputs, more))
    faults = Faults(kill, drop, delay)
    end_pods_on_interrupt()
    folder = tempfile.mkdtemp(prefix="flyteoptuna-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = Engine(
        Path(folder),
        _import_folders(workflow),
        faults=faults.fault,
        delays=faults.delay,
        pods_at_once=pods_at_once,
        system_retries=system_retries,
        cache=Cache() if cache is None else cache,
        seconds=seconds,
    )
    try:
        output_literals = engine.run(workflow, literals)
    except ExecutionFailedError as error:
        error.pods = engine.pods
        raise
    faults.check(engine.pods)
    outputs = _python_outputs(workflow, output_literals)
    visits = sum(graph.visits for graph in engine.graphs)
    return Run(outputs, engine.pods, engine.hits, engine.depth, visits, engine.largest)


def _merge_inputs(inputs: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    check_type("inputs", inputs, (Mapping, type(None)), "a dictionary")
    named = inputs or {}
    if duplicates := named.keys() & more.keys():
        raise TypeError(f"Input `{min(duplicates)}` is given twice.")
    return {**named, **more}


def _import_folders(workflow: Any) -> list[Path]:
    """Folders that a pod imports from: the root folder of the workflow's module, and this process's ``sys.path``."""
    folders = [Path(entry or ".").resolve() for entry in sys.path]
    module = sys.modules.get(getattr(workflow, "_workflow_function", run).__module__)
    if module is not None and module.__file__ is not None:
        # flytekit names the module relative to the first folder without an `__init__.py`.
        folder = Path(module.__file__).resolve().parent
        while (folder / "__init__.py").exists():
            folder = folder.parent
        folders.insert(0, folder)
    return folders


def _input_literals(workflow: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    ctx = FlyteContextManager.current_context()
    variables, types = workflow.interface.inputs, workflow.python_interface.inputs
    for name in inputs:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise TypeError(f"{workflow.name} has no input `{name}`; it has: {known}.")
    defaults = workflow.python_interface.inputs_with_defaults
    for name in variables:
        if name not in inputs and not _may_be_omitted(*defaults[name]):
            raise TypeError(f"Input `{name}` of {workflow.name} is missing.")
    literals = translate_inputs_to_literals(ctx, dict(inputs), variables, types)
    return {name: literal.to_flyte_idl() for name, literal in literals.items()}


def _may_be_omitted(annotation: Any, default: Any) -> bool:
    return default is not None or type(None) in getattr(annotation, "__args__", ())


def _python_outputs(workflow: Any, literals: Mapping[str, Any]) -> Any:
    ctx = FlyteContextManager.current_context()
    types, tuple_name = workflow.python_interface.outputs, workflow.python_interface.output_tuple_name
    values = [
        TypeEngine.to_python_value(ctx, Literal.from_flyte_idl(literals[name]), python_type)
        for name, python_type in types.items()
    ]
    if len(values) > 1 or tuple_name:
        # The default name is that of a local run.
        return namedtuple(tuple_name or "DefaultNamedTupleOutput", types)(*values)  # noqa: PYI024 - fields are dynamic
    return values[0] if values else None
