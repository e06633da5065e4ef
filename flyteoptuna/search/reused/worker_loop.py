"""The loop of one worker: ask, run and tell one trial after another until the search is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TypeAlias

from optuna.trial import FrozenTrial

from flyteoptuna.errors import JournalConflictError, JournalError
from flyteoptuna.internals.optuna_internals import trial_id
from flyteoptuna.logs import logger
from flyteoptuna.search import generation
from flyteoptuna.search.trial_inputs import Build, TrialJob, make_jobs
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.ask import AskedTrial
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.shared.shared_study import SharedStudy
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.marks import TrialMark
from flyteoptuna.trial.report import TrialReport

# Yields a trial to run and the number of attempts before this one; receives the report, None if there is none.
Steps: TypeAlias = Generator[tuple[TrialJob, int], TrialReport | None, None]


class WorkerLoop:
    """Asks and tells the trials of one worker, and yields those to run.

    ``retries`` counts further attempts at a trial whose pod died, ``clock`` returns seconds since the epoch, and
    ``on_told`` is called with the number of each trial that was told.
    """

    def __init__(
        self,
        shared: SharedStudy,
        settings: SearchSettings,
        build: Build,
        mapped: tuple[str, ...],
        *,
        retries: int = 0,
        clock: Callable[[], float] = time.time,
        on_told: Callable[[int], None] | None = None,
    ) -> None:
        self.shared = shared
        self.n_told = 0
        self._settings, self._build, self._mapped, self._retries = settings, build, mapped, retries
        self._clock, self._on_told = clock, on_told

    def steps(self) -> Steps:
        """Ask, yield and tell trials until the search is over; receives the report of each trial, None without one.

        Raises:
            StoreError: the store does not answer; a later attempt may succeed.
            JournalError: the journal is damaged, or can no longer be read or written.
            BaseException: an exception of a callback, which ends the search for all workers.
        """
        over = False
        while not over:
            try:
                for trial in self.shared.unfinished_trials():
                    yield from self._resume(trial)
                while not self._is_over() and (claimed := self.shared.claim()) is not None:
                    yield from self._begin(claimed)
                over = True
            except JournalConflictError as error:
                # A trial of this worker, or the distribution of its parameter, has changed; nothing was written.
                logger.info("A trial is asked again: %s", error)
            except (JournalError, KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:
                self.fail(error)
                raise

    def fail(self, error: BaseException) -> None:
        """End the search for all workers, as failed."""
        _, reason = outcome_of_exception(error)
        self.shared.end(reason, failed=True)

    def tell(self, number: int, report: TrialReport | None) -> None:
        """Tell a trial of this worker."""
        self.n_told += 1
        try:
            self.shared.tell(number, report)
        finally:
            if self._on_told is not None:
                self._on_told(number)

    def _is_over(self) -> bool:
        """Test whether the search is over; if this worker finds out first, end it for all workers."""
        self.shared.refresh()
        if self.shared.ending.why:
            return True
        reason, failed = generation.reason_to_end(self.shared.study, self._settings, self._clock())
        if reason:
            self.shared.end(reason, failed=failed)
        return bool(reason)

    def _begin(self, claimed: int) -> Steps:
        fresh = self._settings.avoid_duplicates
        number, jobs = self.shared.ask(claimed, self._build, self._make_jobs, fresh=fresh)
        yield from self._run(number, jobs)

    def _make_jobs(self, study: SearchStudy, trial: AskedTrial) -> list[TrialJob]:
        return make_jobs(study, [trial], self._mapped)

    def _resume(self, trial: FrozenTrial) -> Steps:
        """Run a trial again that an earlier attempt of this pod was running, or fail it."""
        mark = TrialMark.from_attributes(trial.system_attrs)
        if mark is None:
            # Claimed, and not asked yet.
            yield from self._begin(trial_id(trial))
            return
        attempt = mark.attempt + 1
        if mark.state:
            # Its final state was known before it ran.
            self.tell(trial.number, None)
        elif attempt > self._retries:
            last = f", in attempt {attempt} of {self._retries + 1}" if self._retries else ""
            error = f"The pod of worker {mark.worker} died while it ran trial {trial.number}{last}."
            self.tell(trial.number, TrialReport(trial.number, mark.key, error=error))
        else:
            jobs = self.shared.rebuild_jobs(trial, self._build, self._make_jobs, attempt=attempt)
            yield from self._run(trial.number, jobs, attempt)

    def _run(self, number: int, jobs: list[TrialJob], attempt: int = 0) -> Steps:
        report = (yield jobs[0], attempt) if jobs else None
        self.tell(number, report)
