"""Tasks of the driver pods: Python functions as Flyte tasks, which the resolver rebuilds in the pod."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flytekit.core.base_task import TaskMetadata
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.interface import Interface
from flytekit.core.promise import create_and_link_node
from flytekit.core.python_function_task import PythonFunctionTask

from flyteoptuna.flyte.objective import container_image
from flyteoptuna.flyte.references import Reference, by_reference
from flyteoptuna.flyte.resolver import name_task, resolver, short_digest
from flyteoptuna.search.outages import recoverable

# Retries of a driver pod after its own failure, such as running out of memory.
RETRIES = 3
DYNAMIC = PythonFunctionTask.ExecutionBehavior.DYNAMIC
PLAIN = PythonFunctionTask.ExecutionBehavior.DEFAULT
# Prefix of the names of the objective's inputs in a search's tasks.
INPUT = "in_"


def variable_names(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Names of inputs or outputs in a search's tasks, by their names in the objective.

    Flyte reads names of outputs in ASCII only. The position stands for any other name; no name begins with a digit.
    """
    return {name: f"{prefix}{name if name.isascii() else index}" for index, name in enumerate(names)}


def add_node(task: Any, inputs: Mapping[str, Any], user_types: Mapping[str, Any]) -> Any:
    """Add a node to the workflow that is being compiled; return the promises of its outputs.

    Args:
        task: a task of a search.
        inputs: inputs of the node.
        user_types: types of the user's inputs, by name. Flytekit binds them as it binds inputs of the user's own tasks.
    """
    own = task.python_interface
    interface = Interface({**own.inputs, **user_types}, own.outputs, output_tuple_name=own.output_tuple_name)
    return create_and_link_node(FlyteContextManager.current_context(), task, overridden_interface=interface, **inputs)


def study_input(start: str) -> dict[str, Any]:
    """Name and type of the input for the study to continue; empty if a search begins with a new study."""
    import optuna

    types = {"continued": optuna.Study, "perhaps": optuna.Study | None}
    return {"study": by_reference(types[start])} if start in types else {}


def driver_task(
    name: str,
    args: tuple[str, ...],
    objective: PythonFunctionTask[Any],
    body: Callable[..., Any],
    inputs: Mapping[str, Any],
    output: Any,
    *,
    mode: Any = PLAIN,
    deck: bool = False,
) -> Any:
    """Build a task that runs a function in a pod of its own, with the image and environment of the objective."""

    def function(**kwargs: Any) -> Any:
        with recoverable():
            outputs = body(**kwargs)
            # Flytekit would save a study later, and give up at the first failure.
            for value in outputs if isinstance(outputs, tuple) else (outputs,):
                if isinstance(value, Reference):
                    _ = value.literal
        return outputs

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(key, kind, annotation=t) for key, t in inputs.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=output)  # type: ignore[attr-defined]
    function.__annotations__ = {**inputs, "return": output}
    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    function.__module__ = __name__
    function.__doc__ = body.__doc__
    # While it compiles a workflow, flytekit gives each task the workflow's resolver.
    ctx = FlyteContextManager.current_context()
    with FlyteContextManager.with_context(ctx.with_compilation_state(None)):
        task: PythonFunctionTask[Any] = PythonFunctionTask(
            task_config=None,
            task_function=function,
            execution_mode=mode,
            task_resolver=resolver,
            metadata=TaskMetadata(generates_deck=deck, retries=RETRIES),
            enable_deck=deck,
            deck_fields=(),
            container_image=container_image(objective),
            environment=dict(objective.environment),
        )
    return name_task(task, f"{name}-{short_digest(args)}", args)


def output_tuple(name: str, types: Mapping[str, Any]) -> Any:
    """Type of several named outputs."""
    return NamedTuple(name, list(types.items()))
