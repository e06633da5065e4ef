"""`testing.simulate`: the same search as in pods and as a local run, on a clock that is simulated."""

import asyncio
import math
import sys
import warnings
from statistics import mean

import flytekit as fl
import optuna
import pytest
from containers import told
from optuna.trial import TrialState

import flyteoptuna
from flyteoptuna import Optimizer, SearchFailedError, suggest, testing
from flyteoptuna.study.system_attrs import trial_mark

SPACE = {"x": suggest.float(0, 1), "inner": {"n": suggest.integer(0, 9), "kept": [1]}, "power": 2}


@fl.task
def objective(x: float, inner: dict, power: int) -> float:
    return x**power + inner["n"]


@fl.task
async def awaited(x: float) -> float:
    return x


@fl.task
def two(x: float) -> tuple[float, float]:
    return x, -x


def chosen(trial: optuna.Trial, power: int) -> float:
    x = trial.suggest_float("x", 0, 1)
    n = trial.suggest_int("n", 0, 9) if x < 0.5 else 10
    return objective(x=x, inner={"n": n}, power=power)


def optimizer(origin=objective, concurrency=2, n_trials=10, **settings):
    settings = {"sampler": optuna.samplers.TPESampler(seed=3, n_startup_trials=3), **settings}
    return Optimizer(origin, concurrency, n_trials, **settings)


def params(simulation):
    return [trial.params for trial in simulation.study.trials]


def misbehaved(x, inner, power):
    trial = flyteoptuna.current_trial()
    if trial.number == 1:
        raise ValueError("no")
    if trial.number == 2:
        return math.nan
    if trial.number == 3:
        raise testing.PodLostError
    if trial.number == 4:
        raise optuna.TrialPruned
    trial.report(0.5, step=1)
    trial.set_user_attr("seen", trial.params["x"])
    return x


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("origin", [objective, chosen])
def test_an_objective_runs_and_is_the_same_each_time(origin, reuse):
    """Of a task and of a callback, in batches and with reused pods; the optimizer stays as it was."""
    search = optimizer(origin, reuse_pods=reuse)
    inputs = {"power": 2} if origin is chosen else SPACE
    one, other = (testing.simulate(search, inputs, objective=lambda x, inner, power: x + inner["n"]) for _ in "12")
    assert len(one.study.trials) == len(one.timeline) == 10
    assert told(one.study) == told(other.study)
    assert [t.value for t in one.study.trials] == [
        t.params["x"] + t.params.get("inner.n", t.params.get("n", 10)) for t in one.study.trials
    ]
    assert search.study is None


@pytest.mark.parametrize("reuse", [False, True])
def test_whatever_an_objective_does_its_trial_is_told(reuse):
    """It may raise, return NaN, lose its pod, be pruned, report, and keep attributes."""
    study = testing.simulate(optimizer(n_trials=6, reuse_pods=reuse), SPACE, objective=misbehaved).study
    names = [trial.state.name for trial in study.trials]
    assert names == ["COMPLETE", "FAIL", "FAIL", "FAIL", "PRUNED", "COMPLETE"]
    errors = [trial.user_attrs.get("flyteoptuna:error", "") for trial in study.trials]
    assert errors[1].startswith("ValueError: no") and "nan" in errors[2] and "sent no report" in errors[3]
    assert study.trials[0].user_attrs["seen"] == study.trials[0].params["x"]
    assert study.trials[0].intermediate_values == {1: 0.5}


def test_no_trial_sees_what_another_has_changed():
    """The inputs that all share are each one's own."""

    def spoiling(x, inner, power):
        assert inner["kept"] == [1]
        inner["kept"].append(2)
        return x

    assert testing.simulate(optimizer(), SPACE, objective=spoiling).error is None


