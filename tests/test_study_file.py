"""The file of a study: it keeps everything, goes on as the original would, and refuses what it cannot read."""

import gc
import io
import json
import logging
import math
import time
import tracemalloc
import warnings
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cloudpickle
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from strategies import spaces

from flyteoptuna.core import space
from flyteoptuna.storage import file, read_results
from flyteoptuna.storage.file import dumps, loads, read
from flyteoptuna.storage.memory import SearchStudy, in_memory, new_study
from flyteoptuna.storage.read_results import StudyFormatError
from flyteoptuna.study.ask import draw as draw_by

FILES = Path(__file__).parent / "files"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
START = datetime(2024, 2, 29, 23, 59, 59, 123456)

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]


def contents(study):
    """All that is in a study, so that types, NaN and equal choices are told apart."""
    trials = [
        {k: repr(sorted(v.items()) if isinstance(v, dict) else v) for k, v in vars(t).items()}
        for t in study.get_trials(deepcopy=False)
    ]
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return study.study_name, study._study_id, study.directions, repr(study.user_attrs), repr(attrs), trials


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in parts.items() if isinstance(parts, dict) else parts:
            archive.writestr(name, content)
    return buffer.getvalue()


def rewritten(data, change):
    """A file whose JSON is changed."""
    parts = members(data)
    record = json.loads(parts["study.json"])
    change(record)
    return zipped({**parts, "study.json": json.dumps(record)})


def example():
    """A study of every state, kind of parameter and attribute, always the same."""
    study = optuna.create_study(
        study_name="example", directions=["minimize", "maximize"], sampler=optuna.samplers.NSGAIISampler(seed=1)
    )
    study.set_user_attr("note", {"a": [1, 2.5, None, "ü"]})
    study._storage.set_study_system_attr(study._study_id, "internal", [math.inf])
    distributions = {
        "x": FloatDistribution(1e-3, 1.0, log=True),
        "stepped": FloatDistribution(0.0, 0.7, step=0.1),
        "i": IntDistribution(-4, 10, step=2),
        "c": CategoricalDistribution([1, True, 1.0, "a", None, 0.0, -0.0]),
    }
    outcomes = {
        TrialState.COMPLETE: {"values": [math.inf, -1.5], "system_attrs": {"constraints": [0.5, -1.0]}},
        TrialState.PRUNED: {"intermediate_values": {0: 0.5, 3: math.nan, 7: -math.inf}},
        TrialState.FAIL: {"user_attrs": {"flyteoptuna:error": "lost"}, "system_attrs": {"constraints:size": 2.0}},
        TrialState.RUNNING: {},
        TrialState.WAITING: {"system_attrs": {"fixed_params": {"x": 0.5}}},
    }
    for position, (state, outcome) in enumerate(outcomes.items()):
        params = {"x": 0.1 + position / 10, "stepped": 0.1 * position, "i": 2 * position, "c": [True, 1, 1.0, -0.0][-1]}
        params["c"] = distributions["c"].choices[position + 1]
        waiting = state == TrialState.WAITING
        trial = create_trial(
            state=state, params={} if waiting else params, distributions={} if waiting else distributions, **outcome
        )
        trial.datetime_start = None if waiting else START + timedelta(microseconds=position)
        trial.datetime_complete = START + timedelta(hours=1) if state.is_finished() else None
        study.add_trial(trial)
    return study


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
attributes = st.dictionaries(
    st.text(max_size=5),
    st.recursive(scalars, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=3), s, max_size=3)),
    max_size=3,
)
zones = st.none() | st.just(timezone(timedelta(hours=-3, minutes=7)))
# Times are equal whatever their `fold`, which ISO 8601 has no place for.
times = st.none() | st.datetimes(timezones=zones).map(lambda t: t.replace(fold=0))


def suggest_all(trial, inputs):
    for name, value in inputs.items():
        space.materialise(value, name, lambda n, s: draw_by(trial, n, s))


def leave(draw, study, trial, state):
    """Bring an asked trial to a state."""
    values = draw(st.lists(st.floats(allow_nan=False), min_size=len(study.directions), max_size=len(study.directions)))
    for step, value in draw(st.dictionaries(st.integers(0, 2**40), st.floats(), max_size=3)).items():
        study._storage.set_trial_intermediate_value(trial._trial_id, step, value)
    for key, value in draw(attributes).items():
        trial.set_user_attr(key, value)
    for key, value in draw(attributes).items():
        study._storage.set_trial_system_attr(trial._trial_id, key, value)
    if state != TrialState.RUNNING:
        study.tell(trial.number, values if state == TrialState.COMPLETE else None, state=state)
        record = study._storage.get_trial(trial._trial_id)
        record.datetime_start, record.datetime_complete = draw(times), draw(times)


