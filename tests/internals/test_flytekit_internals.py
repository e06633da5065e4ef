"""Each private attribute of flytekit that is used does what it is used for, and no other module uses any."""

import ast
import dataclasses
import functools
from datetime import timedelta
from pathlib import Path

import flytekit
import flytekit as fl
import pytest
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.checkpointer import SyncCheckpoint
from flytekit.core.data_persistence import FileAccessProvider
from flytekit.core.interface import Interface
from flytekit.core.promise import Promise, flyte_entity_call_handler
from flytekit.core.type_engine import TypeEngine, TypeTransformer
from flytekit.models.types import LiteralType, SimpleType, TypeStructure
from flytekit.tools.translator import get_serializable

import flyteoptuna
from flyteoptuna.internals.flytekit_internals import (
    branch_nodes,
    checkpoint_folders,
    clone_task,
    copy_file_access,
    register_first,
    rename_map_task,
    rename_task,
)

PACKAGE = Path(flyteoptuna.__file__).parent
SETTINGS = SerializationSettings(ImageConfig.auto(img_name="image:tag"), "p", "d", "v")


@fl.task(retries=2, timeout=timedelta(seconds=7), environment={"A": "b"})
def task(x: int) -> int:
    """A docstring of its own."""
    return x


@fl.task
async def async_task(x: int) -> int:
    return x


def double(y):
    return float(2 * y)


async def async_double(y):
    return double(y)


@pytest.mark.parametrize(("original", "function"), [(task, double), (async_task, async_double)])
def test_a_clone_runs_another_function_under_another_interface(original, function):
    """In a local run and in its template; the original stays as it was, and all else is the original's."""
    metadata = dataclasses.replace(original.metadata, retries=5)
    clone = clone_task(original, interface=Interface({"y": int}, {"o0": float}), function=function, metadata=metadata)

    @fl.workflow
    def workflow(y: int) -> float:
        return flyte_entity_call_handler(clone, y=y)

    assert workflow(y=4) == 8.0
    template = get_serializable({}, SETTINGS, clone).template
    assert (list(template.interface.inputs), list(template.interface.outputs)) == (["y"], ["o0"])
    assert template.interface.outputs["o0"].type.simple == SimpleType.FLOAT
    assert template.metadata.retries.retries == 5
    assert (clone.python_interface.inputs, clone.task_function, type(clone)) == ({"y": int}, function, type(original))
    assert template.container.env == get_serializable({}, SETTINGS, original).template.container.env
    assert (list(original.interface.inputs), list(original.python_interface.inputs)) == (["x"], ["x"])
    assert original.metadata.retries != 5


def test_a_clone_keeps_the_function_and_the_metadata_that_are_not_given():
    """As a worker does, which overrides `execute`."""
    clone = clone_task(task, interface=Interface({"y": int}, {"o0": int}))
    assert (clone.task_function, clone.metadata) == (task.task_function, task.metadata)
    assert clone.metadata.timeout == timedelta(seconds=7)


def test_a_task_has_the_name_that_it_is_given():
    """Whole, with no module in front, in its template too."""
    clone = clone_task(task, interface=task.python_interface)
    rename_task(clone, "a.name")
    assert clone.name == get_serializable({}, SETTINGS, clone).template.id.name == "a.name"
    assert task.name.endswith("test_flytekit_internals.task")


def test_a_map_task_and_its_node_have_the_name_that_it_is_given():
    """In the graph of a workflow."""
    mapped = ArrayNodeMapTask(task)
    rename_map_task(mapped, "a.name")

    @fl.workflow
    def workflow() -> list[int]:
        return mapped(x=[1, 2])

    assert mapped.name == "a.name"
    (node,) = workflow.nodes
    assert node.flyte_entity.sub_node_metadata.name == "a.name"


class Tagged:
    """A type whose values are structs."""


class TaggedTransformer(TypeTransformer):
    def __init__(self):
        super().__init__("Tagged", Tagged)

    def get_literal_type(self, t=None):
        return LiteralType(simple=SimpleType.STRUCT, structure=TypeStructure(tag="Tagged"))

    def to_literal(self, ctx, python_val, python_type, expected):
        raise NotImplementedError

    def to_python_value(self, ctx, lv, expected_python_type):
        raise NotImplementedError

    def guess_python_type(self, literal_type):
        if literal_type.structure is not None and literal_type.structure.tag == "Tagged":
            return Tagged
        raise ValueError("no")


def test_a_type_that_is_registered_first_is_guessed_before_a_dictionary():
    """Once, however often it is registered; all others stay in their order."""
    others = [kind for kind in TypeEngine.get_available_transformers() if kind is not Tagged]
    register_first(TaggedTransformer())
    register_first(TaggedTransformer())
    assert [*TypeEngine.get_available_transformers()] == [Tagged, *others]
    assert TypeEngine.guess_python_type(TaggedTransformer().get_literal_type()) is Tagged
    assert TypeEngine.guess_python_type(LiteralType(simple=SimpleType.STRUCT)) is dict


