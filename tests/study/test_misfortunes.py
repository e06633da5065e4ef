"""What goes wrong while a trial is asked or told costs that trial, and what has run is kept."""

import asyncio
import re

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from searches import LINE, asked, begun, flat, reloaded

from flyteoptuna import SpaceError, suggest
from flyteoptuna.study import stopping, system_attrs
from flyteoptuna.study.ask import check_study_space
from flyteoptuna.study.tell import fail_interrupted_trials, tell_trials
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport

SPACE = {"x": suggest.float(0, 1), "kind": suggest.category(["a", "b"]), "n": suggest.integer(0, 3)}


def states(study):
    return [trial.state.name for trial in study.trials]


def reason(study, number):
    return study.trials[number].user_attrs.get(ERROR_ATTRIBUTE, "")


def reports(made):
    return [TrialReport(each.number, state="COMPLETE", values=[float(each.number)]) for each in made if each.inputs]


@pytest.mark.parametrize(
    ("point", "match"),
    [
        ({"kind": "retired"}, "Parameter `kind`: ValueError: .*retired"),
        ({"x": None}, "Parameter `x`"),
        ({"x": float("nan")}, "Parameter `x`"),
        ({"n": float("nan")}, "Parameter `n`"),
        ({"x": "much"}, "Parameter `x`"),
        ({"n": []}, "Parameter `n`"),
    ],
)
def test_an_enqueued_point_that_optuna_refuses_fails_itself(point, match):
    """From the start, and by a callback in mid-search; the parameter is named, and the others are asked."""
    study = begun()
    study.enqueue_trial(point)
    made = asked(study, 2, flat(SPACE))

    def enqueue(study, trial):
        if trial.number == 1:
            study.enqueue_trial(point)

    tell_trials(reloaded(study), reports(made), [enqueue])
    tell_trials(study, reports(made), [enqueue])
    tell_trials(study, reports(asked(study, 2, flat(SPACE), generation=1)))
    assert states(study) == ["FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert re.search(match, reason(study, 0)) and re.search(match, reason(study, 2))
    reloaded(study)


def test_a_point_that_cannot_be_saved_fails_where_a_callback_enqueues_it():
    """The study can be saved, and the search goes on."""
    study = begun()

    def enqueue(study, trial):
        study.enqueue_trial({"x": object()}, user_attrs={"model": object()})

    tell_trials(study, reports(asked(study, 1)), [enqueue])
    study = reloaded(study)
    assert states(study) == ["COMPLETE", "FAIL"]
    assert "`system_attrs['fixed_params']` of trial 1 cannot be saved" in reason(study, 1)
    assert len(asked(study, 2)) == 2


class Sampler(optuna.samplers.RandomSampler):
    """Raises, draws or leaves what it is told to."""

    def __init__(self, asking=None, telling=None, draws=None):
        super().__init__(seed=1)
        self.asking, self.telling, self.draws = asking, telling, draws

    def infer_relative_search_space(self, study, trial):
        if self.asking is not None and trial.number == 0:
            raise self.asking
        return super().infer_relative_search_space(study, trial)

    def sample_independent(self, study, trial, name, distribution):
        return self.draws if self.draws is not None else super().sample_independent(study, trial, name, distribution)

    def after_trial(self, study, trial, state, values):
        if callable(self.telling):
            self.telling(study, trial)
        elif self.telling is not None:
            raise self.telling


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError(), MemoryError()])
def test_a_sampler_that_raises_fails_its_trial(error):
    """When it is asked."""
    study = begun()
    study.sampler = Sampler(asking=error)
    made = asked(study, 2)
    tell_trials(study, reports(made))
    assert states(study) == ["FAIL", "COMPLETE"]
    assert type(error).__name__ in reason(study, 0)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError()])
def test_what_was_told_is_kept_though_the_sampler_raises(error):
    """When it is told, as a grid's does after an enqueued point; the value stays, with a note."""
    study = begun()
    study.sampler = Sampler(telling=error)
    tell_trials(study, reports(asked(study, 2)))
    assert [trial.value for trial in study.trials] == [0.0, 1.0]
    assert f"its sampler raised. {type(error).__name__}" in reason(study, 0)


