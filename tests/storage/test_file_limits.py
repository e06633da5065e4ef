"""What a file may hold at most: whatever is more is refused before it takes time or memory."""

import io
import json
import random
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GridSampler, PartialFixedSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from study_files import contents, example, members, refuses, rewritten, zipped

from flyteoptuna.internals.optuna_internals import in_memory_storage
from flyteoptuna.storage import file_limits as limits
from flyteoptuna.storage.file_format import dump_study, read_study, restore_study
from flyteoptuna.storage.search_study import SearchStudy

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*out of range"),
]
MEGABYTES = 1 << 20
READ = """
import sys
from flyteoptuna.storage.file_format import read_study, restore_study
data = open(sys.argv[1], "rb").read()
for reading in (read_study, restore_study):
    try:
        reading(data)
    except ValueError as error:
        print(str(error).splitlines()[0][:300])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


def in_a_process(data, path):
    """What both ways of reading say in a process of their own, and the most memory that it had."""
    path.write_bytes(data)
    command = [sys.executable, "-c", READ, str(path)]
    *said, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return said, int(peak)


def with_text(field, text):
    """The JSON of a small study, of which one field is other text."""
    record = json.loads(members(dump_study(example()))["study.json"])
    return json.dumps({**record, field: "@"}, separators=(",", ":")).replace('"@"', text)


def listed(text, count):
    return f"[{','.join([text] * count)}]"


WAITING, RANGE = '{"state":"WAITING"}', '{"low":0.0,"high":1.0,"log":false,"step":null}'
TOO_MUCH = {
    "bytes": (
        lambda: with_text("user_attrs", '{"a":"' + "x" * limits.MAX_BYTES + '"}'),
        "bytes, where 268435456 are",
    ),
    "values": (lambda: with_text("user_attrs", '{"a":' + listed("1", limits.MAX_VALUES) + "}"), "10000000 values"),
    "strings": (
        lambda: with_text("user_attrs", '{"a":' + listed('"ab"', limits.MAX_VALUES) + "}"),
        "10000000 values",
    ),
    "lists": (
        lambda: with_text("user_attrs", '{"a":' + listed("[]", limits.MAX_CONTAINERS) + "}"),
        "5000000 lists",
    ),
    "nested": (lambda: with_text("user_attrs", "[" * limits.MAX_CONTAINERS), "5000000 lists"),
    "trials": (lambda: with_text("trials", listed(WAITING, limits.MAX_TRIALS + 1)), "1000000 trials"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_too_much_is_refused_in_little_memory(kind, method, tmp_path):
    """However small the file is, and also where its bytes are all there."""
    make, message = TOO_MUCH[kind]
    said, peak = in_a_process(zipped({"study.json": make()}, method), tmp_path / "one.study")
    expected = "100 for one are allowed" if method == zipfile.ZIP_DEFLATED and kind != "nested" else message
    if kind == "bytes":
        expected = "too large"
    assert len(said) == 2 and all(expected in line for line in said), said
    assert peak < 500 * MEGABYTES


def test_trials_are_counted_by_their_rows(monkeypatch):
    """An attribute of that name is no row."""
    text = json.dumps([{"state": "WAITING", "user_attrs": {"state": 1}}] * 9).encode()
    for written in (text, text.replace(b": ", b":")):
        monkeypatch.setattr(limits, "MAX_TRIALS", 9)
        assert limits.find_excess(written) == ""
        monkeypatch.setattr(limits, "MAX_TRIALS", 8)
        assert limits.find_excess(written) == "more than 8 trials"


def test_a_size_that_the_zip_does_not_declare_is_refused(tmp_path):
    """A member that goes on beyond its size is inflated no further."""
    data = bytearray(zipped({"study.json": "0" * (255 * MEGABYTES)}))
    for start in (0, data.index(b"PK\1\2") + 2):
        data[start + 22 : start + 26] = (1000).to_bytes(4, "little")
    said, peak = in_a_process(bytes(data), tmp_path / "one.study")
    assert len(said) == 2 and peak < 200 * MEGABYTES, said


@pytest.mark.parametrize("field", ["distributions", "spaces", "directions", "trials"])
def test_each_table_has_its_most(field, monkeypatch):
    """One entry more is refused, in whatever way it is written."""
    monkeypatch.setattr("flyteoptuna.storage.read_results._MAX_LENGTHS", {field: 0})
    refuses(dump_study(example()), f"[0-9]+ {field}, where 0 are allowed")


def test_many_members_are_refused_before_they_are_listed():
    """A zip's list of members is read by no one if it is long, and neither is one of zip64, nor a comment."""
    many = zipped([(f"{i}", b"") for i in range(2000)])
    refuses(many, "its list of members takes")
    good = dump_study(example())
    refuses(good[:-2] + b"\x05\0hello", "not the zip that a search writes")
    refuses(good[:-22] + b"PK\6\7" + bytes(16) + good[-22:], "not the zip that a search writes")


