"""Optuna's private state behind functions: storages, ids, stored records, sampler populations and grids.

No other module uses a private name of Optuna. Neither 4.4 nor 5.0 has a public name for any of these.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.storages._in_memory import _StudyInfo
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def storage_of(study: optuna.Study) -> BaseStorage:
    """The storage of a study."""
    return study._storage


def study_id(study: optuna.Study) -> int:
    """The id of a study in its storage."""
    return study._study_id


def trial_id(trial: FrozenTrial | optuna.Trial) -> int:
    """The id of a trial in its storage."""
    return trial._trial_id


def renumber_trial(trial: FrozenTrial, number: int, trial_id: int) -> FrozenTrial:
    """A shallow copy of a trial with another number and id."""
    renumbered = copy.copy(trial)
    renumbered.number, renumbered._trial_id = number, trial_id
    return renumbered


def trial_record(study: optuna.Study, number: int) -> FrozenTrial:
    """The storage's record of a trial; in memory it can be modified, even after the trial has finished."""
    storage = study._storage
    return storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study._study_id, number))


def running_trial(study: optuna.Study, number: int) -> optuna.Trial:
    """A new ``optuna.Trial`` of a running trial; it samples its relative parameters anew."""
    return optuna.Trial(study, trial_record(study, number)._trial_id)


def create_running_trial(study: optuna.Study) -> optuna.Trial:
    """Create a new running trial, and leave enqueued trials in the queue."""
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id))


def study_attributes(study: optuna.Study) -> tuple[dict[str, Any], dict[str, Any]]:
    """User and system attributes of a study; of a study in memory, the storage's own dictionaries."""
    storage = study._storage
    return storage.get_study_user_attrs(study._study_id), storage.get_study_system_attrs(study._study_id)


def replace_study_attributes(study: optuna.Study, user: dict[str, Any], system: dict[str, Any]) -> None:
    """Give a study in memory these user and system attributes and no others; the storage keeps the dictionaries."""
    info = _study_info(study)
    info.user_attrs, info.system_attrs = user, system


def system_attributes(study: optuna.Study) -> Mapping[str, Any]:
    """System attributes of a study."""
    return study._storage.get_study_system_attrs(study._study_id)


def set_system_attribute(study: optuna.Study, name: str, value: Any) -> None:
    """Set a system attribute of a study."""
    study._storage.set_study_system_attr(study._study_id, name, value)


def set_trial_system_attribute(study: optuna.Study, trial: FrozenTrial | optuna.Trial, name: str, value: Any) -> None:
    """Set a system attribute of an unfinished trial."""
    study._storage.set_trial_system_attr(trial._trial_id, name, value)


def set_intermediate_value(study: optuna.Study, trial: FrozenTrial | optuna.Trial, step: int, value: float) -> None:
    """Set an intermediate value of an unfinished trial, in a study of any number of directions."""
    study._storage.set_trial_intermediate_value(trial._trial_id, step, value)


def copy_study(study: optuna.Study, storage: BaseStorage, name: str) -> int:
    """Copy a study, without its trials, into a storage; the id of the copy."""
    copied = storage.create_new_study(study.directions, name)
    user, system = study_attributes(study)
    for key, value in user.items():
        storage.set_study_user_attr(copied, key, value)
    for key, value in system.items():
        storage.set_study_system_attr(copied, key, value)
    return copied


