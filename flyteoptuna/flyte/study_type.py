"""``optuna.Study`` as a Flyte type."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.type_engine import TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Literal
from optuna.trial import TrialState

from flyteoptuna.flyte.references import Reference, packed, refer, unpacked
from flyteoptuna.flyte.types.study_attributes import PYTHON_TYPES, STUDY, STUDY_TYPE

if TYPE_CHECKING:
    from flyteoptuna.storage.memory import SearchStudy

# Whatever imports optuna first has this module loaded on the way, any module of this package among them: so what knows
# optuna is imported late here, when that module is whole.
INLINE_LIMIT = 512 * 1024
"""Most bytes of a study that a workflow binds at registration, where Flyte keeps it inline."""


def attributes(study: optuna.Study) -> dict[str, Any]:
    """The attributes that a workflow can use without a pod. What there is no value of yet is None."""
    from flyteoptuna.study import results

    states = [t.state for t in study.get_trials(deepcopy=False)]
    counts = {f"n_{state.name.lower()}": states.count(state) for state in TrialState}
    complete = TrialState.COMPLETE in states
    best = results.best(study) if len(study.directions) == 1 else None
    return {
        "best_value": best.value if best else None,
        "best_params": best.params if best else {},
        "best_trial": best.number if best else None,
        "best_trials": [best.number] if best else [t.number for t in study.best_trials] if complete else [],
        "n_trials": len(states),
        **counts,
    }


def attribute_references(study: optuna.Study) -> dict[str, Reference]:
    """The attributes as Flyte's values, by their names; None stands for what there is no value of yet."""
    found: dict[str, Reference] = {}
    for name, value in attributes(study).items():
        if name == "best_params":
            found[name] = Reference(packed(value))
        else:
            found[name] = refer(value, type(None) if value is None else PYTHON_TYPES[name])
    return found


def handed_over(study: optuna.Study) -> bytes:
    """The file of a study that a search is given, or a task returns.

    Warns:
        UserWarning: it lies in a storage that others read, which will not be written.
    """
    from flyteoptuna.storage import file

    if not isinstance(study._storage, optuna.storages.InMemoryStorage):
        warnings.warn(
            f"Study {study.study_name!r} is read from its {type(study._storage).__name__} now, and what "
            "a search finds is not written there: keep the study that the search returns.",
            UserWarning,
            stacklevel=3,
        )
    return file.dumps(study)


def _stored(ctx: FlyteContext, data: bytes) -> str:
    """The path of a new file among Flyte's data."""
    local = ctx.file_access.get_random_local_path()
    Path(local).write_bytes(data)
    return str(ctx.file_access.put_raw_data(local))


class StudyTransformer(TypeTransformer[optuna.Study]):
    """A study as a struct of its attributes, with its file beside them: by path, or inline at registration."""

    def __init__(self) -> None:
        super().__init__("optuna.Study", optuna.Study)

    def get_literal_type(self, t: type[optuna.Study]) -> model_types.LiteralType:
        """The struct type, whose attributes Flyte checks and resolves by themselves."""
        # A copy, for flytekit writes the tag of a union's variant into it.
        return model_types.LiteralType.from_flyte_idl(STUDY_TYPE.to_flyte_idl())

    def to_literal(self, ctx: FlyteContext, python_val: Any, python_type: Any, expected: Any) -> Literal:
        """Save the study.

        Raises:
            ValueError: a study to be bound at registration is larger than ``INLINE_LIMIT``.
        """
        if not isinstance(python_val, optuna.Study):
            raise TypeError(f"Expected an optuna.Study, but got {python_val!r} ({type(python_val).__name__}).")
        data = handed_over(python_val)
        fields = attributes(python_val)
        registering = ctx.compilation_state is not None and (
            ctx.execution_state is None or ctx.execution_state.mode is None
        )
        if registering:
            if len(data) > INLINE_LIMIT:
                raise ValueError(
                    f"A study bound at registration must have at most {INLINE_LIMIT} bytes when saved, but this has "
                    f"{len(data)}. Let a task return it, and pass the promise."
                )
            fields["_data"] = data
        else:
            fields["_path"] = _stored(ctx, data)
        return packed(fields)

    def guess_python_type(self, literal_type: model_types.LiteralType) -> type[optuna.Study]:
        """``optuna.Study``, for a type with a study's tag; ``ValueError`` for any other."""
        if literal_type.structure is not None and literal_type.structure.tag == STUDY:
            return optuna.Study
        raise ValueError(f"Not the type of an optuna.Study: {literal_type}")

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> optuna.Study:
        """Load the study.

        Raises:
            StudyFormatError: the literal or the file it names is no study.
        """
        from flyteoptuna.storage import file
        from flyteoptuna.storage.read_results import StudyFormatError

        fields = unpacked(lv)
        if not fields.keys() & {"_data", "_path"}:
            raise StudyFormatError(f"Not the literal of an optuna.Study: {lv}")
        if "_data" in fields:
            return file.loads(fields["_data"])
        local = ctx.file_access.get_random_local_path()
        ctx.file_access.get_data(fields["_path"], local)
        return file.loads(Path(local).read_bytes())


class HeldStudy(Reference):
    """A study that is still in this process. It is saved when its literal is first asked for, and as it is then."""

    def __init__(self, study: SearchStudy) -> None:
        self.study = study

    @functools.cached_property
    def literal(self) -> Literal:
        """The literal of the saved study. ``TypeEngine`` would pickle the study first, for a cache of its own."""
        transformer = StudyTransformer()
        expected = transformer.get_literal_type(optuna.Study)
        from flyteoptuna.storage.file import UnpicklableError, dumps

        ctx = FlyteContextManager.current_context()
        try:
            return transformer.to_literal(ctx, self.study, optuna.Study, expected)
        except UnpicklableError as error:
            # The search cannot go on, and what has run is kept.
            path = _stored(ctx, dumps(self.study, pickles=False))
            raise UnpicklableError(
                f"{error}\nThe study as it stands: {path}\nIt holds the results alone: read it with load_study"
            ) from error


def register() -> None:
    """Make ``optuna.Study`` a Flyte type, once."""
    if optuna.Study not in TypeEngine._REGISTRY:
        TypeEngine.register(StudyTransformer())
        # Guesses are made in this order, and flytekit's dictionary takes every struct for its own.
        rest = {kind: found for kind, found in TypeEngine._REGISTRY.items() if kind is not optuna.Study}
        for kind in rest:
            del TypeEngine._REGISTRY[kind]
        TypeEngine._REGISTRY.update(rest)


register()
