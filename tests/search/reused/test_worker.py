"""Searches with reused pods, across processes, and what happens to their pods."""

import json
from collections import Counter
from pathlib import Path

import optuna
import pytest
from containers import CODE, results, study_of
from optuna.trial import TrialState

from flyteoptuna import load_study
from flyteoptuna.study.system_attrs import trial_mark
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.pod import Fault, PodOutcome
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

FLOW = "flow_of_reused"


def run(flows, tmp_path, name, inputs=None, **kwargs):
    engine = Engine(tmp_path, CODE, **{"pods_at_once": 4, **kwargs})
    return study_of(engine.run(getattr(flows(FLOW), name), inputs or {})["o0"]), engine


def folder_in(tmp_path):
    folder = tmp_path / "begun"
    folder.mkdir()
    return str(folder)


def begun(folder):
    """How often each trial has begun, by its number."""
    return Counter(int(path.name.partition("-")[0]) for path in Path(folder).iterdir())


def marks_of(study):
    return [trial_mark(trial) for trial in study.trials]


def reason(trial):
    return trial.user_attrs[ERROR_ATTRIBUTE]


def check(study, n_trials, first=0):
    """Numbers without gaps, all ended, and each value is that of its own parameters."""
    assert [t.number for t in study.trials] == list(range(first + n_trials))
    assert all(t.state.is_finished() for t in study.trials)
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE and "k" in trial.params:
            assert trial.value == trial.params["x"] * 1000 + trial.params["k"]


def check_lost(study, folder):
    """None has begun twice, and those that failed ran in a pod that died, or had been asked there and not begun."""
    lost = [t for t in study.trials if t.state == TrialState.FAIL]
    assert all(reason(t).startswith("The pod of worker ") for t in lost)
    assert {t.number for t in study.trials} - set(begun(folder)) <= {t.number for t in lost}
    assert set(begun(folder).values()) == {1}
    return lost


def test_eight_workers_run_sixty_trials_of_unequal_length_once_each(tmp_path, flows):
    """No two have one number, none waits for a batch, and each worker suggests what no other does."""
    folder = folder_in(tmp_path)
    study, engine = run(flows, tmp_path, "slots", {"folder": folder}, pods_at_once=8)
    check(study, 60)
    assert begun(folder) == dict.fromkeys(range(60), 1)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    assert len({t.params["x"] for t in study.trials}) == 60
    assert {mark.worker for mark in marks_of(study)} <= set("01234567")
    assert [len(engine.of(f".{role}-")) for role in ("search", "worker", "finish")] == [1, 8, 1]
    assert len(engine.pods) == 10
    assert engine.depth == 0


def test_what_a_trial_knew_is_noted_on_it(tmp_path, flows):
    """A single worker knows all that ended before: the search is sequential."""
    study, _ = run(flows, tmp_path, "plain", {"concurrency": 1})
    assert [mark.knew for mark in marks_of(study)] == list(range(6))
    reference = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    reference.optimize(lambda trial: trial.suggest_float("x", 0, 1), 6)
    assert results(study) == results(reference)


@pytest.mark.parametrize("seed", range(4))
def test_workers_that_are_killed_at_random_moments_lose_their_running_trial_alone(tmp_path, flows, seed):
    """Exactly n_trials, each told once, and no value on another's parameters; by at least eight kills."""
    folder = folder_in(tmp_path)
    inputs = {"folder": folder, "seed": seed, "share": 1.0, "n_trials": 30}
    study, engine = run(flows, tmp_path, "killed", inputs, system_retries=100)
    kills = len(engine.of(".worker-", PodOutcome.KILLED))
    assert kills >= flows(FLOW).CERTAIN_KILLS
    check(study, 30)
    assert kills >= len(check_lost(study, folder))


@pytest.mark.parametrize("seed", range(2))
def test_a_trial_whose_pod_was_killed_is_asked_again_while_retries_last(tmp_path, flows, seed):
    """With the very parameters that it was asked with; then it fails, and says so."""
    folder = folder_in(tmp_path)
    inputs = {"folder": folder, "seed": seed, "share": 0.6}
    study, _ = run(flows, tmp_path, "killed_and_retried", inputs, system_retries=100)
    check(study, 10)
    for number, times in begun(folder).items():
        trial = study.trials[number]
        assert times <= 3
        if trial.state == TrialState.COMPLETE:
            assert trial.user_attrs["times"] == times
        else:
            assert times == 3
            assert "in attempt 3 of 3" in reason(trial)


def test_workers_that_are_evicted_forty_times_end_the_search(tmp_path, flows):
    """A pod that dies before it does anything, or after all is done, costs no trial."""
    left = {"0": 20, "1": 20}

    def faults(pod):
        if ".worker-" in pod.task and left[str(pod.index)]:
            left[str(pod.index)] -= 1
            return Fault.LOSE if left[str(pod.index)] == 7 else Fault.KILL
        return None

    study, engine = run(flows, tmp_path, "plain", faults=faults, system_retries=50)
    assert len(engine.of(".worker-", PodOutcome.KILLED)) == 40
    check(study, 6)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


