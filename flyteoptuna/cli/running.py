"""A search as it stands, looked at again and again by the commands that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyteoptuna.cli.errors import Failure
from flyteoptuna.cli.study_source import Missing, load, refused

if TYPE_CHECKING:
    import optuna

    from flyteoptuna.study.progress import Progress


class Look(NamedTuple):
    """What one look at a search found.

    Attributes:
        phase: the phase of its execution; empty where the study is stored otherwise.
        study: the study as it stands; None where there is none yet.
        progress: how far its latest search is; None where no search has made it.
        ended: whether it has ended, so that there is nothing new to come.
        problem: why this look failed, in one line, where an earlier one did not.
    """

    phase: str
    study: optuna.Study | None
    progress: Progress | None
    ended: bool
    problem: str = ""


def look(source: str, last: Look | None = None) -> Look:
    """Look at a search; ``last`` is what the last look found.

    Raises:
        Failure: there is nothing to look at, and nothing to wait for; once a look has succeeded, a later one that does
            not is a problem of that moment.
    """
    from flyteoptuna.show.load import phase

    try:
        # In this order: once the phase is the last one, the study is.
        with refused(source):
            name, over = phase(source)
    except Failure as failure:
        if last is None:
            raise
        return last._replace(problem=failure.message)
    try:
        study = load(source)
    except Failure as failure:
        if last is not None and last.study is not None:
            # At the end it is looked for once more.
            return last._replace(phase=name, ended=over and bool(last.problem), problem=failure.message)
        if over or not isinstance(failure, Missing) or not failure.pending:
            raise
        return Look(name, None, None, ended=False)
    found = progress(study)
    return Look(name, study, found, over or _ended(study, found))


def progress(study: optuna.Study) -> Progress | None:
    """How far the latest search of a study is; None of a study that no search has made."""
    from flyteoptuna.study import progress as of
    from flyteoptuna.study import system_attrs

    if system_attrs.study_attr(study, system_attrs.SEARCH_ATTRIBUTE) is None:
        return None
    try:
        found = of.progress(study)
    except (AttributeError, KeyError, TypeError, ValueError):
        # A study may come from anywhere, and what it says of its search is not checked.
        return None
    return found if type(found.n_trials) is type(found.generations) is int else None


def _ended(study: optuna.Study, found: Progress | None) -> bool:
    from optuna.trial import TrialState

    from flyteoptuna.study import system_attrs

    if found is None:
        return True
    if system_attrs.own(study, TrialState.RUNNING):
        return False
    return found.finished >= found.n_trials or bool(getattr(study, "stopped", False))
