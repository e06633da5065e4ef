"""Maps over lists."""

import pytest
from engine_values import integers, results, value
from flyteidl.core import workflow_pb2

from flyteoptuna.testing.engine.arrays import min_successes
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.pod import PodOutcome


def test_a_map_takes_items_of_lists_and_bound_inputs_whole(flows, engine):
    """Each element gets its own item and all of a bound list; a failed one comes back as None."""
    assert results(engine.run(flows.mapped, {"xs": integers(1, -1, 3)})) == ["[3, None, 9]"]
    elements = engine.of("scaled")
    assert sorted(pod.index for pod in elements) == [0, 1, 2]
    assert [value(pod.inputs["x"]) for pod in sorted(elements, key=lambda pod: pod.index)] == [1, -1, 3]
    assert all(value(pod.inputs["factors"]) == [1, 2] for pod in elements)
    assert "negative: -1" in next(pod for pod in elements if pod.outcome is PodOutcome.FAILED).message


def test_a_map_over_nothing_is_an_empty_list(flows, engine):
    """An empty list needs no pod and gives an empty list."""
    assert results(engine.run(flows.mapped, {"xs": integers()})) == ["[]"]
    assert [pod.task for pod in engine.pods] == ["engine_flows.show"]


def test_a_map_fails_below_its_minimum_of_successes(flows, engine):
    """With too many failed elements the map fails, says why, and starts no more of them."""
    with pytest.raises(ExecutionFailedError, match=r"(?s)n0 .*3 of 4 elements failed.*\[1\]: .*negative: -2"):
        engine.run(flows.mapped_serially, {"xs": integers(-1, -2, -3, 1)})
    assert [pod.index for pod in engine.pods] == [0, 1, 2]


def test_the_minimum_is_a_ratio_of_32_bits():
    """The ratio is a float of 32 bits, so that 0.1 of 10 needs 2 successes."""
    array = workflow_pb2.ArrayNode(min_success_ratio=0.1)
    assert [min_successes(array, size) for size in (0, 1, 10)] == [0, 1, 2]
    assert min_successes(workflow_pb2.ArrayNode(min_successes=3), 10) == 3
    assert min_successes(workflow_pb2.ArrayNode(), 10) == 10
