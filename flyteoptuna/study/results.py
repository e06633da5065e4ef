"""Results of trials for pages and commands: feasibility, duration, best trial, outputs, reasons of failures."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.internals.optuna_internals import constraint_values
from flyteoptuna.trial.marks import OUTPUTS_ATTRIBUTE, UNTRUSTED_ATTRIBUTE
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TRUNCATED_ATTRIBUTE
from flyteoptuna.values.did_you_mean import value_and_type
from flyteoptuna.values.text import safe_repr

# Floats, which are a trial's own, numbers of generations, and other numbers.
_NUMBERS = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[+-]?\d+)?|\b(generation )\d+|\b\d+\b")


def find_trial(study: Any, number: Any, in_a_workflow: str) -> FrozenTrial:
    """The trial of a study with a number, which are arguments of a public function.

    ``in_a_workflow`` says what to use in a workflow, where a study is a promise.

    Raises:
        TypeError: an argument is of another type.
        LookupError: there is no such trial.
    """
    if not isinstance(study, optuna.Study):
        # By name, because this layer does not import flytekit.
        hint = f" {in_a_workflow}" if type(study).__name__.endswith("Promise") else ""
        raise TypeError(f"`study` must be an optuna.Study, but got {value_and_type(study)}.{hint}")
    if type(number) is not int:
        hint = " Pass its `number`." if isinstance(number, FrozenTrial) else ""
        raise TypeError(f"`number` must be the number of a trial, but got {value_and_type(number)}.{hint}")
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        has = f"its trials are 0 to {len(trials) - 1}" if trials else "it has none yet"
        raise LookupError(f"Study {study.study_name!r} has no trial {safe_repr(number)}: {has}.")
    return trials[number]


def is_feasible(trial: FrozenTrial) -> bool:
    """Test whether a trial satisfies its constraints, or has none."""
    return all(value <= 0 for value in constraint_values(trial))


def trial_duration(trial: FrozenTrial) -> timedelta | None:
    """Duration of a trial; None if it is not known."""
    try:
        return trial.duration
    except TypeError:
        # One of the two times has a time zone, and the other has none.
        return None


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Best trial of a study with one direction; None without a feasible complete trial."""
    try:
        return study.best_trial
    except ValueError:
        return None


def value_names(study: optuna.Study) -> list[str]:
    """Names of a trial's values: the study's metric names, or ``value``, ``value 0``, ``value 1``, ..."""
    count = len(study.directions)
    return list(study.metric_names or (["value"] if count == 1 else [f"value {i}" for i in range(count)]))


def stored_outputs(trial: FrozenTrial) -> dict[str, bytes]:
    """Stored outputs of a trial, trusted or not: serialised Flyte literals, by output name."""
    return {**untrusted_outputs(trial), **_decode_outputs(trial.system_attrs.get(OUTPUTS_ATTRIBUTE))}


def untrusted_outputs(trial: FrozenTrial) -> dict[str, bytes]:
    """Stored outputs that are set aside, because they come from a source that is not trusted."""
    aside = trial.system_attrs.get(UNTRUSTED_ATTRIBUTE)
    found = _decode_outputs(aside.get(OUTPUTS_ATTRIBUTE)) if isinstance(aside, dict) else {}
    # A trial that was enqueued there, and has run here, has outputs of its own.
    own = _decode_outputs(trial.system_attrs.get(OUTPUTS_ATTRIBUTE))
    return {name: data for name, data in found.items() if name not in own}


def _decode_outputs(stored: Any) -> dict[str, bytes]:
    try:
        return {str(name): base64.b64decode(data, validate=True) for name, data in stored.items()} if stored else {}
    except (AttributeError, TypeError, ValueError):
        # A database may hold anything.
        return {}


def truncation_note(trial: FrozenTrial) -> str:
    """Parts of a trial that exceeded the limit of its report, in words; empty for none."""
    return str(trial.user_attrs.get(TRUNCATED_ATTRIBUTE, ""))


def group_failures(failed: Iterable[FrozenTrial], most: int | None = None) -> list[tuple[str, list[int]]]:
    """Group failed trials by the first line of their reason, as ``failure_key`` compares them.

    At most ``most`` characters of a reason are read; None for all.

    Returns:
        The first lines, each with the numbers of its trials, in the order of the trials.
    """
    groups: dict[str, tuple[str, list[int]]] = {}
    for trial in failed:
        reason = failure_reason(trial)[:most].partition("\n")[0]
        groups.setdefault(failure_key(reason, trial.number), (reason, []))[1].append(trial.number)
    return list(groups.values())


def failure_reason(trial: FrozenTrial) -> str:
    """Reason why a trial failed, with its traceback if there is one."""
    return str(trial.user_attrs.get(ERROR_ATTRIBUTE) or "no reason is known").strip()


def failure_key(reason: str, number: int) -> str:
    """The first line of a reason without floats and the numbers of the trial and its generation.

    Trials fail for one reason if this is equal.
    """
    own = str(number)
    # One pattern for all trials: compiling one for each of a million trials takes minutes.
    return _NUMBERS.sub(lambda match: "#" if match[0] == own or match[1] or "." in match[0] else match[0], reason)
