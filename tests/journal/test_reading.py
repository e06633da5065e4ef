"""Looking for new entries, late readers, and what is damaged."""

import gzip
import json
import random
import re
import tracemalloc

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import backend, entries, names, opened, seen, started
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from stores import Store

from flyteoptuna.errors import JournalError, StoreError
from flyteoptuna.journal import backend as journal
from flyteoptuna.journal import limits
from flyteoptuna.journal.entries import KIND, entry_name, pack_name


def test_new_entries_are_looked_for_at_most_once_in_a_while(monkeypatch):
    """However often Optuna reads; ``refresh`` looks at once."""
    now = [100.0]
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    store = Store()
    back, storage, trial = started(store, poll=1.0)
    other = opened(store)[1]
    other.set_trial_user_attr(trial, "a", 1)
    before = len(store.requests)
    for _ in range(50):
        assert storage.get_trial(trial).user_attrs == {}
    assert len(store.requests) == before
    now[0] += 1.0
    assert storage.get_trial(trial).user_attrs == {"a": 1}
    assert storage.get_trial(trial).user_attrs == {"a": 1}
    assert len(store.requests) == before + 2 + 4
    other.set_trial_user_attr(trial, "a", 2)
    back.refresh()
    assert storage.get_trial(trial).user_attrs == {"a": 2}
    assert not [name for operation, name in store.requests if operation == "list"][2:]


def test_an_append_learns_of_what_others_wrote():
    """Its number is taken."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    opened(store)[1].set_trial_user_attr(trial, "a", 1)
    assert storage.get_trial(trial).user_attrs == {}
    storage.set_trial_user_attr(trial, "b", 1)
    assert storage.get_trial(trial).user_attrs == {"a": 1, "b": 1}


def test_a_late_reader_takes_packs():
    """Fifty requests and less instead of thousands."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    for index in range(2500):
        storage.set_trial_user_attr(trial, f"a{index % 7}", index)
    assert {name for name in names(store) if name.startswith("pack")} == {pack_name(0), pack_name(1)}
    before = len(store.requests)
    late = opened(store, poll=1e9)[1]
    assert len(store.requests) - before < 600 + 50
    assert seen(late) == seen(storage)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: None,
        lambda body: body[:-9],
        lambda body: b"",
        lambda body: b"no gzip",
        lambda body: gzip.compress(b"\n".join(gzip.decompress(body).split(b"\n")[:-1])),
        lambda body: gzip.compress(gzip.decompress(body).replace(b'"mark":"', b'"mark":"0', 1)),
        lambda body: gzip.compress(b"\n".join(gzip.decompress(body).split(b"\n")[::-1])),
        lambda body: gzip.compress(b"[]"),
        lambda body: body + body,
        lambda body: gzip.compress(gzip.decompress(body).replace(b'"trial_id":0', b'"trial_id":"0"', 1)),
        lambda body: gzip.compress(b" " * 10**9 + gzip.decompress(body)),
        lambda body: gzip.compress(b"\n" * 8_000_000),
        lambda body: gzip.compress(b"[" * 6_000_000),
    ],
)
def test_a_pack_that_is_lost_or_damaged_costs_only_time(small_packs, damage):
    """The entries are there."""
    store = Store()
    _, storage, trial = started(store)
    for index in range(9):
        storage.set_trial_user_attr(trial, "a", index)
    path = f"mem://j/{pack_name(1)}"
    body = damage(store.objects.pop(path))
    if body is not None:
        store.objects[path] = body
    late = opened(store)[1]
    assert seen(late) == seen(storage)
    late.set_trial_user_attr(trial, "a", 9)
    late.set_trial_user_attr(trial, "a", 10)
    assert seen(opened(store)[1]) == seen(late) == seen(storage)


TOTALS = [
    ("MAX_TOTAL_BYTES", 5600, "bytes"),
    ("MAX_VALUES", 800, "values"),
    ("MAX_CONTAINERS", 800, "lists and objects"),
]


