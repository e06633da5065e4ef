"""The inputs of a trial's objective: made of the space, or by the user's callback; and what of them a batch shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flyteoptuna.core import report, space
from flyteoptuna.core.annotations import fitted
from flyteoptuna.core.recording import InputsNotMade
from flyteoptuna.core.suggestions import Suggestion
from flyteoptuna.flyte.callback import ObjectiveCall, objective_call
from flyteoptuna.flyte.objective import completed, input_types
from flyteoptuna.flyte.references import Reference, offloaded, refer

Build = Callable[[Any], ObjectiveCall]
"""Makes the call of the objective for a trial, by suggesting."""


class Job(NamedTuple):
    """A trial to run: what is told of it where it runs, and the inputs that are its own."""

    handle: dict[str, Any]
    inputs: dict[str, Reference]


def builder(origin: Any, objective: Any, text: str, fixed: Mapping[str, Reference]) -> Build:
    """What makes the inputs of each trial.

    Args:
        origin: the objective, or a callback that calls it.
        objective: the objective.
        text: the space as JSON; empty where a callback makes the inputs.
        fixed: the inputs that are the same for every trial.
    """
    return _from_space(objective, text) if text else _from_callback(origin, objective, fixed)


def _from_space(objective: Any, text: str) -> Build:
    from flyteoptuna.study import ask

    inputs, types = space.loads(text), objective.python_interface.inputs

    def build(trial: Any) -> ObjectiveCall:
        def draw(name: str, suggestion: Suggestion) -> Any:
            return ask.draw(trial, name, suggestion)

        drawn = {name: fitted(space.materialise(value, name, draw), types[name]) for name, value in inputs.items()}
        return ObjectiveCall(objective, drawn)

    return build


def _from_callback(callback: Callable[..., Any], objective: Any, fixed: Mapping[str, Reference]) -> Build:
    """The callback gets plain values. One that lives in files, and that it hands on as it is, goes by reference."""
    types = input_types(callback)
    kept = {name: ref.read(types[name]) for name, ref in fixed.items() if offloaded(ref.literal)}
    origins = {id(value): fixed[name] for name, value in kept.items()}

    def call(trial: Any) -> ObjectiveCall:
        # What is inline is read anew, for a callback may change a dictionary that it is given.
        plain = {name: kept[name] if name in kept else ref.read(types[name]) for name, ref in fixed.items()}
        made = objective_call(callback, trial, plain)
        if made.objective is not objective:
            raise TypeError(
                f"A callback must call one task for all trials, {objective.name}, but {callback.__qualname__} called "
                f"{getattr(made.objective, 'name', made.objective)}."
            )
        given = {name: origins.get(id(value), value) for name, value in made.inputs.items()}
        natives = objective.python_interface.inputs
        inputs = completed(objective, objective.name, natives, given)
        # Converted here, so that an input of the wrong type is this trial's failure and no other's.
        return ObjectiveCall(
            objective, {name: refer(fitted(inputs[name], natives[name]), natives[name]) for name in natives}
        )

    def build(trial: Any) -> ObjectiveCall:
        try:
            return call(trial)
        except Exception as error:
            raise InputsNotMade from error

    return build


def jobs_of(study: Any, asked: Sequence[Any], mapped: Sequence[str]) -> list[Job]:
    """The trials to run, of those that were asked: the ones that have inputs. Notes the key of each on its trial.

    Args:
        study: the study.
        asked: what asking each trial gave.
        mapped: the inputs of the objective that differ from trial to trial.
    """
    from optuna.pruners import NopPruner

    from flyteoptuna.study.marks import note_key

    jobs = []
    for number, params, call in asked:
        if call is None:
            continue
        natives = call.objective.python_interface.inputs
        inputs = {name: refer(call.inputs[name], natives[name]) for name in mapped}
        data = b"\0".join([name.encode() + b"\0" + value.serialised() for name, value in inputs.items()])
        key = hashlib.sha256(data).hexdigest()[:12]
        note_key(study, number, key)
        told = {"room": report.room(len(asked)), "prunes": type(study.pruner) is not NopPruner}
        jobs.append(Job({"number": number, "key": key, "params": params, **told}, inputs))
    return jobs
