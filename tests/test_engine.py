"""The container-exact engine: what it takes from Flyte's propeller, and the faults that it can cause."""

import re
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
from engine import NONE, Cache, Engine, ExecutionFailed, Fault, Graph, Outcome, primitive
from engine.arrays import min_successes
from engine.cache import cache_key
from engine.literals import UnresolvedBinding, attribute, collection, packed
from engine.pods import container
from engine.processes import SERVER
from flyteidl.core import literals_pb2 as pb
from flyteidl.core import tasks_pb2, types_pb2, workflow_pb2

CODE = Path(__file__).parent / "flows"


@pytest.fixture
def flows(monkeypatch):
    monkeypatch.syspath_prepend(str(CODE))
    import engine_flows

    return engine_flows


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path, CODE)


def integers(*values):
    return collection(primitive(value) for value in values)


def value(literal):
    scalar = literal.scalar
    if literal.HasField("collection"):
        return [value(item) for item in literal.collection.literals]
    if literal.HasField("map"):
        return {key: value(item) for key, item in literal.map.literals.items()}
    if scalar.HasField("binary"):
        return msgpack.loads(scalar.binary.value)
    return getattr(scalar.primitive, scalar.primitive.WhichOneof("value")) if scalar.HasField("primitive") else None


def results(outputs):
    return [value(outputs[name]) for name in sorted(outputs)]


def path(*steps):
    names = {str: "string_value", int: "int_value"}
    return [types_pb2.PromiseAttribute(**{names[type(step)]: step}) for step in steps]


# Bindings


def test_promises_scalars_collections_and_maps_are_bound(flows, engine):
    """Attributes, lists and dictionaries of promises and constants, and an optional input, reach the tasks."""
    first, second = results(engine.run(flows.bindings))
    assert first == "3 1.5 ['a', 'b'] {'k': 3} 4"
    assert second == "[3, 7, 3] [('a', 3), ('b', 1)] 3"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["n"], primitive(3)),
        (["f"], primitive(0.5)),
        (["b"], primitive(True)),
        (["s"], primitive("text")),
        (["list"], collection([packed(1), packed([2])])),
        (["list", 1, 0], primitive(2)),
        (["map"], packed({"k": 1})),
        (["map", "k"], primitive(1)),
        (["none"], packed(None)),
    ],
)
def test_an_attribute_of_msgpack_is_a_primitive_a_collection_of_binaries_or_one_binary(steps, expected):
    """A path into a msgpack binary ends in what Flyte's resolver makes of the value there."""
    content = {"n": 3, "f": 0.5, "b": True, "s": "text", "list": [1, [2]], "map": {"k": 1}, "none": None}
    assert attribute(packed(content), path(*steps)) == expected
    outer = pb.Literal(map=pb.LiteralMap(literals={"x": collection([NONE, packed(content)])}))
    assert attribute(outer, path("x", 1, *steps)) == expected


def test_an_attribute_of_a_struct_is_a_float_for_each_number():
    """A path into a protobuf struct ends in a primitive, a collection or a struct; its numbers are floats."""
    literal = pb.Literal()
    literal.scalar.generic.update({"n": 3, "list": [1, "a"], "map": {"k": True}})
    assert attribute(literal, path("n")) == primitive(3.0)
    assert attribute(literal, path("list")) == collection([primitive(1.0), primitive("a")])
    assert attribute(literal, path("map")).scalar.generic["k"] is True


@pytest.mark.parametrize(
    ("literal", "steps", "message"),
    [
        (packed({"a": 1}), ["b"], r"key \[b\] does not exist"),
        (packed([1]), [1], r"index \[1\] is out of range"),
        (packed({"a": 1}), ["a", "b"], r"unexpected attribute \[b\] of a int"),
        (packed({"a": 1}), [0], r"unexpected attribute \[0\] of a dict"),
        (integers(1), [2], r"index \[2\] is out of range"),
        (pb.Literal(map=pb.LiteralMap()), ["b"], r"key \[b\] does not exist"),
    ],
)
def test_an_attribute_that_does_not_exist_is_an_error(literal, steps, message):
    """A missing key, an index out of range and a step into the wrong kind of value are errors."""
    with pytest.raises(UnresolvedBinding, match=message):
        attribute(literal, path(*steps))


def test_a_path_into_a_union_is_ignored():
    """Flyte's resolver returns a union as it is, whatever path there is."""
    union = pb.Literal(scalar=pb.Scalar(union=pb.Union(value=packed({"a": 1}))))
    assert attribute(union, path("a")) == union