@pytest.mark.parametrize(("limit", "most", "noun"), TOTALS)
@pytest.mark.parametrize("kept", ["entries", "packs", "both"])
def test_a_journal_beyond_a_limit_is_refused(small_packs, monkeypatch, limit, most, noun, kept):
    """In sum, however it is divided into objects; the error names the rule, the size and the object."""
    store = Store()
    _, storage, trial = started(store)
    for _ in range(10):
        storage.set_trial_user_attr(trial, "a", [[n] for n in range(100)])
    store.objects = {
        k: body for k, body in store.objects.items() if kept == "both" or ("pack" in k) == (kept == "packs")
    }
    assert seen(opened(store)[1])[0]
    monkeypatch.setattr(limits, limit, most)
    rule = rf"cannot be read: with it, the journal has \d+ {noun}, where {most} are allowed"
    if kept == "packs":
        # A pack that exceeds a limit is ignored, and its entries are missing.
        rule = rf"{entry_name(9)} is missing, but later ones exist; mem://j/{pack_name(3)} {rule}"
        assert re.search(rule, backend(store).fetch_intact())
    else:
        rule = rf"mem://j/{entry_name(9)} {rule}"
        # The entries before it are not taken for the study.
        with pytest.raises(JournalError, match=rule):
            backend(store).fetch_intact()
    with pytest.raises(JournalError, match=rule):
        opened(store)


@pytest.mark.parametrize(("limit", "most", "noun"), TOTALS)
def test_no_journal_is_written_beyond_a_limit(monkeypatch, limit, most, noun):
    """The storage goes on with what fits."""
    store = Store()
    _, storage, trial = started(store)
    monkeypatch.setattr(limits, limit, most)
    with pytest.raises(JournalError, match=rf"{entry_name(2)} cannot be written: with it, .* {noun}, where {most} are"):
        storage.set_trial_user_attr(trial, "a", [[n, "x" * 10] for n in range(1000)])
    storage.set_trial_user_attr(trial, "b", 1)
    assert seen(opened(store)[1]) == seen(storage)


def test_a_window_of_large_objects_is_bounded(small_packs, monkeypatch):
    """Small objects are requested at once, a large one by itself; what was read is the same."""
    monkeypatch.setattr(limits, "WINDOW_BYTES", 20_000)
    store = Store()
    _, storage, trial = started(store)
    for index in range(40):
        storage.set_trial_user_attr(trial, "a", random.Random(index).randbytes(5000 * (index % 3)).hex())
    asked, cat_ranges = [], store.cat_ranges
    monkeypatch.setattr(limits, "MAX_BYTES", 50_000)
    monkeypatch.setattr(
        store, "cat_ranges", lambda p, s, e, **more: asked.append(len(p) * e) or cat_ranges(p, s, e, **more)
    )
    assert seen(opened(store)[1]) == seen(storage)
    assert max(asked) <= 50_001 and asked.count(50_001) > 10
    assert all(size <= 20_000 + journal.WINDOW for size in asked if size != 50_001)


