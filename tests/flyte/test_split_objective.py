"""Optuna's own kind of objective: the error shows how to split it, in code that runs."""

import functools
import importlib
import textwrap

import flytekit as fl
import optuna
import pytest

from flyteoptuna import Optimizer, optimize
from flyteoptuna.flyte.split_objective import split_hint


def plain(trial):
    return trial.suggest_float("x", 0, 1) ** 2


def typed(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return rate * trial.suggest_int(name="n", low=1, high=9, step=2) * len(kind)


def without_return(trial):
    trial.suggest_int("n", 1, 4)


async def awaited(trial):
    return trial.suggest_uniform("x", 0, 1)


def two_values(trial) -> tuple[float, float]:
    return trial.suggest_float("x", 0, 1), trial.suggest_categorical("y", (1, 2))


def dependent(trial):
    rows = trial.suggest_int("table.rows", 2, 9)
    columns = trial.suggest_int("columns", 1, rows)
    return rows * columns + trial.suggest_float("a b", 0, 1)


def with_data(trial, scale: float):
    return trial.suggest_float("x", 0, 1) * scale


def by_another_name(t: optuna.Trial):
    return t.suggest_float("x", 0, t.suggest_float("y", 1, 2))


class Called:
    def __call__(self, trial):
        return trial.suggest_float("x", 0, 1)

    def method(self, trial):
        return trial.suggest_float("x", 0, 1)


@fl.task
def of_a_trial(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0, 1)


def branched(trial):
    kind = trial.suggest_categorical("kind", ["svm", "forest"])
    if kind == "svm":
        return trial.suggest_float("c", 1e-3, 1e3)
    return sum(trial.suggest_float(f"x{i}", 0, 1) for i in range(3))


FUNCTIONS = {
    **{f.__name__: f for f in (plain, typed, without_return, awaited, dependent, by_another_name)},
    "lambda": lambda trial: trial.suggest_float("x", 0, 1),
    "object": Called(),
    "class": Called,
    "method": Called().method,
    "partial": functools.partial(plain),
    "task": of_a_trial,
}


def split(objective, *arguments):
    """The code in the error of a search."""
    with pytest.raises((TypeError, ValueError), match="Split it:") as refused:
        Optimizer(objective, 4, 10)(*arguments)
    lines = str(refused.value).partition("Split it:\n\n")[2].splitlines()
    return textwrap.dedent("\n".join(line for line in lines if not line or line.startswith("    ")))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_code_of_the_error_runs(name, tmp_path, monkeypatch):
    """With the user's own names, once the task computes something."""
    code = split(FUNCTIONS[name]).replace(":\n    ...", ":\n    return 1.0")
    code = code.replace(", ...)", ", 1, 2)").replace("@optimize(...)", "@optimize(n_trials=2)")
    top = "import flytekit as fl, optuna\nfrom flyteoptuna import Optimizer, optimize, suggest\n\n"
    module = f"split_{name}"
    (tmp_path / f"{module}.py").write_text(f"{top}{code.replace('Optimizer(', 'study = Optimizer(')}")
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module(module)
    study = made.study if hasattr(made, "study") else getattr(made, name)()
    assert [t.value for t in study.trials] == [1.0, 1.0]
    asked = optuna.trial.FixedTrial(study.trials[0].params)
    if name in ("plain", "typed", "dependent", "by_another_name"):
        # The parameters are those of Optuna's objective.
        FUNCTIONS[name](asked)
        assert asked.params == study.trials[0].params


def test_inputs_and_values_of_its_own_stay():
    """Types too; a parameter whose name is no identifier, and one that depends on another, need a callback."""
    assert "def with_data(x: float, scale: float) -> float:" in split(with_data)
    assert "Optimizer(with_data, ...)(x=suggest.float(0, 1), scale=...)" in split(with_data)
    assert "def two_values(x: float, y: int) -> tuple[float, float]:" in split(two_values)
    assert "def dependent(trial: optuna.Trial):\n    rows = trial.suggest_int('table.rows', 2, 9)" in split(dependent)


def test_what_stands_in_branches_and_loops_is_left_to_the_user():
    """By name where there is one."""
    code = split(branched)
    assert "kind = trial.suggest_categorical('kind', ['svm', 'forest'])\n    ...  # as now: c, value\n" in code
    assert "    return branched_task(kind=kind, c=c, value=value)" in code


def test_a_callback_through_another_function_is_told_the_setting():
    """It looks the same."""
    with pytest.raises(TypeError, match=r"If it calls one through another function, say which: `task=...`"):
        optimize(n_trials=1)(plain)()


@pytest.mark.parametrize("other", [print, 3, None, "x", len, functools.partial(int), fl, Called.__init__])
def test_whatever_suggests_nothing_has_nothing_to_split(other):
    """Functions without a source too."""
    assert split_hint(other) == ""
