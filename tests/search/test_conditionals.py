"""Searches and conditionals: what a study has decides, and a branch uses it, in a local run as across processes."""

import flytekit as fl
import pytest

from flyteoptuna import Optimizer, suggest
from flyteoptuna.testing import run

FLOW = "flow_of_conditionals"
EXPECTED = {
    "by_value": "good",
    "by_value_that_is_not": "other",
    "by_two_attributes": "tree",
    "by_count": "all well",
    "by_output": "tree of 2",
    "inside": "tree of 2",
    "of_a_branch": "tree of 2",
}


@fl.task
def objective(x: float) -> float:
    return x


@fl.task
def say(text: str) -> str:
    return text


@pytest.mark.parametrize("name", EXPECTED)
def test_a_conditional_decides_by_a_study_and_its_branches_use_it(flows, name):
    """A value, a count, several of them and an output; `optimizer.study` and `optimizer.best` inside of branches."""
    workflow = getattr(flows(FLOW), name)
    assert workflow() == run(workflow).outputs == EXPECTED[name]


def test_a_branch_that_is_not_taken_runs_no_search(flows):
    """Where the search is in a workflow of its own."""
    assert flows(FLOW).of_a_branch(again=False) == "no"


def searched(reuse_pods):
    optimizer = Optimizer(objective, 1, 1, reuse_pods=reuse_pods)
    return optimizer(x=suggest.float(0, 1))


def in_a_branch(again, reuse_pods):
    return fl.conditional("c").if_(again.is_true()).then(searched(reuse_pods)).else_().then(say(text="no"))


def in_a_condition(again, reuse_pods):
    return fl.conditional("c").if_(searched(reuse_pods).n_fail == 0).then(say(text="a")).else_().then(say(text="b"))


def in_a_nested_one(again, reuse_pods):
    inner = fl.conditional("c").if_(again.is_true())
    inner = inner.then(fl.conditional("d").if_(again.is_true()).then(searched(reuse_pods)).else_().fail("no"))
    return inner.else_().fail("no")


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        (
            lambda study: study.best_params["x"] > 0.5,
            r"compare a study's numbers, as `study.best_value`, but got `study.b",
        ),
        (lambda study: study.n_fail > 0.5, r"`study.n_fail` is an int, and Flyte compares ints with ints, but got 0.5"),
        (lambda study: study.best_trials == 1, r"`study.best_trials` is known once the search has run"),
    ],
)
def test_a_comparison_that_flyte_would_refuse_is_refused_where_it_is_written(compare, message):
    """Flyte compares whole outputs of equal types."""

    def workflow() -> str:
        study = Optimizer(objective, 1, 1)(x=suggest.float(0, 1))
        return fl.conditional("c").if_(compare(study)).then(say(text="a")).else_().then(say(text="b"))

    with pytest.raises(TypeError, match=message):
        fl.workflow(workflow).compile()


def test_an_attribute_may_be_compared_again_and_another_one_in_another_conditional():
    """As each conditional is a node of its own."""

    @fl.workflow
    def workflow() -> tuple[str, str]:
        study = Optimizer(objective, 1, 1)(x=suggest.float(0, 1))
        within = (study.best_value > 0.0) & (study.best_value < 1.0)
        first = fl.conditional("first").if_(within).then(say(text="a")).else_().then(say(text="b"))
        well = study.n_fail == 0
        return first, fl.conditional("second").if_(well).then(say(text="c")).else_().then(say(text="d"))

    assert tuple(workflow()) == ("a", "c")


@pytest.mark.parametrize("reuse_pods", [False, True])
@pytest.mark.parametrize("branches", [in_a_branch, in_a_condition, in_a_nested_one])
def test_a_search_in_a_conditional_is_refused(branches, reuse_pods):
    """Flytekit keeps one node of a branch, and would lose all others of the search."""

    def workflow(again: bool):
        branches(again, reuse_pods)

    with pytest.raises(TypeError, match=r"A search cannot stand in a conditional.*call the optimizer in a workflow of"):
        fl.workflow(workflow).compile()
