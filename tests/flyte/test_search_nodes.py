"""A search among the nodes of a workflow: what runs before and after it, and overrides of its node."""

import flytekit as fl
import pytest
from flytekit import Resources
from flytekit.core.node_creation import create_node
from flytekit.core.workflow import WorkflowBase

from flyteoptuna import Optimizer, suggest

RAN = []


@fl.task
def line(x: float) -> float:
    RAN.append("trial")
    return x


@fl.task
def setup():
    RAN.append("setup")


@fl.task
def prepared() -> int:
    RAN.append("setup")
    return 1


@fl.task
def clean():
    RAN.append("clean")


def optimizer(reuse=False):
    return Optimizer(line, 2, 2, reuse_pods=reuse)


def search(reuse=False):
    return optimizer(reuse)(x=suggest.float(0, 1))


def compiled(body):
    """The nodes of a workflow, and the names of the tasks that each waits for."""

    def workflow():
        body()

    found: WorkflowBase = fl.workflow(workflow)
    found.compile()
    role = {node: str(node.flyte_entity.name).rpartition(".")[2].partition("-")[0] for node in found.nodes}
    return {role[node]: {role[before] for before in node.upstream_nodes} for node in found.nodes}


def through_optimizer(before, reuse):
    made = optimizer(reuse)
    made(x=suggest.float(0, 1))
    before() >> made.study


ORDERED = {
    "study": lambda before, reuse: before() >> search(reuse),
    "optimizer.study": through_optimizer,
    "an attribute": lambda before, reuse: before() >> search(reuse).best_value,
    "a parameter": lambda before, reuse: before() >> search(reuse).best_params["x"],
    "a node": lambda before, reuse: create_node(before) >> search(reuse),
    "runs_before": lambda before, reuse: create_node(before).runs_before(search(reuse)),
}


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("before", [setup, prepared])
@pytest.mark.parametrize("form", ORDERED)
def test_what_runs_before_a_study_runs_before_its_first_node(form, before, reuse):
    """However it is written, and for both kinds of search; the other nodes wait for the first one."""
    waits = compiled(lambda: ORDERED[form](before, reuse))
    name = before.name.rpartition(".")[2]
    assert waits["search"] == {name} and waits[name] == set()
    assert name not in waits["finish"] and "search" in waits["finish"]


@pytest.mark.parametrize("reuse", [False, True])
def test_what_runs_after_a_study_runs_after_its_last_node(reuse):
    """A task, and another search, which waits as a whole."""
    assert compiled(lambda: search(reuse) >> clean())["clean"] == {"finish"}

    def twice():
        first, second = search(reuse), Optimizer(prepared_value, 2, 2)(x=suggest.float(0, 1))
        first >> second

    # Both have a node `search`; the one that waits is of the second.
    assert compiled(twice)["search"] == {"finish"}


@fl.task
def prepared_value(x: float) -> float:
    return x


@pytest.mark.parametrize("reuse", [False, True])
def test_a_local_run_keeps_the_order(reuse):
    """As it is written, which is the order of the graph too."""
    RAN.clear()

    @fl.workflow
    def ordered() -> int:
        before = setup()
        study = search(reuse)
        before >> study
        study >> clean()
        return study.n_complete

    assert ordered() == 2
    ran = [name for name in RAN if name != "trial"]
    assert ran == ["setup", "clean"] and RAN[-1] == "clean" and RAN[0] == "setup"


OVERRIDDEN = {
    "study": lambda made: made,
    "an attribute": lambda made: made.best_value,
    "a parameter": lambda made: made.best_params["x"],
}
OVERRIDES = [{"requests": Resources(cpu="2")}, {"retries": 3}, {"node_name": "mine"}, {"timeout": 5}, {}]


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("part", OVERRIDDEN)
@pytest.mark.parametrize("overrides", OVERRIDES)
def test_overrides_of_a_search_are_refused(part, overrides, reuse):
    """They would reach its last node alone; the message says where the settings of trials belong."""
    with pytest.raises(TypeError, match=r"a search is several.*to the objective, as `@task\(requests="):
        compiled(lambda: OVERRIDDEN[part](search(reuse)).with_overrides(**overrides))


def test_overrides_are_refused_in_a_local_run_too():
    """In a dynamic task, whose graph is never made there; overrides of other nodes remain."""

    @fl.dynamic
    def body() -> int:
        prepared().with_overrides(retries=2)
        study = search()
        study.with_overrides(retries=2)
        return study.n_complete

    with pytest.raises(TypeError, match="a search is several"):
        body()


@pytest.mark.parametrize("part", OVERRIDDEN)
def test_a_number_runs_before_nothing(part):
    """``>>`` orders nodes, and a study is no number to shift."""
    with pytest.raises(TypeError, match=r"is known once the search has run.*but got `>>`"):
        compiled(lambda: 5 >> OVERRIDDEN[part](search()))