def test_a_grid_ends_with_an_enqueued_point_and_one_point_left():
    """Optuna's own sampler raises KeyError there."""
    inputs = {"n": suggest.integer(0, 1)}
    study = begun()
    study.sampler = optuna.samplers.GridSampler({"n": [0, 1]}, seed=1)
    tell_trials(study, reports(asked(study, 1, flat(inputs))))
    study.enqueue_trial({"n": 1})
    tell_trials(study, reports(asked(study, 1, flat(inputs), generation=1)))
    tell_trials(study, reports(asked(study, 1, flat(inputs), generation=2)))
    assert states(study) == ["COMPLETE"] * 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("constraints", "match"),
    [
        (lambda trial: 1 / 0, "It cannot be told. ZeroDivisionError"),
        (lambda trial: (float("nan"),), "It cannot be told. ValueError"),
        (lambda trial: (1.0, object()), "It cannot be told|cannot be saved"),
        (lambda trial: exec("raise SystemExit"), "It cannot be told. SystemExit"),
    ],
)
def test_constraints_that_raise_or_cannot_be_saved_fail_their_trial(constraints, match):
    """Nobody could tell whether it is feasible; the best trial is another, and the study can be saved."""
    study = begun(2)
    study.sampler = optuna.samplers.TPESampler(
        seed=1, constraints_func=lambda trial: constraints(trial) if trial.number == 0 else (np.float32(0),)
    )
    tell_trials(study, reports(asked(study, 2)))
    study = reloaded(study)
    assert states(study) == ["FAIL", "COMPLETE"]
    assert re.search(match, reason(study, 0))
    assert study.best_trial.number == 1


@pytest.mark.parametrize("draws", [np.float64(0.5), np.float32(0.5), np.int64(1)])
def test_numpys_numbers_of_a_sampler_are_plain_ones(draws):
    """In the parameters, wherever they go."""
    study = begun()
    study.sampler = Sampler(draws=draws)
    [made] = asked(study, 1)
    assert type(made.params["x"]) is type(study.trials[0].params["x"]) is float


def leave(value):
    def callback(study, trial):
        study.set_user_attr("kept", trial.number)
        study.set_user_attr("kept", value)
        study.set_user_attr("other", value)

    return callback


def raise_(error):
    def callback(study, trial):
        study.set_user_attr("kept", object())
        raise error

    return callback


@pytest.mark.parametrize(
    ("callback", "kind"),
    [(leave(object()), TypeError), (leave({1: {2}}), TypeError)]
    + [(raise_(error), type(error)) for error in (KeyError("no"), SystemExit(1), KeyboardInterrupt())],
)
def test_what_has_run_is_told_and_saved_whatever_a_callback_does(callback, kind):
    """Its error ends the search once all reports have been told, and its attributes are put back."""
    study = begun(3)
    study.set_user_attr("kept", "before")
    with pytest.raises(kind):
        tell_trials(study, reports(asked(study, 3)), [callback, callback])
    study = reloaded(study)
    assert [trial.value for trial in study.trials] == [0.0, 1.0, 2.0]
    assert study.user_attrs == {"kept": "before"}


def test_only_points_of_the_present_space_exhaust_it():
    """Those of another range, of other parameters or of none do not."""
    study = begun()
    for params in ({"n": 0}, {"n": 1}, {"n": 7}, {"n": 2, "x": 0.5}, {}):
        dists = {name: optuna.distributions.FloatDistribution(0, 9) for name in params}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=dists, value=1.0))
    assert stopping.is_exhausted(study, {"n": suggest.integer(0, 1)})
    assert not stopping.is_exhausted(study, {"n": suggest.integer(6, 7)})
    assert not stopping.is_exhausted(study, {"n": suggest.integer(0, 7, step=7), "m": suggest.integer(0, 0)})
    assert stopping.is_exhausted(study, {"n": suggest.float(0, 1, step=1)})


def test_a_new_grid_is_asked_though_an_old_one_was_exhausted():
    """As optuna's sampler does."""
    inputs = {"n": suggest.integer(0, 9)}
    study = begun()
    study.sampler = optuna.samplers.GridSampler({"n": [0, 1]}, seed=1)
    tell_trials(study, reports(asked(study, 2, flat(inputs))))
    assert stopping.is_exhausted(study)
    study.sampler = optuna.samplers.GridSampler({"n": [4, 5]}, seed=1)
    assert not stopping.is_exhausted(study)