@pytest.mark.parametrize("limit", [0, 100_000])
def test_long_integers_are_refused_whatever_python_allows(limit):
    """They take quadratic time."""
    if not hasattr(sys, "set_int_max_str_digits"):
        pytest.fail("Python has had this limit since 3.10.7")
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(limit)
    try:
        refuses(zipped({"study.json": with_text("user_attrs", '{"a":' + "9" * 4301 + "}")}), "digits")
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("place", ["study", "trial"])
def test_attributes_are_nested_so_deep_only(place):
    """What could not be read is not written, and what is at the bound is both."""
    for depth, fine in ((limits.MAX_DEPTH - 1, True), (limits.MAX_DEPTH, False)):
        value = 0
        for _ in range(depth):
            value = [value]
        study = optuna.create_study()
        trial = study.ask()
        (study if place == "study" else trial).set_user_attr("deep", value)
        if fine:
            assert contents(read_study(dump_study(study))) == contents(study)
        else:
            with pytest.raises(TypeError, match=r"user_attrs\['deep'\]` cannot be saved: .*more than 100 lists"):
                dump_study(study)


def test_a_dense_study_is_stored():
    """What would inflate more than a reader lets it is written as it is, and read."""
    study = optuna.create_study()
    study.set_user_attr("text", "a" * (limits.FREE_BYTES + 1))
    data = dump_study(study)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.getinfo("study.json").compress_type == zipfile.ZIP_STORED
    assert read_study(data).user_attrs == study.user_attrs


def test_a_real_study_of_100_000_trials_is_saved_and_loaded():
    """Ten parameters and attributes of every trial come back."""
    chance, start = random.Random(1), datetime(2026, 1, 1)
    space = {f"x{i}": FloatDistribution(0, 1) for i in range(8)}
    space |= {"i": IntDistribution(0, 9), "c": CategoricalDistribution(["a", "b"])}
    trials = [
        FrozenTrial(
            number=n,
            trial_id=n,
            state=TrialState.COMPLETE,
            value=chance.random(),
            datetime_start=start + timedelta(seconds=n),
            datetime_complete=start + timedelta(seconds=n + chance.random()),
            params={**{f"x{i}": chance.random() for i in range(8)}, "i": n % 10, "c": "ab"[n % 2]},
            distributions=space,
            user_attrs={"accuracy": chance.random(), "note": f"run {n}"},
            system_attrs={"flyteoptuna:trial": {"search": 1, "generation": n // 100, "key": f"{n:016x}"}},
            intermediate_values={0: chance.random(), 1: chance.random()},
        )
        for n in range(100_000)
    ]
    storage = in_memory_storage("large", [optuna.study.StudyDirection.MINIMIZE], 0, trials, dict(space))
    restored = restore_study(dump_study(SearchStudy("large", storage, RandomSampler(seed=1))))
    assert restored.get_trials(deepcopy=False) == trials


SPACE = {
    "x": FloatDistribution(0.1, 0.9),
    "log": FloatDistribution(0.1, 0.9, log=True),
    "stepped": FloatDistribution(0.0, 1.0, step=0.25),
    "i": IntDistribution(2, 10, step=2),
    "c": CategoricalDistribution(["a", "b"]),
}


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, 0.95), (0, -1), (0, 1e308), (0, "inf"), (1, 0), (1, 0.91), (2, 0.3), (3, 3), (3, 12), (3, 2.5), (3, 0)],
)
def test_a_parameter_outside_its_range_is_refused(position, value):
    """As optuna refuses to add such a trial, unless the file says that it was fixed there."""
    study = optuna.create_study()
    params = {"x": 0.5, "log": 0.1, "stepped": 0.75, "i": 4, "c": "b"}
    study.add_trial(create_trial(value=1.0, params=params, distributions=SPACE))
    data = dump_study(study)
    assert read_study(data).trials[0].params == params
    value = float(value)
    name = list(SPACE)[position]

    def change(record):
        record["trials"][0]["params"][position] = value

    refuses(rewritten(data, change), r"`trials\[0\]\.params` must be in their ranges")
    with pytest.raises(ValueError, match=r"contained|invalid"):
        create_trial(value=1.0, params={**params, name: value}, distributions=SPACE)._validate()