def test_many_small_packs_of_large_journals_take_bounded_memory(monkeypatch):
    """Each is within the limits of one."""
    monkeypatch.setattr(limits, "FREE_BYTES", 400_000)
    monkeypatch.setattr(limits, "MAX_CONTAINERS", 200_000)
    store, number = Store(), 0
    for pack in range(20):
        lines = []
        for number in range(1000 * pack, 1000 * pack + 1000):
            entry = good(number, records=[{"op_code": 2, "study_id": 0, "user_attr": {"n": [[]] * 50}}])
            if not number:
                entry["records"] = [{"op_code": 0, "study_name": "s", "directions": [1]}]
            entry["after"] = f"w-{number - 1}" * (number > 0)
            lines.append(json.dumps(entry, separators=(",", ":")).encode())
        store.objects[f"mem://j/{pack_name(pack)}"] = gzip.compress(b"\n".join(lines))
    assert max(map(len, store.objects.values())) < 20_000
    tracemalloc.start()
    with pytest.raises(JournalError, match=rf"{pack_name(3)} cannot be read: .* lists and objects, where 200000 are"):
        opened(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 * 200


def test_an_honest_journal_of_ten_thousand_trials_is_read():
    """Of twenty parameters and 20 kB of attributes each."""
    store, trials = Store(), 20
    study = optuna.create_study(study_name="s", storage=opened(store)[1], sampler=optuna.samplers.RandomSampler())
    for number in range(trials):
        trial = study.ask()
        for name in range(20):
            trial.suggest_float(f"parameter_{name}", 0, 1)
        trial.set_user_attr("losses", [number / 7 + i for i in range(500)])
        trial.set_user_attr("log", "x" * 10_000)
        study.tell(trial, number / 7)
    size = limits.JsonSize()
    for _ in range(10_000 // trials):
        for name, body in store.objects.items():
            if "pack" not in name:
                size = size.plus(body)
    assert size.excess() == ""


def _count(value):
    """The commas between, and the number of, the lists and objects of a value and of a distribution in a string."""
    if isinstance(value, str):
        return _count(json.loads(value)) if value.startswith("{") else (0, 0)
    if not isinstance(value, (dict, list)):
        return 0, 0
    counts = [_count(each) for each in (value.values() if isinstance(value, dict) else value)]
    return max(len(counts) - 1, 0) + sum(commas for commas, _ in counts), 1 + sum(number for _, number in counts)


CHOICES = st.recursive(
    st.integers() | st.text("a,", max_size=2) | st.sampled_from(["low", "attributes"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["", "a", "low", "log", "attributes"]), inner),
    max_leaves=20,
)


@given(st.lists(CHOICES, min_size=1), st.sampled_from(["plain", "lower", "upper"]))
def test_the_size_of_a_journal_bounds_what_is_parsed_of_it(choices, escapes):
    """Also what is in the choices of a distribution, a string, and however its signs are written."""
    distribution = json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": choices}})
    text = json.dumps([distribution], separators=(",", ":"))
    if escapes != "plain":
        for sign in "{}[],":
            code = f"{ord(sign):04x}" if escapes == "lower" else f"{ord(sign):04X}"
            text = f"[{text[1:-1].replace(sign, chr(92) + 'u' + code)}]"
    assert json.loads(text) == [distribution]
    size = limits.JsonSize().plus(text.encode())
    commas, containers = _count([distribution])
    # The separators of distributions are not counted; an object has each of them once.
    assert size.values + 5 * size.containers >= commas
    assert size.containers >= containers


@pytest.mark.parametrize(
    "distribution", [FloatDistribution(0, 1), FloatDistribution(0, 1, step=0.5), IntDistribution(1, 5)]
)
def test_distributions_of_numbers_count_as_one_value(distribution):
    """A journal repeats them for each parameter of each trial."""
    text = json.dumps([distribution_to_json(distribution)] * 10, separators=(",", ":")).encode()
    assert limits.JsonSize().plus(text) == (len(text), 9, 1)


def test_an_entry_that_nobody_could_read_is_not_written(monkeypatch):
    """The storage goes on without it."""
    store = Store()
    _, storage, trial = started(store)
    monkeypatch.setattr(limits, "MAX_BYTES", 1000)
    with pytest.raises(JournalError, match=r"00000002.json cannot be written: \d+ bytes, where 1000 are allowed"):
        storage.set_trial_user_attr(trial, "a", "x" * 2000)
    storage.set_trial_user_attr(trial, "b", 1)
    store.objects[f"mem://j/{entry_name(3)}"] = b" " * 1001
    with pytest.raises(JournalError, match=r"00000003.json is too large: more than 1000 bytes"):
        opened(store)


def test_what_precedes_the_damage_can_be_had():
    """It is served from then on, and nothing else; what is wrong is said."""
    store = Store()
    _, storage, trial = started(store)
    for value in range(3):
        storage.set_trial_user_attr(trial, "a", value)
    store.objects[f"mem://j/{entry_name(3)}"] = b"?"
    back = backend(store)
    assert back.fetch_intact().startswith("mem://j/00000003.json is no entry of a journal")
    assert JournalStorage(back).get_trial(trial).user_attrs == {"a": 0}
    with pytest.raises(JournalError, match="opened read-only"):
        JournalStorage(back).set_trial_user_attr(trial, "b", 1)
    whole = backend(store)
    del store.objects[f"mem://j/{entry_name(3)}"], store.objects[f"mem://j/{entry_name(4)}"]
    assert whole.fetch_intact() == ""
    store.fate = lambda operation, name: "before"
    with pytest.raises(StoreError):
        backend(store).fetch_intact()


def good(n, **changes):
    record = {"op_code": 2, "study_id": 0, "user_attr": {"n": n}}
    found = {"kind": KIND, "format": 1, "number": n, "mark": f"w-{n}", "after": f"w-{n - 1}"}
    return {**found, "records": [record], **changes}


@pytest.mark.parametrize(
    "body, why",
    [
        (b"", "00000002.json is no entry of a journal: 0 bytes, not JSON"),
        (json.dumps(good(2)).encode()[:40], "00000002.json is no entry of a journal: 40 bytes, not JSON"),
        (b"\xff\xfe\x00", "00000002.json is no entry of a journal: 3 bytes, not JSON"),
        (b"[" * 100_000, "00000002.json is no entry of a journal: 100000 bytes, not JSON"),
        (b"17", "00000002.json is no entry of a journal: '17'"),
        (b'{"a": 1}', r"00000002.json is no entry of a journal: \"\{'a': 1\}\""),
        (good(2, kind="else"), "00000002.json is no entry of a journal"),
        (good(2, format=2), "00000002.json has format 2; this version of flyteoptuna reads 1"),
        (good(2, mark=None), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, records={}), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, records=[3]), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, records=[{"op_code": "2"}]), r"00000002.json holds what .*records\[0\].op_code` must be an integer"),
        (good(2, records=[{"op_code": 2}]), r"00000002.json holds what .*records\[0\].study_id` must be there"),
        (good(2, number=1), "00000002.json holds the entry 1: it was copied or renamed"),
        (
            good(2, after="v-1"),
            "00000002.json was written after the entry with the mark 'v-1', but .* 'w-1': an entry was",
        ),
        (None, "00000002.json is missing, but later ones exist"),
    ],
)
def test_a_damaged_entry_is_refused_by_name(body, why):
    """By whoever reads or writes, and again when asked again: never another study, and never an endless loop."""
    store = Store()
    back, storage = opened(store)
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    store.objects[f"mem://j/{entry_name(0)}"] = json.dumps({**entries(store)[0], "mark": "w-0"}).encode()
    back, storage = opened(store)
    for number in (1, 2, 3):
        store.objects[f"mem://j/{entry_name(number)}"] = json.dumps(good(number)).encode()
    if body is None:
        del store.objects[f"mem://j/{entry_name(2)}"]
    else:
        store.objects[f"mem://j/{entry_name(2)}"] = body if isinstance(body, bytes) else json.dumps(body).encode()
    kept = dict(store.objects)
    for use in (back.refresh, lambda: storage.get_all_studies(), lambda: opened(store), back.refresh):
        with pytest.raises(JournalError, match=why):
            use()
    if body is not None:
        with pytest.raises(JournalError, match=why):
            storage.create_new_trial(0)
        assert store.objects == kept


