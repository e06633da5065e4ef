"""Driver tasks: plain functions as tasks of flytekit, in the objective's image, found again by the resolver."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flytekit.core.base_task import TaskMetadata
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.interface import Interface
from flytekit.core.promise import create_and_link_node
from flytekit.core.python_function_task import PythonFunctionTask

from flyteoptuna.flyte.objective import image_of
from flyteoptuna.flyte.references import by_reference
from flyteoptuna.flyte.resolver import adopt, digest, resolver

RETRIES = 3
"""How often a driver is retried for what counts as its own failure, as running out of memory does."""
DYNAMIC = PythonFunctionTask.ExecutionBehavior.DYNAMIC
PLAIN = PythonFunctionTask.ExecutionBehavior.DEFAULT
INPUT = "in_"
"""What the names of the objective's inputs begin with, beside those of a search's own."""


def variables(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Names of inputs or outputs of a search's own tasks, by the names that the objective gives them.

    Flyte reads the name of an output in ASCII alone. The position stands for any other name: no name begins with a
    digit.
    """
    return {name: f"{prefix}{name if name.isascii() else index}" for index, name in enumerate(names)}


def node(task: Any, inputs: Mapping[str, Any], written: Mapping[str, Any]) -> Any:
    """Add a node to the workflow that is being compiled; the promises of its outputs.

    Args:
        task: a task of a search.
        inputs: what it is given.
        written: types of the inputs that a user has written, which flytekit binds as it binds those of the user's own
            tasks.
    """
    known = task.python_interface
    interface = Interface({**known.inputs, **written}, known.outputs, output_tuple_name=known.output_tuple_name)
    return create_and_link_node(FlyteContextManager.current_context(), task, overridden_interface=interface, **inputs)


def study_input(start: str) -> dict[str, Any]:
    """The input of the study to go on with, by its name; none where a search makes a new one.

    Args:
        start: what the search starts from; see ``Request.start``.
    """
    import optuna

    kinds = {"continued": optuna.Study, "perhaps": optuna.Study | None}
    return {"study": by_reference(kinds[start])} if start in kinds else {}


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
    """The task that runs a function in a pod of its own.

    Args:
        name: what the console shows of it.
        args: the builder that makes the task again, and its arguments.
        objective: the user's task, in whose image and environment it runs.
        body: the function, called with keywords.
        inputs: types of its inputs.
        output: type of its output.
        mode: ``PLAIN`` or ``DYNAMIC``.
        deck: whether its node shows a page.
    """

    def function(**kwargs: Any) -> Any:
        return body(**kwargs)

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(key, kind, annotation=t) for key, t in inputs.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=output)  # type: ignore[attr-defined]
    function.__annotations__ = {**inputs, "return": output}
    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    function.__module__ = __name__
    function.__doc__ = body.__doc__
    # Compiling, flytekit gives a task the resolver of the workflow, whatever it is told.
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
            container_image=image_of(objective),
            environment=dict(objective.environment),
        )
    return adopt(task, f"{name}-{digest(args)}", args)


def named_tuple(name: str, fields: Mapping[str, Any]) -> Any:
    """A type for several outputs."""
    return NamedTuple(name, list(fields.items()))
