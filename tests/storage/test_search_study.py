"""A study in memory: as optuna's own storage would have made it."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from flyteoptuna.flyte.types.study_attributes import COUNTS
from flyteoptuna.storage.file_format import dump_study, read_study, restore_study
from flyteoptuna.storage.search_study import new_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]


def test_the_best_trial_is_found_again():
    """The storage's own note of the best trial is restored, for each direction, and is absent where none completed."""
    for direction, best in ((StudyDirection.MINIMIZE, 1), (StudyDirection.MAXIMIZE, 2)):
        study = new_study([direction], optuna.samplers.RandomSampler(seed=1), optuna.pruners.NopPruner())
        with pytest.raises(ValueError, match="No trials are completed"):
            _ = read_study(dump_study(study)).best_value
        for value in (1.0, 0.0, 2.0, None):
            study.tell(study.ask(), value, state=TrialState.FAIL if value is None else None)
        assert read_study(dump_study(study)).best_trial.number == best


def test_the_storage_is_what_its_public_methods_would_have_made():
    """All of a storage equals one built trial by trial, but for its lock and a mark that speeds up a search."""
    built = optuna.create_study(study_name="s", direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for value in (1.0, 3.0, 3.0, None, 2.0):
        trial = built.ask()
        trial.suggest_float("x", 0, 1)
        built.tell(trial, value, state=TrialState.FAIL if value is None else None)
    built.set_user_attr("a", 1)
    restored = restore_study(dump_study(built))._storage
    ours, theirs = (
        {k: v for k, v in vars(s).items() if k not in ("_lock", "_prev_waiting_trial_number")}
        for s in (restored, built._storage)
    )
    study, their_study = ours.pop("_studies")[0], theirs.pop("_studies")[0]
    assert ours == theirs
    assert vars(study) == vars(their_study)


def test_a_restored_study_checks_new_distributions_as_the_original():
    """A parameter whose choices change is refused as before, and one that was only added is not."""
    study = optuna.create_study()
    study.ask().suggest_categorical("suggested", ["a", "b"])
    study.add_trial(create_trial(value=1.0, params={"added": 1}, distributions={"added": CategoricalDistribution([1])}))
    restored = restore_study(dump_study(study))
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        restored.ask().suggest_categorical("suggested", ["a", "c"])
    assert restored.ask().suggest_categorical("added", [2]) == 2


def test_waiting_and_running_trials_keep_their_numbers():
    """Trials that were enqueued are asked after loading, and those that run are told by number."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.ask()
    study.enqueue_trial({"x": 0.25})
    restored = restore_study(dump_study(study))
    asked = restored.ask({"x": FloatDistribution(0, 1)})
    assert (asked.number, asked.params) == (1, {"x": 0.25})
    restored = restore_study(dump_study(restored))
    restored.tell(1, 1.0)
    restored.tell(0, 0.5)
    assert restored.best_trial.number == 0
    assert restored.ask().number == 2


def test_a_study_has_the_counts_that_its_promise_has():
    """So that a line of a workflow means the same elsewhere."""
    study = new_study([StudyDirection.MINIMIZE], optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
    states = {"RUNNING": 1, "COMPLETE": 2, "PRUNED": 3, "FAIL": 4, "WAITING": 5}
    for name, count in states.items():
        for _ in range(count):
            study.add_trial(create_trial(state=TrialState[name], value=1.0 if name == "COMPLETE" else None))
    found = [getattr(study, name) for name in COUNTS]
    assert (
        "n_trials",
        *(f"n_{name.lower()}" for name in ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")),
    ) == COUNTS
    assert found == [15, 1, 2, 3, 4, 5]
