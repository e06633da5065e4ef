"""The study of a search: the same search as plain Optuna's, whatever becomes of its reports."""

import json
import warnings

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from strategies import spaces

from flyteoptuna import SearchFailedError, suggest
from flyteoptuna.core import space
from flyteoptuna.core.recording import InputsNotMade
from flyteoptuna.core.report import ERROR_ATTRIBUTE, TrialReport
from flyteoptuna.flyte import study_type
from flyteoptuna.storage.file import dumps, loads
from flyteoptuna.study import budgets, marks
from flyteoptuna.study.ask import ask, draw
from flyteoptuna.study.progress import progress
from flyteoptuna.study.sampler import create, wasteful
from flyteoptuna.study.tell import tell

LINE = {"x": suggest.float(0, 1)}
GRID = {"a": suggest.category(["p", "q", "r"]), "b": suggest.integer(0, 3), "c": suggest.float(0, 1, step=0.5)}
SAMPLERS = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3),
    "tpe-4": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3, multivariate=False),
    "tpe-5": lambda seed: optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=3, constant_liar=True, multivariate=True
    ),
    "nsga": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=4),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=3),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed),
    "brute-force": lambda seed: optuna.samplers.BruteForceSampler(seed=seed),
    "grid": lambda seed: optuna.samplers.GridSampler(
        {"a": ["p", "q", "r"], "b": [0, 1, 3], "c": [0.0, 0.5, 1.0]}, seed=seed
    ),
}
DISCRETE = ("brute-force", "grid")


def score(params, number):
    """A value that any parameters have; every fifth trial fails, every seventh is pruned."""
    if number % 5 == 4:
        return None, TrialState.FAIL
    if number % 7 == 6:
        return None, TrialState.PRUNED
    # Optuna itself gives a grid's 1 as an int where it was written as one, and as a float from a file.
    told = sorted((k, v if isinstance(v, str) or v is None else float(v)) for k, v in params.items())
    return float(len(repr(told)) % 17) + number % 3, TrialState.COMPLETE


def branched(inputs):
    """A conditional space: which inputs are drawn depends on one that was drawn before."""

    def build(trial):
        depth = trial.suggest_int("depth", 0, len(inputs))
        return [
            space.materialise(value, name, lambda n, s: draw(trial, n, s))
            for name, value in list(inputs.items())[:depth]
        ]

    return build


def flat(inputs):
    def build(trial):
        return {k: space.materialise(v, k, lambda n, s: draw(trial, n, s)) for k, v in inputs.items()}

    return build


def plain(sampler, build, batch, generations):
    """The reference: one process, plain optuna."""
    study = optuna.create_study(sampler=sampler)
    study.stop = lambda: None
    for _ in range(generations):
        trials = []
        for _ in range(batch):
            trials.append(trial := study.ask())
            build(trial)
        for trial in trials:
            value, state = score(trial.params, trial.number)
            if state == TrialState.PRUNED:
                trial.report(0.5, 3)
            study.tell(trial, value, state=state)
    return study


def reloaded(study):
    return loads(dumps(study))


def report_of(trial):
    value, state = score(trial.params, trial.number)
    report = TrialReport(trial.number, state=state.name, error="" if state == TrialState.COMPLETE else "no")
    if value is not None:
        report.values = [value]
    if state == TrialState.PRUNED:
        report.steps, report.intermediate = [3], [0.5]
    return report


def searched(sampler, build, batch, generations):
    """The same search, the study saved and loaded around every step."""
    study = optuna.create_study(sampler=sampler)
    marks.begin(study)
    for generation in range(generations):
        study = reloaded(study)
        for _ in range(batch):
            ask(study, generation, build)
        study = reloaded(study)
        tell(study, [report_of(t) for t in reversed(marks.own(study, TrialState.RUNNING))])
    return study


