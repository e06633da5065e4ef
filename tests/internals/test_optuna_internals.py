"""Optuna's private state: each function against what Optuna says in public, and no private name elsewhere."""

import ast
import re
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

import flyteoptuna
from flyteoptuna import JournalObjectBackend
from flyteoptuna.internals import optuna_internals as internals

X = FloatDistribution(0, 1)
PACKAGE = Path(flyteoptuna.__file__).parent
# Names that flytekit and Python have as well: a task's name, and the fields of a named tuple.
OTHERS = {"_name", "_asdict"}


def told(n_trials=4, directions=("minimize",), storage=None, sampler=None):
    """A study whose trials have been asked and told, with the worst value first."""
    sampler = sampler or optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(directions=list(directions), storage=storage, sampler=sampler)
    for number in range(n_trials):
        trial = study.ask({"x": X})
        study.tell(trial, [float(n_trials - number)] * len(directions))
    return study


@pytest.fixture(params=["memory", "database"])
def study(request, tmp_path):
    """A study in memory, and one in a database, where it is not the first."""
    if request.param == "memory":
        return told()
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
    told(2, storage=storage)
    return told(storage=storage)


def test_the_storage_and_the_id_find_the_study(study):
    """A storage's public methods give the study's name and its trials by them."""
    storage, study_id = internals.storage_of(study), internals.study_id(study)
    assert storage.get_study_name_from_id(study_id) == study.study_name
    assert storage.get_all_trials(study_id) == study.trials


def test_the_id_of_a_trial_finds_it(study):
    """Of a trial that was asked, and of one that is read."""
    asked = study.ask({"x": X})
    storage, frozen = internals.storage_of(study), study.trials[asked.number]
    assert storage.get_trial(internals.trial_id(asked)) == storage.get_trial(internals.trial_id(frozen)) == frozen


def test_a_trial_gets_another_number_and_id():
    """Its copy alone has them."""
    study = told(1)
    trial = study.trials[0]
    renumbered = internals.renumber_trial(trial, 5, 8)
    assert (renumbered.number, internals.trial_id(renumbered)) == (5, 8)
    assert (trial.number, internals.trial_id(trial)) == (0, 0)
    assert renumbered.params == trial.params


def test_the_record_of_a_trial_is_the_trial(study):
    """It is what the study says of that number."""
    assert [internals.trial_record(study, n) for n in range(4)] == study.trials


def test_the_record_of_a_trial_in_memory_can_be_changed():
    """The study shows the change, also of a trial that was told."""
    study = told()
    internals.trial_record(study, 2).user_attrs = {"a": 1}
    assert study.trials[2].user_attrs == {"a": 1}


def test_a_running_trial_is_gone_on_with(study):
    """It keeps its parameters, and suggests others."""
    asked = study.ask({"x": X})
    trial = internals.running_trial(study, asked.number)
    trial.suggest_float("y", 0, 1)
    assert trial.params.keys() == study.trials[asked.number].params.keys() == {"x", "y"}
    study.tell(trial, 1.0)


def test_a_new_trial_leaves_the_queue(study):
    """``ask`` would take the enqueued one."""
    study.enqueue_trial({"x": 0.5})
    assert internals.create_running_trial(study).number == 5
    assert [trial.state.name for trial in study.trials[4:]] == ["WAITING", "RUNNING"]
    assert study.ask({"x": X}).params == {"x": 0.5}


def test_the_attributes_of_a_study(study):
    """User attributes are those of the public property, and the names of the values are a system attribute."""
    study.set_user_attr("a", [1])
    study.set_metric_names(["loss"])
    user, system = internals.study_attributes(study)
    assert user == study.user_attrs == {"a": [1]}
    assert system == internals.system_attributes(study) == {"study:metric_names": ["loss"]}
    internals.set_system_attribute(study, "study:metric_names", ["error"])
    assert study.metric_names == ["error"]


def test_the_attributes_of_a_study_in_memory_are_its_own():
    """They can be changed in place, and replaced."""
    study = told()
    study.set_user_attr("a", 1)
    internals.study_attributes(study)[0].clear()
    assert study.user_attrs == {}
    internals.replace_study_attributes(study, {"b": 2}, {"study:metric_names": ["loss"]})
    assert study.user_attrs == {"b": 2}
    assert study.metric_names == ["loss"]


def test_what_a_running_trial_is_given(study):
    """System attributes and intermediate values."""
    trial = study.ask()
    internals.set_trial_system_attribute(study, trial, "own", 1)
    internals.set_intermediate_value(study, trial, 3, 0.5)
    assert study.trials[-1].system_attrs == {"own": 1}
    assert study.trials[-1].intermediate_values == {3: 0.5}