def test_a_node_whose_binding_cannot_be_resolved_fails(flows, engine):
    """A missing key in the outputs of a task fails the node that wants it, before it has a pod."""
    with pytest.raises(ExecutionFailed, match=r"node n1 \(engine_flows.add\): key \[y\] does not exist") as failed:
        engine.run(flows.missing_key, {"size": 1})
    assert (failed.value.path, failed.value.task) == ("n1", "engine_flows.add")
    assert len(engine.pods) == 1


# Nodes


def test_a_dynamic_task_is_run_one_level_deeper(flows, engine):
    """Each level of a recursive dynamic task is a graph of its own, with its own path, depth and key."""
    assert results(engine.run(flows.nested, {"left": 3})) == [2 * (3 + 2 + 1)]
    assert engine.depth == 3
    assert [pod.depth for pod in engine.of("countdown")] == [0, 1, 2, 3]
    assert [pod.path for pod in engine.of("add")] == ["n0-0-dn0", "n0-0-dn1-0-dn0", "n0-0-dn1-0-dn1-0-dn0"]
    assert engine.longest_key.split("/", 1)[1] == "n0/data/0/dn1/0/dn1/0/dn0/0/outputs.pb"
    assert engine.nodes == len(engine.pods) == 3 + 1 + 3 + 1
    assert {pod.outcome for pod in engine.of("countdown")} == {Outcome.DYNAMIC, Outcome.SUCCEEDED}


def test_subworkflows_are_run_from_a_workflow_and_from_a_dynamic_task(flows, engine):
    """A workflow called inside a workflow or a dynamic task is a graph whose nodes run."""
    assert results(engine.run(flows.subworkflows, {"x": 2})) == [5, 11]
    assert sorted(pod.path for pod in engine.of("add")) == ["n0-0-n1", "n1-0-dn0-0-dn1", "n1-0-dn1-0-dn1"]
    assert engine.depth == 1


def test_each_graph_is_recorded_with_its_edges(flows, engine):
    """The record says which node waits for which, whether a graph is a chain, and what Flyte's walk costs."""
    engine.run(flows.skips, {"x": 1})
    assert [graph.path for graph in engine.graphs] == ["", "n0-0"]
    assert dict(engine.graphs[1].nodes) == {"dn0": (), "dn1": ("dn0",), "dn2": ("dn0", "dn1")}
    assert [graph.is_chain for graph in engine.graphs] == [True, False]
    skipping = Graph("", tuple((str(i), tuple(map(str, range(max(0, i - 2), i)))) for i in range(20)))
    chain = Graph("", tuple((str(i), (str(i - 1),) if i else ()) for i in range(20)))
    assert (chain.visits, chain.is_chain) == (20, True)
    assert (skipping.visits, skipping.is_chain) == (17710, False)


@pytest.mark.parametrize("kind", ["branch_node", "gate_node"])
def test_branches_and_gates_are_refused(engine, kind):
    """A node that the engine cannot run is an error that names its kind."""
    node = workflow_pb2.Node(id="n0")
    getattr(node, kind).SetInParent()
    with pytest.raises(NotImplementedError, match=f"the engine runs no {kind}: node n0"):
        engine._kind(node)


# Arrays


def test_a_map_takes_items_of_lists_and_bound_inputs_whole(flows, engine):
    """Each element gets its own item and all of a bound list; a failed one comes back as None."""
    assert results(engine.run(flows.mapped, {"xs": integers(1, -1, 3)})) == ["[3, None, 9]"]
    elements = engine.of("scaled")
    assert sorted(pod.index for pod in elements) == [0, 1, 2]
    assert [value(pod.inputs["x"]) for pod in sorted(elements, key=lambda pod: pod.index)] == [1, -1, 3]
    assert all(value(pod.inputs["factors"]) == [1, 2] for pod in elements)
    assert "negative: -1" in next(pod for pod in elements if pod.outcome is Outcome.FAILED).message


def test_a_map_over_nothing_is_an_empty_list(flows, engine):
    """An empty list needs no pod and gives an empty list."""
    assert results(engine.run(flows.mapped, {"xs": integers()})) == ["[]"]
    assert [pod.task for pod in engine.pods] == ["engine_flows.show"]


