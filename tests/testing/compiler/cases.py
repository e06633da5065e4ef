"""The table of cases, and the ways to add one."""

import copy
import functools
from collections import OrderedDict
from collections.abc import Callable
from inspect import Parameter, Signature
from types import FunctionType
from typing import Any

import flytekit
from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.core import interface_pb2
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.models import launch_plan as launch_plan_models
from flytekit.models.admin.workflow import WorkflowSpec
from flytekit.models.task import TaskSpec
from flytekit.tools.translator import get_serializable
from testing.compiler.protobufs import Parts

SETTINGS = SerializationSettings(
    project="p", domain="d", version="v", image_config=ImageConfig.auto(img_name="registry/image:tag")
)


CASES: dict[str, Callable[[], Parts]] = {}
"""The cases by name."""
FLOWS: dict[str, Any] = {}
"""The flytekit workflows among them by name."""


def _expect(found: LaunchPlan, sides: interface_pb2.TypedInterface) -> None:
    """Fill in what flyteadmin computes when a launch plan is registered."""
    expected, defaults = found.closure.expected_inputs, found.spec.default_inputs.parameters
    for name, variable in sides.inputs.variables.items():
        if name in defaults:
            expected.parameters[name].CopyFrom(defaults[name])
        elif name not in found.spec.fixed_inputs.literals:
            expected.parameters[name].var.CopyFrom(variable)
            expected.parameters[name].required = True
    found.closure.expected_outputs.CopyFrom(sides.outputs)


@functools.cache
def _compiled(workflow: Any) -> Parts:
    entities: OrderedDict[Any, Any] = OrderedDict()
    spec = get_serializable(entities, SETTINGS, workflow).to_flyte_idl()
    models = list(entities.values())
    tasks = [model.to_flyte_idl().template for model in models if isinstance(model, TaskSpec)]
    plans = [model.to_flyte_idl() for model in models if isinstance(model, launch_plan_models.LaunchPlan)]
    workflows = {model.template.id.name: model.template for model in models if isinstance(model, WorkflowSpec)}
    for each in plans:
        _expect(each, workflows[each.spec.workflow_id.name].to_flyte_idl().interface)
    return Parts(spec.template, list(spec.sub_workflows), tasks, plans)


def compiled(workflow: Any) -> Parts:
    """Return the protobufs of a flytekit workflow, to be changed freely."""
    return copy.deepcopy(_compiled(workflow))


def _nothing(**values: Any) -> Any:
    return values


def stand_in(name: str, returns: Any, **inputs: Any) -> Any:
    """Return a flytekit task that does nothing.

    Args:
        name: its name.
        returns: the type of its output.
        inputs: types by name, or pairs of a type and a default.
    """
    return flytekit.task(_annotated(FunctionType(_nothing.__code__, globals()), name, returns, inputs))


def _annotated(function: Any, name: str, returns: Any, inputs: dict[str, Any]) -> Any:
    pairs = {key: kind if isinstance(kind, tuple) else (kind, Parameter.empty) for key, kind in inputs.items()}
    function.__annotations__ = {key: kind for key, (kind, _) in pairs.items()} | {"return": returns}
    function.__signature__ = Signature(
        [Parameter(key, Parameter.KEYWORD_ONLY, default=value) for key, (_, value) in pairs.items()]
    )
    function.__name__ = function.__qualname__ = name
    return function


def cases(**parts: Parts) -> None:
    """Add cases by name."""
    for name, each in parts.items():
        assert name not in CASES, name
        CASES[name] = functools.partial(copy.deepcopy, each)


def built(build: Callable[[], Parts]) -> Callable[[], Parts]:
    """Add a case: what a function returns."""
    assert build.__name__ not in CASES, build.__name__
    CASES[build.__name__] = lambda: copy.deepcopy(build())
    return build


def flow_of(function: Any, **words: Any) -> Any:
    """Add a case: a flytekit workflow of a function, with its annotations and arguments for the decorator."""
    return _written(function.__name__, flytekit.workflow(function, **words))


def written(name: str, returns: Any, body: Callable[..., Any], **inputs: Any) -> Any:
    """Add a case: a flytekit workflow of a function without annotations.

    Args:
        name: its name.
        returns: the type of its output.
        body: the function.
        inputs: types by name, or pairs of a type and a default.
    """

    def function(**values: Any) -> Any:
        return body(**values)

    return _written(name, flytekit.workflow(_annotated(function, name, returns, inputs)))


def _written(name: str, workflow: Any) -> Any:
    assert name not in CASES, name
    FLOWS[name] = workflow
    CASES[name] = functools.partial(compiled, workflow)
    return workflow


def changed(name: str) -> Callable[[Callable[[Parts], None]], Callable[[Parts], None]]:
    """Add a case: a flytekit workflow, by name, whose protobufs a function changes."""

    def add(change: Callable[[Parts], None]) -> Callable[[Parts], None]:
        def build() -> Parts:
            parts = compiled(FLOWS[name])
            change(parts)
            return parts

        build.__name__ = change.__name__
        built(build)
        return change

    return add
