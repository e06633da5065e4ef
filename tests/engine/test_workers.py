"""Nodes and elements that run beside each other."""

from containers import CODE

from engine import Engine
from engine.values import integers, results


def overlap(pods):
    return max(sum(other.started <= pod.started < other.ended for other in pods) for pod in pods)


def test_elements_run_in_parallel_up_to_the_maps_own_limit(flows, tmp_path):
    """Two elements run at once, unless the map allows one."""
    engine = Engine(tmp_path, CODE)
    engine.run(flows.mapped, {"xs": integers(1, 2, 3)})
    assert overlap(engine.of("scaled")) == 2
    engine = Engine(tmp_path, CODE)
    engine.run(flows.mapped_serially, {"xs": integers(1, 2, 3)})
    assert overlap(engine.of("scaled")) == 1
    assert [pod.index for pod in engine.of("scaled")] == [0, 1, 2]


def test_independent_nodes_run_in_parallel(flows, engine):
    """Two nodes that do not wait for each other have their pods at the same time."""
    assert results(engine.run(flows.independent)) == [3]
    assert overlap(engine.of("slow")) == 2
