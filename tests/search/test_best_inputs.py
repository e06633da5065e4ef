"""Inputs of a trial, nested and typed as the objective got them, in a workflow, in a task and of a loaded study."""

import flytekit as fl
import optuna
import pytest
from objectives import X, built, pair, square
from optuna.trial import create_trial

import flyteoptuna
from flyteoptuna import Optimizer, SearchFailedError, load_study, optimize, suggest
from flyteoptuna.flyte.study_type import study_attribute_values
from flyteoptuna.internals.optuna_internals import set_system_attribute
from flyteoptuna.space.given_inputs import MAX_INPUT
from flyteoptuna.storage.search_study import new_study
from flyteoptuna.testing import ExecutionFailedError, run
from flyteoptuna.trial.marks import INPUTS_ATTRIBUTE, SPACES_ATTRIBUTE, TRIAL_ATTRIBUTE

FLOW = "flow_of_refits"
SEARCHES = ("batches", "reused", "of_a_callback", "of_a_callback_reused")


@pytest.mark.parametrize("name", SEARCHES)
def test_a_refit_in_a_local_workflow_has_the_best_value(flows, name):
    """The objective asserts the type of each input; a task compares the whole dictionary with that of the function."""
    assert getattr(flows(FLOW), name)() == 0.0


@pytest.mark.parametrize("name", SEARCHES)
def test_a_refit_across_processes_has_the_best_value(flows, name):
    """By promises of the objective's own types, which the compiler checks."""
    assert run(getattr(flows(FLOW), name)).outputs == 0.0


@pytest.mark.parametrize("loaded", [False, True])
def test_the_inputs_of_each_trial_are_known_in_python(flows, loaded):
    """Of a study from its file too, without an import of the objective; with types, as the objective gets them."""
    flow = flows(FLOW)
    study = Optimizer(flow.score, 1, 3)(**flow.GIVEN, offset=2)
    study = load_study(study.file) if loaded else study
    types = {"config": flow.Config, "kind": flow.Kind, "weights": dict[str, float], "x": float}
    for trial in study.trials:
        plain = flyteoptuna.inputs(study, trial.number)
        assert plain["config"] == {
            "inner": {"rate": trial.params["config.inner.rate"], "kind": trial.params["config.inner.kind"]},
            "sizes": [1.0, 2.0],
        }
        assert plain["params"] == {
            "a.b": trial.params["params.a.b"],
            "c": {"deep": trial.params["params.c.deep"], "kept": [1, {"x": None}]},
        }
        assert plain["kind"] == trial.params["kind"] and type(plain["x"]) is float
        assert "offset" not in plain
        typed = flyteoptuna.inputs(study, trial.number, types=types)
        assert flow.score.task_function(**typed, offset=2) == trial.value
    assert study.best_inputs == flyteoptuna.inputs(study, study.best_trial.number)


def test_a_continued_study_knows_the_space_of_each_search():
    """The constants beside the suggestions are those of the search that asked a trial."""
    first = Optimizer(pair, 1, 1, directions=["minimize"] * 2)(params={"depth": suggest.integer(1, 2), "a": 1}, y=0.0)
    study = Optimizer(pair, 1, 1, study=first)(params={"depth": suggest.integer(1, 2), "a": "b"}, y=0.0)
    assert [flyteoptuna.inputs(study, number)["params"]["a"] for number in (0, 1)] == [1, "b"]


def test_a_trial_that_no_search_asked_has_no_inputs():
    """Nor has one that ended before all its parameters were suggested; the attribute is empty, as that of no trial."""
    study = Optimizer(square, 1, 1)(**X)
    study.add_trial(create_trial(value=-1.0))
    with pytest.raises(LookupError, match=r"Trial 1 of study .* has no stored inputs, .* it has its `params`"):
        flyteoptuna.inputs(study, 1)
    mark = study.trials[0].system_attrs[TRIAL_ATTRIBUTE]
    study.add_trial(create_trial(state=optuna.trial.TrialState.FAIL, system_attrs={TRIAL_ATTRIBUTE: mark}))
    with pytest.raises(LookupError, match="it ended before its parameter 'x' was suggested"):
        flyteoptuna.inputs(study, 2)
    assert study_attribute_values(study)["best_inputs"] == {}
    assert study_attribute_values(optuna.create_study())["best_inputs"] == {}
    with pytest.raises(ValueError, match="No trials are completed yet"):
        _ = new_study(study.directions, study.sampler, study.pruner).best_inputs


