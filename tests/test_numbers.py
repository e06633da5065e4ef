"""Numbers that are too large, infinite, or of another type, for every argument that takes a number."""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Optional

import command_line
import flytekit as fl
import numpy as np
import optuna
import pytest
from objectives import X, built, square

from flyteoptuna import Optimizer, SearchFailedError, SpaceError, load_study, outputs, suggest, testing
from flyteoptuna.space.annotations import check_input
from flyteoptuna.trial.current_trial import ActiveTrial

HUGE = 10**5000  # Python refuses to print it
NUMBERS = [
    *(HUGE, -HUGE, 10**400, 2**64, 2**63, 2**63 - 1, 2**31, 3, 0, -1, True, None),
    *(math.inf, -math.inf, math.nan, 3.0, 1e308, np.int64(3), np.uint64(2**64 - 1), np.float32(3), np.bool_(True)),
    *(Decimal(3), Decimal("Infinity"), Decimal("NaN"), Fraction(HUGE), Fraction(7, 2), "3", "9" * 9999, 3j, [3]),
]
SETTINGS = ("n_trials", "concurrency", "batch_size", "max_failures", "timeout", "avoid_duplicates", "reuse_pods")
STUDY = optuna.create_study()
STUDY.add_trial(optuna.trial.create_trial(value=1.0))


def call_with(name, value):
    """Compile a search with a setting, where ints become Flyte's."""
    built(lambda: Optimizer(square, **{"n_trials": 2, name: value})(**X))


CALLS = {
    **{name: (lambda value, name=name: call_with(name, value)) for name in SETTINGS},
    "low": lambda value: suggest.float(value, 1e9),
    "high": lambda value: suggest.integer(0, value),
    "step": lambda value: suggest.float(0, 10, step=value),
    "log": lambda value: suggest.integer(1, 10, log=value),
    "choice": lambda value: suggest.category([value]),
    "value": lambda value: ActiveTrial().report(value, 0),
    " step": lambda value: ActiveTrial().report(0.5, value),
    "constraint c": lambda value: ActiveTrial().set_constraint("c", value),
    "duration": lambda value: testing.simulate(Optimizer(square, n_trials=1), X, durations=value),
    "count": testing.RandomPods,
    "trial": lambda value: outputs(STUDY, value),
    "remote": lambda value: load_study("flyte://a/b/c d e/f/g", remote=value),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_number_is_taken_or_its_rule_is_named(name):
    """In a short message that names the argument; no bare error of an overflow."""
    taken = 0
    for value in NUMBERS:
        try:
            CALLS[name](value)
            taken += 1
        except (TypeError, ValueError, LookupError) as error:
            text = str(error)
            assert name.strip() in text or "number" in text or value is None, (value, text)
            assert len(text) < 450 and "digits) for integer string" not in text
    assert taken or name == "remote"


@pytest.mark.parametrize("timeout", [math.inf, HUGE], ids=["infinite", "huge"])
def test_a_timeout_that_is_no_limit_needs_a_number_of_trials(timeout):
    """It was given, and does not end a search."""
    assert Optimizer(square, 1, 1, timeout=timeout)(**X).trials[0].value is not None
    with pytest.raises(TypeError, match=r"`n_trials` must be given where the timeout is no limit, but got .*timeout="):
        Optimizer(square, timeout=timeout)(**X)


@pytest.mark.parametrize("name", ["load_study", "load_study of a file"])
def test_a_remote_is_checked_before_it_is_used(name, tmp_path):
    """Whatever the source is."""
    with pytest.raises(TypeError, match=r"`remote` must be a flytekit.remote.FlyteRemote, but got 'x' \(str\)"):
        load_study("flyte://a/b/c" if name == "load_study" else tmp_path / "one.study", remote="x")


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        *((["plan", "a.py:f", f"--{name}", "9" * 20], "1<=x<=") for name in ("n-trials", "concurrency", "batch_size")),
        *(([name, "a", "--every", every], "0.1<=x<=") for name in ("watch", "dashboard") for every in ("inf", "nan")),
        *((["watch", "a", "--every", value], "'--every'") for value in ("-1", "1e400", "x", "9" * 5000)),
        (["show", "a", "--best", "9" * 5000], "'--best'"),
        (["dashboard", "a", "--port", "65536"], "0<=x<=65535"),
    ],
)
def test_a_number_on_the_command_line(arguments, rule):
    """The option and its range stand in the message."""
    assert rule in command_line.run(*arguments, code=2)


