"""What an objective returns beside its values: from a trial to whoever uses it, in a local run and across processes."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import flytekit as fl
import optuna
import pandas as pd
import pytest
from containers import CODE
from flytekit.types.file import FlyteFile
from flytekit.types.structured.structured_dataset import StructuredDataset
from optuna.trial import TrialState

from flyteoptuna import Optimizer, SearchFailedError, export, load_study, outputs, suggest
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.page.cost import search_cost
from flyteoptuna.study.results import stored_outputs as kept
from flyteoptuna.testing import ExecutionFailedError, run, simulate
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.trial.marks import OUTPUTS_ATTRIBUTE
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport, report_byte_limit

FLOW = "flow_of_outputs"
FIXED = {"start": 0.5}


@pytest.fixture
def flow(flows, monkeypatch, tmp_path):
    """The module, with the folder for temporary files the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return flows(FLOW)


def check_all(study):
    """Each trial has outputs of its own, and numbers are attributes."""
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * len(study.trials)
    for trial in study.trials:
        found = outputs(study, trial.number)
        x = trial.params["x"]
        assert [*found] == ["model", "table", "folder", "parts", "config", "items"]
        assert json.loads(Path(found.model.download()).read_text()) == {"x": x, "start": 0.5}
        assert found["table"].open(pd.DataFrame).all()["x"].tolist() == [x]
        assert json.loads((Path(found.folder.download()) / "part.json").read_text()) == x
        assert [Path(part.download()).name for part in found.parts] == ["model.json", "part.json"]
        assert found.config == {"depth": 3, "name": f"at {x}"}
        assert found.items == {"x": x}
        assert trial.user_attrs["quick"] is True and trial.user_attrs["epochs"] == 7


