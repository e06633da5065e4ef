"""One trial's misfortune is its own: in this process, in workers, and across processes by the engine."""

import re

import optuna
import pytest
from containers import CODE, results, study_of
from optuna.trial import TrialState

from flyteoptuna import Optimizer, SpaceError, load_study, suggest
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TRUNCATED_ATTRIBUTE
from flyteoptuna.values.text import exception_line as words


def searched(flow, monkeypatch, workers):
    monkeypatch.setenv(WORKERS, workers)
    optimizer = Optimizer(flow.misfortune, 3, len(flow.CASES), study=flow.planned(), batch_size=5)
    return optimizer(kind=suggest.category(list(flow.CASES)))


def kept(study):
    return [
        (*result, trial.intermediate_values, {k: v for k, v in trial.user_attrs.items() if k != ERROR_ATTRIBUTE})
        for result, trial in zip(results(study), study.trials, strict=True)
    ]


def test_what_a_trial_does_is_its_own_failure_wherever_it_runs(flows, monkeypatch, tmp_path):
    """Each kind ends as the table says, with its reason, and the three ways of running make one study."""
    flow = flows("flow_of_misfortunes")
    here = searched(flow, monkeypatch, "1")
    for trial in here.trials:
        _, state, reason = flow.CASES[trial.params["kind"]]
        assert trial.state.name == state, trial.params
        assert re.search(reason, trial.user_attrs.get(ERROR_ATTRIBUTE, "")), trial.params
    found = {trial.params["kind"]: trial for trial in here.trials}
    assert found["changed later"].user_attrs == {"kept": {"a": 1}}
    assert found["threads"].intermediate_values == {0: 1.0, 1: 2.0}
    assert found["threads"].user_attrs == {"pool": True}
    assert found["numpy"].user_attrs == {"kept": {"a": 0.5, "b": [3, True]}}
    assert found["numpy"].intermediate_values == {3: 1.0, 4: 2.0, 5: 1.0}
    assert "user attributes were too large" in found["many times itself"].user_attrs[TRUNCATED_ATTRIBUTE]
    assert kept(searched(flow, monkeypatch, "2")) == kept(here)
    across = study_of(Engine(tmp_path, CODE).run(flow.misfortunes)["o0"])
    assert kept(across) == kept(here)


def of_kinds(flow, study):
    """The results, once each trial has been found to be as its kind says."""
    for trial in study.trials:
        point = trial.system_attrs.get("fixed_params")
        kind = flow.KINDS[point["kind"]] if point else flow.Kind("FAIL", "cannot be saved")
        assert trial.state.name == kind.state, point
        assert re.search(kind.reason, trial.user_attrs.get(ERROR_ATTRIBUTE, "")), point
    assert len(study.trials) == flow.N_TRIALS + 2
    return kept(study)


@pytest.mark.filterwarnings("ignore")
def test_what_is_asked_sent_or_told_is_its_own_failure_wherever_it_runs(flows, monkeypatch, tmp_path):
    """Points, samplers, pruners, constraints and reports: five ways of running make one study."""
    flow = flows("flow_of_hostility")
    expected = of_kinds(flow, flow.hostility())
    assert of_kinds(flow, flow.reused()) == expected
    monkeypatch.setenv(WORKERS, "2")
    assert of_kinds(flow, flow.hostility()) == expected
    for name in ("hostility", "reused"):
        across = study_of(Engine(tmp_path / name, CODE).run(getattr(flow, name))["o0"])
        assert of_kinds(flow, across) == expected


def of_callbacks(flow, study):
    """The results, once each trial has been found to be as its kind says."""
    for trial in study.trials:
        state, reason, _ = flow.BUILT[trial.system_attrs["fixed_params"]["kind"]]
        assert trial.state.name == state, trial
        assert re.search(reason, trial.user_attrs.get(ERROR_ATTRIBUTE, "")), trial
    assert len(study.trials) == len(flow.BUILT)
    assert "left" not in study.user_attrs
    return kept(study)


