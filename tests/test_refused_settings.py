"""Settings that are refused: Optuna's words, misspelt ones, wrong values, each with what to write instead."""

import functools
from datetime import timedelta

import flytekit as fl
import numpy as np
import optuna
import pytest
from flytekit import map_task
from flytekit.extras.tasks.shell import ShellTask
from objectives import X, built, square

from flyteoptuna import Optimizer, load_study, optimize


async def waited_for(study, trial):
    pass


@fl.task
def two(x: float) -> tuple[float, float]:
    return x, x


@fl.task
def starred(*xs: float) -> float:
    return 0.0


@fl.task
def of_numpy(x: float) -> np.float64:
    return np.float64(x)


@fl.task
def perhaps(x: float) -> float | None:
    return None


@fl.task
def listed(x: float) -> list[float]:
    return [x]


def of_another_name(x: float) -> float:
    return x


assigned = fl.task(of_another_name)


@fl.eager
async def eager(x: float) -> float:
    return x


def callback(trial: optuna.Trial):
    return square(x=trial.suggest_float("x", 0, 1))


def misnamed(trail: optuna.Trial):
    return square(x=trail.suggest_float("x", 0, 1))


def positional(trial, /):
    return square(x=1.0)


def many(trial, *rest):
    return square(x=1.0)


def yielding(trial):
    yield square(x=1.0)


class Group:
    def __call__(self, trial): ...

    def method(self, trial): ...

    @staticmethod
    @fl.task
    def task(x: float) -> float:
        return x


class Unpicklable(optuna.samplers.RandomSampler):
    def __reduce__(self):
        raise TypeError("a socket")


