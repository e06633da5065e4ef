"""The reader of a study's file converts all that it accepts to Optuna's types, which every writer takes."""

import contextlib
import io
import json
import math
import tempfile
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_study import mixed
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from study_files import QUICK, example, members, rewritten

from flyteoptuna import StudyFormatError, export, load_study, report
from flyteoptuna.cli.main import main
from flyteoptuna.flyte.study_type import study_attribute_values
from flyteoptuna.internals.optuna_internals import storage_of
from flyteoptuna.storage.file_format import dump_study, read_study, restore_study
from flyteoptuna.study.system_attrs import store_search_mark

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]


def searched():
    """A study of a search, with the library's own attributes."""
    study = mixed(n_trials=3)
    store_search_mark(study, 3, 1, 1e9, concurrency=2)
    mark = {"search": 1, "generation": 1, "key": "k", "timeout": 3.0, "worker": "w", "attempt": 1}
    system = {"flyteoptuna:trial": mark, "constraints": [0.0], "flyteoptuna:outputs": {"a": "AAAA"}}
    error = {"flyteoptuna:error": "x", "flyteoptuna:cut": "y"}
    study.add_trial(create_trial(value=1.0, system_attrs=system, user_attrs=error))
    return study


FILES = [
    dump_study(mixed()),
    dump_study(mixed(["minimize", "maximize"])),
    dump_study(example()),
    dump_study(searched()),
]
RECORDS = [json.loads(members(data)["study.json"]) for data in FILES]
STRANGE = [
    *(None, True, False, -1, 0, 1, 2, 0.5, -0.0, 5e-324, 1e308, -1e308, math.nan, math.inf, -math.inf, "", "1", "x"),
    *(2**31, 2**53 + 1, 2**63, -(2**63), 10**30, -(10**30), 10**308, 10**400, -(10**400), [], {}, [[]], {"a": [1]}),
    *("\ud800", "\udc80x", "\0", "a\nb", "é\U0001f600", "=1+1", "COMPLETE", "FAIL", "PRUNED", "RUNNING", "WAITING"),
    *("2024-01-01T00:00:00+05:00", "2024-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"),
    *("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "1677-01-01T00:00:00"),
    *([1, 2, 3], [None], [True], [10**30], [10**30, 1], [10**400], [math.nan], [math.nan] * 2, [-0.0], {"": ""}),
]


def places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def changed(file, path, value):
    """A file with another value at a path of its JSON."""

    def change(record):
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return rewritten(FILES[file], change)


def check_types(study):
    """Numbers are of the types that Optuna's own storages give, times have no zone, and UTF-8 holds all text."""
    for trial in study.trials:
        assert set(map(type, [*(trial.values or ()), *trial.intermediate_values.values()])) <= {float}
        for name, kind in trial.distributions.items():
            if not isinstance(kind, CategoricalDistribution):
                assert type(trial.params[name]) is (float if isinstance(kind, FloatDistribution) else int)
                assert type(kind.low) is type(kind.high) is type(trial.params[name])
        assert all(time is None or time.tzinfo is None for time in (trial.datetime_start, trial.datetime_complete))
        assert trial.state != TrialState.FAIL or trial.values is None
        assert not any(map(math.isnan, trial.values or ()))
        choices = [kind.to_internal_repr(trial.params[name]) for name, kind in trial.distributions.items()]
        text = json.dumps([study.study_name, trial.params, trial.user_attrs, trial.system_attrs], ensure_ascii=False)
        assert text.encode() and len(choices) == len(trial.params)


def command(*args):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        main(list(map(str, args)), standalone_mode=False)


def check_writers(path, folder):
    """Show, report, export and save a file in every way, and read what is exported."""
    study = load_study(path)
    check_types(study)
    again = dump_study(study)
    assert dump_study(read_study(again)) == again and len(restore_study(again).trials) == len(study.trials)
    assert repr(study) and study._repr_html_() and study_attribute_values(study) and study.best_trials is not None
    report(study, folder / "page.html")
    command("show", path)
    for target in ("t.csv", "t.parquet", "t.log"):
        export(study, folder / target)
    export(study, f"sqlite:///{folder}/t.db")
    storages = f"sqlite:///{folder}/t.db", JournalStorage(JournalFileBackend(str(folder / "t.log")))
    for storage in storages:
        # Optuna 4 gives a study without a name another one.
        copy = optuna.load_study(study_name=study.study_name or None, storage=storage)
        for trial, original in zip(copy.trials, study.trials, strict=True):
            assert (trial.state, trial.values, trial.params.keys()) == (
                original.state,
                original.values,
                original.params.keys(),
            )
        assert copy.best_trials is not None
        try:
            optuna.copy_study(
                from_study_name=study.study_name,
                from_storage=storage_of(study),
                to_storage=storage,
                to_study_name="again",
            )
        except ValueError as error:
            # A parameter that was fixed outside its range, which Optuna does not copy.
            assert "isn't contained in the distribution" in str(error)


def accepts(data):
    """Whether a file is read; if it is, everything else takes it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "one.study"
        path.write_bytes(data)
        try:
            load_study(path)
        except StudyFormatError as error:
            assert "must be" in str(error) or "not a distribution" in str(error) or "must have" in str(error)
            return False
        check_writers(path, folder)
        return True


@st.composite
def changes(draw):
    file = draw(st.integers(0, len(FILES) - 1))
    # Columns of few fields first, so that each is drawn often.
    group = draw(st.sampled_from(["trials", "trials", "distributions", "name", "user_attrs", "system_attrs", "spaces"]))
    paths = [path for path in places(RECORDS[file]) if path and path[0] == group]
    return file, draw(st.sampled_from(sorted(paths, key=repr))), draw(st.sampled_from(STRANGE))


@settings(QUICK, max_examples=60)
@given(change=changes())
def test_every_writer_takes_what_the_reader_accepts(change):
    """Any value in any field is refused by name, or shown, reported, exported and saved."""
    accepts(changed(*change))


NAIVE, AWARE, FIRST = "2024-01-01T00:00:00", "2024-01-01T00:00:00+05:00", "0001-01-01T00:00:00+14:00"
# By place in a file: values, and whether they are accepted.
INSTANCES = [
    (1, ("trials", 0, "values"), [[10**30, 1], [True, 1], [10**400, 1], [-0.0, math.inf]], "a..a"),
    (0, ("trials", 0, "values"), [[10**30], [1], [math.nan], [-(10**400)], [None]], "aa..."),
    (0, ("trials", 2, "values"), [[10**30], [math.nan], [1]], "aaa"),
    (0, ("trials", 1, "values"), [[1.0], [math.nan], [10**400]], "aa."),
    (0, ("trials", 0, "start"), [NAIVE, AWARE, FIRST, "0001-01-01", "9999-12-31T23:59:59-14:00", 1], "aaaaa."),
    (0, ("trials", 0, "complete"), [AWARE, FIRST, "9999-12-31T23:59:59.999999", None], "aaa."),
    (0, ("trials", 1, "intermediate", 1), [[10**30, 1], [True, 1], [10**400, 1], [math.nan, -math.inf]], "a..a"),
    (0, ("trials", 0, "params"), [[0, 1, 1, 0], [1, 1, 1.0, 0], [0.5, 0.5, 2.5, 0], [0.5, -1, 1, 0]], "aa.."),
    (0, ("trials", 0, "user_attrs"), [{"\ud800": "\udc80"}, {"a": 10**400}, {"a": math.nan, "b": -math.inf}], "aaa"),
    (3, ("trials", 5, "user_attrs", "flyteoptuna:error"), ["\ud800"], "a"),
    (3, ("trials", 5, "system_attrs", "constraints"), [[10**30], [True], [10**400], ["1"], [math.inf]], "aa..a"),
    (3, ("trials", 5, "system_attrs", "fixed_params"), [{}, "x", []], "a.."),
    (3, ("trials", 5, "system_attrs", "flyteoptuna:trial", "timeout"), [1, 10**30, math.inf, math.nan], "a..."),
    (3, ("system_attrs", "flyteoptuna:search", "start"), [0, 10**400, math.inf], "a.."),
    (0, ("distributions", 0, "attributes", "low"), [-1, -(10**30), -(10**400), -math.inf, True], "aa.a."),
    (0, ("distributions", 2, "attributes", "high"), [10**30, 10**400, 9.0], "a.."),
    (0, ("distributions", 3, "attributes", "choices"), [["\ud800"] * 4, [10**30, 1, 2, 3], [10**400, 1, 2, 3]], "aa."),
    (0, ("spaces", 0, 0, 0), ["\ud800", "\0", ""], "aaa"),
    (0, ("name",), ["\ud800", "a\udc80", "", "\0"], "aaaa"),
    (0, ("user_attrs",), [{"\ud800": ["\udc80"]}], "a"),
]


@pytest.mark.parametrize(
    ("file", "path", "value", "accepted"),
    [
        (file, path, value, letter == "a")
        for file, path, values, letters in INSTANCES
        for value, letter in zip(values, letters, strict=True)
    ],
    ids=ascii,
)
def test_strange_values_are_converted_or_refused(file, path, value, accepted):
    """By Optuna's own rules; the fields that a stranger would try first."""
    assert accepts(changed(file, path, value)) == accepted


def test_half_a_character_becomes_its_escape():
    """In every text, so that it stays as long as the study does."""

    def change(record):
        record["name"] = "\ud800"
        record["trials"][0]["user_attrs"] = {"\udc80": "a\U0001f600\ud800", "b": "\\ud800"}

    study = read_study(rewritten(FILES[0], change))
    assert study.study_name == "\\ud800"
    assert study.trials[0].user_attrs == {"\\udc80": "a\U0001f600\\ud800", "b": "\\ud800"}


def test_times_become_local():
    """As Optuna's own are, and not so near to the calendar's ends that it could not store them."""

    def change(record):
        record["trials"][0].update(start="2024-01-01T00:00:00+00:00", complete="0001-01-01T00:00:00+14:00")

    trial = read_study(rewritten(FILES[0], change)).trials[0]
    assert trial.datetime_start == datetime.fromtimestamp(1704067200) and trial.datetime_complete == datetime(1, 1, 2)
