"""The cache of a cluster."""

from containers import CODE
from engine_values import integers, results
from flyteidl.core import literals_pb2 as pb
from flyteidl.core import tasks_pb2, types_pb2

from flyteoptuna.testing.engine.cache import Cache, cache_key
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.pods.literals import primitive_literal
from flyteoptuna.testing.pods.pod import PodOutcome


def test_a_cached_task_is_not_run_twice(flows, tmp_path):
    """A second engine with the first one's cache runs only the task that is not cached."""
    cache = Cache()
    assert results(Engine(tmp_path, CODE, cache=cache).run(flows.squares, {"x": 3, "note": "a"})) == [9, 9]
    engine = Engine(tmp_path, CODE, cache=cache)
    assert results(engine.run(flows.squares, {"x": 3, "note": "b"})) == [9, 9]
    assert [pod.task for pod in engine.pods] == ["engine_flows.uncached"]
    assert [(pod.task, pod.path, pod.outcome) for pod in engine.hits] == [("engine_flows.cached", "n0", PodOutcome.HIT)]
    assert len(cache) == 1


def test_elements_are_cached_one_by_one_and_only_if_they_succeed(flows, tmp_path):
    """An element that is cached does not run; one that failed is not in the cache."""
    cache = Cache()
    engine = Engine(tmp_path, CODE, cache=cache)
    assert results(engine.run(flows.cached_map, {"xs": integers(1, -1, 2)})) == ["[1, None, 4]"]
    assert len(cache) == 2
    assert results(engine.run(flows.cached_map, {"xs": integers(2, -1, 3)})) == ["[4, None, 9]"]
    assert [pod.index for pod in engine.hits] == [0]
    assert sorted(pod.index for pod in engine.of("cached")[3:]) == [1, 2]


def test_the_cache_key_is_the_task_without_its_version_and_the_inputs_that_count():
    """Project, domain, name, cache version, interface, inputs or their hash: not the version, not what is ignored."""

    def template(version="v", cache_version="1", name="t", kind=types_pb2.INTEGER):
        made = tasks_pb2.TaskTemplate()
        made.id.name, made.id.version = name, version
        made.metadata.discoverable, made.metadata.discovery_version = True, cache_version
        made.metadata.cache_ignore_input_vars.append("note")
        made.interface.outputs.variables["o0"].type.simple = kind
        return made

    inputs = {"x": primitive_literal(1), "note": primitive_literal("a")}
    key = cache_key(template(), inputs)
    assert key == cache_key(template(version="w"), {"x": primitive_literal(1), "note": primitive_literal("b")})
    others = [template(cache_version="2"), template(name="u"), template(kind=types_pb2.FLOAT)]
    assert len({key, *(cache_key(other, inputs) for other in others)}) == 4
    assert cache_key(template(), {"x": primitive_literal(2)}) != key
    hashed = [pb.Literal(scalar=primitive_literal(number).scalar, hash="h") for number in (1, 2)]
    assert cache_key(template(), {"x": hashed[0]}) == cache_key(template(), {"x": hashed[1]}) != key
    plain = template()
    plain.metadata.discoverable = False
    assert cache_key(plain, inputs) is None
