"""The settings of an optimizer, in the body of a workflow and outside."""

import flytekit as fl
import optuna
import pytest

from flyteoptuna import optimize


@fl.task
async def awaited(x: float) -> float:
    return x


@optimize(concurrency=2, n_trials=1)
def tuned(trial: optuna.Trial):
    return awaited(trial.suggest_int("x", 0, 9))


@fl.workflow
def settled(n_trials: int = 5) -> tuple[int, int]:
    tuned.n_trials = n_trials
    first = tuned()
    tuned.study, tuned.n_trials = first, 2
    return first.n_trials, tuned().n_trials


@fl.workflow
def unsettled() -> int:
    return tuned().n_trials


def test_what_a_workflows_body_sets_holds_in_that_body():
    """Another workflow of the same optimizer has what it was made with; and an int suits a float."""
    assert tuple(settled()) == (5, 7)
    assert unsettled() == 1
    tuned.n_trials = 3
    assert unsettled() == 3
    assert len(tuned().trials) == 3
    tuned.study, tuned.n_trials = None, 1
    with pytest.raises(AttributeError, match="Optimizer has no setting `n_trial`; it has: concurrency, n_trials"):
        tuned.n_trial = 4