STUDY = optuna.create_study()
TPE = optuna.samplers.TPESampler


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"n_trails": 3}, "Optimizer has no setting `n_trails`; .* Did you mean `n_trials`?"),
        ({"batchsize": 3}, "Did you mean `batch_size`?"),
        ({"xyzzy": 3}, "Optimizer has no setting `xyzzy`; it has: objective, task, concurrency.*pruner.$"),
        ({"study_name": "s"}, r"`study_name` is of a study: pass study=optuna.create_study\(study_name=...\)"),
        ({"load_if_exists": True}, "`load_if_exists` is of a study"),
        ({"storage": "sqlite://"}, "`storage` is not needed, for Flyte carries the study; `flyteoptuna export`"),
        ({"n_jobs": 4}, "`n_jobs` is called `concurrency` here"),
        ({"delay": 1}, "`delay` is not needed: a batch starts at once"),
        ({"catch": (ValueError,)}, "`catch` is not needed.* `max_failures` says how many"),
        ({"gc_after_trial": True}, "`gc_after_trial` is not needed: each trial runs in a pod of its own"),
        ({"show_progress_bar": True}, "`show_progress_bar` is not needed: a terminal shows a bar"),
        ({"metric_names": ["a"]}, "`metric_names` is of a study"),
        ({"seed": 1}, r"`seed` is of a sampler: pass sampler=optuna.samplers.TPESampler\(seed=...\)"),
        ({"retries": 2}, r"`retries` is of the objective: @task\(retries=...\)"),
        ({"concurrency": 2**63}, "`concurrency <= 9223372036854775807` must hold, for Flyte's ints have 64 bits"),
        ({"n_trials": 10**5000}, "`n_trials <= 9223372036854775807` must hold"),
        ({"n_trials": np.float64(3)}, r"`n_trials` must be a positive int or a promise of one, but got 3.0 \(float\)"),
        ({"batch_size": np.array([1, 2])}, r"`batch_size` must be a positive int.* array\(\[1, 2\]\) \(ndarray\)"),
        ({"timeout": timedelta(-1)}, "`timeout >= 0` must hold, but got timeout=-86400.0"),
        ({"timeout": True}, r"`timeout` must be seconds, .* but got True \(bool\)"),
        ({"avoid_duplicates": "no"}, r"`avoid_duplicates` must be a bool or a promise of one, but got 'no' \(str\)"),
        ({"callbacks": {print}}, "`callbacks` must be a list of callables"),
        ({"callbacks": [lambda: None]}, r"`callbacks` must be called as `callback\(study, trial\)`"),
        ({"callbacks": [lambda study: None]}, r"`callbacks` must be called as `callback\(study, trial\)`"),
        ({"callbacks": [lambda study, trial, *, more: None]}, r"must be called as `callback\(study, trial\)`"),
        ({"callbacks": [waited_for]}, "and not be async, but got .*waited_for"),
        ({"callbacks": [optuna.study.MaxTrialsCallback]}, "`callbacks` must be callables, but got .*class"),
        (
            {"direction": "max"},
            "`direction` must be 'minimize' or 'maximize', but got 'max'.* Did you mean `maximize`?",
        ),
        ({"direction": 1}, r"`direction` must be 'minimize' or 'maximize', but got 1 \(int\)"),
        ({"direction": ["minimize"]}, "`direction` must be 'minimize' or 'maximize', but got .*list"),
        ({"directions": "minimize"}, r"`directions` must be a list of directions, as .* but got 'minimize'"),
        ({"directions": []}, "`directions` must be a list of directions"),
        ({"directions": [None]}, "`directions` must be 'minimize' or 'maximize', but got None"),
        ({"direction": "minimize", "directions": ["minimize"]}, "`direction` and `directions` must not both be given"),
        ({"sampler": "tpe"}, r"`sampler` must be one of optuna.samplers, as a BaseSampler, but got 'tpe'"),
        ({"sampler": TPE}, r"`sampler` must be an object, but got the class itself: write TPESampler\(...\)"),
        ({"pruner": TPE()}, "`pruner` must be one of optuna.pruners"),
        ({"study": STUDY, "direction": "maximize"}, "`direction` is of a new study, and `study` has its own"),
        ({"study": STUDY, "sampler": TPE()}, "`sampler` is of a new study, and `study` has its own"),
        (
            {"study": "best.study"},
            r"must be an optuna.Study, but got 'best.study'.* Load it: study=flyteoptuna.load_stu",
        ),
        ({"study": optuna.Study}, "`study` must be an optuna.Study, but got <class"),
        ({"study": [STUDY]}, "`study` must be an optuna.Study, but got .*list"),
    ],
)
def test_a_setting_is_refused_where_it_is_written(settings, match):
    """By the class, by the decorator, and by the one that is set afterwards."""
    for make in (lambda: Optimizer(square, **settings), lambda: optimize(**settings)(square)):
        with pytest.raises((TypeError, ValueError), match=match):
            make()
    optimizer = Optimizer(square, 1, 1)
    with pytest.raises((TypeError, ValueError, AttributeError)):
        [setattr(optimizer, name, value) for name, value in settings.items()]
        optimizer(**X)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({}, "`n_trials` or a `timeout` must be given: one says how many trials, the other for how long"),
        ({"n_trials": None}, "`n_trials` or a `timeout` must be given"),
        (
            {"n_trials": 1, "directions": ["minimize"] * 2},
            "as many directions as the objective has values, .*square returns 1",
        ),
        ({"n_trials": 1, "sampler": Unpicklable()}, "`sampler` must be what cloudpickle can carry.* a socket"),
        ({"n_trials": 1, "study": optuna.create_study(sampler=Unpicklable())}, "`study.sampler` must be what cloudpic"),
        (
            {"n_trials": 1, "callbacks": [functools.partial(print, Unpicklable())]},
            "`callbacks` must be what cloudpickle",
        ),
    ],
)
def test_a_search_is_refused_where_it_is_called(settings, match):
    """Since the body of a workflow may set what is missing where the optimizer is made."""
    with pytest.raises((TypeError, ValueError), match=match):
        Optimizer(square, **settings)(**X)


def test_several_values_need_directions():
    """Which Optuna would ask for as well; and as many as there are values."""
    with pytest.raises(TypeError, match=r"returns 2 and there are none: write directions=\['minimize', 'minimize'\]"):
        Optimizer(two, 1, 1)(**X)
    with pytest.raises(
        ValueError, match=r"`directions` must have as many directions as the objective has values, but .*two returns 2"
    ):
        Optimizer(two, 1, 1, direction="minimize")(**X)


@pytest.mark.parametrize(
    ("objective", "match"),
    [
        (eager, "must be a plain @task, but got .*eager.* an eager task, which cannot be mapped: write @task"),
        (map_task(square), "a map task: pass the task that it maps"),
        (ShellTask("shell", script="true"), "a task that runs no function of Python"),
        (functools.partial(square, x=1.0), "a partial function: pass what it calls"),
        (functools.partial(callback), "a partial function: pass what it calls"),
        (Group, "a class: write its work as a function"),
        (Group(), "an object that can be called: write a function at the top of a module"),
        (Group().method, "a method: write a function at the top of a module"),
        (Group.method, "A callback must be a function at the top of a module, .* but got Group.method"),
        (Group.task, "A task must be at the top of a module, for pods to find it, but got Group.task"),
        (Optimizer(square), "an optimizer already: call it"),
        (STUDY, "neither a task nor a callback"),
        (None, "neither a task nor a callback"),
        (print, "an object that can be called"),
        (square.task_function, r"takes \(x, power\). Write @task above it, or name a parameter `trial`"),
        (misnamed, r"takes \(trail\). Write @task above it, or name a parameter `trial`"),
        (positional, "must have a name, but positional takes `trial, /`"),
        (many, r"must have a name, but many takes `\*rest`"),
        (yielding, "must return what its call of the objective returned, but yielding yields"),
        (starred, r"Each input of an objective must have a name, but .*starred takes `\*xs: float`"),
        (of_numpy, "must return a float or a tuple of floats, but .* returns float64: annotate it with `-> float`"),
        (assigned, "must have the name of its function, .* but `of_another_name` is the function alone: write"),
        (perhaps, r"but .*perhaps returns float \| None: annotate"),
        (listed, r"but .*listed returns list\[float\]: annotate"),
    ],
)
def test_an_objective_is_refused_for_what_it_is(objective, match):
    """And told what to pass."""
    with pytest.raises((TypeError, ValueError), match=match):
        Optimizer(objective, 1, 1)


