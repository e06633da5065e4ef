"""Array nodes: a map over a task (`array/handler.go`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.engine.cache import cache_key
from flyteoptuna.testing.engine.scopes import ExecutionFailed, Scope, task_of
from flyteoptuna.testing.pods.literals import NONE, Literals, UnresolvedBinding, collection, element
from flyteoptuna.testing.pods.pod import Fault, Outcome, Pod, read_outputs, write_literals


class Runner(Protocol):
    """What an array needs of the engine, whose methods these are."""

    def map(self, run: Callable[[int], Any], size: int, parallelism: int) -> list[Any]: ...
    def lookup(self, key: tuple[str, ...] | None, pod: Pod) -> Literals | None: ...
    def store(self, key: tuple[str, ...] | None, outputs: Literals) -> None: ...
    def attempts(self, node: Any, first: Pod, template: Any, data: Path, inputs: Path) -> Pod: ...


def array_size(inputs: Literals, bound: set[str]) -> int:
    """Return how many elements an array node has: the length of its lists, which must agree."""
    sizes = {
        len(literal.collection.literals)
        for name, literal in inputs.items()
        if literal.HasField("collection") and name not in bound
    }
    if len(sizes) > 1:
        raise UnresolvedBinding(f"input arrays have different lengths: {sorted(sizes)}")
    if not sizes:
        raise UnresolvedBinding("no input array provided")
    return sizes.pop()


def min_successes(array: Any, size: int) -> int:
    """Return how many elements must succeed; the ratio is a float of 32 bits."""
    match array.WhichOneof("success_criteria"):
        case "min_successes":
            return int(array.min_successes)
        case "min_success_ratio":
            return math.ceil(float(array.min_success_ratio) * size)
        case _:
            return size


def run_array(engine: Runner, node: Any, inputs: Literals, scope: Scope) -> Literals:
    """Run the elements of an array node and gather their outputs into lists."""
    array, path = node.array_node, scope.child(node.id)
    run = _Elements(engine, node, inputs, scope)
    size = array_size(inputs, run.bound)
    if size:
        engine.map(run.element, size, array.parallelism)
    if len(run.failed) > size - min_successes(array, size):
        messages = "\n".join(f"[{index}]: {message}" for index, message in sorted(run.failed.items()))
        raise ExecutionFailed(path, run.template.id.name, f"{len(run.failed)} of {size} elements failed\n{messages}")
    names = run.template.interface.outputs.variables
    outputs = {name: collection(each[name] for each in run.gathered(size) if name in each) for name in names}
    write_literals(scope.data(node.id) / "0" / "outputs.pb", outputs)
    return outputs


class _Elements:
    """The elements of one array node and what has become of them."""

    def __init__(self, engine: Runner, node: Any, inputs: Literals, scope: Scope) -> None:
        self.engine, self.node, self.inputs, self.scope = engine, node.array_node.node, inputs, scope
        self.path, self.data = scope.child(node.id), scope.data(node.id)
        self.bound = set(node.array_node.bound_inputs)
        self.template = task_of(self.node, scope)
        self.least = min_successes(node.array_node, array_size(inputs, self.bound))
        self.size = array_size(inputs, self.bound)
        self.outputs: dict[int, Literals] = {}
        self.failed: dict[int, str] = {}

    def element(self, index: int) -> None:
        """Run one element, unless the array has failed already."""
        if self.size - len(self.failed) < self.least:
            return
        inputs = element(self.inputs, self.bound, index)
        key = cache_key(self.template, inputs)
        pod = Pod(self.template.id.name, self.path, index, 0, self.scope.depth, inputs)
        if (found := self.engine.lookup(key, pod)) is not None:
            self.outputs[index] = found
            return
        folder = self.data / "0" / str(index)
        pod = self.engine.attempts(self.node, pod, self.template, folder, self.data / "inputs.pb")
        if pod.outcome is not Outcome.SUCCEEDED:
            self.failed[index] = pod.message
            return
        outputs = read_outputs(pod.metadata)
        self.engine.store(key, outputs)
        if pod.fault is Fault.NULL:
            outputs = self.nothing()
        self.outputs[index] = {} if pod.fault is Fault.DROP else outputs

    def nothing(self) -> dict[str, pb.Literal]:
        """Return what stands for an element that failed."""
        return dict.fromkeys(self.template.interface.outputs.variables, NONE)

    def gathered(self, size: int) -> list[Literals]:
        """Return each element's outputs, in order."""
        return [self.outputs.get(index, self.nothing()) for index in range(size)]
