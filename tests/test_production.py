"""Searches across processes that lose pods, meet failures, or end early."""

import math

import optuna
import pytest
from containers import CODE, driver_pods, number_of, study_of
from engine import Engine, ExecutionFailed, Fault, Outcome
from optuna.trial import TrialState

from flyteoptuna.core import plan
from flyteoptuna.core.report import ERROR_ATTRIBUTE


def run(flow, tmp_path, name, inputs=None, **kwargs):
    engine = Engine(tmp_path, CODE, **kwargs)
    return study_of(engine.run(getattr(flow("flow_of_faults"), name), inputs or {})["o0"]), engine


def results(study):
    return [(t.params, t.values, t.state) for t in study.trials]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    import sys

    sys.path.insert(0, str(CODE))
    engine = Engine(tmp_path_factory.mktemp("undisturbed"), CODE)
    study = study_of(engine.run(__import__("flow_of_faults").plain)["o0"])
    sys.path.remove(str(CODE))
    return results(study), [(p.task, p.path, p.index) for p in engine.pods]


@pytest.mark.parametrize("fault", [Fault.KILL, Fault.LOSE])
def test_a_pod_killed_at_any_position_is_retried_to_the_same_study(tmp_path, flows, undisturbed, fault):
    """Before its work or after it, driver or trial: the next attempt asks the very same parameters."""
    expected, pods = undisturbed
    assert len(pods) == 8
    for position, victim in enumerate(pods):
        study, engine = run(
            flows,
            tmp_path / str(position),
            "plain",
            faults=lambda p, v=victim: fault if p.attempt == 0 and (p.task, p.path, p.index) == v else None,
            system_retries=1,
        )
        assert results(study) == expected
        assert len(engine.pods) == 9


@pytest.mark.parametrize("role", [".generation-", ".finish-", ".search-"])
def test_a_recovered_execution_runs_no_finished_generation_again(tmp_path, flows, undisturbed, role):
    """What had finished is taken over, and the study is that of an undisturbed search."""
    expected, _ = undisturbed
    flow = flows("flow_of_faults")
    seen = []

    def faults(pod):
        if role in pod.task:
            seen.append(pod)
            return Fault.KILL if role != ".generation-" or len(seen) == 2 else None
        return None

    first = Engine(tmp_path / "first", CODE, faults=faults)
    with pytest.raises(ExecutionFailed):
        first.run(flow.plain)
    second = Engine(tmp_path / "second", CODE)
    study = study_of(second.recover(flow.plain, of=first)["o0"])
    assert results(study) == expected
    done = {number_of(p) for p in first.of(".trial-", Outcome.SUCCEEDED)}
    again = {number_of(p) for p in second.of(".trial-")}
    assert done | again == set(range(4))
    assert not done & again


def test_a_repeated_point_is_taken_from_the_cache_and_a_failure_is_not(tmp_path, flows):
    """Within a search and across searches, each value lands on its own trial, and each failure has its own reason."""
    first, engine = run(flows, tmp_path / "first", "with_cache")
    assert {t.params["point"] for t in first.trials} == {0, 1, 2, 3}
    hits = len(engine.hits)
    assert hits
    second, again = run(flows, tmp_path / "second", "with_cache", {"n_trials": 12}, cache=engine.cache)
    failing = [t for t in second.trials if t.params["point"] == 2]
    assert len([p for p in again.pods if ".trial-" in p.task and p.outcome != Outcome.HIT]) == len(failing)
    for trial in (*first.trials, *second.trials):
        if trial.params["point"] == 2:
            assert trial.state == TrialState.FAIL
            assert f"2 is bad luck for {trial.number}" in trial.user_attrs[ERROR_ATTRIBUTE]
        else:
            assert trial.value == trial.params["point"] * 0.5


def test_the_objectives_settings_hold_for_its_trials(tmp_path, flows):
    """Retries reach Flyte, the environment the pod, and a pod imports neither optuna for itself nor plotting."""
    study, engine = run(flows, tmp_path, "with_settings")
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
    assert pruned.user_attrs[ERROR_ATTRIBUTE].startswith("TrialPruned: at ")


def judged(others, trial, pruner):
    """The pruner's word on a trial among trials that have ended."""
    scratch = optuna.create_study()
    scratch.add_trials(others)
    return pruner.prune(scratch, trial)


def test_a_search_that_is_stopped_runs_few_empty_pods(tmp_path, flows):
    """After the stop no trial runs, and at most k - 1 pods a level."""
    study, engine = run(flows, tmp_path, "with_callback")
    assert len(study.trials) == len(engine.of(".trial-")) == 4
    levels = math.ceil(math.log(100, plan.ARITY))
    assert len(driver_pods(engine)) <= 3 + levels + (plan.ARITY - 1) * levels + 2


def test_an_exhausted_space_ends_the_search(tmp_path, flows):
    """Each of the four points is run once, though thirty trials were allowed."""
    study, _ = run(flows, tmp_path, "exhausted")
    assert sorted(t.params["point"] for t in study.trials) == [0, 1, 2, 3]


def test_too_many_failures_end_the_search_and_quote_the_cause(tmp_path, flows):
    """The error names the rule, the first cause, and the file that holds what finished."""
    with pytest.raises(ExecutionFailed, match=r"max_failures=0.*3 of 3(.|\n)*bad luck(.|\n)*study as it stands: /"):
        run(flows, tmp_path, "limited")


def test_no_batch_is_asked_after_the_timeout(tmp_path, flows):
    """A search without time returns the study that it was given."""
    study, engine = run(flows, tmp_path, "no_time")
    assert [t.value for t in study.trials] == [1.0]
    assert not engine.of(".trial-")


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.NULL])
def test_a_list_that_shifts_moves_no_value_to_another_trial(tmp_path, flows, fault):
    """The first element of each batch is lost, and its own trial fails."""
    study, _ = run(flows, tmp_path, "plain", faults=lambda p: fault if ".trial-" in p.task and p.index == 0 else None)
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE"] * 2
    assert all(t.value == t.params["x"] for t in study.trials if t.state == TrialState.COMPLETE)


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


def test_the_nodes_of_a_search_show_how_far_it_is(tmp_path, flows):
    """A generation that told something has a light deck, the last node the report, and Flyte knows of both."""
    _, engine = run(flows, tmp_path, "plain", {"n_trials": 6})
    generations = sorted(engine.of(".generation-"), key=lambda pod: pod.started)
    decks = [pod.metadata / "deck.html" for pod in (*generations[1:], *engine.of(".finish-"))]
    texts = [deck.read_text() for deck in decks]
    assert len(texts) == 3
    for position, text in enumerate(texts[:-1], start=1):
        assert f"Generation {position} of 3" in text
        assert "plotly" not in text
        assert len(text) < 100_000
    assert "Plotly.newPlot" in texts[-1]
    assert "generation 2/3: 4/6 trials, 0 failed, best" in generations[2].stderr
    for name, template in engine.templates.items():
        shown = ".generation-" in name or ".finish-" in name
        assert template.metadata.generates_deck.value == shown


def test_large_fixed_inputs_are_refused_before_anything_runs(tmp_path, flows):
    """The size and the remedy stand in the error; smaller ones are handed on, and an int suits a float."""
    flow = flows("flow_of_faults")
    with pytest.raises(ExecutionFailed, match=r"at most 131072 bytes inline, but they take .* go by reference"):
        Engine(tmp_path / "large", CODE).run(flow.heavy, {"count": 12_000})
    outputs = Engine(tmp_path / "small", CODE).run(flow.heavy, {"count": 5_000})
    assert outputs["o0"].scalar.primitive.float_value == 0.0