def test_one_worker_that_lives_ends_the_search(tmp_path, flows):
    """The others are dead from the start, for good."""
    faults = lambda pod: Fault.KILL if ".worker-" in pod.task and pod.index != 2 else None  # noqa: E731
    study, _ = run(flows, tmp_path, "plain", {"concurrency": 4, "n_trials": 9}, faults=faults)
    check(study, 9)
    assert {mark.worker for mark in marks_of(study)} == {"2"}


def test_a_search_whose_workers_have_all_died_names_the_file_of_its_study(tmp_path, flows):
    """It holds what has ended, and what was running has failed."""
    engine = Engine(tmp_path, CODE, system_retries=1)
    with pytest.raises(
        ExecutionFailedError, match=r"The pods of all workers have died, after 2 of 20 trials\."
    ) as failed:
        engine.run(flows(FLOW).all_die)
    study = load_study(failed.value.message.rpartition("The study as it stands: ")[2].split()[0])
    check(study, 4)
    assert {t.state for t in study.trials} == {TrialState.FAIL}


class Aborted(Exception):
    pass


def test_an_aborted_search_is_recovered_without_the_loss_of_a_trial(tmp_path, flows):
    """The workers go on with the same journal: what had ended is not run again."""
    folder = folder_in(tmp_path)
    flow = flows(FLOW)
    inputs = {"folder": folder, "seed": 1, "share": 1.0, "concurrency": 1, "n_trials": 12}

    def faults(pod):
        if ".worker-" in pod.task and pod.attempt == 2:
            raise Aborted

    first = Engine(tmp_path / "first", CODE, faults=faults, system_retries=9)
    with pytest.raises(Aborted):
        first.run(flow.killed, inputs)
    before = begun(folder)
    assert 0 < len(before) < 12
    second = Engine(tmp_path / "second", CODE, system_retries=100)
    study = study_of(second.recover(flow.killed, inputs, of=first)["o0"])
    assert not second.of(".search-")
    check(study, 12)
    check_lost(study, folder)


def test_a_driver_that_is_killed_is_retried_to_the_same_study(tmp_path, flows):
    """Before its work and after it; the worker that is alone suggests the same."""
    expected, _ = run(flows, tmp_path / "undisturbed", "plain", {"concurrency": 1})
    for fault in (Fault.KILL, Fault.LOSE):
        faults = lambda pod, fault=fault: fault if ".worker-" not in pod.task and not pod.attempt else None  # noqa: E731
        study, _ = run(flows, tmp_path / fault.name, "plain", {"concurrency": 1}, faults=faults, system_retries=1)
        assert results(study) == results(expected)


def test_a_table_of_misfortunes(tmp_path, flows):
    """Each is that trial's own, with its reason, and no other's."""
    folder = folder_in(tmp_path)
    study, _ = run(flows, tmp_path, "odds", {"folder": folder}, system_retries=20)
    check(study, 8)
    times = begun(folder)
    assert study.trials[0].state == TrialState.COMPLETE
    assert [times[number] for number in range(4)] == [3, 3, 3, 1]
    assert "FlyteRecoverableException" in reason(study.trials[1])
    assert "in attempt 3 of 3" in reason(study.trials[2])
    assert reason(study.trials[3]).startswith("SystemExit: leaving")
    assert reason(study.trials[4]).startswith("Unpicklable")
    assert "nan" in reason(study.trials[5])
    assert [t.state.name for t in study.trials][1:6] == ["FAIL"] * 5
    assert study.trials[7].state == TrialState.COMPLETE


