"""The trial task: the settings of its objective, and what its pod decides and imports."""

import json
from datetime import timedelta

import flytekit as fl
import msgpack
import optuna
import pytest
from containers import CODE, run
from flyteidl.core import literals_pb2 as pb
from flytekit.core.pod_template import PodTemplate
from flytekit.tools.translator import get_serializable
from kubernetes.client import V1Container, V1PodSpec
from optuna.trial import TrialState

from flyteoptuna.flyte.objective import STUDY, TRIAL
from flyteoptuna.flyte.references import to_reference
from flyteoptuna.search.pruning import PruningDecision
from flyteoptuna.search.search_tasks import map_task
from flyteoptuna.search.trial_task import REPORT_FORMAT, trial_task
from flyteoptuna.testing.engine.engine import SETTINGS, Engine
from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

SHARED = {
    "retries": 3,
    "timeout": timedelta(minutes=5),
    "interruptible": True,
    "requests": fl.Resources(cpu="2", mem="3Gi"),
    "limits": fl.Resources(cpu="4", gpu="1"),
    "secret_requests": [fl.Secret(group="group", key="key")],
    "environment": {"COLOUR": "blue"},
    "container_image": "registry/special:1",
}


@fl.task(**SHARED, cache=True, cache_version="7", cache_serialize=True, cache_ignore_input_vars=("y",))
def contained(x: float, y: float = 0.0) -> float:
    return x


@fl.task(
    retries=1,
    pod_template=PodTemplate(
        primary_container_name="primary",
        labels={"team": "red"},
        pod_spec=V1PodSpec(containers=[V1Container(name="primary")], node_selector={"disk": "fast"}),
    ),
)
async def podded(x: float, y: float = 0.0) -> float:
    return x


def template(task):
    return get_serializable({}, SETTINGS, task).to_flyte_idl().template


def stripped(task):
    """A template without what a trial has of its own: name, interface, arguments, and its mark on the cache."""
    part = template(task)
    part.ClearField("id")
    part.ClearField("interface")
    part.ClearField("task_type_version")
    del part.container.args[:]
    if part.HasField("k8s_pod"):
        del part.k8s_pod.pod_spec["containers"]
    part.metadata.discovery_version = part.metadata.discovery_version.removesuffix(f"-report{REPORT_FORMAT}")
    for name in (TRIAL, STUDY):
        if name in part.metadata.cache_ignore_input_vars:
            part.metadata.cache_ignore_input_vars.remove(name)
    return part


@pytest.mark.parametrize("objective", [contained, podded])
def test_a_trial_runs_with_the_settings_of_its_objective(objective):
    """Image, resources, secrets, environment, retries, timeout, cache, pod template."""
    trial = trial_task(objective, ("x",), ("y",))
    mapped = map_task(trial, (STUDY, "y"), 3)
    assert stripped(objective) == stripped(trial) == stripped(mapped)
    assert mapped.concurrency == 3
    assert mapped.sub_node_metadata.retries.retries == objective.metadata.retries
    metadata = template(trial).metadata
    if objective is contained:
        assert metadata.discovery_version == f"7-report{REPORT_FORMAT}"
        assert list(metadata.cache_ignore_input_vars) == ["y", TRIAL, STUDY]


PRUNERS = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=2),
    "percentile": lambda: optuna.pruners.PercentilePruner(25.0, n_startup_trials=2),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=2),
    "patient": lambda: optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(n_startup_trials=2), patience=1),
    "threshold": lambda: optuna.pruners.ThresholdPruner(upper=0.7),
    "wilcoxon": lambda: optuna.pruners.WilcoxonPruner(p_threshold=0.4),
}


def asked(name):
    """A study with eight trials that have ended and four that run."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), pruner=PRUNERS[name](), study_name="s")
    for _ in range(8):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        for step in range(8):
            trial.report(x + 0.01 * step * x, step)
            trial.should_prune()
        study.tell(trial, x)
    return study, [study.ask() for _ in range(4)]


@pytest.mark.parametrize("name", PRUNERS)
def test_a_pruner_decides_as_in_one_process(name):
    """Step by step, for better and worse trials; those of the batch are not seen, for they are in other pods."""
    snapshot = to_reference(asked(name)[0], optuna.Study)
    decisions = []
    for position, x in enumerate((0.0, 0.4, 0.8, 1.2)):
        trial = asked(name)[1][position]
        active = ActiveTrial(trial.number, decide=PruningDecision(snapshot))
        for step in range(8):
            for each in (trial, active):
                each.report(x + 0.05 * step, step)
            decisions.append(trial.should_prune())
            assert active.should_prune() == decisions[-1]
        kept = trial.study.trials[trial.number].system_attrs
        assert active.system_attrs == {k: v for k, v in kept.items() if k != "flyteoptuna:trial"}
    assert set(decisions) == {True, False}


def test_the_objectives_settings_hold_for_its_trials(tmp_path, flows):
    """Retries reach Flyte, the environment the pod, and a pod imports neither optuna for itself nor plotting."""
    study, engine = run(flows, tmp_path, "with_settings", cold=True)
    assert [t.user_attrs["colour"] for t in study.trials] == ["blue", "blue"]
    assert [t.user_attrs["attempt"] for t in study.trials] == ["0", "1"]
    [template] = [t for name, t in engine.templates.items() if ".trial-" in name]
    assert template.metadata.retries.retries == 2
    assert template.metadata.timeout.seconds == 180
    assert template.metadata.interruptible


def test_pruners_decide_in_the_pod_against_the_study_of_the_batch(tmp_path, flows):
    """A pruned trial is PRUNED, with its intermediate values, where plain Optuna would prune it."""
    study, _ = run(flows, tmp_path, "with_pruner")
    states = []
    reference = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.MedianPruner(n_startup_trials=2)
    )
    for _ in range(3):
        batch = [reference.ask() for _ in range(3)]
        for trial in batch:
            trial.suggest_float("x", 0, 1)
        for trial in batch:
            x, state = trial.params["x"], TrialState.COMPLETE
            for step in range(4):
                trial.report(x / (step + 1), step)
                others = [t for t in reference.trials if t.number < batch[0].number]
                if judged(others, reference.trials[trial.number], reference.pruner):
                    state = TrialState.PRUNED
                    break
            states.append((state, step))
        for trial, (state, _) in zip(batch, states[-3:], strict=True):
            reference.tell(trial, trial.params["x"] if state == TrialState.COMPLETE else None, state=state)
    assert [(t.state, max(t.intermediate_values)) for t in study.trials] == states
    assert {t.state for t in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    pruned = next(t for t in study.trials if t.state == TrialState.PRUNED)
    assert pruned.user_attrs[ERROR_ATTRIBUTE].startswith("at ")


def judged(others, trial, pruner):
    """The pruner's word on a trial among trials that have ended."""
    scratch = optuna.create_study()
    scratch.add_trials(others)
    return pruner.prune(scratch, trial)


def test_a_trials_pod_imports_neither_optuna_nor_plotting(tmp_path, flows):
    """The study is a Flyte type all the same, whose attributes need no pod."""
    engine = Engine(tmp_path, CODE, cold=True)
    outputs = engine.run(flows("flow_of_imports").search)
    [trial] = engine.of(".trial-")
    report = pb.LiteralMap.FromString((trial.metadata / "outputs.pb").read_bytes()).literals["o0"]
    attrs = json.loads(msgpack.loads(report.scalar.binary.value)["user_attrs"])
    assert attrs == {"modules": []}
    assert set(msgpack.loads(outputs["o0"].scalar.binary.value)) == {"x"}
