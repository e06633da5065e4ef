"""What the pages show of a study: its trials, the feasible ones, the best ones, the front."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.show.page import elements
from flyteoptuna.study.results import feasible, value_names

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Summary:
    """What the pages show of a study: its trials, and its feasible and infeasible complete ones."""

    study: optuna.Study
    trials: list[FrozenTrial]
    names: list[str]
    maximize: list[bool]
    feasible: list[FrozenTrial]
    infeasible: list[FrozenTrial]

    def worse(self, objective: int) -> int:
        """1 where a higher value is worse, else -1."""
        return -1 if self.maximize[objective] else 1

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return len(self.maximize) > 1

    @cached_property
    def labels(self) -> list[str]:
        """The names of the objectives, short and escaped."""
        return [elements.text(name, 40) for name in self.names]

    @cached_property
    def improvements(self) -> list[list[FrozenTrial]]:
        """By objective, the trials that were the best when they came, the best of all last."""
        return [self._improvements(objective) for objective in range(len(self.maximize))]

    def _improvements(self, objective: int) -> list[FrozenTrial]:
        found: list[FrozenTrial] = []
        worse, least = self.worse(objective), math.inf
        for trial in self.feasible:
            loss = trial.values[objective] * worse
            if not found or loss < least:
                found.append(trial)
                least = loss
        return found

    @cached_property
    def best(self) -> list[FrozenTrial]:
        """The best trial, if there is one; of several objectives, the Pareto-optimal trials by their first one."""
        if not self.several:
            return self.improvements[0][-1:]
        if not self.feasible:
            return []
        losses = np.array([t.values for t in self.feasible]) * [self.worse(i) for i in range(len(self.maximize))]
        chosen = [t for t, optimal in zip(self.feasible, pareto(losses), strict=True) if optimal]
        return sorted(chosen, key=lambda t: (t.values[0], t.number))

    @cached_property
    def ranked(self) -> list[FrozenTrial]:
        """All trials, the best ones first, then those with values, those that were pruned, the failed ones."""
        if self.several:
            first = [*self.best, *sorted(self.feasible, key=lambda t: t.number)]
        else:
            first = sorted(self.feasible, key=lambda t: (t.values[0] * self.worse(0), t.number))
        order = [TrialState.COMPLETE, *(state for state in STATES if state != TrialState.COMPLETE)]
        rest = sorted(self.trials, key=lambda t: (order.index(t.state), t.number))
        return list({t.number: t for t in [*first, *rest]}.values())

    @cached_property
    def params(self) -> list[str]:
        """The names of all parameters, in the order in which they come."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.params))


def summary(study: optuna.Study) -> Summary:
    """What there is to show of a study."""
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    maximize = [d == StudyDirection.MAXIMIZE for d in study.directions]
    fit: list[FrozenTrial] = []
    unfit: list[FrozenTrial] = []
    for trial in complete:
        (fit if feasible(trial) else unfit).append(trial)
    return Summary(study, trials, value_names(study), maximize, fit, unfit)


def pareto(losses: np.ndarray[Any, Any]) -> list[bool]:
    """Which rows no other row dominates: is at most equal everywhere, and less somewhere."""
    unique, where = np.unique(losses, axis=0, return_inverse=True)
    columns = np.ascontiguousarray(unique.T)
    on_front = np.zeros(len(unique), dtype=bool)
    rest = np.arange(len(unique))
    if losses.shape[1] == 2:
        # In lexical order, what is on the front is less in the second column than all before it.
        on_front[:1], on_front[1:] = True, unique[1:, 1] < np.minimum.accumulate(unique[:-1, 1])
        rest = rest[:0]
    while len(rest):
        # None dominates the first of the rest, and it dominates those that are nowhere less.
        on_front[rest[0]] = True
        rest = rest[np.logical_or.reduce([column[rest] < column[rest[0]] for column in columns])]
    return list(on_front[where.reshape(-1)])
