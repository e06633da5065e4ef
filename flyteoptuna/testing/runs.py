"""`run`: a workflow as on a cluster, with a record of its pods."""

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
from flyteoptuna.testing.engine.scopes import ExecutionFailed
from flyteoptuna.testing.faults import Choice, Choices, Faults
from flyteoptuna.testing.pods.pod import Pod
from flyteoptuna.testing.pods.processes import end_pods_on_interrupt


@dataclass(frozen=True)
class Run:
    """What a workflow gave, and what ran for it.

    Attributes:
        outputs: what a call of the workflow returns: None, a value, or a named tuple of them.
        pods: the pods, each attempt one, in the order in which they started.
        hits: the calls that the cache answered, which had no pod.
        depth: dynamic tasks inside each other.
        visits: nodes that Flyte's walk visits in one round, in all graphs together.
        largest: bytes of the largest message: of inputs, outputs, an error or a graph. Flyte reads 2 MiB by default.

    Outputs that are files, and the pods' logs, are there until the process of the test ends.
    """

    outputs: Any
    pods: list[Pod]
    hits: list[Pod]
    depth: int
    visits: int
    largest: int

    def of(self, name: str) -> list[Pod]:
        """The pods of the tasks whose names contain ``name``."""
        return [pod for pod in self.pods if name in pod.task]


def run(
    workflow: Any,
    inputs: Mapping[str, Any] | None = None,
    /,
    *,
    kill: Choices = (),
    drop: Choices = (),
    delay: Mapping[Choice, float] | Callable[[Pod], float] = {},  # noqa: B006 - it is not changed
    system_retries: int = 3,
    cache: Cache | None = None,
    pods_at_once: int = 2,
    seconds: float = 300,
    **more: Any,
) -> Run:
    """Compile a workflow and run it as Flyte does, each task by its own container command in a process of its own.

    Bindings, dynamic tasks, subworkflows, conditionals, failure nodes, maps with their minimum success, retries,
    timeouts and the cache are Flyte's; between processes there are protobuf files alone. A pod's process knows nothing
    of the test's.

    A *choice* of pods is a part of the task's name, a position, counted from 0 in the order in which pods start, a
    :class:`Some`, or a function of a :class:`Pod`. Each attempt is a pod: by name, those that retry are chosen too.

    Args:
        workflow: a workflow.
        inputs: its inputs by name; those named like an argument of this function can be given here alone.
        kill: a choice of pods, or several, that die before they do anything.
        drop: likewise, pods whose outputs are lost once their work is done. In a map the element is then missing, and
            those that follow move up; elsewhere Flyte takes the pod for dead.
        delay: seconds that pods wait before their work, by the choice of them, or given by a function of a pod.
        system_retries: how often Flyte tries again where a pod died, at least 0; 3 by default, as in Flyte.
        cache: what cached tasks have given; hand the same to another run to find it there. Default: a new one.
        pods_at_once: pods that run at once, at least 1.
        seconds: how long a pod may take, at least 0.1.
        **more: inputs of the workflow.

    Raises:
        CompileError: Flyte would refuse to register the workflow, or would not take its inputs; says why in Flyte's
            words.
        ExecutionFailed: the workflow failed; says the node, the task and the task's own traceback, and holds the pods.
        NotImplementedError: it holds what cannot be run here, which is named: launch plans, agents, gates.
        TypeError: an input or an argument is missing, unknown or of the wrong type.
        ValueError: an argument is out of its range; a choice chose no pod, or fewer than a ``Some`` says, for the test
            would prove nothing.
    """
    check_type("workflow", workflow, WorkflowBase, "a workflow")
    check_number("pods_at_once", pods_at_once, int, 1)
    check_number("system_retries", system_retries, int, 0)
    check_number("seconds", seconds, (int, float), 0.1)
    check_type("cache", cache, (Cache, type(None)), "a testing.Cache")
    given = _literals(workflow, _named(inputs, more))
    faults = Faults(kill, drop, delay)
    end_pods_on_interrupt()
    folder = tempfile.mkdtemp(prefix="flyteoptuna-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = Engine(
        Path(folder),
        _code(workflow),
        faults=faults.fault,
        delays=faults.delay,
        workers=pods_at_once,
        system_retries=system_retries,
        cache=Cache() if cache is None else cache,
        seconds=seconds,
    )
    try:
        literals = engine.run(workflow, given)
    except ExecutionFailed as error:
        error.pods = engine.pods
        # How the engine got there says nothing.
        raise error.with_traceback(None) from None
    faults.check(engine.pods)
    outputs = _outputs(workflow, literals)
    visits = sum(graph.visits for graph in engine.graphs)
    return Run(outputs, engine.pods, engine.hits, engine.depth, visits, engine.largest)


def _named(inputs: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    check_type("inputs", inputs, (Mapping, type(None)), "a dictionary")
    given = inputs or {}
    if twice := given.keys() & more.keys():
        raise TypeError(f"Input `{min(twice)}` is given twice.")
    return {**given, **more}


def _code(workflow: Any) -> list[Path]:
    """The folders that a pod imports from: those of this process, and the one that the workflow's module is in."""
    found = [Path(entry or ".").resolve() for entry in sys.path]
    module = sys.modules.get(getattr(workflow, "_workflow_function", run).__module__)
    if module is not None and module.__file__ is not None:
        # As flytekit finds the name that a pod imports it by.
        folder = Path(module.__file__).resolve().parent
        while (folder / "__init__.py").exists():
            folder = folder.parent
        found.insert(0, folder)
    return found


def _literals(workflow: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    ctx = FlyteContextManager.current_context()
    variables, types = workflow.interface.inputs, workflow.python_interface.inputs
    for name in inputs:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise TypeError(f"{workflow.name} has no input `{name}`; it has: {known}.")
    defaults = workflow.python_interface.inputs_with_defaults
    for name in variables:
        if name not in inputs and not _optional(defaults[name]):
            raise TypeError(f"Input `{name}` of {workflow.name} is missing.")
    made = translate_inputs_to_literals(ctx, dict(inputs), variables, types)
    return {name: literal.to_flyte_idl() for name, literal in made.items()}


def _optional(kind: Any) -> bool:
    annotation, default = kind
    return default is not None or type(None) in getattr(annotation, "__args__", ())


def _outputs(workflow: Any, literals: Mapping[str, Any]) -> Any:
    ctx = FlyteContextManager.current_context()
    types, name = workflow.python_interface.outputs, workflow.python_interface.output_tuple_name
    values = [
        TypeEngine.to_python_value(ctx, Literal.from_flyte_idl(literals[name]), kind) for name, kind in types.items()
    ]
    if len(values) > 1 or name:
        # Of this name in a local run too.
        return namedtuple(name or "DefaultNamedTupleOutput", types)(*values)  # noqa: PYI024 - its fields are found here
    return values[0] if values else None