def test_a_map_fails_below_its_minimum_of_successes(flows, engine):
    """With too many failed elements the map fails, says why, and starts no more of them."""
    with pytest.raises(ExecutionFailed, match=r"(?s)n0 .*3 of 4 elements failed.*\[1\]: .*negative: -2"):
        engine.run(flows.mapped_serially, {"xs": integers(-1, -2, -3, 1)})
    assert [pod.index for pod in engine.pods] == [0, 1, 2]


def test_the_minimum_is_a_ratio_of_32_bits():
    """The ratio is a float of 32 bits, so that 0.1 of 10 needs 2 successes."""
    array = workflow_pb2.ArrayNode(min_success_ratio=0.1)
    assert [min_successes(array, size) for size in (0, 1, 10)] == [0, 1, 2]
    assert min_successes(workflow_pb2.ArrayNode(min_successes=3), 10) == 3
    assert min_successes(workflow_pb2.ArrayNode(), 10) == 10


def overlap(pods):
    return max(sum(other.started <= pod.started < other.ended for other in pods) for pod in pods)


def meeting(root):
    folder = root / "meeting"
    folder.mkdir(parents=True)
    return str(folder)


def test_elements_run_in_parallel_up_to_the_maps_own_limit(flows, tmp_path):
    """Two elements run at once, and wait for each other here, and no third; or one, if the map allows no more."""
    engine = Engine(tmp_path, CODE, workers=4)
    engine.run(flows.mapped_meetings, {"folder": meeting(tmp_path), "xs": integers(1, 2, 3, 4)})
    assert overlap(engine.of("meet")) == 2
    engine = Engine(tmp_path, CODE)
    engine.run(flows.mapped_serially, {"xs": integers(1, 2, 3)})
    assert overlap(engine.of("scaled")) == 1
    assert [pod.index for pod in engine.of("scaled")] == [0, 1, 2]


def test_independent_nodes_run_in_parallel(flows, engine):
    """Two nodes that need nothing of each other have their pods at the same time, in which they meet."""
    assert results(engine.run(flows.meetings, {"folder": meeting(engine.root)})) == [3]


# Pods


@pytest.mark.parametrize("cold", [False, True])
def test_a_pod_is_a_fresh_process_with_its_own_folder_and_environment(flows, tmp_path, cold):
    """Warm or cold, a pod imports the user's module anew, sees Flyte's variables and nothing of the test."""
    engine = Engine(tmp_path, CODE, cold=cold)
    one, two = results(engine.run(flows.inspected))
    assert one["calls"] == two["calls"] == "1"
    assert one["random"] != two["random"]
    assert one["cwd"] != two["cwd"] and Path(one["cwd"]).is_relative_to(tmp_path)
    assert (one["module"], one["colour"], one["pytest"]) == (str(CODE), "blue", "False")
    assert one["task"] == "engine_flows.inspect"
    assert re.fullmatch(r"p/d/a\w+", one["execution"])


def test_the_server_ends_when_its_input_closes():
    """The warm server and what it runs end with the process that started it."""
    server = subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert b"ready" in server.stdout.readline()
    server.stdin.close()
    assert server.wait(600) == 0


def test_a_pod_that_takes_too_long_is_killed(flows, tmp_path):
    """After its time a pod is killed, which is a failure like any other."""
    with pytest.raises(ExecutionFailed, match="killed by signal 14"):
        Engine(tmp_path, CODE, seconds=1).run(flows.sleeping, {"seconds": 30})


def test_the_primary_container_of_a_pod_is_what_runs():
    """A task with a pod template runs the arguments and the environment of its primary container."""
    template = tasks_pb2.TaskTemplate(config={"primary_container_name": "main"})
    containers = [
        {"name": "side", "args": ["no"]},
        {"name": "main", "args": ["pyflyte-execute"], "env": [{"name": "A", "value": "1"}]},
    ]
    template.k8s_pod.pod_spec.update({"containers": containers})
    assert container(template) == (["pyflyte-execute"], {"A": "1"})


# Faults and retries


def on(fault, **wanted):
    return lambda pod: fault if all(getattr(pod, name) == each for name, each in wanted.items()) else None