@pytest.mark.parametrize(
    "stored", ["", "x", "[]", '["dict", [[{}, 1]]]', '["dict", [["x", ["odd", {}]]]]', "[" * 10_000]
)
def test_what_a_file_says_of_inputs_may_be_anything(stored):
    """Then it cannot be read, and nothing else is lost."""
    study = Optimizer(square, 1, 1)(**X)
    set_system_attribute(study, SPACES_ATTRIBUTE, {"1": stored})
    with pytest.raises((ValueError, LookupError)):
        flyteoptuna.inputs(study, 0)
    assert study_attribute_values(study)["best_inputs"] == {}
    assert study_attribute_values(study)["best_value"] == study.best_value


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda study: flyteoptuna.inputs(study, 9), LookupError, "has no trial 9: its trials are 0 to 0"),
        (lambda study: flyteoptuna.inputs(study, study.trials[0]), TypeError, "Pass its `number`"),
        (lambda study: flyteoptuna.inputs("study", 0), TypeError, "`study` must be an optuna.Study, but got 'study'"),
        (lambda study: flyteoptuna.inputs(study, 0, types=[int]), TypeError, "`types` must be a dictionary of types"),
        (lambda study: flyteoptuna.inputs(study, 0, {"y": int}), LookupError, "has no 'y', but x"),
    ],
)
def test_a_wrong_argument_is_refused(call, error, match):
    """As by `outputs`."""
    with pytest.raises(error, match=match):
        call(Optimizer(square, 1, 1)(**X))


@pytest.mark.parametrize(
    ("use", "match"),
    [
        (lambda s: s.best_inputs["power"], "The search has no varied input 'power'; it has: x."),
        (lambda s: s.best_inputs.y, "The search has no varied input 'y'; it has: x."),
        (lambda s: s.best_inputs[0], "`best_inputs` has the varied inputs by their names"),
        (lambda s: square(**s.best_inputs), r"`best_inputs` is no dictionary .* `best_inputs\[name\]`, or give all"),
        (lambda s: s.best_inputs["x"] * 2, r"`study.best_inputs\['x'\]` is known once the search has run"),
        (lambda s: s.best_inputs == {}, "`study.best_inputs` is known once the search has run"),
        (lambda s: flyteoptuna.inputs(s, 0), "In a workflow, `study.best_inputs` has the best trial's"),
    ],
)
def test_what_a_promise_of_the_inputs_does_not_have_is_refused(use, match):
    """While the workflow is written."""
    with pytest.raises((TypeError, LookupError, AttributeError), match=match):
        built(lambda: use(Optimizer(square, 1, 1)(**X)))


def test_a_study_of_several_objectives_has_no_best_inputs():
    """But those of each trial."""
    space = {"params": {"depth": suggest.integer(1, 2)}, "y": 1.0}
    with pytest.raises(AttributeError, match="several objectives has no `best_inputs`, but `best_trials`"):
        built(lambda: Optimizer(pair, 1, 1, directions=["minimize"] * 2)(**space).best_inputs)
    study = Optimizer(pair, 1, 1, directions=["minimize"] * 2)(**space)
    assert flyteoptuna.inputs(study, 0) == {"params": {"depth": study.trials[0].params["params.depth"]}}


def test_a_file_is_not_stored_and_fails_a_workflow_that_uses_it(flows, tmp_path):
    """At once in a local run, elsewhere in the last task; the other inputs are there."""
    flow = flows(FLOW)
    data = tmp_path / "data.txt"
    data.write_text("data")
    assert 0 <= flow.used_beside_a_file(data=str(data)) <= 1
    missing = "has no stored input 'data'; it has: x. Files, data frames and large inputs are not stored"
    with pytest.raises(LookupError, match=missing):
        flow.used_file(data=str(data))
    with pytest.raises(ExecutionFailedError, match=missing) as failed:
        run(flow.used_file, {"data": str(data)})
    assert SearchFailedError.__name__ in str(failed.value)


@fl.task
def taking(params: dict, x: float) -> float:
    return x


@optimize(n_trials=1)
def with_much(trial: optuna.Trial, much: dict):
    return taking(params=much, x=trial.suggest_int("x", 1, 3))


def test_a_large_input_of_a_callback_is_not_repeated_in_each_trial():
    """It would be the same in most; a smaller one is there, as the objective got it."""
    study = with_much(much={"text": "a" * MAX_INPUT})
    assert study.trials[0].system_attrs[INPUTS_ATTRIBUTE]["params"] == ""
    assert flyteoptuna.inputs(study, 0) == {"x": float(study.trials[0].params["x"])}
    assert flyteoptuna.inputs(with_much(much={1: "a", "b": [1.0, None]}), 0)["params"] == {1: "a", "b": [1.0, None]}
