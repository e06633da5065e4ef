"""`testing.run`: what it gives, which pods meet which faults, and what it refuses."""

import functools
import os
import subprocess
import sys
import traceback

import optuna
import pytest
from containers import CODE

from flyteoptuna import testing
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.faults import Faults
from flyteoptuna.testing.pods.pod import Fault, PodOutcome


def pods(*tasks, index=None):
    return [testing.Pod(task, f"n{i}", index, 0, 0, {}) for i, task in enumerate(tasks)]


def chosen(choice, tasks, **kwargs):
    faults = Faults(choice, (), {})
    return [i for i, pod in enumerate(pods(*tasks)) if faults.fault(pod)], faults


def test_the_outputs_are_python_values_and_the_record_says_what_ran(flows):
    """With the seconds, the exit and the log of each pod, the depth, the visits and the largest message."""
    made = testing.run(flows("engine_flows").bindings, size=4)
    assert made.outputs == ("4 2.0 ['a', 'b'] {'k': 4} 5", "[4, 7, 4] [('a', 4), ('b', 1)] 4")
    assert sorted(pod.path for pod in made.pods) == ["n0", "n1", "n2", "n3"]
    assert all(pod.outcome is PodOutcome.SUCCEEDED and pod.code == 0 and pod.seconds > 0 for pod in made.pods)
    assert (made.depth, made.visits) == (0, 6)
    assert 100 < made.largest < 1000


def test_outputs_that_are_files_outlive_the_record(flows, tmp_path):
    """As tests keep the outputs alone; and nothing is left of them once the process has ended."""
    code = (
        "import gc; from flow_of_outputs import batches; from flyteoptuna.testing import run; "
        "found = run(batches).outputs.model; gc.collect(); print(len(open(found).read()) > 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CODE), *sys.path]), "TMPDIR": str(tmp_path)}
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert made.stdout.splitlines()[-1] == "True"  # flytekit writes its warnings there
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("flyteoptuna-")] == []


def test_outputs_with_names_have_them(flows):
    """As those of a call."""
    paired = flows("engine_flows").paired
    made = testing.run(paired, x=3).outputs
    assert (made, made._asdict(), type(made).__name__) == ((3, 6), {"less": 3, "more": 6}, "Pair")
    assert made == paired(x=3)


def test_a_search_gives_its_study_and_is_the_same_where_pods_were_killed(flows):
    """Pods that die are tried again, as by Flyte, and the study is that of the undisturbed search, to the bit."""
    search = flows("flow_of_faults").plain
    undisturbed, killed = (testing.run(search, kill=kill) for kill in ((), [testing.RandomPods(2, seed=1, among=6)]))
    assert isinstance(killed.outputs, optuna.Study)
    dead = [pod for pod in killed.pods if pod.outcome is PodOutcome.KILLED]
    assert (len(dead), len(killed.pods)) == (2, len(undisturbed.pods) + 2)
    assert [(t.params, t.values) for t in killed.outputs.trials] == [
        (t.params, t.values) for t in undisturbed.outputs.trials
    ]


def test_an_element_whose_output_is_dropped_is_missing_and_what_waits_is_slow(flows):
    """By functions of the pod, which may look at its index and its attempt."""
    flow = flows("engine_flows")
    made = testing.run(flow.mapped, xs=[1, 2, 3], drop=lambda pod: pod.index == 1, delay={"show": 0.5})
    assert made.outputs == "[3, 9]"
    assert made.of("show")[0].seconds >= 0.5
    made = testing.run(flow.independent, drop=lambda pod: "add" in pod.task and pod.attempt == 0)
    assert [pod.outcome for pod in made.of("add")] == [PodOutcome.KILLED, PodOutcome.SUCCEEDED]


def test_an_error_reads_as_on_a_cluster(flows):
    """It has the traceback of the task, none of the engine's, and the pods with their logs."""
    with pytest.raises(testing.ExecutionFailedError, match="ValueError: this is broken") as failed:
        testing.run(flows("engine_flows").failing, x=1)
    assert 'raise ValueError("this is broken")' in str(failed.value)
    shown = "".join(traceback.format_exception(failed.value))
    assert "flyteoptuna/testing/engine" not in shown and "direct cause" not in shown
    assert "this is broken" in failed.value.pods[0].log