@pytest.mark.parametrize("sampler", ["enqueued", "fixed", "grid"])
def test_what_optuna_lets_be_outside_is_kept(sampler):
    """Of a point that was fixed there, optuna only warns, so that the trial comes back."""
    samplers = {
        "fixed": PartialFixedSampler({"x": 5.0}, RandomSampler(seed=1)),
        "grid": GridSampler({"x": [5.0, 6.0]}, seed=2),
    }
    study = optuna.create_study(sampler=samplers.get(sampler))
    if sampler == "enqueued":
        study.enqueue_trial({"x": 5.0})
    study.tell(study.ask({"x": FloatDistribution(0, 1)}), 1.0)
    assert study.trials[0].params["x"] >= 5.0
    data = dump_study(study)
    assert contents(restore_study(data)) == contents(study)
    refuses(rewritten(data, lambda r: r["trials"][0].pop("outside")), "must be in their ranges")
    refuses(rewritten(data, lambda r: r["trials"][0].update(outside=["y"])), "must be in their ranges")


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (0, lambda row: row.pop("start"), r"start` must be there, for the trial is COMPLETE"),
        (1, lambda row: row.pop("complete"), r"complete` must be there, for the trial is PRUNED"),
        (2, lambda row: row.pop("complete"), r"complete` must be there, for the trial is FAIL"),
        (3, lambda row: row.pop("start"), r"start` must be there, for the trial is RUNNING"),
        (3, lambda row: row.update(complete=row["start"]), r"complete` must be missing, for the trial is RUNNING"),
        (4, lambda row: row.update(complete="2026-01-01"), r"complete` must be missing, for the trial is WAITING"),
        (0, lambda row: row["system_attrs"].update(constraints="no"), r"constraints` must be numbers"),
        (0, lambda row: row["system_attrs"].update({"constraints:a": [1]}), r"constraints:a'\]` must be numbers"),
        (0, lambda row: row["system_attrs"].update({"flyteoptuna:trial": 1}), r"flyteoptuna:trial'\]` must be an obj"),
    ],
)
def test_a_trial_that_optuna_would_refuse_is_refused(number, change, message):
    """Its times are those of its state, and what optuna keeps in its attributes is of optuna's types."""
    refuses(rewritten(dump_study(example()), lambda record: change(record["trials"][number])), message)


def test_a_trial_without_its_times_is_not_written():
    """It could not be read."""
    study = optuna.create_study()
    study.tell(study.ask(), 1.0)
    study._storage.get_trial(0).datetime_start = None
    with pytest.raises(TypeError, match=r"`trials\[0\]` cannot be saved: it is COMPLETE, without datetime_start"):
        dump_study(study)