@st.composite
def searches(draw):
    """A study as asking, telling, enqueuing and adding can leave it."""
    directions = draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=1, max_size=3))
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = new_study([StudyDirection[d.upper()] for d in directions], sampler, optuna.pruners.NopPruner())
    for key, value in draw(attributes).items():
        study.set_user_attr(key, value)
    inputs = draw(spaces)
    for state in draw(st.lists(st.sampled_from([*TrialState, "added", "beyond"]), max_size=6)):
        if state == TrialState.WAITING:
            study.enqueue_trial({"z": draw(scalars)}, user_attrs=draw(attributes))
        elif state == "added":
            study.add_trial(create_trial(state=TrialState.RUNNING, values=draw(st.just([1] * len(directions)))))
        else:
            if state == "beyond":
                study.enqueue_trial({"beyond": draw(st.floats(allow_nan=False))})
            trial = study.ask()
            suggest_all(trial, inputs)
            trial.suggest_float("beyond", 0, 1)
            leave(draw, study, trial, TrialState.RUNNING if state == "beyond" else state)
    return study


@QUICK
@given(study=searches(), stopped=st.booleans())
def test_saving_and_loading_is_an_identity(study, stopped):
    """Whatever a study holds comes back, to the type, from both ways of reading it, and makes the same bytes again."""
    study.stopped = stopped
    data = dumps(study)
    for restored in (loads(data), read(data)):
        assert contents(restored) == contents(study)
        assert restored.stopped is stopped
        assert restored._storage._studies[0].param_distribution == study._storage._studies[0].param_distribution
    assert members(dumps(loads(data)))["study.json"] == members(data)["study.json"]


@QUICK
@given(study=searches(), data=st.data())
def test_rows_that_were_written_before_change_no_byte(study, data):
    """A study that goes on is saved as if all of it were new, generation after generation."""
    study = loads(dumps(study))
    for later in range(2):
        finished = data.draw(st.sampled_from([s for s in TrialState if s.is_finished()]))
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in data.draw(st.lists(st.sampled_from(running), unique_by=id)) if running else []:
            leave(data.draw, study, optuna.Trial(study, trial._trial_id), finished)
        study.ask().suggest_float(f"later {later}", 0, data.draw(st.floats(1, 2)))
        text = members(dumps(study))["study.json"]
        study.written = None
        assert members(dumps(study))["study.json"] == text
        study = loads(dumps(study))
        assert study.written is not None


def laid_out(record):
    """The JSON of a study, each trial a line, as it is saved."""
    rows = record.pop("trials")
    head, *lines = (json.dumps(part, separators=(",", ":")) for part in (record, *rows))
    return head[:-1] + ',"trials":[\n' + ",\n".join(lines) + "\n]}"


@pytest.mark.parametrize(
    "layout", [json.dumps, laid_out, lambda r: laid_out(r).replace(',"trials":[', ', "trials": [')]
)
def test_what_others_have_written_is_saved_as_if_it_were_new(layout):
    """A file of another layout, and one whose tables hold something twice."""
    parts = members(dumps(example()))
    record = json.loads(parts["study.json"])
    count = len(record["distributions"])
    record["distributions"] *= 2
    record["spaces"] = [[[name, index + count] for name, index in space] for space in record["spaces"]]
    restored = loads(zipped({**parts, "study.json": layout(record)}))
    assert members(dumps(restored))["study.json"] == parts["study.json"]


def test_an_example_of_everything_comes_back():
    """Equal choices, stepped ranges, infinite values and NaN reports, times and attributes are kept for every state."""
    study = example()
    assert contents(loads(dumps(study))) == contents(study)
    assert {t.state for t in study.trials} == set(TrialState)


def test_the_best_trial_is_found_again():
    """The storage's own note of the best trial is restored, for each direction, and is absent where none completed."""
    for direction, best in ((StudyDirection.MINIMIZE, 1), (StudyDirection.MAXIMIZE, 2)):
        study = new_study([direction], optuna.samplers.RandomSampler(seed=1), optuna.pruners.NopPruner())
        with pytest.raises(ValueError, match="No trials are completed"):
            _ = read(dumps(study)).best_value
        for value in (1.0, 0.0, 2.0, None):
            study.tell(study.ask(), value, state=TrialState.FAIL if value is None else None)
        assert read(dumps(study)).best_trial.number == best


def test_a_range_that_rounding_keeps_a_step_from_dividing_is_not_changed():
    """The bounds of a distribution are those that were saved, whatever its constructor would make of them."""
    study = optuna.create_study()
    distribution = FloatDistribution(0.1, 0.7, step=0.2)
    distribution.high = 0.7000000000000001
    study.ask({"x": distribution})
    assert read(dumps(study)).trials[0].distributions["x"].high == 0.7000000000000001


