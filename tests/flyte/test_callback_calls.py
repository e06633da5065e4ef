"""What a callback may do with the call of its objective: return it, once, as it is."""

import math

import flytekit as fl
import numpy as np
import pytest

from flyteoptuna import suggest
from flyteoptuna.flyte.objective_callback import objective_call


@fl.task
def line(x: float, y: int = 1) -> float:
    return x


@fl.task
def other(x: float) -> float:
    return x


async def awaiting(trial):
    return await line(x=1.0) + 1


def noted(trial):
    line(x=0.5)
    return line(x=1.0)


def dropping(trial):
    line(x=1.0)


AS_IT_IS = "must return what .*line returned as it is, for the task runs later.* but got"


@pytest.mark.parametrize(
    ("callback", "match"),
    [
        (lambda trial: line(x=1.0) * 2, rf"{AS_IT_IS} `\*`"),
        (lambda trial: 1 - line(x=1.0), f"{AS_IT_IS} `-`"),
        (lambda trial: -line(x=1.0), f"{AS_IT_IS} `-`"),
        (lambda trial: line(x=1.0) > 0, f"{AS_IT_IS} `>`"),
        (lambda trial: line(x=1.0) == 1, f"{AS_IT_IS} `==`"),
        (lambda trial: line(x=1.0) != 1, f"{AS_IT_IS} `==`"),
        (lambda trial: line(x=1.0) or None, rf"{AS_IT_IS} `bool\(\)`"),
        (lambda trial: float(line(x=1.0)), rf"{AS_IT_IS} `float\(\)`"),
        (lambda trial: round(line(x=1.0), 2), rf"{AS_IT_IS} `round\(\)`"),
        (lambda trial: math.sqrt(line(x=1.0)), rf"{AS_IT_IS} `float\(\)`"),
        (lambda trial: np.mean([line(x=1.0)]), f"{AS_IT_IS} `/`"),
        (lambda trial: max(line(x=1.0), 0), f"{AS_IT_IS} `<`"),
        (lambda trial: line(x=1.0)[0], rf"{AS_IT_IS} `\[\]`"),
        (lambda trial: line(x=1.0).item(), f"{AS_IT_IS} `.item`"),
        (lambda trial: [*line(x=1.0)], rf"{AS_IT_IS} `iter\(\)`"),
        (lambda trial: f"{line(x=1.0):.3f}", f"{AS_IT_IS} a format, `.3f`"),
        (awaiting, rf"{AS_IT_IS} `\+`"),
        (noted, "must call one task, once for a trial, but noted called .*line, .*line"),
        (dropping, r"but dropping returned None \(NoneType\). Write `return line\(...\)`"),
        (lambda trial: [line(x=1.0), line(x=2.0)], "A trial is one call: the mean of several belongs into the task"),
        (lambda trial: (line(x=1.0),), "A trial is one call"),
        (lambda trial: {"a": line(x=1.0)}, r"returned {'a': .*line\(x=1.0 \(float\)\)} \(dict\)"),
        (lambda trial: line.task_function(x=1.0), "It called no task: call the @task itself, and not its function"),
        (lambda trial: line, "It called no task"),
        (lambda trial: (line(x=i) for i in range(2)), "returned <generator"),
        (
            lambda trial: line(x=other(x=1.0)),
            "gave .*line as `x` what .*other returned, .* is an input of the callback",
        ),
        (lambda trial: line(x="a"), r"`x` is of type float, but got 'a' \(str\)"),
        (lambda trial: line(x=[1.0]), r"`x` is of type float, but got \[1.0\] \(list\)"),
        (lambda trial: line(x=suggest.float(0, 1)), "A callback suggests by its trial, .* but `x` is suggest.float"),
    ],
)
def test_what_is_done_with_a_call_is_refused(callback, match):
    """With what was done, and where it belongs."""
    with pytest.raises(Exception, match=match):
        objective_call(callback, None, {})


def test_a_call_takes_the_numbers_of_numpy():
    """As a task does."""
    call = objective_call(lambda trial: line(x=np.float32(1), y=np.int64(2)), None, {})
    assert call.inputs == {"x": 1.0, "y": 2}
