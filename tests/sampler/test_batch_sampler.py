"""The sampler for parallel searches, over any space, any results, and any order of asking and telling."""

import itertools
import json
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from flyteoptuna import BatchSampler
from flyteoptuna.sampler import batch_sampler
from flyteoptuna.sampler.batch_sampler import BOUND, MOST_FITTED, MOST_RUNNING, MOST_TOLD, STARTUP, TPE_EVERY
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.storage.search_study import new_study
from flyteoptuna.study.ask import space_distributions
from flyteoptuna.testing.strategies import suggestions

pytestmark = pytest.mark.filterwarnings("error", "ignore::optuna.exceptions.ExperimentalWarning")
DISTRIBUTIONS = st.dictionaries(
    st.sampled_from("abcdef"), suggestions().map(lambda s: space_distributions({"x": s})["x"]), min_size=1, max_size=4
)
# Values, and the ends of trials that have none.
RESULTS = st.floats(allow_nan=False) | st.integers(0, 3).map(float) | st.sampled_from([math.nan, "FAIL", "PRUNED"])


def study_of(seed=0, **kwargs):
    return optuna.create_study(sampler=BatchSampler(seed), **kwargs)


def tell(study, trial, result):
    number = getattr(trial, "number", trial)
    if result == "PRUNED" and number % 2:
        trial.report(float(number), step=number % 3)
    if isinstance(result, str):
        study.tell(number, state=TrialState[result])
    else:
        study.tell(
            number, None if math.isnan(result) else result, state=TrialState.FAIL if math.isnan(result) else None
        )


def search(study, space, results, batch, between=lambda study: study):
    """Ask and tell in batches; returns the parameters of all trials."""
    for start in range(0, len(results), batch):
        study = between(study)
        part = results[start : start + batch]
        for trial, result in zip([study.ask(space) for _ in part], part, strict=True):
            tell(study, trial, result)
    return [trial.params for trial in study.get_trials(deepcopy=False)]


@settings(max_examples=25)
@given(DISTRIBUTIONS, st.lists(RESULTS, min_size=14, max_size=24), st.integers(1, 9), st.booleans())
def test_any_space_and_any_results(space, results, batch, maximize):
    """Each trial has a valid value for each parameter, and no warning is given."""
    study = study_of(direction="maximize" if maximize else "minimize")
    for params in search(study, space, results, batch):
        assert params.keys() == space.keys()
        assert all(space[name]._contains(space[name].to_internal_repr(value)) for name, value in params.items())


@settings(max_examples=30)
@given(st.data())
def test_trials_ask_and_tell_in_any_order(data):
    """As workers do that share a study: any number runs, each has parameters of its own, some are enqueued."""
    study, running = study_of(), []
    for _ in range(data.draw(st.integers(20, 40))):
        if running and data.draw(st.booleans()):
            trial = running.pop(data.draw(st.integers(0, len(running) - 1)))
            tell(study, trial, data.draw(RESULTS))
            continue
        if data.draw(st.integers(0, 9)) == 0:
            study.enqueue_trial(
                data.draw(st.fixed_dictionaries({}, optional={"kind": st.just("b"), "x": st.just(0.5)}))
            )
        trial = study.ask()
        kind = trial.suggest_categorical("kind", ["a", "b", None])
        if kind == "a":
            assert 0 <= trial.suggest_float("x", 0, 1) <= 1
        elif kind == "b":
            assert trial.suggest_int("depth", 1, 100, log=True) in range(1, 101)
            if trial.suggest_categorical("more", [False, True]):
                trial.suggest_float("rate", 1e-6, 1, log=True)
        running.append(trial)


