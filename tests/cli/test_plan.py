"""`flyteoptuna plan`: what a search would run."""

import sys
from fnmatch import fnmatch
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
    made = CliRunner().invoke(main, ["plan", f"{EXAMPLES / 'quickstart.py'}:train", *options])
    [line] = rows(made.stdout)
    assert line[2:] == expected
    assert bool(made.stderr) == (expected[2] < expected[1])


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
# What a search can stand in, each with batches and with reused pods.
CONTAINERS = """
from dataclasses import dataclass
import flytekit as fl
import optuna
from flytekit import LaunchPlan, Workflow, map_task
from flytekit.core.launch_plan import reference_launch_plan
from flyteoptuna import Optimizer, suggest

@fl.task
def objective(x: float, y: int) -> float:
    return x

def chosen(trial: optuna.Trial, y: int) -> float:
    return objective(x=trial.suggest_float("x", 0, 1), y=y)

@fl.task
def numbers() -> list[int]:
    return [1]

@dataclass
class Config:
    n: int = 5

def search(n, what=objective, **more):
    inputs = {{"y": 1}} if what is chosen else {{"x": suggest.float(0, 1), "y": 1}}
    return Optimizer(what, 2, n, reuse_pods={reuse}, **more)(**inputs)

@fl.workflow
def inner(n: int = 8) -> float:
    return search(n).best_value

@fl.workflow
def by_callback(n: int = 8) -> float:
    return search(n, chosen).best_value

@fl.workflow
def continued(n: int = 8) -> float:
    first = search(n)
    return search(4, study=first, timeout=60.0).best_value

@fl.workflow
def subworkflow(n: int = 8) -> float:
    return inner(n=n)

default = LaunchPlan.get_or_create(inner)
named = LaunchPlan.get_or_create(inner, name="named", default_inputs={{"n": 3}})
fixed = LaunchPlan.get_or_create(inner, name="fixed", fixed_inputs={{"n": 6}})

@fl.workflow
def plans() -> float:
    default()
    named()
    fixed()
    return named(n=4)

@fl.workflow
def mapped(known: list[int] = [2, 2, 7]) -> list[float]:
    map_task(named)(n=known)
    map_task(default)(n=[9])
    return map_task(default)(n=numbers())

@fl.workflow
def branches(n: int = 8) -> float:
    return (
        fl.conditional("which").if_(n > 3).then(inner(n=n)).elif_(n > 2).then(named(n=2)).else_().then(subworkflow(n=1))
    )

@fl.workflow
def nested_branches(n: int = 8) -> float:
    return fl.conditional("which").if_(n > 3).then(branches(n=n)).else_().fail("no")

@fl.workflow
def configured(config: Config = Config()) -> float:
    return search(config.n).best_value

@fl.workflow
def handler(n: int = 8) -> None:
    inner(n=n)

@fl.workflow(on_failure=handler)
def handled(n: int = 8) -> float:
    return search(2).best_value

imperative = Workflow(name="imperative")
imperative.add_workflow_input("n", int)
imperative.add_workflow_output("o", imperative.add_entity(inner, n=imperative.inputs["n"]).outputs["o0"])

@fl.dynamic
def dynamic(n: int) -> float:
    return search(n).best_value

@fl.eager
async def eager(n: int) -> float:
    return 1.0

@reference_launch_plan(project="p", domain="d", name="far", version="v")
def reference(n: int) -> float:
    return 1.0

@fl.workflow
def unseen(n: int = 8) -> float:
    dynamic(n=n)
    reference(n=n)
    return inner(n=n)

@fl.workflow
def unseen_only(n: int = 8) -> float:
    return dynamic(n=n)
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
    found = rows(CliRunner().invoke(main, ["plan", f"{module}:outer", "--input", "n_trials=40"]).stdout)
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


@pytest.fixture(params=["False", "True"], ids=["batches", "reused"])
def containers(request, tmp_path):
    """A module with what can contain a search, of each kind, by its path."""
    path = tmp_path / "containers_to_plan.py"
    path.write_text(CONTAINERS.format(reuse=request.param))
    yield path
    sys.modules.pop("containers_to_plan", None)
    fl.LaunchPlan.CACHE.clear()


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        ("inner", {"n0": "8"}),
        ("by_callback", {"n0": "8"}),
        ("continued", {"n0": "8", "n*": "4"}),
        ("subworkflow", {"n0/n0": "8"}),
        ("default", {"n0": "8"}),
        ("named", {"n0": "3"}),
        ("fixed", {"n0": "6"}),
        ("plans", {"n0/n0": "8", "n1/n0": "3", "n2/n0": "6", "n3/n0": "4"}),
        ("branches", {"n0/n0": "8", "n1/n0": "2", "n2/n0/n0": "1"}),
        ("nested_branches", {"n0/n0/n0": "8", "n0/n1/n0": "2", "n0/n2/n0/n0": "1"}),
        ("configured", {"n0": "5"}),
        ("handled", {"n0": "2", "*/n0": "8"}),
        ("unseen", {"n*/n0": "8"}),
    ],
)
def test_whatever_contains_a_search_is_planned(containers, workflow, expected):
    """With the number of trials that gets there."""
    made = CliRunner().invoke(main, ["plan", f"{containers}:{workflow}"])
    assert made.exit_code == 0, made.output
    found = {line[1]: line[2] for line in rows(made.stdout)}
    assert list(found.values()) == list(expected.values())
    for node, pattern in zip(found, expected, strict=True):
        assert fnmatch(node, pattern)
    objective = "chosen" if workflow == "by_callback" else "objective"
    assert {line[0] for line in rows(made.stdout)} == {f"containers_to_plan.{objective}"}


def test_a_map_over_a_launch_plan_is_planned_element_by_element(containers):
    """Equal neighbours in one row; of a list that is not known yet, a row that asks for the numbers."""
    made = CliRunner().invoke(main, ["plan", f"{containers}:mapped"])
    assert made.exit_code == 1
    assert [line[1:3] for line in rows(made.stdout)] == [
        ["n0[0-1]/n0", "2"],
        ["n0[2]/n0", "7"],
        ["n1[0]/n0", "9"],
        ["n3[*]/n0", "?"],
    ]
    [error] = made.stderr.splitlines()
    assert error.startswith(
        "Error: `n_trials` of n3[*]/n0 is an element of an output of node n2 (containers_to_plan.nu"
    )
    found = rows(run("plan", f"{containers}:mapped", "--input", "known=[5]", "--n-trials", "3"))
    assert [line[1:3] for line in found] == [["n0[0]/n0", "3"], ["n1[0]/n0", "3"], ["n3[*]/n0", "3"]]


def test_an_imperative_workflow_is_planned(containers):
    """Its inputs have no defaults."""
    [line] = rows(run("plan", f"{containers}:imperative", "--input", "n=5"))
    assert line[1:3] == ["n0/n0", "5"]


def test_what_is_not_seen_is_said(containers):
    """The task, the reference, and why."""
    made = CliRunner().invoke(main, ["plan", f"{containers}:unseen"])
    assert [line.partition(": ")[2] for line in made.stderr.splitlines()] == [
        "n0: containers_to_plan.dynamic is a dynamic task, whose searches are known when it runs.",
        "n1: far is a reference, whose code is elsewhere.",
    ]
    error = run("plan", f"{containers}:unseen_only", code=1)
    assert error == (
        f"Error: There is no search in {containers}:unseen_only that is seen. n0: containers_to_plan.dynamic is a "
        "dynamic task, whose searches are known when it runs.\n"
    )
    for name, kind in {"dynamic": "a dynamic task", "eager": "an eager task", "reference": "a reference"}.items():
        assert run("plan", f"{containers}:{name}", code=1).startswith(f"Error: {containers}:{name} is {kind}, ")


def test_what_the_numbers_do_not_tell_is_noted(module, containers):
    """Slots that no batch fills, of the numbers of the options too, and a timeout."""
    made = CliRunner().invoke(main, ["plan", f"{module}:inner", "--concurrency", "5", "--batch-size", "2"])
    assert made.stderr.startswith("Note: n0: `batch_size=2` is less than `concurrency=5`: no more than 2 run at once.")
    assert len(made.stderr.splitlines()) == 1 and made.exit_code == 0
    made = CliRunner().invoke(main, ["plan", f"{containers}:continued"])
    [note] = made.stderr.splitlines()
    assert note.endswith(": its timeout of 60 s may end it earlier, so that its numbers are upper bounds.")
    made = CliRunner().invoke(main, ["plan", f"{module}:reused", "--batch-size", "3"])
    nodes = [line.split(":")[1] for line in made.stderr.splitlines() if "--batch-size changes nothing" in line]
    assert nodes == [" n0", " n3"]


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