def test_numbers_of_numpy_are_saved():
    """Values, parameters and steps that were added as numpy's numbers come back equal."""
    np = pytest.importorskip("numpy")
    study = optuna.create_study()
    distributions = {"i": IntDistribution(0, 9), "x": FloatDistribution(0, 9)}
    params = {"i": np.int64(3), "x": np.float32(0.5)}
    study.add_trial(create_trial(value=np.float32(2), params=params, distributions=distributions))
    study.add_trial(create_trial(value=np.int64(2), intermediate_values={np.int64(4): np.float16(1)}))
    assert [vars(t) for t in read(dumps(study)).trials] == [vars(t) for t in study.trials]


def test_tuples_come_back_as_lists():
    """An attribute is what JSON makes of it, as from optuna's own storages."""
    study = optuna.create_study()
    study.set_user_attr("pair", (1, {2: "a"}))
    assert read(dumps(study)).user_attrs == {"pair": [1, {"2": "a"}]}


@pytest.mark.parametrize("place", ["user_attrs", "system_attrs"])
@pytest.mark.parametrize("value", [{1, 2}, object(), 10**5000, "circular"], ids=["set", "object", "huge", "circular"])
def test_an_attribute_that_json_cannot_hold_is_named(place, value):
    """Saving tells the trial and the key."""
    study = optuna.create_study()
    if value == "circular":
        value = []
        value.append(value)
    study.add_trial(create_trial(value=1.0))
    study.add_trial(create_trial(value=1.0, **{place: {"fine": 1, "model": value}}))
    with pytest.raises(TypeError, match=rf"`trials\[1\]\.{place}\['model'\]` cannot be saved: JSON cannot hold it"):
        dumps(study)
    study = optuna.create_study()
    study._storage.set_study_user_attr(study._study_id, "own", value)
    with pytest.raises(TypeError, match=r"`user_attrs\['own'\]`"):
        dumps(study)


def test_a_choice_that_json_cannot_hold_is_named():
    """Saving tells the parameter whose choice would not come back as it was."""
    study = optuna.create_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.ask().suggest_categorical("shape", [(1, 2), (3, 4)])
    with pytest.raises(TypeError, match=r"Each choice of parameter `shape` must be .* but got \(1, 2\), a tuple"):
        dumps(study)


def test_a_step_that_could_not_be_read_is_not_written():
    """Saving tells the trial."""
    study = optuna.create_study()
    study.add_trial(create_trial(value=1, intermediate_values={2**63: 0.5}))
    with pytest.raises(TypeError, match=r"`trials\[0\]\.intermediate_values` cannot be saved: a step exceeds 63 bits"):
        dumps(study)


def test_the_same_study_makes_the_same_bytes(monkeypatch):
    """A file does not depend on when it is written."""
    study = example()
    first = dumps(study)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    assert dumps(study) == first


def test_making_and_loading_a_study_logs_nothing(caplog):
    """A driver's log is free of the studies that it makes."""
    optuna.logging.enable_propagation()
    with caplog.at_level(logging.DEBUG):
        study = new_study([StudyDirection.MINIMIZE], optuna.samplers.RandomSampler(), optuna.pruners.NopPruner(), "s")
        loads(dumps(study))
    optuna.logging.disable_propagation()
    assert caplog.records == []
    assert (study.study_name, study.trials, study.direction) == ("s", [], StudyDirection.MINIMIZE)


