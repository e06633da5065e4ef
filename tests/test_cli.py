"""The command line, and the studies that it finds."""

import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import flytekit as fl
import msgpack
import optuna
import pytest
from click.testing import CliRunner
from containers import CODE, study_of
from engine import Engine
from flyteidl.admin import common_pb2, execution_pb2, node_execution_pb2
from flyteidl.core import execution_pb2 as phases
from flyteidl.core import literals_pb2 as pb
from flytekit.configuration import Config
from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.models.execution import Execution, NodeExecutionGetDataResponse, WorkflowExecutionGetDataResponse
from flytekit.models.node_execution import NodeExecution
from flytekit.remote import FlyteRemote
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from flyteoptuna import cli, export, plan, stored, study_file
from flyteoptuna.study import ERROR_ATTRIBUTE
from flyteoptuna.study_file import StudyFormatError, dumps

EXAMPLES = Path(__file__).parent.parent / "examples"
FLYTE = "flyte://flytesnacks/development/ex"


def run(*args, code=0):
    """What a command prints: standard output where it succeeds, standard error where it must not."""
    result = CliRunner().invoke(cli.main, list(map(str, args)))
    assert result.exit_code == code, result.output
    if code:
        assert isinstance(result.exception, SystemExit)
        return result.stderr
    assert result.stderr == ""
    return result.stdout


def rows(text):
    """The cells of a table in a pipe, by its headers' first words."""
    lines = [line.split() for line in text.splitlines()]
    return lines[1:]


SPACE = {
    "x": FloatDistribution(-1, 1),
    "rate": FloatDistribution(1e-5, 1, log=True),
    "n.layers": IntDistribution(1, 9),
    "kind": CategoricalDistribution(["tree", None, 3, True]),
}