def test_a_killed_pod_is_retried_as_often_as_the_engine_is_told(flows, tmp_path):
    """A killed pod is the system's failure: each new attempt has its own outputs, and without retries it is final."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.KILL, attempt=0), system_retries=1)
    assert results(engine.run(flows.independent)) == [3]
    assert [pod.attempt for pod in engine.of("add")] == [0, 1]
    assert [pod.metadata.name for pod in engine.of("add")] == ["0", "1"]
    assert not (engine.of("add")[0].folder / "stdout").exists()
    engine = Engine(tmp_path / "none", CODE, faults=on(Fault.KILL))
    with pytest.raises(ExecutionFailed, match="the pod was killed by signal 9"):
        engine.run(flows.retried, {"until": 0})
    assert len(engine.pods) == 1


def test_a_pod_can_die_after_its_work(flows, tmp_path):
    """The work was done, but its outputs do not count."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.LOSE, task="engine_flows.add", attempt=0), system_retries=1)
    assert results(engine.run(flows.independent)) == [3]
    first, second = engine.of("add")
    assert (first.folder / "stdout").exists() and not list(first.metadata.iterdir())
    assert (first.outcome, second.outcome) == (Outcome.KILLED, Outcome.SUCCEEDED)


def test_a_process_that_ends_with_an_error_counts_as_the_users(flows, tmp_path):
    """A crash is retried out of the task's own retries."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.CRASH, attempt=0))
    assert results(engine.run(flows.retried, {"until": 0})) == [1]
    with pytest.raises(ExecutionFailed, match="exit code 1"):
        Engine(tmp_path, CODE, faults=on(Fault.CRASH)).run(flows.independent)


def test_an_output_can_be_dropped_from_a_list(flows, tmp_path):
    """A dropped element makes the list shorter, and what follows it moves up."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.DROP, index=1))
    assert results(engine.run(flows.mapped, {"xs": integers(1, 2, 3)})) == ["[3, 9]"]


def test_an_output_can_be_nulled_in_a_list(flows, tmp_path):
    """A nulled element leaves None in its place."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.NULL, index=1))
    assert results(engine.run(flows.mapped, {"xs": integers(1, 2, 3)})) == ["[3, None, 9]"]


def test_only_an_element_can_be_dropped(flows, tmp_path):
    """Dropping the output of a task that is in no list is a mistake of the test."""
    with pytest.raises(ValueError, match="is for an array's element"):
        Engine(tmp_path, CODE, faults=on(Fault.DROP)).run(flows.independent)


def test_an_element_is_retried_by_itself(flows, tmp_path):
    """An element's second attempt has its own folder below the element's, and the others run once."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.KILL, index=1, attempt=0), system_retries=1)
    assert results(engine.run(flows.mapped, {"xs": integers(1, 2)})) == ["[3, 6]"]
    assert sorted((pod.index, pod.attempt) for pod in engine.of("scaled")) == [(0, 0), (1, 0), (1, 1)]
    assert engine.of("scaled")[-1].metadata.parts[-3:] == ("0", "1", "1")


def test_a_recoverable_error_is_retried_as_often_as_the_task_allows(flows, tmp_path):
    """The task's own retries are for its recoverable errors, and the last of them is final."""
    engine = Engine(tmp_path, CODE)
    assert results(engine.run(flows.retried, {"until": 2})) == [2]
    assert [pod.outcome for pod in engine.pods] == [Outcome.RECOVERABLE] * 2 + [Outcome.SUCCEEDED]
    with pytest.raises(ExecutionFailed, match="attempt 2 failed"):
        Engine(tmp_path, CODE).run(flows.retried, {"until": 3})


def test_an_attempt_reads_the_checkpoint_of_the_one_before(flows, engine):
    """Each attempt has raw outputs of its own, and is told where the last one's checkpoint is."""
    assert results(engine.run(flows.with_checkpoint)) == ["half done"]
    first, second = engine.pods
    assert first.raw != second.raw and list(first.raw.rglob("_flytecheckpoints*"))


def test_another_error_is_not_retried(flows, engine):
    """A plain exception fails the workflow at once, with the node, the task and the message."""
    with pytest.raises(ExecutionFailed, match="this is broken") as failed:
        engine.run(flows.failing, {"x": 1})
    assert (failed.value.path, failed.value.task) == ("n0", "engine_flows.broken")
    assert len(engine.pods) == 1
    assert "this is broken" in engine.pods[0].stderr


# Recovery


