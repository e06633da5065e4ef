"""The attributes of a search on its study and trials: the stored form, its reading, and its check."""

import json

import pytest

from flyteoptuna.trial.marks import (
    OUTPUTS_ATTRIBUTE,
    SEARCH_ATTRIBUTE,
    TRIAL_ATTRIBUTE,
    SearchMark,
    TrialMark,
    find_wrong_field,
    latest_generation,
    search_number,
    trials_of_search,
)

STORED = [
    (TrialMark(search=1, generation=0), '{"search": 1, "generation": 0}'),
    (
        TrialMark(search=2, generation=3, key="0a", cached=True, timeout=1.5, state="FAIL", error="too large"),
        '{"search": 2, "generation": 3, "key": "0a", "cached": true, "timeout": 1.5, "state": "FAIL", '
        '"error": "too large"}',
    ),
    (
        TrialMark(search=1, worker="0", knew=0, key="0a", attempt=1),
        '{"search": 1, "worker": "0", "knew": 0, "key": "0a", "attempt": 1}',
    ),
    (TrialMark(beyond=True), '{"beyond": true}'),
    (
        SearchMark(count=1, n_trials=0, generations=0, start=2.0),
        '{"count": 1, "n_trials": 0, "generations": 0, "start": 2.0}',
    ),
    (
        SearchMark(count=2, n_trials=9, generations=3, concurrency=3, start=2.5),
        '{"count": 2, "n_trials": 9, "generations": 3, "concurrency": 3, "start": 2.5}',
    ),
]


@pytest.mark.parametrize(("mark", "text"), STORED)
def test_a_mark_is_stored_as_ever(mark, text):
    """Its form is a wire format: fields in their order, none that has its default, and it is read back and checked."""
    assert json.dumps(mark.to_attribute()) == text
    attributes = {"other": 1, mark.ATTRIBUTE: json.loads(text)}
    assert type(mark).from_attributes(attributes) == mark
    assert "search" not in text or search_number(attributes) == getattr(mark, "search", None)
    if mark.to_attribute().keys() >= mark.REQUIRED:
        assert find_wrong_field(mark.ATTRIBUTE, json.loads(text)) is None


@pytest.mark.parametrize("kind", [TrialMark, SearchMark])
def test_no_mark_and_unknown_fields(kind):
    """A study or a trial of no search has no mark, and a field of a later version is not read."""
    assert kind.from_attributes({}) is None
    stored = {"count": 1, "start": 0.0, "search": 4, "later": [1]}
    assert kind.from_attributes({kind.ATTRIBUTE: stored}) is not None
    assert find_wrong_field(kind.ATTRIBUTE, stored) is None


def test_trials_are_told_apart_by_their_search():
    """Those of another one, and of none, are not of it."""

    class Trial:
        def __init__(self, **attributes):
            self.system_attrs = attributes

    first, second = (Trial(**{TRIAL_ATTRIBUTE: TrialMark(search=n).to_attribute()}) for n in (1, 2))
    surplus = Trial(**{TRIAL_ATTRIBUTE: TrialMark(beyond=True).to_attribute()})
    assert trials_of_search([first, Trial(), second, surplus], 2) == [second]
    assert [search_number(each.system_attrs) for each in (first, Trial(), surplus)] == [1, None, None]


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        (TRIAL_ATTRIBUTE, 1, "", "an object of search"),
        (TRIAL_ATTRIBUTE, {}, "", "an object of search"),
        (TRIAL_ATTRIBUTE, {"beyond": 1}, "", "an object of search"),
        (TRIAL_ATTRIBUTE, {"beyond": False}, "", "an object of search"),
        (TRIAL_ATTRIBUTE, {"search": True}, ".search", "of type int"),
        (TRIAL_ATTRIBUTE, {"search": 1, "generation": None}, ".generation", "of type int"),
        (TRIAL_ATTRIBUTE, {"search": 1, "timeout": "1"}, ".timeout", "of type float or int"),
        (TRIAL_ATTRIBUTE, {"search": 1, "cached": 1}, ".cached", "of type bool"),
        (TRIAL_ATTRIBUTE, {"search": 1, "error": 1}, ".error", "of type str"),
        (SEARCH_ATTRIBUTE, {"count": 1}, "", "an object of count, start"),
        (SEARCH_ATTRIBUTE, {"count": "1", "start": 0}, ".count", "of type int"),
        (OUTPUTS_ATTRIBUTE, [], "", "an object"),
        (OUTPUTS_ATTRIBUTE, {"model": 1}, ".model", "of type str"),
        ("flyteoptuna:later", None, "", "an object"),
    ],
)
def test_a_field_of_a_wrong_type_is_named(name, value, path, expected):
    """The first one."""
    found = find_wrong_field(name, value)
    assert found[:2] == (path, expected)


def test_a_trial_beyond_the_last_one_is_of_no_search():
    """Each worker may write one."""
    assert find_wrong_field(TRIAL_ATTRIBUTE, TrialMark(beyond=True).to_attribute()) is None


def test_the_latest_generation():
    """Of the trials of a search, whatever their order."""

    class Trial:
        def __init__(self, **fields):
            self.system_attrs = {TRIAL_ATTRIBUTE: TrialMark(search=1, **fields).to_attribute()}

    assert latest_generation([Trial(generation=2), Trial(generation=0), Trial(worker="1")]) == 2
    assert latest_generation([]) == latest_generation([Trial(worker="1")]) == -1