def test_several_values_constraints_and_fixed_inputs_by_reference(tmp_path, flows):
    """An async objective gets a data frame and a file as they were made."""
    study, _ = run(flows, tmp_path, "several")
    check(study, 4)
    assert [t.values for t in study.trials] == [[t.params["x"] + 3, 7.0] for t in study.trials]
    assert [d.name for d in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    for trial in study.trials:
        kept = {key: value for key, value in trial.system_attrs.items() if key.startswith("constraints")}
        assert json.dumps(trial.params["x"] - 0.5) in json.dumps(kept)


def test_a_callback_makes_the_inputs_in_the_worker(tmp_path, flows):
    """One that prunes a trial before it is run prunes that one alone."""
    folder = folder_in(tmp_path)
    study, _ = run(flows, tmp_path, "called", {"folder": folder})
    check(study, 6)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 2 + ["PRUNED"] + ["COMPLETE"] * 3
    assert set(begun(folder)) == {0, 1, 3, 4, 5}


def test_a_callback_that_stops_the_study_stops_all_workers(tmp_path, flows):
    """In whichever worker it was called."""
    study, _ = run(flows, tmp_path, "stopped")
    assert 4 <= len(study.trials) < 500
    check(study, len(study.trials))
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


def test_a_point_that_a_callback_enqueues_is_the_next(tmp_path, flows):
    """It counts as one of the search, and what the callback notes on the study stays."""
    study, _ = run(flows, tmp_path, "enqueued")
    check(study, 6)
    assert study.trials[1].params == {"x": 0.7}
    assert study.user_attrs["noted"] == 0


def failure(engine, workflow, match, inputs=None):
    with pytest.raises(ExecutionFailedError, match=match) as failed:
        engine.run(workflow, inputs or {})
    return load_study(failed.value.message.rpartition("The study as it stands: ")[2].split()[0])


@pytest.mark.parametrize(
    ("name", "match", "least", "most"),
    [
        ("ten_fail", r"All of the first 1\d trials failed\.(.|\n)*no good", 10, 12),
        ("two_fail", r"`max_failures=2` was exceeded: (all \d+|\d of \d+) trials failed\.(.|\n)*no good", 3, 5),
        ("given_up", r"KeyError: 'the callback gives up'", 3, 499),
    ],
)
def test_what_fails_a_search_fails_it_for_all_workers(tmp_path, flows, name, match, least, most):
    """The error says why, and names the file that holds what has ended."""
    study = failure(Engine(tmp_path, CODE), getattr(flows(FLOW), name), match)
    assert least <= len(study.trials) <= most
    check(study, len(study.trials))


def test_a_timeout_ends_the_search_for_all_workers(tmp_path, flows):
    """What runs is ended, and no more is asked."""
    for timeout in (5.0, 50.0, 500.0):
        try:
            study, _ = run(flows, tmp_path / str(timeout), "timed", {"timeout": timeout})
            break
        except ExecutionFailedError as error:
            # On a busy machine, the time may be over before the workers' pods have started.
            assert "No trial was asked" in str(error)
            study = None
    assert 0 < len(study.trials) < 100_000
    check(study, len(study.trials))
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


@pytest.mark.parametrize("name", ["distinct", "grid", "brute"])
def test_a_space_of_six_points_ends_a_search_of_thirty_trials(tmp_path, flows, name):
    """Each point is asked, and the search ends when there are no more."""
    study, _ = run(flows, tmp_path, name)
    assert len({str(t.params) for t in study.trials}) == 6
    assert len(study.trials) == 6 or (name == "grid" and len(study.trials) < 12)
    check(study, len(study.trials))


def test_a_worker_prunes_by_what_the_others_report_meanwhile(tmp_path, flows):
    """The first trial knew of no other when it was asked, and is pruned by those that ended while it ran."""
    study, _ = run(flows, tmp_path, "live", {"folder": folder_in(tmp_path)}, pods_at_once=3)
    [pruned] = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert trial_mark(pruned).knew == 0
    assert pruned.intermediate_values == {1: 100.0}


def test_hyperband_prunes_by_rungs_that_workers_share(tmp_path, flows):
    """Some trials reach the top rung, others do not."""
    study, _ = run(flows, tmp_path, "hyperband")
    check(study, 16)
    assert {t.state.name for t in study.trials} == {"COMPLETE", "PRUNED"}
    assert any(key.startswith("completed_rung") for t in study.trials for key in t.system_attrs)


def test_batches_go_on_with_reused_pods_and_the_other_way_round(tmp_path, flows):
    """Each search counts its own trials, and touches no earlier one."""
    study, _ = run(flows, tmp_path, "batches_then_reused_then_batches")
    check(study, 12)
    assert [mark.search for mark in marks_of(study)] == [1] * 4 + [2] * 4 + [3] * 4
    assert [t._trial_id for t in study.trials] == list(range(12))
    assert len({t.params["x"] for t in study.trials}) == 12


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("half", r"\.json is no entry of a journal"),
        ("stranger", r"\.json is no entry of a journal"),
        ("copy", r"\.json holds the entry \d+: it was copied or renamed"),
        ("gap", r"00000002\.json is missing, but later ones exist"),
    ],
)
def test_a_journal_that_is_damaged_in_the_middle_of_a_search_is_named(tmp_path, flows, how, match):
    """The error says which object is wrong, and why."""
    engine = Engine(tmp_path, CODE)
    with pytest.raises(ExecutionFailedError, match=match):
        engine.run(flows(FLOW).damaged, {"how": how, "folder": str(tmp_path)})
    # A worker has read what is gone by then, and ends its trials.
    assert {pod.outcome for pod in engine.of(".worker-")} == {
        PodOutcome.SUCCEEDED if how == "gap" else PodOutcome.FAILED
    }
