"""``optuna.Study`` as a Flyte type."""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import optuna
from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.type_engine import TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Literal
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.flyte.references import Reference, msgpack_fields, msgpack_literal, to_reference
from flyteoptuna.flyte.transfers import download, upload
from flyteoptuna.flyte.types.study_attributes import DICTIONARIES, PYTHON_TYPES, STUDY_TAG, STUDY_TYPE
from flyteoptuna.internals.flytekit_internals import register_first

if TYPE_CHECKING:
    from flyteoptuna.storage.search_study import SearchStudy

# The first import of optuna, in any module of this package too, loads this module. Modules that import optuna are
# therefore imported late here: they may be half loaded.

# Maximum size of a study that a workflow binds inline at registration, bytes.
INLINE_LIMIT = 512 * 1024


def study_attribute_values(study: optuna.Study) -> dict[str, Any]:
    """Attributes of a study for a workflow, by name; None if there is no value yet."""
    from flyteoptuna.study import results

    states = [t.state for t in study.get_trials(deepcopy=False)]
    complete = TrialState.COMPLETE in states
    best = results.best_trial(study) if len(study.directions) == 1 else None
    return {
        "best_value": best.value if best else None,
        "best_params": best.params if best else {},
        "best_inputs": _inputs_of(study, best) if best else {},
        "best_trial": best.number if best else None,
        "best_trials": [best.number] if best else [t.number for t in study.best_trials] if complete else [],
        "n_trials": len(states),
        **{f"n_{state.name.lower()}": states.count(state) for state in TrialState},
    }


def _inputs_of(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
    """Inputs of a trial; empty if they are not known."""
    from flyteoptuna.storage.stored_inputs import stored_inputs

    try:
        return stored_inputs(study, trial)
    except (LookupError, ValueError):
        return {}


def attribute_references(values: Mapping[str, Any]) -> dict[str, Reference]:
    """Attributes of a study as Flyte literals, by name, from the fields of the study's own literal."""
    return {
        name: Reference(msgpack_literal(value))
        if name in DICTIONARIES
        else to_reference(value, type(None) if value is None else PYTHON_TYPES[name])
        for name, value in values.items()
        if name in PYTHON_TYPES
    }


def serialise_given_study(study: optuna.Study) -> bytes:
    """Serialise a study that a user passes to a search or returns from a task; warns if it is in a storage."""
    from flyteoptuna.internals.optuna_internals import storage_of
    from flyteoptuna.storage import file_format
    from flyteoptuna.storage.search_study import SearchStudy
    from flyteoptuna.storage.untrusted import with_outputs_aside
    from flyteoptuna.study.shared.shared_study import copy_with_trials

    if not isinstance(storage := storage_of(study), optuna.storages.InMemoryStorage):
        warnings.warn(
            f"Study {study.study_name!r} is read from its {type(storage).__name__} now, and what "
            "a search finds is not written there: keep the study that the search returns.",
            UserWarning,
            stacklevel=3,
        )
    if not isinstance(study, SearchStudy):
        # Optuna's own studies do not tell where their trials are from.
        trials = study.get_trials(deepcopy=False)
        aside = [with_outputs_aside(trial) for trial in trials]
        study = study if all(map(operator.is_, aside, trials)) else copy_with_trials(study, aside)
    return file_format.dump_study(study)


class StudyTransformer(TypeTransformer[optuna.Study]):
    """A study as a struct of its attributes and the path of its file, or the file itself at registration."""

    def __init__(self) -> None:
        super().__init__("optuna.Study", optuna.Study)

    def get_literal_type(self, t: type[optuna.Study]) -> model_types.LiteralType:
        """Struct type with the attributes of a study."""
        # A copy, because flytekit writes the tag of a union's variant into it.
        return model_types.LiteralType.from_flyte_idl(STUDY_TYPE.to_flyte_idl())

    def to_literal(self, ctx: FlyteContext, python_val: Any, python_type: Any, expected: Any) -> Literal:
        """Save the study; at registration, it must not be larger than ``INLINE_LIMIT``."""
        if not isinstance(python_val, optuna.Study):
            raise TypeError(f"Expected an optuna.Study, but got {python_val!r} ({type(python_val).__name__}).")
        data = serialise_given_study(python_val)
        fields = study_attribute_values(python_val)
        state = ctx.execution_state
        if ctx.compilation_state is not None and (state is None or state.mode is None):
            if len(data) > INLINE_LIMIT:
                raise ValueError(
                    f"A study bound at registration must have at most {INLINE_LIMIT} bytes when saved, but this has "
                    f"{len(data)}. Let a task return it, and pass the promise."
                )
            fields["_data"] = data
        else:
            fields["_path"] = upload(ctx, data)
        return msgpack_literal(fields)

    def guess_python_type(self, literal_type: model_types.LiteralType) -> type[optuna.Study]:
        """Guess ``optuna.Study`` by the tag of the type; ``ValueError`` for any other type."""
        if literal_type.structure is not None and literal_type.structure.tag == STUDY_TAG:
            return optuna.Study
        raise ValueError(f"Not the type of an optuna.Study: {literal_type}")

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> optuna.Study:
        """Load the study; ``StudyFormatError`` if the literal or its file is no study."""
        from flyteoptuna.errors import StudyFormatError
        from flyteoptuna.storage import file_format

        fields = msgpack_fields(lv)
        if not fields.keys() & {"_data", "_path"}:
            raise StudyFormatError(f"Not the literal of an optuna.Study: {lv}")
        if "_data" in fields:
            return file_format.restore_study(fields["_data"])
        return file_format.restore_study(download(ctx, fields["_path"]))


class StudyReference(Reference):
    """Reference to a study in this process, which is saved at the first access to its literal."""

    def __init__(self, study: SearchStudy) -> None:
        self.study = study

    @functools.cached_property
    def literal(self) -> Literal:
        """Literal of the saved study. ``TypeEngine`` would pickle the study first, for its cache."""
        from flyteoptuna.errors import UnpicklableError
        from flyteoptuna.storage.file_format import dump_study

        ctx = FlyteContextManager.current_context()
        try:
            return StudyTransformer().to_literal(ctx, self.study, optuna.Study, None)
        except UnpicklableError as error:
            # The search cannot continue; its results are saved.
            path = upload(ctx, dump_study(self.study, pickles=False))
            raise UnpicklableError(
                f"{error}\nThe study as it stands: {path}\nIt holds the results alone: read it with load_study"
            ) from error


register_first(StudyTransformer())
