"""One search in memory, as a local run and in pods: the same study."""

import pytest
from containers import told

import flyteoptuna
from flyteoptuna import SearchFailedError, testing

SAME = {
    # Fails, reports, keeps attributes.
    "searched": "CCCFCCCC",
    # A conditional space; returns NaN, is pruned, fails, and a callback stops it.
    "stopped": "CFCCPFCCCCCC",
    # Has no more points.
    "exhausted": "CCCC",
    # Notes its constraints, which optuna keeps in memory as a tuple and in a file as a list.
    "constrained": "CCCCCC",
}
"""What becomes of the trials of each workflow: complete, failed or pruned."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAME)
def test_a_search_in_memory_is_a_local_run_and_one_in_pods_to_the_bit(flows, name):
    """Parameters, distributions, values, states, attributes, and which generation asked them."""
    flow = flows("flow_of_simulations")
    make, inputs = flow.MADE[name]
    simulated = testing.simulate(make(), inputs)
    assert "".join(trial.state.name[0] for trial in simulated.study.trials) == SAME[name]
    assert told(simulated.study) == told(make()(**inputs)) == told(testing.run(getattr(flow, name)).outputs)


def test_trials_whose_pods_are_lost_in_memory_are_those_in_pods_to_the_bit(flows):
    """With the reason that they have."""
    flow = flows("flow_of_simulations")
    make, inputs = flow.MADE["lossy"]

    def losing(x):
        if flyteoptuna.current_trial().number in (1, 3):
            raise testing.PodLostError
        return x

    maps = {}

    def gone(pod):
        # The trials of a batch of three are the elements of one map.
        return pod.index is not None and 3 * maps.setdefault(pod.path, len(maps)) + pod.index in (1, 3)

    simulated = testing.simulate(make(), inputs, objective=losing)
    pods = testing.run(flow.lossy, system_retries=0, kill=[gone]).outputs
    assert told(simulated.study) == told(pods)


def test_a_search_that_fails_in_memory_fails_locally_and_in_pods_for_the_same_reason(flows):
    """It quotes the first cause, with its traceback."""
    flow = flows("flow_of_simulations")
    make, inputs = flow.MADE["failed"]
    error = str(testing.simulate(make(), inputs).error)
    assert "`max_failures=4` was exceeded: all 6 trials failed." in error and "none works" in error
    with pytest.raises(SearchFailedError) as local:
        make()(**inputs)
    with pytest.raises(testing.ExecutionFailedError) as pods:
        testing.run(flow.failed)
    # What they add is where the study is.
    assert str(local.value).startswith(error)
    assert all(line.strip() in str(pods.value) for line in error.splitlines())
