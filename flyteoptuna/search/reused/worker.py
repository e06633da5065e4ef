"""What a worker of a search with reused pods does: ask, run and tell one trial after another, until all are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flytekit.exceptions.user import FlyteRecoverableException
from optuna.trial import FrozenTrial

from flyteoptuna.core import plan
from flyteoptuna.core.trial.call_objective import raised
from flyteoptuna.core.trial.report import ERROR_ATTRIBUTE, TrialReport
from flyteoptuna.flyte.objective import STUDY
from flyteoptuna.flyte.references import Reference, packed
from flyteoptuna.journal.backend import JournalConflictError
from flyteoptuna.journal.object_store import JournalError, StoreError
from flyteoptuna.search import rounds
from flyteoptuna.search.timed import timed
from flyteoptuna.search.trial_inputs import Build, Job, jobs_of
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.show.log import logger, trial_line
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study import system_attrs
from flyteoptuna.study.ask import Asked
from flyteoptuna.study.shared.shared_study import SharedStudy

ATTEMPT = "attempt"
"""In the mark of a trial: how often it has been begun."""


class _LiveStudy(Reference):
    """The shared study itself, for a pruner to see the other trials as they are now."""

    def __init__(self, study: SearchStudy) -> None:
        super().__init__(packed({}))
        self._study = study

    def read(self, python_type: Any) -> SearchStudy:
        """The study."""
        return self._study


class Worker:
    """One worker of a search.

    Args:
        shared: the study that it shares with the others.
        settings: the settings of the search.
        objective: the task to run.
        build: makes the call of the objective for a trial, by suggesting.
        mapped: the inputs of the objective that differ from trial to trial.
        fixed: the inputs that all trials share.
        hung: called when a trial has taken longer than its timeout, and has been told; does not return.
    """

    def __init__(
        self,
        shared: SharedStudy,
        settings: plan.Settings,
        objective: Any,
        build: Build,
        mapped: tuple[str, ...],
        fixed: Mapping[str, Reference],
        hung: Callable[[], None] | None = None,
    ) -> None:
        self.shared, self._settings, self._build = shared, settings, build
        self._objective, self._mapped, self._fixed, self._hung = objective, mapped, fixed, hung
        self._task = trial_task(objective, mapped, tuple(fixed))
        self._count = 0

    def run(self) -> int:
        """Run trials until all of the search are taken, or it is over; the number of trials that were told.

        Raises:
            FlyteRecoverableException: the store does not answer; another attempt may find that it does.
            JournalError: the journal is damaged, or may not be read or written any more.
            BaseException: what a callback has raised, which has ended the search for all.
        """
        died = ""
        over = False
        while not over:
            try:
                over = self._run(died)
            except JournalConflictError as error:
                # Another worker was first to suggest a parameter of the same name with another kind of distribution.
                died = f"It contradicts a trial that another worker has asked meanwhile. {error}"
                self.shared = self.shared.reopened()
            except StoreError as error:
                raise FlyteRecoverableException(str(error)) from error
            except (JournalError, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._failed(error)
                raise
        return self._count

    def _failed(self, error: BaseException) -> None:
        _, reason = raised(error)
        self.shared.end(reason, failed=True)

    def _run(self, died: str) -> bool:
        for trial in self.shared.orphans():
            self._take_up(trial, died)
        while not self._over() and (trial_id := self.shared.claim()) is not None:
            self._begin(trial_id)
        return True

    def _over(self) -> bool:
        self.shared.refresh()
        if self.shared.ending.why:
            return True
        why, failed = rounds.ended(self.shared.study, self._settings)
        if why:
            self.shared.end(why, failed=failed)
        return bool(why)

    def _begin(self, trial_id: int) -> None:
        number, jobs = self.shared.ask(trial_id, self._build, self._jobs, fresh=self._settings.avoid_duplicates)
        self._run_and_tell(number, jobs)

    def _jobs(self, study: SearchStudy, asked: Asked) -> list[Job]:
        return jobs_of(study, [asked], self._mapped)

    def _take_up(self, trial: FrozenTrial, died: str) -> None:
        """Begin a trial again that an earlier attempt of this pod was running, or fail it."""
        mark = trial.system_attrs.get(system_attrs.TRIAL_ATTRIBUTE)
        if mark is None:
            # It was taken, and nothing was suggested yet.
            self._begin(trial._trial_id)
            return
        attempt, retries = mark.get(ATTEMPT, 0) + 1, self._objective.metadata.retries
        if "state" in mark:
            # What it is to be told as was known before it was run.
            self._run_and_tell(trial.number, [])
        elif died or attempt > retries:
            again = f", in attempt {attempt} of {retries + 1}" if retries else ""
            error = died or f"The pod of worker {mark['worker']} died while it ran trial {trial.number}{again}."
            self._tell(trial.number, TrialReport(trial.number, mark.get("key", ""), error=error))
        else:
            jobs = self.shared.ask_again(trial, self._build, self._jobs, **{ATTEMPT: attempt})
            self._run_and_tell(trial.number, jobs, attempt)

    def _run_and_tell(self, number: int, jobs: list[Job], attempt: int = 0) -> None:
        reports = [self._report(job, attempt) for job in jobs]
        self._tell(number, reports[0] if reports else None)

    def _tell(self, number: int, report: TrialReport | None) -> None:
        self._count += 1
        try:
            self.shared.tell(number, report)
        finally:
            self._log(number)

    def _report(self, job: Job, attempt: int) -> TrialReport:
        items = {STUDY: _LiveStudy(self.shared.study), **job.inputs}
        number, key = job.handle["number"], job.handle["key"]
        for _ in range(attempt, self._objective.metadata.retries + 1):
            try:
                with self._timed(number, key):
                    report: TrialReport = self._task.execute(**items, **self._fixed)
                    return report
            except FlyteRecoverableException as error:
                state, reason = raised(error)
        return TrialReport(number, key, state=state, error=reason)

    def _timed(self, number: int, key: str) -> AbstractContextManager[None]:
        """End a trial that takes longer than the objective's timeout: it FAILs, and its process begins anew."""
        hung = self._hung
        if hung is None:
            return nullcontext()

        def end(seconds: float) -> None:
            error = f"Trial {number} took longer than the timeout of its task, {seconds:g} s."
            try:
                self._tell(number, TrialReport(number, key, error=error))
            except Exception as error:
                self._failed(error)
            finally:
                hung()

        return timed(self._objective.metadata.timeout, end)

    def _log(self, number: int) -> None:
        trial = system_attrs.record_of(self.shared.study, number)
        took = trial.duration.total_seconds() if trial.duration else 0.0
        why = str(trial.user_attrs.get(ERROR_ATTRIBUTE, ""))
        logger.info("%s", trial_line(number, trial.state.name, trial.values, trial.params, took, why))
