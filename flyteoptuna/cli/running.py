"""Snapshots of a running search for the commands that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyteoptuna.cli.errors import CommandError
from flyteoptuna.cli.loading import StudyMissingError, convert_errors, load_source
from flyteoptuna.storage.local_studies import UNFINISHED

if TYPE_CHECKING:
    import optuna

    from flyteoptuna.study.progress import Progress


class Snapshot(NamedTuple):
    """The state of a search at one time.

    Attributes:
        phase: the phase of its execution; empty for any other source.
        study: the study; None if there is none yet.
        progress: the progress of its latest search; None for a study without searches.
        ended: whether the search has ended; of an execution, whether the execution has.
        problem: the error of the latest attempt in one line, if an earlier attempt succeeded; else empty.
    """

    phase: str
    study: optuna.Study | None
    progress: Progress | None
    ended: bool
    problem: str = ""


def take_snapshot(source: str, last: Snapshot | None = None) -> Snapshot:
    """Take a snapshot of a search; after an error, the ``last`` one with its problem.

    Raises:
        CommandError: there is no study, and none to wait for. After a first success, errors become the ``problem`` of
            the snapshot instead.
    """
    from flyteoptuna.load.load_study import source_phase

    try:
        # The phase first: if it is final, so is the study that is loaded after it.
        with convert_errors(source):
            phase, ended = source_phase(source)
    except CommandError as failure:
        if last is None:
            raise
        return last._replace(problem=failure.message)
    try:
        study = load_source(source)
    except CommandError as failure:
        if last is not None and last.study is not None:
            # After the end, one failure is retried.
            return last._replace(phase=phase, ended=ended and bool(last.problem), problem=failure.message)
        if ended or not isinstance(failure, StudyMissingError) or not failure.pending:
            raise
        return Snapshot(phase, None, None, ended=False)
    progress = latest_progress(study)
    # An execution can fail after its last trial.
    finished = phase in ("", UNFINISHED) and _has_ended(study, progress)
    return Snapshot("" if finished else phase, study, progress, ended or finished)


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
