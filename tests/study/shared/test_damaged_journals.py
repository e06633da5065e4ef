"""Entries that were written well but not by Optuna: workers name them, and what precedes them is kept."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.trial import create_trial
from stores import Store

from flyteoptuna.errors import JournalError
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.journal.entries import entry_name
from flyteoptuna.storage.file_format import dump_study, read_study
from flyteoptuna.study.samplers import create_default_study
from flyteoptuna.study.shared.journal_study import collect_study, publish_study
from flyteoptuna.study.shared.search_records import SearchJournal
from flyteoptuna.study.shared.shared_study import SharedStudy
from flyteoptuna.study.system_attrs import store_search_mark
from flyteoptuna.trial.marks import ENDED_ATTRIBUTE, OUTPUTS_ATTRIBUTE, SEARCH_ATTRIBUTE, TRIAL_ATTRIBUTE
from flyteoptuna.trial.report import TrialReport

N_TRIALS = 6


def journal(store, **kwargs):
    return SearchJournal("mem://j", fs=store, create=store.make, poll=0, patience=0, **kwargs)


def build(trial):
    return trial.suggest_float("x", 0, 1), trial.suggest_int("k", 0, 3), trial.suggest_categorical("c", ["a", "b"])


def worked():
    """A store with the journal of a search: trials of all kinds, of all states, and the study that it began from."""
    store, base = Store(), create_default_study(1, 1, ("minimize",))
    base.add_trial(create_trial(value=1.5, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}))
    base.set_user_attr("a", [1, {"b": None}])
    base.set_metric_names(["loss"])
    base.enqueue_trial({"x": 0.25})
    store_search_mark(base, N_TRIALS, now=1.0)
    publish_study(base, journal(store, name="0"))
    shared = SharedStudy(journal(store, name="0"), base, "0", N_TRIALS)
    shared.study.callbacks = [note]
    for state in ("COMPLETE", "PRUNED", "FAIL"):
        number, _ = shared.ask(shared.claim(), build, lambda study, asked: [])
        values = [float(number)] if state == "COMPLETE" else []
        report = TrialReport(number, state=state, values=values, error="" if values else "no good")
        report.steps, report.intermediate, report.user_attrs = [1, 2], [0.5, float("nan")], '{"u": {"v": [1]}}'
        shared.tell(number, report)
    shared.ask(shared.claim(), build, lambda study, asked: [])
    shared.end("enough")
    return store, base


def note(study, trial):
    if trial.number == 1:
        study.enqueue_trial({"k": 1})
        study.add_trial(create_trial(value=2.0, params={"k": 1}, distributions={"k": IntDistribution(0, 3)}))
        study.set_user_attr("noted", {"n": trial.number})


STORE, BASE = worked()
ENTRIES = [json.loads(STORE.objects[f"mem://j/{entry_name(n)}"]) for n in range(len(STORE.objects))]
RECORDS = [(n, i) for n, entry in enumerate(ENTRIES) for i in range(len(entry["records"]))]


def with_records(number, records):
    """The store with other records in one entry, and the entries before it alone."""
    changed, before = Store(), Store()
    changed.objects = dict(STORE.objects)
    changed.objects[f"mem://j/{entry_name(number)}"] = json.dumps({**ENTRIES[number], "records": records}).encode()
    before.objects = {f"mem://j/{entry_name(n)}": STORE.objects[f"mem://j/{entry_name(n)}"] for n in range(number)}
    return changed, before


def collected(store):
    """The study of a journal as far as it goes, its ending, and what is wrong."""
    backend = journal(store, read_only=True)
    damage = backend.fetch_intact()
    study, ending = collect_study(backend, read_study(dump_study(BASE, pickles=False)), N_TRIALS)
    # A file can hold it.
    study = read_study(dump_study(study, pickles=False))
    return repr((study.trials, study.user_attrs, ending)), damage


def check_refused(number, records, match):
    """A worker and a reader refuse the entry by its name; what precedes it is the study."""
    changed, before = with_records(number, records)
    name = entry_name(number)
    with pytest.raises(JournalError, match=rf"^mem://j/{name} holds what Optuna did not write: .*{match}"):
        SharedStudy(journal(changed, name="1"), BASE, "1", N_TRIALS)
    study, damage = collected(changed)
    assert study == collected(before)[0]
    assert damage.startswith(f"mem://j/{name} holds")


def find(**fields):
    """The entry and the position of the last record with some fields; None stands for any value."""
    found = [
        (n, i)
        for n, i in RECORDS
        if all(
            key in (record := ENTRIES[n]["records"][i]) and value in (None, record[key])
            for key, value in fields.items()
        )
    ]
    return found[-1]


STUDY, TRIAL, PARAM = {"user_attr": None, "study_id": 0}, {"user_attr": None, "trial_id": None}, {"param_name": "c"}
ADDED, CLAIM, TOLD = {"op_code": 4, "state": 1}, {"op_code": 6, "state": 0}, {"op_code": 6, "state": 1}
STEP, SYSTEM = {"step": None}, {"system_attr": None, "trial_id": None}
BEGUN, OF_STUDY = {"study_name": None}, {"system_attr": None, "study_id": 0}
HUGE, NAN = 10**400, float("nan")


def distribution(kind, **attributes):
    return json.dumps({"name": f"{kind}Distribution", "attributes": attributes})


@pytest.mark.parametrize(
    ("which", "changes", "match"),
    [
        (STUDY, {"op_code": 17}, r"records\[\d+\].op_code` must be an integer from 0 to 9, but got 17"),
        (STUDY, {"op_code": "2"}, "op_code"),
        (STUDY, {"op_code": True}, "op_code"),
        (STUDY, {"op_code": -1}, "op_code"),
        (STUDY, {"op_code": 10}, "op_code"),
        (STUDY, {"op_code": 8}, "study_id"),
        (STUDY, {"study_id": ...}, r"records\[\d+\].study_id` must be there, for the operation is 2"),
        (STUDY, {"study_id": 1}, "study_id` must be 0, the only study, but got 1"),
        (STUDY, {"study_id": HUGE}, "study_id"),
        (STUDY, {"study_id": "0"}, "study_id"),
        (STUDY, {"study_id": False}, "study_id"),
        (STUDY, {"user_attr": {}}, "user_attr` must be an object of one attribute"),
        (STUDY, {"user_attr": {"a": 1, "b": 2}}, "user_attr"),
        (STUDY, {"user_attr": [1]}, "user_attr"),
        (STUDY, {"datetime_start": None}, "datetime_start` must be missing"),
        (STUDY, {"op_code": 1, "user_attr": ...}, "op_code` must be that of a study's creation in the first record"),
        (OF_STUDY, {"system_attr": {ENDED_ATTRIBUTE: "why"}}, "a list of a string and a boolean"),
        (OF_STUDY, {"system_attr": {ENDED_ATTRIBUTE: ["why", False, 1]}}, "a list of a string and a boolean"),
        (OF_STUDY, {"system_attr": {SEARCH_ATTRIBUTE: {"count": "1", "start": 0}}}, "flyteoptuna:search"),
        (OF_STUDY, {"system_attr": {SEARCH_ATTRIBUTE: 17}}, "flyteoptuna:search"),
        (OF_STUDY, {"system_attr": {"study:metric_names": ["a", "b"]}}, "a list of 1 names"),
        (TRIAL, {"trial_id": 99}, r"trial_id` must be that of one of \d+ trials, but got 99"),
        (TRIAL, {"trial_id": -1}, "trial_id"),
        (TRIAL, {"trial_id": 1.0}, "trial_id"),
        (TRIAL, {"trial_id": None}, "trial_id"),
        (SYSTEM, {"system_attr": {TRIAL_ATTRIBUTE: 17}}, "flyteoptuna:trial"),
        (SYSTEM, {"system_attr": {TRIAL_ATTRIBUTE: {"search": 1, "attempt": "x"}}}, "attempt"),
        (SYSTEM, {"system_attr": {OUTPUTS_ATTRIBUTE: [1]}}, "flyteoptuna:outputs"),
        (SYSTEM, {"system_attr": {"constraints": "x"}}, "constraints"),
        (SYSTEM, {"system_attr": {"fixed_params": 3}}, "fixed_params"),
        (PARAM, {"param_name": 3}, "param_name` must be a string"),
        (PARAM, {"param_value_internal": "0"}, "param_value_internal"),
        (PARAM, {"param_value_internal": 2}, "an index from 0 to 1, but got 2"),
        (PARAM, {"param_value_internal": -1}, "an index from 0 to 1"),
        (PARAM, {"param_value_internal": HUGE}, "a number within the range of floats"),
        (PARAM, {"param_value_internal": float("nan")}, "param_value_internal"),
        (PARAM, {"distribution": "{"}, r"distribution` must be a distribution as JSON \(JSONDecodeError"),
        (PARAM, {"distribution": "[]"}, "a distribution as JSON"),
        (PARAM, {"distribution": "17"}, "a distribution as JSON"),
        (PARAM, {"distribution": {}}, "distribution` must be a string"),
        (PARAM, {"distribution": '{"name": "Nothing", "attributes": {}}'}, "a distribution as JSON"),
        (PARAM, {"distribution": distribution("Categorical", choices=[])}, "distribution"),
        (PARAM, {"distribution": distribution("Categorical", choices=[[1], 2])}, "null, booleans, numbers and strings"),
        (PARAM, {"distribution": distribution("Float", low=NAN, high=1.0, log=False, step=None)}, "NaN is no bound"),
        (PARAM, {"distribution": distribution("Int", low=0, high=HUGE, log=False, step=1)}, "distribution"),
        (ADDED, {"study_id": 2}, "study_id"),
        (ADDED, {"state": 9}, "the number of a state"),
        (ADDED, {"value": None}, "there, for the trial is COMPLETE"),
        (ADDED, {"value": float("nan")}, "without NaN"),
        (ADDED, {"value": HUGE}, "a number within the range of floats"),
        (ADDED, {"value": None, "values": [1.0, 2.0]}, "as many as 1 directions"),
        (ADDED, {"values": [1.0]}, "null, for the trial has a `value`"),
        (ADDED, {"datetime_start": None}, "there, for the trial is COMPLETE"),
        (ADDED, {"datetime_start": "yesterday"}, "a time in ISO 8601"),
        (ADDED, {"datetime_complete": "0001-01-01T00:00:00+14:00"}, "a time in ISO 8601"),
        (ADDED, {"datetime_complete": ...}, "there, for the trial is COMPLETE"),
        (ADDED, {"params": {"z": 1}}, "a parameter with a distribution"),
        (ADDED, {"params": {}}, "that of a parameter"),
        (ADDED, {"user_attrs": [1]}, "user_attrs"),
        (ADDED, {"intermediate_values": {"x": 1}}, "an integer of 64 bits"),
        (ADDED, {"intermediate_values": {"1_0": 1}}, "an integer of 64 bits"),
        (ADDED, {"intermediate_values": {str(2**63): 1}}, "an integer of 64 bits"),
        (ADDED, {"intermediate_values": {"1": "x"}}, "intermediate_values"),
        (ADDED, {"worker": "0"}, "worker` must be missing"),
        (CLAIM, {"datetime_start": ...}, "there, for the state is RUNNING"),
        (CLAIM, {"state": 4}, "an end of a trial that has begun, but got 'WAITING'"),
        (CLAIM, {"state": 3, "datetime_complete": "2026-11-30T00:00:00"}, "an end of a trial that has begun"),
        (CLAIM, {"values": [1.0]}, "null, for the trial is RUNNING"),
        (TOLD, {"state": None}, "the number of a state"),
        (TOLD, {"values": [1.0, 2.0]}, "as many as 1 directions"),
        (TOLD, {"values": []}, "as many as 1 directions"),
        (TOLD, {"values": 1.0}, "null or a list of numbers"),
        (TOLD, {"values": ["1"]}, r"values\[0\]"),
        (TOLD, {"values": [float("nan")]}, "without NaN"),
        (TOLD, {"values": None}, "there, for the trial is COMPLETE"),
        (TOLD, {"values": [HUGE]}, r"values\[0\]` must be a number within the range of floats"),
        (TOLD, {"datetime_complete": 5}, "a time in ISO 8601"),
        (STEP, {"step": "1"}, "an integer of 64 bits"),
        (STEP, {"step": HUGE}, "an integer of 64 bits"),
        (STEP, {"intermediate_value": None}, "intermediate_value"),
        (BEGUN, {"directions": []}, "a list of directions"),
        (BEGUN, {"directions": [0]}, "1 or 2"),
        (BEGUN, {"directions": [7]}, "the number of a direction"),
        (BEGUN, {"directions": "minimize"}, "a list of directions"),
        (BEGUN, {"study_name": None}, "study_name` must be a string"),
        (BEGUN, {"op_code": 4, "directions": ..., "study_name": ...}, "there, for the operation is 4"),
    ],
    ids=str,
)
def test_a_record_that_optuna_does_not_write_is_refused_by_the_name_of_its_entry(which, changes, match):
    """With the rule and the value; the study as it was before the entry is kept."""
    number, position = find(**which)
    records = copy.deepcopy(ENTRIES[number]["records"])
    for key, value in changes.items():
        if value is ...:
            del records[position][key]
        else:
            records[position][key] = value
    check_refused(number, records, match)


@pytest.mark.parametrize("depth", [101, 5000])
def test_attributes_that_are_nested_too_deeply_are_refused(depth):
    """As in a file; beyond what Python reads, the entry is no JSON."""
    number, _ = find(**TRIAL)
    text = json.dumps({**ENTRIES[number], "records": ["HERE"]})
    deep = '{"op_code": 8, "trial_id": 0, "user_attr": {"a": ' + "[" * depth + "]" * depth + "}}"
    changed = Store()
    changed.objects = {**STORE.objects, f"mem://j/{entry_name(number)}": text.replace('"HERE"', deep).encode()}
    with pytest.raises(JournalError, match=f"mem://j/{entry_name(number)} (holds what|is no entry)"):
        SharedStudy(journal(changed), BASE, "1", N_TRIALS)
    assert f"mem://j/{entry_name(number)}" in collected(changed)[-1]


def test_a_second_study_is_refused():
    """By its second creation."""
    number, _ = find(**TRIAL)
    second = {"op_code": 0, "study_name": "b", "directions": [1]}
    check_refused(number, [*ENTRIES[number]["records"], second], "that of a study's creation in the first record")


# Values that JSON can hold, at most as deep as Optuna's own.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(HUGE),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
KEYS = sorted({key for n, i in RECORDS for key in ENTRIES[n]["records"][i]})
NAMES = [TRIAL_ATTRIBUTE, SEARCH_ATTRIBUTE, ENDED_ATTRIBUTE, OUTPUTS_ATTRIBUTE, "constraints", "fixed_params", "x"]


@st.composite
def mutations(draw):
    """An entry, and records that differ from its own in a few places."""
    number, _ = draw(st.sampled_from(RECORDS))
    records = copy.deepcopy(ENTRIES[number]["records"])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(records) - 1))
        record = records[place]
        key = draw(st.sampled_from(sorted(record)) | st.sampled_from(KEYS))
        other_number, other = draw(st.sampled_from(RECORDS))
        match draw(st.integers(0, 5)):
            case 0:
                record.pop(key, None)
            case 1:
                record[key] = draw(VALUES)
            case 2:
                record[key] = ENTRIES[other_number]["records"][other].get(key, 3)
            case 3:
                records.insert(place, copy.deepcopy(ENTRIES[other_number]["records"][other]))
            case 4 if len(records) > 1:
                del records[place]
            case _:
                name = draw(st.sampled_from(NAMES))
                record[draw(st.sampled_from(["user_attr", "system_attr"]))] = {name: draw(VALUES)}
    return number, records


@settings(max_examples=400)
@given(mutations())
def test_whatever_records_an_entry_has_a_worker_and_a_reader_take_it_or_name_it(mutation):
    """Never another error; a study that is taken can be saved and read, and claims can be made on it."""
    number, records = mutation
    changed, before = with_records(number, records)
    try:
        study, damage = collected(changed)
    except JournalError as error:
        # The first entry has lost the study, or the mark of its search.
        assert number == 0 and str(error).startswith("mem://j is ")
        return
    if not damage:
        worker = SharedStudy(journal(changed, name="1"), BASE, "1", N_TRIALS)
        claimed = worker.claim()
        if claimed is not None:
            number, _ = worker.ask(claimed, build, lambda study, asked: [])
            worker.tell(number, None)
        assert worker.unfinished_trials() == []
        return
    # The entry, or one after it, whose records need those that it has lost.
    name = damage.partition(" ")[0].rpartition("/")[2]
    assert name >= entry_name(number)
    with pytest.raises(JournalError, match=f"mem://j/{name} holds what Optuna did not write"):
        SharedStudy(journal(changed, name="1"), BASE, "1", N_TRIALS)
    if name == entry_name(number):
        assert study == collected(before)[0]


@settings(max_examples=200)
@given(mutations())
def test_optuna_applies_whatever_its_own_journal_lets_through(mutation):
    """Without knowing of searches: an entry is refused by its name, or any storage reads it."""
    number, records = mutation
    backend = JournalObjectBackend("mem://j", fs=(changed := with_records(number, records)[0]), create=changed.make)
    damage = backend.fetch_intact()
    storage = JournalStorage(backend)
    assert all(storage.get_all_trials(study._study_id) is not None for study in storage.get_all_studies())
    if damage:
        with pytest.raises(JournalError, match=f"mem://j/{entry_name(number)} holds what Optuna did not write"):
            JournalStorage(JournalObjectBackend("mem://j", fs=changed, create=changed.make))


def test_a_trial_that_waits_can_begin_and_only_then_end():
    """In the entry that enqueues it or in a later one; the waiting trials are kept in one set for all entries."""
    store, waiting = Store(), {"op_code": 4, "study_id": 0, "state": 4}
    back = journal(store)
    back.append_logs([{"op_code": 0, "study_name": "s", "directions": [1], "worker_id": "w"}])
    time = "2024-01-01T00:00:00"

    def state(trial, number, **times):
        return {"op_code": 6, "trial_id": trial, "state": number, "values": None, "worker_id": "w", **times}

    def begin(trial):
        return state(trial, 0, datetime_start=time)

    def end(trial):
        return state(trial, 3, datetime_complete=time)

    new = {**waiting, "datetime_start": None, "worker_id": "w"}
    back.append_logs([new, new, begin(0), end(0)])
    kept = back._tip.state.waiting
    for refused in ([end(1)], [new, end(2)], [begin(1), new, end(2)]):
        with pytest.raises(JournalError, match="an end of a trial that has begun"):
            back.append_logs(refused)
    back.append_logs([new, begin(1)])
    back.append_logs([end(1), begin(2)])
    back.append_logs([end(2)])
    assert back._tip.state.waiting is kept and kept == set()
    read = journal(store, read_only=True)
    assert len(read.read_logs(0)) == back.n_records