def test_a_recovery_runs_only_what_had_not_finished(flows, tmp_path):
    """Finished nodes are found by their path, inside a failed dynamic task too, whose graph is not compiled again."""
    first = Engine(tmp_path, CODE, faults=on(Fault.KILL, path="n0-0-dn1-0-dn0"))
    with pytest.raises(ExecutionFailed):
        first.run(flows.nested, {"left": 2})
    ran = [pod.path for pod in first.pods]
    assert ran == ["n0", "n0-0-dn0", "n0-0-dn1", "n0-0-dn1-0-dn0"]
    second = Engine(tmp_path, CODE)
    assert results(second.recover(flows.nested, {"left": 2}, of=first)) == [6]
    assert [pod.path for pod in second.pods] == ["n0-0-dn1-0-dn0", "n0-0-dn1-0-dn1", "n1"]
    assert second.recovered == ["n0-0-dn0"]
    assert results(second.recover(flows.nested, {"left": 2})) == [6]
    assert second.recovered[1:] == ["n0", "n1"]


def test_a_failed_map_runs_whole_in_a_recovery(flows, tmp_path):
    """Elements of a failed map run again even if they had succeeded, unless they are cached."""
    first = Engine(tmp_path, CODE, faults=on(Fault.KILL, index=2))
    with pytest.raises(ExecutionFailed):
        first.run(flows.cached_and_not, {"xs": integers(1, 2, 3)})
    first.faults = lambda pod: None
    before = len(first.pods)
    assert results(first.recover(flows.cached_and_not, {"xs": integers(1, 2, 3)})) == ["[1, 4, 9]", "[2, 4, 6]"]
    again = [pod for pod in first.pods[before:] if pod.index is not None]
    assert sorted(pod.index for pod in again if "double" in pod.task) == [0, 1, 2]
    assert [pod.index for pod in again if "cached" in pod.task] == [2]
    assert sorted(pod.index for pod in first.hits) == [0, 1]


# Cache


def test_a_cached_task_is_not_run_twice(flows, tmp_path):
    """A second engine with the first one's cache runs only the task that is not cached."""
    cache = Cache()
    assert results(Engine(tmp_path, CODE, cache=cache).run(flows.squares, {"x": 3, "note": "a"})) == [9, 9]
    engine = Engine(tmp_path, CODE, cache=cache)
    assert results(engine.run(flows.squares, {"x": 3, "note": "b"})) == [9, 9]
    assert [pod.task for pod in engine.pods] == ["engine_flows.uncached"]
    assert [(pod.task, pod.path, pod.outcome) for pod in engine.hits] == [("engine_flows.cached", "n0", Outcome.HIT)]
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

    inputs = {"x": primitive(1), "note": primitive("a")}
    key = cache_key(template(), inputs)
    assert key == cache_key(template(version="w"), {"x": primitive(1), "note": primitive("b")})
    others = [template(cache_version="2"), template(name="u"), template(kind=types_pb2.FLOAT)]
    assert len({key, *(cache_key(other, inputs) for other in others)}) == 4
    assert cache_key(template(), {"x": primitive(2)}) != key
    hashed = [pb.Literal(scalar=primitive(number).scalar, hash="h") for number in (1, 2)]
    assert cache_key(template(), {"x": hashed[0]}) == cache_key(template(), {"x": hashed[1]}) != key
    plain = template()
    plain.metadata.discoverable = False
    assert cache_key(plain, inputs) is None


# Limits


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("large", 3_000_000, r"node n0 .*outputs.pb has 3000\d+ bytes, over the limit of 2097152"),
        ("large_together", 1_500_000, r"node n2 .*inputs.pb has 3000\d+ bytes"),
        ("large_graph", 3_000_000, r"node n0 .*futures.pb has \d+ bytes"),
    ],
)
def test_what_is_inline_and_over_two_mebibytes_is_an_error(flows, engine, name, size, message):
    """Outputs, inputs and compiled graphs that the propeller would not read fail the node that they belong to."""
    assert results(engine.run(getattr(flows, name), {"size": 1000})) == [{"large_together": 2000}.get(name, 1000)]
    with pytest.raises(ExecutionFailed, match=message):
        engine.run(getattr(flows, name), {"size": size})


def test_a_warm_pod_is_faster_than_a_cold_one(flows, tmp_path):
    """A pod from the warm server takes less than half the time of a cold one."""

    def seconds(cold, runs):
        engine = Engine(tmp_path, CODE, cold=cold)
        for _ in range(runs):
            engine.run(flows.retried, {"until": 0})
        return min(pod.ended - pod.started for pod in engine.pods)

    assert seconds(cold=False, runs=3) < seconds(cold=True, runs=1) / 2
