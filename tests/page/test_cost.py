"""What a search cost, from the times of its trials."""

import itertools
from datetime import datetime, timedelta

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from flyteoptuna.internals.optuna_internals import set_system_attribute
from flyteoptuna.page.cost import search_cost
from flyteoptuna.page.pages import report_page
from flyteoptuna.trial.marks import SEARCH_ATTRIBUTE, TRIAL_ATTRIBUTE, SearchMark, TrialMark

START = datetime(2026, 1, 2, 3, 4, 5)


def study_of(*searches, concurrency=None, workers=0):
    """A study of searches, each a list of its trials' (start, end) in seconds; an end of None is a running trial."""
    study = optuna.create_study()
    for search, spans in enumerate(searches, start=1):
        for start, end in spans:
            state = TrialState.RUNNING if end is None else TrialState.FAIL
            trial = create_trial(state=state, system_attrs={TRIAL_ATTRIBUTE: TrialMark(search=search).to_attribute()})
            trial.datetime_start = START + timedelta(seconds=start)
            trial.datetime_complete = None if end is None else START + timedelta(seconds=end)
            study.add_trial(trial)
    if concurrency:
        mark = SearchMark(count=1, concurrency=concurrency, workers=workers, start=0.0)
        set_system_attribute(study, SEARCH_ATTRIBUTE, mark.to_attribute())
    return study


def spent(*searches, **kwargs):
    study = study_of(*searches, **kwargs)
    return search_cost(study, study.get_trials(deepcopy=False))


@pytest.mark.parametrize(
    ("searches", "trials", "wall", "slots", "waited"),
    [
        ([], 0, 0, 0, 0),
        ([[(0, 10)]], 10, 10, 1, 0),
        ([[(0, 10), (0, 10)]], 20, 10, 2, 0),
        ([[(0, 10), (10, 20)]], 20, 20, 1, 0),
        ([[(0, 10), (0, 4), (10, 20)]], 24, 20, 2, 16),
        # Days between two searches are nobody's waiting.
        ([[(0, 10)], [(900_000, 900_010)]], 20, 20, 1, 0),
        ([[(0, 10), (3, None)]], 10, 10, 1, 0),
        ([[(5, 5)]], 0, 0, 1, 0),
    ],
)
def test_time_is_counted_while_a_search_runs(searches, trials, wall, slots, waited):
    """The trials' own, and that of slots that stood empty; of trials that have ended."""
    found = spent(*searches)
    assert (found.trial_seconds, found.wall_seconds, found.slots, found.idle_seconds) == (trials, wall, slots, waited)


def test_slots_are_those_of_the_search_where_it_says_so():
    """Else those that were ever used at once."""
    assert spent([(0, 10)], concurrency=4).idle_seconds == 30
    assert spent([(0, 10), (0, 10)], concurrency=1).slots == 2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=30))
def test_no_two_trials_are_in_one_slot_at_a_time(spans):
    """And no slot more is used than trials ran at once."""
    found = spent([(start, start + length) for start, length in spans])
    for slot in range(found.slots):
        runs = sorted((run.start, run.end) for run in found.runs if run.slot == slot)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(runs))
    assert found.mean_concurrency <= found.slots
    busiest = [sum(r.start <= at.start < max(r.end, r.start + 0.5) for r in found.runs) for at in found.runs]
    assert found.slots <= max(busiest, default=0)


def test_a_local_run_has_as_many_slots_as_this_machine_runs_at_once():
    """Its page says of how many, and one of a cluster does not."""
    local, cluster = ({"concurrency": 8, "workers": workers} for workers in (2, 0))
    assert spent([(0, 10), (0, 10)], **local).slots == 2
    assert spent([(0, 10), (0, 10)], **cluster).slots == 8
    page = report_page(study_of([(0, 10), (0, 5)], **local))
    assert "1.5 of 2<" in page and "; of 8 at once, this machine ran 2<" in page
    assert "this machine" not in report_page(study_of([(0, 10), (0, 5)], **cluster))
