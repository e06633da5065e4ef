"""Searches across processes that end early."""

import math

import pytest
from containers import driver_pods, run

from flyteoptuna.search import plan
from flyteoptuna.testing.engine.scopes import ExecutionFailedError


def test_a_search_that_is_stopped_runs_few_empty_pods(tmp_path, flows):
    """After the stop no trial runs, and at most k - 1 pods a level."""
    study, engine = run(flows, tmp_path, "with_callback")
    assert len(study.trials) == len(engine.of(".trial-")) == 4
    levels = math.ceil(math.log(100, plan.ARITY))
    assert len(driver_pods(engine)) <= 3 + levels + (plan.ARITY - 1) * levels + 2


def test_an_exhausted_space_ends_the_search(tmp_path, flows):
    """Each of the four points is run once, though thirty trials were allowed."""
    study, _ = run(flows, tmp_path, "exhausted")
    assert sorted(t.params["point"] for t in study.trials) == [0, 1, 2, 3]


def test_too_many_failures_end_the_search_and_quote_the_cause(tmp_path, flows):
    """The error names the rule, the first cause, and the file that holds what finished."""
    with pytest.raises(
        ExecutionFailedError, match=r"max_failures=0.*all 3 trials failed(.|\n)*bad luck(.|\n)*study as it stands: /"
    ):
        run(flows, tmp_path, "limited")


def test_no_batch_is_asked_after_the_timeout(tmp_path, flows):
    """A search without time returns the study that it was given."""
    study, engine = run(flows, tmp_path, "no_time")
    assert [t.value for t in study.trials] == [1.0]
    assert not engine.of(".trial-")
