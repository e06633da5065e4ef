"""Access to flytekit's private attributes, where flytekit has no public way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from flytekit.core.base_task import TaskMetadata
from flytekit.core.checkpointer import SyncCheckpoint
from flytekit.core.condition import BranchNode
from flytekit.core.data_persistence import FileAccessProvider
from flytekit.core.interface import Interface, transform_interface_to_typed_interface
from flytekit.core.node import Node
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.type_engine import TypeEngine, TypeTransformer


def clone_task(
    task: PythonFunctionTask[Any],
    *,
    interface: Interface | None = None,
    function: Callable[..., Any] | None = None,
    metadata: TaskMetadata | None = None,
) -> Any:
    """Copy a task, of whatever class, and replace its interface, its function or its metadata.

    The task is not constructed anew, because the tasks of plugins are of classes with constructors of their own.

    Args:
        task: the task, which stays as it is.
        interface: Python types of the inputs and outputs. Default: those of the task.
        function: what the copy calls. Default: the function of the task.
        metadata: retries, timeout, cache and so on. Default: those of the task.
    """
    clone: Any = copy.copy(task)
    if interface is not None:
        clone._python_interface = clone._native_interface = interface
        clone._interface = transform_interface_to_typed_interface(interface)
    if function is not None:
        clone._task_function = function
    if metadata is not None:
        clone._metadata = metadata
    return clone


def rename_task(task: Any, name: str) -> None:
    """Set the full name of a task, which flytekit derives from its function and the module that constructs it."""
    task._name, task._instantiated_in = name, None


def rename_map_task(task: Any, name: str) -> None:
    """Set the name of a map task, which flytekit derives from the module and the name of the mapped function."""
    task._name = task.sub_node_metadata._name = name


def register_first(transformer: TypeTransformer[Any]) -> None:
    """Register a transformer ahead of all others, because flytekit asks them in order to guess a Python type.

    Flytekit's transformer of dictionaries takes every struct.
    """
    if transformer.python_type not in TypeEngine.get_available_transformers():
        others = list(TypeEngine._REGISTRY)
        TypeEngine.register(transformer)
        for python_type in others:
            TypeEngine._REGISTRY[python_type] = TypeEngine._REGISTRY.pop(python_type)


def branch_nodes(branch: BranchNode) -> list[Node]:
    """Nodes in the branches of a conditional, in the order of the branches."""
    block: Any = branch._ifelse_block
    nodes = [case.then_node for case in (block.case, *(block.other or ()))]
    return [node for node in (*nodes, block.else_node) if node is not None]


def checkpoint_folders(checkpoint: SyncCheckpoint) -> tuple[str, str]:
    """Folders that a checkpoint writes to and reads from; the latter is empty if it has none."""
    return checkpoint._checkpoint_dest, checkpoint._checkpoint_src or ""


def copy_file_access(access: FileAccessProvider, raw_output_prefix: str) -> FileAccessProvider:
    """Copy a file access, with another prefix of raw outputs."""
    copied = copy.copy(access)
    copied._raw_output_prefix = f"{raw_output_prefix.rstrip('/')}/"
    return copied