@dataclass
class Config:
    number: int = 1
    more: dict = field(default_factory=dict)


TOO_LARGE = [
    (int, 2**63, "x"),
    (int, -(2**63) - 1, "x"),
    (int, np.uint64(2**64 - 1), "x"),
    (Optional[int], HUGE, "x"),  # noqa: UP045
    (int | str, 2**63, "x"),
    (float, HUGE, "x"),
    (list[int], [1, 2**63], r"x\[1\]"),
    (list[list[int]], [[1], [2**63]], r"x\[1\]\[0\]"),
    (dict[str, int], {"a": 2**63}, r"x\.a"),
    (dict[str, float], {"a": -HUGE}, r"x\.a"),
    (dict, {"a": {"b": [1, 2**64]}}, r"x\.a\.b\[1\]"),
    (dict, {2**64: 1}, r"x\.18446744073709551616"),
    (dict, {HUGE: 1}, "x"),
    (Config, Config(2**64), r"x\.number"),
    (Config, Config(1, {"a": HUGE}), r"x\.more\.a"),
    (dict, {"a": suggest.integer(0, 1), "b": 2**64}, r"x\.b"),
    (Config, {"number": suggest.integer(0, 1), "more": {"b": 2**64}}, r"x\.more\.b"),
]


@pytest.mark.parametrize(("kind", "value", "place"), TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_an_input_beyond_the_range_of_its_flyte_type_is_refused(kind, value, place):
    """The dotted path, the bound and the value stand in the message."""
    with pytest.raises(SpaceError, match=f"`.*{place}.*`.* (is|got) .*int"):
        check_input(value, kind, "x")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 2**63 - 1),
        (float, 2**64),
        (float, math.inf),
        (dict, {"a": 2**64 - 1, "b": math.nan}),
        (Any, HUGE),
        (dict[str, Any], {"a": HUGE}),
        (int, suggest.integer(0, 1)),
        (dict, {"a": suggest.float(0, 10**30)}),
    ],
    ids=range(8),
)
def test_an_input_within_the_range_is_taken(kind, value):
    """A float is not an int, and Flyte pickles what has no type."""
    check_input(value, kind, "x")


@fl.task
def count(x: int) -> float:
    return float(x)


@fl.task
def measure(x: float) -> float:
    return float(x)


def large(trial):
    return count(x=trial.suggest_int("x", 2**63, 10**30))


def small(trial):
    return measure(x=trial.suggest_float("x", 0, 1))


def whole(trial):
    return count(x=trial.suggest_int("x", 0, 1))


@pytest.mark.parametrize(
    ("objective", "inputs", "enqueued", "message"),
    [
        (large, {}, None, "`-9223372036854775808 <= x <= 9223372036854775807` must hold, but got"),
        (count, {"x": suggest.integer(0, 1)}, "9" * 30, "<= x <= 9223372036854775807` must hold, but got 9999"),
        (count, {"x": suggest.integer(0, 1)}, 10**400, "The trial was enqueued with {'x': 1000"),
        (measure, {"x": suggest.float(0, 1)}, 10**400, "The trial was enqueued with {'x': 1000"),
        (small, {}, 10**400, "The trial was enqueued with {'x': 1000"),
        (whole, {}, math.inf, "The trial was enqueued with {'x': inf}"),
    ],
    ids=range(6),
)
@pytest.mark.filterwarnings("ignore")
def test_a_parameter_beyond_the_range_fails_its_trial_alone(objective, inputs, enqueued, message):
    """The reason has the parameter, the value, and the bound or what was enqueued."""
    study = optuna.create_study()
    if enqueued is not None:
        study.enqueue_trial({"x": enqueued})
    task = count if objective in (large, whole) else measure if objective is small else None
    with pytest.raises(SearchFailedError) as failed:
        Optimizer(objective, n_trials=1, study=study, task=task)(**inputs)
    assert message in str(failed.value).splitlines()[1]


@fl.workflow
def many_slots() -> int:
    return Optimizer(square, 2**63 - 1, 1)(**X).n_trials


def test_more_slots_than_flyte_counts_run_what_there_is():
    """In the messages of Flyte a map has an int of 32 bits."""
    assert testing.run(many_slots).outputs == 1
