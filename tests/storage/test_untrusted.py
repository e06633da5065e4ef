"""Pickles in the trials of a stranger's study: set aside where no sampler and no reader of outputs finds them."""

import pickle

import flytekit as fl
import optuna
import pytest
from optuna.samplers import CmaEsSampler
from optuna.trial import TrialState, create_trial
from study_files import contents
from untrusted import Trap, primitive, stored, study_with

from flyteoptuna import Optimizer, export, load_study, outputs, suggest
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.study.results import stored_outputs, untrusted_outputs
from flyteoptuna.study.system_attrs import store_search_mark
from flyteoptuna.trial.marks import OUTPUTS_ATTRIBUTE, UNTRUSTED_ATTRIBUTE

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SPACE = {name: optuna.distributions.FloatDistribution(0, 1) for name in "xy"}
# Prefix of the attributes in which each kind of CMA-ES keeps its state.
KINDS = {"cma": {}, "sepcma": {"use_separable_cma": True}, "cmawm": {"with_margin": True}}
USES = {
    "ask": lambda study: study.ask(SPACE),
    "optimize": lambda study: study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + total(trial), n_trials=2),
    "a search": lambda study: Optimizer(summed, 1, 2, study=study)(x=suggest.float(0, 1), y=suggest.float(0, 1)),
    "saved and restored": lambda study: restore_study(dump_study(study)).ask(SPACE),
    "exported": lambda study: exported(study).ask(SPACE),
}


def total(trial):
    return trial.suggest_float("y", 0, 1)


@fl.task
def summed(x: float, y: float) -> float:
    return x + y


def exported(study):
    export(study, "sqlite:///copy.db", overwrite=True)
    return optuna.load_study(study_name=study.study_name, storage="sqlite:///copy.db", sampler=study.sampler)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", USES)
def test_a_sampler_unpickles_nothing_of_a_stranger(use, kind, tmp_path, saved, monkeypatch):
    """CMA-ES loads its state from the trials of a study; without trust it starts anew."""
    monkeypatch.chdir(tmp_path)
    study, mark = optuna.create_study(), tmp_path / "mark"
    attributes = {f"{kind}:optimizer:0": pickle.dumps(Trap(mark)).hex(), f"{kind}:generation": 0}
    for value in (0.25, 0.75):
        params = {"x": value, "y": value}
        study.add_trial(create_trial(value=value, params=params, distributions=SPACE, system_attrs=attributes))
    path = saved(study)
    for trusted in (False, True):
        loaded = load_study(path, trusted=trusted)
        loaded.sampler = CmaEsSampler(n_startup_trials=1, **KINDS[kind])
        USES[use](loaded)
        assert mark.exists() == trusted


def test_results_stay_and_a_trusted_study_is_unchanged(saved):
    """Only pickles are set aside, once; a further load sets aside what has come since."""
    study = study_with({"a": primitive(integer=1)}, **{"cma:optimizer:0": "00", "cma:generation": 3, "note": [1]})
    path = saved(study)
    assert contents(load_study(path, trusted=True)) == contents(study)
    loaded = load_study(path)
    outputs_then = study.trials[0].system_attrs[OUTPUTS_ATTRIBUTE]
    aside = {OUTPUTS_ATTRIBUTE: outputs_then, "cma:optimizer:0": "00"}
    assert loaded.trials[0].system_attrs == {"cma:generation": 3, "note": [1], UNTRUSTED_ATTRIBUTE: aside}
    again = load_study(saved(loaded))
    assert contents(again) == contents(loaded) and contents(load_study(saved(loaded), trusted=True)) == contents(again)
    trial = loaded.get_trials(deepcopy=False)[0]
    trial.system_attrs = {**trial.system_attrs, OUTPUTS_ATTRIBUTE: {"b": stored(primitive(integer=2))}}
    loaded.written = None
    again = load_study(saved(loaded))
    assert [*outputs(again, 0).items()] == [("a", 1), ("b", 2)]
    assert untrusted_outputs(again.trials[0]) == stored_outputs(again.trials[0]) and len(untrusted_outputs(trial)) == 1


def test_a_strangers_trial_that_runs_here_has_its_own_outputs(saved):
    """One that was enqueued there with outputs, which nobody can tell from a result."""
    study = study_with({})
    aside = {OUTPUTS_ATTRIBUTE: {"a": stored(primitive(integer=1)), "b": stored(primitive(integer=2))}}
    study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=aside))
    loaded = load_study(saved(study))
    store_search_mark(loaded)
    number = loaded.ask().number
    loaded.tell(number, 1.0)
    trial = loaded.get_trials(deepcopy=False)[number]
    trial.system_attrs = {**trial.system_attrs, OUTPUTS_ATTRIBUTE: {"a": stored(primitive(integer=3))}}
    assert dict(outputs(loaded, number)) == {"a": 3, "b": 2} and [*untrusted_outputs(trial)] == ["b"]


@pytest.mark.parametrize(
    "aside", [None, 5, [], "x", {}, {OUTPUTS_ATTRIBUTE: 5}, {OUTPUTS_ATTRIBUTE: {"a": "no base64"}}]
)
def test_what_is_set_aside_may_be_anything(aside):
    """A database, or a file of another version, may hold it."""
    trial = create_trial(value=1.0, system_attrs={UNTRUSTED_ATTRIBUTE: aside})
    assert stored_outputs(trial) == untrusted_outputs(trial) == {}