def test_the_storage_is_what_its_public_methods_would_have_made():
    """All of a storage equals one built trial by trial, but for its lock and a mark that speeds up a search."""
    built = optuna.create_study(study_name="s", direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for value in (1.0, 3.0, 3.0, None, 2.0):
        trial = built.ask()
        trial.suggest_float("x", 0, 1)
        built.tell(trial, value, state=TrialState.FAIL if value is None else None)
    built.set_user_attr("a", 1)
    restored = loads(dumps(built))._storage
    ours, theirs = (
        {k: v for k, v in vars(s).items() if k not in ("_lock", "_prev_waiting_trial_number")}
        for s in (restored, built._storage)
    )
    study, their_study = ours.pop("_studies")[0], theirs.pop("_studies")[0]
    assert ours == theirs
    assert vars(study) == vars(their_study)


def test_a_restored_study_checks_new_distributions_as_the_original():
    """A parameter whose choices change is refused as before, and one that was only added is not."""
    study = optuna.create_study()
    study.ask().suggest_categorical("suggested", ["a", "b"])
    study.add_trial(create_trial(value=1.0, params={"added": 1}, distributions={"added": CategoricalDistribution([1])}))
    restored = loads(dumps(study))
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        restored.ask().suggest_categorical("suggested", ["a", "c"])
    assert restored.ask().suggest_categorical("added", [2]) == 2


def test_waiting_and_running_trials_keep_their_numbers():
    """Trials that were enqueued are asked after loading, and those that run are told by number."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.ask()
    study.enqueue_trial({"x": 0.25})
    restored = loads(dumps(study))
    asked = restored.ask({"x": FloatDistribution(0, 1)})
    assert (asked.number, asked.params) == (1, {"x": 0.25})
    restored = loads(dumps(restored))
    restored.tell(1, 1.0)
    restored.tell(0, 0.5)
    assert restored.best_trial.number == 0
    assert restored.ask().number == 2


def test_stopping_and_callbacks_are_kept():
    """`stop` outside `optimize` sets a flag, which is saved with the study, as its callbacks are, lambdas too."""
    study = new_study([StudyDirection.MINIMIZE], optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
    assert (study.stopped, study.callbacks) == (False, [])
    assert set(members(dumps(study))) == {"study.json", "sampler.pickle", "pruner.pickle"}
    study.callbacks.append(lambda study, trial: study.stop())
    restored = loads(dumps(study))
    assert isinstance(restored, SearchStudy) and not restored.stopped
    restored.callbacks[0](restored, None)
    assert loads(dumps(restored)).stopped and read(dumps(restored)).stopped


GRID = {"x": [0.0, 0.25, 0.5, 1.0], "i": [0, 2, 4], "c": ["a", "b"]}
SAMPLERS = {
    "random": lambda: optuna.samplers.RandomSampler(seed=1),
    "tpe": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4),
    "tpe-univariate": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=False),
    "tpe-multivariate": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=True),
    "tpe-liar": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, constant_liar=True),
    "tpe-group": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=True, group=True),
    "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=1, n_startup_trials=3, popsize=4),
    "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=1, population_size=4, constraints_func=lambda t: (t.number,)),
    "nsga3": lambda: optuna.samplers.NSGAIIISampler(seed=1, population_size=4),
    "qmc": lambda: optuna.samplers.QMCSampler(seed=1, scramble=True),
    "grid": lambda: optuna.samplers.GridSampler(GRID, seed=1),
    "brute": lambda: optuna.samplers.BruteForceSampler(seed=1),
}


def ask_batch(study):
    trials = [study.ask() for _ in range(4)]
    for trial in trials:
        trial.suggest_float("x", 0, 1, step=0.25)
        trial.suggest_int("i", 0, 4, step=2)
        trial.suggest_categorical("c", ["a", "b"])


def tell_batch(study):
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        score = trial.params["x"] + trial.params["i"] * (trial.params["c"] == "a")
        study.tell(
            trial.number, None if trial.number % 5 == 4 else score, state=TrialState(1 + 2 * (trial.number % 5 > 3))
        )


def search(study, between):
    for _ in range(5):
        study = between(study)
        ask_batch(study)
        study = between(study)
        tell_batch(study)
    return [(t.params, t.values, t.state) for t in study.trials]


def fresh(sampler, storage=None):
    storage = storage or optuna.storages.InMemoryStorage()
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    storage.set_study_user_attr(study_id, "a", 1)
    return SearchStudy("s", storage, sampler)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_restored_study_suggests_what_the_original_would(name):
    """With a save and a load around every step, parameters, values and states equal those of one process."""
    expected = search(fresh(SAMPLERS[name]()), lambda study: study)
    assert search(fresh(SAMPLERS[name]()), lambda study: loads(dumps(study))) == expected
    assert len({repr(params) for params, _, _ in expected}) > 5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsga2"])
def test_a_study_of_a_database_goes_on_in_memory(name, tmp_path):
    """A study of another id, whose trials' ids are not their numbers, goes on as it would in its database."""

    def database(path):
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / path}")
        other = optuna.create_study(storage=storage, study_name="other")
        other.add_trials([create_trial(value=1.0)] * 3)
        study = fresh(SAMPLERS[name](), storage)
        for _ in range(3):
            ask_batch(study)
            tell_batch(study)
        return study

    study, restored = database("a.db"), loads(dumps(database("b.db")))
    assert restored._study_id == study._study_id == 2
    assert [t._trial_id for t in restored.trials] == [t._trial_id for t in study.trials] != list(range(12))
    expected = search(study, lambda study: study)
    assert search(restored, lambda study: loads(dumps(study))) == expected


def elsewhere(data, version="3.9.9", **changes):
    return rewritten(data, lambda record: record.update(optuna=version, **changes))


