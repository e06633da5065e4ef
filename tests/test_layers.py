"""Imports go down only, and a trial's pod pays for nothing that it does not use."""

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import flyteoptuna

PACKAGE = Path(flyteoptuna.__file__).parent
TYPED = Path(__file__).with_name("typing_api.py")
LAYERS = [
    {"space", "plan", "trial", "svg", "study_rows", "log", "resolver", "promises", "references", "scoped", "objects"},
    {"study_json", "results", "suggest", "capture", "local", "reports", "journal"},
    {"study_file", "deck", "trials"},
    {"study", "types"},
    {"driver"},
    {"graph"},
    {"optimizer", "stored", "compiled"},
    {"export"},
    {"cli"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
# The entry points of Python and of flytekit stand beside the layers: they import other modules when asked.
ENTRIES = {"__init__", "plugin"}
# What each module may import besides Python's own library and the layers below it.
NEEDS = {
    "capture": {"flytekit"},
    "cli": {"click", "optuna", "rich"},
    "compiled": {"click", "flytekit"},
    "deck": {"numpy", "optuna", "plotly"},
    "driver": {"cloudpickle", "flytekit", "msgpack", "optuna"},
    "export": {"click", "optuna", "rich", "sqlalchemy"},
    "graph": {"flytekit", "optuna"},
    "journal": {"optuna"},
    "local": {"flyteidl", "flytekit", "joblib"},
    "log": {"rich"},
    "objects": {"fsspec"},
    "optimizer": {"cloudpickle", "flytekit", "optuna"},
    "plugin": {"wrapt"},
    "promises": {"flytekit", "optuna"},
    "references": {"flytekit", "msgpack"},
    "reports": {"flytekit"},
    "resolver": {"flytekit"},
    "results": {"optuna"},
    "scoped": {"flytekit"},
    "stored": {"flyteidl", "flytekit", "optuna"},
    "study": {"optuna"},
    "study_file": {"cloudpickle", "optuna"},
    "study_json": {"optuna"},
    "study_rows": {"optuna"},
    "svg": {"numpy", "plotly"},
    "trials": {"flytekit", "optuna"},
    "types": {"flytekit", "optuna"},
}
# Installed with optuna or flytekit, which cannot do without them.
BROUGHT = {"numpy", "sqlalchemy", "flyteidl", "fsspec"}
WITHOUT_FLYTEKIT = {
    "space",
    "plan",
    "trial",
    "suggest",
    "log",
    "svg",
    "study_rows",
    "study_json",
    "study_file",
    "study",
    "deck",
    "results",
    "objects",
    "journal",
}
IN_A_TRIALS_POD = {
    *("space", "plan", "trial", "log", "resolver", "promises", "references", "suggest", "capture", "local"),
    *("reports", "trials", "graph", "optimizer", "scoped"),
}
HEAVY = {"optuna", "numpy", "pandas", "plotly", "rich", "joblib", "sqlalchemy"}


def statements(tree, *, when_loaded):
    """Every statement below a tree, or those that are run when the module is loaded."""
    for node in ast.iter_child_nodes(tree):
        if when_loaded and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if when_loaded and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node, when_loaded=when_loaded)


def imports(name, *, when_loaded=False):
    """The modules that a module of the package imports, by full name."""
    for node in statements(ast.parse((PACKAGE / f"{name}.py").read_text()), when_loaded=when_loaded):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}.py imports by a relative path"
            if node.module == "flyteoptuna":
                yield from (f"flyteoptuna.{alias.name}" for alias in node.names)
            else:
                yield node.module


def packages(found):
    """The packages of others to which modules belong."""
    return {module.split(".")[0] for module in found} - {*sys.stdlib_module_names, "flyteoptuna"}


def test_every_module_has_its_layer():
    """A new module is placed before it is used."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*LEVELS, *ENTRIES}
    assert sum(map(len, LAYERS)) == len(LEVELS)


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_imports_go_down_only(name):
    """Inside functions too."""
    own = [found.split(".")[1] for found in imports(name) if found.startswith("flyteoptuna.")]
    assert [other for other in own if LEVELS[other] >= LEVELS[name]] == []


@pytest.mark.parametrize("name", sorted(LEVELS.keys() | ENTRIES))
def test_a_module_imports_the_packages_that_it_may(name):
    """The bottom needs Python alone, and each package has few doors."""
    assert packages(imports(name)) <= NEEDS.get(name, set())


@pytest.mark.parametrize("name", sorted(WITHOUT_FLYTEKIT))
def test_the_study_knows_nothing_of_flyte(name):
    """What asks and tells could run anywhere, with all that it imports."""
    below = {found.split(".")[1] for found in imports(name) if found.startswith("flyteoptuna.")}
    assert "flytekit" not in packages(imports(name))
    assert below <= WITHOUT_FLYTEKIT


def test_suggestions_know_only_the_space():
    """Writing a search needs nothing of what runs it."""
    assert {found for found in imports("suggest") if found.startswith("flyteoptuna")} == {"flyteoptuna.space"}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_entry_point_imports_no_module_of_the_package_when_it_is_loaded(name):
    """Every pod loads flytekit's plugins."""
    assert not [found for found in imports(name, when_loaded=True) if found.startswith("flyteoptuna")]


@pytest.mark.parametrize("name", sorted(IN_A_TRIALS_POD))
def test_what_a_trials_pod_loads_imports_optuna_late_or_never(name):
    """The rest of the search is imported where it is used."""
    found = set(imports(name, when_loaded=True))
    own = {module.split(".")[1] for module in found if module.startswith("flyteoptuna.")}
    assert not HEAVY & packages(found)
    assert own <= IN_A_TRIALS_POD


def test_every_package_that_is_imported_is_a_dependency():
    """A clean installation has what the package imports."""
    lines = metadata.requires("flyteoptuna")
    declared = {re.match(r"[\w-]+", line).group() for line in lines}
    assert {found for name in (*LEVELS, *ENTRIES) for found in packages(imports(name))} <= declared | BROUGHT


def test_importing_what_a_user_writes_imports_nothing_heavy():
    """Nothing but what flytekit and its other plugins import themselves."""
    code = (
        "import sys, flytekit; before = set(sys.modules); "
        "from flyteoptuna import Optimizer, current_trial, optimize, suggest; "
        "import flyteoptuna.optimizer, flyteoptuna.trials; "
        f"print(sorted({HEAVY | {'flyteoptuna.driver', 'flyteoptuna.types'}!r} & (set(sys.modules) - before)), "
        "'optuna' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "[] False"


def test_every_public_name_is_type_checked():
    """The file that a type checker reads leaves none out."""
    used = {node.id for node in ast.walk(ast.parse(TYPED.read_text())) if isinstance(node, ast.Name)}
    assert set(flyteoptuna.__all__) <= used
