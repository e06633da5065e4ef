"""The attributes of a study in a workflow: those that resolve, and those that are refused while it is written."""

import operator
import re
from typing import Any, NamedTuple

import flytekit as fl
import optuna
import pytest

from flyteoptuna import Optimizer, optimize, suggest


@fl.task
def line(x: float) -> float:
    return x


@fl.task
def two(x: float) -> tuple[float, float]:
    return x, x


@fl.task
def of_dictionary(params: dict[str, float]) -> float:
    return params["a"]


@fl.task
def made() -> optuna.Study:
    return optuna.create_study()


@optimize(n_trials=2)
def called(trial: optuna.Trial):
    return line(trial.suggest_float("x", 0, 1))


def one():
    return Optimizer(line, 2, 2)(x=suggest.float(0, 1))


def dotted():
    return Optimizer(of_dictionary, 2, 2)(params={"a": suggest.float(0, 1)})


def several():
    return Optimizer(two, 2, 2, directions=["minimize"] * 2)(x=suggest.float(0, 1))


def continued():
    return Optimizer(line, 2, 2, study=made())(x=suggest.float(0, 1))


def run(search, use, kind):
    def workflow():
        return use(search())

    workflow.__annotations__ = {"return": kind}
    return fl.workflow(workflow)()


@pytest.mark.parametrize(
    ("search", "use", "kind"),
    [
        (one, lambda study: study.best_value, float),
        (one, lambda study: study.best_params["x"], float),
        (one, lambda study: study.best_params.x, float),
        (one, lambda study: study.best_params, dict),
        (one, lambda study: study.best_trial, int),
        (one, lambda study: study.best_trials, list[int]),
        (one, lambda study: study.best_trials[0], int),
        (one, lambda study: study.n_complete, int),
        (one, lambda study: line(x=study.best_params["x"]), float),
        (dotted, lambda study: study.best_params["params.a"], float),
        (several, lambda study: study.best_trials[0], int),
        (called, lambda study: study.best_params, dict),
        (continued, lambda study: study.best_params["x"], float),
    ],
)
def test_what_a_study_has_resolves(search, use, kind):
    """A number, a list by index, and a parameter by its name."""
    assert isinstance(run(search, use, kind), getattr(kind, "__origin__", kind))


# Ways to make text to pass on, of an object.
TEXTS = (format, "{}".format, "best {0}, {0}".format, lambda promise: f"best {promise}")
COMPARING = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
NO_VALUE = "is known once the search has run: give it to a task, which gets the value, but got"