def mixed(directions=("minimize",), n_trials=12):
    """A study with trials of every state, awkward numbers and all kinds of attributes."""
    study = optuna.create_study(directions=list(directions), study_name="mixed")
    study.set_user_attr("note", {"by": ["me", 1]})
    start = datetime(2026, 1, 2, 3, 4, 5, 678901)
    for i in range(n_trials):
        state = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE][i % 4]
        params = {
            "x": 1 / (i + 3),
            "rate": 1e-5 * (i + 1),
            "n.layers": 1 + i % 9,
            "kind": ["tree", None, 3, True][i % 4],
        }
        complete = state == TrialState.COMPLETE
        trial = create_trial(
            state=state,
            values=[0.1 * i / (k + 3) for k in range(len(directions))] if complete else None,
            params=params,
            distributions=SPACE,
            user_attrs={"path": f"s3://{i}", "many": [1, {"a": None}], **_error(i, state)},
            system_attrs={"mark": {"generation": i // 3}},
            intermediate_values={0: 0.5, 3: 1 / 3} if i % 2 else {},
        )
        trial.datetime_start, trial.datetime_complete = start, start + timedelta(seconds=61.5 * i)
        study.add_trial(trial)
    study.ask()
    study.enqueue_trial({"x": 0.25})
    return study


def _error(i, state):
    failed = state == TrialState.FAIL
    return {ERROR_ATTRIBUTE: f"ValueError: trial {i} [bold]\x1b[31m is bad\n\nTraceback"} if failed else {}


@pytest.fixture
def saved(tmp_path):
    """A function that saves a study, and returns the path."""

    def save(study):
        path = tmp_path / "one.study"
        path.write_bytes(dumps(study))
        return path

    return save


# What would a search run?


def test_help_comes_fast_and_teaches():
    """`--help` imports neither optuna nor flytekit, and each command shows how it is used."""
    code = (
        "import sys, contextlib\nfrom flyteoptuna.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print({'optuna', 'flytekit', 'rich', 'pandas'} & set(sys.modules))"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "flyteoptuna plan workflows/train.py:train --n-trials 200" in made.stdout
    assert made.stdout.endswith("set()\n")
    assert "--input n_trials=500" in run("plan", "--help")
    assert "flyte://PROJECT/DOMAIN/EXECUTION" in run("show", "--help")
    assert "--to sqlite:///study.db" in run("export", "--help")
    assert run("--version").startswith("flyteoptuna ")


def test_the_quickstart_is_planned_by_its_defaults():
    """20 trials, 4 at once: 5 generations, and 7 driver pods for them, the search and the finish."""
    [line] = rows(run("plan", f"{EXAMPLES / 'quickstart.py'}:train"))
    assert line == ["quickstart.objective", "n0", "20", "4", "4", "5", "0", "7", "20", "2", "5"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--n-trials", "100"], ["100", "4", "4", "25", "3", "30", "100", "3", "8"]),
        (["--n_trials", "1000", "--concurrency", "10"], ["1000", "10", "10", "100", "14", "116", "1000", "4", "8"]),
        (["--concurrency", "10"], ["20", "10", "10", "2", "0", "4", "20", "2", "2"]),
        (["--concurrency", "10", "--batch-size", "1"], ["20", "10", "1", "20", "2", "24", "20", "3", "8"]),
        (["--input", "n_trials=9", "--input", "concurrency=9"], ["9", "9", "9", "1", "0", "3", "9", "2", "1"]),
    ],
)
def test_options_and_inputs_replace_the_workflows_numbers(options, expected):
    """The batch follows the concurrency, unless it is given."""
    [line] = rows(run("plan", f"{EXAMPLES / 'quickstart.py'}:train", *options))
    assert line[2:] == expected


def test_shapes_of_long_searches():
    """100,000 generations nest seven deep, and cost a seventh more pods."""
    of = plan.shape(400_000, 4)
    assert of.generations == 100_000
    assert of.spans == math.ceil((100_000 - 1) / (plan.ARITY - 1)) - 1
    assert (of.depth, of.widest) == (math.ceil(math.log(100_000, plan.ARITY)) + 1, plan.ARITY)


FLOWS = """
import flytekit as fl
from flyteoptuna import Optimizer, suggest

@fl.task
def upstream() -> int:
    return 3

@fl.task
def objective(x: float, y: int) -> float:
    return x

def search(n, concurrency=2, **more):
    return Optimizer(objective, concurrency, n, **more)(x=suggest.float(0, 1), y=1).best_value

@fl.workflow
def inner(n: int = 50) -> float:
    return search(n)

@fl.workflow
def outer(n_trials: int = 20) -> float:
    inner(n=n_trials)
    inner()
    planned(n=7)
    return search(9, concurrency=n_trials, batch_size=3)

planned = fl.LaunchPlan.get_or_create(inner, name="planned", default_inputs={"n": 30})

@fl.workflow
def unknown(needed: int) -> float:
    return search(upstream(), concurrency=needed)

@fl.workflow
def none() -> int:
    return upstream()

@fl.workflow
def conditional(n: int = 8) -> float:
    return fl.conditional("which").if_(n > 3).then(inner(n=n)).else_().then(inner(n=1))
"""


@pytest.fixture
def module(tmp_path):
    """A module of a package, by its path."""
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/__init__.py").touch()
    path = tmp_path / "workflows/flows_to_plan.py"
    path.write_text(FLOWS)
    yield path
    for name in ("workflows", "workflows.flows_to_plan"):
        sys.modules.pop(name, None)
    fl.LaunchPlan.CACHE.clear()


def test_searches_in_workflows_and_launch_plans_are_planned(module):
    """A row for each, with the numbers that the outer workflow hands down; the name is that of the package."""
    found = rows(run("plan", f"{module}:outer", "--input", "n_trials=40"))
    assert {line[0] for line in found} == {"workflows.flows_to_plan.objective"}
    assert [line[1:5] for line in found] == [
        ["n0/n0", "40", "2", "2"],
        ["n1/n0", "50", "2", "2"],
        ["n2/n0", "7", "2", "2"],
        ["n3", "9", "40", "3"],
    ]
    assert [line[2] for line in rows(run("plan", f"{module}:planned"))] == ["30"]


def test_both_branches_of_a_conditional_are_planned(module):
    """Which of them runs is not known before."""
    assert sorted(line[2] for line in rows(run("plan", f"{module}:conditional"))) == ["1", "8"]


def test_numbers_that_are_not_known_are_asked_for(module):
    """The table has question marks for them, and an error names the option; options make it whole."""
    result = CliRunner().invoke(cli.main, ["plan", f"{module}:unknown"])
    assert result.exit_code == 1
    [line] = rows(result.stdout)
    assert line[2:] == ["?"] * 9
    assert result.stderr.splitlines() == [
        "Error: `n_trials` of n1 is an output of node n0 (workflows.flows_to_plan.upstream), which is known when that "
        "has run: give --n-trials.",
        "Error: `concurrency` of n1 is the input `needed`, which has no default: give --concurrency.",
    ]
    [line] = rows(run("plan", f"{module}:unknown", "--n-trials", "4", "--concurrency", "2"))
    assert line[2:6] == ["4", "2", "2", "2"]
    error = run("plan", f"{module}:unknown", "--n-trials", "4", "--input", "needed=many", code=1)
    assert error.splitlines()[0] == "Error: `concurrency` of n1 must be a positive int, but is 'many'."


@pytest.mark.parametrize(
    ("target", "options", "code", "message"),
    [
        ("train", [], 2, "Expected MODULE:WORKFLOW, as in pkg.train:main or path/to/train.py:main, but got 'train'."),
        ("{dir}/absent.py:main", [], 2, "There is no file {dir}/absent.py."),
        ("no.such.module:main", [], 1, "no.such.module cannot be imported: ModuleNotFoundError: No module named 'no'"),
        ("{module}:wrong", [], 2, "{module} has no workflow `wrong`; it has: inner, outer, planned, unknown, none, "),
        ("{module}:none", [], 1, "There is no search in {module}:none."),
        ("{module}:inner", ["--input", "n"], 2, "`--input` must be NAME=VALUE, but got 'n'."),
        ("{module}:inner", ["--input", "m=1"], 2, "workflows.flows_to_plan.inner has no input `m`; it has: n."),
        ("{module}:inner", ["--n-trials", "0"], 2, "Invalid value for '--n-trials' / '--n_trials': 0 is not in the"),
    ],
)
def test_what_cannot_be_planned(module, target, options, code, message):
    """One line says why."""
    names = {"dir": module.parent, "module": module}
    error = run("plan", target.format(**names), *options, code=code)
    assert f"Error: {message.format(**names)}" in error
    assert len(error.splitlines()) == (4 if "Invalid" in message else 1)


def test_a_workflow_that_does_not_compile(tmp_path):
    """The user's own error is quoted."""
    path = tmp_path / "broken_flow.py"
    path.write_text(
        "import flytekit as fl\n\n@fl.workflow\ndef main() -> int:\n    raise RuntimeError('not\\nyet')\n    return 1\n"
    )
    error = run("plan", f"{path}:main", code=1)
    assert f"{path}:main does not compile: " in error and len(error.splitlines()) == 1


# How did it go?


def test_show_a_study_with_trials_of_every_state(saved):
    """The best trials come first, with few digits; failures that differ in their number alone are one line."""
    text = run("show", saved(mixed()), "--best", 2)
    assert "mixed: minimize\n14 trials: 6 complete, 3 pruned, 3 failed, 1 running, 1 waiting\n" in text
    assert "2026-01-02 03:04:05 to 2026-01-02 03:15:22 (11 min 16 s)" in text
    assert "The best 2 of 6 complete trials:" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["trial", "value", "x", "rate", "n.layers", "kind", "took"] in lines
    assert ["0", "0", "0.333333", "1e-05", "1", "tree", "<0.01", "s"] in lines
    assert ["3", "0.1", "0.166667", "4e-05", "4", "True", "3", "min", "4", "s"] in lines
    assert "     3  1, 5, 9  ValueError: trial 1 [bold]\ufffd[31m is bad" in text.splitlines()
    assert "\x1b" not in text and "Traceback" not in text


def test_show_the_best_of_a_study_that_maximises(saved):
    """The largest value is the best."""
    lines = [line.split() for line in run("show", saved(mixed(["maximize"])), "--best", 1).splitlines()]
    assert [line[:2] for line in lines if line[:1] == ["11"]] == [["11", "0.366667"]]


def test_show_the_pareto_front(saved):
    """Of several directions those that no other trial beats, under the names of the metrics."""
    study = mixed(["minimize", "maximize"])
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", ["loss", "accuracy"])
    text = run("show", saved(study), "--best", 4)
    assert "mixed: minimize loss, maximize accuracy" in text
    assert "4 of the 6 trials on the Pareto front:" in text
    assert ["trial", "loss", "accuracy"] in [line.split()[:3] for line in text.splitlines()]


def test_show_trials_that_violate_constraints_last_or_not_at_all(saved):
    """A trial is only the best if its constraints hold."""
    study = optuna.create_study()
    for value, excess in [(1.0, 1.0), (2.0, -1.0)]:
        study.add_trial(create_trial(value=value, system_attrs={"constraints": [excess]}))
    text = run("show", saved(study))
    assert "The best 1 of 2 complete trials; 1 violate a constraint:" in text
    assert text.splitlines()[-1].split()[:2] == ["1", "2"]


def test_show_a_study_without_complete_trials(saved):
    """It says so."""
    study = optuna.create_study(study_name="empty")
    assert run("show", saved(study)) == "empty: minimize\n0 trials\n\nNo trial is complete.\n"


def test_show_unpickles_nothing(saved, monkeypatch):
    """A sampler that would run code when it is unpickled does not run it; a trusted load does."""

    class Trap(optuna.samplers.RandomSampler):
        def __reduce__(self):
            return os.putenv, ("TRAP", "sprung")

    path = saved(optuna.create_study(sampler=Trap()))
    sprung = []
    monkeypatch.setattr(os, "putenv", lambda *args: sprung.append(args))
    monkeypatch.setattr(study_file.cloudpickle, "loads", lambda data: sprung.append(data))
    run("show", path)
    stored.load_study(path)
    assert sprung == []
    with pytest.raises(StudyFormatError):
        stored.load_study(path, trusted=True)
    assert len(sprung) == 1


def test_a_trusted_study_goes_on(saved):
    """With its own sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    path = saved(study)
    again = stored.load_study(path, trusted=True)
    assert again.ask().suggest_float("x", 0, 1) == study.ask().suggest_float("x", 0, 1)


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_study_at_a_url(saved, scheme, tmp_path):
    """Through fsspec."""
    import fsspec

    study = mixed()
    url = f"file://{saved(study)}" if scheme == "file" else "memory://bucket/one.study"
    with fsspec.open(url, "wb") as file:
        file.write(dumps(study))
    assert len(stored.load_study(url).trials) == 14
    assert "14 trials" in run("show", url)
    missing = url.replace("one", "two")
    assert run("show", missing, code=1) == f"Error: There is no file {missing}\n"


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("{dir}/absent", 1, "There is no file {dir}/absent"),
        ("{dir}", 1, "{dir} cannot be read: IsADirectoryError"),
        ("{dir}/text", 1, "{dir}/text: Not a study file: "),
        ("nosuch://bucket/study", 1, "nosuch://bucket/study cannot be read: ValueError: Protocol not known: nosuch"),
        ("flyte://project/domain", 2, "`flyte://project/domain` is no execution: expected flyte://PROJECT/DOMAIN/EXEC"),
        ("flyte://p/d/e/out#n0", 2, "`flyte://p/d/e/out#n0` is no execution"),
    ],
)
def test_what_is_no_study(tmp_path, source, code, message):
    """One line says what is there instead."""
    (tmp_path / "text").write_text("text")
    error = run("show", source.format(dir=tmp_path), code=code)
    assert error.startswith(f"Error: {message.format(dir=tmp_path)}") and len(error.splitlines()) == 1


# Studies of executions


class Admin:
    """Flyte's admin, as far as it is asked, with what an engine has run.

    Args:
        outputs: literals that the workflow has output.
        nodes: a node's path, its parent's path, its inputs and its outputs, in the order in which they began.
        phase: phase of the execution.
        error: why it failed.
    """

    def __init__(self, outputs, nodes, phase="SUCCEEDED", error=""):
        self.outputs, self.nodes, self.phase, self.error = outputs, nodes, phase, error
        self.calls = Counter()

    def _known(self, identifier):
        if identifier.name != "ex":
            raise FlyteEntityNotExistException("no execution")

    def get_execution(self, identifier):
        self._known(identifier)
        closure = execution_pb2.ExecutionClosure(phase=getattr(phases.WorkflowExecution, self.phase))
        if self.error:
            closure.error.CopyFrom(phases.ExecutionError(code="USER", message=self.error))
        closure.created_at.GetCurrentTime()
        return Execution.from_flyte_idl(execution_pb2.Execution(id=identifier.to_flyte_idl(), closure=closure))

    def get_execution_data(self, identifier):
        message = execution_pb2.WorkflowExecutionGetDataResponse(full_outputs=pb.LiteralMap(literals=self.outputs))
        return WorkflowExecutionGetDataResponse.from_flyte_idl(message)

    def _node(self, execution, position):
        path, _, _, _ = self.nodes[position]
        children = any(parent == path for _, parent, _, _ in self.nodes)
        metadata = node_execution_pb2.NodeExecutionMetaData(
            is_parent_node=children, spec_node_id=path.rpartition("-")[2], is_array="trials-of" in path
        )
        node = node_execution_pb2.NodeExecution(metadata=metadata)
        node.id.node_id = path
        node.id.execution_id.CopyFrom(execution.to_flyte_idl())
        node.closure.created_at.FromDatetime(datetime.fromtimestamp(position, timezone.utc).replace(tzinfo=None))
        return NodeExecution.from_flyte_idl(node)

    def list_node_executions(
        self, workflow_execution_identifier, limit, token, filters=None, sort_by=None, unique_parent_id=None
    ):
        self.calls["list"] += 1
        found = [i for i, node in enumerate(self.nodes) if node[1] == (unique_parent_id or "")]
        return [self._node(workflow_execution_identifier, i) for i in found], ""

    def get_node_execution(self, identifier):
        for i, (path, _, _, _) in enumerate(self.nodes):
            if path == identifier.node_id:
                return self._node(identifier.execution_id, i)
        raise FlyteEntityNotExistException("no node")

    def get_node_execution_data(self, identifier):
        self.calls["data"] += 1
        [(inputs, outputs)] = [node[2:] for node in self.nodes if node[0] == identifier.node_id]
        message = node_execution_pb2.NodeExecutionGetDataResponse(full_outputs=pb.LiteralMap(literals=outputs))
        if isinstance(inputs, Path):
            message.inputs.CopyFrom(common_pb2.UrlBlob(url=str(inputs), bytes=inputs.stat().st_size))
        else:
            message.full_inputs.CopyFrom(pb.LiteralMap(literals=inputs))
        return NodeExecutionGetDataResponse.from_flyte_idl(message)


def remote_of(admin):
    """A real remote, whose client is replaced before it connects."""
    remote = FlyteRemote(Config.for_endpoint("nowhere.invalid"))
    remote._client, remote._client_initialized = admin, True
    return remote


@pytest.fixture(scope="module")
def execution(tmp_path_factory):
    """An execution of four trials in two generations: the workflow's outputs and its nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        flow = __import__("flow_of_squares")
        engine = Engine(tmp_path_factory.mktemp("engine"), CODE)
        outputs = engine.run(flow.search, {"concurrency": 2, "n_trials": 4})
    folders = {"": next((engine.root / "metadata").iterdir())}
    nodes = []
    for graph_ in engine.graphs:
        parent = graph_.path.rpartition("-")[0]
        for name, _ in graph_.nodes:
            path = f"{graph_.path}-{name}" if graph_.path else name
            data = folders[graph_.path] / name / ("" if graph_.path else "data")
            folders[f"{path}-0"] = data / "0"
            nodes.append((path, parent, data / "inputs.pb", engine.finished.outputs[path]))
    return outputs, nodes


def state_at(execution, ended, gone=()):
    """The nodes of an execution as they were when only those in `ended` had ended, and those in `gone` not begun."""
    return [
        (path, parent, inputs, outputs if path in ended else {})
        for path, parent, inputs, outputs in execution[1]
        if not any(path.startswith(name) for name in gone)
    ]


def load(admin, source=FLYTE, **kwargs):
    return stored.load_study(source, remote=remote_of(admin), **kwargs)


def same(study, other):
    """Whether the trials are the same, but for the times at which those without a report were told."""
    return [(t.number, t.state, t.values, t.params) for t in study.trials] == [
        (t.number, t.state, t.values, t.params) for t in other.trials
    ]


def test_the_study_that_a_workflow_outputs(execution):
    """Found by its literal, among outputs of other types; one call for it."""
    admin = Admin(*execution)
    study = load(admin)
    assert study.trials == study_of(execution[0]["o0"]).trials and len(study.trials) == 4
    assert not admin.calls
    assert load(Admin(*execution), f"{FLYTE}/o0").trials == study.trials
    again = load(Admin(*execution), trusted=True)
    assert isinstance(again.sampler, optuna.samplers.RandomSampler)


def test_the_study_of_a_workflow_that_outputs_none(execution):
    """It is the one that the finish made."""
    outputs = {name: literal for name, literal in execution[0].items() if name != "o0"}
    admin = Admin(outputs, execution[1])
    assert load(admin).trials == study_of(execution[0]["o0"]).trials
    assert admin.calls == {"list": 1, "data": 1}


def test_the_study_while_a_batch_runs(execution):
    """The batch before is told, and the trials of this one are running."""
    ended = {"n0", "n1-0-dn0", "n1-0-dn0-0-trials-of-generation-0"}
    study = load(Admin({}, state_at(execution, ended, gone=["n2"]), "RUNNING"))
    assert [t.state.is_finished() for t in study.trials] == [True, True, False, False]
    assert {t.state for t in study.trials[2:]} == {TrialState.RUNNING}


def test_the_study_between_two_generations(execution):
    """The reports that no driver has told yet are in it."""
    ended = {"n0", "n1-0-dn0", "n1-0-dn0-0-trials-of-generation-0"}
    study = load(Admin({}, state_at(execution, ended, gone=["n2", "n1-0-dn1"]), "RUNNING"))
    assert len(study.trials) == 2
    assert [t.values for t in study.trials] == [t.values for t in study_of(execution[0]["o0"]).trials[:2]]


@pytest.mark.parametrize("trusted", [False, True])
def test_the_study_of_a_search_that_failed_in_the_end(execution, trusted):
    """All its trials are told, as the finish would have."""
    ended = {path for path, *_ in execution[1]} - {"n2"}
    admin = Admin({}, state_at(execution, ended), "FAILED", "[2/2] finish failed\nTraceback")
    assert same(load(admin, trusted=trusted), study_of(execution[0]["o0"]))


def test_the_study_of_one_node(execution):
    """The search's own is the last generation's, with its reports; a nested node is found by its unique id."""
    final = study_of(execution[0]["o0"])
    assert same(load(Admin(*execution), f"{FLYTE}#n1"), final)
    assert load(Admin(*execution), f"{FLYTE}#n2").trials == final.trials
    assert len(load(Admin(*execution), f"{FLYTE}#n1-0-dn0").trials) == 2


def literal_of(study, **fields):
    """A study as an output literal: inline, as a workflow binds one at registration."""
    packed = msgpack.dumps({"n_trials": len(study.trials), **(fields or {"_data": dumps(study)})})
    return pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=packed, tag="msgpack")))


