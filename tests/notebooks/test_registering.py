"""A notebook registers a search: what flytekit then serialises runs in pods that know nothing of the notebook."""

import os
import sys
from pathlib import Path

import flytekit
import msgpack
import pytest
from flyteidl.admin import task_pb2, workflow_pb2
from flyteidl.core import interface_pb2
from kernels import CellFailedError, executed
from packaging.version import Version

from flyteoptuna.testing.engine.engine import Engine

SENT = Version(flytekit.__version__) >= Version("1.16")
"""Whether what registers a workflow sends the pickle of its tasks, as the documentation says of flytekit 1.16."""

WORKFLOWS = """
import flytekit as fl
import optuna
from flyteoptuna import Optimizer, optimize, suggest

OFFSET = 3.0


@fl.task
def offset() -> float:
    return OFFSET


@fl.task
def objective(x: float, above: float) -> float:
    return x + above + OFFSET


@optimize(reuse_pods=True)
def halved(trial: optuna.Trial, above: float):
    return objective(x=trial.suggest_float("x", 0, 1) / 2, above=above)


@fl.workflow
def by_space(concurrency: int = 2, n_trials: int = 6) -> tuple[float, dict, int]:
    study = Optimizer(objective, concurrency, n_trials, reuse_pods=True)(x=suggest.float(0, 1), above=offset())
    return study.best_value, study.best_params, study.n_complete


@fl.workflow
def by_callback(concurrency: int = 2, n_trials: int = 6) -> tuple[float, dict, int]:
    halved.concurrency, halved.n_trials = concurrency, n_trials
    study = halved(above=offset())
    return study.best_value, study.best_params, study.n_complete


@fl.workflow
def in_batches(concurrency: int = 2, n_trials: int = 6) -> float:
    return Optimizer(objective, concurrency, n_trials)(x=suggest.float(0, 1), above=offset()).best_value
"""
REGISTER = """
import pathlib, shutil, uuid
from flytekit.configuration import Config
from flytekit.remote import FlyteRemote


class Registered(Exception):
    pass


class Admin:
    "Keeps what is registered, and ends where flytekit would read it again."

    def create_task(self, task_identifer, task_spec):
        self._keep("task", task_spec)

    def create_workflow(self, workflow_identifier, workflow_spec):
        self._keep("workflow", workflow_spec)

    def get_workflow(self, *args):
        raise Registered

    def __getattr__(self, name):
        return lambda *args, **kwargs: None

    def _keep(self, kind, spec):
        # Flytekit registers several tasks at once.
        name = f"{kind}-{uuid.uuid4().hex}.pb"
        pathlib.Path(name).write_bytes(spec.to_flyte_idl().SerializeToString())


def upload_file(path, *args, **kwargs):
    return b"", "file://" + shutil.copy(path, pathlib.Path().absolute())


remote = FlyteRemote(Config.for_endpoint("nowhere.invalid"), default_project="p", default_domain="d")
remote._client, remote._client_initialized, remote.upload_file = Admin(), True, upload_file
assert remote.interactive_mode_enabled
try:
    remote.register_workflow(WORKFLOW)
except Registered:
    pass
"""


def tasks_of(folder):
    return [task_pb2.TaskSpec.FromString(path.read_bytes()) for path in folder.glob("task-*.pb")]


class OfFolder(Engine):
    """Runs what was registered, of which a folder has the protobufs."""

    def serialize(self, workflow):
        [file] = workflow.glob("workflow-*.pb")
        return workflow_pb2.WorkflowSpec.FromString(file.read_bytes()), [task.template for task in tasks_of(workflow)]

    def parameters(self, workflow):
        inputs = self.serialize(workflow)[0].template.interface.inputs.variables
        return {name: interface_pb2.Parameter(var=each, required=True) for name, each in inputs.items()}


def registered(name, folder):
    folder.mkdir()
    executed([WORKFLOWS, REGISTER.replace("WORKFLOW", name)], folder)
    return folder


@pytest.mark.parametrize(("name", "share"), [("by_space", 1), ("by_callback", 0.5)])
def test_a_search_with_reused_pods_runs_as_a_notebook_has_registered_it(name, share, tmp_path, monkeypatch):
    """Each pod has the pickle alone, in which the functions and the globals of the notebook are."""
    found = registered(name, tmp_path / "notebook")
    commands = {task.template.container.args[0] for task in tasks_of(found)}
    assert (commands == {"pyflyte-fast-execute"}) == SENT
    if not SENT:
        return
    # As in an image, where flytekit's own commands start each other.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    engine = OfFolder(tmp_path / "engine", tmp_path, cold=True)
    made = engine.run(found, {"n_trials": 6, "concurrency": 2})
    value, params, complete = (made[f"o{position}"].scalar for position in range(3))
    assert complete.primitive.integer == 6
    assert {pod.outcome.name for pod in engine.pods} == {"SUCCEEDED"}
    assert [len(engine.of(role)) for role in ("search-", "worker-", "finish-")] == [1, 2, 1]
    assert value.primitive.float_value == msgpack.loads(params.binary.value)["x"] * share + 3.0 + 3.0


def test_flytekit_refuses_a_search_in_batches(tmp_path):
    """For it has dynamic tasks, which flytekit does not pickle."""
    with pytest.raises(CellFailedError, match="Dynamic tasks are not supported"):
        registered("in_batches", tmp_path / "notebook")
