"""A search with reused pods on this machine: the same workers, in processes, over a journal in a folder."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.flyte.references import packed, reference
from flyteoptuna.flyte.scoped import apart, as_task
from flyteoptuna.search.local import local_run, process_main, workers
from flyteoptuna.search.local.process_main import Surroundings, enter, loading, parentage
from flyteoptuna.search.request import Request
from flyteoptuna.search.reused.worker_graph import WORKER_RETRIES, rebuild, search_of
from flyteoptuna.search.tasks import INPUT
from flyteoptuna.show.log import logger

if TYPE_CHECKING:
    from flyteoptuna.storage.memory import SearchStudy


def run(request: Request) -> Any:
    """Run a search; in the body of a workflow, a promise of its study, elsewhere the study itself.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study.
    """
    return apart(lambda: _run_apart(request))


def _run_apart(request: Request) -> Any:
    from flyteoptuna.search.reused import shared_journal
    from flyteoptuna.storage import file
    from flyteoptuna.study.shared.shared_study import publish

    start = local_run.begin(request)
    folder = FlyteContextManager.current_context().file_access.get_random_local_directory()
    publish(start.study, shared_journal.backend(folder))
    path = Path(f"{folder}.study")
    path.write_bytes(file.dumps(start.study))
    study = reference(packed({"_path": str(path)}))
    given = {"study": study, "journal": folder, "settings": start.settings.dumps()}
    given |= {f"{INPUT}{name}": value for name, value in start.fixed.items()}
    try:
        _run(request, given, min(workers.workers(start.settings.concurrency), start.settings.n_trials))
        found: SearchStudy = shared_journal.finish(study, folder, start.settings)
    except BaseException:
        logger.warning("The search has not finished. Its journal: %s", folder)
        raise
    return local_run.result(found, request, start.settings)


def _run(request: Request, given: dict[str, Any], count: int) -> None:
    search = search_of(
        request.origin,
        request.objective,
        request.mapped,
        tuple(request.fixed),
        request.start,
        request.directions,
    )
    if count == 1:
        with local_run.interruptible(), as_task():
            search.work(0, **given)
    else:
        _in_processes(search.worker.rebuild_args[1:], given, count)


def _in_processes(args: tuple[str, ...], given: dict[str, Any], count: int) -> None:
    from joblib.externals.loky import ProcessPoolExecutor

    literals = {name: value if isinstance(value, str) else value.serialised() for name, value in given.items()}
    pools: dict[Future[int], tuple[int, int, Any]] = {}

    def begin(index: int, attempt: int) -> None:
        # A pool each, for a process that dies takes those of its pool with it.
        pool = ProcessPoolExecutor(1, initializer=process_main.begin, initargs=parentage())
        pools[pool.submit(work, args, index, literals, Surroundings.now([]))] = index, attempt, pool

    for index in range(count):
        begin(index, 0)
    try:
        while pools:
            for future in wait(pools, return_when=FIRST_COMPLETED).done:
                index, attempt, pool = pools.pop(future)
                pool.shutdown(wait=False)
                try:
                    future.result()
                except BrokenProcessPool as error:
                    logger.warning("Worker process %d died: %s", index, error)
                    if attempt < WORKER_RETRIES:
                        begin(index, attempt + 1)
    finally:
        for _, _, pool in pools.values():
            pool.shutdown(wait=False, kill_workers=True)


def work(args: tuple[str, ...], index: int, literals: dict[str, Any], around: Surroundings) -> int:
    """Be a worker of a search, in a process of its own."""
    from flyteidl.core import literals_pb2
    from flytekit.models.literals import Literal

    given = {
        name: value
        if isinstance(value, str)
        else reference(Literal.from_flyte_idl(literals_pb2.Literal.FromString(value)))
        for name, value in literals.items()
    }
    enter(around)
    with loading():
        task = rebuild(*args)
    with as_task():
        return int(task.execute(optuna_worker=index, hung=None, **given))