def test_a_study_inline_or_in_an_optional():
    """Read without a file."""
    study = mixed()
    inner = literal_of(study)
    union = pb.Literal(scalar=pb.Scalar(union=pb.Union(value=inner)))
    number = pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(integer=3)))
    for literal in (inner, union):
        found = load(Admin({"o0": number, "o1": literal}, []))
        assert found.study_name == "mixed" and len(found.trials) == 14
    start = [("n0", "", {"study": inner}, {}), ("end-node", "", {}, {})]
    assert len(load(Admin({}, start, "RUNNING")).trials) == 14


def test_structs_that_are_no_studies_are_passed_over():
    """Another dataclass with a path, bytes that are no msgpack, and a task that compares two studies."""
    study = mixed()
    other = pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=msgpack.dumps({"_path": "x"}), tag="msgpack")))
    odd = pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=b"\xc1", tag="msgpack")))
    smaller = literal_of(mixed(n_trials=1))
    nodes = [
        ("n0", "", {}, {"o0": literal_of(study)}),
        ("n1", "", {"a": literal_of(study), "b": smaller}, {}),
        ("n2", "", {"a": odd}, {"o0": other}),
    ]
    assert len(load(Admin({}, nodes)).trials) == 14


@pytest.mark.parametrize(
    ("source", "admin", "message"),
    [
        ("flyte://a/b/c", Admin({}, []), "There is no execution flyte://a/b/c"),
        (FLYTE, Admin({}, [], "QUEUED"), f"No study is in {FLYTE}. The execution is QUEUED"),
        (
            FLYTE,
            Admin({}, [], "FAILED", "pod died\nTraceback"),
            f"No study is in {FLYTE}. The execution is FAILED: pod died",
        ),
        (f"{FLYTE}#n7", Admin({}, [], "RUNNING"), f"{FLYTE} has no node n7. The execution is RUNNING"),
        (f"{FLYTE}#n0", Admin({}, [("n0", "", {}, {})]), f"No study is in {FLYTE}#n0. The execution is SUCCEEDED"),
        (
            f"{FLYTE}/best",
            Admin({"o0": literal_of(mixed())}, []),
            f"{FLYTE} has no study as output `best`; its studies: o0. The execution is SUCCEEDED",
        ),
        (
            FLYTE,
            Admin({"a": literal_of(mixed()), "b": literal_of(mixed())}, []),
            f"{FLYTE} outputs several studies: add one of /a, /b",
        ),
        (
            FLYTE,
            Admin({"a": literal_of(mixed(), _path="/no/such/file")}, []),
            "There is no file /no/such/file",
        ),
    ],
    ids=["absent", "queued", "failed", "no node", "bare node", "no output", "several", "file gone"],
)
def test_executions_without_a_study(monkeypatch, source, admin, message):
    """One line says what there is instead, from the command line too."""
    with pytest.raises(stored.StudyNotFoundError) as raised:
        load(admin, source)
    assert str(raised.value) == message
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(admin))
    assert run("show", source, code=1) == f"Error: {message}\n"


