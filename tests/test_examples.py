"""Every example compiles to the graph that was committed, and runs."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from graph_text import text_of

ROOT = Path(__file__).parent.parent
GRAPHS = Path(__file__).parent / "graphs"
WRITE = "FLYTEOPTUNA_WRITE_GRAPHS"
EXAMPLES = {
    ("quickstart", "train"): r"^\d+\.\d+$",
    ("trees", "tune"): r"o0=0\.9[3-9]",
    ("trees", "tune_by_callback"): r"o0=0\.9[3-9]",
    ("pareto", "front"): r"leaves: accuracy 0\.\d{3} with",
    ("continued", "narrow_down"): r"o2=60",
}


@pytest.mark.parametrize(("example", "workflow"), EXAMPLES)
def test_an_example_compiles_to_the_graph_that_was_committed(example, workflow, monkeypatch):
    """A change of the graph is seen in review; FLYTEOPTUNA_WRITE_GRAPHS=1 writes the files anew."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    made = text_of(getattr(__import__(example), workflow))
    file = GRAPHS / f"{example}.{workflow}.txt"
    if os.environ.get(WRITE):
        GRAPHS.mkdir(exist_ok=True)
        file.write_text(made)
    assert made == file.read_text()


@pytest.mark.parametrize(("example", "workflow"), EXAMPLES)
def test_an_example_runs(example, workflow, tmp_path):
    """As a user runs it, and with a sensible result."""
    pyflyte = Path(sys.executable).parent / "pyflyte"
    command = [str(pyflyte), "run", str(ROOT / "examples" / f"{example}.py"), workflow]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert re.search(EXAMPLES[example, workflow], made.stdout, re.MULTILINE), made.stdout


def test_every_workflow_of_the_examples_is_tested():
    """A new example is added here too."""
    found = set()
    for file in (ROOT / "examples").glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and "fl.workflow" in map(ast.unparse, node.decorator_list):
                found.add((file.stem, node.name))
    assert found == set(EXAMPLES)
