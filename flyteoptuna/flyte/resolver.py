"""Reconstruction of tasks in containers, by the path of a builder and its arguments."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from typing import Any

from flytekit.configuration import SerializationSettings
from flytekit.core.base_task import Task, TaskResolverMixin
from flytekit.core.python_auto_container import PICKLE_FILE_PATH, default_notebook_task_resolver

from flyteoptuna.internals.flytekit_internals import rename_task


class Resolver(TaskResolverMixin):
    """Resolver that calls a builder, ``module:function``, with the other loader arguments."""

    @property
    def location(self) -> str:
        """Import path by which containers load the resolver: a wire format, which must not change."""
        return "flyteoptuna.flyte.resolver.resolver"

    def name(self) -> str:
        """Name of the resolver."""
        return "flyteoptuna"

    def loader_args(self, settings: SerializationSettings, t: Any) -> list[str]:
        """Arguments of ``load_task`` in a fresh process."""
        fast = settings.fast_serialization_settings if settings is not None else None
        if fast is not None and os.path.basename(fast.distribution_location or "") == PICKLE_FILE_PATH:
            return [f"{__name__}:load_pickled_task", t.name]
        return list(t.rebuild_args)

    def load_task(self, loader_args: list[str]) -> Any:
        """Rebuild a task from its loader arguments."""
        path, *args = loader_args
        module, _, function = path.partition(":")
        return getattr(importlib.import_module(module), function)(*args)

    def get_all_tasks(self) -> list[Task]:
        """Always empty, because tasks are built on demand."""
        return []


resolver = Resolver()


def name_task(task: Any, name: str, args: Sequence[str]) -> Any:
    """Set the full name of a task, and the builder, ``module:function``, with arguments to rebuild it in containers."""
    # Flytekit gives a task that is constructed in the body of a workflow the resolver of the workflow.
    task.set_resolver(resolver)
    # In a notebook, flytekit sets a resolver that pickles a task by its name and looks for the name of its function.
    task.set_resolver = lambda other: None
    task.rebuild_args = tuple(args)
    rename_task(task, name)
    task.reset_command_fn()
    return task


def load_pickled_task(name: str) -> Any:
    """Load a task by name, in a pod of a workflow from a notebook, for which flytekit pickles tasks."""
    return default_notebook_task_resolver.load_task(["entity-name", name])


def short_digest(parts: Sequence[str]) -> str:
    """Digest of six characters, which distinguishes the tasks of two searches over one objective."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:6]


def encode_names(names: Sequence[str]) -> str:
    """Encode names as one argument of a container's command, which is never empty."""
    return ",".join(names) or "-"


def decode_names(text: str) -> tuple[str, ...]:
    """Decode the names of ``encode_names``."""
    return () if text == "-" else tuple(text.split(","))
