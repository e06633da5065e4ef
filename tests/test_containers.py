"""Searches across processes: every task reloaded, only protobuf files between them."""

import json
import zipfile

import msgpack
import optuna
import pytest
from containers import CODE, driver_pods, number_of, study_of
from engine import Engine, Fault
from flyteidl.core import literals_pb2 as pb
from optuna.trial import TrialState

from flyteoptuna.core import plan
from flyteoptuna.core.report import ERROR_ATTRIBUTE


def check_shape(engine, shape):
    """The pods and their nesting are those that are planned, and each node is fed by the one before it alone."""
    counts = [len(engine.of(f".{role}-")) for role in ("search", "span", "generation", "finish")]
    assert counts == [1, shape.spans, shape.generations, 1]
    assert len(driver_pods(engine)) == shape.drivers
    assert engine.depth == shape.depth
    assert all(graph.is_chain for graph in engine.graphs if graph.path)


@pytest.mark.parametrize(("n_trials", "concurrency"), [(1, 1), (5, 3), (17, 1)])
def test_the_pods_that_are_planned_are_those_that_run(tmp_path, flows, n_trials, concurrency):
    """One generation, fewer than a span holds, and more than two spans hold."""
    engine = Engine(tmp_path, CODE)
    engine.run(flows("flow_of_squares").search, {"concurrency": concurrency, "n_trials": n_trials})
    check_shape(engine, plan.shape(n_trials, concurrency))


def test_24_trials_with_a_failing_objective_and_a_killed_pod(tmp_path, flows):
    """Each trial is told once, both failures keep their reasons, and the parameters are those of a plain loop."""
    flow = flows("flow_of_squares")

    def faults(pod):
        return Fault.KILL if ".trial-" in pod.task and number_of(pod) == 6 else None

    engine = Engine(tmp_path, CODE, faults=faults)
    outputs = engine.run(flow.search, {"concurrency": 4, "n_trials": 24})
    study = study_of(outputs["o0"])

    reference = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for trial in study.trials:
        asked = reference.ask()
        x, depth = asked.suggest_float("x", -1, 1), asked.suggest_int("params.depth", 0, 3)
        assert trial.params == {"x": x, "params.depth": depth}
        if trial.state == TrialState.COMPLETE:
            assert trial.value == 2.0 * x * x + depth
        assert trial.datetime_start < trial.datetime_complete
    failed = {t.number: t.user_attrs[ERROR_ATTRIBUTE] for t in study.trials if t.state == TrialState.FAIL}
    assert "Trial 6 (generation 1) sent no report" in failed.pop(6)
    assert ["too high" in reason for reason in failed.values()] == [True]
    assert sum(t.state == TrialState.COMPLETE for t in study.trials) == 22
    assert outputs["o1"].scalar.primitive.float_value == study.best_value
    assert outputs["o2"].scalar.primitive.integer == len(study.trials) == len(engine.of(".trial-")) == 24
    check_shape(engine, plan.shape(24, 4))


@pytest.mark.parametrize(("name", "n_trials"), [("by_space", 3), ("by_callback", 4)])
def test_fixed_inputs_go_by_reference(tmp_path, flows, name, n_trials):
    """No driver uploads a file, a directory or a data frame again, and each trial gets the one of the first task."""
    flow = flows("flow_of_inputs")
    engine = Engine(tmp_path, CODE)
    study = study_of(engine.run(getattr(flow, name), {"n_trials": n_trials})["o0"])
    for trial in study.trials:
        assert trial.value == pytest.approx(6.0 + trial.params.get("factor", 4) + trial.params["x"])
    assert len(study.trials) == n_trials
    [upstream] = engine.of("flow_of_inputs.data")
    made = pb.LiteralMap.FromString((upstream.metadata / "outputs.pb").read_bytes()).literals
    for pod in engine.of(".trial-"):
        for position, key in enumerate(["file", "folder", "frame"]):
            assert uri(pod.inputs[key]) == uri(made[f"o{position}"])
    uploaded = [path for path in (tmp_path / "raw").rglob("*") if path.is_file() and not zipfile.is_zipfile(path)]
    assert len(uploaded) == 3


def uri(literal):
    scalar = literal.scalar
    return scalar.blob.uri or scalar.structured_dataset.uri


def test_a_search_goes_on_from_the_promise_of_anothers_study(tmp_path, flows):
    """Both have two directions, and the study's attributes resolve from the protobufs."""
    flow = flows("flow_of_inputs")
    engine = Engine(tmp_path, CODE)
    outputs = engine.run(flow.twice)
    study = study_of(outputs["o0"])
    count, best, completed, best_of_all = json.loads(outputs["o1"].scalar.primitive.string_value)
    assert (count, completed, len(study.trials)) == (7, 7, 7)
    assert set(best) <= set(range(4)) and best_of_all == [t.number for t in study.best_trials]
    assert [len(t.params) for t in study.trials] == [2] * 4 + [1] * 3


def test_a_trials_pod_imports_neither_optuna_nor_plotting(tmp_path, flows):
    """The study is a Flyte type all the same, whose attributes need no pod."""
    engine = Engine(tmp_path, CODE)
    outputs = engine.run(flows("flow_of_imports").search)
    [trial] = engine.of(".trial-")
    report = pb.LiteralMap.FromString((trial.metadata / "outputs.pb").read_bytes()).literals["o0"]
    attrs = json.loads(msgpack.loads(report.scalar.binary.value)["user_attrs"])
    assert attrs == {"modules": []}
    assert set(msgpack.loads(outputs["o0"].scalar.binary.value)) == {"x"}


def test_a_list_of_trials_resolves_without_a_pod(tmp_path, flows):
    """Two objectives make a new study of two directions."""
    outputs = Engine(tmp_path, CODE).run(flows("flow_of_imports").pareto)
    items = [item.scalar for item in outputs["o0"].collection.literals]
    assert sorted(s.primitive.integer or msgpack.loads(s.binary.value) for s in items) == [0, 1]
