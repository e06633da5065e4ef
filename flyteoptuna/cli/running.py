"""Snapshots of a running search for the commands that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyteoptuna.cli.errors import CommandError
from flyteoptuna.cli.loading import StudyMissingError, convert_errors, load_source
from flyteoptuna.storage.local_studies import UNFINISHED
from flyteoptuna.values.text import plural

if TYPE_CHECKING:
    import optuna

    from flyteoptuna.load.execution import Phase
    from flyteoptuna.study.progress import Progress


class Snapshot(NamedTuple):
    """The state of a search at one time.

    Attributes:
        phase: the phase of its execution; empty for any other source.
        study: the study; None if there is none yet.
        progress: the progress of its latest search; None for a study without searches.
        ended: whether the search has ended; of an execution, whether the execution has.
        problem: the error of the latest attempt in one line, if an earlier attempt succeeded; else empty.
        failure: a sentence, if the search has failed or no process runs it any more; else empty.
    """

    phase: str
    study: optuna.Study | None
    progress: Progress | None
    ended: bool
    problem: str = ""
    failure: str = ""


def take_snapshot(source: str, last: Snapshot | None = None) -> Snapshot:
    """Take a snapshot of a search; after an error, the ``last`` one with its problem.

    Raises:
        CommandError: there is no study, and none to wait for. After a first success, errors become the ``problem`` of
            the snapshot instead.
    """
    try:
        # The phase first: if it is final, so is the study that is loaded after it.
        phase = _fetch_phase(source)
    except CommandError as failure:
        if last is None:
            raise
        return last._replace(problem=failure.message)
    try:
        study = load_source(source)
    except CommandError as failure:
        if last is not None and last.study is not None:
            # After the end, one failure is retried.
            ended, failed = phase.ended and bool(last.problem), _describe_failure(source, phase, last.study)
            return last._replace(phase=phase.name, ended=ended, problem=failure.message, failure=failed)
        if phase.ended or not isinstance(failure, StudyMissingError) or not failure.pending:
            raise
        return Snapshot(phase.name, None, None, ended=False)
    progress, failed = latest_progress(study), _describe_failure(source, phase, study)
    # An execution can fail after its last trial.
    if phase.name in ("", UNFINISHED) and _has_ended(study, progress):
        return Snapshot("", study, progress, ended=True, failure=failed)
    return Snapshot(phase.name, study, progress, phase.ended, failure=failed)


def load_with_failure(source: str) -> tuple[optuna.Study, str]:
    """Load the study of a search; return it, and the failure of the search as a sentence, empty if there is none.

    Raises:
        CommandError: there is no study.
    """
    # First, because its error says more.
    study = load_source(source)
    return study, _describe_failure(source, _fetch_phase(source), study)


def _fetch_phase(source: str) -> Phase:
    from flyteoptuna.load.load_study import source_phase

    with convert_errors(source):
        return source_phase(source)


def _describe_failure(source: str, phase: Phase, study: optuna.Study) -> str:
    """Sentence about a search that has failed, or that no process runs any more; empty for any other."""
    progress = latest_progress(study)
    after = f" after {progress.finished} of {plural(progress.n_trials, 'trial')}" if progress else ""
    if phase.failed:
        return f"{source} has {phase.name.lower().replace('_', ' ')}{after}{f': {phase.error}' if phase.error else '.'}"
    if progress is None or phase.name not in ("", UNFINISHED):
        return ""
    ended = _has_ended(study, progress)
    if reason := getattr(study, "failure", "") or _failure_reason(study, last=ended):
        return f"The search has failed{after}: " + reason.partition("\n")[0]
    if ended or phase.name != UNFINISHED:
        return ""
    return f"The search is unfinished{after}: no process runs it any more."


def _failure_reason(study: optuna.Study, *, last: bool) -> str:
    from flyteoptuna.errors import SearchFailedError
    from flyteoptuna.study.stopping import check_failures

    try:
        check_failures(study, last=last)
    except SearchFailedError as error:
        return str(error)
    return ""


def latest_progress(study: optuna.Study) -> Progress | None:
    """Progress of the latest search of a study; None for a study without searches, or with malformed attributes."""
    from flyteoptuna.study.progress import search_progress

    try:
        return search_progress(study)
    except (AttributeError, KeyError, TypeError, ValueError):
        # The attributes of a foreign study are unchecked.
        return None


def _has_ended(study: optuna.Study, progress: Progress | None) -> bool:
    from optuna.trial import TrialState

    from flyteoptuna.study import system_attrs

    if progress is None:
        return True
    if system_attrs.search_trials(study, TrialState.RUNNING):
        return False
    return progress.finished >= progress.n_trials or bool(getattr(study, "stopped", False))
