"""Inputs of a trial: made from the search space or by the user's callback, and converted for Flyte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flyteoptuna.flyte.literal_hashes import hashed_content
from flyteoptuna.flyte.objective import TRIAL, complete_inputs, input_types
from flyteoptuna.flyte.objective_callback import ObjectiveCall, objective_call
from flyteoptuna.flyte.references import Reference, is_offloaded, to_reference
from flyteoptuna.flyte.report_transport import HandleReference
from flyteoptuna.flyte.types.casts import convert_literal
from flyteoptuna.space import space
from flyteoptuna.space.annotations import convert_suggested
from flyteoptuna.space.given_inputs import inputs_to_json
from flyteoptuna.space.number_limits import check_numbers
from flyteoptuna.space.suggestions import Suggestion
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.report import TrialHandle, report_byte_limit
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.text import exception_line, safe_repr

if TYPE_CHECKING:
    from flyteoptuna.storage.search_study import SearchStudy
    from flyteoptuna.study.ask import AskedTrial

# Makes the call of the objective for a trial, by suggesting.
Build = Callable[[Any], ObjectiveCall]
# Flyte's default maximum size of a dynamic task's graph, and of the inputs or outputs of any task, bytes.
INLINE_LIMIT = 2 * 1024 * 1024
# Maximum size of the lists to map over, bytes. The rest is for the study and the inputs that all trials share.
MAP_LIMIT = INLINE_LIMIT - INLINE_LIMIT // 8
# Maximum size that a list adds to each of its items, bytes.
ITEM_OVERHEAD = 8


class TrialJob(NamedTuple):
    """A trial to run, with the inputs that differ from trial to trial."""

    handle: TrialHandle
    inputs: dict[str, Reference]  # those that differ from trial to trial
    size: int  # of handle and inputs in the lists to map over, bytes

    def flyte_inputs(self) -> dict[str, Reference]:
        """Inputs of the trial task that differ from trial to trial."""
        return {TRIAL: HandleReference(self.handle), **self.inputs}


def input_builder(origin: Any, objective: Any, space_json: str, fixed: Mapping[str, Reference]) -> Build:
    """Return the function that makes the inputs of a trial."""
    return _build_from_space(objective, space_json) if space_json else _build_by_callback(origin, objective, fixed)


def _build_from_space(objective: Any, space_json: str) -> Build:
    from flyteoptuna.study.ask import draw_value

    inputs, types = space.space_from_json(space_json), objective.python_interface.inputs

    def build(trial: Any) -> ObjectiveCall:
        def draw(name: str, suggestion: Suggestion) -> Any:
            return draw_value(trial, name, suggestion)

        values = {name: space.substitute_suggestions(value, name, draw) for name, value in inputs.items()}
        return ObjectiveCall(objective, {name: convert_suggested(value, types[name]) for name, value in values.items()})

    return build


def _build_by_callback(callback: Callable[..., Any], objective: Any, fixed: Mapping[str, Reference]) -> Build:
    """Build the inputs by the callback; files that it passes on unchanged stay references."""
    types = input_types(callback)
    offloaded = {name: ref.read(types[name]) for name, ref in fixed.items() if is_offloaded(ref.literal)}
    references = {id(value): fixed[name] for name, value in offloaded.items()}

    def build(trial: Any) -> ObjectiveCall:
        # Inline values are read anew for each trial, because a callback may change a dictionary that it is given.
        values = {name: offloaded[name] if name in offloaded else ref.read(types[name]) for name, ref in fixed.items()}
        call = objective_call(callback, trial, values)
        if call.objective is not objective:
            raise TypeError(
                f"A callback must call one task for all trials, {objective.name}, but {callback.__qualname__} called "
                f"{getattr(call.objective, 'name', call.objective)}."
            )
        given = {name: references.get(id(value), value) for name, value in call.inputs.items()}
        natives = objective.python_interface.inputs
        inputs = complete_inputs(objective, objective.name, natives, given)
        # Converted here, so that an input of a wrong type fails this trial alone.
        converted = {name: _to_flyte(name, _plain_scalars(inputs[name]), natives[name]) for name in natives}
        return ObjectiveCall(objective, converted, inputs_to_json(call.inputs, natives))

    return build


def _plain_scalars(value: Any) -> Any:
    """Replace the numpy scalars in a value, because a callback may hand on a sampler's draws."""
    if type(value) is dict:
        return {key: _plain_scalars(inner) for key, inner in value.items()}
    return [_plain_scalars(inner) for inner in value] if type(value) is list else plain_scalar(value)


