"""Names of studies, and the objective that a study remembers."""

import linecache
import subprocess
import sys

import cloudpickle
import optuna
import pytest
from containers import CODE, study_of

from flyteoptuna import Optimizer, load_study
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.study.system_attrs import find_search_mark, other_objective_warning, store_search_mark
from flyteoptuna.testing import simulate
from flyteoptuna.testing.engine.engine import Engine

NAMES = {
    "batches": ("flow_of_names.loss", "flow_of_names.loss(x, y)"),
    "reused": ("flow_of_names.choose", "flow_of_names.choose(high)"),
}


def remembered(study):
    return study.study_name, find_search_mark(study).objective


@pytest.mark.parametrize("kind", NAMES)
def test_a_new_study_has_the_name_of_its_objective(flows, tmp_path, kind):
    """Of the task or the callback, the same in a local run, in a simulation, and in pods."""
    flow = flows("flow_of_names")
    local = getattr(flow, kind)()
    objective, inputs = (flow.loss, {"x": flow.X}) if kind == "batches" else (flow.choose, {"high": 1.0})
    simulated = simulate(Optimizer(objective, 2, 2, reuse_pods=kind == "reused"), inputs).study
    in_pods = study_of(Engine(tmp_path, CODE).run(getattr(flow, kind), {})["o0"])
    assert [remembered(study) for study in (local, simulated, in_pods)] == [NAMES[kind]] * 3


@pytest.mark.parametrize("reuse", [False, True])
def test_a_given_study_keeps_its_name(flows, reuse):
    """Also the one that Optuna has generated, and through several searches."""
    flow = flows("flow_of_names")
    for given in (optuna.create_study(study_name="mine"), optuna.create_study()):
        study = Optimizer(flow.loss, 1, 1, study=given, reuse_pods=reuse)(x=flow.X)
        more = Optimizer(flow.loss, 1, 1, study=load_study(study.file, trusted=True), reuse_pods=reuse)(x=flow.X)
        assert study.study_name == more.study_name == given.study_name


@pytest.mark.parametrize(
    ("before", "after", "warns"),
    [
        ("", "m.f(x)", False),
        ("m.f(x)", "m.f(x)", False),
        ("m.f(x, y)", "m.f(y, x)", False),
        ("m.f(x)", "pkg.m.f(x)", False),
        ("f(x)", "m.f(x)", False),
        ("m.f()", "m.f()", False),
        ("m.f(x)", "m.g(x)", True),
        ("m.f(x)", "n.f(x)", True),
        ("m.f(x)", "m.of(x)", True),
        ("m.f(x)", "m.f(x, y)", True),
        ("m.f(x)", "m.f()", True),
    ],
)
def test_another_objective_has_another_name_or_other_inputs(before, after, warns):
    """A module that is imported by another name is no other one; an older study, which tells nothing, neither."""
    study = optuna.create_study(study_name="s")
    assert other_objective_warning(study, after) == ""
    store_search_mark(study, 1, 1, objective=before)
    warning = other_objective_warning(restore_study(dump_study(study)), after)
    assert bool(warning) == warns
    assert not warns or (before in warning and after in warning and "'s'" in warning)


@pytest.mark.parametrize("reuse", [False, True])
def test_a_search_warns_of_a_study_of_another_objective(flows, said, reuse):
    """Whether it is given or loaded; a search over the same objective says nothing."""
    flow = flows("flow_of_names")
    study = Optimizer(flow.loss, 1, 1, reuse_pods=reuse)(x=flow.X)
    for given in (study, load_study(study.file), load_study(study.file, trusted=True)):
        Optimizer(flow.loss, 1, 1, study=given, reuse_pods=reuse)(x=flow.X)
        assert not said
        Optimizer(flow.other, 1, 1, study=given, reuse_pods=reuse)(x=flow.X)
        assert len(said) == 1
        assert (
            "its trials are of flow_of_names.loss(x, y), and this search is over flow_of_names.other(x)" in said.pop()
        )


def test_a_search_in_a_workflow_warns_of_a_promised_study(flows, said):
    """Where the promise is known."""
    flows("flow_of_names").continued()
    assert [text for text in said if "another objective" in text]


def test_slots_that_no_batch_fills_are_warned_of(flows, said):
    """When the search is written, where the numbers are known, and else where it runs."""
    flow = flows("flow_of_names")
    flow.batches(concurrency=4, batch_size=4)
    Optimizer(flow.loss, 4, 2, batch_size=2)(x=flow.X)
    assert not said
    flow.batches(concurrency=4, batch_size=1)
    assert said.pop().startswith("`batch_size=1` is less than `concurrency=4`: no more than 1 run at once.")
    Optimizer(flow.loss, 4, 3, batch_size=2)(x=flow.X)
    assert len(said) == 1 and said.pop().startswith("`batch_size=2` is less than `concurrency=4`")


NOTEBOOK = """
import flytekit as fl

@fl.task
def loss(x: float) -> float:
    return x
"""


def test_an_objective_of_a_notebook_has_its_name_alone(tmp_path):
    """There, and in a pod that has unpickled it."""
    names = {"__name__": "__main__"}
    code = compile(NOTEBOOK, "<ipython-input-1>", "exec")
    linecache.cache["<ipython-input-1>"] = len(NOTEBOOK), None, NOTEBOOK.splitlines(keepends=True), "<ipython-input-1>"
    exec(code, names)
    script = "import sys, cloudpickle; from flyteoptuna.flyte.objective import origin_signature\n"
    script += "print(origin_signature(cloudpickle.load(sys.stdin.buffer)))"
    (tmp_path / "pod.py").write_text(script)
    data = cloudpickle.dumps(names["loss"])
    for command in (["-c", script], ["pod.py"]):
        made = subprocess.run([sys.executable, *command], cwd=tmp_path, input=data, capture_output=True, check=False)
        assert made.stdout == b"loss(x)\n", made.stderr