@settings(max_examples=8)
@given(DISTRIBUTIONS, st.lists(RESULTS, min_size=20, max_size=20), st.integers(1, 7))
def test_a_restored_study_goes_on_to_the_bit(space, results, batch):
    """Saved and loaded before each batch, in a copy of the sampler, or without what it remembers."""
    study = new_study([optuna.study.StudyDirection.MINIMIZE], BatchSampler(3), optuna.pruners.NopPruner(), "s")

    def forgetful(study):
        study.sampler = pickle.loads(pickle.dumps(study.sampler))
        return study

    def restored(study):
        return restore_study(dump_study(study))

    expected = search(study_of(3), space, results, batch)
    assert search(study_of(3), space, results, batch, forgetful) == expected
    for start in range(0, len(results), batch):
        study = restored(study)
        part = results[start : start + batch]
        for trial, result in zip([study.ask(space) for _ in part], part, strict=True):
            tell(study, trial, result)
    assert [trial.params for trial in study.trials] == expected


SCRIPT = """
import json, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
from flyteoptuna import BatchSampler
study = optuna.create_study(sampler=BatchSampler(1))
for _ in range(3):
    asked = [study.ask() for _ in range(40)]
    for trial in asked:
        x = [trial.suggest_float(f"x{i}", -1, 1) for i in range(6)]
        choice = trial.suggest_categorical("c", "abc")
        study.tell(trial, sum((v - 0.1 * i) ** 2 for i, v in enumerate(x)) + (choice == "a"))
print(json.dumps([{k: v.hex() if isinstance(v, float) else v for k, v in t.params.items()} for t in study.trials]))
"""


def test_processes_agree_to_the_bit_whatever_their_threads():
    """Matrices of this size are large enough for several threads, which would round differently."""
    outputs = set()
    for threads, hashes in (("1", "1"), ("4", "2")):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": hashes}
        made = subprocess.run([sys.executable, "-c", SCRIPT], env=env, check=True, capture_output=True, text=True)
        outputs.add(made.stdout)
    [text] = outputs
    assert len(json.loads(text)) == 120


def test_each_seed_and_each_number_gives_another_trial():
    """Copies of the sampler in several workers, which know the same trials, do not propose the same point."""
    space = {"x": FloatDistribution(0, 1)}
    made = [search(study_of(seed), space, [0.0] * 16, 4) for seed in (0, 1, None, None)]
    points = [params["x"] for params in itertools.chain(*made)]
    assert len({*points}) == len(points)
    # A trial of which all values are enqueued, in one of two copies, so that they ask other numbers.
    left, right = study_of(5), study_of(5)
    for study in (left, right):
        search(study, space, [math.cos(n) for n in range(16)], 4)
    right.enqueue_trial({"x": left.trials[0].params["x"]})
    right.tell(right.ask(space), left.trials[0].value)
    assert left.ask(space).params != right.ask(space).params


def test_a_negative_seed_is_refused():
    """As by numpy's generators."""
    with pytest.raises(ValueError, match="non-negative"):
        study_of(-1).ask({"x": FloatDistribution(0, 1)})


SPACE = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b", "c"]), "i": IntDistribution(0, 9)}


def test_what_is_fixed_stays_fixed():
    """In enqueued trials, and by Optuna's sampler for it; the other parameters are suggested."""
    study = study_of()
    search(study, SPACE, [float(n) for n in range(16)], 4)
    for number in range(6):
        study.enqueue_trial({"c": "b", "x": number / 10})
    for number in range(6):
        assert {"c": "b", "x": number / 10}.items() <= study.ask(SPACE).params.items()
    study.sampler = optuna.samplers.PartialFixedSampler({"i": 4}, study.sampler)
    assert {study.ask(SPACE).params["i"] for _ in range(6)} == {4}


