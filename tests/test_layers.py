"""Imports go down only, and a trial's pod pays for nothing that it does not use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import flyteoptuna

PACKAGE = Path(flyteoptuna.__file__).parent
LAYERS = [
    {"space", "plan", "trial", "svg", "study_json", "log", "resolver", "promises", "references"},
    {"study_file", "deck", "suggest", "capture", "local", "reports"},
    {"study", "types", "trials"},
    {"driver"},
    {"graph"},
    {"optimizer", "stored", "compiled"},
    {"export"},
    {"cli"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
# The entry points of Python and of flytekit stand beside the layers: they name modules, and import none.
ENTRIES = {"__init__", "plugin"}
STANDARD = {"space", "plan", "trial"}
WITHOUT_FLYTEKIT = {*STANDARD, "svg", "study_json", "study_file", "study", "deck", "suggest", "log"}
IN_A_TRIALS_POD = {
    *("space", "plan", "trial", "log", "resolver", "promises", "references", "suggest", "capture", "local"),
    *("reports", "trials", "graph", "optimizer"),
}


def imports(name, *, at_the_top=False):
    """The modules that a module of the package imports, by full name."""
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    nodes = tree.body if at_the_top else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}.py imports by a relative path"
            if node.module == "flyteoptuna":
                yield from (f"flyteoptuna.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_module_has_its_layer():
    """A new module is placed before it is used."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*LEVELS, *ENTRIES}


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_imports_go_down_only(name):
    """Inside functions too."""
    own = [found.split(".")[1] for found in imports(name) if found.startswith("flyteoptuna.")]
    assert [other for other in own if LEVELS[other] >= LEVELS[name]] == []


@pytest.mark.parametrize("name", sorted(STANDARD))
def test_the_bottom_needs_python_alone(name):
    """Pure functions at the bottom."""
    assert {found.split(".")[0] for found in imports(name)} <= {*sys.stdlib_module_names, "flyteoptuna"}


@pytest.mark.parametrize("name", sorted(WITHOUT_FLYTEKIT))
def test_the_study_knows_nothing_of_flyte(name):
    """What asks and tells could run anywhere."""
    assert not [found for found in imports(name) if found.split(".")[0] == "flytekit"]


@pytest.mark.parametrize("name", sorted(IN_A_TRIALS_POD))
def test_what_a_trials_pod_loads_imports_optuna_late_or_never(name):
    """The rest of the search is imported where it is used."""
    heavy = {"optuna", "plotly", "rich", "joblib", "flyteoptuna.driver", "flyteoptuna.study", "flyteoptuna.types"}
    assert not heavy & set(imports(name, at_the_top=True))


def test_importing_what_a_user_writes_imports_neither_optuna_nor_plotting():
    """With flytekit and its plugins loaded."""
    code = (
        "import sys, flytekit; from flyteoptuna import Optimizer, current_trial, optimize, suggest; "
        "import flyteoptuna.trials; print({'optuna', 'plotly', 'flyteoptuna.driver'} & set(sys.modules))"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "set()"
