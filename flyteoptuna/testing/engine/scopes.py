"""Scope of a graph under execution: paths, folders, tasks and subworkflows of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flyteoptuna.errors import FlyteOptunaError
from flyteoptuna.testing.pods.pod import Pod


class ExecutionFailedError(FlyteOptunaError, RuntimeError):
    """A workflow failed.

    Attributes:
        path: path of the failed node; empty if the workflow's outputs could not be resolved.
        task: name of the node's task; empty if it has none.
        message: the reason. If the task raised, the traceback.
        pods: all pods of the run.
    """

    def __init__(self, path: str, task: str, message: str) -> None:
        super().__init__(f"node {path or 'of the outputs'} ({task or 'no task'}): {message}")
        self.path = path
        self.task = task
        self.message = message
        self.pods: list[Pod] = []


@dataclass(frozen=True)
class ExecutionScope:
    """Scope of a graph.

    Args:
        path: prefix of the paths of its nodes; empty for the workflow.
        folder: parent of the folders of its nodes.
        depth: number of enclosing dynamic tasks.
        tasks: templates of the tasks of its nodes, by name.
        workflows: templates of the subworkflows of its nodes, by name.
    """

    path: str
    folder: Path
    depth: int
    tasks: Mapping[str, Any]
    workflows: Mapping[str, Any]

    def node_path(self, node_id: str) -> str:
        """Return the path of a node of this graph."""
        return f"{self.path}-{node_id}" if self.path else node_id

    def node_folder(self, node_id: str) -> Path:
        """Return the folder of a node's inputs and, in a folder for each attempt, its outputs."""
        return self.folder / node_id if self.path else self.folder / node_id / "data"

    def nested(self, node_id: str, attempt: int, **more: Any) -> ExecutionScope:
        """Return the scope of the graph that a node of this graph runs."""
        folder = self.node_folder(node_id) / str(attempt)
        return replace(self, path=f"{self.node_path(node_id)}-{attempt}", folder=folder, **more)


def task_template(node: Any, scope: ExecutionScope) -> Any:
    """Return the template of a node's task, with the node's overrides of the cache settings."""
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
    """Return the name of a node's task, or of the task that it maps; empty if it has none."""
    inner = node.array_node.node if node.HasField("array_node") else node
    return str(inner.task_node.reference_id.name)
