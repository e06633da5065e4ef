"""What is known of an objective or a callback: its inputs, its values, its image, the tasks that it names."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.task import ReferenceTask
from flytekit.core.tracker import extract_task_module
from flytekit.core.utils import ClassDecorator


def is_task(origin: Any) -> bool:
    """Whether a search maps an objective directly, rather than what a callback calls."""
    return isinstance(origin, PythonFunctionTask)


def input_types(origin: Any) -> dict[str, Any]:
    """Types of the inputs of an objective, or of the fixed ones of a callback."""
    if is_task(origin):
        return dict(origin.python_interface.inputs)
    hints = typing.get_type_hints(origin, include_extras=True)
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


def arity(objective: PythonFunctionTask[Any]) -> int:
    """Number of values that an objective returns."""
    return len(objective.python_interface.outputs)


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


def check_objective(objective: Any) -> PythonFunctionTask[Any]:
    """The objective, if it is a task that can be mapped and whose result can be told to a study.

    Raises:
        TypeError: it is no plain task, or does not return floats.
        ValueError: one of its inputs has a name that is reserved.
    """
    plain = isinstance(objective, PythonFunctionTask) and not isinstance(objective, ReferenceTask)
    if not plain or objective.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        raise TypeError(
            f"`objective` must be a plain @task, but got {objective!r} ({type(objective).__name__}): workflows, launch "
            "plans, dynamic, eager and reference tasks cannot be mapped."
        )
    outputs = list(objective.python_interface.outputs.values())
    if not outputs or any(kind is not float for kind in outputs):
        raise TypeError(
            f"`objective` must return a float or a tuple of floats, but {objective.name} returns "
            f"{', '.join(getattr(kind, '__name__', str(kind)) for kind in outputs) or 'nothing'}."
        )
    for name in RESERVED:
        if name in objective.python_interface.inputs:
            raise ValueError(f"An objective must not have an input named `{name}`, but {objective.name} has.")
    return objective