def test_a_batch_ends_with_its_longest_trial():
    """Its trials start in their order as slots are free."""
    made = testing.simulate(optimizer(n_trials=5, batch_size=3), SPACE, durations=[1, 5, 2, 3, 4])
    assert [(ran.number, ran.slot, ran.start, ran.end) for ran in made.timeline] == [
        (0, 0, 0, 1),
        (1, 1, 0, 5),
        (2, 0, 1, 3),
        (3, 0, 5, 8),
        (4, 1, 5, 9),
    ]
    assert (made.makespan, made.busy, made.waited, made.utilisation) == (9, 15, 3, 15 / 18)
    assert [(t.datetime_complete - t.datetime_start).total_seconds() for t in made.study.trials] == [1, 5, 2, 3, 4]


def test_a_reused_slot_asks_when_it_is_free():
    """None waits for another, and each trial knows what has been told by then."""
    knew = []

    def counting(number, drawn):
        return 5.0 if number == 0 else 1.0

    def seeing(study, trial):
        knew.append(trial.number)

    made = testing.simulate(optimizer(n_trials=5, reuse_pods=True, callbacks=[seeing]), SPACE, durations=counting)
    assert [(ran.number, ran.slot, ran.start) for ran in made.timeline] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 2),
        (4, 1, 3),
    ]
    assert made.makespan == 5
    assert [trial_mark(trial).worker for trial in made.study.trials] == list("01111")


@pytest.mark.parametrize(("reuse", "count"), [(False, 6), (True, 6)])
def test_a_timeout_is_one_of_the_simulated_clock(reuse, count):
    """Trials that run then are told."""
    made = testing.simulate(optimizer(n_trials=100, timeout=25, reuse_pods=reuse), SPACE, durations=10)
    assert (len(made.study.trials), made.makespan) == (count, 30)
    endless = testing.simulate(optimizer(n_trials=None, timeout=25, reuse_pods=reuse), SPACE, durations=10)
    assert params(endless) == params(made)


@pytest.mark.parametrize("reuse", [False, True])
def test_a_search_that_fails_says_why_and_keeps_its_study(reuse):
    """The error that a real one raises is part of what is returned."""
    made = testing.simulate(
        optimizer(n_trials=50, max_failures=3, reuse_pods=reuse), SPACE, objective=lambda **inputs: math.nan
    )
    assert isinstance(made.error, SearchFailedError) and "`max_failures=3` was exceeded" in str(made.error)
    assert [trial.state for trial in made.study.trials] == [TrialState.FAIL] * len(made.timeline)
    assert 4 <= len(made.timeline) <= 5


@pytest.mark.parametrize("reuse", [False, True])
def test_a_search_ends_where_nothing_is_left_to_ask_or_a_callback_stops_it(reuse):
    """As a real one."""
    space = {**SPACE, "x": suggest.category([0.5]), "inner": {"n": suggest.integer(0, 3)}}
    made = testing.simulate(optimizer(n_trials=50, avoid_duplicates=True, reuse_pods=reuse), space)
    assert sorted(trial.params["inner.n"] for trial in made.study.trials) == [0, 1, 2, 3]
    stopped = optimizer(n_trials=50, callbacks=[lambda study, trial: study.stop()], reuse_pods=reuse)
    assert len(testing.simulate(stopped, SPACE).study.trials) in (2, 3)


@pytest.mark.parametrize("reuse", [False, True])
def test_a_pruner_decides_from_what_was_told(reuse):
    """Trials that report worse values than those before them are ended."""

    def reporting(x, inner, power):
        trial = flyteoptuna.current_trial()
        trial.report(float(trial.number), step=0)
        if trial.should_prune():
            raise optuna.TrialPruned
        return x

    pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
    study = testing.simulate(optimizer(pruner=pruner, reuse_pods=reuse), SPACE, objective=reporting).study
    # The third of reused slots is asked when one trial has been told, and none else.
    first = 3 if reuse else 2
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] * first + [TrialState.PRUNED] * (10 - first)


