"""Checks and properties of an objective or a callback: inputs, outputs, image, import location, called tasks.

An *origin* is either of the two.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from types import CoroutineType, MethodType
from typing import Any

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.base_task import Task
from flytekit.core.launch_plan import LaunchPlan
from flytekit.core.promise import Promise
from flytekit.core.python_function_task import EagerAsyncPythonFunctionTask, PythonFunctionTask
from flytekit.core.task import ReferenceTask
from flytekit.core.tracker import extract_task_module
from flytekit.core.utils import ClassDecorator
from flytekit.core.workflow import WorkflowBase

from flyteoptuna.flyte.split_objective import split_hint
from flyteoptuna.flyte.workflow_scope import ScopedSettings
from flyteoptuna.trial.call_objective import NUMBER, STORED, VALUE
from flyteoptuna.values.annotated import strip_annotated
from flyteoptuna.values.did_you_mean import join_names, value_and_type


def is_task(origin: Any) -> bool:
    """Test whether an origin is a task, and not a callback."""
    return isinstance(origin, PythonFunctionTask)


def input_types(origin: Any) -> dict[str, Any]:
    """Types of the inputs of an objective, or of the fixed inputs of a callback, by name."""
    if is_task(origin):
        return dict(origin.python_interface.inputs)
    try:
        hints = typing.get_type_hints(origin, include_extras=True)
    except Exception as error:
        raise TypeError(f"The types of the parameters of {origin.__qualname__} cannot be read: {error}") from error
    return {name: hints[name] for name in inspect.signature(origin).parameters if name != "trial" and name in hints}


def called_tasks(origin: Any) -> list[PythonFunctionTask[Any]]:
    """The objective itself, or the tasks that the code of a callback names."""
    if is_task(origin):
        return [origin]
    names = inspect.getclosurevars(inspect.unwrap(origin))
    values = [*names.globals.values(), *names.nonlocals.values()]
    values += [getattr(value, name, None) for value in values if inspect.ismodule(value) for name in names.unbound]
    return list({id(value): value for value in values if is_task(value)}.values())


# Name of the mapped input with the trial that a pod runs: number, key, params, size of its report.
TRIAL = "optuna_trial"
# Name of the bound input that refers to the study as it was when the batch was asked.
STUDY = "optuna_study"
RESERVED = (TRIAL, STUDY)

_KINDS = {float: VALUE, int: NUMBER, bool: NUMBER}


def output_kinds(objective: PythonFunctionTask[Any]) -> dict[str, str]:
    """Uses of the outputs of an objective, by name and in order: ``VALUE``, ``NUMBER`` or ``STORED``."""
    types = objective.python_interface.outputs.items()
    # A type may have no hash.
    return {name: next((_KINDS[t] for t in _KINDS if strip_annotated(kind) is t), STORED) for name, kind in types}


def n_objective_values(objective: PythonFunctionTask[Any]) -> int:
    """Number of values that an objective returns."""
    return [*output_kinds(objective).values()].count(VALUE)


def stored_output_types(objective: PythonFunctionTask[Any]) -> dict[str, Any]:
    """Types of the outputs that are stored with each trial, by name."""
    kinds = output_kinds(objective)
    return {name: kind for name, kind in objective.python_interface.outputs.items() if kinds[name] == STORED}


def container_image(objective: PythonFunctionTask[Any]) -> Any:
    """Container image of an objective, from the task or from its pod template."""
    template = objective.pod_template
    if objective.container_image is None and template is not None and template.pod_spec is not None:
        for container in template.pod_spec.containers or ():
            if container.name == template.primary_container_name:
                return container.image
    return objective.container_image


def default_inputs(origin: Any) -> dict[str, Any]:
    """Default values of the inputs of an origin, by name."""
    parameters = inspect.signature(getattr(origin, "task_function", origin)).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def complete_inputs(origin: Any, name: str, known: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the given inputs of an origin by defaults; raises a ``TypeError`` with ``name`` where one is missing."""
    inputs = {**default_inputs(origin), **given}
    missing = [key for key in known if key not in inputs]
    if missing:
        raise TypeError(_with_split(f"Inputs of {name} are missing: {', '.join(missing)}.", origin))
    return {key: inputs[key] for key in known}


def import_location(origin: Any) -> tuple[str, str]:
    """Module of an origin, empty in a notebook, and its name in the module."""
    function = getattr(origin, "task_function", origin)
    # In a script flytekit looks for the file of the function, and a class decorator has none.
    while isinstance(function, ClassDecorator):
        function = function.task_function
    _, module, name, _ = extract_task_module(function)
    return module, name


def import_origin(module: str, name: str) -> Any:
    """Import an origin by its location. Under ``@optimize`` an optimizer has its name, and holds it."""
    value = getattr(importlib.import_module(module), name)
    return getattr(value, "objective", value)


def origin_name(origin: Any) -> str:
    """Name of an origin in error messages."""
    return str(origin.name if is_task(origin) else origin.__qualname__)


def origin_signature(origin: Any) -> str:
    """Name and inputs of an origin, ``search.objective(x, y)``; the same in each process that loads it."""
    module, name = import_location(origin)
    # Code of a notebook has no module there, and one in angle brackets in a pod that has unpickled it.
    prefix = "" if module.startswith("<") or not module else f"{module}."
    return f"{prefix}{name}({', '.join(input_types(origin))})"


