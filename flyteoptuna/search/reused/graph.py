"""The graph of a search with reused pods: the tasks search, workers and finish."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from flytekit.core.interface import Interface

from flyteoptuna.flyte.objective import origin_signature
from flyteoptuna.flyte.promises import StudyPromise
from flyteoptuna.flyte.references import Reference, by_reference
from flyteoptuna.flyte.resolver import name_task, short_digest
from flyteoptuna.internals.flytekit_internals import clone_task
from flyteoptuna.search.best_outputs import NONE_USED, USED
from flyteoptuna.search.driver_tasks import add_node, driver_task, output_tuple, study_input
from flyteoptuna.search.outages import recoverable
from flyteoptuna.search.request import PROMISABLE, SearchRequest
from flyteoptuna.search.search_tasks import SearchTasks, map_task, search_inputs, study_promise
from flyteoptuna.search.trial_inputs import input_builder
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.trial.timeouts import end_process

# Number of times that a worker's pod is started again. Each costs the trial that it ran, and no other.
WORKER_RETRIES = 100
# Mapped input of a worker: its index, counted from 0.
INDEX = "optuna_worker"
# Inputs of workers and finish: the study with which the search began, the journal's folder, the settings as JSON.
SHARED_INPUTS = ("study", "journal", "settings")


def add_reused_pod_search(request: SearchRequest) -> StudyPromise:
    """Add a search to the workflow that is being compiled; return the promise of its study."""
    tasks = ReusedPodTasks.for_request(request)
    begun = tasks.search(**search_inputs(request))
    shared = {name: getattr(begun, name) for name in SHARED_INPUTS}
    told = add_node(
        tasks.workers, {INDEX: begun.workers, **shared, **tasks.by_variable(request.fixed)}, tasks.fixed_types
    )
    # Flyte drops the second of two nodes with the same id, and a workflow may hold several searches.
    told = told.with_overrides(node_name=f"workers-of-the-search-{begun.journal.ref.node_id}")
    return study_promise(begun.study, tasks.finish(**shared, told=told, used=NONE_USED), request)


class ReusedPodTasks(SearchTasks):
    """Tasks of one search with reused pods."""

    REBUILD = "flyteoptuna.search.reused.graph:rebuild_reused_pod_task"

    @functools.cached_property
    def _shared_types(self) -> dict[str, Any]:
        import optuna

        return dict(zip(SHARED_INPUTS, (by_reference(optuna.Study), str, str), strict=True))

    @functools.cached_property
    def search(self) -> Any:
        """Task that begins the study and the journal."""
        inputs = {**PROMISABLE, "space": str, "strategies": str, **study_input(self.start)}
        output = output_tuple("Begun", {**self._shared_types, "workers": list[int]})
        args = self._loader_args("search")
        return driver_task(self._task_name("search"), args, self.objective, self._search, inputs, output)

    @functools.cached_property
    def worker(self) -> Any:
        """Task of a worker: the objective with the same settings, which runs one trial after another."""
        interface = Interface({INDEX: int, **self._shared_types, **self._fixed_references}, {"o0": int})
        # The worker itself times its trials.
        metadata = dataclasses.replace(self.objective.metadata, retries=WORKER_RETRIES, timeout=None)
        task = clone_task(self.objective, interface=interface, metadata=metadata)
        # A plugin's work around one call of the objective belongs around each trial, not around them all.
        task.execute = self._work_in_pod
        task.work = self.work
        args = self._loader_args("worker")
        return name_task(task, f"{self._task_name('worker')}-{short_digest(args)}", args)

    @functools.cached_property
    def workers(self) -> Any:
        """Map over the workers, any of which may be lost. All of them run at once."""
        return map_task(self.worker, (*SHARED_INPUTS, *self.fixed_types), 0)

    @functools.cached_property
    def finish(self) -> Any:
        """Task that collects the study from the journal."""
        inputs = {**self._shared_types, "told": list[int | None], USED: str}
        args, output = self._loader_args("finish"), self._finish_output
        return driver_task(self._task_name("finish"), args, self.objective, self._finish, inputs, output, deck=True)

    def _search(self, space: str, strategies: str, study: Reference | None = None, **given: Any) -> Any:
        """Begin the study and its journal; return one index for each worker."""
        from flyteoptuna.flyte.study_type import StudyReference
        from flyteoptuna.search.reused.search_journal import begin_journal

        settings = SearchSettings(**{name: given.pop(name) for name in PROMISABLE}, space=space)
        name = origin_signature(self.origin)
        state, journal = begin_journal(study, settings, self.directions, strategies, name)
        return StudyReference(state), journal, settings.to_json(), list(range(settings.slots))

    def _work_in_pod(self, **inputs: Any) -> int:
        with recoverable():
            return self.work(**inputs, on_timeout=_restarter())

    def work(
        self,
        optuna_worker: int,
        study: Reference,
        journal: str,
        settings: str,
        on_timeout: Callable[[], NoReturn] | None = None,
        **fixed: Any,
    ) -> int:
        """Run trials until the search is over; return the number of trials that this worker told.

        Args:
            optuna_worker: index of the worker, counted from 0.
            study: the study with which the search began.
            journal: folder of the journal.
            settings: settings of the search, as JSON.
            on_timeout: ends this process after a trial has exceeded its timeout; None for no timeouts.
            fixed: inputs that all trials share, by their names in the search's tasks.
        """
        from flyteoptuna.search.reused.search_journal import open_worker

        budget, inputs = SearchSettings.from_json(settings), self._by_user_name(fixed)
        build = input_builder(self.origin, self.objective, budget.space, inputs)
        shared = {} if self.by_callback else inputs
        worker = open_worker(
            str(optuna_worker), study, journal, budget, self.objective, build, self.mapped, shared, on_timeout
        )
        return worker.run()

    def _finish(self, study: Reference, journal: str, settings: str, told: list[int | None], used: str) -> Any:
        """Collect the study from the journal and output it."""
        from flyteoptuna.search.reused.search_journal import finish_search

        with recoverable(f"The results of the search are in its journal: flyteoptuna show {shlex.quote(journal)}"):
            return self._finish_with(finish_search(study, journal, SearchSettings.from_json(settings)), used)


def _restarter() -> Callable[[], NoReturn]:
    """Return what replaces this process by its own command, as it is now, whatever trials change later."""
    given, *args = sys.argv
    beside = os.path.join(os.path.dirname(sys.executable), given)
    program = os.path.abspath(shutil.which(given) or (beside if os.path.exists(beside) else given))
    # Folders that were added to the path after Python's start have to be found again.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(each) for each in sys.path if each)}
    folder = os.getcwd()

    def restart() -> None:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, program, *args], environment)  # noqa: S606 - its own command

    return functools.partial(end_process, restart)


def rebuild_reused_pod_task(role: str, *args: str) -> Any:
    """Rebuild a task of a search with reused pods, from its loader arguments."""
    return ReusedPodTasks.rebuild_task(role, *args)