def test_under_another_optuna_the_results_are_kept_and_the_sampler_is_replaced():
    """A warning names both versions; the seed is the file's own, so that no two generations share one."""
    study, seeds = example(), set()
    for _ in range(3):
        with pytest.warns(UserWarning, match=rf"under optuna 3\.9\.9, and this is optuna {optuna.__version__}: every"):
            restored = loads(elsewhere(dumps(study)))
        assert contents(restored) == contents(study)
        assert isinstance(restored.sampler, optuna.samplers.TPESampler) and restored.sampler._constant_liar
        seeds.add(restored.sampler._rng.rng.randint(2**31))
        study.ask()
    assert len(seeds) == 3


def test_under_another_optuna_a_pruner_is_kept_if_it_can_be():
    """A pruner that cannot be unpickled is replaced by one that prunes nothing, and the warning says so."""
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=1.5))
    with pytest.warns(UserWarning, match=r"TPESampler\(constant_liar=True, seed=\d+\)\.$"):
        assert loads(elsewhere(dumps(study))).pruner._upper == 1.5
    parts = {**members(elsewhere(dumps(study))), "pruner.pickle": b"cgone\nPruner\n."}
    with pytest.warns(UserWarning, match="and without its pruner"):
        assert isinstance(loads(zipped(parts)).pruner, optuna.pruners.NopPruner)


def test_callbacks_that_cannot_be_restored_are_an_error_under_any_optuna():
    """A search does not go on without the callbacks that may be there to stop it; its results can still be read."""
    study = fresh(optuna.samplers.RandomSampler())
    for data in (dumps(study), elsewhere(dumps(study))):
        data = zipped({**members(data), "callbacks.pickle": b"cgone\ncallback\n."})
        with warnings.catch_warnings(), pytest.raises(StudyFormatError, match=r"callbacks\.pickle .* named 'gone'"):
            warnings.simplefilter("ignore")
            loads(data)
        assert read(data).trials == []


@pytest.mark.parametrize("file", sorted(FILES.glob("*.study")), ids=lambda path: path.stem)
def test_files_of_other_versions_open(file):
    """Files that optuna 4.9 and 5.0 wrote hold the same results, and the search goes on with either."""
    data = file.read_bytes()
    assert contents(read(data)) == contents(example())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        restored = loads(data)
    other = json.loads(members(data)["study.json"])["optuna"] != optuna.__version__
    assert [w.category for w in caught] == [UserWarning] * other
    assert isinstance(restored.sampler, optuna.samplers.TPESampler if other else optuna.samplers.NSGAIISampler)
    restored.tell(3, [0.0, 0.0])
    assert restored.ask({"x": FloatDistribution(0, 1)}).params == {"x": 0.5}


@pytest.mark.parametrize(
    ("pickle", "message"),
    [
        (b"cgone\nSampler\n.", r"sampler\.pickle cannot be restored: ModuleNotFoundError: No module named 'gone'"),
        (b"", "EOFError"),
        (b"\x80\x05garbage", "sampler.pickle cannot be restored"),
        (cloudpickle.dumps(3), "holds a int, not a BaseSampler"),
        (None, "has no sampler.pickle"),
    ],
)
def test_a_sampler_that_cannot_be_restored_is_an_error(pickle, message):
    """Under the same version the cause is named, with the versions; the results can still be read."""
    parts = members(dumps(example())) | ({"sampler.pickle": pickle} if pickle is not None else {})
    if pickle is None:
        del parts["sampler.pickle"]
    with pytest.raises(StudyFormatError, match=message):
        loads(zipped(parts))
    assert len(read(zipped(parts)).trials) == 5


class Mark:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_to_read_results_or_before_they_are_checked(tmp_path):
    """A pickle that leaves a mark does so in `loads` of a sound file alone."""
    mark = tmp_path / "mark"
    parts = members(dumps(example()))
    parts |= {name: cloudpickle.dumps(Mark(mark)) for name in ("sampler.pickle", "pruner.pickle", "callbacks.pickle")}
    read(zipped(parts))
    for broken in (
        rewritten(zipped(parts), lambda r: r.update(trials=3)),
        rewritten(zipped(parts), lambda r: r["trials"][-1].update(state="LOST")),
        zipped(parts | {"study.json": b"{"}),
        zipped(parts | {"other": b""}),
    ):
        with pytest.raises(StudyFormatError):
            loads(broken)
    assert not mark.exists()
    with pytest.raises(StudyFormatError, match=r"sampler\.pickle holds a NoneType"):
        loads(zipped(parts))
    assert mark.exists()


def refuses(data, message="", *, budget=2.0):
    """Both ways of reading refuse a file with the same message, within seconds."""
    for reading in (read, loads):
        begin = time.process_time()
        with pytest.raises(StudyFormatError, match=message):
            reading(data)
        assert time.process_time() - begin < budget


def change(*path, to):
    def apply(record):
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = to

    return apply


