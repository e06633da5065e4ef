"""Nodes of every kind, recovery, and the limits of what is inline."""

import pytest
from containers import CODE
from engine_values import integers, on, results

from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.graphs import ExecutionGraph
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.pod import Fault, PodOutcome


def test_a_dynamic_task_is_run_one_level_deeper(flows, engine):
    """Each level of a recursive dynamic task is a graph of its own, with its own path, depth and key."""
    assert results(engine.run(flows.nested, {"left": 3})) == [2 * (3 + 2 + 1)]
    assert engine.depth == 3
    assert [pod.depth for pod in engine.of("countdown")] == [0, 1, 2, 3]
    assert [pod.path for pod in engine.of("add")] == ["n0-0-dn0", "n0-0-dn1-0-dn0", "n0-0-dn1-0-dn1-0-dn0"]
    assert engine.longest_key.split("/", 1)[1] == "n0/data/0/dn1/0/dn1/0/dn0/0/outputs.pb"
    assert engine.node_count == len(engine.pods) == 3 + 1 + 3 + 1
    assert {pod.outcome for pod in engine.of("countdown")} == {PodOutcome.DYNAMIC, PodOutcome.SUCCEEDED}


def test_subworkflows_are_run_from_a_workflow_and_from_a_dynamic_task(flows, engine):
    """A workflow called inside a workflow or a dynamic task is a graph whose nodes run."""
    assert results(engine.run(flows.subworkflows, {"x": 2})) == [5, 11]
    assert sorted(pod.path for pod in engine.of("add")) == ["n0-0-n1", "n1-0-dn0-0-dn1", "n1-0-dn1-0-dn1"]
    assert engine.depth == 1


def test_each_graph_is_recorded_with_its_edges(flows, engine):
    """The record says which node waits for which, whether a graph is a chain, and what Flyte's walk costs."""
    engine.run(flows.skips, {"x": 1})
    assert [graph.path for graph in engine.graphs] == ["", "n0-0"]
    assert dict(engine.graphs[1].nodes) == {"dn0": (), "dn1": ("dn0",), "dn2": ("dn0", "dn1")}
    assert [graph.is_chain for graph in engine.graphs] == [True, False]
    skipping = ExecutionGraph("", tuple((str(i), tuple(map(str, range(max(0, i - 2), i)))) for i in range(20)))
    chain = ExecutionGraph("", tuple((str(i), (str(i - 1),) if i else ()) for i in range(20)))
    assert (chain.visits, chain.is_chain) == (20, True)
    assert (skipping.visits, skipping.is_chain) == (17710, False)