def test_a_study_of_several_directions_takes_intermediate_values():
    """``Trial.report`` refuses them."""
    study = told(directions=["minimize", "maximize"])
    trial = study.ask()
    internals.set_intermediate_value(study, trial, 0, 0.5)
    assert study.trials[-1].intermediate_values == {0: 0.5}


def test_a_copy_of_a_study_has_its_directions_and_attributes(study):
    """Not its trials."""
    study.set_user_attr("a", 1)
    study.set_metric_names(["loss"])
    storage = optuna.storages.InMemoryStorage()
    internals.copy_study(study, storage, "copy")
    copied = optuna.load_study(study_name="copy", storage=storage)
    assert (copied.directions, copied.user_attrs, copied.metric_names) == (study.directions, {"a": 1}, ["loss"])
    assert not copied.trials


@pytest.mark.parametrize("directions", [["minimize"], ["maximize"], ["minimize", "maximize"]])
@pytest.mark.parametrize("n_trials", [0, 4])
def test_a_storage_in_memory_is_as_optuna_makes_it(directions, n_trials):
    """Attribute by attribute, but for its lock and a cache, and the study goes on in it as in the original."""
    original = told(n_trials, directions)
    inside = internals.storage_of(original)
    storage = internals.in_memory_storage(
        original.study_name, original.directions, 0, original.trials, internals.declared_distributions(original)
    )
    assert vars(storage).keys() == vars(inside).keys()
    for name in vars(inside).keys() - {"_lock", "_studies", "_prev_waiting_trial_number"}:
        assert vars(storage)[name] == vars(inside)[name]
    assert storage._prev_waiting_trial_number.keys() == inside._prev_waiting_trial_number.keys()
    assert vars(storage._studies[0]) == vars(inside._studies[0])
    study = optuna.load_study(study_name=original.study_name, storage=storage)
    assert study.best_trials == original.best_trials
    assert study.ask({"x": X}).number == original.ask({"x": X}).number == n_trials


def test_ids_of_a_storage_in_memory_are_kept():
    """The next trial gets the next one."""
    trials = [internals.renumber_trial(trial, trial.number, trial.number + 7) for trial in told().trials]
    storage = internals.in_memory_storage("s", [StudyDirection.MINIMIZE], 3, trials, {"x": X})
    study = optuna.load_study(study_name="s", storage=storage)
    assert internals.study_id(study) == 3
    assert [*map(internals.trial_id, [*study.trials, study.ask()])] == [7, 8, 9, 10, 11]
    assert study.best_trial.number == 3


def test_declared_distributions_are_those_that_a_trial_must_be_compatible_with(study):
    """Another kind of the same name is refused."""
    assert internals.declared_distributions(study) == {"x": X}
    with pytest.raises(ValueError, match="different distribution kind"):
        study.ask({"x": IntDistribution(0, 1)})


def test_declared_distributions_in_memory_are_the_storages_own():
    """A parameter taken out of them may be suggested with another kind."""
    study = told()
    del internals.declared_distributions(study)["x"]
    study.ask({"x": CategoricalDistribution(["a"])})
    assert internals.declared_distributions(study) == {"x": CategoricalDistribution(["a"])}


def test_the_best_trial_follows_a_failure():
    """The second best one is the best."""
    study = told()
    internals.turn_into_failure(study, internals.trial_record(study, 3))
    assert (study.trials[3].state, study.best_trial.number) == (TrialState.FAIL, 2)
    for number in range(3):
        internals.turn_into_failure(study, internals.trial_record(study, number))
    with pytest.raises(ValueError, match="No trials are completed yet"):
        _ = study.best_trial


