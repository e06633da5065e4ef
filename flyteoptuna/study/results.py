"""What trials say of themselves, for those who show them: whether they are feasible, and why they failed."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import timedelta

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.core.trial.report import CUT_ATTRIBUTE, ERROR_ATTRIBUTE
from flyteoptuna.study.system_attrs import OUTPUTS_ATTRIBUTE

_NUMBERS = re.compile(r"\b(generation )\d+|\b\d+\b")


def feasible(trial: FrozenTrial) -> bool:
    """Whether a trial satisfies its constraints, or has none."""
    # Private to optuna, and of two formats: a tuple, and from 5.0 on an attribute for each constraint.
    attrs = trial.system_attrs
    found = [attrs[key] for key in attrs if key == "constraints" or key.startswith("constraints:")]
    return all(v <= 0 for value in found for v in (value if isinstance(value, (list, tuple)) else [value or 0]))


def took(trial: FrozenTrial) -> timedelta | None:
    """How long a trial took; None where that is not known."""
    try:
        return trial.duration
    except TypeError:
        # Of its two times, one has a time zone.
        return None


def best(study: optuna.Study) -> FrozenTrial | None:
    """The best trial of a study of one objective; None where no trial is complete, or none is feasible."""
    try:
        return study.best_trial
    except ValueError:
        return None


def value_names(study: optuna.Study) -> list[str]:
    """The names of the values of a trial, as the user gave them, or in their order."""
    count = len(study.directions)
    return list(study.metric_names or (["value"] if count == 1 else [f"value {i}" for i in range(count)]))


def outputs(trial: FrozenTrial) -> dict[str, bytes]:
    """What the objective of a trial returned beside its values, as Flyte's literals, by the names of its outputs."""
    noted = trial.system_attrs.get(OUTPUTS_ATTRIBUTE)
    try:
        return {str(name): base64.b64decode(data, validate=True) for name, data in noted.items()} if noted else {}
    except (AttributeError, TypeError, ValueError):
        # A file from elsewhere may hold anything.
        return {}


def cut(trial: FrozenTrial) -> str:
    """What the report of a trial had no room for; empty where there was room for all."""
    return str(trial.user_attrs.get(CUT_ATTRIBUTE, ""))


def reasons(failed: Iterable[FrozenTrial], most: int | None = None) -> list[tuple[str, list[int]]]:
    """The first lines of why trials failed, each with the numbers of its trials, in the order in which they come.

    Reasons that differ only in the number of their own trial and generation are one.

    Args:
        failed: the trials.
        most: characters of a reason that are looked at; None for all.
    """
    groups: dict[str, tuple[str, list[int]]] = {}
    for trial in failed:
        reason = str(trial.user_attrs.get(ERROR_ATTRIBUTE) or "no reason is known").strip()[:most].partition("\n")[0]
        groups.setdefault(_anonymous(reason, str(trial.number)), (reason, []))[1].append(trial.number)
    return list(groups.values())


def _anonymous(reason: str, own: str) -> str:
    # One pattern for all, as making one for each of a million trials takes minutes.
    return _NUMBERS.sub(lambda found: "#" if found[0] == own or found[1] else found[0], reason)
