"""A study in memory, made as optuna's own storage would have made it, and one that may be stopped."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.storages._in_memory import _StudyInfo
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.storage import describe_study
from flyteoptuna.storage.write_trials import Written

Callback = Callable[[optuna.Study, FrozenTrial], None]


class SearchStudy(optuna.Study):
    """A study whose ``stop`` works outside ``optimize``, where optuna's own raises; grid samplers call it.

    Attributes:
        stopped: whether ``stop`` has been called. It is saved with the study.
        callbacks: what a search calls with the study and each trial that has been told. They are saved with the study.
        written: the rows that are already JSON, as the study was last saved or loaded.
        file: the path or the URL where the study is stored; None where that is not known.
    """

    file: str | None = None

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
        self.written: Written | None = None
        self.file: str | None = None

    @property
    def n_trials(self) -> int:
        """Number of trials, in any state."""
        return len(self.get_trials(deepcopy=False))

    @property
    def n_running(self) -> int:
        """Number of trials that run."""
        return self._count(TrialState.RUNNING)

    @property
    def n_complete(self) -> int:
        """Number of trials that have values."""
        return self._count(TrialState.COMPLETE)

    @property
    def n_pruned(self) -> int:
        """Number of trials that were pruned."""
        return self._count(TrialState.PRUNED)

    @property
    def n_fail(self) -> int:
        """Number of trials that have failed."""
        return self._count(TrialState.FAIL)

    @property
    def n_waiting(self) -> int:
        """Number of trials that are enqueued."""
        return self._count(TrialState.WAITING)

    def _count(self, state: TrialState) -> int:
        return len(self.get_trials(deepcopy=False, states=(state,)))

    def stop(self) -> None:
        """Ask the search to end after the trials that have been asked."""
        self.stopped = True

    def __repr__(self) -> str:
        # A debugger shows a study in any state, also one that is half made.
        try:
            return describe_study.line(self, self.file)
        except Exception:
            return object.__repr__(self)

    def _repr_html_(self) -> str:
        try:
            return describe_study.page(self, self.file)
        except Exception:
            return f"<pre>{html.escape(repr(self))}</pre>"


def new_study(
    directions: Sequence[StudyDirection], sampler: BaseSampler, pruner: BasePruner, name: str = "flyteoptuna"
) -> SearchStudy:
    """An empty study in memory. Unlike ``optuna.create_study``, it writes nothing to the log.

    Args:
        directions: one a value of the objective, at least one.
        sampler: suggests the parameters.
        pruner: decides which trials to prune.
        name: the study's name.
    """
    storage = in_memory(name, directions, study_id=0, trials=(), declared={})
    return SearchStudy(study_name=name, storage=storage, sampler=sampler, pruner=pruner)


def in_memory(
    name: str,
    directions: Sequence[StudyDirection],
    study_id: int,
    trials: Sequence[FrozenTrial],
    declared: dict[str, BaseDistribution],
) -> InMemoryStorage:
    """An in-memory storage that holds one study, with the ids that it had.

    Args:
        name: the study's name.
        directions: its directions.
        study_id: its id.
        trials: its trials, which become the storage's own.
        declared: the distributions that new trials must be compatible with, by parameter.
    """
    # The only place that knows how an in-memory storage is made inside. Its public methods copy each trial deeply
    # (0.7 s for 10,000 of them), write to the log, and give new ids, which samplers remember: NSGA-II those of a
    # population's trials, others that of their study.
    storage = InMemoryStorage()
    info = _StudyInfo(name, list(directions))
    storage._studies[study_id] = info
    storage._study_name_to_id[name] = study_id
    storage._prev_waiting_trial_number[study_id] = 0
    storage._max_study_id = study_id
    ids = [trial._trial_id for trial in trials]
    storage._max_trial_id = max(ids, default=-1)
    # By position, which is the number and costs less to ask for.
    storage._trial_id_to_study_id_and_number = {each: (study_id, number) for number, each in enumerate(ids)}
    info.trials = list(trials)
    info.param_distribution = declared
    if complete := [trial for trial in trials if trial.state == TrialState.COMPLETE]:
        # A storage keeps the best trial of one objective, the first of equal ones, and the first trial of several.
        choose = min if directions[0] == StudyDirection.MINIMIZE else max
        best = complete[0] if len(directions) > 1 else choose(complete, key=lambda trial: trial.values[0])
        storage._update_cache(best._trial_id, study_id)
    return storage


def declared(study: optuna.Study) -> dict[str, BaseDistribution]:
    """The distributions that new trials of a study in memory must be compatible with, by parameter: its own."""
    storage: Any = study._storage
    found: dict[str, BaseDistribution] = storage._studies[study._study_id].param_distribution
    return found


def retract(study: optuna.Study, trial: FrozenTrial) -> None:
    """Make a trial of a study in memory that was told, and cannot be kept as it was, one that has failed."""
    storage: Any = study._storage
    trial.state, trial.values = TrialState.FAIL, None
    info = storage._studies[study._study_id]
    info.best_trial_id = None
    for other in info.trials:
        storage._update_cache(other._trial_id, study._study_id)
