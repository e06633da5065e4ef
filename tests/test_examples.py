"""Every example compiles to the graph that was committed, and runs."""

import ast
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from first_graph import EmittedError, FirstGraph
from flyteidl.core import workflow_pb2
from graph_text import task_lines, text_of, workflow_lines

from flyteoptuna.testing.compiler.registration import check_dynamic_graph

SIZE = {"n_trials": 100, "concurrency": 4}
ROOT = Path(__file__).parent.parent
GRAPHS = Path(__file__).parent / "graphs"
WRITE = "FLYTEOPTUNA_WRITE_GRAPHS"
EXAMPLES = {
    ("first_search", "tune"): r"o0=0\.9\d+, o1=\{'max_depth'",
    ("quickstart", "train"): r"^\d+\.\d+$",
    ("trees", "tune"): r"o0=0\.9[3-9]",
    ("trees", "tune_by_callback"): r"o0=0\.9[3-9]",
    ("models", "tune"): r"accuracy=(0\.9\d+), again=\1, model=",
    ("pareto", "front"): r"leaves: accuracy 0\.\d{3} with",
    ("pruning", "tune"): r"o0=0\.\d+, o1=\{'learning_rate'",
    ("pruning", "tune_on_reused_pods"): r"o0=0\.\d+, o1=\{'learning_rate'",
    ("continued", "narrow_down"): r"o2=60",
    ("tested/tuning", "tune"): r"Study",
}
# What is pickled, as a sampler is, differs from version to version. Reused pods have no graph in a graph.
COMPILED = [case for case in EXAMPLES if case not in {("tested/tuning", "tune"), ("pruning", "tune_on_reused_pods")}]


def first_level(workflow, folder):
    """What the first search of a workflow emits, as text."""
    with pytest.raises(EmittedError) as raised:
        FirstGraph(folder, ROOT / "examples").run(workflow, SIZE)
    job, template = raised.value.args
    check_dynamic_graph(job, template, "the graph of the search")
    yield f"what {template.id.name} emits with {', '.join(f'{key}={value}' for key, value in SIZE.items())}"
    yield "  (a node's inputs that are those of the node before are left out)"
    before = set()
    _, *nodes = workflow_lines(workflow_pb2.WorkflowTemplate(nodes=job.nodes, outputs=job.outputs))
    for is_input, group in itertools.groupby(nodes, lambda line: line.startswith("    ")):
        # A study between generations is a path, which is another one in each run.
        lines = [re.sub(r"study = \{.*\}$", "study = <study>", line) for line in group]
        yield from (line for line in lines if not is_input or line not in before)
        before = set(lines) if is_input else before
    for task in sorted(job.tasks, key=lambda task: task.id.name):
        yield from task_lines(task)


@pytest.mark.parametrize(("example", "workflow"), COMPILED)
def test_an_example_compiles_to_the_graph_that_was_committed(example, workflow, monkeypatch, tmp_path):
    """A change of the graph is seen in review; FLYTEOPTUNA_WRITE_GRAPHS=1 writes the files anew."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    found = getattr(__import__(example), workflow)
    made = text_of(found) + "\n" + "\n".join(first_level(found, tmp_path)) + "\n"
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
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert re.search(EXAMPLES[example, workflow], made.stdout, re.MULTILINE), made.stdout


def test_every_workflow_of_the_examples_is_tested():
    """A new example is added here too."""
    found = set()
    for file in (ROOT / "examples").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and "fl.workflow" in map(ast.unparse, node.decorator_list):
                found.add((file.stem, node.name))
    assert found == {(Path(example).name, workflow) for example, workflow in EXAMPLES}


def test_the_tests_of_an_example_pass():
    """As their user runs them."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    made = subprocess.run(command, cwd=ROOT / "examples" / "tested", capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "4 passed" in made.stdout


def test_the_page_about_testing_shows_the_example_as_it_is():
    """There it can be read without the site, and is the code that the tests run."""
    page = (ROOT / "docs" / "testing.md").read_text()
    shown = dict(re.findall(r'^```python title="(\S+)"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL))
    files = ("tuning.py", "tests/test_tuning.py")
    assert shown == {name: (ROOT / "examples" / "tested" / name).read_text() for name in files}