def comparable(study, name):
    # CMA-ES keeps its state as a pickle, which differs in bytes from run to run.
    ours = (marks.TRIAL_ATTRIBUTE, *(["cma:"] if name == "cmaes" else []))
    return [
        (
            t.params,
            t.distributions,
            t.values,
            t.state,
            t.intermediate_values,
            {k: v for k, v in t.system_attrs.items() if not k.startswith(ours)},
        )
        for t in study.trials
    ]


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs=spaces, batch=st.integers(1, 5), seed=st.integers(0, 1000), conditional=st.booleans())
def test_the_search_is_plain_optunas_to_the_bit(name, inputs, batch, seed, conditional):
    """Parameters, values, states and the sampler's attributes equal those of an ask-and-tell loop in one process."""
    if name in DISCRETE:
        inputs, conditional = GRID, False
    build = branched(inputs) if conditional else flat(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = comparable(plain(SAMPLERS[name](seed), build, batch, 4), name)
        got = comparable(searched(SAMPLERS[name](seed), build, batch, 4), name)
    assert got == expected


def asked(study, count, build=None, generation=0):
    return [ask(study, generation, build or flat(LINE)) for _ in range(count)]


def begun(batch=4, **kwargs):
    study = create(batch, seed=1, **kwargs)
    marks.begin(study)
    return study


def test_a_missing_report_fails_its_own_trial():
    """A shorter, shifted list of reports still lands on the right trials, with their own times."""
    study = begun()
    asked(study, 4)
    complete = {"state": "COMPLETE"}
    tell(
        study,
        [TrialReport(3, values=[3.0], start=5.0, end=7.0, **complete), None, TrialReport(0, values=[0.5], **complete)],
    )
    assert [t.values for t in study.trials] == [[0.5], None, None, [3.0]]
    assert "Trial 1 (generation 0) sent no report" in study.trials[1].user_attrs[ERROR_ATTRIBUTE]
    assert study.trials[3].duration.total_seconds() == 2.0


@given(
    st.lists(
        st.builds(
            TrialReport,
            trial=st.integers(-1, 6),
            key=st.sampled_from(["", "k"]),
            state=st.sampled_from(["COMPLETE", "PRUNED", "FAIL"]),
            values=st.lists(st.floats(), max_size=3),
            error=st.text(max_size=5),
        )
        | st.none(),
        max_size=8,
    )
)
@settings(deadline=None)
def test_telling_is_total(reports):
    """No report, however wrong, leaves a trial running or raises."""
    study = begun()
    asked(study, 5)
    assert tell(study, reports) == 5
    assert all(t.state.is_finished() for t in study.trials)


def test_trials_of_others_are_left_alone():
    """A search tells only what it has asked: not what another process runs, nor what was there before."""
    study = optuna.create_study()
    study.ask()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    marks.begin(study)
    asked(study, 2)
    tell(study, [])
    assert [t.state.name for t in study.trials] == ["RUNNING", "COMPLETE", "FAIL", "FAIL"]


def test_enqueued_points_are_asked_first():
    """They keep the numbers that they were given, and count as trials of the search."""
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.25})
    marks.begin(study)
    assert [a.params["x"] == 0.25 for a in asked(study, 2)] == [True, False]
    assert tell(study, []) == 2


def test_attributes_constraints_and_intermediate_values_come_back():
    """A constraint function sees the attributes that the objective has set, when the trial is told."""
    seen = []
    sampler = optuna.samplers.NSGAIISampler(constraints_func=lambda t: seen.append(dict(t.user_attrs)) or [1.0])
    study = optuna.create_study(sampler=sampler)
    marks.begin(study)
    asked(study, 1)
    attrs, constraints = json.dumps({"loss": [1, 2]}), json.dumps({"constraints:size": 2.0})
    tell(
        study,
        [
            TrialReport(
                0,
                state="COMPLETE",
                values=[1.0],
                user_attrs=attrs,
                system_attrs=constraints,
                steps=[2],
                intermediate=[0.5],
            )
        ],
    )
    trial = study.trials[0]
    assert trial.user_attrs == seen[0] == {"loss": [1, 2]}
    assert trial.intermediate_values == {2: 0.5}
    assert trial.system_attrs["constraints"] == (1.0,) or "constraints" in trial.system_attrs
    if hasattr(trial, "constraints"):
        assert trial.system_attrs["constraints:size"] == 2.0


def test_callbacks_run_after_each_tell_in_trial_order_and_may_stop():
    """They get the study and the finished trial; optuna's own work."""
    study, seen = begun(), []
    asked(study, 3)
    callbacks = [lambda s, t: seen.append((s is study, t.number, t.state)), optuna.study.MaxTrialsCallback(2)]
    tell(study, [TrialReport(n, state="COMPLETE", values=[1.0]) for n in (2, 1, 0)], callbacks)
    assert seen == [(True, n, TrialState.COMPLETE) for n in range(3)]
    assert budgets.over(study) == "stopped"