@pytest.mark.parametrize(
    ("search", "use", "match"),
    [
        (one, lambda s: s.best_trial.value, "`study.best_trial` has nothing inside, .* It is the number of a trial."),
        (one, lambda s: s.best_trial.params["x"], "`study.best_trial.params`. It is the number of a trial"),
        (one, lambda s: s.best_trials[0].values, r"`study.best_trials\[0\]` has nothing inside"),
        (one, lambda s: s.best_trials.values, "`study.best_trials` has nothing inside"),
        (one, lambda s: s.best_trials[-1], r"by an index from 0, but got best_trials\[-1\]"),
        (one, lambda s: s.best_trials[0:1], "by an index from 0, but got"),
        (one, lambda s: s.best_trials["a"], r"by an index from 0, but got best_trials\['a'\]"),
        (one, lambda s: s.best_trials[True], "by an index from 0"),
        (one, lambda s: s.best_params["nope"], "The search has no parameter 'nope'; it has: x.$"),
        (one, lambda s: s.best_params["X"], "The search has no parameter 'X'; it has: x"),
        (one, lambda s: s.best_params.nope, "The search has no parameter 'nope'; it has: x"),
        (one, lambda s: s.best_params[0], "`best_params` has the parameters by their names"),
        (one, lambda s: s.best_params["x"].y, r"`study.best_params\['x'\]` has nothing inside"),
        (one, lambda s: s.best_params["x"]["y"], r"`study.best_params\['x'\]` has nothing inside"),
        (
            one,
            lambda s: s.best_params.get("x"),
            "is no dictionary where a workflow is written, but got `best_params.get`",
        ),
        (one, lambda s: s.best_params.items(), "give all to a task that takes a `dict`"),
        (dotted, lambda s: s.best_params["a"], "The search has no parameter 'a'; it has: params.a."),
        (dotted, lambda s: s.best_params["params"]["a"], "no parameter 'params'; it has: params.a. Did you mean"),
        (called, lambda s: s.best_params["x"], "what a callback suggests is not known there"),
        (called, lambda s: s.best_params.x, "what a callback suggests is not known there"),
        (one, lambda s: s.best_value.x, "`study.best_value` has nothing inside, but got `study.best_value.x`"),
        (one, lambda s: s.best_value[0], "`study.best_value` has nothing inside"),
        (one, lambda s: s.n_complete.real, "`study.n_complete` has nothing inside"),
        (one, lambda s: s.best_value * 2, rf"`study.best_value` {NO_VALUE} `\*`"),
        (one, lambda s: 1 - s.best_value, f"`study.best_value` {NO_VALUE} `-`"),
        (one, lambda s: s.best_value + s.best_value, rf"{NO_VALUE} `\+`"),
        (one, lambda s: float(s.best_value), rf"{NO_VALUE} `float\(\)`"),
        (one, lambda s: [*range(s.n_trials)], rf"{NO_VALUE} `index\(\)`"),
        (one, lambda s: round(s.best_value, 2), rf"{NO_VALUE} `round\(\)`"),
        *((one, lambda s, op=op: op(s.best_params, 0.5), f"`study.best_params` {NO_VALUE} `.") for op in COMPARING),
        *(
            (one, lambda s, op=op: op(s, 0.5), "A study is known once the search has run: .* but got `.")
            for op in COMPARING
        ),
        (one, lambda s: s.best_value.is_none(), rf"{NO_VALUE} `is_none\(\)`"),
        (one, lambda s: s == None, "A study is known once the search has run: .* but got `==`"),  # noqa: E711
        (
            one,
            lambda s: line(**s.best_params),
            "is no dictionary where a workflow is written, .* `best_params.keys",
        ),
        (one, lambda s: {**s.best_params}, "is no dictionary where a workflow is written, .* `best_params.keys`"),
        (one, lambda s: f"{s.best_value:.3f}", rf"{NO_VALUE} a format, `\.3f`"),
        *(
            (one, lambda s, to=to: to(s.best_value), rf"`study.best_value` {NO_VALUE} an f-string or a format")
            for to in TEXTS
        ),
        *((one, lambda s, to=to: to(s), "A study is known once .*, but got an f-string or a format") for to in TEXTS),
        (one, lambda s: "best " + s.best_value, rf"{NO_VALUE} `\+`"),
        (one, lambda s: [*s.best_trials], rf"{NO_VALUE} `iter\(\)`"),
        (one, lambda s: len(s.best_trials), rf"{NO_VALUE} `len\(\)`"),
        (one, lambda s: 1.0 if s.best_value else 0.0, rf"{NO_VALUE} `bool\(\)`"),
        (one, lambda s: "x" in s.best_params, f"{NO_VALUE} `in`"),
        (one, lambda s: [*s], r"A study is known once the search has run: .* but got `iter\(\)`"),
        (one, lambda s: s * 2, r"A study is known once the search has run: .* but got `\*`"),
        (one, lambda s: s.trials, "A study has no `trials` in a workflow.*A task that takes `study: optuna.Study`"),
        (one, lambda s: s.best_valu, "Did you mean `best_value`?"),
        (several, lambda s: s.best_value, "several objectives has no `best_value`, but `best_trials`"),
        (several, lambda s: s.best_trials[0].values, "has nothing inside"),
    ],
)
def test_what_a_study_does_not_have_is_refused_while_the_workflow_is_written(search, use, match):
    """With what there is, or which task to give it to; flytekit would take any name."""
    with pytest.raises(Exception, match=match):
        run(search, use, Any)


class Made(NamedTuple):
    loss: float
    words: dict[str, str]


@fl.task
def making(x: float) -> Made:
    return Made(x, {"x": str(x)})


def test_an_output_of_the_best_trial_has_a_name_and_no_text():
    """Nor an item of it; its name, which nobody takes for a value, is there for `print`, debuggers and errors."""
    found = []

    def workflow() -> str:
        optimizer = Optimizer(making, 2, 2)
        optimizer(x=suggest.float(0, 1))
        for promise, name in ((optimizer.best.words, "best.words"), (optimizer.best.words["x"], "best.words['x']")):
            for to in TEXTS:
                with pytest.raises(TypeError, match=re.escape(f"`{name}` {NO_VALUE} an f-string")):
                    to(promise)
            found.append({str(promise), repr(promise), "%s" % promise} == {f"<promise of {name}>"})  # noqa: UP031
        found.append(str(optimizer.study.best_params["x"]) == "<promise of study.best_params['x']>")
        return optimizer.best.words["x"]

    assert 0 <= float(fl.workflow(workflow)()) <= 1
    assert found and all(found)


def test_an_attribute_that_there_is_none_of_is_an_attribute_error():
    """So that `hasattr` says no."""

    def workflow() -> float:
        study = one()
        assert not hasattr(study, "trials")
        assert not hasattr(study.best_params, "nope")
        assert not hasattr(study.best_trial, "value")
        return study.best_value

    fl.workflow(workflow)()


@pytest.mark.parametrize(
    "use",
    [
        lambda s: 1 if s.best_value > 1 else 0,
        lambda s: not s.best_value > 1,
        lambda s: s.best_value > 1 and s.n_complete == 2,
        lambda s: 1 if s.n_complete == 2 else 0,
        lambda s: 0 < s.best_value < 1,
        lambda s: [s.best_trial] if s.best_trial >= 1 else [],
    ],
)
def test_the_truth_value_of_a_comparison_is_refused(use):
    """It is decided after the search; the message names the conditional, and what was written."""
    with pytest.raises(TypeError, match=r"give it to `fl\.conditional.*got the truth value of .*study\."):
        run(one, use, int)