def test_trials_that_an_earlier_search_left_running_have_failed():
    """A callback may enqueue them again; one that no search has asked stays with who asked it."""
    study = begun()
    asked(study, 2)
    study.ask()
    study = reloaded(study)
    system_attrs.store_search_mark(study)

    def again(study, trial):
        if trial.user_attrs[ERROR_ATTRIBUTE].startswith("interrupted"):
            study.enqueue_trial(trial.params)

    fail_interrupted_trials(study, [again])
    assert states(study) == ["FAIL", "FAIL", "RUNNING", "WAITING", "WAITING"]
    assert [made.params for made in asked(study, 2)] == [trial.params for trial in study.trials[:2]]


@pytest.mark.parametrize(
    ("space", "match"),
    [
        ({"x": suggest.category(["a"])}, "`x` was FloatDistribution.* and cannot be CategoricalDistribution"),
        ({"kind": suggest.category(["a", "c"])}, "`kind` was CategoricalDistribution.*does not support dynamic value"),
        ({"n": suggest.float(0, 1)}, "`n` was IntDistribution"),
    ],
)
def test_a_changed_space_names_the_parameter(space, match):
    """What optuna would say trial by trial is said at once; a new range is no change."""
    study = begun()
    asked(study, 1, flat(SPACE))
    with pytest.raises(SpaceError, match=match):
        check_study_space(study, space)
    check_study_space(study, {**SPACE, **LINE, "n": suggest.integer(5, 8)})


def test_a_lost_trial_tells_its_timeout():
    """Its pod may have been ended by it."""
    study = begun()
    [made] = asked(study, 1)
    system_attrs.update_trial_mark(study, made.number, key="k", timeout=90.0)
    tell_trials(study, [TrialReport(-1, error="The report of the trial is not as it must be.")])
    assert "it was ended by its timeout of 90 s, its pod died" in reason(study, 0)
    assert "does not say whose it is" in reason(study, 0)


def known(sampler, *distributions):
    """A study of trials that were added to it, and not asked of it."""
    study = optuna.create_study(sampler=sampler)
    for distribution in distributions:
        value = distribution.to_external_repr(0.0)
        trial = optuna.trial.create_trial(params={"n": value}, distributions={"n": distribution}, value=1.0)
        study.add_trial(trial)
    return study


N = {"n": suggest.integer(0, 3)}
GRID, BRUTE = optuna.samplers.GridSampler, optuna.samplers.BruteForceSampler


@pytest.mark.parametrize(
    ("study", "space", "match"),
    [
        (known(GRID({"n": [1]})), {**N, "m": suggest.integer(0, 3)}, "GridSampler can suggest no .* `m`: .* not found"),
        (known(BRUTE()), {"x": suggest.float(0, 1)}, "BruteForceSampler can suggest no .* `x`: .*step must be given"),
        (known(BRUTE(), IntDistribution(0, 9)), N, r"BruteForceSampler can suggest no .* `n`: .* mismatch"),
        (known(BRUTE(), IntDistribution(0, 9)), {"m": suggest.integer(0, 3)}, "suggest no .* `m`: .* mismatch"),
    ],
)
def test_a_sampler_that_can_suggest_no_trial_of_a_space_is_refused_at_once(study, space, match):
    """Its parameter is named, and the study is left as it was."""
    before = len(study.trials)
    with pytest.raises(SpaceError, match=match):
        check_study_space(study, space)
    assert len(study.trials) == before


@pytest.mark.parametrize("make", [lambda: GRID({"n": [1, 2]}, seed=3), lambda: BRUTE(seed=3)])
def test_a_sampler_that_was_tried_suggests_as_if_it_had_not_been(make):
    """Also where a point is enqueued that it would not suggest."""
    found = []
    for tried in (False, True):
        study = optuna.create_study(sampler=make())
        study.enqueue_trial({"n": 3})
        if tried:
            check_study_space(study, N)
        study.optimize(lambda trial: trial.suggest_int("n", 0, 3), n_trials=3)
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


def test_trials_that_were_added_count_where_a_journal_keeps_them():
    """As in a database; in memory they do not, as in Optuna's."""
    study = known(None, IntDistribution(0, 3))
    space = {"n": suggest.float(0, 1)}
    check_study_space(study, space)
    with pytest.raises(SpaceError, match=r"Parameter `n` was IntDistribution.*different distribution kind"):
        check_study_space(study, space, with_all_trials=True)
    check_study_space(study, N, with_all_trials=True)