def test_a_cluster_out_of_reach(monkeypatch):
    """One line, whatever the client raises."""

    class Broken:
        def get_execution(self, identifier):
            raise RuntimeError("no token\nfor you")

    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(Broken()))
    assert run("show", FLYTE, code=1) == f"Error: {FLYTE} is out of reach: RuntimeError: no token\n"


# A study for other tools


def written(target, name="mixed"):
    """The study in a database or a journal."""
    if "://" in str(target):
        return optuna.load_study(study_name=name, storage=str(target))
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(target))))


def everything(study):
    """All that a study holds, but for ids."""
    system = study._storage.get_study_system_attrs(study._study_id)
    trials = [{k: v for k, v in vars(t).items() if k != "_trial_id"} for t in study.trials]
    return study.directions, study.user_attrs, system, trials


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize", "maximize"]])
@pytest.mark.parametrize("kind", ["sqlite:///{}/study.db", "{}/study.log", "{}/study.journal"])
def test_everything_is_in_a_database_and_in_a_journal(saved, tmp_path, directions, kind):
    """Numbers, states, values, parameters, distributions, times, attributes, intermediate values."""
    study = mixed(directions)
    target = kind.format(tmp_path)
    assert run("export", saved(study), "--to", target) == f"14 trials of mixed written to {target}\n"
    assert everything(written(target)) == everything(study)
    assert {t.state for t in written(target).trials} == set(TrialState)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["one.study", target.rpartition("/")[2]])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]])
