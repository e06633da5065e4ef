"""Studies of every kind, their files, and how the tests of both look into them."""

import io
import json
import math
import time
import warnings
import zipfile
from datetime import datetime, timedelta

import optuna
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from flyteoptuna.errors import StudyFormatError
from flyteoptuna.space import space
from flyteoptuna.storage.file_format import dump_study, read_study, restore_study
from flyteoptuna.storage.search_study import SearchStudy, new_study
from flyteoptuna.study.ask import draw_value as draw_by
from flyteoptuna.testing.strategies import spaces

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
START = datetime(2024, 2, 29, 23, 59, 59, 123456)


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
# Optuna's own are local, and it stores them in UTC. They are equal whatever their `fold`, which ISO 8601 does not have.
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda t: t.replace(fold=0))


def suggest_all(trial, inputs):
    for name, value in inputs.items():
        space.substitute_suggestions(value, name, lambda n, s: draw_by(trial, n, s))


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
    inputs = draw(spaces())
    for state in draw(st.lists(st.sampled_from([*TrialState, "added", "beyond"]), max_size=6)):
        if state == TrialState.WAITING:
            study.enqueue_trial({"z": draw(scalars)}, user_attrs=draw(attributes))
        elif state == "added":
            study.add_trial(create_trial(state=TrialState.RUNNING, values=draw(st.just([1.0] * len(directions)))))
        else:
            if state == "beyond":
                study.enqueue_trial({"beyond": draw(st.floats(allow_nan=False))})
            trial = study.ask()
            suggest_all(trial, inputs)
            trial.suggest_float("beyond", 0, 1)
            leave(draw, study, trial, TrialState.RUNNING if state == "beyond" else state)
    return study


def fresh(sampler, storage=None):
    storage = storage or optuna.storages.InMemoryStorage()
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    storage.set_study_user_attr(study_id, "a", 1)
    return SearchStudy("s", storage, sampler)


def change(*path, to):
    def apply(record):
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = to

    return apply


def refuses(data, message="", *, budget=2.0):
    """Both ways of reading refuse a file with the same message, within seconds."""
    for reading in (read_study, restore_study):
        begin = time.process_time()
        with pytest.raises(StudyFormatError, match=message):
            reading(data)
        assert time.process_time() - begin < budget


PARTS = members(dump_study(example()))


def tolerant(data):
    """Read a file that may be anything: a study, or refused."""
    for reading in (read_study, restore_study):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study = reading(data)
        except StudyFormatError as error:
            assert str(error)
        else:
            assert study.trials is not None and isinstance(contents(study), tuple)
            dump_study(study)
