"""The file of a study: a zip of JSON, which holds every result, and of pickles beside it."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import cloudpickle
import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


FORMAT = 1
ERROR_ATTRIBUTE = "flyteoptuna:error"
"""The user attribute of a failed trial that holds the reason."""
MIN_TRIALS_TO_GIVE_UP = 10
"""A search whose first trials all failed ends once there are this many of them."""
_JSON, _PICKLE = "study.json", "sampler.pickle"


class StudyFormatError(ValueError):
    """A file that is not a study of a version this library can read."""


class SearchStudy(optuna.Study):
    """A study whose ``stop`` works outside ``optimize``, where optuna's own raises; grid samplers call it."""

    stopped = False
    callbacks = ()

    def stop(self) -> None:
        """Ask the search to end after the trials that have been asked."""
        self.stopped = True


def _study(name: str, directions: Sequence[StudyDirection], sampler: Any, pruner: Any) -> SearchStudy:
    storage = optuna.storages.InMemoryStorage()
    storage.create_new_study(directions, study_name=name)
    return SearchStudy(study_name=name, storage=storage, sampler=sampler, pruner=pruner)


def _to_json(study: optuna.Study) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "optuna": optuna.__version__,
        "name": study.study_name,
        "directions": [d.name for d in study.directions],
        "user_attrs": study.user_attrs,
        "system_attrs": study._storage.get_study_system_attrs(study._study_id),
        "trials": [_trial_to_json(t) for t in study.get_trials(deepcopy=False)],
    }


def _trial_to_json(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state.name,
        "values": trial.values,
        "params": {
            name: [distribution.to_internal_repr(trial.params[name]), distribution_to_json(distribution)]
            for name, distribution in trial.distributions.items()
        },
        "start": trial.datetime_start and trial.datetime_start.isoformat(),
        "complete": trial.datetime_complete and trial.datetime_complete.isoformat(),
        "intermediate": list(trial.intermediate_values.items()),
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
    }


def _trial_from_json(number: int, record: Mapping[str, Any]) -> FrozenTrial:
    distributions: dict[str, BaseDistribution] = {k: json_to_distribution(d) for k, (_, d) in record["params"].items()}
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState[record["state"]],
        value=None,
        values=record["values"],
        datetime_start=record["start"] and datetime.fromisoformat(record["start"]),
        datetime_complete=record["complete"] and datetime.fromisoformat(record["complete"]),
        params={k: distributions[k].to_external_repr(v) for k, (v, _) in record["params"].items()},
        distributions=distributions,
        intermediate_values={int(step): value for step, value in record["intermediate"]},
        user_attrs=record["user_attrs"],
        system_attrs=record["system_attrs"],
    )


def dumps(study: optuna.Study) -> bytes:
    """A study as the bytes of a zip: its results as JSON, and its sampler and pruner pickled beside them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_JSON, json.dumps(_to_json(study)))
        archive.writestr(_PICKLE, cloudpickle.dumps((study.sampler, study.pruner)))
    return buffer.getvalue()


def loads(data: bytes) -> SearchStudy:
    """The study that :func:`dumps` wrote. Unpickles its sampler, so only load what you trust.

    Under the optuna that wrote it, the study goes on to suggest exactly what the original would have. Under another
    one, the sampler is replaced by the default one, with a seed of its own, and a warning.

    Raises:
        StudyFormatError: the bytes are not a study, or one of a newer format.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            record = json.loads(archive.read(_JSON))
            pickled = archive.read(_PICKLE)
    except (zipfile.BadZipFile, KeyError, ValueError, zlib.error, EOFError) as error:
        raise StudyFormatError(f"Not a study file: {error} ({len(data)} bytes).") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else record
        raise StudyFormatError(f"A study file of format {found!r}; this version reads format {FORMAT}.")
    if record["optuna"] == optuna.__version__:
        sampler, pruner = cloudpickle.loads(pickled)
    else:
        warnings.warn(
            f"The study was saved by optuna {record['optuna']}, and this is {optuna.__version__}: its sampler "
            "cannot be restored. The search goes on with a TPESampler of a new seed.",
            stacklevel=2,
        )
        seed = zlib.crc32(pickled) ^ len(record["trials"])
        sampler, pruner = None, optuna.pruners.NopPruner()
    study = _study(record["name"], [StudyDirection[d] for d in record["directions"]], sampler, pruner)
    storage, study_id = study._storage, study._study_id
    for key, value in record["user_attrs"].items():
        storage.set_study_user_attr(study_id, key, value)
    for key, value in record["system_attrs"].items():
        storage.set_study_system_attr(study_id, key, value)
    for number, trial in enumerate(record["trials"]):
        storage.create_new_trial(study_id, template_trial=_trial_from_json(number, trial))
    return study


def save(study: optuna.Study, path: str | Path) -> None:
    """Write a study to a local file."""
    Path(path).write_bytes(dumps(study))


def load(path: str | Path) -> SearchStudy:
    """Read a study from a local file; see :func:`loads`."""
    return loads(Path(path).read_bytes())


def summary(study: optuna.Study) -> dict[str, Any]:
    """The attributes that a workflow can use without a pod. What there is no value of yet is None."""
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    single = len(study.directions) == 1
    best = study.best_trial if single and complete else None
    counts = {f"n_{state.name.lower()}": sum(t.state == state for t in trials) for state in TrialState}
    return {
        "best_value": best.value if best else None,
        "best_params": best.params if best else {},
        "best_trial": best.number if best else None,
        "best_trials": [t.number for t in study.best_trials] if complete else [],
        "n_trials": len(trials),
        **counts,
    }

def new_study(d,s,p,name="flyteoptuna"):
    return _study(name,d,s,p)
