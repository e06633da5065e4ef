"""A callback that changes variables outside it is told of, because a search calls a copy of it."""

import collections
import dataclasses
import functools
import logging
from typing import ClassVar

import flytekit as fl
import optuna
import pytest

from flyteoptuna import Optimizer, suggest
from flyteoptuna.study.callbacks import call_callback

results = []
count = 0
kept, kept_by_name = [], {}
LIMITS = {"value": 0.5}


def appends_to_a_global(study, trial):
    results.append(trial)


def counts_a_global(study, trial):
    global count
    count += 1


def reads(study, trial):
    study.set_user_attr("below", LIMITS["value"] > len(results))


class Stateful:
    def __init__(self):
        self.seen = []

    def __call__(self, study, trial):
        self.seen.append(trial)


class StatefulClass:
    seen: ClassVar[list] = []
    calls = 0

    def __call__(self, study, trial):
        self.seen.append(trial)

    def count(self, study, trial):
        type(self).calls += 1

    def extend_own(self, study, trial):
        self.own = [*getattr(self, "own", ()), trial]


@dataclasses.dataclass
class CountsAGlobal:
    """Not hashable."""

    step: int = 1

    def __call__(self, study, trial):
        global count
        count += self.step


def appends_to_a_default(study, trial, seen=kept):
    seen.append(trial)


def sets_a_keyword_default(study, trial, *, best=kept_by_name):
    best["trial"] = trial


def counts_an_attribute(study, trial):
    counts_an_attribute.calls = getattr(counts_an_attribute, "calls", 0) + 1


def appends_to_an_argument(seen, study, trial):
    seen.append(trial)


def closures():
    """Callbacks over variables of a function, and whether they change one."""
    seen, numbers, best, number, recent = [], set(), {"value": None}, 0, collections.deque()

    def counts(study, trial):
        nonlocal number
        number += 1

    def reads_unbound(study, trial):
        return unbound if trial is None else None

    if results:
        unbound = 0

    yield lambda study, trial: seen.append(trial), True
    yield lambda study, trial: numbers.add(trial.number), True
    yield lambda study, trial: best.update(value=trial.number), True
    yield counts, True
    yield appends_to_a_global, True
    yield counts_a_global, True
    yield appends_to_a_default, True
    yield sets_a_keyword_default, True
    yield counts_an_attribute, True
    yield CountsAGlobal(), True
    yield StatefulClass(), True
    yield StatefulClass().count, True
    yield StatefulClass().extend_own, False
    yield functools.partial(functools.partial(lambda to, study, trial: recent.append(trial), seen)), True
    yield functools.partial(appends_to_an_argument, []), False
    yield lambda study, trial: (len(seen), best["value"]), False
    yield reads, False
    yield reads_unbound, False
    yield Stateful(), False
    yield optuna.study.MaxTrialsCallback(2), False


@pytest.mark.parametrize(("callback", "changes"), [*closures()])
def test_a_function_that_changes_a_variable_outside_it_is_warned_of_once(callback, changes, caplog):
    """Not one that only reads, nor an object, whose state travels with it."""
    study = optuna.create_study()
    for number in range(3):
        call_callback(callback, study, optuna.trial.create_trial(value=1.0 + number))
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == changes
    assert all("changes a variable outside it" in each and "study.set_user_attr" in each for each in messages)


@fl.task
def line(x: float) -> float:
    return x


@pytest.mark.parametrize("reuse", [False, True])
def test_a_search_warns_of_it_and_keeps_what_is_in_the_study(reuse, caplog):
    """Of both kinds; the list of the caller is that of nobody else."""
    seen = []

    def collect(study, trial):
        seen.append(trial.number)
        study.set_user_attr("numbers", [*study.user_attrs.get("numbers", ()), trial.number])

    study = Optimizer(line, 1, 3, callbacks=[collect], reuse_pods=reuse)(x=suggest.float(0, 1))
    assert seen == [] and study.user_attrs["numbers"] == [0, 1, 2]
    assert [r.getMessage().partition(" changes")[0] for r in caplog.records if "outside it" in r.getMessage()] == [
        "The callback `collect`"
    ]
