"""The study class of a search, and new studies in memory."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals.optuna_internals import in_memory_storage
from flyteoptuna.storage import study_summary
from flyteoptuna.storage.stored_inputs import stored_inputs
from flyteoptuna.storage.write_trials import WrittenRows

Callback = Callable[[optuna.Study, FrozenTrial], None]


class SearchStudy(optuna.Study):
    """A study whose ``stop`` works outside ``optimize``, where optuna's raises; grid samplers call it.

    Attributes:
        stopped: whether ``stop`` has been called; saved with the study.
        callbacks: called with the study and each told trial; saved with the study.
        written: rows of finished trials in JSON, from the last time that the study was saved or loaded.
        file: path or URL where the study is stored; None if it is not known.
        failure: why its search has failed, if a journal says so; else empty.
    """

    file: str | None = None
    failure: str = ""

    def __init__(
        self,
        study_name: str,
        storage: str | optuna.storages.BaseStorage,
        sampler: BaseSampler | None = None,
        pruner: BasePruner | None = None,
    ) -> None:
        super().__init__(study_name, storage, sampler, pruner)
        self.stopped = False
        self.callbacks: list[Callback] = []
        self.written: WrittenRows | None = None
        self.file: str | None = None

    @property
    def n_trials(self) -> int:
        """Number of trials, in any state."""
        return len(self.get_trials(deepcopy=False))

    @property
    def n_running(self) -> int:
        """Number of running trials."""
        return self._count(TrialState.RUNNING)

    @property
    def n_complete(self) -> int:
        """Number of complete trials."""
        return self._count(TrialState.COMPLETE)

    @property
    def n_pruned(self) -> int:
        """Number of pruned trials."""
        return self._count(TrialState.PRUNED)

    @property
    def n_fail(self) -> int:
        """Number of failed trials."""
        return self._count(TrialState.FAIL)

    @property
    def n_waiting(self) -> int:
        """Number of enqueued trials."""
        return self._count(TrialState.WAITING)

    @property
    def best_inputs(self) -> dict[str, Any]:
        """Inputs of the best trial, nested as the objective got them; see ``flyteoptuna.inputs``."""
        return stored_inputs(self, self.best_trial)

    def _count(self, state: TrialState) -> int:
        return len(self.get_trials(deepcopy=False, states=(state,)))

    def stop(self) -> None:
        """Let the search end after the trials that were asked."""
        self.stopped = True

    def __repr__(self) -> str:
        # A debugger may show a study that is half made.
        try:
            return study_summary.summary_line(self, self.file)
        except Exception:
            return object.__repr__(self)

    def _repr_html_(self) -> str:
        try:
            return study_summary.summary_html(self, self.file)
        except Exception:
            return f"<pre>{html.escape(repr(self))}</pre>"


def new_study(
    directions: Sequence[StudyDirection], sampler: BaseSampler, pruner: BasePruner, name: str = "flyteoptuna"
) -> SearchStudy:
    """Create an empty study in memory. Unlike ``optuna.create_study``, it writes nothing to the log."""
    storage = in_memory_storage(name, directions, study_id=0, trials=(), declared={})
    return SearchStudy(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
