"""Start of a search: the one place that decides whether it runs here or becomes part of a workflow."""

from __future__ import annotations

from typing import Any

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.flyte.workflow_scope import in_conditional, in_eager_task, in_own_context
from flyteoptuna.search.request import SearchRequest
from flyteoptuna.streams import usable_streams


def is_local() -> bool:
    """Test whether no workflow is being compiled, so that a search runs here."""
    return FlyteContextManager.current_context().compilation_state is None


def start_search(request: SearchRequest, *, local: bool) -> Any:
    """Run a search, or add it to the workflow that is being compiled.

    Each kind is imported when it is needed: a trial's pod imports this module, and needs none of them.
    """
    if local and request.reuse_pods:
        from flyteoptuna.local.run_reused_pods import run_search_with_reused_pods as start
    elif local:
        from flyteoptuna.local.run_batches import run_batch_search as start
    elif request.reuse_pods:
        from flyteoptuna.search.reused.graph import add_reused_pod_search as start
    else:
        from flyteoptuna.search.batches.graph import add_batch_search as start
    if not local:
        return start(request)
    with usable_streams():
        return in_own_context(lambda: start(request))


def check_call_site() -> None:
    """Raise where no search may start: in an eager task, in a conditional, or while a worker process imports its task.

    Raises:
        TaskNotLoadedError: this worker process is loading a task's module, and a script that searches when it is
            imported would do so again in each worker process.
        TypeError: this is the body of an eager task, whose pod would run all trials; or a conditional is open. Each of
            its branches is one node, and a search is several.
    """
    from flyteoptuna.local.worker_main import refuse_while_loading

    refuse_while_loading()
    if in_eager_task():
        raise TypeError(
            "A search runs its trials in pods of their own only in a workflow, but got a call in an eager task: write "
            "`@workflow` and `def`, and drop each `await`; or write `@task`, to run all trials in one pod."
        )
    if in_conditional():
        raise TypeError(
            "A search cannot stand in a conditional, of which each branch is one node of Flyte: call the optimizer in "
            "a workflow of its own, and that workflow in the branch."
        )