def test_a_study_is_gone_on_with_and_stays_as_it_was():
    """Its trials come first, and are none of the search's own."""
    given = testing.simulate(optimizer(n_trials=4), SPACE).study
    made = testing.simulate(Optimizer(objective, 2, 4, study=given), SPACE)
    assert [ran.number for ran in made.timeline] == [4, 5, 6, 7]
    assert len(given.trials) == 4


def test_several_values_and_objectives_that_are_awaited():
    """The stand-in of an async task may be a plain function."""
    made = testing.simulate(Optimizer(two, 2, 4, directions=["minimize", "maximize"]), {"x": suggest.float(0, 1)})
    assert len(made.study.best_trials) >= 1 and made.error is None
    for function in (None, lambda x: x):
        made = testing.simulate(optimizer(awaited), {"x": suggest.float(0, 1)}, objective=function)
        assert [t.value for t in made.study.trials] == [t.params["x"] for t in made.study.trials]


def test_what_is_awaited_is_so_where_a_loop_runs():
    """As in a notebook: an async objective, and an async stand-in of one that is not; what they raise fails a trial."""

    async def standing(x, **others):
        await asyncio.sleep(0)
        if flyteoptuna.current_trial().number == 1:
            sys.exit("no")
        return x

    async def simulated(origin, space, function):
        return testing.simulate(optimizer(origin, n_trials=3), space, objective=function).study

    for origin, space in [(awaited, {"x": suggest.float(0, 1)}), (objective, SPACE)]:
        study = asyncio.run(simulated(origin, space, standing))
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
        assert all(trial.value == trial.params["x"] for trial in study.trials if trial.values)


@pytest.mark.parametrize(
    ("durations", "message"),
    [
        (-1, "before the year 9999, but got -1 for trial 0"),
        (math.inf, "before the year 9999, but got inf"),
        (lambda number, drawn: math.nan, "before the year 9999, but got nan"),
        ([1, 1], "must be as many as trials are run, but there are 2"),
    ],
)
def test_a_duration_that_cannot_be_is_refused(durations, message):
    """With the value and the trial."""
    with pytest.raises(ValueError, match=message):
        testing.simulate(optimizer(), SPACE, durations=durations)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimizer": objective}, "`optimizer` must be an Optimizer, but got"),
        ({"inputs": [1]}, r"`inputs` must be a dictionary, but got \[1\] \(list\)"),
        ({"objective": 3}, r"`objective` must be a function, but got 3 \(int\)"),
        ({"durations": "abc"}, r"`durations` must be seconds, .* but got 'a' \(str\)"),
        ({"durations": None}, r"`durations` must be seconds, .* but got None"),
        ({"seed": "a"}, "`seed` must be an int, but got 'a'"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused(given, message):
    """With its name and its value."""
    with pytest.raises(TypeError, match=message):
        testing.simulate(**{"optimizer": optimizer(), "inputs": SPACE, **given})


def test_without_a_number_of_trials_they_take_time():
    """It would never end."""
    with pytest.raises(ValueError, match="Without `n_trials` a duration must be above 0"):
        testing.simulate(optimizer(n_trials=None, timeout=3), SPACE, durations=0)


def test_a_promise_has_no_value_in_a_simulation():
    """It is named."""
    found = []

    @fl.workflow
    def never(count: int) -> float:
        with pytest.raises(TypeError, match="needs values, but `n_trials` is a promise") as error:
            testing.simulate(optimizer(n_trials=count), SPACE)
        found.append(error)
        return optimizer(n_trials=1)(**SPACE).best_value

    never.compile()
    assert found


def test_utilisation_is_full_where_no_time_passes():
    """And nothing has waited."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = testing.simulate(optimizer(), SPACE, durations=0)
    assert (made.utilisation, made.waited, made.makespan) == (1, 0, 0)
    assert mean(ran.end for ran in made.timeline) == 0
