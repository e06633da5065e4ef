"""Run array nodes: maps over a task (``array/handler.go``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.engine.cache import cache_key
from flyteoptuna.testing.engine.scopes import ExecutionFailedError, ExecutionScope, task_template
from flyteoptuna.testing.pods.literals import (
    NONE_LITERAL,
    Literals,
    UnresolvedBindingError,
    element_inputs,
    list_literal,
)
from flyteoptuna.testing.pods.pod import Fault, Pod, PodOutcome, read_outputs, write_literals


class ArrayEngine(Protocol):
    """Methods of the engine that an array node uses."""

    def run_elements(self, run: Callable[[int], Any], size: int, parallelism: int) -> None: ...
    def read_cache(self, key: tuple[str, ...] | None, pod: Pod) -> Literals | None: ...
    def write_cache(self, key: tuple[str, ...] | None, outputs: Literals) -> None: ...
    def run_attempts(self, node: Any, first: Pod, template: Any, folder: Path, inputs: Path) -> Pod: ...


def array_size(inputs: Literals, bound: set[str]) -> int:
    """Return the number of elements of an array node: the common length of its input lists."""
    sizes = {
        len(literal.collection.literals)
        for name, literal in inputs.items()
        if literal.HasField("collection") and name not in bound
    }
    if len(sizes) > 1:
        raise UnresolvedBindingError(f"input arrays have different lengths: {sorted(sizes)}")
    if not sizes:
        raise UnresolvedBindingError("no input array provided")
    return sizes.pop()


def min_successes(array: Any, size: int) -> int:
    """Return the number of elements that must succeed. The ratio is a 32-bit float."""
    match array.WhichOneof("success_criteria"):
        case "min_successes":
            return int(array.min_successes)
        case "min_success_ratio":
            return math.ceil(float(array.min_success_ratio) * size)
        case _:
            return size


def run_array(engine: ArrayEngine, node: Any, inputs: Literals, scope: ExecutionScope) -> Literals:
    """Run the elements of an array node and collect their outputs into lists."""
    run = _ArrayRun(engine, node, inputs, scope)
    if run.size:
        engine.run_elements(run.run_element, run.size, node.array_node.parallelism)
    if run.has_failed:
        messages = "\n".join(f"[{index}]: {message}" for index, message in sorted(run.failures.items()))
        about = f"{len(run.failures)} of {run.size} elements failed\n{messages}"
        raise ExecutionFailedError(run.path, run.template.id.name, about)
    names = run.template.interface.outputs.variables
    elements = run.element_outputs()
    outputs = {name: list_literal(element[name] for element in elements if name in element) for name in names}
    write_literals(run.folder / "0" / "outputs.pb", outputs)
    return outputs


class _ArrayRun:
    """Elements of one array node, with their outputs and failures."""

    def __init__(self, engine: ArrayEngine, node: Any, inputs: Literals, scope: ExecutionScope) -> None:
        self.engine, self.node, self.inputs, self.depth = engine, node.array_node.node, inputs, scope.depth
        self.path, self.folder = scope.node_path(node.id), scope.node_folder(node.id)
        self.bound = set(node.array_node.bound_inputs)
        self.template = task_template(self.node, scope)
        self.size = array_size(inputs, self.bound)
        self.max_failures = self.size - min_successes(node.array_node, self.size)
        self.outputs: dict[int, Literals] = {}
        self.failures: dict[int, str] = {}

    @property
    def has_failed(self) -> bool:
        """Whether too many elements have failed."""
        return len(self.failures) > self.max_failures

    def run_element(self, index: int) -> None:
        """Run one element, unless the array has failed already."""
        if self.has_failed:
            return
        inputs = element_inputs(self.inputs, self.bound, index)
        key = cache_key(self.template, inputs)
        pod = Pod(self.template.id.name, self.path, index, 0, self.depth, inputs)
        if (cached := self.engine.read_cache(key, pod)) is not None:
            self.outputs[index] = cached
            return
        folder = self.folder / "0" / str(index)
        pod = self.engine.run_attempts(self.node, pod, self.template, folder, self.folder / "inputs.pb")
        if pod.outcome is not PodOutcome.SUCCEEDED:
            self.failures[index] = pod.message
            return
        outputs = read_outputs(pod.metadata)
        self.engine.write_cache(key, outputs)
        if pod.fault is Fault.NULL:
            outputs = self._none_outputs()
        self.outputs[index] = {} if pod.fault is Fault.DROP else outputs

    def element_outputs(self) -> list[Literals]:
        """Return the outputs of each element in order; those of a failed element are None."""
        return [self.outputs.get(index, self._none_outputs()) for index in range(self.size)]

    def _none_outputs(self) -> dict[str, pb.Literal]:
        return dict.fromkeys(self.template.interface.outputs.variables, NONE_LITERAL)