@pytest.mark.parametrize("name", ["batches", "reused"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_best_trials_outputs_in_a_local_workflow(flow, monkeypatch, name, workers):
    """Every trial writes the same file in turn, and each keeps its own."""
    monkeypatch.setenv(WORKERS, workers)
    found = getattr(flow, name)()
    study = found.study
    assert found.loss == study.best_value
    x = study.best_params["x"]
    assert json.loads(Path(found.model.download()).read_text()) == {"x": x, "start": 0.5}
    check_all(study)


@pytest.mark.parametrize("name", ["batches", "reused"])
def test_the_best_trials_outputs_across_processes(flow, name):
    """By the protobufs of the workflow; no pod is there for them."""
    made = run(getattr(flow, name))
    loss, study, model = made.outputs
    assert loss == study.best_value
    assert json.loads(Path(model.download()).read_text())["x"] == study.best_params["x"]
    check_all(study)
    assert len(made.of(".finish-")) == len(made.of(".score")) == 1


@pytest.mark.parametrize(("name", "slots"), [("batches", 2), ("reused", 2)])
def test_a_report_counts_the_slots_that_the_search_was_given(flow, name, slots):
    """However few trials the cluster ran at once, as ones that are short; a local run counts those that did."""
    study = run(getattr(flow, name)).outputs.study
    assert search_cost(study, study.trials).slots == slots
    if name == "batches":
        study = getattr(flow, name)().study
        assert search_cost(study, study.trials).slots == 1


def test_a_trials_pod_imports_nothing_more_for_them(flows, tmp_path):
    """Neither optuna nor what reads frames."""
    literal = Engine(tmp_path, CODE, cold=True).run(flows("flow_of_models").imported)["o0"]
    assert json.loads(Path(literal.scalar.blob.uri).read_text()) == []


def test_no_driver_fetches_an_output(flow):
    """It passes on where a file is, of a tuple by the name that Flyte gives, and a report holds its literal alone."""
    made = run(flow.unfetched)
    study, found = made.outputs
    assert found.remote_source == f"s3://nowhere/{study.best_params['x']}"
    assert {str(outputs(study, t.number).o1.remote_source) for t in study.trials} == {
        f"s3://nowhere/{t.params['x']}" for t in study.trials
    }


def test_each_trial_of_a_pareto_front_has_its_own(flow):
    """In a task that gets the study."""
    assert flow.several() == run(flow.several).outputs > 0


@pytest.fixture
def older():
    """A study whose best trial knows nothing of outputs."""
    study = optuna.create_study(study_name="older")
    study.add_trial(
        optuna.trial.create_trial(
            value=-1.0, params={"x": 0.5}, distributions={"x": optuna.distributions.FloatDistribution(0, 1)}
        )
    )
    return study


def test_outputs_that_are_listed_are_not_used(flow, older):
    """So that code over all names runs with any study."""

    @fl.workflow
    def listed(study: optuna.Study) -> optuna.Study:
        optimizer = Optimizer(flow.train, 1, 1, study=study)
        optimizer(x=suggest.float(0, 1), **FIXED)
        assert "model" in optimizer.best and [*optimizer.best.keys()] == [*optimizer.best]
        return optimizer.study

    assert len(listed(study=older).trials) == 2


MISSING = "The best trial, 0, of study 'older' has no output 'model'; it has: none."


def test_a_best_trial_without_outputs_is_an_error_where_they_are_used(flow, older):
    """And only there; in a local workflow at once, elsewhere in the last task, which names the file of the study."""
    assert len(flow.unused(study=older).trials) == 2
    with pytest.raises(LookupError, match=MISSING):
        flow.used(study=older)
    assert len(run(flow.unused, {"study": older}).outputs.trials) == 2
    with pytest.raises(ExecutionFailedError, match=MISSING) as failed:
        run(flow.used, {"study": older})
    assert SearchFailedError.__name__ in str(failed.value) and "The study as it stands: /" in str(failed.value)


def test_outputs_survive_files_further_searches_and_exports(flow, tmp_path):
    """In an export, user attributes say where they are, and all of them are there."""
    first = Optimizer(flow.train, 2, 3)(x=suggest.float(0, 1), **FIXED)
    optimizer = Optimizer(flow.train, 2, 2, study=load_study(first.file))
    study = optimizer(x=suggest.float(0, 1), **FIXED)
    check_all(study)
    assert optimizer.best.config == flow.Config(3, f"at {study.best_params['x']}")
    assert optimizer.best.table["x"].tolist() == [study.best_params["x"]]
    export(study, f"sqlite:///{tmp_path}/study.db", name="copy")
    copy = optuna.load_study(study_name="copy", storage=f"sqlite:///{tmp_path}/study.db")
    assert [kept(t) for t in copy.trials] == [kept(t) for t in study.trials]
    for trial in copy.trials:
        assert trial.user_attrs["model"] == str(outputs(study, trial.number).model.path)
        assert trial.user_attrs["config"] == json.dumps({"depth": 3, "name": f"at {trial.params['x']}"})
    assert all("model" not in t.user_attrs for t in study.trials)


class Mixed(NamedTuple):
    loss: float
    model: FlyteFile


@fl.task
def mixed(x: int) -> Mixed:
    if x == 1:
        raise optuna.TrialPruned
    if x == 2:
        return Mixed(math.nan, FlyteFile(__file__))
    if x == 3:
        return Mixed(1.0, FlyteFile("/there/is/no/such/file"))
    if x == 4:
        return Mixed(1.0, 5)
    if x == 5:
        return (1.0,)
    return Mixed(float(x), FlyteFile(__file__))


def test_what_cannot_be_kept_fails_its_trial_and_a_failed_trial_keeps_nothing():
    """Each with the name of the output and the reason."""
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [*range(6)]}, seed=0))
    optimizer = Optimizer(mixed, 2, 6, study=study)
    study = optimizer(x=suggest.integer(0, 5))
    by = {t.params["x"]: t for t in study.trials}
    assert [by[x].state.name for x in range(6)] == ["COMPLETE", "PRUNED", *["FAIL"] * 4]
    assert [len(outputs(study, by[x].number)) for x in range(6)] == [1, 0, 0, 0, 0, 0]
    for x, reason in {
        3: "The output `model` cannot be kept: Flyte does not take",
        4: "The output `model` cannot be kept: Flyte does not take 5 for it",
        5: r"must return 2 outputs (loss, model), but it returned 1: (1.0,)",
    }.items():
        assert reason in by[x].user_attrs[ERROR_ATTRIBUTE]
    with pytest.raises(AttributeError, match=r"\(FAIL\) has no output 'model'; it has: none"):
        _ = outputs(study, by[3].number).model


@fl.task
def long(x: float) -> tuple[float, str, str]:
    return x, "long " * 10_000, "short"


