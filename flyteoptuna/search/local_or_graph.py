"""Where a search begins: the one place that decides whether it is a graph of Flyte or a local run."""

from __future__ import annotations

from typing import Any

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.flyte.scoped_settings import in_conditional
from flyteoptuna.search.request import Request


def is_local() -> bool:
    """Whether a search is to run here, rather than to be added to a workflow that is being compiled."""
    return FlyteContextManager.current_context().compilation_state is None


def begin(request: Request, *, local: bool) -> Any:
    """Run a search, or add it to the workflow that is being compiled.

    Each kind is imported when it is begun: a trial's pod imports what a user writes, and is to pay for none of them.
    """
    if local and request.reuse_pods:
        from flyteoptuna.search.reused import local_workers

        return local_workers.run(request)
    if local:
        from flyteoptuna.search.local import local_run

        return local_run.run(request)
    if request.reuse_pods:
        from flyteoptuna.search.reused import worker_graph

        return worker_graph.nodes(request)
    from flyteoptuna.search.batches import graph

    return graph.nodes(request)


def check_place() -> None:
    """Keep a search from beginning where none can.

    Raises:
        TaskNotLoadedError: this is a worker process, which loads the module of a task, and a script that runs a search
            when it is imported would start it again in each.
        TypeError: this is a conditional, of which each branch is one node, and a search is several.
    """
    from flyteoptuna.search.local import process_main

    process_main.refuse_while_loading()
    if in_conditional():
        raise TypeError(
            "A search cannot stand in a conditional, of which each branch is one node of Flyte: call the optimizer in "
            "a workflow of its own, and that workflow in the branch."
        )