def test_a_cache_goes_from_run_to_run(flows):
    """A call that it answers has no pod."""
    cache = testing.Cache()
    runs = [testing.run(flows("engine_flows").squares, x=3, note="a", cache=cache) for _ in range(2)]
    assert [run.outputs for run in runs] == [(9, 9)] * 2
    assert [(len(run.pods), len(run.hits)) for run in runs] == [(2, 0), (1, 1)]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("b", [1, 3]),
        (2, [2]),
        (["a", 1], [0, 1, 2]),
        (lambda pod: pod.path == "n3", [3]),
        (testing.RandomPods(2, among=2), [0, 1]),
        (testing.RandomPods(2, among=2, of="b"), [1, 3]),
        ((), []),
    ],
)
def test_pods_are_chosen_by_name_by_position_by_a_seed_and_by_a_function(choice, expected):
    """Several choices are added."""
    found, faults = chosen(choice, ["a", "b", "a", "b"])
    assert found == expected
    faults.check([])


def test_a_seeded_choice_is_the_same_for_the_same_seed():
    """And another for another."""
    found = {seed: [testing.RandomPods(3, seed, among=50).positions for _ in range(2)] for seed in range(5)}
    assert all(one == two and len(one) == 3 for one, two in found.values())
    assert len({one for one, _ in found.values()}) == 5


@pytest.mark.parametrize(
    "choice", ["c", 4, lambda pod: False, testing.RandomPods(2, of="a", among=40), testing.RandomPods(5, among=5)]
)
def test_a_choice_that_chose_less_than_it_says_is_an_error(choice):
    """Such a test would prove nothing."""
    _, faults = chosen(choice, ["a", "b", "b", "b"])
    with pytest.raises(ValueError, match=r"must choose \d or more of the pods, but chose \d.*: a, b"):
        faults.check(pods("a", "b"))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"kill": -1}, ValueError, "counted from 0, but got -1"),
        ({"kill": True}, TypeError, "`kill` must hold names, .* but got True"),
        ({"drop": [None]}, TypeError, "`drop` must hold names, .* but got None"),
        ({"delay": {"a": -1}}, ValueError, "must be 0 or more seconds, but got -1"),
        ({"delay": 3}, TypeError, "must be a dictionary of seconds, or a function of a pod, but got 3"),
        ({"pods_at_once": 0}, ValueError, "`pods_at_once >= 1` must hold, but got pods_at_once=0"),
        ({"pods_at_once": 1.5}, TypeError, "`pods_at_once` must be an int, but got 1.5"),
        ({"system_retries": -1}, ValueError, "`system_retries >= 0` must hold"),
        ({"seconds": 0}, ValueError, "`seconds >= 0.1` must hold, but got seconds=0"),
        ({"seconds": "a"}, TypeError, "`seconds` must be a number, but got 'a'"),
        ({"cache": {}}, TypeError, "`cache` must be a testing.Cache, but got {}"),
        ({"y": 3}, TypeError, "has no input `y`; it has: x"),
        ({"x": "a"}, Exception, "a"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(flows, monkeypatch, kwargs, error, message):
    """With the rule and the value."""
    monkeypatch.setattr(Engine, "run", None)
    with pytest.raises(error, match=message):
        testing.run(flows("engine_flows").failing, **{"x": 1, **kwargs})


def test_an_input_that_is_missing_is_named(flows):
    """And what is no workflow as well."""
    with pytest.raises(TypeError, match=r"Input `x` of engine_flows\.failing is missing"):
        testing.run(flows("engine_flows").failing)
    with pytest.raises(TypeError, match="Input `x` is given twice"):
        testing.run(flows("engine_flows").failing, {"x": 1}, x=1)
    with pytest.raises(TypeError, match="`inputs` must be a dictionary"):
        testing.run(flows("engine_flows").failing, [1])
    with pytest.raises(TypeError, match="`workflow` must be a workflow"):
        testing.run(flows("engine_flows").add, x=1, y=1)


def test_a_kill_is_stronger_than_a_drop_and_the_longest_delay_counts():
    """Where several choices meet at one pod."""
    faults = Faults(["a"], ["a", "b"], {"a": 1, 0: 2.5, lambda pod: True: 0.5})
    first, second = pods("a", "b")
    element = functools.partial(pods, "b", index=3)
    assert (faults.fault(first), faults.delay(first)) == (Fault.KILL, 2.5)
    assert (faults.fault(second), faults.delay(second)) == (Fault.LOSE, 0.5)
    assert faults.fault(*element()) is Fault.DROP


def test_a_count_of_a_choice_is_checked():
    """At least one pod, of as many."""
    with pytest.raises(ValueError, match="`count >= 1` must hold, but got count=0"):
        testing.RandomPods(0)
    with pytest.raises(TypeError, match=r"`count` must be an int, but got 1.5 \(float\)"):
        testing.RandomPods(1.5)
    with pytest.raises(ValueError, match=r"`among >= count` must hold, but got \(among=1, count=2\)"):
        testing.RandomPods(2, among=1)