def test_everything_is_in_a_table(saved, tmp_path, directions, ending):
    """A row for each trial; lists and dictionaries are JSON, and so are parameters of several types in parquet."""
    import pandas as pd

    study = mixed(directions)
    target = tmp_path / f"trials.{ending}"
    run("export", saved(study), "--to", target)
    frame = pd.read_csv(target, float_precision="round_trip") if ending == "csv" else pd.read_parquet(target)
    assert list(frame["number"]) == list(range(14))
    assert list(frame["state"]) == [t.state.name for t in study.trials]
    for i, column in enumerate(["value"] if len(directions) == 1 else ["values_0", "values_1"]):
        expected = [t.values[i] if t.values else math.nan for t in study.trials]
        assert frame[column].tolist() == pytest.approx(expected, nan_ok=True, rel=0, abs=0)
    assert frame["params_x"][:12].tolist() == [t.params["x"] for t in study.trials[:12]]
    assert frame["intermediate_values_3"][1] == 1 / 3
    assert json.loads(frame["user_attrs_many"][0]) == [1, {"a": None}]
    assert json.loads(frame["system_attrs_mark"][3]) == {"generation": 1}
    assert pd.to_datetime(frame["datetime_start"])[0] == study.trials[0].datetime_start
    kinds = frame["params_kind"][:4].tolist()
    assert (kinds[0], kinds[2]) == (("tree", "3") if ending == "csv" else ('"tree"', "3"))


