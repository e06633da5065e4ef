"""Imports go down only, layer by layer, and a trial's pod pays for nothing that it does not use."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import flyteoptuna

PACKAGE = Path(flyteoptuna.__file__).parent
TYPED = Path(__file__).with_name("typing_api.py")
# The layers from the bottom to the top, and what each may import of the package besides itself.
BELOW = {
    "errors": set(),
    "streams": set(),
    "logs": set(),
    "values": {"errors", "logs"},
    "internals": set(),
    "space": {"errors", "values"},
    "trial": {"streams", "values"},
    "journal": {"errors", "values"},
    "storage": {"errors", "values", "internals", "space", "trial"},
    "sampler": {"internals"},
    "study": {"errors", "logs", "values", "internals", "space", "trial", "journal", "storage"},
    "flyte": {"errors", "values", "internals", "space", "trial", "storage", "study"},
    "page": {"logs", "values", "trial", "storage", "study", "flyte"},
    "load": {"errors", "streams", "logs", "values", "internals", "journal", "storage", "study", "flyte"},
    "search": {
        *("errors", "logs", "values", "internals", "space", "trial", "journal", "storage", "study", "flyte", "page")
    },
    "local": {"errors", "streams", "logs", "values", "internals", "trial", "storage", "study", "flyte", "search"},
    # The modules at the top: what users write, and the entry points of Python and of flytekit.
    "local_or_graph": {"streams", "flyte", "search", "local"},
    "optimizer_settings": {"values", "flyte", "study"},
    "optimizer_inputs": {"errors", "values", "space", "flyte", "optimizer_settings"},
    "suggest": {"values", "space"},
    "optimizer": {
        *("values", "optimizer_settings", "optimizer_inputs", "local_or_graph", "space", "storage", "flyte", "search")
    },
    "__init__": {"errors", "trial", "journal", "sampler", "study", "flyte", "page", "load", "suggest", "optimizer"},
    "cli": {
        *("errors", "streams", "values", "internals", "trial", "storage", "study", "flyte", "page", "load", "search")
    },
    "testing": {
        *("errors", "values", "internals", "space", "trial", "storage", "study", "flyte", "search"),
        *("optimizer", "suggest"),
    },
    "plugin": {"flyte", "cli"},
    "__main__": {"cli"},
}
# What each of them imports besides Python's own library.
NEEDS = {
    "errors": set(),
    "streams": set(),
    "logs": set(),
    "values": set(),
    "internals": {"cloudpickle", "flytekit", "optuna"},
    "space": set(),
    "trial": {"psutil", "typing_extensions"},
    "journal": {"fsspec", "optuna"},
    "storage": {"cloudpickle", "optuna", "psutil", "typing_extensions"},
    "sampler": {"numpy", "optuna", "threadpoolctl"},
    "study": {"cloudpickle", "optuna"},
    "flyte": {"cloudpickle", "flyteidl", "flytekit", "google", "msgpack", "optuna", "typing_extensions", "wrapt"},
    "page": {"numpy", "optuna"},
    "load": {"flyteidl", "flytekit", "optuna", "rich", "sqlalchemy"},
    "search": {"cloudpickle", "flytekit", "optuna", "typing_extensions"},
    "local": {"cloudpickle", "flytekit", "loky", "optuna", "rich", "typing_extensions"},
    "local_or_graph": {"flytekit"},
    "optimizer_settings": {"flytekit", "optuna"},
    "optimizer_inputs": {"flytekit"},
    "suggest": set(),
    "optimizer": {"optuna"},
    "__init__": set(),
    "cli": {"click", "flytekit", "optuna", "optuna_dashboard", "rich", "wrapt"},
    "testing": {"flyteidl", "flytekit", "google", "hypothesis", "jsonschema", "msgpack", "optuna"},
    "plugin": {"wrapt"},
    "__main__": set(),
}
# Installed with optuna or flytekit, which cannot do without them.
BROUGHT = {"flyteidl", "google", "numpy", "sqlalchemy", "typing_extensions"}
# What a trial's pod starts from, and what it is not to pay for.
POD = (
    "flyteoptuna.search.trial_task",
    "flyteoptuna.search.batches.graph",
    "flyteoptuna.optimizer",
    "flyteoptuna.plugin",
)
HEAVY = {"optuna", "numpy", "pandas", "plotly", "rich", "loky", "sqlalchemy"}


def name_of(path):
    """The full name of a module by its file."""
    parts = ("flyteoptuna", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def layer_of(module):
    """The layer of a module, or the name of a module at the top."""
    return (module.split(".")[1:] or ["__init__"])[0]


@functools.cache
def tree(module):
    return ast.parse(MODULES[module].read_text())


def statements(node, *, when_loaded):
    """Every statement below a node, or those that are run when the module is loaded."""
    for child in ast.iter_child_nodes(node):
        if when_loaded and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if when_loaded and isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from statements(child, when_loaded=when_loaded)


@functools.cache
def imports(module, *, when_loaded=False):
    """The modules that a module imports, by full name; in functions too, or when it is loaded."""
    found = set()
    for node in statements(tree(module), when_loaded=when_loaded):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports by a relative path"
            # A name that is imported from a folder may be one of its modules.
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {node.module}
    return found


def own(module, **kwargs):
    """The modules of the package that a module imports."""
    return {found for found in imports(module, **kwargs) if found.split(".")[0] == "flyteoptuna"}


def named(module):
    """The modules of the package that a module names in a string, as a loader or an entry point does."""
    texts = [node.value for node in ast.walk(tree(module)) if isinstance(node, ast.Constant)]
    found = {re.split(r"[:\s]", text)[0] for text in texts if isinstance(text, str) and text.startswith("flyteoptuna.")}
    return {each for each in found if each in MODULES} | {
        each.rpartition(".")[0] for each in found if each.rpartition(".")[0] in MODULES and each not in MODULES
    } - {"flyteoptuna"}


def packages(module, **kwargs):
    """The packages of others that a module imports."""
    return {found.split(".")[0] for found in imports(module, **kwargs)} - {*sys.stdlib_module_names, "flyteoptuna"}


def of(layer):
    """The modules of a layer."""
    return [module for module in MODULES if layer_of(module) == layer]


def test_every_module_has_its_layer():
    """A new folder is placed before it is used, and no layer imports one above it."""
    assert {layer_of(module) for module in MODULES} == set(BELOW) == set(NEEDS)
    order = [*BELOW]
    assert all(BELOW[layer] <= {*order[:i]} for i, layer in enumerate(order))
    assert [layer for layer in BELOW if {"cli", "testing"} & BELOW[layer]] == ["plugin", "__main__"]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    """Inside functions, for type checkers, and in strings that a loader reads too."""
    layer = layer_of(module)
    assert own(module) <= MODULES.keys()
    found = {layer_of(other) for other in own(module) | named(module)} - {layer}
    assert found - BELOW[layer] == set()


def test_no_layer_may_import_more_than_it_does():
    """The table is no longer than it has to be."""
    used = {layer: {layer_of(o) for m in of(layer) for o in own(m) | named(m)} - {layer} for layer in BELOW}
    assert used == BELOW


def test_no_import_goes_in_a_circle():
    """Within a layer as well."""
    graphlib.TopologicalSorter({module: own(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("layer", NEEDS)
def test_a_layer_imports_the_packages_that_it_may(layer):
    """The bottom needs Python alone, and each package has few doors."""
    assert {found for module in of(layer) for found in packages(module)} == NEEDS[layer]


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()} - {PACKAGE}), ids=lambda p: p.name)
def test_a_layer_says_what_it_holds_and_nothing_else(folder):
    """Its `__init__` is a docstring alone, which costs nobody anything who wants one of its modules."""
    docstring, *rest = ast.parse((folder / "__init__.py").read_text()).body
    # What users import is in the package itself, and in the layer for their tests.
    assert not rest or folder.name == "testing"
    assert len(ast.literal_eval(docstring.value)) > 50


def loaded_by(*modules):
    """The modules of the package that are loaded with the given ones, their folders included."""
    found, new = set(), set(modules)
    while new:
        module = new.pop()
        found.add(module)
        parents = {module.rpartition(".")[0]} - {""}
        new |= (own(module, when_loaded=True) | parents) - found
    return found


@pytest.mark.parametrize("module", sorted(loaded_by(*POD)))
def test_what_a_trials_pod_loads_imports_optuna_late_or_never(module):
    """The rest of a search is imported where it is used."""
    assert not HEAVY & packages(module, when_loaded=True)


@pytest.mark.parametrize("module", sorted(loaded_by("flyteoptuna.flyte.study_type") - {"flyteoptuna.flyte.study_type"}))
def test_any_module_may_be_the_first_to_import_optuna(module):
    """That import loads the study's type, which therefore needs no module that may be halfway loaded itself."""
    assert "optuna" not in packages(module, when_loaded=True)