@pytest.mark.parametrize("last", ["else", "fail"])
def test_the_nodes_of_a_conditional_are_those_of_its_branches(last):
    """A branch that fails has none."""

    @fl.workflow
    def workflow(x: int) -> int:
        branches = fl.conditional("c").if_(x == 1).then(task(x=1)).elif_(x == 2).then(task(x=2))
        branches = branches.elif_(x == 3).then(task(x=3)).else_()
        return branches.then(task(x=4)) if last == "else" else branches.fail("no")

    (node,) = workflow.nodes
    bound = [n.bindings[0].binding.scalar.primitive.integer for n in branch_nodes(node.flyte_entity)]
    assert bound == ([1, 2, 3, 4] if last == "else" else [1, 2, 3])


def test_a_promises_path_can_be_extended():
    """By a public property, whose list is the promise's own."""

    @fl.workflow
    def workflow(x: list[int]) -> int:
        other = Promise("o0", x.val if x.is_ready else x.ref)
        other.attr_path.extend(x[1].attr_path)
        assert x.attr_path == []
        return other if x.is_ready else x[1]

    assert workflow(x=[4, 5]) == 5


@pytest.mark.parametrize("source", ["", "there"])
def test_a_checkpoint_writes_to_its_first_folder_and_reads_from_its_second(tmp_path, source):
    """Where there is one to read."""
    given = str(tmp_path / source) if source else None
    if source:
        SyncCheckpoint(given).write(b"before")
    checkpoint = SyncCheckpoint(str(tmp_path / "here"), given)
    assert checkpoint_folders(checkpoint) == (str(tmp_path / "here"), given or "")
    assert checkpoint.read() == (b"before" if source else None)
    checkpoint.write(b"now")
    assert SyncCheckpoint("unused", checkpoint_folders(checkpoint)[0]).read() == b"now"


@pytest.mark.parametrize("end", ["", "/"])
def test_a_copy_of_a_file_access_writes_below_another_prefix(tmp_path, end):
    """The original stays as it was."""
    access = FileAccessProvider(str(tmp_path / "local"), str(tmp_path / "raw"))
    copied = copy_file_access(access, f"{tmp_path}/prefix{end}")
    assert copied.raw_output_prefix == f"{tmp_path}/prefix/"
    assert copied.get_random_remote_path("x").startswith(f"{tmp_path}/prefix/")
    assert copied.get_random_local_directory().startswith(f"{tmp_path}/local/")
    assert copied.data_config is access.data_config
    assert access.get_random_remote_path("x").startswith(f"{tmp_path}/raw/")


def private_names(tree):
    """Private names of attributes that a module sets, or that its classes define."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            targets = [t for s in node.body if isinstance(s, ast.Assign) for t in s.targets]
            targets += [s.target for s in node.body if isinstance(s, ast.AnnAssign)]
            names |= {t.id for t in targets if isinstance(t, ast.Name)}
    return {name for name in names if name.startswith("_") and not name.endswith("__")}


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


@functools.cache
def names_of_flytekit(module=None):
    """Those of one module of flytekit's, or of all."""
    root = Path(flytekit.__file__).parent
    paths = root.rglob("*.py") if module is None else [root.parent / f"{module.replace('.', '/')}.py"]
    return set().union(*(private_names(ast.parse(path.read_text())) for path in paths))


def uses_of_flytekits(tree):
    """Private attributes of flytekit's objects that a module may use, and of its own classes below flytekit's."""
    own = private_names(tree)
    used = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in names_of_flytekit()
        and not is_self(node.value)
        and not (isinstance(node.value, ast.Attribute) and is_self(node.value.value) and node.attr in own)
    ]
    homes = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("flytekit.")
        for alias in node.names
    }
    for kind in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        bases = {ast.unparse(base).partition("[")[0] for base in kind.bases} & homes.keys()
        names = set().union(*(names_of_flytekit(homes[base]) for base in bases))
        used += [
            n.attr for n in ast.walk(kind) if isinstance(n, ast.Attribute) and is_self(n.value) and n.attr in names
        ]
    return used


MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def test_the_private_attributes_of_flytekit_are_known():
    """So that what finds none in other modules would find some."""
    tree = ast.parse(MODULES["internals/flytekit_internals.py"].read_text())
    assert {"_REGISTRY", "_ifelse_block", "_instantiated_in", "_name", "_task_function"} <= {*uses_of_flytekits(tree)}
    below = "from flytekit.core.promise import Promise\nclass P(Promise):\n    def f(self): self._attr_path = []"
    assert uses_of_flytekits(ast.parse(below)) == ["_attr_path"]


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"internals/flytekit_internals.py"}))
def test_no_other_module_uses_a_private_attribute_of_flytekits(module):
    """Read or set, on any object but one of its own classes."""
    assert uses_of_flytekits(ast.parse(MODULES[module].read_text())) == []