# Descriptions of objects that are no plain tasks, with what to write instead; the first matching type counts.
_WRONG_OBJECTIVES: tuple[tuple[Any, str], ...] = (
    (WorkflowBase, "a workflow, which cannot be mapped: pass its task, or search over a task that does its work"),
    (LaunchPlan, "a launch plan, which cannot be mapped: pass a task that does its work"),
    (ReferenceTask, "a reference to a task, whose code is not here to be mapped: import the task itself"),
    (EagerAsyncPythonFunctionTask, "an eager task, which cannot be mapped: write @task"),
    (PythonFunctionTask, "a dynamic task, which cannot be mapped: write @task"),
    (ArrayNodeMapTask, "a map task: pass the task that it maps"),
    (Task, "a task that runs no function of Python: call its work from one"),
    (ScopedSettings, "an optimizer already: call it, or pass the objective that it is made of"),
    (functools.partial, "a partial function: pass what it calls, and give its inputs where the optimizer is called"),
    (type, "a class: write its work as a function"),
    (MethodType, "a method: write a function at the top of a module"),
    ((CoroutineType, Promise), "what a call returned: pass the task itself, without parentheses"),
    (Callable, "an object that can be called: write a function at the top of a module"),
    (object, "neither a task nor a callback"),
)


def check_objective(objective: Any) -> PythonFunctionTask[Any]:
    """Check that an objective is a task that can be mapped, returns floats, and can be found by pods; return it."""
    plain = isinstance(objective, PythonFunctionTask) and not isinstance(objective, ReferenceTask)
    if not plain or objective.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        named = isinstance(objective, (Task, WorkflowBase, LaunchPlan))
        shown = f"{objective.name} ({type(objective).__name__})" if named else value_and_type(objective)
        wrong = next(text for kind, text in _WRONG_OBJECTIVES if isinstance(objective, kind))
        raise TypeError(_with_split(f"`objective` must be a plain @task, but got {shown}, {wrong}.", objective))
    if not n_objective_values(objective):
        types = map(strip_annotated, objective.python_interface.outputs.values())
        texts = [t.__name__ if isinstance(t, type) and not typing.get_args(t) else str(t) for t in types]
        returned = ", ".join(texts) or "nothing"
        raise TypeError(
            f"`objective` must return a float or a tuple of floats, but {objective.name} returns {returned}: annotate "
            "it with `-> float`, or with `-> tuple[float, float]` for two directions. Other outputs may stand beside."
        )
    for parameter in inspect.signature(objective.task_function).parameters.values():
        _check_has_name(parameter, "input of an objective", objective.name)
    function: Any = objective.task_function
    name = function.__qualname__
    if "." in name and "<locals>" not in name:
        raise ValueError(f"A task must be at the top of a module, for pods to find it, but got {name}.")
    # In a notebook flytekit pickles a task. In a module that is being loaded, it may have no name yet.
    if getattr(sys.modules.get(function.__module__), name, None) is function and import_location(objective)[0]:
        raise ValueError(
            f"A task must have the name of its function, for pods to find it, but `{name}` is the function alone: "
            "write @task above it."
        )
    for name, kind in objective.python_interface.inputs.items():
        if getattr(kind, "__module__", "").startswith("optuna.trial"):
            taken = f"A task gets its inputs as values, but `{name}` of {objective.name} is an optuna.{kind.__name__}."
            raise TypeError(_with_split(taken, objective))
    for name in RESERVED:
        if name in objective.python_interface.inputs:
            raise ValueError(f"An objective must not have an input named `{name}`, but {objective.name} has.")
    return objective


def _split_unless_called(origin: Any) -> str:
    """Say how to split an objective of Optuna's own kind; empty for a callback, whose code names a task."""
    called = inspect.isfunction(origin) and called_tasks(origin)
    return "" if called else split_hint(origin)


def _with_split(message: str, origin: Any) -> str:
    return " ".join(filter(None, (message, _split_unless_called(origin))))


def _check_has_name(parameter: inspect.Parameter, role: str, owner: str) -> None:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        only = ", /" if parameter.kind == parameter.POSITIONAL_ONLY else ""
        raise TypeError(f"Each {role} must have a name, but {owner} takes `{parameter}{only}`.")


def _check_callback(function: Any) -> Any:
    name = getattr(function, "__qualname__", repr(function))
    parameters = inspect.signature(function).parameters
    if "trial" not in parameters:
        raise TypeError(
            f"`objective` must be a @task, or a callback with a parameter named `trial`, but {name} takes "
            f"({join_names(parameters)}). "
            + (_split_unless_called(function) or "Write @task above it, or name a parameter `trial`.")
        )
    if "<" in name or "." in name:
        rule = "A callback must be a function at the top of a module, for pods to find it"
        raise ValueError(_with_split(f"{rule}, but got {name}.", function))
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"A callback must return what its call of the objective returned, but {name} yields.")
    for parameter in parameters.values():
        _check_has_name(parameter, "parameter of a callback", name)
        if parameter.name != "trial" and parameter.annotation is parameter.empty:
            raise TypeError(
                f"Each parameter of a callback must have a type, but `{parameter.name}` of {name} has none."
            )
    return function


def check_origin(origin: Any) -> Any:
    """Check that an objective or a callback can be searched over; return it."""
    # Other decorators of tasks than flytekit's own may return functions.
    if inspect.isfunction(origin) and not isinstance(origin, (Task, WorkflowBase, LaunchPlan)):
        return _check_callback(origin)
    return check_objective(origin)


def check_called_task(task: Any, origin: Any) -> Any:
    """Check the argument ``task``, the objective of a callback; return it."""
    if task is None:
        return None
    if is_task(origin):
        raise TypeError(f"`task` says what a callback calls, but `objective` is the task {origin.name} itself.")
    return check_objective(task)
