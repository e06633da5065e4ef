"""Nodes of a search in a workflow, as flytekit's ``>>`` and ``with_overrides`` reach them: a search is several nodes.

A promise of a study belongs to the last node. What runs before the study has to run before the first one. Flytekit has
no hook for this, so on import this module wraps two public methods of its nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import wrapt
from flytekit.core import node
from flytekit.core.node import Node
from flytekit.core.promise import Promise

_first_nodes: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()


def join_nodes(first: Promise, last: Promise) -> None:
    """Make the first and the last node of a search one for ``>>`` and ``with_overrides``.

    Args:
        first: promise of an output of the first node.
        last: promise of an output of the last node.
    """
    _first_nodes[last.ref.node] = first.ref.node


def refuse_overrides(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise a ``TypeError`` for the overrides of one node."""
    raise TypeError(
        "Overrides are of one node of Flyte, and a search is several, but got `with_overrides(...)` on a promise of "
        "it: give the settings of trials to the objective, as `@task(requests=Resources(cpu='2'), retries=1)`."
    )


@wrapt.patch_function_wrapper(node, "Node.runs_before")
def _run_before(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    def run_before(other: Any) -> Any:
        if isinstance(other, Promise) and other.ref is not None:
            # From `create_node(task) >> study`.
            other = other.ref.node
        return wrapped(_first_nodes.get(other, other) if isinstance(other, Node) else other)

    return run_before(*args, **kwargs)


@wrapt.patch_function_wrapper(node, "Node.with_overrides")
def _override(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    if instance in _first_nodes:
        refuse_overrides()
    return wrapped(*args, **kwargs)