def in_memory_storage(
    name: str,
    directions: Sequence[StudyDirection],
    study_id: int,
    trials: Sequence[FrozenTrial],
    declared: dict[str, BaseDistribution],
) -> InMemoryStorage:
    """An in-memory storage with one study that keeps its ids.

    Args:
        name: the study's name.
        directions: its directions.
        study_id: its id.
        trials: its trials, in the order of their numbers; the storage keeps these objects.
        declared: the distributions that new trials must be compatible with, by parameter.
    """
    # The storage's public methods copy each trial deeply (0.7 s for 10,000 trials), write to the log, and give new ids,
    # but samplers remember ids: NSGA-II those of a population's trials, others that of their study.
    storage = InMemoryStorage()
    info = _StudyInfo(name, list(directions))
    storage._studies[study_id] = info
    storage._study_name_to_id[name] = study_id
    storage._prev_waiting_trial_number[study_id] = 0
    storage._max_study_id = study_id
    ids = [trial._trial_id for trial in trials]
    storage._max_trial_id = max(ids, default=-1)
    # By position, which equals the number and is cheaper to read.
    storage._trial_id_to_study_id_and_number = {each: (study_id, number) for number, each in enumerate(ids)}
    info.trials = list(trials)
    info.param_distribution = declared
    if complete := [trial for trial in trials if trial.state == TrialState.COMPLETE]:
        # The storage caches the best trial of one objective, the first of equal ones, and the first trial of several.
        choose = min if directions[0] == StudyDirection.MINIMIZE else max
        best = complete[0] if len(directions) > 1 else choose(complete, key=lambda trial: trial.values[0])
        storage._update_cache(best._trial_id, study_id)
    return storage


def declared_distributions(study: optuna.Study) -> dict[str, BaseDistribution]:
    """Distributions that new trials of a study must be compatible with, by parameter.

    In memory these are the distributions that were suggested, in the storage's own dictionary. Any other storage
    compares with the distributions of all trials.
    """
    if isinstance(study._storage, InMemoryStorage):
        return _study_info(study).param_distribution
    return {name: d for trial in study.get_trials(deepcopy=False) for name, d in trial.distributions.items()}


def turn_into_failure(study: optuna.Study, trial: FrozenTrial) -> None:
    """Make a finished trial of a study in memory a failed one, and update the storage's cached best trial."""
    storage: Any = study._storage
    trial.state, trial.values = TrialState.FAIL, None
    info = _study_info(study)
    info.best_trial_id = None
    for other in info.trials:
        storage._update_cache(other._trial_id, study._study_id)


def _study_info(study: optuna.Study) -> _StudyInfo:
    storage: Any = study._storage
    info: _StudyInfo = storage._studies[study._study_id]
    return info


def population_size(sampler: BaseSampler, dimensions: int | None = None) -> int | None:
    """Population of a sampler, trials; None for a sampler without populations.

    Args:
        sampler: the sampler.
        dimensions: number of suggestions, from which CMA-ES computes its default as in "The CMA Evolution Strategy: A
            Tutorial" (Hansen, 2016); None if it is not known.
    """
    # CMA-ES has no public name, and before optuna 5 NSGA-III has none.
    names = ("population_size", "_population_size", "_popsize")
    size: int | None = next((found for name in names if (found := getattr(sampler, name, None))), None)
    if size is None and isinstance(sampler, CmaEsSampler) and dimensions:
        size = 4 + math.floor(3 * math.log(dimensions))
    return size


def is_grid_exhausted(sampler: GridSampler, trials: Sequence[FrozenTrial]) -> bool:
    """Test whether each point of a grid has been asked. The public ``is_exhausted`` counts running points as open."""
    attributes = [trial.system_attrs for trial in trials if "grid_id" in trial.system_attrs]
    asked = {a["grid_id"] for a in attributes if sampler._same_search_space(a["search_space"])}
    return len(asked) >= len(sampler._all_grids)


def enqueued_params(trial: FrozenTrial) -> dict[str, Any] | None:
    """Parameters of a trial that were fixed by ``enqueue_trial``; None if it was not enqueued."""
    return trial.system_attrs.get("fixed_params")


def holds_pickle(attribute: str) -> bool:
    """Test whether a system attribute of a trial holds a pickle, which ``CmaEsSampler`` loads to go on with a study."""
    return attribute.startswith(("cma:optimizer", "sepcma:optimizer", "cmawm:optimizer"))


def constraint_values(trial: FrozenTrial) -> list[float]:
    """Constraint values of a trial; a value above 0 is a violation. Unknown values count as 0."""
    attributes = trial.system_attrs
    # Optuna 4 stores a sequence, and 5 an attribute for each constraint.
    stored = [attributes[key] for key in attributes if key == "constraints" or key.startswith("constraints:")]
    return [v for value in stored for v in (value if isinstance(value, (list, tuple)) else [value or 0])]
