"""Trials of a study by what the pages show: feasible, best, improving, ranked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.page.elements import escape_text
from flyteoptuna.storage.study_summary import STATE_NAMES
from flyteoptuna.study.results import is_feasible, value_names


@dataclass(frozen=True)
class Summary:
    """A study and its trials for the pages.

    Attributes:
        study: the study.
        trials: all trials.
        names: the names of the objectives.
        maximize: whether each objective is maximized.
        feasible: the complete trials that satisfy the constraints.
        infeasible: the other complete trials.
    """

    study: optuna.Study
    trials: list[FrozenTrial]
    names: list[str]
    maximize: list[bool]
    feasible: list[FrozenTrial]
    infeasible: list[FrozenTrial]

    def loss_sign(self, objective: int) -> int:
        """Factor that turns values into losses: 1 if higher values are worse, else -1."""
        return -1 if self.maximize[objective] else 1

    @property
    def multi_objective(self) -> bool:
        """Whether there are several objectives."""
        return len(self.maximize) > 1

    @property
    def complete(self) -> bool:
        """Whether a trial is complete."""
        return bool(self.feasible or self.infeasible)

    @cached_property
    def labels(self) -> list[str]:
        """The names of the objectives, shortened and escaped."""
        return [escape_text(name, 40) for name in self.names]

    @cached_property
    def improvements(self) -> list[list[FrozenTrial]]:
        """By objective, each trial that was better than all before; the best of all is last."""
        return [self._improvements(objective) for objective in range(len(self.maximize))]

    def _improvements(self, objective: int) -> list[FrozenTrial]:
        improvements: list[FrozenTrial] = []
        sign, best_loss = self.loss_sign(objective), math.inf
        for trial in self.feasible:
            loss = trial.values[objective] * sign
            if not improvements or loss < best_loss:
                improvements.append(trial)
                best_loss = loss
        return improvements

    @cached_property
    def best(self) -> list[FrozenTrial]:
        """The best trial, if any; with several objectives, the Pareto-optimal ones, sorted by the first objective."""
        if not self.multi_objective:
            return self.improvements[0][-1:]
        if not self.feasible:
            return []
        losses = np.array([t.values for t in self.feasible]) * [self.loss_sign(i) for i in range(len(self.maximize))]
        optimal_trials = [t for t, optimal in zip(self.feasible, pareto_mask(losses), strict=True) if optimal]
        return sorted(optimal_trials, key=lambda t: (t.values[0], t.number))

    @cached_property
    def ranked(self) -> list[FrozenTrial]:
        """All trials: the best, then the complete, the pruned, the failed ones, and the rest."""
        if self.multi_objective:
            first = [*self.best, *sorted(self.feasible, key=lambda t: t.number)]
        else:
            first = sorted(self.feasible, key=lambda t: (t.values[0] * self.loss_sign(0), t.number))
        order = [TrialState.COMPLETE, *(state for state in STATE_NAMES if state != TrialState.COMPLETE)]
        rest = sorted(self.trials, key=lambda t: (order.index(t.state), t.number))
        return list({t.number: t for t in [*first, *rest]}.values())

    @cached_property
    def params(self) -> list[str]:
        """The names of all parameters, in order of first use."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.params))


def summarise_study(study: optuna.Study) -> Summary:
    """Read the trials of a study, and separate the feasible from the infeasible ones."""
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    maximize = [d == StudyDirection.MAXIMIZE for d in study.directions]
    feasible: list[FrozenTrial] = []
    infeasible: list[FrozenTrial] = []
    for trial in complete:
        (feasible if is_feasible(trial) else infeasible).append(trial)
    return Summary(study, trials, value_names(study), maximize, feasible, infeasible)


def pareto_mask(losses: np.ndarray[Any, Any]) -> list[bool]:
    """A flag for each row that is Pareto-optimal: no other row is less somewhere and greater nowhere."""
    unique, inverse = np.unique(losses, axis=0, return_inverse=True)
    columns = np.ascontiguousarray(unique.T)
    on_front = np.zeros(len(unique), dtype=bool)
    rest = np.arange(len(unique))
    if losses.shape[1] == 2:
        # The rows are sorted: one is on the front if it is less in the second column than all before it.
        on_front[:1], on_front[1:] = True, unique[1:, 1] < np.minimum.accumulate(unique[:-1, 1])
        rest = rest[:0]
    while len(rest):
        # Nothing dominates the first remaining row, and it dominates every row that is nowhere less.
        on_front[rest[0]] = True
        rest = rest[np.logical_or.reduce([column[rest] < column[rest[0]] for column in columns])]
    return list(on_front[inverse.reshape(-1)])
