"""A local search in batches: the loop of ``run_generations`` over a pool of trials, with the study saved as it runs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flyteoptuna.errors import SearchFailedError, UnpicklableError
from flyteoptuna.flyte.objective import STUDY
from flyteoptuna.local.local_search import LocalSearch, begin_local_search, end_local_search, link_study
from flyteoptuna.local.progress_reporter import ProgressReporter
from flyteoptuna.local.study_file import StudyFile
from flyteoptuna.local.worker_pool import TrialPool, describe_workers
from flyteoptuna.logs import logger
from flyteoptuna.search.request import SearchRequest
from flyteoptuna.search.trial_inputs import TrialJob, input_builder
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.study.progress import Progress
from flyteoptuna.trial.interrupts import interruptible, terminable
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport


@terminable()
def run_batch_search(request: SearchRequest) -> Any:
    """Run a search in batches on this machine; return its study, or in a workflow's body a promise of it.

    Raises:
        SearchFailedError: the search has failed; names the file of the study.
    """
    search = begin_local_search(request)
    file = StudyFile(search.study)
    batches = _BatchRun(search, file)
    with link_study(file.path):
        try:
            with interruptible():
                batches.run()
            file.save()
        except SearchFailedError as error:
            _save_anyway(file)
            raise SearchFailedError(f"{error}\n{_file_line(file)}") from None
        except BaseException:
            batches.tell_ended()
            _save_anyway(file)
            logger.warning("The search has not finished. %s", _file_line(file))
            raise
        finally:
            file.close()
    return end_local_search(file, search)


def _save_anyway(file: StudyFile) -> None:
    """Save the study after a failure, without its pickles if they are the failure."""
    with suppress(Exception):
        try:
            file.save()
        except UnpicklableError:
            file.save(pickles=False)


def _file_line(file: StudyFile) -> str:
    return file.location_line() if file.error else f"The study as it stands: {file.path}"


class _BatchRun:
    """Runs the batches of a local search and logs each trial."""

    def __init__(self, search: LocalSearch, file: StudyFile) -> None:
        self._search, self._file = search, file
        self._shared = {name: search.fixed[name] for name in search.request.shared}
        n_trials = None if search.request.open_ended else search.settings.n_trials
        self._reporter = ProgressReporter(n_trials, describe_workers(search.settings.slots), str(file.path))
        self._reported: set[int] = set()
        self._ended: list[TrialReport] = []  # of the present batch

    def run(self) -> None:
        """Run all generations.

        Raises:
            SearchFailedError: the search has failed.
        """
        from flyteoptuna.search.generation import run_generations

        _, study, settings, fixed = self._search
        request = self._search.request
        build = input_builder(request.origin, request.objective, settings.space, fixed)
        task = trial_task(request.objective, request.mapped, tuple(self._shared), on_flyte=False)
        with self._reporter, TrialPool(task, request.objective, settings.slots, settings.n_trials) as pool:
            run_generations(
                study,
                settings,
                build,
                request.mapped,
                lambda jobs: self._run_batch(pool, jobs),
                on_progress=self._show,
            )

    def _run_batch(self, pool: TrialPool, jobs: list[TrialJob]) -> list[TrialReport]:
        if not jobs:
            return []
        study = self._file.save_for_pruner(prunes=jobs[0].handle.prunes)
        inputs = [{STUDY: study, **job.flyte_inputs(), **self._shared} for job in jobs]
        self._ended = []
        # With its running trials, for those who watch.
        self._file.save_if_due()

        def on_end(position: int, report: TrialReport) -> None:
            self._ended.append(report)
            params, seconds = jobs[position].handle.params, report.end - report.start
            self._report(report.trial, report.state, report.values, params, seconds, report.error)
            # After the last one, the next batch is asked at once.
            if len(self._ended) < len(jobs):
                self._file.save_if_due(self._ended)

        return pool.run_batch(inputs, on_end)

    def tell_ended(self) -> None:
        """Tell the trials of an unfinished batch that have ended, without callbacks; the others stay running."""
        from flyteoptuna.study.tell import tell_trials

        with suppress(Exception):
            numbers = [report.trial for report in self._ended]
            tell_trials(self._search.study, self._ended, trusted=True, numbers=numbers)

    def _show(self, progress: Progress) -> None:
        from flyteoptuna.study.system_attrs import FINISHED, search_trials

        # Trials without a report never ran.
        for trial in search_trials(self._search.study, *FINISHED):
            if trial.number not in self._reported:
                reason = str(trial.user_attrs.get(ERROR_ATTRIBUTE, ""))
                self._report(trial.number, trial.state.name, trial.values, trial.params, 0.0, reason)
        self._reporter.report_best(progress.best)

    def _report(self, number: int, *outcome: Any) -> None:
        self._reported.add(number)
        self._reporter.report_trial(number, *outcome)
