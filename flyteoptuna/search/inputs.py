"""The inputs of a trial's objective: made of the space, or by the user's callback; and what of them a batch shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from flyteoptuna.core import report, space
from flyteoptuna.core.annotations import fitted
from flyteoptuna.core.recording import InputsNotMade
from flyteoptuna.core.suggestions import Suggestion
from flyteoptuna.flyte.callback import ObjectiveCall, objective_call
from flyteoptuna.flyte.objective import check_objective, completed, input_types
from flyteoptuna.flyte.references import Reference, offloaded, refer

Build = Callable[[Any], ObjectiveCall]
"""Makes the call of the objective for a trial, by suggesting."""


class Job(NamedTuple):
    """A trial to run.

    Attributes:
        handle: what is told of the trial where it runs.
        inputs: the inputs that are its own.
        size: bytes of both, inline.
    """

    handle: dict[str, Any]
    inputs: dict[str, Reference]
    size: int


class Batch(NamedTuple):
    """What a generation is to run.

    Attributes:
        objective: the task to map; None where there is no job.
        fixed: the inputs that all jobs share.
        jobs: the trials to run, in their order.
    """

    objective: Any
    fixed: dict[str, Reference]
    jobs: list[Job]


def builder(origin: Any, text: str, fixed: Mapping[str, Reference]) -> Build:
    """What makes the inputs of each trial.

    Args:
        origin: the objective, or a callback that calls one.
        text: the space as JSON; empty where a callback makes the inputs.
        fixed: the inputs that are the same for every trial.
    """
    return _from_space(origin, text, fixed) if text else _from_callback(origin, fixed)


def _from_space(origin: Any, text: str, fixed: Mapping[str, Reference]) -> Build:
    from flyteoptuna.study import ask

    inputs, types = space.loads(text), origin.python_interface.inputs

    def build(trial: Any) -> ObjectiveCall:
        def draw(name: str, suggestion: Suggestion) -> Any:
            return ask.draw(trial, name, suggestion)

        drawn = {name: fitted(space.materialise(value, name, draw), types[name]) for name, value in inputs.items()}
        return ObjectiveCall(origin, {**drawn, **fixed})

    return build


def _from_callback(callback: Callable[..., Any], fixed: Mapping[str, Reference]) -> Build:
    """The callback gets plain values. One that lives in files, and that it hands on as it is, goes by reference."""
    types = input_types(callback)
    kept = {name: ref.read(types[name]) for name, ref in fixed.items() if offloaded(ref.literal)}
    origins = {id(value): fixed[name] for name, value in kept.items()}

    def call(trial: Any) -> ObjectiveCall:
        # What is inline is read anew, for a callback may change a dictionary that it is given.
        plain = {name: kept[name] if name in kept else ref.read(types[name]) for name, ref in fixed.items()}
        made = objective_call(callback, trial, plain)
        objective = check_objective(made.objective)
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


def batch_of(study: Any, asked: Sequence[Any]) -> Batch:
    """The batch of the trials that were asked and have inputs. Notes the key of each on its trial.

    Args:
        study: the study.
        asked: what asking each trial gave.

    Raises:
        TypeError: a callback called different objectives.
    """
    from optuna.pruners import NopPruner

    from flyteoptuna.study.marks import note_key

    asked = [each for each in asked if each.inputs is not None]
    if not asked:
        return Batch(None, {}, [])
    objective, first = asked[0].inputs.objective, asked[0].inputs.inputs
    for other in asked:
        if other.inputs.objective is not objective:
            raise TypeError(
                f"A callback must call the same objective in all trials of a batch, but it called {objective.name} "
                f"for trial {asked[0].number} and {other.inputs.objective.name} for trial {other.number}."
            )
    fixed = {
        name: value
        for name, value in first.items()
        if isinstance(value, Reference) and all(a.inputs.inputs[name] is value for a in asked)
    }
    natives, room, prunes = (
        objective.python_interface.inputs,
        report.room(len(asked)),
        type(study.pruner) is not NopPruner,
    )
    jobs = []
    for number, params, call in asked:
        inputs = {name: refer(call.inputs[name], natives[name]) for name in natives if name not in fixed}
        data = b"\0".join([name.encode() + b"\0" + value.serialised() for name, value in inputs.items()])
        key = hashlib.sha256(data).hexdigest()[:12]
        note_key(study, number, key)
        handle = {"number": number, "key": key, "params": params, "room": room, "prunes": prunes}
        jobs.append(Job(handle, inputs, len(data) + len(msgpack.dumps(handle))))
    return Batch(objective, fixed, jobs)
