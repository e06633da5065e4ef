"""Outputs of an objective beside its values: stored with the trial as Flyte literals, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_origin

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.models.literals import Literal

from flyteoptuna.errors import StoreError, UntrustedError
from flyteoptuna.flyte.objective import output_kinds, stored_output_types
from flyteoptuna.flyte.output_values import SHOWN, map_literal, read_output
from flyteoptuna.flyte.references import literal_from_bytes, literal_value, to_reference
from flyteoptuna.flyte.transfers import retry_transfers
from flyteoptuna.trial.call_objective import NUMBER, ObjectiveOutputs
from flyteoptuna.values.did_you_mean import PlainMessage, did_you_mean, join_names, names_arguments, value_and_type
from flyteoptuna.values.retries import PATIENCE
from flyteoptuna.values.text import exception_line, safe_repr
from flyteoptuna.values.tracebacks import public

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

# Maximum length of an inline preview, characters.
MAX_PREVIEW = 200


def objective_outputs(objective: PythonFunctionTask[Any]) -> ObjectiveOutputs:
    """Uses of the outputs of an objective, and their conversion to bytes."""
    types = stored_output_types(objective)

    def to_bytes(name: str, value: Any) -> bytes:
        # In the mode of a task, files are uploaded in a local run too. Otherwise flytekit refers to the user's own
        # file, which the next trial may overwrite.
        ctx = FlyteContextManager.current_context()
        state = (ctx.execution_state or ctx.new_execution_state()).with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
        try:
            with FlyteContextManager.with_context(ctx.with_execution_state(state)):
                # An iterator cannot be read again.
                patience = 0.0 if isinstance(value, Iterator) else PATIENCE
                return retry_transfers(
                    lambda: f"The output `{name}` cannot be written",
                    lambda: to_reference(value, types[name]).serialised(),
                    patience,
                )
        except StoreError:
            raise
        except Exception as error:
            raise ValueError(
                f"The output `{name}` cannot be kept: Flyte does not take {safe_repr(value)} for it. "
                f"{exception_line(error)}"
            ) from error

    return ObjectiveOutputs(output_kinds(objective), to_bytes)


def output_location(data: bytes) -> str:
    """Describe a serialised output for people: the URI of its file, or a preview of its value. Never raises."""
    try:
        value = map_literal(literal_from_bytes(data), _uri_or_value)
        if isinstance(value, str):
            return value
        text = json.dumps(value, default=str)
        return text if len(text) <= MAX_PREVIEW else f"{text[:MAX_PREVIEW]}... ({len(text)} characters, cut)"
    except Exception:
        # A file from elsewhere may hold anything.
        return "an output that cannot be read"


def output_locations(trial: FrozenTrial) -> dict[str, str]:
    """Descriptions of the stored outputs of a trial, by name; see ``output_location``."""
    from flyteoptuna.study import results

    return {name: output_location(data) for name, data in results.stored_outputs(trial).items()}


def _uri_or_value(literal: Literal) -> Any:
    for scalar in (literal.scalar.blob, literal.scalar.structured_dataset, literal.scalar.schema):
        if scalar is not None:
            return str(scalar.uri)
    return literal_value(literal)


@public
class Outputs(Mapping[str, Any]):
    """Outputs of the objective of one trial beside its values.

    Each is an attribute and an item: ``outputs.model``, ``outputs["model"]``. An output is read on access, and a
    ``FlyteFile``, a ``FlyteDirectory`` or a ``StructuredDataset`` is downloaded when it is opened.
    """

    def __init__(
        self, trial: str, serialised: Mapping[str, bytes], types: Mapping[str, Any], untrusted: Collection[str]
    ) -> None:
        self._trial = trial
        self._known: Mapping[str, Any] = serialised
        self._types = types
        self._untrusted = untrusted

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(PlainMessage(self._wrong(name)))
        return self._read(name)

    def __getattribute__(self, name: str) -> Any:
        # An output with the name of a method, such as `items`, hides the method.
        if not name.startswith("_") and name in self._known:
            return self._read(name)
        try:
            return super().__getattribute__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            raise AttributeError(self._wrong(name)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __dir__(self) -> list[str]:
        return [*self._known]

    def _read(self, name: str) -> Any:
        kind = f" as {self._types[name]!r}" if name in self._types else ""
        failure = f"The output `{name}` of {self._trial} cannot be read{kind}: "
        try:
            literal = literal_from_bytes(self._known[name])
            return read_output(literal, self._types.get(name, SHOWN), trusted=name not in self._untrusted)
        except UntrustedError as error:
            raise UntrustedError(f"{failure}{error}") from None
        except Exception as error:
            # Types raise various exceptions, and an AttributeError would mean that the output does not exist.
            raise ValueError(f"{failure}{exception_line(error)}") from error

    def _wrong(self, name: object) -> str:
        return missing_output_message(self._trial, name, self._known)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={output_location(data)}' for name, data in self._known.items())})"


def missing_output_message(trial: str, name: object, known: Mapping[str, Any]) -> str:
    """Error message for an output that a trial does not have."""
    return f"{trial} has no output {name!r}; it has: {join_names(known)}.{did_you_mean(name, known)}"


@public
@names_arguments
def outputs(
    study: optuna.Study, number: int, types: Mapping[str, Any] | None = None, *, trusted: bool = False
) -> Outputs:
    """Outputs of the objective of a trial beside its values: files, data frames and any other type of Flyte.

    Args:
        study: a study that a search returned, in a task, a notebook or a script, or a loaded one.
        number: number of the trial, for example ``study.best_trial.number``.
        types: Python types to read outputs as, by name. Default: the type that the Flyte literal shows, which is
            ``FlyteFile`` for a file, ``StructuredDataset`` for a data frame, and ``dict`` for a dataclass.
        trusted: whether to unpickle outputs of any study, which can run any code. By default, those of a study from a
            search, from a task's input, or loaded with ``trusted=True`` are unpickled; other pickles are refused when
            they are read.

    Returns:
        The outputs by name; empty for a failed trial, and for an objective that returns only values.

    Raises:
        TypeError: an argument of the wrong type.
        LookupError: the study has no trial of that number, or the trial no output that ``types`` names.
        UntrustedError: on access to an output that may be a pickle, without trust.
    """
    from flyteoptuna.storage.search_study import SearchStudy
    from flyteoptuna.study import results

    hint = "In a workflow, `optimizer.best` has those of the best trial, and a task that takes the study all."
    trial = results.find_trial(study, number, hint)
    # Exactly a bool: a truthy value such as "no" must not unpickle anything.
    if not isinstance(trusted, bool):
        raise TypeError(f"`trusted` must be True or False, but got {value_and_type(trusted)}.")
    described = f"Trial {number} of study {study.study_name!r} ({trial.state.name})"
    serialised = results.stored_outputs(trial)
    if types is not None and not isinstance(types, Mapping):
        raise TypeError(
            f"`types` must be a dictionary of types by the names of outputs, but got {value_and_type(types)}."
        )
    for name, kind in (types or {}).items():
        if serialised and name not in serialised:
            raise LookupError(f"`types` names no output of it. {missing_output_message(described, name, serialised)}")
        if not (kind in (None, Any) or isinstance(kind, type) or get_origin(kind)):
            raise TypeError(f"`types[{name!r}]` must be a type, but got {value_and_type(kind)}.")
    # Optuna's own studies do not tell where their trials are from.
    untrusted = results.untrusted_outputs(trial) if isinstance(study, SearchStudy) else serialised
    return Outputs(described, serialised, types or {}, () if trusted else untrusted)


class BestOutputs(Outputs):
    """Promises of the outputs of the best trial, by name, as attributes and as items; ``get`` makes one of a name."""

    _objective: PythonFunctionTask[Any]
    _get: Callable[[str], Any]

    def __init__(self, objective: PythonFunctionTask[Any], get: Callable[[str], Any]) -> None:
        vars(self).update(_known=stored_output_types(objective), _objective=objective, _get=get)

    def _read(self, name: str) -> Any:
        return self._get(name)

    def _wrong(self, name: object) -> str:
        elsewhere = " Its values and parameters are the study's: `best_value`, `best_params`."
        hint = did_you_mean(name, self._known) or elsewhere
        if output_kinds(self._objective).get(str(name)) == NUMBER:
            hint = f" As a number, `{name}` is a user attribute of the trial: `study.best_trial.user_attrs[{name!r}]`."
        rest = f"; it returns: {join_names(self._known)}" if self._known else ", only values"
        return f"The objective {self._objective.name} returns no `{name}` that is kept{rest}.{hint}"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"What a trial has returned cannot be set, but got `best.{name} = {value_and_type(value)}`."
        )

    def __repr__(self) -> str:
        return f"<outputs of the best trial: {join_names(self._known)}>"
