"""Progress of a search, and texts about its trials in one line."""

from __future__ import annotations

import reprlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.trial import TrialState

from flyteoptuna.storage.study_summary import STATE_NAMES
from flyteoptuna.study import results
from flyteoptuna.study.system_attrs import FINISHED, require_search_mark, search_trials
from flyteoptuna.trial.marks import latest_generation
from flyteoptuna.values.text import format_duration


class Progress(NamedTuple):
    """Progress of the latest search of a study.

    ``generation`` counts the told generations, ``generations`` is 0 in a search of workers, ``first`` is the number of
    the search's first trial, and ``best`` is the best trial in words.
    """

    generation: int
    generations: int
    finished: int
    n_trials: int
    failed: int
    first: int
    best: str

    def __str__(self) -> str:
        counts = f"{self.finished}/{self.n_trials} trials, {self.failed} failed"
        generation = f"generation {self.generation}/{self.generations}: " if self.generations else ""
        return f"{generation}{counts}, {self.best}"


def search_progress(study: optuna.Study) -> Progress:
    """Progress of the latest search of a study.

    Raises:
        ValueError: no search has begun on the study, or its mark is incomplete.
    """
    search = require_search_mark(study)
    trials = search_trials(study)
    finished = [trial for trial in trials if trial.state in FINISHED]
    failed = [t.state for t in trials].count(TrialState.FAIL)
    generation = 1 + latest_generation(finished)
    first = trials[0].number if trials else len(study.get_trials(deepcopy=False))
    if search.n_trials is None or search.generations is None:
        raise ValueError("The study does not tell how many trials and generations its search has.")
    return Progress(
        generation, search.generations, len(finished), search.n_trials, failed, first, _describe_best(study)
    )


def _describe_best(study: optuna.Study) -> str:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return "none complete"
    if len(study.directions) > 1:
        return f"{len(study.best_trials)} on the Pareto front"
    best = results.best_trial(study)
    if best is None:
        return "none feasible"
    return f"best {best.value:.6g} (trial {best.number})"


_short_repr = reprlib.Repr()
_short_repr.maxstring = _short_repr.maxother = 40


def format_params(params: Mapping[str, Any], most: int = 12) -> str:
    """Parameters in one line, ``x=0.5, kind='tree'``: the first ``most`` of them, with long values cut."""
    shown = [
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={_short_repr.repr(value)}"
        for name, value in list(params.items())[:most]
    ]
    return ", ".join([*shown, *([f"and {len(params) - most} more"] if len(params) > most else [])])


def format_values(values: Sequence[float] | None) -> str:
    """Values of a trial in one line."""
    return ", ".join(f"{value:.6g}" for value in values or ())


def reason_line(why: str) -> str:
    """First line of a reason, at most 200 characters."""
    return textwrap.shorten(why.partition("\n")[0].rstrip("."), 200, placeholder=" ...")


def trial_line(
    number: int, state: str, values: Sequence[float] | None, params: Mapping[str, Any], took: float, why: str
) -> str:
    """Outcome of a trial in one line. It took ``took`` seconds, and ``why`` is the reason of a failure or pruning."""
    outcome = format_values(values) if state == "COMPLETE" else STATE_NAMES[TrialState[state]]
    result = ", ".join(filter(None, (outcome, reason_line(why))))
    return f"Trial {number}: {result}; {format_params(params)} ({format_duration(took)})"