@pytest.mark.filterwarnings("ignore")
def test_what_builds_a_trial_fails_that_trial_alone(flows, tmp_path):
    """Callbacks that raise, return, call, suggest, keep and tell what they should not."""
    flow = flows("flow_of_hostile_callbacks")
    expected = of_callbacks(flow, flow.building())
    assert of_callbacks(flow, flow.reused()) == expected
    assert of_callbacks(flow, study_of(Engine(tmp_path, CODE).run(flow.building)["o0"])) == expected


def told_before(end, reason):
    """What had been told by then, of the file that is named."""
    assert re.search(reason, end), end
    study = load_study(re.findall(r"The study as it stands: (\S+)", end)[-1])
    assert study.user_attrs == {"kept": "before"}
    return [result for result in results(study) if result[-1].is_finished()]


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("raises", "2"),
        ("exits", "pods"),
        ("spoils and raises", "pods"),
        ("leaves an object", "2"),
        ("locks the sampler", "pods"),
    ],
)
def test_what_has_run_is_kept_whatever_callbacks_do(flows, monkeypatch, said, tmp_path, kind, way):
    """Its error ends the search once the batch has been told, and names the file with all of it."""
    flow = flows("flow_of_hostility")
    reason = flow.ENDINGS[kind][1]
    expected = [({"x": x}, [x + 1], TrialState.COMPLETE) for x in (0.417022004702574, 0.7203244934421581)]
    for workers in {"1", way} - {"pods"}:
        monkeypatch.setenv(WORKERS, workers)
        with pytest.raises(BaseException) as failed:
            flow.ending(kind)()
        assert told_before("\n".join([words(failed.value), *said]), reason) == expected
    if way == "pods":
        with pytest.raises(ExecutionFailedError) as across:
            Engine(tmp_path, CODE).run(flow.ending(kind))
        assert told_before(across.value.message, reason) == expected


def with_optuna(flow, pruner, n_trials):
    def objective(trial):
        x, n = trial.suggest_float("x", 0, 1), trial.suggest_int("n", 1, 40)
        value = 0.0
        for step, value in enumerate(flow.steps_of(x, n)):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study = flow.to_prune(pruner)
    study.optimize(objective, n_trials)
    return study


def learned(study):
    rungs = [{k: v for k, v in t.system_attrs.items() if k.startswith("completed")} for t in study.trials]
    return [*zip(results(study), rungs, strict=True)]


@pytest.mark.parametrize("pruner", ["hyperband", "halving", "patient"])
def test_what_a_pruner_learns_in_a_trial_is_not_lost(flows, pruner):
    """One trial at a time equals optuna's own loop to the bit, with as many steps as each trial has."""
    flow = flows("flow_of_misfortunes")
    space = {"x": suggest.float(0, 1), "n": suggest.integer(1, 40)}
    ours = Optimizer(flow.pruned, 1, 30, study=flow.to_prune(pruner))(**space)
    assert learned(ours) == learned(with_optuna(flow, pruner, 30))


def test_what_a_pruner_learns_comes_back_from_its_pod(flows, tmp_path):
    """Across processes too."""
    flow = flows("flow_of_misfortunes")
    across = study_of(Engine(tmp_path, CODE).run(flow.with_hyperband)["o0"])
    assert learned(across) == learned(with_optuna(flow, "hyperband", 12))


def test_a_space_that_contradicts_the_study_is_refused_before_anything_runs(flows):
    """The parameter and both distributions are named."""
    square = flows("flow_of_misfortunes").pruned
    given = optuna.create_study()
    given.enqueue_trial({"x": 1, "n": 1})
    given.optimize(lambda trial: trial.suggest_int("x", 0, 3) + trial.suggest_int("n", 1, 2), 1)
    with pytest.raises(SpaceError, match=r"`x` was IntDistribution\(.*\) in the study, and cannot be Float"):
        Optimizer(square, 1, 3, study=given)(x=suggest.float(0, 1), n=suggest.integer(1, 2))


def test_a_study_with_a_database_says_that_it_is_not_written(flows, tmp_path):
    """A warning, where it is read."""
    given = optuna.create_study(storage=f"sqlite:///{tmp_path}/one.db")
    with pytest.warns(UserWarning, match="what a search finds is not written there"):
        Optimizer(flows("flow_of_misfortunes").pruned, 1, 1, study=given)(x=0.5, n=suggest.integer(1, 2))
    assert len(given.trials) == 0