def make_jobs(study: SearchStudy, asked: Sequence[AskedTrial], mapped: Sequence[str]) -> list[TrialJob]:
    """Turn asked trials into jobs; a trial that cannot be sent is marked as failed.

    A trial whose inputs Flyte refuses fails alone. If the batch is too large, its largest trials fail.
    """
    from flyteoptuna.study.system_attrs import update_trial_mark

    jobs: dict[int, TrialJob] = {}
    for trial in asked:
        if trial.inputs is None:
            continue
        try:
            jobs[trial.number] = _make_job(study, trial, mapped, len(asked))
        except Exception as error:
            state, reason = outcome_of_exception(error)
            update_trial_mark(study, trial.number, state=state, error=reason)
    for number, reason in _find_oversized(jobs).items():
        update_trial_mark(study, number, state="FAIL", error=reason)
        del jobs[number]
    return [*jobs.values()]


def _make_job(study: SearchStudy, trial: AskedTrial, mapped: Sequence[str], batch_length: int) -> TrialJob:
    """Convert the inputs of a trial, and store their digest, which identifies its report, in its mark."""
    from optuna.pruners import NopPruner

    from flyteoptuna.study.system_attrs import store_inputs, update_trial_mark

    call: ObjectiveCall = trial.inputs
    natives, metadata = call.objective.python_interface.inputs, call.objective.metadata
    inputs = {name: _to_flyte(name, call.inputs[name], natives[name]) for name in mapped}
    content = b"\0".join([name.encode() + b"\0" + hashed_content(value) for name, value in inputs.items()])
    key = hashlib.sha256(content).hexdigest()[:12]
    timeout = metadata.timeout.total_seconds() if metadata.timeout else None
    update_trial_mark(study, trial.number, key=key, cached=bool(metadata.cache), timeout=timeout)
    if call.stored:
        store_inputs(study, trial.number, call.stored)
    handle = TrialHandle(
        number=trial.number,
        key=key,
        params=trial.params,
        byte_limit=report_byte_limit(batch_length),
        prunes=type(study.pruner) is not NopPruner,
        directions=[direction.name for direction in study.directions],
    )
    sent = (HandleReference(handle), *inputs.values())
    size = sum(len(value.serialised()) + ITEM_OVERHEAD for value in sent)
    return TrialJob(handle, inputs, size)


def _to_flyte(name: str, value: Any, python_type: Any) -> Reference:
    is_reference = isinstance(value, Reference)
    if not is_reference:
        # A sampler may suggest an enqueued value that no suggestion allows.
        check_numbers(value, python_type, name)
    try:
        reference = value if is_reference else to_reference(convert_suggested(value, python_type), python_type)
        # A reference may be to a callback's input, whose type differs from the objective's.
        converted = convert_literal(reference, python_type, name)
        converted.serialised()
    except Exception as error:
        raise ValueError(
            f"The input `{name}` cannot be sent: Flyte does not take {safe_repr(value)} for it. {exception_line(error)}"
        ) from error
    return converted


def _find_oversized(jobs: Mapping[int, TrialJob]) -> dict[int, str]:
    """Trials to drop, largest first, until the batch fits into a map; each with its reason."""
    sizes = {number: job.size for number, job in jobs.items()}
    total, oversized = sum(sizes.values()), dict[int, str]()
    for number in sorted(sizes, key=lambda number: (sizes[number], number), reverse=True):
        if total <= MAP_LIMIT:
            break
        total -= sizes[number]
        oversized[number] = (
            f"The inputs of a batch must take at most {MAP_LIMIT} bytes, but those of {len(sizes)} trials take "
            f"{sum(sizes.values())}, and those of trial {number} {sizes[number]} of them. Choose a smaller "
            "`batch_size`, or pass what is large as a FlyteFile."
        )
    return oversized