def test_other_parameters_suit_the_fixed_ones():
    """The best `x` of an enqueued choice is that of the choice, not that of the best trials."""
    study, space = study_of(), {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
    for x, c in itertools.product(np.linspace(0, 1, 15).tolist(), ["a", "b"]):
        value = (x - 0.2) ** 2 if c == "a" else 1 + (x - 0.8) ** 2
        study.add_trial(create_trial(params={"x": x, "c": c}, distributions=space, value=value))
    # Trial 30 is the process's.
    assert len(study.trials) % TPE_EVERY != TPE_EVERY - 1
    study.enqueue_trial({"c": "b"})
    assert study.ask(space).params["x"] > 0.5


@pytest.mark.parametrize("later", [FloatDistribution(0.4, 0.6), FloatDistribution(-3, 9), FloatDistribution(2, 3)])
def test_a_continued_study_may_have_another_range(later):
    """Narrower, wider or elsewhere; and a parameter that is new, or missing."""
    study = study_of()
    search(study, SPACE, [float(n) for n in range(16)], 4)
    for space in ({**SPACE, "x": later}, {"x": later, "new": IntDistribution(1, 5)}):
        made = search(study, space, [float(n) for n in range(8)], 4)[-8:]
        assert all(params.keys() == space.keys() and space["x"]._contains(params["x"]) for params in made)


def test_a_discrete_space_is_asked_without_repetition():
    """Failed, pruned and running points are known too; a space that is exhausted is asked again."""
    space = {"i": IntDistribution(0, 5), "c": CategoricalDistribution("ab"), "s": FloatDistribution(0, 1, step=0.5)}
    study = study_of()
    made, results = set(), itertools.cycle([3.0, "FAIL", 1.0, "PRUNED"])
    for _ in range(6):
        for trial in [study.ask(space) for _ in range(6)]:
            if trial.number % TPE_EVERY != TPE_EVERY - 1:
                assert tuple(trial.params.items()) not in made
            made.add(tuple(trial.params.items()))
            tell(study, trial, next(results))
    search(study, space, [0.0] * 24, 6)


def test_points_that_run_are_avoided():
    """The trials of a batch keep apart, also when the told ones all point to the same place."""
    study, space = study_of(), {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    rng = np.random.default_rng(0)
    for point in rng.random((40, 2)).tolist():
        params = dict(zip("xy", point, strict=True))
        study.add_trial(create_trial(params=params, distributions=space, value=sum((v - 0.5) ** 2 for v in point)))
    asked = [study.ask(space) for _ in range(30)]
    points = np.array([[*t.params.values()] for t in asked if t.number % TPE_EVERY != TPE_EVERY - 1])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(len(points), 1)]
    assert distances.min() > 0 and np.median(distances) > 0.02
    assert np.median(np.linalg.norm(points - 0.5, axis=1)) < 0.4


@pytest.mark.parametrize("batch", [1, 10])
def test_a_region_where_all_trials_fail_is_left(batch):
    """Even if the function is best there; a sampler that ignores failed trials would ask there for ever."""
    study, space = study_of(), {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    failed = []
    for _ in range(0, 80, batch):
        for trial in [study.ask(space) for _ in range(batch)]:
            x, y = trial.params.values()
            failed.append(x > 0.8)
            tell(study, trial, math.nan if x > 0.8 else (1 - x) + abs(y - 0.5))
    assert sum(failed[40:]) < 24
    assert study.best_value < 0.3


def test_pruned_trials_lead_away():
    """The sooner a trial was pruned, the worse it is; all are worse than complete ones."""
    study, space = study_of(), {"x": FloatDistribution(0, 1)}
    for x in np.linspace(0, 1, 31).tolist():
        state = TrialState.COMPLETE if x > 0.8 else TrialState.PRUNED
        intermediate = {} if state == TrialState.COMPLETE else {round(10 * x): 0.0}
        trial = create_trial(
            state=state, params={"x": x}, distributions=space, value=1.0, intermediate_values=intermediate
        )
        study.add_trial(trial)
    # Trial 31 is TPE's.
    asked = [study.ask(space) for _ in range(8)]
    assert [t.params["x"] > 0.7 for t in asked if t.number % TPE_EVERY != TPE_EVERY - 1] == [True] * 6


def spied(monkeypatch):
    """Names of the samplers that suggest, by trial."""
    by = []
    wrapped = batch_sampler.TPESampler.sample_independent
    monkeypatch.setattr(
        batch_sampler.TPESampler,
        "sample_independent",
        lambda self, study, trial, *args: by.append(trial.number) or wrapped(self, study, trial, *args),
    )
    return by


def test_tpe_suggests_one_trial_in_four(monkeypatch):
    """And the parameters that no trial had before."""
    by = spied(monkeypatch)
    search(study_of(), {"x": FloatDistribution(0, 1)}, [1.0] * 24, 4)
    assert by == [0, *range(3, 24, 4)]


@pytest.mark.parametrize("kind", ["objectives", "constraints", "running"])
def test_tpe_suggests_all_trials_that_the_process_does_not_know(kind, monkeypatch):
    """Several objectives, constraints, and more running trials than the process takes."""
    study = study_of(directions=["minimize"] * (2 if kind == "objectives" else 1))
    for _ in range(20):
        trial = study.ask(SPACE)
        if kind == "constraints":
            study._storage.set_trial_system_attr(trial._trial_id, "constraints", (1.0,))
        study.tell(trial, [1.0, 2.0][: len(study.directions)])
    if kind == "running":
        study.add_trials([create_trial(state=TrialState.RUNNING)] * (MOST_RUNNING + 1))
    by = spied(monkeypatch)
    asked = [study.ask(SPACE).number for _ in range(4)]
    assert by == [number for number in asked for _ in SPACE]


def test_a_large_study_is_learnt_from_in_part(monkeypatch):
    """The process has a bounded size, whatever the number of trials; the best are among them."""
    study, sizes = study_of(), {}
    rng = np.random.default_rng(0)
    study.add_trials(
        [
            create_trial(params={"x": x}, distributions={"x": FloatDistribution(0, 1)}, value=(x - 0.3) ** 2)
            for x in rng.random(3_000).tolist()
        ]
    )
    for name in ("fit_scales", "Posterior"):
        function = getattr(batch_sampler, name)
        monkeypatch.setattr(
            batch_sampler, name, lambda x, *args, _f=function, _n=name: (sizes.setdefault(_n, len(x)), _f(x, *args))[1]
        )
    points = [study.ask({"x": FloatDistribution(0, 1)}).params["x"] for _ in range(2)]
    assert sizes == {"fit_scales": MOST_FITTED, "Posterior": MOST_TOLD}
    assert all(abs(point - 0.3) < 0.2 for point in points)


def test_the_scales_are_fitted_again_when_the_study_has_grown(monkeypatch):
    """By an eighth to a quarter: not at each trial, which would cost as much as all else."""
    fits = []
    function = batch_sampler.fit_scales
    monkeypatch.setattr(batch_sampler, "fit_scales", lambda x, *args: fits.append(len(x)) or function(x, *args))
    search(study_of(), {"x": FloatDistribution(0, 1)}, [math.sin(n) for n in range(48)], 1)
    assert fits == [10, 12, 14, 16, 20, 24, 28, 32, 40]
    fits.clear()
    # Trials that never end do not hold it up.
    study = study_of()
    study.ask({"x": FloatDistribution(0, 1)})
    search(study, {"x": FloatDistribution(0, 1)}, [math.sin(n) for n in range(48)], 1)
    assert 4 <= len(fits) <= 16
    assert STARTUP == 10 and BOUND > 0


def test_asked_again_a_trial_gets_another_point():
    """As `avoid_duplicates` asks, with the same number."""
    study, space = study_of(), {"x": FloatDistribution(0, 1)}
    search(study, space, [1.0] * 20, 5)
    trial = study.ask().number
    frozen = study.trials[trial]
    found = set()
    for _ in range(5):
        relative = study.sampler.infer_relative_search_space(study, frozen)
        found.add(study.sampler.sample_relative(study, frozen, relative)["x"])
    assert len(found) == 5
