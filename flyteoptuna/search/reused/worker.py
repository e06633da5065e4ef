"""A worker in a pod: runs the trials of its loop, with the timeout and the retries of the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna.errors import StoreError
from flyteoptuna.flyte.objective import STUDY
from flyteoptuna.flyte.references import Reference, make_reference, msgpack_literal
from flyteoptuna.flyte.trial_context import begin_once, local_call, reused_pod_call
from flyteoptuna.internals.optuna_internals import trial_record
from flyteoptuna.logs import logger
from flyteoptuna.search.reused.checkpoints import trial_checkpoint
from flyteoptuna.search.reused.worker_loop import WorkerLoop
from flyteoptuna.search.run_objective import run_objective
from flyteoptuna.search.trial_inputs import Build, TrialJob
from flyteoptuna.search.trial_task import FOR_FLYTE
from flyteoptuna.storage.file_format import dump_study
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.progress import trial_line
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.shared.shared_study import SharedStudy
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport
from flyteoptuna.trial.timeouts import trial_timeout


class LiveStudy(Reference):
    """The study itself, so that a pruner sees the other trials as they are now."""

    def __init__(self, study: SearchStudy) -> None:
        super().__init__(msgpack_literal({}))
        self._study = study

    def read(self, python_type: Any) -> SearchStudy:
        """Return the study."""
        return self._study

    def for_other_process(self, folder: str) -> bytes:
        """Save the study as it is now, and serialise a reference to the file."""
        path = Path(folder, "study")
        path.write_bytes(dump_study(self._study))
        return make_reference(msgpack_literal({"_path": str(path)})).serialised()


class TrialWorker:
    """Runs the trials of a ``WorkerLoop`` in this process; ``journal`` is the folder of the journal."""

    def __init__(
        self,
        shared: SharedStudy,
        settings: SearchSettings,
        objective: Any,
        build: Build,
        mapped: tuple[str, ...],
        fixed: Mapping[str, Reference],
        on_timeout: Callable[[], NoReturn] | None = None,
        *,
        journal: str,
    ) -> None:
        self._fixed, self._on_timeout, self._journal = fixed, on_timeout, journal
        self._retries: int = objective.metadata.retries
        state = FlyteContextManager.current_context().execution_state
        self._in_pod = state is not None and state.mode is ExecutionState.Mode.TASK_EXECUTION
        self._objective = begin_once(objective) if self._in_pod else objective
        self._passes = FOR_FLYTE if self._in_pod else (FlyteRecoverableException,)
        self._loop = WorkerLoop(shared, settings, build, mapped, retries=self._retries, on_told=self._log_trial)

    def run(self) -> int:
        """Run trials until the search is over; return the number of trials that were told.

        Raises:
            BaseException: as ``WorkerLoop.steps``.
        """
        steps = self._loop.steps()
        step = next(steps, None)
        while step is not None:
            report = self._run_trial(*step)
            try:
                step = steps.send(report)
            except StopIteration:
                step = None
        return self._loop.n_told

    def _run_trial(self, job: TrialJob, attempt: int) -> TrialReport:
        handle = job.handle
        inputs = {STUDY: LiveStudy(self._loop.shared.study), **job.flyte_inputs(), **self._fixed}
        for now in range(attempt, self._retries + 1):
            context = self._context(handle.number, now)
            try:
                with self._timeout(handle.number, handle.key):
                    return run_objective(self._objective, inputs, context, self._passes)
            except FlyteRecoverableException as error:
                state, reason = outcome_of_exception(error)
        return TrialReport(handle.number, handle.key, state=state, error=reason)

    def _context(self, number: int, attempt: int) -> AbstractContextManager[None]:
        """Context of an attempt at a trial: that of a pod of its own, or that of a local call of its task."""
        checkpoint = trial_checkpoint(self._journal, number, again=attempt > 0)
        if not self._in_pod:
            return local_call(self._objective, checkpoint)
        return reused_pod_call(self._objective, f"trial-{number}-{attempt}", attempt, checkpoint)

    def _timeout(self, number: int, key: str) -> AbstractContextManager[None]:
        """Fail a trial that exceeds the objective's timeout, and restart the process."""
        on_timeout = self._on_timeout
        if on_timeout is None:
            return nullcontext()

        def report(seconds: float) -> None:
            error = f"Trial {number} took longer than the timeout of its task, {seconds:g} s."
            self._tell_timeout(TrialReport(number, key, error=error))

        return trial_timeout(self._objective.metadata.timeout, report, on_timeout)

    def _tell_timeout(self, report: TrialReport) -> None:
        try:
            self._loop.tell(report.trial, report)
        except StoreError as error:
            # The next attempt of this worker finds the trial, as if its pod had died.
            logger.warning("Trial %d is over, but cannot be told: %s", report.trial, error)
        except Exception as error:
            self._loop.fail(error)

    def _log_trial(self, number: int) -> None:
        if not self._in_pod:
            # The process that started the workers reports their trials.
            return
        trial = trial_record(self._loop.shared.study, number)
        seconds = trial.duration.total_seconds() if trial.duration else 0.0
        reason = str(trial.user_attrs.get(ERROR_ATTRIBUTE, ""))
        logger.info("%s", trial_line(number, trial.state.name, trial.values, trial.params, seconds, reason))