MALFORMED = {
    "a newer format": (change("format", to=9), "format 9; this version, .*, reads formats up to 1: upgrade"),
    "format of no number": (change("format", to=True), "`format` must be an integer from 1 to 1, but got True"),
    "format zero": (change("format", to=0), "`format` must be"),
    "a field too many": (change("extra", to=1), r"unknown fields: \['extra'\]"),
    "no field": (lambda r: r.pop("trials"), "`trials` must be there, and a JSON list, but got None"),
    "a name of no string": (change("name", to=1), "`name` must be"),
    "study id": (change("study_id", to=-1), "`study_id` must be an integer from 0"),
    "huge study id": (change("study_id", to=10**300), "`study_id` must be an integer from 0"),
    "no directions": (change("directions", to=[]), "`directions` must be a list of at least one"),
    "direction": (change("directions", 1, to="UP"), r"`directions\[1\]` must be MINIMIZE or MAXIMIZE, but got 'UP'"),
    "direction of no string": (change("directions", 1, to=[]), r"`directions\[1\]` must be"),
    "declared": (change("declared", to={"x": 99}), r"`declared\['x'\]` must be an integer from 0 to 3, but got 99"),
    "trial of no object": (change("trials", 3, to=[]), r"`trials\[3\]` must be an object"),
    "trial with more": (change("trials", 3, "more", to=1), r"`trials\[3\]` must be an object of"),
    "state": (change("trials", 3, "state", to="LOST"), r"`trials\[3\]\.state` must be one of .*, but got 'LOST'"),
    "state of no string": (change("trials", 3, "state", to={}), r"`trials\[3\]\.state`"),
    "complete without values": (lambda r: r["trials"][0].pop("values"), r"`trials\[0\]\.values` must be there"),
    "wrong arity": (change("trials", 0, "values", to=[1.0]), r"`trials\[0\]\.values` must be 2 numbers"),
    "NaN of a complete trial": (change("trials", 0, "values", to=[math.nan, 1]), "must be a list without NaN"),
    "a boolean value": (
        change("trials", 0, "values", to=[True, 1]),
        r"`trials\[0\]\.values` must be a list of numbers",
    ),
    "a huge value": (change("trials", 0, "values", to=[10**400, 1]), "within the range of floats"),
    "null values": (change("trials", 0, "values", to=None), r"`trials\[0\]\.values`"),
    "params of no space": (lambda r: r["trials"][3].pop("space"), r"`trials\[3\]\.space` must be"),
    "a space of no params": (lambda r: r["trials"][3].pop("params"), r"`trials\[3\]\.params` must be"),
    "a negative space": (change("trials", 3, "space", to=-1), r"`trials\[3\]\.space` must be an integer from 0 to 0"),
    "too few params": (change("trials", 3, "params", to=[1]), r"`trials\[3\]\.params` must be 4 numbers"),
    "NaN as a param": (change("trials", 3, "params", 0, to=math.nan), r"`trials\[3\]\.params` must be a list without"),
    "a negative choice": (change("trials", 3, "params", 3, to=-1), r"`trials\[3\]\.params\[3\]` must be an integer"),
    "a choice too far": (change("trials", 3, "params", 3, to=7), r"from 0 to 6, but got 7"),
    "a string as param": (change("trials", 3, "params", 0, to="1"), r"`trials\[3\]\.params`"),
    "start": (change("trials", 3, "start", to="yesterday"), r"`trials\[3\]\.start` must be a time in ISO 8601"),
    "complete": (change("trials", 3, "complete", to=7), r"`trials\[3\]\.complete` must be a time"),
    "attributes": (change("trials", 3, "user_attrs", to=[]), r"`trials\[3\]\.user_attrs` must be an object"),
    "system attributes": (change("trials", 3, "system_attrs", to="a"), r"`trials\[3\]\.system_attrs`"),
    "intermediate": (change("trials", 1, "intermediate", to=[[1]]), r"`trials\[1\]\.intermediate` must be"),
    "steps": (change("trials", 1, "intermediate", 0, to=[0.5, 1, 2]), r"intermediate\[0\]` must be a list of integers"),
    "huge steps": (change("trials", 1, "intermediate", 0, to=[2**70, 1, 2]), "a list of integers of 64 bits"),
    "steps twice": (change("trials", 1, "intermediate", 0, to=[1, 1, 2]), "as many different steps as values"),
    "more values than steps": (change("trials", 1, "intermediate", 0, to=[1, 2]), "as many different steps"),
    "the same id": (change("trials", 1, "id", to=0), "no two trials may have the same id"),
    "a negative id": (change("trials", 1, "id", to=-3), r"`trials\[1\]\.id`"),
    "space of no list": (change("spaces", 0, to=3), r"`spaces\[0\]` must be a list"),
    "space of a name twice": (change("spaces", 0, to=[["x", 0], ["x", 0]]), r"`spaces\[0\]\[1\]` must be a new name"),
    "space beyond the table": (change("spaces", 0, to=[["x", 4]]), r"`spaces\[0\]\[0\]\[1\]` must be an integer"),
    "unknown distribution": (change("distributions", 0, "name", to="Zeta"), r"`distributions\[0\]` must be an object"),
    "distribution of no object": (change("distributions", 0, to="x"), r"`distributions\[0\]` must be an object"),
    "attributes of one": (change("distributions", 0, "attributes", to={}), r"`distributions\[0\]\.attributes` must"),
    "a bound of no number": (change("distributions", 0, "attributes", "low", to="0"), r"attributes\.low` must be of"),
    "a NaN bound": (change("distributions", 0, "attributes", "low", to=math.nan), "NaN is no bound"),
    "low above high": (
        change("distributions", 0, "attributes", "low", to=9.0),
        r"`distributions\[0\]` is not a distribution: ValueError",
    ),
    "log of a negative": (
        change("distributions", 0, "attributes", "low", to=-1.0),
        r"`distributions\[0\]` is not a distribution: ValueError",
    ),
    "log of no boolean": (
        change("distributions", 0, "attributes", "log", to=1),
        r"attributes\.log` must be of type bool",
    ),
    "a negative step": (
        change("distributions", 2, "attributes", "step", to=-1),
        r"`distributions\[2\]` is not a distribution: ValueError",
    ),
    "a huge bound": (change("distributions", 2, "attributes", "high", to=10**400), "is not a distribution: Overflow"),
    "no choices": (change("distributions", 3, "attributes", "choices", to=[]), "choices` must be a list of null"),
    "a list as choice": (
        change("distributions", 3, "attributes", "choices", to=[[]]),
        "choices` must be a list of null",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_field_is_refused_and_named(name):
    """The message says where it is, what was expected and what was found."""
    apply, message = MALFORMED[name]
    data = dumps(example())
    read(data)
    refuses(rewritten(data, apply), message)


def places(node, path=()):
    yield path
    if isinstance(node, (dict, list)):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(inner, (*path, key))


RECORD = json.loads(members(dumps(example()))["study.json"])
PARTS = members(dumps(example()))
odd = scalars | st.sampled_from([[], {}, [[]], -1, 10**400, 2**64, math.nan, math.inf, "", "x", [0], [None], {"a": 1}])


def tolerant(data):
    """Read a file that may be anything: a study, or refused."""
    for reading in (read, loads):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study = reading(data)
        except StudyFormatError as error:
            assert str(error)
        else:
            assert study.trials is not None and isinstance(contents(study), tuple)
            dumps(study)


@settings(QUICK, max_examples=400)
@given(path=st.sampled_from(sorted(filter(None, places(RECORD)), key=repr)), value=odd)
def test_any_value_in_any_field_is_read_or_refused(path, value):
    """No value of any field raises anything but StudyFormatError, and what is read can be saved again."""
    tolerant(rewritten(zipped(PARTS), change(*path, to=value)))


@settings(QUICK, max_examples=300)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), stored=st.booleans()
)
def test_any_damage_to_a_file_is_read_or_refused(edits, stored):
    """Bytes changed anywhere raise nothing but StudyFormatError."""
    data = bytearray(
        zipped({"study.json": PARTS["study.json"]}, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    )
    for position, byte in edits:
        data[position % len(data)] = byte
    tolerant(bytes(data))


@settings(QUICK, max_examples=100)
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_to_the_json_is_read_or_refused(edits):
    """Bytes changed in the JSON, in an otherwise sound file, raise nothing but StudyFormatError."""
    text = bytearray(PARTS["study.json"])
    for position, byte in edits:
        text[position % len(text)] = byte
    tolerant(zipped({**PARTS, "study.json": bytes(text)}))


@QUICK
@given(cut=st.integers(0, 10**6), junk=st.binary(max_size=50))
def test_truncated_and_foreign_bytes_are_refused(cut, junk):
    """The start of a file, and bytes that are no file, are refused."""
    data = dumps(example())
    refuses(data[: cut % len(data)], "Not a study file")
    refuses(junk, "Not a study file: .* bytes")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'{"a":1' + b"0" * 5000 + b"}"]
)
def test_json_that_cannot_be_parsed_is_refused(text):
    """Truncated, deeply nested and undecodable JSON, and numbers of thousands of digits, are refused by name."""
    refuses(zipped({**PARTS, "study.json": text}), "study.json is not JSON that can be read")


