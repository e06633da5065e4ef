"""Outputs and inputs of the best trial, from the last task of a search to the workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flytekit.core.promise import Promise
from flytekit.models.literals import Binding, BindingData, Literal, Primitive, Scalar, Void

from flyteoptuna.errors import UntrustedError
from flyteoptuna.flyte.objective import stored_output_types
from flyteoptuna.flyte.output_values import refuse_pickles
from flyteoptuna.flyte.outputs import BestOutputs, missing_output_message
from flyteoptuna.flyte.promises import NO_BEST_TRIAL, StudyPromise
from flyteoptuna.flyte.references import Reference, literal_from_bytes, make_reference, to_reference
from flyteoptuna.flyte.resolver import decode_names, encode_names
from flyteoptuna.space.annotations import convert_suggested
from flyteoptuna.values.did_you_mean import join_names
from flyteoptuna.values.text import exception_line

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

# Input of the last task: names of the outputs that the workflow uses, and of the inputs, after `INPUT_MARK`.
USED = "used"
INPUT_MARK = "input:"

NONE_USED = encode_names(())

# Prefixes of the names of the best trial's outputs and inputs among the outputs of the last task.
PREFIX, INPUT_PREFIX = "output_", "input_"


def _best_trial(study: optuna.Study) -> FrozenTrial:
    from flyteoptuna.study import results

    if len(study.directions) > 1:
        raise AttributeError(NO_BEST_TRIAL)
    best = results.best_trial(study)
    if best is None:
        raise LookupError(f"No trial of study {study.study_name!r} is the best one, as none is complete and feasible.")
    return best


def best_input(study: optuna.Study, name: str, python_type: Any) -> Reference:
    """Return an input of a study's best trial as the objective got it, of its type.

    Raises:
        AttributeError: the study has several objectives.
        LookupError: there is no best trial, or the input is not known.
    """
    from flyteoptuna.storage.stored_inputs import stored_inputs

    best = _best_trial(study)
    trial = f"The best trial, {best.number}, of study {study.study_name!r}"
    try:
        known = stored_inputs(study, best)
        if name in known:
            return to_reference(convert_suggested(known[name], python_type), python_type)
    except LookupError:
        raise
    except Exception as error:
        # Types raise various exceptions.
        raise LookupError(f"{trial} has an input {name!r} that cannot be read: {exception_line(error)}") from error
    raise LookupError(
        f"{trial} has no stored input {name!r}; it has: {join_names(known)}. Files, data frames and large inputs "
        "are not stored."
    )


def best_output(study: optuna.Study, name: str, python_type: Any) -> Reference:
    """Return an output of a study's best trial, to be read as a type.

    Raises:
        AttributeError: the study has several objectives.
        LookupError: there is no best trial, or it has no such output.
        UntrustedError: the trial is from a source that is not trusted, and the output may be a pickle.
    """
    from flyteoptuna.study import results

    best = _best_trial(study)
    outputs = results.stored_outputs(best)
    trial = f"The best trial, {best.number}, of study {study.study_name!r}"
    if name in outputs:
        literal = literal_from_bytes(outputs[name])
        if name in results.untrusted_outputs(best):
            try:
                refuse_pickles(literal, python_type)
            except UntrustedError as error:
                raise UntrustedError(f"{trial}, has an output {name!r} that is not passed on: {error}") from None
        return make_reference(literal)
    note = results.truncation_note(best)
    hint = f" Its report says: {note}. Return it in a file, or choose a smaller `batch_size`." if note else ""
    raise LookupError(f"{missing_output_message(trial, name, outputs)}{hint}")


def best_outputs(objective: Any, result: Any, study: Any) -> BestOutputs:
    """Return the best trial's outputs: promises in a workflow that has called the search, else values.

    Raises:
        TypeError: there is no study, or only a promise that is not a search's.
    """

    def get(name: str) -> Any:
        if isinstance(result, StudyPromise):
            return result.best_output(name)
        kind = stored_output_types(objective)[name]
        return best_output(study, name, kind).read(kind)

    if study is None:
        raise TypeError(
            "There is a best trial once a search has returned its study, and none has here: call the optimizer before "
            "`best`."
        )
    if isinstance(study, Promise) and not isinstance(result, StudyPromise):
        raise TypeError("In a workflow, `best` is of the search that it calls: call the optimizer before `best`.")
    return BestOutputs(objective, get)


def finish_outputs(
    study: optuna.Study, outputs: Mapping[str, Any], inputs: Mapping[str, Any], used: str
) -> list[Reference]:
    """Return the best trial's outputs and inputs for the last task of a search, one for each name.

    Flyte needs a value for each. If the best trial has no such output, it is None, unless the workflow uses it.

    Raises:
        LookupError: an output or an input that is used is missing.
        UntrustedError: an output that is used is not trusted, and may be a pickle.
    """
    references = []
    for find, mark, types in ((best_output, "", outputs), (best_input, INPUT_MARK, inputs)):
        for name, kind in types.items():
            try:
                references.append(find(study, name, kind))
            except (LookupError, UntrustedError):
                if f"{mark}{name}" in decode_names(used):
                    raise
                references.append(make_reference(Literal(scalar=Scalar(none_type=Void()))))
    return references


def best_output_promises(outputs: Any, variables: Mapping[str, str], mark: str = "") -> Callable[[str], Promise]:
    """Return a function that makes the promise of an output and tells the last task that the workflow uses it.

    Args:
        outputs: promises of the outputs of the last task.
        variables: names among these, by the names in the user's task.
        mark: what stands before a name in the input ``USED``.
    """

    def promise(name: str) -> Promise:
        output: Promise = getattr(outputs, variables[name])
        bindings = output.ref.node.bindings
        [position] = [index for index, binding in enumerate(bindings) if binding.var == USED]
        used = {*decode_names(bindings[position].binding.scalar.primitive.string_value), f"{mark}{name}"}
        # The workflow's body uses outputs after the node of the last task was made.
        text = Scalar(primitive=Primitive(string_value=encode_names(sorted(used))))
        bindings[position] = Binding(USED, BindingData(scalar=text))
        return output

    return promise