def test_a_timeout_counts_from_the_start_of_the_search():
    """It is over at the second, not before."""
    study = create(1, 1)
    marks.begin(study, now=100.0)
    assert budgets.over(reloaded(study), timeout=10, now=109.9) == ""
    assert budgets.over(reloaded(study), timeout=10, now=110.0) == "timeout of 10 s"


def test_a_search_that_only_fails_quotes_its_first_cause():
    """Nine failures are borne, ten are not; each cause is quoted once, the first whole."""
    study = begun(10)
    for count in (9, 1):
        budgets.check_failures(study, last=False)
        asked(study, count)
        tell(study, [TrialReport(t.number, error="out of luck\ntrace") for t in marks.own(study, TrialState.RUNNING)])
    with pytest.raises(SearchFailedError, match=r"first 10 trials failed.\nTrial 0: out of luck\ntrace$"):
        budgets.check_failures(study, last=False)


def test_failures_count_from_the_start_of_the_search():
    """`max_failures` is an absolute number of this search's failures; earlier ones do not count."""
    study = begun()
    for _ in range(2):
        asked(study, 1)
        tell(study, [TrialReport(0, error="one")])
        marks.begin(study)
    asked(study, 3)
    tell(
        study,
        [TrialReport(2, state="COMPLETE", values=[1.0]), TrialReport(3, error="two"), TrialReport(4, error="three")],
    )
    budgets.check_failures(study, last=True, max_failures=2)
    with pytest.raises(SearchFailedError, match=r"`max_failures=1` was exceeded: 2 of 3(.|\n)*two(.|\n)*three"):
        budgets.check_failures(study, last=False, max_failures=1)


def test_a_search_without_a_complete_trial_ends_in_an_error():
    """There is no best value to show."""
    study = begun()
    asked(study, 2)
    tell(study, [TrialReport(0, state="PRUNED", error="TrialPruned"), TrialReport(1, error="no")])
    budgets.check_failures(study, last=False)
    with pytest.raises(SearchFailedError, match="No trial completed: of 2, 1 failed"):
        budgets.check_failures(study, last=True)


def test_a_search_without_a_trial_says_why():
    """A timeout that passes before the first batch is no failure of trials."""
    with pytest.raises(SearchFailedError, match=r"No trial was asked: .* the timeout had passed"):
        budgets.check_failures(begun(), last=True)


def test_a_search_goes_on_while_no_trial_is_feasible():
    """Neither its line nor its attributes need a best trial."""
    study = begun(2)
    reports = [TrialReport(a.number, state="COMPLETE", values=[1.0]) for a in asked(study, 2)]
    for report in reports:
        report.system_attrs = json.dumps({"constraints": [1.0], "constraints:c": 1.0})
    tell(study, reports)
    assert str(progress(study)).endswith("2/0 trials, 0 failed, none feasible")
    assert study_type.attributes(study)["best_value"] is None
    budgets.check_failures(study, last=True)


def test_inputs_that_cannot_be_made_end_their_own_trial():
    """A callback that raises is a failure, one that prunes is pruned, and the others are run."""
    study = begun()

    def build(trial):
        trial.suggest_float("x", 0, 1)
        if trial.number == 0:
            raise InputsNotMade from ValueError("bad luck")
        if trial.number == 1:
            raise InputsNotMade from optuna.TrialPruned("no use")
        return {}

    made = asked(study, 3, build)
    assert [a.inputs for a in made] == [None, None, {}]
    study = reloaded(study)
    tell(study, [TrialReport(2, state="COMPLETE", values=[1.0])])
    assert [t.state.name for t in study.trials] == ["FAIL", "PRUNED", "COMPLETE"]
    assert study.trials[0].user_attrs[ERROR_ATTRIBUTE].startswith("ValueError: bad luck")


@pytest.mark.parametrize("sampler", ["tpe-5", "tpe-4", "random"])
def test_no_point_is_asked_twice_until_the_space_is_exhausted(sampler):
    """A discrete space of 12 points gives 12 different trials, in batches, and no more."""
    study = optuna.create_study(sampler=SAMPLERS[sampler](1))
    marks.begin(study)
    inputs = {"a": suggest.category(["p", "q", "r"]), "b": suggest.integer(0, 3)}
    points = budgets.points(inputs)
    assert points == 12
    while not budgets.exhausted(study, points):
        study = reloaded(study)
        for _ in range(5):
            if not budgets.exhausted(study, points):
                ask(study, 0, flat(inputs), fresh=True)
        tell(study, [report_of(t) for t in marks.own(study, TrialState.RUNNING)])
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == len(study.trials) == 12