@pytest.mark.parametrize(
    ("use", "match"),
    [
        (lambda o: setattr(o, "objective", two), "`objective` cannot be set afterwards: make another Optimizer"),
        (lambda o: setattr(o, "n_trails", 3), "no setting `n_trails`; it has: .* Did you mean `n_trials`?"),
        (lambda o: o.n_trails, "no attribute `n_trails`. Did you mean `n_trials`?"),
        (lambda o: o.optimize(), "no attribute `optimize`. Call the optimizer itself, with the inputs"),
        (
            lambda o: o.best_value,
            r"`best_value`. A study has it, once .*: `study = optimizer\(...\)`, and then `study.best_v",
        ),
    ],
)
def test_an_attribute_is_refused_with_what_was_meant(use, match):
    """Whether it is read or set."""
    with pytest.raises(AttributeError, match=match):
        use(Optimizer(square, 1, 1))


@pytest.mark.parametrize(
    ("objective", "name", "in_python", "in_a_workflow"),
    [
        (
            square,
            "best_value",
            "The study has it: optimizer.study.best_value",
            "The study has it: optimizer.study.best_value",
        ),
        (square, "trials", "The study has it: optimizer.study.trials", "A task that takes `study: optuna.Study`"),
        (
            two,
            "best_value",
            "The study may have it: optimizer.study.best_value",
            "A study of several objectives has no",
        ),
    ],
)
def test_after_the_call_the_error_of_an_attribute_leads_to_the_study(objective, name, in_python, in_a_workflow):
    """Or says what to do instead, where the study has none."""

    def searched():
        optimizer = Optimizer(objective, 1, 1, directions=["minimize"] * (1 if objective is square else 2))
        optimizer(**X)
        return getattr(optimizer, name)

    with pytest.raises(AttributeError, match=f"no attribute `{name}`. {in_python}"):
        searched()
    with pytest.raises(AttributeError, match=f"no attribute `{name}`. .*{in_a_workflow}"):
        built(searched)


def test_the_numbers_of_numpy_and_the_enum_of_optuna_are_taken():
    """As their plain forms."""
    optimizer = Optimizer(two, np.int64(2), np.uint8(3), avoid_duplicates=np.bool_(False), timeout=np.float32(60))
    optimizer.directions = [optuna.study.StudyDirection.MAXIMIZE, "minimize"]
    study = optimizer(**X)
    assert len(study.trials) == 3
    assert study.directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]


def test_a_sampler_that_lacks_a_package_is_named_at_the_start(monkeypatch):
    """Before a trial is asked, also where it is inside another sampler."""
    from flyteoptuna.study import samplers

    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    sampler = optuna.samplers.PartialFixedSampler({}, optuna.samplers.CmaEsSampler())
    ran = []
    with pytest.raises(ImportError, match="CmaEsSampler needs the package cmaes, which is not installed where"):
        Optimizer(square, 1, 1, sampler=sampler, callbacks=[lambda study, trial: ran.append(trial)])(**X)
    assert ran == []


@pytest.mark.parametrize(
    ("source", "trusted", "match"),
    [
        *(
            (source, True, "`source` must be a path, a URL or flyte")
            for source in (None, 3, b"x", "", " ", STUDY, ["a"])
        ),
        *(
            ("x", trusted, "`trusted` must be True or False, but got")
            for trusted in ("no", "yes", 1, 0, None, np.True_)
        ),
    ],
)
def test_a_source_is_a_path_and_trust_is_a_bool(source, trusted, match):
    """What is true by accident must not unpickle."""
    with pytest.raises((TypeError, ValueError), match=match):
        load_study(source, trusted=trusted)
