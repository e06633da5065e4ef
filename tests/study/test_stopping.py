"""When a search is over, and when it has failed."""

import optuna
import pytest
from optuna.trial import TrialState
from searches import asked, begun, flat, reloaded

from flyteoptuna import SearchFailedError, suggest
from flyteoptuna.study import stopping, system_attrs
from flyteoptuna.study.samplers import create_default_study
from flyteoptuna.study.tell import tell_trials
from flyteoptuna.trial.report import TrialReport


def test_a_timeout_counts_from_the_start_of_the_search():
    """It is over at the second, not before."""
    study = create_default_study(1, 1)
    system_attrs.store_search_mark(study, now=100.0)
    assert stopping.stop_or_timeout_reason(reloaded(study), timeout=10, now=109.9) == ""
    assert stopping.stop_or_timeout_reason(reloaded(study), timeout=10, now=110.0) == "its timeout of 10 s has passed"


def test_a_search_that_only_fails_quotes_its_first_cause():
    """Nine failures are borne, ten are not; each cause is quoted once, the first whole."""
    study = begun(10)
    for count in (9, 1):
        stopping.check_failures(study, last=False)
        asked(study, count)
        tell_trials(
            study,
            [
                TrialReport(t.number, error="out of luck\ntrace")
                for t in system_attrs.search_trials(study, TrialState.RUNNING)
            ],
        )
    with pytest.raises(SearchFailedError, match=r"first 10 trials failed.\nTrial 0: out of luck\ntrace$"):
        stopping.check_failures(study, last=False)


def test_failures_count_from_the_start_of_the_search():
    """`max_failures` is an absolute number of this search's failures; earlier ones do not count."""
    study = begun()
    for _ in range(2):
        asked(study, 1)
        tell_trials(study, [TrialReport(0, error="one")])
        system_attrs.store_search_mark(study)
    asked(study, 3)
    tell_trials(
        study,
        [TrialReport(2, state="COMPLETE", values=[1.0]), TrialReport(3, error="two"), TrialReport(4, error="three")],
    )
    stopping.check_failures(study, last=True, max_failures=2)
    with pytest.raises(SearchFailedError, match=r"`max_failures=1` was exceeded: 2 of 3(.|\n)*two(.|\n)*three"):
        stopping.check_failures(study, last=False, max_failures=1)


@pytest.mark.parametrize(
    ("states", "outcome"),
    [
        ("f", "the only one failed"),
        ("fff", "all 3 failed"),
        ("p", "the only one was pruned"),
        ("pp", "all 2 were pruned"),
        ("fpf", "2 failed and 1 was pruned"),
        ("pfp", "1 failed and 2 were pruned"),
    ],
)
def test_a_search_without_a_complete_trial_ends_in_an_error(states, outcome):
    """There is no best value to show, and the error counts what happened instead."""
    study = begun()
    asked(study, len(states))
    kinds = {"f": "FAIL", "p": "PRUNED"}
    tell_trials(study, [TrialReport(i, state=kinds[state]) for i, state in enumerate(states)])
    stopping.check_failures(study, last=False)
    with pytest.raises(SearchFailedError, match=rf"^No trial completed: {outcome}\.(\n|$)"):
        stopping.check_failures(study, last=True)


def test_a_search_without_a_trial_says_why():
    """A timeout that passes before the first batch is no failure of trials."""
    with pytest.raises(SearchFailedError, match=r"No trial was asked: .* the timeout had passed"):
        stopping.check_failures(begun(), last=True)


def test_a_grid_is_exhausted_while_its_last_points_run():
    """A batch asks no point of a grid again."""
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"b": [0, 1, 2]}))
    system_attrs.store_search_mark(study)
    for count in range(3):
        assert not stopping.is_exhausted(study), count
        asked(study, 1, flat({"b": suggest.integer(0, 3)}))
    assert stopping.is_exhausted(reloaded(study))


def test_what_is_fixed_in_a_dictionary_counts_for_no_point():
    """Only suggestions make a space larger."""
    inputs = {"params": {"depth": suggest.integer(1, 2), "kind": "tree"}, "b": suggest.category(["p", "q"])}
    study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler(seed=1))
    system_attrs.store_search_mark(study)
    for _ in range(4):
        assert not stopping.is_exhausted(study, inputs)
        asked(study, 1, flat(inputs))
    assert stopping.is_exhausted(study, inputs)
    assert not stopping.is_exhausted(study, {**inputs, "x": suggest.float(0, 1)})
