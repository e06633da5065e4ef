"""How a container finds its task again: by the path of a builder and the arguments to call it with."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from typing import Any, Protocol

from flytekit.configuration import SerializationSettings
from flytekit.core.base_task import Task, TaskResolverMixin
from flytekit.core.python_auto_container import PICKLE_FILE_PATH, default_notebook_task_resolver


class Rebuildable(Protocol):
    """A task that knows the builder, ``module:function``, and the strings that make it again."""

    rebuild_args: tuple[str, ...]


class Resolver(TaskResolverMixin):
    """Loads a task by calling the builder that its loader arguments name with the rest of them."""

    @property
    def location(self) -> str:
        """The dotted path that containers load the resolver by: a wire format, never to change."""
        return "flyteoptuna.flyte.resolver.resolver"

    def name(self) -> str:
        """The resolver's name."""
        return "flyteoptuna"

    def loader_args(self, settings: SerializationSettings, t: Any) -> list[str]:
        """What :meth:`load_task` needs in a fresh process."""
        fast = settings.fast_serialization_settings if settings is not None else None
        if fast is not None and os.path.basename(fast.distribution_location or "") == PICKLE_FILE_PATH:
            return [f"{__name__}:pickled", t.name]
        return list(t.rebuild_args)

    def load_task(self, loader_args: list[str]) -> Any:
        """The task that :meth:`loader_args` described."""
        path, *args = loader_args
        module, _, function = path.partition(":")
        return getattr(importlib.import_module(module), function)(*args)

    def get_all_tasks(self) -> list[Task]:
        """None: tasks are made when they are asked for."""
        return []


resolver = Resolver()


def adopt(task: Any, name: str, args: Sequence[str]) -> Any:
    """Give a task a name and the arguments by which a container builds it again.

    Flytekit names a function task after its function, and where one is built while a workflow is compiled, gives it
    that workflow's resolver whatever it was told; there is no public way to set either. This resolver stays.
    """
    task._task_resolver = resolver
    task.set_resolver = _keep_resolver
    task.rebuild_args = tuple(args)
    task._name, task._instantiated_in = name, None
    task.reset_command_fn()
    return task


def _keep_resolver(other: TaskResolverMixin) -> None:
    # In a notebook, flytekit sets one that pickles a task by its name, and looks for it by the name of its function.
    pass


def pickled(name: str) -> Any:
    """A task of that name in the pod of a workflow that a notebook has registered, for which flytekit pickles tasks."""
    return default_notebook_task_resolver.load_task(["entity-name", name])


def digest(parts: Sequence[str]) -> str:
    """Six characters that tell apart the tasks of two searches over one objective."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:6]


def joined(names: Sequence[str]) -> str:
    """Names as one argument of a container's command, where an empty one is easily lost."""
    return ",".join(names) or "-"


def split(text: str) -> tuple[str, ...]:
    """The names that :func:`joined` wrote."""
    return () if text == "-" else tuple(text.split(","))
