"""The graph of a search with reused pods, and what is refused before there is one."""

from collections import OrderedDict
from datetime import timedelta

import flytekit as fl
import optuna
import pytest
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.models.task import TaskSpec
from flytekit.tools.translator import get_serializable

from flyteoptuna import Optimizer, suggest
from flyteoptuna.errors import JournalError
from flyteoptuna.search.reused import search_journal
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.shared import journal_study
from flyteoptuna.testing.engine.engine import SETTINGS

X = suggest.float(0, 1)
TEMPLATE = fl.PodTemplate(labels={"team": "blue"})


@fl.task(
    requests=fl.Resources(cpu="3", mem="5Gi"),
    limits=fl.Resources(cpu="4", mem="6Gi"),
    container_image="registry/own:1",
    environment={"COLOUR": "blue"},
    secret_requests=[fl.Secret(group="g", key="k")],
    retries=2,
    timeout=timedelta(minutes=3),
    interruptible=True,
)
def settled(x: float, y: float) -> float:
    return x


@fl.task(pod_template=TEMPLATE)
def templated(x: float) -> float:
    return x


@fl.task(cache=True, cache_version="1")
def cached(x: float) -> float:
    return x


@fl.workflow
def search(n_trials: int = 100, concurrency: int = 8) -> optuna.Study:
    return Optimizer(settled, concurrency, n_trials, reuse_pods=True)(x=X, y=1.0)


@fl.workflow
def search_templated() -> optuna.Study:
    return Optimizer(templated, 8, 100, reuse_pods=True)(x=X)


def compiled(workflow):
    entities = OrderedDict()
    spec = get_serializable(entities, SETTINGS, workflow).to_flyte_idl()
    tasks = [model.to_flyte_idl().template for model in entities.values() if isinstance(model, TaskSpec)]
    return spec.template, {task.id.name.rpartition(".")[2].partition("-")[0]: task for task in tasks}


def test_a_search_is_three_nodes_of_which_none_is_dynamic():
    """The map runs all workers at once, and may lose each of them."""
    template, tasks = compiled(search)
    nodes = [node for node in template.nodes if node.id not in ("start-node", "end-node")]
    assert [node.WhichOneof("target") for node in nodes] == ["task_node", "array_node", "task_node"]
    array = nodes[1].array_node
    assert (array.parallelism, array.min_success_ratio) == (0, 0.0)
    assert array.WhichOneof("success_criteria") == "min_success_ratio"
    assert set(tasks) == {"search", "worker", "finish"}


def test_the_workers_have_the_settings_of_the_objective():
    """Its timeout is not theirs, for it is that of each trial."""
    _, tasks = compiled(search)
    worker, drivers = tasks["worker"], (tasks["search"], tasks["finish"])
    entries = {(entry.name, entry.value) for entry in worker.container.resources.requests}
    assert {value for _, value in entries} == {"3", "5Gi"}
    assert worker.container.image == "registry/own:1"
    assert ("COLOUR", "blue") in {(pair.key, pair.value) for pair in worker.container.env}
    assert [secret.key for secret in worker.security_context.secrets] == ["k"]
    assert worker.metadata.interruptible
    assert not worker.metadata.HasField("timeout") or not worker.metadata.timeout.seconds
    assert worker.metadata.retries.retries == 100
    assert all(not driver.container.resources.requests for driver in drivers)
    assert compiled(search_templated)[1]["worker"].k8s_pod.metadata.labels == {"team": "blue"}


@pytest.mark.parametrize("local", [True, False])
def test_what_pods_that_are_reused_cannot_do_is_refused_at_the_call(local):
    """A cache, for there is no pod to cache; and batches."""

    def call():
        Optimizer(cached, 2, 4, reuse_pods=True)(x=X)

    def workflow() -> None:
        call()

    with pytest.raises(ValueError, match="`cache=True`"):
        call() if local else fl.workflow(workflow).compile()
    with pytest.raises(ValueError, match="there are no batches"):
        Optimizer(settled, 2, 4, reuse_pods=True, batch_size=2)


@pytest.mark.parametrize("task_type", ["pytorch", "mpi", "tensorflow"])
def test_a_task_of_several_pods_is_refused_where_a_worker_is_one(task_type):
    """Each of the pods would take trials under the worker's name."""
    plugin_task = PythonFunctionTask(None, settled.task_function, task_type=task_type)
    with pytest.raises(ValueError, match=f"the plugin of .*settled starts several pods .* of type '{task_type}'"):
        Optimizer(plugin_task, 2, 4, reuse_pods=True)(x=X, y=1.0)


def test_a_store_that_keeps_no_first_object_fails_the_search_before_it_begins(monkeypatch):
    """The error names the store."""
    access = FlyteContextManager.current_context().file_access
    monkeypatch.setattr(type(access), "get_random_remote_directory", lambda self: "memory://somewhere/journal")
    with pytest.raises(JournalError, match="MemoryFileSystem"):
        search_journal.begin_journal(None, SearchSettings(4, 2, 2), ("minimize",), "")


def test_what_a_search_needs_to_begin_a_journal_is_one_object(tmp_path):
    """Nobody ever reads a study of which a part is missing."""
    study = optuna.create_study(study_name="s")
    study.add_trials([optuna.trial.create_trial(value=float(n)) for n in range(20)])
    study.set_user_attr("a", 1)
    journal_study.publish_study(study, search_journal.open_journal(str(tmp_path / "j")))
    assert [path.name for path in (tmp_path / "j").iterdir()] == ["00000000.json"]
