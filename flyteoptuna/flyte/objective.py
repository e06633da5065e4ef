"""What is known of an objective or a callback: its inputs, its values, its image, the tasks that it names."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.base_task import Task
from flytekit.core.launch_plan import LaunchPlan
from flytekit.core.promise import Promise
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.task import ReferenceTask
from flytekit.core.tracker import extract_task_module
from flytekit.core.utils import ClassDecorator
from flytekit.core.workflow import WorkflowBase

from flyteoptuna.core.refusal_words import got, listed
from flyteoptuna.core.trial.call_objective import KEPT, NUMBER, VALUE
from flyteoptuna.flyte.scoped_settings import Scoped


def is_task(origin: Any) -> bool:
    """Whether a search maps an objective directly, rather than what a callback calls."""
    return isinstance(origin, PythonFunctionTask)


def input_types(origin: Any) -> dict[str, Any]:
    """Types of the inputs of an objective, or of the fixed ones of a callback."""
    if is_task(origin):
        return dict(origin.python_interface.inputs)
    try:
        hints = typing.get_type_hints(origin, include_extras=True)
    except Exception as error:
        raise TypeError(f"The types of the parameters of {origin.__qualname__} cannot be read: {error}") from error
    return {name: hints[name] for name in inspect.signature(origin).parameters if name != "trial" and name in hints}


def named(origin: Any) -> list[PythonFunctionTask[Any]]:
    """The objective, or the tasks that a callback names."""
    if is_task(origin):
        return [origin]
    names = inspect.getclosurevars(inspect.unwrap(origin))
    found = [*names.globals.values(), *names.nonlocals.values()]
    found += [getattr(value, name, None) for value in found if inspect.ismodule(value) for name in names.unbound]
    return list({id(value): value for value in found if is_task(value)}.values())


TRIAL = "optuna_trial"
"""The mapped input that tells a pod which trial it runs: number, key, params, room."""

STUDY = "optuna_study"
"""The bound input that refers to the study as it was when the batch was asked."""

RESERVED = (TRIAL, STUDY)


_KINDS = {float: VALUE, int: NUMBER, bool: NUMBER}


def output_kinds(objective: PythonFunctionTask[Any]) -> dict[str, str]:
    """What each output of an objective is to a search, by the names of the outputs and in their order."""
    types = objective.python_interface.outputs.items()
    return {name: next((_KINDS[kind] for kind in _KINDS if _bare(found) is kind), KEPT) for name, found in types}


def arity(objective: PythonFunctionTask[Any]) -> int:
    """Number of values that an objective returns."""
    return [*output_kinds(objective).values()].count(VALUE)


def kept_types(objective: PythonFunctionTask[Any]) -> dict[str, Any]:
    """Types of the outputs of an objective that are kept with its trials, by their names."""
    kept = [name for name, kind in output_kinds(objective).items() if kind == KEPT]
    return {name: objective.python_interface.outputs[name] for name in kept}


def image_of(objective: PythonFunctionTask[Any]) -> Any:
    """The image that an objective runs in, which its pod template may name."""
    template = objective.pod_template
    if objective.container_image is None and template is not None and template.pod_spec is not None:
        for container in template.pod_spec.containers or ():
            if container.name == template.primary_container_name:
                return container.image
    return objective.container_image


def defaults(origin: Any) -> dict[str, Any]:
    """The inputs of an objective or a callback that need not be given, and what they are then."""
    parameters = inspect.signature(getattr(origin, "task_function", origin)).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def completed(origin: Any, name: str, known: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """All known inputs of an objective or a callback: the given ones, and the defaults of the others.

    Raises:
        TypeError: one has neither; ``name`` says of what.
    """
    inputs = {**defaults(origin), **given}
    missing = [key for key in known if key not in inputs]
    if missing:
        raise TypeError(f"Inputs of {name} are missing: {', '.join(missing)}.")
    return {key: inputs[key] for key in known}


def place(origin: Any) -> tuple[str, str]:
    """The module of an objective or a callback, which is empty in a notebook, and its name there."""
    function = getattr(origin, "task_function", origin)
    # In a script flytekit looks for the file of the function, and a class decorator has none.
    while isinstance(function, ClassDecorator):
        function = function.task_function
    _, module, name, _ = extract_task_module(function)
    return module, name


def find(module: str, name: str) -> Any:
    """The objective or the callback of that name, which an optimizer may stand in the place of."""
    found = getattr(importlib.import_module(module), name)
    return getattr(found, "objective", found)


def name_of(origin: Any) -> str:
    """The name of an objective or a callback, as an error says it."""
    return str(origin.name if is_task(origin) else origin.__qualname__)


def _shown(objective: Any) -> str:
    if isinstance(objective, (Task, WorkflowBase, LaunchPlan)):
        return f"{objective.name} ({type(objective).__name__})"
    return got(objective)


def _what(objective: Any) -> str:
    """What there is in place of a plain task, and what to write; a sentence without its end."""
    if isinstance(objective, WorkflowBase):
        return "a workflow, which cannot be mapped: pass its task, or search over a task that does its work"
    if isinstance(objective, LaunchPlan):
        return "a launch plan, which cannot be mapped: pass a task that does its work"
    if isinstance(objective, ReferenceTask):
        return "a reference to a task, whose code is not here to be mapped: import the task itself"
    if isinstance(objective, PythonFunctionTask):
        kind = "an eager" if objective.execution_mode == PythonFunctionTask.ExecutionBehavior.EAGER else "a dynamic"
        return f"{kind} task, which cannot be mapped: write @task"
    if isinstance(objective, ArrayNodeMapTask):
        return "a map task: pass the task that it maps"
    if isinstance(objective, Task):
        return "a task that runs no function of Python: call its work from one"
    if isinstance(objective, Scoped):
        return "an optimizer already: call it, or pass the objective that it is made of"
    if isinstance(objective, functools.partial):
        return "a partial function: pass what it calls, and give its inputs where the optimizer is called"
    if isinstance(objective, type):
        return "a class: write its work as a function"
    if inspect.ismethod(objective):
        return "a method: write a function at the top of a module"
    if inspect.iscoroutine(objective) or isinstance(objective, Promise):
        return "what a call returned: pass the task itself, without parentheses"
    if callable(objective):
        return "an object that can be called: write a function at the top of a module"
    return "neither a task nor a callback"


def check_objective(objective: Any) -> PythonFunctionTask[Any]:
    """The objective, if it is a task that can be mapped and whose result can be told to a study.

    Raises:
        TypeError: it is no plain task, or does not return floats.
        ValueError: pods would not find it, or one of its inputs has a name that is reserved.
    """
    plain = isinstance(objective, PythonFunctionTask) and not isinstance(objective, ReferenceTask)
    if not plain or objective.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        raise TypeError(f"`objective` must be a plain @task, but got {_shown(objective)}, {_what(objective)}.")
    if not arity(objective):
        returned = ", ".join(_named(_bare(kind)) for kind in objective.python_interface.outputs.values()) or "nothing"
        raise TypeError(
            f"`objective` must return a float or a tuple of floats, but {objective.name} returns {returned}: annotate "
            "it with `-> float`, or with `-> tuple[float, float]` for two directions. Other outputs may stand beside."
        )
    signature = inspect.signature(objective.task_function)
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(
                f"Each input of an objective must have a name, but {objective.name} takes `{_written(parameter)}`."
            )
    function: Any = objective.task_function
    called = function.__qualname__
    if "." in called and "<locals>" not in called:
        raise ValueError(f"A task must be at the top of a module, for pods to find it, but got {called}.")
    # In a notebook flytekit pickles a task. In a module that is being loaded, it may have no name yet.
    if getattr(sys.modules.get(function.__module__), called, None) is function and place(objective)[0]:
        raise ValueError(
            f"A task must have the name of its function, for pods to find it, but `{called}` is the function alone: "
            "write @task above it."
        )
    for name in RESERVED:
        if name in objective.python_interface.inputs:
            raise ValueError(f"An objective must not have an input named `{name}`, but {objective.name} has.")
    return objective


def _written(parameter: inspect.Parameter) -> str:
    only = ", /" if parameter.kind == parameter.POSITIONAL_ONLY else ""
    return f"{parameter}{only}"


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _check_callback(function: Any) -> Any:
    """The callback, if a driver pod can find it and knows the types of its inputs."""
    name = getattr(function, "__qualname__", repr(function))
    parameters = inspect.signature(function).parameters
    if "trial" not in parameters:
        raise TypeError(
            f"`objective` must be a @task, or a callback with a parameter named `trial`, but {name} takes "
            f"({listed(parameters)}). Write @task above it, or name a parameter `trial`."
        )
    if "<" in name or "." in name:
        raise ValueError(f"A callback must be a function at the top of a module, for pods to find it, but got {name}.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"A callback must return what its call of the objective returned, but {name} yields.")
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"Each parameter of a callback must have a name, but {name} takes `{_written(parameter)}`.")
        if parameter.name != "trial" and parameter.annotation is parameter.empty:
            raise TypeError(
                f"Each parameter of a callback must have a type, but `{parameter.name}` of {name} has none."
            )
    return function


def check_origin(origin: Any) -> Any:
    """The objective, or the callback that calls one, if a search can be made of it.

    Raises:
        TypeError: it is neither, or its inputs have no names or types.
        ValueError: pods would not find it.
    """
    # An eager task of flytekit is a function no more, but what else decorates one may still be.
    if inspect.isfunction(origin) and not isinstance(origin, (Task, WorkflowBase, LaunchPlan)):
        return _check_callback(origin)
    return check_objective(origin)


def check_called(task: Any, origin: Any) -> Any:
    """The task that a callback is said to call, if it is one; None where nothing is said.

    Raises:
        TypeError: it is no plain task, or there is no callback.
    """
    if task is None:
        return None
    if is_task(origin):
        raise TypeError(f"`task` says what a callback calls, but `objective` is the task {origin.name} itself.")
    return check_objective(task)
