"""Where a graph is run, and what its nodes refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flyteoptuna.testing.pods.pod import Pod


class ExecutionFailed(RuntimeError):
    """A workflow that failed.

    Attributes:
        path: the path of the node that failed; empty where the workflow's outputs could not be made.
        task: the name of its task; empty for none.
        message: why; of a task that raised, its traceback.
        pods: the pods that had run.
    """

    def __init__(self, path: str, task: str, message: str) -> None:
        super().__init__(f"node {path or 'of the outputs'} ({task or 'no task'}): {message}")
        self.path = path
        self.task = task
        self.message = message
        self.pods: list[Pod] = []


@dataclass(frozen=True)
class Scope:
    """Where a graph is: the path and folder that its nodes' own extend, and what they may refer to."""

    path: str
    folder: Path
    depth: int
    tasks: Mapping[str, Any]
    workflows: Mapping[str, Any]

    def child(self, node_id: str) -> str:
        """Return the path of a node of this graph."""
        return f"{self.path}-{node_id}" if self.path else node_id

    def data(self, node_id: str) -> Path:
        """Return the folder that holds a node's inputs and, by attempt, its outputs."""
        return self.folder / node_id if self.path else self.folder / node_id / "data"

    def inside(self, node_id: str, attempt: int, **more: Any) -> Scope:
        """Return the scope of the graph that a node of this one runs."""
        folder = self.data(node_id) / str(attempt)
        return replace(self, path=f"{self.child(node_id)}-{attempt}", folder=folder, **more)


def task_of(node: Any, scope: Scope) -> Any:
    """Return the template of the task of a node, with what the node overrides in its cache settings."""
    template = scope.tasks[node.task_node.reference_id.name]
    overrides = {
        "discoverable": node.metadata.WhichOneof("cacheable_value") and node.metadata.cacheable,
        "discovery_version": node.metadata.WhichOneof("cache_version_value") and node.metadata.cache_version,
    }
    changes = {name: value for name, value in overrides.items() if value is not None}
    if changes:
        copy = type(template)()
        copy.CopyFrom(template)
        for name, value in changes.items():
            setattr(copy.metadata, name, value)
        return copy
    return template


def task_name(node: Any) -> str:
    """Return the name of the task of a node, or of the one that it maps; empty where it has none."""
    inner = node.array_node.node if node.HasField("array_node") else node
    return str(inner.task_node.reference_id.name)
