"""A local search with reused pods: the same workers, in processes of this machine, over a journal in a folder."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.errors import JournalError, SearchFailedError, TaskNotLoadedError
from flyteoptuna.flyte.caller_context import CallerContext
from flyteoptuna.flyte.references import make_reference, msgpack_literal
from flyteoptuna.flyte.workflow_scope import task_context
from flyteoptuna.local.journal_follower import JournalFollower
from flyteoptuna.local.local_search import LocalSearch, begin_local_search, end_local_search, link_study
from flyteoptuna.local.progress_reporter import ProgressReporter
from flyteoptuna.local.study_file import StudyFile
from flyteoptuna.local.worker_main import (
    ProcessEnvironment,
    TaskPayload,
    load_task,
    pack_inputs,
    unpack_inputs,
)
from flyteoptuna.local.worker_pool import (
    STARTING,
    describe_workers,
    log_lost_worker,
    log_without_workers,
    needs_process,
    worker_count,
)
from flyteoptuna.local.worker_process import TaskTransport, WorkerDiedError, WorkerNotStartedError, WorkerProcess
from flyteoptuna.logs import logger
from flyteoptuna.search.request import SearchRequest
from flyteoptuna.search.reused.graph import WORKER_RETRIES, ReusedPodTasks, rebuild_reused_pod_task
from flyteoptuna.trial.interrupts import interruptible, terminable
from flyteoptuna.trial.timeouts import end_process


@terminable()
def run_search_with_reused_pods(request: SearchRequest) -> Any:
    """Run a search on this machine; return its study, or in a workflow's body a promise of it.

    Raises:
        SearchFailedError: the search has failed; names the file of the study.
    """
    from flyteoptuna.search.reused import search_journal
    from flyteoptuna.study.shared.journal_study import BEGUN

    search = begin_local_search(request)
    n_workers = min(worker_count(search.settings.concurrency), search.settings.n_trials)
    settings = dataclasses.replace(search.settings, concurrency=n_workers)
    folder = FlyteContextManager.current_context().file_access.get_random_local_directory()
    search_journal.publish_search(search.study, folder)
    n_trials = None if request.open_ended else settings.n_trials
    reporter = ProgressReporter(n_trials, describe_workers(search.settings.slots), folder)
    study = make_reference(msgpack_literal({"_path": str(Path(folder, BEGUN))}))
    tasks = ReusedPodTasks.for_request(request)
    inputs = {"study": study, "journal": folder, "settings": settings.to_json(), **tasks.by_variable(search.fixed)}
    with link_study(folder) as link:
        try:
            with (
                interruptible(),
                reporter,
                JournalFollower(folder, search.study, settings.n_trials, reporter),
            ):
                _run_workers(tasks, inputs, n_workers, settings.n_trials)
            state = search_journal.finish_search(study, folder, settings, draw=False)
        except SearchFailedError:
            # It names the file of the study.
            raise
        except JournalError as error:
            raise SearchFailedError(f"{error}\n{_kept_line(folder, search)}") from error
        except BaseException:
            logger.warning("The search has not finished. The study as it stands: %s", folder)
            raise
        file = StudyFile(state)
        file.save()
        if not file.error:
            link.move(file.path)
    return end_local_search(file, search)


def _kept_line(folder: str, search: LocalSearch) -> str:
    """Sentences about a search whose journal cannot be used any more: the rule, the trials that are kept, and where."""
    from flyteoptuna.search.reused.search_journal import open_journal
    from flyteoptuna.study.shared.journal_study import collect_study
    from flyteoptuna.study.system_attrs import FINISHED, search_trials

    n_trials, kept = search.settings.n_trials, ""
    # The folder may not be readable either.
    with suppress(JournalError):
        study, _ = collect_study(open_journal(folder), search.study, n_trials)
        kept = f" {len(search_trials(study, *FINISHED))} of {n_trials} trials have ended and are kept."
    return f"A search ends where its journal cannot be read or written.{kept}\nThe study as it stands: {folder}"


def _run_workers(tasks: ReusedPodTasks, inputs: dict[str, Any], n_workers: int, n_trials: int) -> None:
    if needs_process(n_workers, tasks.objective.metadata.timeout):
        logger.info(STARTING)
        origins = tasks.origin, tasks.objective
        transport = TaskTransport(tasks.worker, rebuild_reused_pod_task, *origins, context=CallerContext.current())
        reason = _run_in_processes(transport, inputs, n_workers, n_trials)
        if reason is None:
            return
        log_without_workers(reason)
    with task_context():
        tasks.work(0, **inputs)


def _run_in_processes(
    transport: TaskTransport, inputs: dict[str, Any], n_workers: int, n_trials: int
) -> Exception | None:
    """Run workers in processes until the search is over; return the reason if none of them could see to its end."""
    processes, over, packed = [WorkerProcess() for _ in range(n_workers)], threading.Event(), pack_inputs(inputs)

    def attend(index: int) -> Exception | None:
        process = processes[index]
        try:
            transport.prepare(process)
        except TaskNotLoadedError as error:
            # The other workers go on.
            return error
        # A trial that exceeds its timeout ends its process too.
        for _ in range(WORKER_RETRIES + n_trials):
            try:
                transport.call(process, run_worker, index, packed)
            except WorkerDiedError as error:
                if over.is_set():
                    break
                logger.warning("Worker process %d died in a trial, by %s.", index, error)
            except (TaskNotLoadedError, WorkerNotStartedError) as error:
                log_lost_worker(error)
                return error
            else:
                break
        return None

    with ThreadPoolExecutor(n_workers) as threads:
        try:
            reasons, futures = list[Exception | None](), list[Future[Exception | None]]()
            for index in range(n_workers):
                try:
                    futures.append(threads.submit(attend, index))
                except RuntimeError as error:
                    # The system has no further thread.
                    reasons.append(error)
            reasons += [future.result() for future in as_completed(futures)]
        finally:
            over.set()
            for process in processes:
                process.end()
    return None if None in reasons else reasons[0]


def run_worker(payload: TaskPayload, environment: ProcessEnvironment, index: int, packed: dict[str, Any]) -> int:
    """Body of a worker process: run trials until the search is over; return the number of trials that it told.

    Raises:
        TaskNotLoadedError: as ``load_task``.
    """
    task = load_task(payload, environment)
    with environment.context.enter(), task_context():
        return int(task.work(optuna_worker=index, on_timeout=end_process, **unpack_inputs(packed)))
