"""What an objective returns beside its values: kept with the trial as Flyte's literals, and read again."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.core.promise import Promise
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.type_engine import TypeEngine
from flytekit.models import types as model_types
from flytekit.models.literals import Literal

from flyteoptuna.core.plain_values import said, shown
from flyteoptuna.core.refusal_words import Words, got, listed, meant
from flyteoptuna.core.trial.call_objective import NUMBER, Returns
from flyteoptuna.flyte.objective import kept_types, output_kinds
from flyteoptuna.flyte.references import Reference, literal_of, plain_of, refer

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

LONGEST = 200
"""Most characters of what tells an output that is in no file."""


def returns_of(objective: PythonFunctionTask[Any]) -> Returns:
    """What an objective returns, and how it is kept."""
    types = kept_types(objective)

    def keep(name: str, value: Any) -> bytes:
        try:
            with _uploading():
                return refer(value, types[name]).serialised()
        except Exception as error:
            raise ValueError(
                f"The output `{name}` cannot be kept: Flyte does not take {shown(value)} for it. {said(error)}"
            ) from error

    return Returns(output_kinds(objective), keep)


@contextmanager
def _uploading() -> Iterator[None]:
    """In the body, what becomes a literal is copied to where Flyte keeps its data, in a local run too.

    There flytekit refers to a user's own file, which the next trial may write again.
    """
    ctx = FlyteContextManager.current_context()
    state = (ctx.execution_state or ctx.new_execution_state()).with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    with FlyteContextManager.with_context(ctx.with_execution_state(state)):
        yield


def where(data: bytes) -> str:
    """Where an output is, or what it is if it is in no file; for people. Total over all bytes."""
    try:
        found = _within(literal_of(data), _place)
        if isinstance(found, str):
            return found
        text = json.dumps(found, default=str)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters, cut)"
    except Exception:
        # A file from elsewhere may hold anything.
        return "an output that cannot be read"


def outputs_of(trial: FrozenTrial) -> dict[str, str]:
    """Where the outputs of a trial are that are kept with it, by their names."""
    from flyteoptuna.study import results

    return {name: where(data) for name, data in results.outputs(trial).items()}


def _within(found: Literal, of: Callable[[Literal], Any]) -> Any:
    """What a function makes of a literal, or of each that it holds."""
    if found.collection is not None:
        return [_within(item, of) for item in found.collection.literals]
    if found.map is not None:
        return {key: _within(item, of) for key, item in found.map.literals.items()}
    if found.scalar is not None and found.scalar.union is not None:
        return _within(found.scalar.union.value, of)
    return of(found)


def _place(found: Literal) -> Any:
    for scalar in (found.scalar.blob, found.scalar.structured_dataset, found.scalar.schema):
        if scalar is not None:
            return str(scalar.uri)
    return plain_of(found)


def _value(found: Literal) -> Any:
    """What a literal stands for, as far as it tells by itself."""
    scalar = found.scalar
    if scalar.blob is not None:
        kind = model_types.LiteralType(blob=scalar.blob.metadata.type)
    elif scalar.structured_dataset is not None:
        metadata = scalar.structured_dataset.metadata
        kind = model_types.LiteralType(structured_dataset_type=metadata.structured_dataset_type)
    elif scalar.schema is not None:
        kind = model_types.LiteralType(schema=scalar.schema.type)
    else:
        return plain_of(found)
    return Reference(found).read(TypeEngine.guess_python_type(kind))


class _ByName(Mapping[str, Any]):
    """Outputs by the names that the objective gives them, as attributes and as items; none is read to be listed."""

    _known: Mapping[str, Any]

    @abstractmethod
    def _read(self, name: str) -> Any:
        """An output that there is."""

    @abstractmethod
    def _wrong(self, name: object) -> str:
        """The words for an output that there is none of."""

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(Words(self._wrong(name)))
        return self._read(name)

    def __getattribute__(self, name: str) -> Any:
        # An output may have the name of a method, as `items`, and is then what is meant.
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


class Outputs(_ByName):
    """What the objective of one trial returned beside its values.

    Each is an attribute and an item, of the name that the objective's output has: ``outputs.model``,
    ``outputs["model"]``. Nothing is read before it is asked for, and a ``FlyteFile``, a ``FlyteDirectory`` or a
    ``StructuredDataset`` is fetched when it is opened.

    Args:
        whose: the trial, as an error says it.
        kept: the outputs as literals.
        types: the types to read them as, by their names; by default, what their literals tell.
    """

    def __init__(self, whose: str, kept: Mapping[str, bytes], types: Mapping[str, Any]) -> None:
        self._whose = whose
        self._known = kept
        self._types = types

    def _read(self, name: str) -> Any:
        try:
            found = literal_of(self._known[name])
            return Reference(found).read(self._types[name]) if name in self._types else _within(found, _value)
        except Exception as error:
            # Each type has exceptions of its own, and an AttributeError would say that there is no such output.
            kind = f" as {self._types[name]!r}" if name in self._types else ""
            raise ValueError(f"The output `{name}` of {self._whose} cannot be read{kind}: {said(error)}") from error

    def _wrong(self, name: object) -> str:
        return missing(self._whose, name, self._known)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={where(data)}' for name, data in self._known.items())})"


def missing(whose: str, name: object, known: Mapping[str, Any]) -> str:
    """The words for an output that a trial has not."""
    return f"{whose} has no output {name!r}; it has: {listed(known)}.{meant(name, known)}"


def outputs(study: optuna.Study, number: int, types: Mapping[str, Any] | None = None) -> Outputs:
    """What the objective of a trial returned beside its values, as files, frames and whatever else Flyte knows.

    Args:
        study: a study that a search has returned, in a task, a notebook or a script; or one that was loaded.
        number: the number of the trial; ``study.best_trial.number`` is the best one's.
        types: Python types to read outputs as, by their names. Default: what Flyte's own values tell, which is
            ``FlyteFile`` for a file, ``StructuredDataset`` for a frame, and a dictionary for a dataclass.

    Returns:
        The outputs by their names; none for a trial that failed, or whose objective returned only values.

    Raises:
        TypeError: an argument of the wrong type.
        LookupError: the study has no trial of that number, or the trial no output that ``types`` names.
    """
    import optuna

    from flyteoptuna.study import results

    if not isinstance(study, optuna.Study):
        hint = ""
        if isinstance(study, Promise):
            hint = " In a workflow, `optimizer.best` has those of the best trial, and a task that takes the study all."
        raise TypeError(f"`study` must be an optuna.Study, but got {got(study)}.{hint}")
    if type(number) is not int:
        hint = " Pass its `number`." if isinstance(number, optuna.trial.FrozenTrial) else ""
        raise TypeError(f"`number` must be the number of a trial, but got {got(number)}.{hint}")
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        has = f"its trials are 0 to {len(trials) - 1}" if trials else "it has none yet"
        raise LookupError(f"Study {study.study_name!r} has no trial {number}: {has}.")
    trial = trials[number]
    whose = f"Trial {number} of study {study.study_name!r} ({trial.state.name})"
    kept = results.outputs(trial)
    if types is not None and not isinstance(types, Mapping):
        raise TypeError(f"`types` must be a dictionary of types by the names of outputs, but got {got(types)}.")
    for name in types or {}:
        if kept and name not in kept:
            raise LookupError(f"`types` names no output of it. {missing(whose, name, kept)}")
    return Outputs(whose, kept, types or {})


class Best(_ByName):
    """The outputs of the best trial, by the names that the objective gives them, as attributes and as items.

    Args:
        objective: the objective.
        get: what gives an output by its name.
    """

    _name: str
    _kinds: Mapping[str, str]
    _get: Callable[[str], Any]

    def __init__(self, objective: PythonFunctionTask[Any], get: Callable[[str], Any]) -> None:
        vars(self).update(_name=objective.name, _known=kept_types(objective), _kinds=output_kinds(objective), _get=get)

    def _read(self, name: str) -> Any:
        return self._get(name)

    def _wrong(self, name: object) -> str:
        hint = meant(name, self._known) or " Its values and parameters are the study's: `best_value`, `best_params`."
        if self._kinds.get(str(name)) == NUMBER:
            hint = f" As a number, `{name}` is a user attribute of the trial: `study.best_trial.user_attrs[{name!r}]`."
        return f"The objective {self._name} returns no `{name}` that is kept; it returns: {listed(self._known)}.{hint}"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"What a trial has returned cannot be set, but got `best.{name} = {got(value)}`.")

    def __repr__(self) -> str:
        return f"<the best trial's {listed(self._known)}>"
