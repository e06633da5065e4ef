"""Nodes and elements that run beside each other."""

from containers import CODE
from engine_values import integers, results

from flyteoptuna.testing.engine.engine import Engine


def overlap(pods):
    return max(sum(other.started <= pod.started < other.ended for other in pods) for pod in pods)


def meeting(root):
    folder = root / "meeting"
    folder.mkdir(parents=True)
    return str(folder)


def test_elements_run_in_parallel_up_to_the_maps_own_limit(flows, tmp_path):
    """Two elements run at once, and wait for each other here, and no third; or one, if the map allows no more."""
    engine = Engine(tmp_path, CODE, pods_at_once=4)
    engine.run(flows.mapped_meetings, {"folder": meeting(tmp_path), "xs": integers(1, 2, 3, 4)})
    assert overlap(engine.of("meet")) == 2
    engine = Engine(tmp_path, CODE)
    engine.run(flows.mapped_serially, {"xs": integers(1, 2, 3)})
    assert overlap(engine.of("scaled")) == 1
    assert [pod.index for pod in engine.of("scaled")] == [0, 1, 2]


def test_independent_nodes_run_in_parallel(flows, engine):
    """Two nodes that need nothing of each other have their pods at the same time, in which they meet."""
    assert results(engine.run(flows.meetings, {"folder": meeting(engine.root)})) == [3]
