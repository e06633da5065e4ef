"""A search with reused pods on this machine: the same workers, in processes, over a journal in a folder."""

from __future__ import annotations

import dataclasses
import sys
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.flyte.references import packed, reference
from flyteoptuna.search import local_run, workers
from flyteoptuna.search.request import Request
from flyteoptuna.search.reused import WORKER_RETRIES, rebuild, search_of
from flyteoptuna.search.tasks import INPUT
from flyteoptuna.show.log import logger

if TYPE_CHECKING:
    from flyteoptuna.storage.memory import SearchStudy


def run(request: Request) -> Any:
    """Run a search; in the body of a workflow, a promise of its study, elsewhere the study itself.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study.
    """
    from flyteoptuna.search import shared_driver
    from flyteoptuna.storage import file
    from flyteoptuna.study.budgets import SearchFailedError
    from flyteoptuna.study.journaled import publish

    start = local_run.begin(request)
    count = min(workers.workers(start.settings.concurrency), start.settings.n_trials)
    settings = dataclasses.replace(start.settings, concurrency=count)
    folder = FlyteContextManager.current_context().file_access.get_random_local_directory()
    publish(start.study, shared_driver.backend(folder))
    path = Path(f"{folder}.study")
    path.write_bytes(file.dumps(start.study))
    logger.info("The journal of the search, which outlives this process: %s", folder)
    study = reference(packed({"_path": str(path)}))
    given = {"study": study, "journal": folder, "settings": settings.dumps()}
    given |= {f"{INPUT}{name}": value for name, value in start.fixed.items()}
    try:
        _run(request, given, count)
        found: SearchStudy = shared_driver.finish(study, folder, settings, shown=False)
    except SearchFailedError:
        # It names its file itself.
        raise
    except BaseException:
        with suppress(Exception):
            path.write_bytes(file.dumps(shared_driver.as_it_stands(study, folder, settings)))
        logger.warning("The search has not finished. The study as it stands: %s", path)
        raise
    return local_run.result(found, request)


def _run(request: Request, given: dict[str, Any], count: int) -> None:
    search = search_of(
        request.origin,
        request.objective,
        request.mapped,
        tuple(request.fixed),
        request.study is not None,
        request.directions,
    )
    try:
        if count > 1:
            _in_processes(search.worker.rebuild_args[1:], given, count)
    except workers.TaskNotLoadedError as error:
        # What was made in a notebook or in a function no other process can load.
        logger.warning("Trials run one after another, for a worker process cannot load the task: %s", error)
        count = 1
    if count == 1:
        with workers.as_tasks():
            search.work(0, **given)


def _in_processes(args: tuple[str, ...], given: dict[str, Any], count: int) -> None:
    from joblib.externals.loky import ProcessPoolExecutor

    literals = {name: value if isinstance(value, str) else value.serialised() for name, value in given.items()}
    path = [*workers.roots(args[1]), *workers.roots(args[3]), *sys.path]
    pools: dict[Future[int], tuple[int, int, Any]] = {}

    def begin(index: int, attempt: int) -> None:
        # A pool each, for a process that dies takes those of its pool with it.
        pool = ProcessPoolExecutor(max_workers=1)
        pools[pool.submit(work, args, index, literals, path)] = index, attempt, pool

    for index in range(count):
        begin(index, 0)
    try:
        while pools:
            for future in wait(pools, return_when=FIRST_COMPLETED).done:
                index, attempt, pool = pools[future]
                try:
                    future.result()
                except BrokenProcessPool as error:
                    logger.warning("Worker process %d died: %s", index, error)
                    if attempt < WORKER_RETRIES:
                        begin(index, attempt + 1)
                pool.shutdown(wait=False)
                del pools[future]
    finally:
        for _, _, pool in pools.values():
            pool.shutdown(wait=False, kill_workers=True)


def work(args: tuple[str, ...], index: int, literals: dict[str, Any], path: list[str]) -> int:
    """Be a worker of a search, in a process of its own."""
    from flyteidl.core import literals_pb2
    from flytekit.models.literals import Literal

    given = {
        name: value
        if isinstance(value, str)
        else reference(Literal.from_flyte_idl(literals_pb2.Literal.FromString(value)))
        for name, value in literals.items()
    }
    with workers.loading(path):
        task = rebuild(*args)
    with workers.as_tasks():
        return int(task.execute(optuna_worker=index, hung=None, **given))