def test_a_grid_is_exhausted_while_its_last_points_run():
    """A batch asks no point of a grid again."""
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"b": [0, 1, 2]}))
    marks.begin(study)
    for count in range(3):
        assert not budgets.exhausted(study), count
        asked(study, 1, flat({"b": suggest.integer(0, 3)}))
    assert budgets.exhausted(reloaded(study))


@pytest.mark.parametrize(("batch", "multivariate"), [(1, True), (19, True), (20, False), (100, False)])
def test_the_default_sampler_depends_on_the_batch(batch, multivariate):
    """Constant liar always; univariate from batches of 20 on."""
    sampler = create(batch, 1).sampler
    assert (sampler._constant_liar, sampler._multivariate) == (True, multivariate)


@pytest.mark.parametrize(
    ("make", "dimensions", "size"),
    [
        (lambda: optuna.samplers.CmaEsSampler(popsize=8), None, 8),
        (lambda: optuna.samplers.CmaEsSampler(), 10, 10),
        (lambda: optuna.samplers.CmaEsSampler(), None, None),
        (lambda: optuna.samplers.NSGAIISampler(population_size=20), 3, 20),
        (lambda: optuna.samplers.NSGAIIISampler(population_size=20), 3, 20),
        (lambda: optuna.samplers.TPESampler(), 3, None),
    ],
)
def test_a_population_smaller_than_the_batch_is_warned_of(make, dimensions, size):
    """Not one that is as large, nor a sampler without a population."""
    study = optuna.create_study(sampler=make())
    assert wasteful(study, size or 1, dimensions) == ""
    said = wasteful(study, (size or 1_000) + 1, dimensions)
    assert (f"populations of {size} trials, and batches of {(size or 0) + 1} waste" in said) == (size is not None)


def test_what_is_fixed_in_a_dictionary_counts_for_no_point():
    """Only suggestions make a space larger."""
    inputs = {"params": {"depth": suggest.integer(1, 4), "kind": "tree"}, "b": suggest.category(["p", "q"])}
    assert budgets.points(inputs) == 8
    assert budgets.points({**inputs, "x": suggest.float(0, 1)}) == float("inf")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda trial: trial.set_user_attr("model", object()), r"`trials\[0\]\.user_attrs\['model'\]` cannot be saved"),
        (lambda trial: trial.suggest_categorical("shape", [(1, 2)]), "Each choice of parameter `shape` must be"),
    ],
)
def test_a_trial_that_cannot_be_saved_is_an_error_when_it_is_asked(spoil, message):
    """A local run would save it when all trials have run."""
    study = create(1, 0)
    marks.begin(study)
    with pytest.raises(TypeError, match=message):
        ask(study, 0, spoil)


def test_an_attribute_of_a_callback_that_cannot_be_saved_is_an_error_when_it_is_told():
    """The attribute is named."""
    study = create(1, 0)
    marks.begin(study)
    ask(study, 0, lambda trial: trial.suggest_float("x", 0, 1))
    with pytest.raises(TypeError, match=r"`user_attrs\['model'\]` cannot be saved"):
        tell(study, [], [lambda study, trial: study.set_user_attr("model", object())])


def test_what_has_run_is_told_when_a_callback_raises():
    """The callback's error ends the search, and the trials after that one are told without callbacks."""
    study = begun(4)
    numbers = [a.number for a in asked(study, 4)]

    def fail(study, trial):
        raise KeyError(trial.number)

    reports = [TrialReport(n, state="COMPLETE", values=[float(n)]) for n in numbers]
    with pytest.raises(KeyError, match="0"):
        tell(study, reports, [fail])
    assert [t.value for t in study.trials] == [0.0, 1.0, 2.0, 3.0]


def test_callbacks_see_the_attributes_that_a_file_would_hold():
    """What they leave with the study is what JSON makes of it, in a local run too."""
    study = begun(2)
    numbers = [a.number for a in asked(study, 2)]
    seen = []

    def count(study, trial):
        seen.append(study.user_attrs.get("counts"))
        study.set_user_attr("counts", {1: (trial.number,)})

    tell(study, [TrialReport(n, state="COMPLETE", values=[1.0]) for n in numbers], [count])
    assert seen == [None, {"1": [0]}]