@pytest.mark.parametrize("text", [b"[]", b"null", b"1e400", b'"a"', b"{}"])
def test_json_of_something_else_is_refused(text):
    """JSON that is not a study's is refused."""
    refuses(zipped({**PARTS, "study.json": text}), "`format` must be an integer from 1 to 1")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a.txt": b""}, "a zip without study.json"),
        ({**PARTS, "../../etc/passwd": b""}, r"unknown members, \['\.\./\.\./etc/passwd'\]"),
        ({**PARTS, "/study.json": b""}, "unknown members"),
        ([*PARTS.items(), ("study.json", b"{}")], "a member twice"),
    ],
)
def test_members_of_other_names_are_refused(parts, message):
    """A zip holds what `dumps` writes, each once, and nothing else."""
    refuses(zipped(parts), message)


def test_a_newer_format_is_told_before_its_members():
    """A file of a later version with other members is told to be of a newer format."""
    newer = {"study.json": json.dumps({"format": 2, "flyteoptuna": "9.1"}), "new": b""}
    refuses(zipped(newer), r"written by flyteoptuna 9\.1, in format 2; .* upgrade")


def test_other_compression_is_refused():
    """LZMA and bzip2 are refused before anything is decompressed."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refuses(zipped(PARTS, method), f"compressed by method {method}")


def test_an_encrypted_file_is_refused():
    """A member with the flag of encryption is refused."""
    data = bytearray(zipped({"study.json": PARTS["study.json"]}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    refuses(bytes(data), "study.json is encrypted")


def declaring(size, content):
    """A file whose JSON declares a size that is not its own."""
    data = bytearray(zipped({"study.json": content}))
    data[22:26] = data[data.rindex(b"PK\x01\x02") + 24 :][:4] = size.to_bytes(4, "little")
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = size.to_bytes(4, "little")
    return bytes(data)


def test_a_zip_bomb_is_refused_in_little_memory():
    """A member of a gigabyte, declared or not, is refused before it is inflated."""
    gigabyte = io.BytesIO()
    with zipfile.ZipFile(gigabyte, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("study.json", "w") as stream:
        for _ in range(1024):
            stream.write(b" " * (1 << 20))
    honest = gigabyte.getvalue()
    at = honest.rindex(b"PK\x01\x02") + 24
    liar = honest[:at] + (1000).to_bytes(4, "little") + honest[at + 4 :]
    tracemalloc.start()
    refuses(honest, r"study\.json is too large: 1073741824 bytes, where 268435456 are allowed")
    refuses(liar, "Not a study file")
    refuses(declaring(10**6, b"{}"), "study.json is damaged|Not a study file")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_json_that_would_fill_the_memory_is_refused():
    """A small file of very many empty lists is refused before it is parsed."""
    refuses(
        zipped({"study.json": b"[" + b"[]," * 21_000_000 + b"[]]"}), "about 42000002 values of JSON, where 20000000"
    )


def test_what_could_not_be_read_is_not_written(monkeypatch):
    """A study beyond the limits is refused when it is saved, not when it is needed."""
    data, study = dumps(example()), example()
    for limit, message in ((("MAX_BYTES", 1000), "bytes of JSON, where 1000"), (("MAX_VALUES", 50), "values of JSON")):
        with monkeypatch.context() as patch:
            patch.setattr(read_results, *limit)
            refuses(data, f"study.json is too large: .*{message}")
            with pytest.raises(ValueError, match=f"'example' is too large for a file: .*{message}"):
                dumps(study)
    study.sampler.weight = b"x" * 12_000
    monkeypatch.setattr(file, "MAX_BYTES", 12_000)
    with pytest.raises(ValueError, match=r"sampler\.pickle is too large to be read"):
        dumps(study)


def test_ten_thousand_trials_take_a_second_and_weigh_little():
    """10,000 trials of 10 parameters are saved and loaded within the limit of 3 s of CPU, in less than 4 MB."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = {f"x{i}": FloatDistribution(0, 1) for i in range(9)} | {"c": CategoricalDistribution(["a", "b"])}
    trials = [
        create_trial(
            value=float(n),
            params={f"x{i}": math.sin(n * 9 + i) ** 2 for i in range(9)} | {"c": "b"},
            distributions=distributions,
            system_attrs={"flyteoptuna:trial": {"generation": n // 50, "key": f"{n * 2**100:032x}"}},
        )
        for n in range(10_000)
    ]
    study._storage = in_memory("s", study.directions, 0, trials, {})
    for number, trial in enumerate(trials):
        trial.number = trial._trial_id = number
    study._storage = in_memory("s", study.directions, 0, trials, {})
    study._study_id = 0
    gc.collect()
    begin = time.process_time()
    data = dumps(study)
    restored = loads(data)
    assert time.process_time() - begin < 3
    assert len(data) < 4_000_000
    assert restored.get_trials(deepcopy=False) == trials
