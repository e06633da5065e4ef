"""A search with reused pods on this machine: the same workers, in processes, over a journal in a folder."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.flyte.references import literal_of, packed, reference
from flyteoptuna.flyte.scoped_settings import apart, as_task
from flyteoptuna.search.driver_tasks import INPUT, variables
from flyteoptuna.search.local import local_run, worker_pool
from flyteoptuna.search.local.process_main import Sent, Surroundings, TaskNotLoadedError, leave, load
from flyteoptuna.search.local.worker_process import Road, Worker, WorkerDiedError
from flyteoptuna.search.request import Request
from flyteoptuna.search.reused.worker_graph import WORKER_RETRIES, ReusedSearch, rebuild
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
    from flyteoptuna.search.reused import search_journal
    from flyteoptuna.storage import file
    from flyteoptuna.study.shared.study_of_journal import publish
    from flyteoptuna.study.stopping import SearchFailedError

    start = local_run.begin(request)
    count = min(worker_pool.workers(start.settings.concurrency), start.settings.n_trials)
    settings = dataclasses.replace(start.settings, concurrency=count)
    folder = FlyteContextManager.current_context().file_access.get_random_local_directory()
    publish(start.study, search_journal.backend(folder))
    path = Path(f"{folder}.study")
    path.write_bytes(file.dumps(start.study))
    logger.info("The journal of the search, which outlives this process: %s", folder)
    study = reference(packed({"_path": str(path)}))
    given = {"study": study, "journal": folder, "settings": settings.dumps()}
    names = variables(INPUT, start.fixed)
    given |= {names[name]: value for name, value in start.fixed.items()}
    try:
        with local_run.interruptible():
            _run(request, given, count, start.settings.n_trials)
        found: SearchStudy = search_journal.finish(study, folder, settings, shown=False)
    except SearchFailedError:
        # It names its file itself.
        raise
    except BaseException:
        with suppress(Exception):
            path.write_bytes(file.dumps(search_journal.as_it_stands(study, folder, settings)))
        logger.warning("The search has not finished. The study as it stands: %s", path)
        raise
    return local_run.result(found, request, start.settings)


def _run(request: Request, given: dict[str, Any], count: int, n_trials: int) -> None:
    search = ReusedSearch.asked_for(request)
    if worker_pool.needs_process(count, request.objective.metadata.timeout):
        try:
            _in_processes(Road(search.worker, rebuild, search.origin, search.objective), given, count, n_trials)
        except TaskNotLoadedError as error:
            logger.warning("Trials run one after another, for a worker process cannot load the task: %s", error)
        else:
            return
    with as_task():
        search.work(0, **given)


def _in_processes(road: Road, given: dict[str, Any], count: int, n_trials: int) -> None:
    literals = {name: value if isinstance(value, str) else value.serialised() for name, value in given.items()}
    processes, over = [Worker() for _ in range(count)], threading.Event()

    def attend(index: int) -> None:
        process = processes[index]
        try:
            road.prepare(process)
        except WorkerDiedError as error:
            raise TaskNotLoadedError(f"the process died by {error}") from None
        # A trial that is ended by its timeout takes its process with it.
        for _ in range(WORKER_RETRIES + n_trials):
            try:
                road.call(process, work, index, literals)
            except WorkerDiedError as error:
                if over.is_set():
                    return
                logger.warning("Worker process %d died in a trial, by %s.", index, error)
            else:
                return

    with ThreadPoolExecutor(count) as threads:
        try:
            for future in as_completed([threads.submit(attend, index) for index in range(count)]):
                future.result()
        finally:
            over.set()
            for process in processes:
                process.end()


def work(sent: Sent, around: Surroundings, index: int, literals: dict[str, Any]) -> int:
    """Be a worker of a search, in a process of its own; raises as :func:`process_main.load`."""
    task = load(sent, around)
    given = {
        name: value if isinstance(value, str) else reference(literal_of(value)) for name, value in literals.items()
    }
    with as_task():
        return int(task.execute(optuna_worker=index, hung=leave, **given))
