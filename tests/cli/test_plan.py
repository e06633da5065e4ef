"""`flyteoptuna plan`: what a search would run."""

import sys
from pathlib import Path

import flytekit as fl
import pytest
from click.testing import CliRunner
from command_line import rows, run

from flyteoptuna.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_quickstart_is_planned_by_its_defaults():
    """20 trials, 4 at once: 5 generations, of which the search's pod asks the first, and 6 driver pods."""
    [line] = rows(run("plan", f"{EXAMPLES / 'quickstart.py'}:train"))
    assert line == ["quickstart.objective", "n0", "20", "4", "4", "5", "0", "6", "20", "1", "9"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--n-trials", "100"], ["100", "4", "4", "25", "3", "27", "100", "2", "15"]),
        (["--n_trials", "1000", "--concurrency", "10"], ["1000", "10", "10", "100", "14", "103", "1000", "3", "15"]),
        (["--concurrency", "10"], ["20", "10", "10", "2", "0", "3", "20", "1", "3"]),
        (["--concurrency", "10", "--batch-size", "1"], ["20", "10", "1", "20", "2", "22", "20", "2", "15"]),
        (["--input", "n_trials=9", "--input", "concurrency=9"], ["9", "9", "9", "1", "0", "2", "9", "1", "1"]),
    ],
)
def test_options_and_inputs_replace_the_workflows_numbers(options, expected):
    """The batch follows the concurrency, unless it is given."""
    [line] = rows(run("plan", f"{EXAMPLES / 'quickstart.py'}:train", *options))
    assert line[2:] == expected


FLOWS = """
import flytekit as fl
from flyteoptuna import Optimizer, suggest

@fl.task
def upstream() -> int:
    return 3

@fl.task
def objective(x: float, y: int) -> float:
    return x

def search(n, concurrency=2, **more):
    return Optimizer(objective, concurrency, n, **more)(x=suggest.float(0, 1), y=1).best_value

@fl.workflow
def inner(n: int = 50) -> float:
    return search(n)

@fl.workflow
def outer(n_trials: int = 20) -> float:
    inner(n=n_trials)
    inner()
    planned(n=7)
    return search(9, concurrency=n_trials, batch_size=3)

planned = fl.LaunchPlan.get_or_create(inner, name="planned", default_inputs={"n": 30})

@fl.workflow
def unknown(needed: int) -> float:
    return search(upstream(), concurrency=needed)

@fl.workflow
def reused(n: int = 8) -> float:
    search(n, concurrency=3, reuse_pods=True)
    search(2, concurrency=3, reuse_pods=True)
    return search(6)

@fl.workflow
def none() -> int:
    return upstream()

@fl.workflow
def conditional(n: int = 8) -> float:
    return fl.conditional("which").if_(n > 3).then(inner(n=n)).else_().then(inner(n=1))
"""


@pytest.fixture
def module(tmp_path):
    """A module of a package, by its path."""
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/__init__.py").touch()
    path = tmp_path / "workflows/flows_to_plan.py"
    path.write_text(FLOWS)
    yield path
    for name in ("workflows", "workflows.flows_to_plan"):
        sys.modules.pop(name, None)
    fl.LaunchPlan.CACHE.clear()


def test_searches_in_workflows_and_launch_plans_are_planned(module):
    """A row for each, with the numbers that the outer workflow hands down; the name is that of the package."""
    found = rows(run("plan", f"{module}:outer", "--input", "n_trials=40"))
    assert {line[0] for line in found} == {"workflows.flows_to_plan.objective"}
    assert [line[1:5] for line in found] == [
        ["n0/n0", "40", "2", "2"],
        ["n1/n0", "50", "2", "2"],
        ["n2/n0", "7", "2", "2"],
        ["n3", "9", "40", "3"],
    ]
    assert [line[2] for line in rows(run("plan", f"{module}:planned"))] == ["30"]


def test_reused_pods_are_planned(module):
    """Three workers and two driver pods, whatever the number of trials; never more workers than trials."""
    reused, small, batches = (line[2:] for line in rows(run("plan", f"{module}:reused")))
    assert reused == ["8", "3", "-", "-", "0", "2", "3", "0", "-"]
    assert small == ["2", "3", "-", "-", "0", "2", "2", "0", "-"]
    assert batches[3] == "3"


def test_both_branches_of_a_conditional_are_planned(module):
    """Which of them runs is not known before."""
    assert sorted(line[2] for line in rows(run("plan", f"{module}:conditional"))) == ["1", "8"]


def test_numbers_that_are_not_known_are_asked_for(module):
    """The table has question marks for them, and an error names the option; options make it whole."""
    result = CliRunner().invoke(main, ["plan", f"{module}:unknown"])
    assert result.exit_code == 1
    [line] = rows(result.stdout)
    assert line[2:] == ["?"] * 9
    assert result.stderr.splitlines() == [
        "Error: `n_trials` of n1 is an output of node n0 (workflows.flows_to_plan.upstream), which is known when that "
        "has run: give --n-trials.",
        "Error: `concurrency` of n1 is the input `needed`, which has no default: give --concurrency.",
    ]
    [line] = rows(run("plan", f"{module}:unknown", "--n-trials", "4", "--concurrency", "2"))
    assert line[2:6] == ["4", "2", "2", "2"]
    error = run("plan", f"{module}:unknown", "--n-trials", "4", "--input", "needed=many", code=1)
    assert error.splitlines()[0] == "Error: `concurrency` of n1 must be a positive int, but is 'many'."


@pytest.mark.parametrize(
    ("target", "options", "code", "message"),
    [
        ("train", [], 2, "Expected MODULE:WORKFLOW, as in pkg.train:main or path/to/train.py:main, but got 'train'."),
        ("{dir}/absent.py:main", [], 2, "There is no file {dir}/absent.py."),
        ("no.such.module:main", [], 1, "no.such.module cannot be imported: ModuleNotFoundError: No module named 'no'"),
        (
            "{module}:wrong",
            [],
            2,
            "{module} has no workflow `wrong`; it has: inner, outer, planned, unknown, reused, none, ",
        ),
        ("{module}:none", [], 1, "There is no search in {module}:none."),
        ("{module}:inner", ["--input", "n"], 2, "`--input` must be NAME=VALUE, but got 'n'."),
        ("{module}:inner", ["--input", "m=1"], 2, "workflows.flows_to_plan.inner has no input `m`; it has: n."),
        ("{module}:inner", ["--n-trials", "0"], 2, "Invalid value for '--n-trials' / '--n_trials': 0 is not in the"),
    ],
)
def test_what_cannot_be_planned(module, target, options, code, message):
    """One line says why."""
    names = {"dir": module.parent, "module": module}
    error = run("plan", target.format(**names), *options, code=code)
    assert f"Error: {message.format(**names)}" in error
    assert len(error.splitlines()) == (4 if "Invalid" in message else 1)


def test_a_workflow_that_does_not_compile(tmp_path):
    """The user's own error is quoted."""
    path = tmp_path / "broken_flow.py"
    path.write_text(
        "import flytekit as fl\n\n@fl.workflow\ndef main() -> int:\n    raise RuntimeError('not\\nyet')\n    return 1\n"
    )
    error = run("plan", f"{path}:main", code=1)
    assert f"{path}:main does not compile: " in error and len(error.splitlines()) == 1