def test_what_exists_is_replaced_only_if_that_is_asked_for(saved, tmp_path):
    """A file, and a study of the name in a database; another name stands beside it."""
    path, table, base = saved(mixed()), tmp_path / "t.csv", f"sqlite:///{tmp_path}/study.db"
    table.write_text("mine")
    error = run("export", path, "--to", table, code=1)
    assert error == f"Error: {table} exists: give another one, or --overwrite it.\n" and table.read_text() == "mine"
    run("export", path, "--to", table, "--overwrite")
    assert table.read_text().startswith("number,")
    run("export", path, "--to", base)
    error = run("export", path, "--to", base, code=1)
    assert error == "Error: The database has a study 'mixed': give another --name, or --overwrite it.\n"
    run("export", path, "--to", base, "--name", "other")
    saved(mixed(n_trials=1))
    run("export", path, "--to", base, "--overwrite")
    assert (len(written(base).trials), len(written(base, "other").trials)) == (3, 14)


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("study.db", 2, "`--to` must be a database URL or end in .log, .journal, .csv, .parquet, but got 'study.db'."),
        ("s3://b/t.csv", 2, "`--to` must be a file here or a database (sqlite, mysql, postgresql), but got s3://."),
        ("/no/such/t.csv", 1, "The study cannot be written there: OSError"),
        ("/no/such/t.log", 1, "The study cannot be written there: FileNotFoundError"),
        ("sqlite:////no/such/t.db", 1, "The study cannot be written there: OperationalError"),
        ("mysql+nodriver://u:secret@h/d", 1, "The study cannot be written there: "),
    ],
)
def test_targets_that_cannot_be_written(saved, target, code, message):
    """One line, without the password."""
    error = run("export", saved(mixed()), "--to", target, code=code)
    assert error.startswith(f"Error: {message}") and len(error.splitlines()) == 1 and "secret" not in error


