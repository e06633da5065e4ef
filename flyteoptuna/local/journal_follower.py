"""Progress of a local search with reused pods, read from its journal, because its trials run in other processes."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from flyteoptuna.local.progress_reporter import ProgressReporter
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

if TYPE_CHECKING:
    from typing_extensions import Self

    from flyteoptuna.storage.search_study import SearchStudy

# Interval at which the journal is read, seconds.
LOOK_INTERVAL = 0.5


class JournalFollower:
    """Reports each trial of a search soon after it was told. A context manager, whose thread reads the journal.

    Args:
        folder: the journal.
        base: the study with which the search began.
        n_trials: number of trials of the search.
        reporter: the reporter.
    """

    def __init__(self, folder: str, base: SearchStudy, n_trials: int, reporter: ProgressReporter) -> None:
        from flyteoptuna.search.reused.search_journal import open_journal
        from flyteoptuna.study.shared.shared_study import SharedStudy

        self._shared = SharedStudy(open_journal(folder), base, "", n_trials)
        self._n_trials, self._reporter = n_trials, reporter
        self._reported: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        # Where the system has no further thread, all trials are reported at the end.
        with suppress(RuntimeError):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._look()

    def _follow(self) -> None:
        while not self._over.wait(LOOK_INTERVAL):
            self._look()

    def _look(self) -> None:
        # What cannot be reported now is no reason to disturb a search.
        with suppress(Exception):
            self._report_new()

    def _report_new(self) -> None:
        from flyteoptuna.internals.optuna_internals import trial_id
        from flyteoptuna.study.progress import search_progress

        self._shared.refresh()
        study, own = self._shared.study, {claim.trial_id for claim in self._shared.claims[: self._n_trials]}
        ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished() and trial_id(t) in own]
        new = [t for t in ended if t.number not in self._reported]
        for trial in new:
            self._reported.add(trial.number)
            seconds = trial.duration.total_seconds() if trial.duration else 0.0
            reason = str(trial.user_attrs.get(ERROR_ATTRIBUTE, ""))
            self._reporter.report_trial(trial.number, trial.state.name, trial.values, trial.params, seconds, reason)
        if new:
            self._reporter.report_best(search_progress(study).best)
