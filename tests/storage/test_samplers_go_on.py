"""A study that was saved and loaded suggests what the original would have suggested."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from study_files import fresh

from flyteoptuna import BatchSampler
from flyteoptuna.storage.file_format import dump_study, restore_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]
GRID = {"x": [0.0, 0.25, 0.5, 1.0], "i": [0, 2, 4], "c": ["a", "b"]}
SAMPLERS = {
    "random": lambda: optuna.samplers.RandomSampler(seed=1),
    "tpe": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4),
    "tpe-univariate": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=False),
    "tpe-multivariate": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=True),
    "tpe-liar": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, constant_liar=True),
    "tpe-group": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=True, group=True),
    "batch": lambda: BatchSampler(seed=1),
    "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=1, n_startup_trials=3, popsize=4),
    "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=1, population_size=4, constraints_func=lambda t: (t.number,)),
    "nsga3": lambda: optuna.samplers.NSGAIIISampler(seed=1, population_size=4),
    "qmc": lambda: optuna.samplers.QMCSampler(seed=1, scramble=True),
    "grid": lambda: optuna.samplers.GridSampler(GRID, seed=1),
    "brute": lambda: optuna.samplers.BruteForceSampler(seed=1),
}


def ask_batch(study):
    trials = [study.ask() for _ in range(4)]
    for trial in trials:
        trial.suggest_float("x", 0, 1, step=0.25)
        trial.suggest_int("i", 0, 4, step=2)
        trial.suggest_categorical("c", ["a", "b"])


def tell_batch(study):
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        score = trial.params["x"] + trial.params["i"] * (trial.params["c"] == "a")
        study.tell(
            trial.number, None if trial.number % 5 == 4 else score, state=TrialState(1 + 2 * (trial.number % 5 > 3))
        )


def search(study, between):
    for _ in range(5):
        study = between(study)
        ask_batch(study)
        study = between(study)
        tell_batch(study)
    return [(t.params, t.values, t.state) for t in study.trials]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_restored_study_suggests_what_the_original_would(name):
    """With a save and a load around every step, parameters, values and states equal those of one process."""
    expected = search(fresh(SAMPLERS[name]()), lambda study: study)
    assert search(fresh(SAMPLERS[name]()), lambda study: restore_study(dump_study(study))) == expected
    assert len({repr(params) for params, _, _ in expected}) > 5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsga2"])
def test_a_study_of_a_database_goes_on_in_memory(name, tmp_path):
    """A study of another id, whose trials' ids are not their numbers, goes on as it would in its database."""

    def database(path):
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / path}")
        other = optuna.create_study(storage=storage, study_name="other")
        other.add_trials([create_trial(value=1.0)] * 3)
        study = fresh(SAMPLERS[name](), storage)
        for _ in range(3):
            ask_batch(study)
            tell_batch(study)
        return study

    study, restored = database("a.db"), restore_study(dump_study(database("b.db")))
    assert restored._study_id == study._study_id == 2
    assert [t._trial_id for t in restored.trials] == [t._trial_id for t in study.trials] != list(range(12))
    expected = search(study, lambda study: study)
    assert search(restored, lambda study: restore_study(dump_study(study))) == expected
