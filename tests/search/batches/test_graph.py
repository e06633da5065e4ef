"""The graph of a search: its tasks, its shape, and the same search across processes."""

import dataclasses
import json

import flytekit as fl
import optuna
import pytest
from containers import CODE, driver_pods, number_of, study_of
from flytekit.configuration import FastSerializationSettings
from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.tools.translator import get_serializable
from objectives import square
from optuna.trial import TrialState

from flyteoptuna import suggest
from flyteoptuna.flyte.references import to_reference
from flyteoptuna.flyte.study_type import StudyReference
from flyteoptuna.search import plan
from flyteoptuna.search.batches import driver
from flyteoptuna.search.batches.graph import BatchTasks
from flyteoptuna.space import space
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.testing.engine.engine import SETTINGS, Engine
from flyteoptuna.testing.pods.pod import Fault
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport


@fl.task
def line(x: float) -> float:
    return x


def test_fast_registration_reaches_every_task_of_a_search():
    """Code that `pyflyte run --remote` copies is there in the drivers, and in the pods that a driver emits."""
    copied = FastSerializationSettings(enabled=True, destination_dir="/root", distribution_location="s3://bucket/code")
    fast = dataclasses.replace(SETTINGS, fast_serialization_settings=copied)
    search = BatchTasks.of(line, line, ("x",), (), "new", ("minimize",))
    tasks = (search.search, search.ask, search.finish)
    made = [get_serializable({}, fast, task).to_flyte_idl().template for task in tasks]
    ctx = FlyteContextManager.current_context()
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    with FlyteContextManager.with_context(ctx.with_serialization_settings(fast).with_execution_state(state)):
        settings = SearchSettings(20, 2, 2, space=space.space_to_json({"x": suggest.float(0, 1)}))
        study = StudyReference(driver.begin_in_pod(None, settings, ("minimize",), "", batches=True))
        given = {
            "study": study,
            "reports": to_reference([], list[TrialReport]),
            "over": False,
            "settings": settings.to_json(),
        }
        made += [task.to_flyte_idl() for task in search.span.execute(start=0, stop=10, **given).tasks]
    roles = {template.id.name.split(".")[-1].split("-")[0] for template in made}
    assert roles == {"search", "span", "ask", "finish", "trial"}
    for template in made:
        assert list(template.container.args[:3]) == [
            "pyflyte-fast-execute",
            "--additional-distribution",
            "s3://bucket/code",
        ]


def test_two_searches_over_one_objective_have_tasks_of_their_own():
    """Names tell apart what differs in its interface."""
    names = {
        getattr(BatchTasks(square, square, mapped, fixed, start, ("minimize",)), role).name
        for mapped, fixed in [(("x",), ("power",)), (("x", "power"), ())]
        for start in ("new", "continued")
        for role in ("search", "span", "ask", "finish")
    }
    assert len(names) == 16
    assert all(name.startswith(f"{square.name}.") for name in names)


def check_shape(engine, shape):
    """The pods and their nesting are those that are planned, and a walk of any graph is short."""
    counts = [len(engine.of(f".{role}-")) for role in ("search", "span", "ask", "finish")]
    assert counts == [1, shape.spans, shape.asks, 1]
    assert len(driver_pods(engine)) == shape.drivers
    assert engine.depth == shape.depth
    inner = [graph for graph in engine.graphs if graph.path]
    assert max(len(graph.nodes) for graph in inner) == shape.widest
    assert max(graph.visits for graph in inner) <= 3 * 2 ** (plan.ARITY - 1)


@pytest.mark.parametrize(("n_trials", "concurrency"), [(1, 1), (5, 3), (17, 1)])
def test_the_pods_that_are_planned_are_those_that_run(tmp_path, flows, n_trials, concurrency):
    """One generation, fewer than a span holds, and more than two spans hold."""
    engine = Engine(tmp_path, CODE)
    engine.run(flows("flow_of_squares").search, {"concurrency": concurrency, "n_trials": n_trials})
    check_shape(engine, plan.search_shape(n_trials, concurrency))


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
    check_shape(engine, plan.search_shape(24, 4))


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


@pytest.mark.parametrize("name", ["within_a_task", "within_a_dynamic"])
def test_a_search_may_be_called_in_a_task_and_in_a_dynamic(tmp_path, flows, undisturbed, name):
    """In a task it runs in that pod, in a dynamic as nodes of its graph; the values are the same."""
    engine = Engine(tmp_path, CODE)
    outputs = engine.run(getattr(flows("flow_of_faults"), name))
    best = outputs["o0"].scalar.primitive.float_value
    if name == "within_a_task":
        assert best == min(values[0] for _, values, _ in undisturbed[0])
    assert 0 <= best <= 1
    assert len(engine.of(".trial-")) == (0 if name == "within_a_task" else 4)