@pytest.mark.parametrize(
    ("sampler", "size"),
    [
        (lambda: optuna.samplers.NSGAIISampler(population_size=20), 20),
        (lambda: optuna.samplers.NSGAIIISampler(population_size=30), 30),
        (lambda: optuna.samplers.CmaEsSampler(popsize=11), 11),
        (lambda: optuna.samplers.CmaEsSampler(), 8),
        (lambda: optuna.samplers.TPESampler(), None),
    ],
)
def test_the_population_of_a_sampler(sampler, size):
    """As it was given, or CMA-ES's default for four dimensions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert internals.population_size(sampler(), 4) == size


def test_the_default_population_of_cma_es_is_that_of_its_package():
    """For each number of dimensions."""
    cmaes = pytest.importorskip("cmaes")
    numpy = pytest.importorskip("numpy")
    for dimensions in range(2, 30):
        own = cmaes.CMA(mean=numpy.zeros(dimensions), sigma=1.0).population_size
        assert internals.population_size(optuna.samplers.CmaEsSampler(), dimensions) == own
    assert internals.population_size(optuna.samplers.CmaEsSampler()) is None


def test_a_grid_is_exhausted_once_each_point_is_asked():
    """The public ``is_exhausted`` says so when they are told; a grid of other points does not count."""
    grid = {"x": [0.0, 0.5]}
    sampler = optuna.samplers.GridSampler(grid, seed=1)
    study = optuna.create_study()
    study.sampler, study.stop = optuna.samplers.GridSampler({"x": [0.25, 0.75]}, seed=1), lambda: None
    for _ in range(2):
        study.tell(study.ask({"x": X}), 1.0)
    study.sampler, study.stop = sampler, lambda: None
    found = []
    for _ in range(3):
        found.append(internals.is_grid_exhausted(sampler, study.trials))
        study.ask({"x": X})
    assert found == [False, False, True]
    for number in range(2, 4):
        study.tell(number, 1.0)
    assert sampler.is_exhausted(study)


def test_an_enqueued_point_is_known(study):
    """Once it is asked too."""
    study.enqueue_trial({"x": 0.5})
    waiting = study.trials[-1]
    study.ask()
    assert [*map(internals.enqueued_params, [study.trials[0], waiting, study.trials[-1]])] == [
        None,
        {"x": 0.5},
        {"x": 0.5},
    ]


def test_constraints_of_a_trial():
    """The best trial of the study is the first one that violates none of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(constraints_func=lambda trial: (trial.number - 1.0, -2.0))
    study = told(3, sampler=sampler)
    found = [sorted(internals.constraint_values(trial)) for trial in study.trials]
    assert found == [[-2.0, -1.0], [-2.0, 0.0], [-2.0, 1.0]]
    assert study.best_trial.number == 1


def test_unknown_constraints_are_none():
    """As Optuna stores them where the function raises, and a trial without any."""
    assert internals.constraint_values(create_trial(value=1.0)) == []
    assert internals.constraint_values(create_trial(value=1.0, system_attrs={"constraints": None})) == [0]


def private_names():
    """Private attributes and methods of all classes of Optuna."""
    found = set()
    for path in Path(optuna.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                found.add(node.attr)
            elif isinstance(node, ast.ClassDef):
                found |= {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    return {name for name in found if re.match("_[a-z]", name)} - OTHERS


def uses(module, private):
    """Private names of Optuna that a module uses: by a dot, in a string as for ``getattr``, or by an import."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in private:
            # A class of the package may have a name of its own.
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.Constant) and node.value in private:
            yield node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "optuna":
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (name for name in names if name.startswith("_"))


def test_one_module_uses_private_names_of_optuna():
    """No other is mended when Optuna changes."""
    private = private_names()
    assert {"_storage", "_study_id", "_trial_id", "_studies", "_all_grids", "_popsize"} <= private
    found = {path.relative_to(PACKAGE).as_posix(): {*uses(path, private)} for path in PACKAGE.rglob("*.py")}
    assert [path for path in found if found[path]] == ["internals/optuna_internals.py"]


KINDS = [{}, {"use_separable_cma": True}, {"with_margin": True}]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_attributes_that_hold_a_pickle_are_known(kind):
    """Those from which CMA-ES restores its state; the others are numbers and lists."""
    study = optuna.create_study(sampler=optuna.samplers.CmaEsSampler(seed=1, n_startup_trials=1, **kind))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1), n_trials=30)
    attributes = {name: value for trial in study.trials for name, value in trial.system_attrs.items()}
    assert any(map(internals.holds_pickle, attributes))
    assert not any(isinstance(v, str) for name, v in attributes.items() if not internals.holds_pickle(name))


def test_no_other_module_of_optuna_unpickles():
    """Beside the sampler, the journal does, of snapshots, which no backend for files or buckets has."""
    root = Path(optuna.__file__).parent
    sources = {str(path.relative_to(root)): path.read_text("utf-8") for path in root.rglob("*.py")}
    found = {name for name, text in sources.items() if re.search(r"pickle\.loads?\(", text)}
    own_tests = {name for name in found if name.startswith("testing/")}
    assert found - own_tests == {"samplers/_cmaes.py", "storages/journal/_storage.py"}
    assert not hasattr(JournalObjectBackend, "load_snapshot")
