"""What the pages show of a study: its trials, the feasible ones, the best ones, the front."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.show.page.charts import pareto
from flyteoptuna.study.results import feasible


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

    def front(self) -> list[FrozenTrial]:
        """The Pareto-optimal trials, by their first objective."""
        if not self.feasible:
            return []
        losses = np.array([t.values for t in self.feasible]) * [self.worse(i) for i in range(len(self.maximize))]
        chosen = [t for t, optimal in zip(self.feasible, pareto(losses), strict=True) if optimal]
        return sorted(chosen, key=lambda t: (t.values[0], t.number))


def summary(study: optuna.Study) -> Summary:
    """What there is to show of a study."""
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    maximize = [d == StudyDirection.MAXIMIZE for d in study.directions]
    fit: list[FrozenTrial] = []
    unfit: list[FrozenTrial] = []
    for trial in complete:
        (fit if feasible(trial) else unfit).append(trial)
    return Summary(study, trials, objective_names(study), maximize, fit, unfit)


def objective_names(study: optuna.Study) -> list[str]:
    """The names of the values, as the user gave them, or in their order."""
    default = ["value"] if len(study.directions) == 1 else [f"objective {i}" for i in range(len(study.directions))]
    return list(study.metric_names or default)