@pytest.mark.parametrize("module", ["flyteoptuna", "flyteoptuna.plugin"])
def test_an_entry_point_imports_no_module_of_the_package_when_it_is_loaded(module):
    """Every pod loads flytekit's plugins."""
    assert own(module, when_loaded=True) == set()


def test_every_package_that_is_imported_is_a_dependency():
    """A clean installation has what the package imports."""
    lines = metadata.requires("flyteoptuna")
    declared = {re.match(r"[\w-]+", line).group().replace("-", "_") for line in lines}
    assert {found for needed in NEEDS.values() for found in needed} <= declared | BROUGHT


def test_importing_what_a_user_writes_imports_nothing_heavy():
    """Nothing but what flytekit and its other plugins import themselves."""
    late = {"flyteoptuna.search.batches.driver", "flyteoptuna.search.generation", "flyteoptuna.flyte.study_type"}
    code = (
        "import sys, flytekit; before = set(sys.modules); "
        "from flyteoptuna import Optimizer, current_trial, optimize, suggest; "
        f"import {', '.join(POD)}; "
        f"print(sorted({HEAVY | late!r} & (set(sys.modules) - before)), 'optuna' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "[] False"


def test_whether_a_search_is_local_is_asked_once():
    """One function knows, and one place asks it: from there on a search is a graph or a local run."""
    nodes = [(module, node) for module in MODULES for node in ast.walk(tree(module))]
    defined = [module for module, node in nodes if isinstance(node, ast.FunctionDef) and node.name == "is_local"]
    asked = [
        module
        for module, node in nodes
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "is_local"
    ]
    assert (defined, asked) == (["flyteoptuna.local_or_graph"], ["flyteoptuna.optimizer"])
    text = "".join(path.read_text() for path in MODULES.values())
    assert "is_local_execution" not in text


def test_every_public_name_is_type_checked():
    """The file that a type checker reads leaves none out."""
    used = {node.id for node in ast.walk(ast.parse(TYPED.read_text())) if isinstance(node, ast.Name)}
    assert set(flyteoptuna.__all__) <= used
