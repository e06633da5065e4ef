"""The inputs of a trial's objective: made of the space, or by the user's callback; and what of them a batch shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flyteoptuna.core import space
from flyteoptuna.core.annotations import fitted
from flyteoptuna.core.plain_values import plain, shown
from flyteoptuna.core.suggestions import Suggestion
from flyteoptuna.core.trial import report
from flyteoptuna.core.trial.call_objective import raised
from flyteoptuna.flyte.objective import TRIAL, completed, input_types
from flyteoptuna.flyte.objective_callback import ObjectiveCall, objective_call
from flyteoptuna.flyte.references import Reference, offloaded, packed, refer, reference
from flyteoptuna.flyte.types.conversions import converted

Build = Callable[[Any], ObjectiveCall]
"""Makes the call of the objective for a trial, by suggesting."""


INLINE_LIMIT = 2 * 1024 * 1024
"""Most bytes that Flyte reads of the graph of a dynamic task, and of the inputs or outputs of any, by default."""
MAP_LIMIT = INLINE_LIMIT - INLINE_LIMIT // 8
"""Most bytes of the lists to map over: beside them, a map gets the study and the inputs that its trials share."""
FRAME = 8
"""Most bytes that a list adds to each of its items."""


class Job(NamedTuple):
    """A trial to run.

    Attributes:
        handle: what is told of it where it runs.
        inputs: the inputs that are its own, the handle among them.
        size: their bytes in the lists that are mapped over.
    """

    handle: dict[str, Any]
    inputs: dict[str, Reference]
    size: int


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

    def build(trial: Any) -> ObjectiveCall:
        # What is inline is read anew, for a callback may change a dictionary that it is given.
        values = {name: kept[name] if name in kept else ref.read(types[name]) for name, ref in fixed.items()}
        made = objective_call(callback, trial, values)
        if made.objective is not objective:
            raise TypeError(
                f"A callback must call one task for all trials, {objective.name}, but {callback.__qualname__} called "
                f"{getattr(made.objective, 'name', made.objective)}."
            )
        given = {name: origins.get(id(value), value) for name, value in made.inputs.items()}
        natives = objective.python_interface.inputs
        inputs = completed(objective, objective.name, natives, given)
        # Converted here, so that an input of the wrong type is this trial's failure and no other's.
        return ObjectiveCall(objective, {name: _sent(name, _plain(inputs[name]), natives[name]) for name in natives})

    return build


def _plain(value: Any) -> Any:
    """A value with the numpy scalars in it as plain ones, for a callback may hand on what a sampler has drawn."""
    if type(value) is dict:
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if type(value) is list else plain(value)


def jobs_of(study: Any, asked: Sequence[Any], mapped: Sequence[str]) -> list[Job]:
    """The trials to run, of those that were asked: the ones that have inputs, as far as there is room for them.

    Notes on each what is to be known when it is told. One whose inputs Flyte does not take is to FAIL, alone.

    Args:
        study: the study.
        asked: what asking each trial gave.
        mapped: the inputs of the objective that differ from trial to trial.
    """
    from flyteoptuna.study.system_attrs import note

    made: dict[int, Job] = {}
    for number, params, call in asked:
        if call is None:
            continue
        try:
            made[number] = _job(study, number, params, call, mapped, len(asked))
        except Exception as error:
            state, reason = raised(error)
            note(study, number, state=state, error=reason)
    for number, reason in _without_room(made).items():
        note(study, number, state="FAIL", error=reason)
        del made[number]
    return [*made.values()]


def _job(study: Any, number: int, params: Any, call: ObjectiveCall, mapped: Sequence[str], batch: int) -> Job:
    from optuna.pruners import NopPruner

    from flyteoptuna.study.system_attrs import note

    natives, metadata = call.objective.python_interface.inputs, call.objective.metadata
    inputs = {name: _sent(name, call.inputs[name], natives[name]) for name in mapped}
    data = b"\0".join([name.encode() + b"\0" + value.serialised() for name, value in inputs.items()])
    key = hashlib.sha256(data).hexdigest()[:12]
    cached = {"cached": True} if metadata.cache else {}
    timeout = {"timeout": metadata.timeout.total_seconds()} if metadata.timeout else {}
    note(study, number, key=key, **cached, **timeout)
    told = {
        "room": report.room(batch),
        "prunes": type(study.pruner) is not NopPruner,
        "directions": [direction.name for direction in study.directions],
    }
    handle = {"number": number, "key": key, "params": params, **told}
    sent = reference(packed(handle))
    return Job(handle, {TRIAL: sent, **inputs}, len(data) + len(sent.serialised()) + FRAME * (1 + len(inputs)))


def _sent(name: str, value: Any, kind: Any) -> Reference:
    try:
        # A reference may be to a callback's input, which is of another type than the objective's.
        given = value if isinstance(value, Reference) else refer(fitted(value, kind), kind)
        made = converted(given, kind, name)
        made.serialised()
    except Exception as error:
        raise ValueError(f"The input `{name}` cannot be sent: Flyte does not take {shown(value)} for it.") from error
    return made


def _without_room(jobs: Mapping[int, Job]) -> dict[int, str]:
    """The trials whose inputs find no room beside those of the others, the largest ones first, and why."""
    sizes = {number: job.size for number, job in jobs.items()}
    total, lost = sum(sizes.values()), dict[int, str]()
    for number in sorted(sizes, key=lambda number: (sizes[number], number), reverse=True):
        if total <= MAP_LIMIT:
            break
        total -= sizes[number]
        lost[number] = (
            f"The inputs of a batch must take at most {MAP_LIMIT} bytes, but those of {len(sizes)} trials take "
            f"{sum(sizes.values())}, and those of trial {number} {sizes[number]} of them. Choose a smaller "
            "`batch_size`, or pass what is large as a FlyteFile."
        )
    return lost