REFUSED = {
    "launched": r"no launch plans: node n1 \(engine_flows.inner\)",
    "gated": "no gate_node: node n0",
    "gated_branch": "no gate_node: node n0-0-n0",
    "queried": r"no query for an agent or a plugin of the backend: node n1 \(query\)",
    "cleaned_by_a_gate": "no gate_node: node fn0-0-f?n0",
    "cleaned_by_a_gate_inside": "no gate_node: node n0-0-fn0-0-f?n0",
    "in_an_image": r"Python tasks only, and has no images: node n1 \(image\) runs `echo`",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_engine_does_not_run_is_refused_by_name_before_anything_runs(flows, engine, name):
    """Wherever in a workflow it stands."""
    with pytest.raises(NotImplementedError, match=REFUSED[name]):
        engine.run(getattr(flows, name), {"x": 1})
    assert not engine.pods


CLEANED = {
    "cleaned": ("this is broken", ["n0", "fn0"], "cleaned up after 3: ValueError: this is broken"),
    "cleaned_by_a_workflow": ("this is broken", ["n0", "fn0-0-n0"], "cleaned up after 3: None"),
    "cleaned_inside": ("this is broken", ["n0-0-n0", "n0-0-fn0"], "cleaned up after 3: ValueError: this is broken"),
    "cleaned_badly": ("KeyError: 3", ["n0", "fn0"], "KeyError: 3"),
}


@pytest.mark.parametrize("name", CLEANED)
def test_the_failure_node_of_a_workflow_runs_once_it_has_failed(flows, engine, name):
    """With the workflow's inputs and why it failed; the workflow has failed all the same, and with the last error."""
    message, paths, log = CLEANED[name]
    with pytest.raises(ExecutionFailedError, match=message):
        engine.run(getattr(flows, name), {"x": 3})
    # The nodes of a workflow are named by what compiled it first.
    assert [pod.path.replace("fn0-0-fn0", "fn0-0-n0") for pod in engine.pods] == paths
    assert log in engine.pods[-1].log


def test_a_workflow_that_fails_at_its_end_runs_what_can_be_run(flows, engine):
    """As its policy says; what needs the node that has failed does not run."""
    with pytest.raises(ExecutionFailedError, match="this is broken"):
        engine.run(flows.patient, {"x": 3})
    assert sorted(pod.task.rpartition(".")[2] for pod in engine.pods) == ["broken", "double", "double"]


def test_the_failure_node_of_a_workflow_that_succeeds_does_not_run(flows, engine):
    """It is none of its nodes."""
    assert results(engine.run(flows.not_cleaned, {"x": 3})) == [6]
    assert [pod.path for pod in engine.pods] == ["n0"]


def test_a_recovery_runs_only_what_had_not_finished(flows, tmp_path):
    """Finished nodes are found by their path, inside a failed dynamic task too, whose graph is not compiled again."""
    first = Engine(tmp_path, CODE, faults=on(Fault.KILL, path="n0-0-dn1-0-dn0"))
    with pytest.raises(ExecutionFailedError):
        first.run(flows.nested, {"left": 2})
    ran = [pod.path for pod in first.pods]
    assert ran == ["n0", "n0-0-dn0", "n0-0-dn1", "n0-0-dn1-0-dn0"]
    second = Engine(tmp_path, CODE)
    assert results(second.recover(flows.nested, {"left": 2}, of=first)) == [6]
    assert [pod.path for pod in second.pods] == ["n0-0-dn1-0-dn0", "n0-0-dn1-0-dn1", "n1"]
    assert second.recovered == ["n0-0-dn0"]
    assert results(second.recover(flows.nested, {"left": 2})) == [6]
    assert second.recovered[1:] == ["n0", "n1"]


def test_a_failed_map_runs_whole_in_a_recovery(flows, tmp_path):
    """Elements of a failed map run again even if they had succeeded, unless they are cached."""
    first = Engine(tmp_path, CODE, faults=on(Fault.KILL, index=2))
    with pytest.raises(ExecutionFailedError):
        first.run(flows.cached_and_not, {"xs": integers(1, 2, 3)})
    first.faults = lambda pod: None
    before = len(first.pods)
    assert results(first.recover(flows.cached_and_not, {"xs": integers(1, 2, 3)})) == ["[1, 4, 9]", "[2, 4, 6]"]
    again = [pod for pod in first.pods[before:] if pod.index is not None]
    assert sorted(pod.index for pod in again if "double" in pod.task) == [0, 1, 2]
    assert [pod.index for pod in again if "cached" in pod.task] == [2]
    assert sorted(pod.index for pod in first.hits) == [0, 1]


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("large", 3_000_000, r"node n0 .*outputs.pb has 3000\d+ bytes, over the limit of 2097152"),
        ("large_together", 1_500_000, r"node n2 .*inputs.pb has 3000\d+ bytes"),
        ("large_graph", 3_000_000, r"node n0 .*futures.pb has \d+ bytes"),
    ],
)
def test_what_is_inline_and_over_two_mebibytes_is_an_error(flows, engine, name, size, message):
    """Outputs, inputs and compiled graphs that the propeller would not read fail the node that they belong to."""
    assert results(engine.run(getattr(flows, name), {"size": 1000})) == [{"large_together": 2000}.get(name, 1000)]
    with pytest.raises(ExecutionFailedError, match=message):
        engine.run(getattr(flows, name), {"size": size})