def test_an_export_that_fails_leaves_nothing(saved, tmp_path, monkeypatch):
    """Neither half a study in a database, nor a part of a file."""
    base, log = f"sqlite:///{tmp_path}/study.db", tmp_path / "study.log"
    path = saved(mixed())

    def fail(*args, **kwargs):
        raise OSError("disk full")

    for storage in ("optuna.storages.RDBStorage", "optuna.storages.journal.JournalStorage"):
        monkeypatch.setattr(f"{storage}.create_new_trial", fail)
    for target in (base, log):
        assert run("export", path, "--to", target, code=1).endswith("OSError: disk full\n")
    assert optuna.get_all_study_names(base) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.study", "study.db"]


def test_tables_need_pandas(saved, tmp_path, monkeypatch):
    """Which the message says, instead of a traceback."""
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    assert run("export", saved(mixed()), "--to", tmp_path / "t.csv", code=1) == (
        "Error: A table needs pandas: pip install pandas\n"
    )


@pytest.fixture
def dashboard(saved, tmp_path):
    """The address of a dashboard over an exported study."""
    pytest.importorskip("optuna_dashboard")
    base = f"sqlite:///{tmp_path}/study.db"
    command = [sys.executable, "-m", "flyteoptuna.cli", "export", str(saved(mixed())), "--to", base]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert made.stdout == f"14 trials of mixed written to {base}\n" and made.stderr == ""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    args = [sys.executable, "-c", code, base, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def test_the_dashboard_shows_an_exported_study(dashboard):
    """With all its trials, read through the dashboard's own interface."""

    def get(path):
        with urllib.request.urlopen(f"{dashboard}{path}") as answer:
            return json.load(answer)

    [summary] = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == "mixed"
    found = get(f"/api/studies/{summary['study_id']}?after=0")
    assert [t["number"] for t in found["trials"]] == list(range(14))
    states = Counter(t["state"] for t in found["trials"])
    assert states == {"Complete": 6, "Pruned": 3, "Fail": 3, "Running": 1, "Waiting": 1}
    assert found["trials"][3]["values"] == [0.1 * 3 / 3]
