"""Imports go down only, wing by wing, and a trial's pod pays for nothing that it does not use."""

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
WINGS = ["core", "storage", "journal", "study", "flyte", "show", "search", "cli", "testing"]
# What each wing may import of the package besides itself.
BELOW = {
    "core": set(),
    "storage": {"core"},
    "journal": set(),
    "study": {"core", "storage", "journal"},
    "flyte": {"core", "storage", "study"},
    "show": {"core", "storage", "journal", "study", "flyte"},
    "show.page": {"core", "study", "flyte"},
    "search": {"core", "storage", "journal", "study", "flyte", "show", "show.page"},
    "cli": {"core", "storage", "study", "flyte", "show", "search", "optimizer", "suggest"},
    "testing": {"core", "storage", "study", "flyte", "show", "search", "optimizer", "suggest"},
    # The modules at the top: what users write, and the entry points of Python and of flytekit.
    "optimizer": {"setting_checks", "input_checks", "core", "storage", "study", "flyte", "show", "search"},
    "input_checks": {"setting_checks", "core", "flyte"},
    "setting_checks": {"core", "flyte"},
    "suggest": {"core"},
    "plugin": {"flyte"},
    "__init__": {"core", "storage", "journal", "study", "flyte", "show", "optimizer", "suggest"},
    "__main__": {"cli"},
}
# What each of them imports besides Python's own library.
NEEDS = {
    "core": set(),
    "storage": {"cloudpickle", "optuna"},
    "journal": {"fsspec", "optuna"},
    "study": {"cloudpickle", "optuna"},
    "flyte": {"flyteidl", "flytekit", "google", "msgpack", "optuna"},
    "show": {"flyteidl", "flytekit", "optuna", "rich", "sqlalchemy", "typing_extensions"},
    "show.page": {"numpy", "optuna"},
    "search": {"cloudpickle", "flyteidl", "flytekit", "joblib", "optuna", "typing_extensions"},
    "cli": {"click", "flytekit", "optuna", "optuna_dashboard", "rich", "wrapt"},
    "testing": {"flyteidl", "flytekit", "google", "hypothesis", "jsonschema", "msgpack", "optuna"},
    "optimizer": {"optuna"},
    "input_checks": {"flytekit"},
    "setting_checks": {"flytekit", "optuna"},
    "suggest": set(),
    "plugin": {"wrapt"},
    "__init__": set(),
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
HEAVY = {"optuna", "numpy", "pandas", "plotly", "rich", "joblib", "sqlalchemy"}


def name_of(path):
    """The full name of a module by its file."""
    parts = ("flyteoptuna", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def wing_of(module):
    """The wing of a module, or the name of a module at the top."""
    parts = module.split(".")[1:] or ["__init__"]
    return "show.page" if parts[:2] == ["show", "page"] else parts[0]


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


def packages(module, **kwargs):
    """The packages of others that a module imports."""
    return {found.split(".")[0] for found in imports(module, **kwargs)} - {*sys.stdlib_module_names, "flyteoptuna"}


def of(wing):
    """The modules of a wing."""
    return [module for module in MODULES if wing_of(module) == wing]


def test_every_module_has_its_wing():
    """A new folder is placed before it is used, and the order of the folders is that of the documentation."""
    assert {wing_of(module) for module in MODULES} == set(BELOW) == set(NEEDS)
    assert all(BELOW[wing] & {*WINGS} <= {*WINGS[:i]} for i, wing in enumerate(WINGS))
    assert [wing for wing in BELOW if {"cli", "testing"} & BELOW[wing]] == ["__main__"]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    """Inside functions, and for type checkers too."""
    wing = wing_of(module)
    inside = {"show", "show.page"} if wing == "show" else {wing}
    assert own(module) <= MODULES.keys()
    assert {other for other in own(module) if wing_of(other) not in BELOW[wing] | inside} == set()


def test_no_import_goes_in_a_circle():
    """Within a wing as well."""
    graphlib.TopologicalSorter({module: own(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("wing", NEEDS)
def test_a_wing_imports_the_packages_that_it_may(wing):
    """The bottom needs Python alone, and each package has few doors."""
    assert {found for module in of(wing) for found in packages(module)} == NEEDS[wing]


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()} - {PACKAGE}), ids=lambda p: p.name)
def test_a_wing_says_what_it_knows_and_nothing_else(folder):
    """Its `__init__` is a docstring alone, which costs nobody anything who wants one of its modules."""
    docstring, *rest = ast.parse((folder / "__init__.py").read_text()).body
    # What users import is in the package itself, and in the wing for their tests.
    assert not rest or folder.name == "testing"
    assert len(ast.literal_eval(docstring.value)) > 50


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}), ids=lambda p: p.name)
def test_a_folder_can_be_taken_in_at_a_glance(folder):
    """At most ten files, none of more than 320 lines."""
    lengths = {path.name: len(path.read_text().splitlines()) for path in folder.glob("*.py")}
    assert len(lengths) <= 10
    assert {name: length for name, length in lengths.items() if length > 320} == {}


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
    late = {"flyteoptuna.search.batches.driver", "flyteoptuna.search.rounds", "flyteoptuna.flyte.study_type"}
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
    assert (defined, asked) == (["flyteoptuna.search.local_or_graph"], ["flyteoptuna.optimizer"])
    text = "".join(path.read_text() for path in MODULES.values())
    assert "is_local_execution" not in text


def test_every_public_name_is_type_checked():
    """The file that a type checker reads leaves none out."""
    used = {node.id for node in ast.walk(ast.parse(TYPED.read_text())) if isinstance(node, ast.Name)}
    assert set(flyteoptuna.__all__) <= used