def test_an_output_too_large_for_its_report_is_told_and_costs_no_value():
    """An inline one, beside many others; the error says what to do."""
    n_trials = 100
    assert report_byte_limit(n_trials) < 50_000
    optimizer = Optimizer(long, n_trials, n_trials)
    with pytest.warns(UserWarning, match=r"The output `o1` takes \d+ bytes .* Return it as a FlyteFile"):
        study = optimizer(x=suggest.float(0, 1))
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    assert optimizer.best.o2 == "short"
    with pytest.raises(LookupError, match=r"the output `o1` was too large, \d+ bytes. Return it in a file, or choose"):
        _ = optimizer.best.o1


@fl.task
def plain(x: float) -> float:
    return x


def test_the_best_trials_outputs_say_what_they_are(flow, older):
    """Also where there are none."""
    train, value = Optimizer(flow.train, study=older), Optimizer(plain, study=older)
    assert repr(train.best) == "<outputs of the best trial: model, table, folder, parts, config, items>"
    assert repr(value.best) == "<outputs of the best trial: none>"
    with pytest.raises(AttributeError, match="returns no `model` that is kept, only values"):
        _ = value.best.model


def test_wrong_uses_say_what_is_right(flow, older):
    """The rule, the value, and what there is."""
    optimizer = Optimizer(flow.train, 1, 1)
    with pytest.raises(TypeError, match="and none has here: call the optimizer before `best`"):
        _ = optimizer.best
    optimizer.study = "one.study"
    with pytest.raises(TypeError, match=r"must be an optuna.Study, but got 'one.study' .* Load it"):
        _ = optimizer.best
    optimizer.study = None
    study = optimizer(x=suggest.float(0, 1), **FIXED)
    for name, words in {
        "nope": "returns no `nope` that is kept; it returns: model, table, folder, parts, config, items",
        "modle": "Did you mean `model`?",
        "loss": "Its values and parameters are the study's: `best_value`, `best_params`",
        "epochs": r"is a user attribute of the trial: `study.best_trial.user_attrs\['epochs'\]`",
    }.items():
        with pytest.raises(AttributeError, match=words):
            getattr(optimizer.best, name)
        with pytest.raises(KeyError, match=words):
            optimizer.best[name]
    with pytest.raises(AttributeError, match=r"cannot be set, but got `best.model = 3"):
        optimizer.best.model = 3
    assert optimizer.best["items"] == {"x": study.best_params["x"]} and [*optimizer.best] == [*outputs(study, 0)]
    assert dir(optimizer.best) == dir(outputs(study, 0)) == ["config", "folder", "items", "model", "parts", "table"]
    for found in (optimizer.best, outputs(study, 0)):
        assert {**found}.keys() == dict(found).keys() == {*found} and len(found) == 6
        assert "model" in found and "loss" not in found and found.get("loss") is None
    with pytest.raises(AttributeError, match=r"Those of the best trial are `best`, and those of any `flyteoptuna.out"):
        _ = optimizer.outputs
    several = Optimizer(flow.front, 1, 1, directions=["minimize", "minimize"])
    several(x=suggest.float(0, 1))
    with pytest.raises(AttributeError, match="no best trial, but `best_trials`"):
        _ = several.best.o2
    for args, error, words in [
        ((None, 0), TypeError, "`study` must be an optuna.Study, but got None"),
        ((study, "0"), TypeError, "`number` must be the number of a trial, but got '0'"),
        ((study, study.best_trial), TypeError, "Pass its `number`"),
        ((study, 1), LookupError, "has no trial 1: its trials are 0 to 0"),
        ((study, -1), LookupError, "has no trial -1"),
        ((optuna.create_study(), 0), LookupError, "it has none yet"),
        ((study, 0, [str]), TypeError, "`types` must be a dictionary"),
        ((study, 0, {"modle": str}), LookupError, "`types` names no output of it.* Did you mean `model`"),
    ]:
        with pytest.raises(error, match=words):
            outputs(*args)
    with pytest.raises(KeyError, match="has no output 'nope'; it has: model"):
        _ = outputs(study, 0)["nope"]


class Noted(NamedTuple):
    start: float
    count: str
    search: str
    generation: str
    beyond: str


@fl.task
def noted(x: float) -> Noted:
    return Noted(x, "a", "b", "c", "d")


