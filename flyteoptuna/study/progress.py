"""How far a search is, in one line."""

from __future__ import annotations

from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from flyteoptuna.study import results
from flyteoptuna.study.system_attrs import FINISHED, SEARCH_ATTRIBUTE, TRIAL_ATTRIBUTE, own, study_attr


class Progress(NamedTuple):
    """How far the latest search of a study is; one whose workers share a journal has no generations."""

    generation: int
    generations: int
    finished: int
    n_trials: int
    failed: int
    first: int
    best: str

    def __str__(self) -> str:
        counts = f"{self.finished}/{self.n_trials} trials, {self.failed} failed"
        where = f"generation {self.generation}/{self.generations}: " if self.generations else ""
        return f"{where}{counts}, {self.best}"


def progress(study: optuna.Study) -> Progress:
    """How far the latest search of a study is; generations count from 1 here, and the ones that were told count."""
    search = study_attr(study, SEARCH_ATTRIBUTE)
    trials = own(study)
    marks = [t.system_attrs[TRIAL_ATTRIBUTE] for t in trials if t.state in FINISHED]
    failed = [t.state for t in trials].count(TrialState.FAIL)
    generation = 1 + max([mark.get("generation", -1) for mark in marks], default=-1)
    first = trials[0].number if trials else len(study.get_trials(deepcopy=False))
    return Progress(generation, search["generations"], len(marks), search["n_trials"], failed, first, _best(study))


def _best(study: optuna.Study) -> str:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return "none complete"
    if len(study.directions) > 1:
        return f"{len(study.best_trials)} on the Pareto front"
    best = results.best(study)
    if best is None:
        return "none feasible"
    return f"best {best.value:.6g} (trial {best.number})"