def test_a_journal_without_its_beginning_is_refused(small_packs):
    """A bucket's rule may have deleted what is old."""
    store = Store()
    _, storage, trial = started(store)
    for index in range(50):
        storage.set_trial_user_attr(trial, "a", index)
    for number in range(40):
        del store.objects[f"mem://j/{entry_name(number)}"]
        store.objects.pop(f"mem://j/{pack_name(number // 3)}", None)
    with pytest.raises(JournalError, match=r"mem://j/00000000.json is missing, but 00000040.json exists"):
        opened(store)


def test_an_entry_that_was_made_anew_is_noticed_by_whoever_made_it():
    """A writer that took a gap for the end."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    other = opened(store)[1]
    for index in range(4):
        other.set_trial_user_attr(trial, "a", index)
    del store.objects[f"mem://j/{entry_name(2)}"]
    storage.set_trial_user_attr(trial, "b", 1)
    with pytest.raises(JournalError, match=r"00000003.json was written after .*: an entry was deleted and made anew"):
        storage.set_trial_user_attr(trial, "b", 2)
    with pytest.raises(JournalError, match=r"00000003.json was written after .*: an entry was deleted and made anew"):
        opened(store)


@pytest.mark.parametrize(
    "name", ["1.json", "00000001.json.tmp", ".00000001.json", "000000001.json", "x.json", "0000000\u0661.json"]
)
def test_only_exact_names_count(name):
    """What else lies in the folder is nobody's entry."""
    store = Store()
    store.objects[f"mem://j/{name}"] = b"?"
    storage = opened(store)[1]
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    assert len(opened(store)[1].get_all_studies()) == 1