def test_outputs_may_have_any_names(tmp_path):
    """Those as well that the library uses for what it notes."""
    optimizer = Optimizer(noted, 1, 2)
    study = optimizer(x=suggest.float(0, 1))
    assert [*outputs(load_study(study.file), 1).values()] == ["a", "b", "c", "d"]
    assert optimizer.best.count == "a" and optimizer.best.search == "b"


def test_a_studys_promise_says_where_the_best_trials_outputs_are(flow):
    """Which users look for there."""

    @fl.workflow
    def wrong() -> FlyteFile:
        return Optimizer(flow.train, 1, 1)(x=suggest.float(0, 1)).best.model

    with pytest.raises(
        Exception, match=r"A study has no `best` in a workflow; .* is the optimizer's: `optimizer.best`"
    ):
        wrong()


def test_a_type_may_be_said():
    """Where Flyte's value alone does not tell it."""

    @fl.task
    def framed(x: float) -> tuple[float, pd.DataFrame]:
        return x, pd.DataFrame({"x": [x]})

    study = Optimizer(framed, 1, 1)(x=suggest.float(0, 1))
    assert isinstance(outputs(study, 0).o1, StructuredDataset)
    found = outputs(study, 0, {"o1": pd.DataFrame}).o1
    assert found["x"].tolist() == [study.best_params["x"]]
    assert repr(outputs(study, 0)).startswith("Outputs(o1=/")
    with pytest.raises(ValueError, match=r"The output `o1` of Trial 0 of study .* cannot be read as <class 'int'>: "):
        _ = outputs(study, 0, {"o1": int}).o1


@fl.task
def tagged(x: float) -> tuple[float, dict]:
    return x, {"tag": "a" * 500}


def test_what_is_cut_for_people_says_so():
    """Half a number is not to be taken for one."""
    study = Optimizer(tagged, 1, 1)(x=suggest.float(0, 1))
    assert repr(outputs(study, 0)).endswith("aaa... (511 characters, cut))")
    assert outputs(study, 0).o1 == {"tag": "a" * 500}


@pytest.mark.parametrize("given", [False, True])
def test_what_is_said_of_a_new_study_holds_where_a_promise_is_of_none(given, older):
    """And nothing of it touches the study that there is."""

    @fl.workflow
    def perhaps(study: optuna.Study | None = None) -> optuna.Study:
        sampler = optuna.samplers.RandomSampler(seed=1)
        return Optimizer(long, 1, 2, study, direction="maximize", sampler=sampler)(x=suggest.float(0, 1))

    study = perhaps(study=older) if given else perhaps()
    assert study.direction.name == ("MINIMIZE" if given else "MAXIMIZE")
    assert isinstance(study.sampler, optuna.samplers.RandomSampler) != given
    with pytest.raises(TypeError, match="`direction` is of a new study"):
        Optimizer(long, 1, 2, older, direction="maximize")


@pytest.mark.parametrize("noted", [None, 5, "text", [], {"model": 5}, {"model": "no base64"}, {"model": "AAAA"}])
def test_outputs_of_a_file_from_elsewhere_may_be_anything(noted):
    """They are none, or cannot be read, and nothing is raised by who lists them."""
    trial = optuna.trial.create_trial(value=1.0, system_attrs={OUTPUTS_ATTRIBUTE: noted})
    study = optuna.create_study()
    study.add_trial(trial)
    assert repr(outputs(study, 0)) in ("Outputs()", "Outputs(model=an output that cannot be read)")


def test_a_simulation_needs_the_values_alone(flow):
    """What else an objective returns may be there; its numbers are attributes, and nothing is kept."""
    for objective in (lambda x, start: x, lambda x, start: (x, *[None] * 6, 3, True)):
        made = simulate(Optimizer(flow.train, 2, 4), {"x": suggest.float(0, 1), **FIXED}, objective=objective)
        assert [t.value for t in made.study.trials] == [t.params["x"] for t in made.study.trials]
        assert not any(outputs(made.study, t.number) for t in made.study.trials)
    assert made.study.trials[0].user_attrs == {"epochs": 3, "quick": True}


def test_a_report_has_none_unless_it_is_asked_for():
    """Of an objective that returns values alone nothing is sent."""
    assert TrialReport(0).outputs == {}
