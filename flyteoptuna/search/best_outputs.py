"""The outputs of a search's best trial, on their way from the last task of the search into the workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flytekit.core.promise import Promise
from flytekit.models.literals import Binding, BindingData, Literal, Primitive, Scalar, Void

from flyteoptuna.flyte.objective import kept_types
from flyteoptuna.flyte.outputs import Best, missing
from flyteoptuna.flyte.promises import SEVERAL, StudyPromise
from flyteoptuna.flyte.references import Reference, literal_of, reference
from flyteoptuna.flyte.resolver import joined, split

if TYPE_CHECKING:
    import optuna

USED = "used"
"""The input of the last task that names the outputs that the workflow uses."""
NONE_USED = joined(())
PREFIX = "output_"
"""What the names of the outputs begin with, beside those of the last task's own."""


def of_best(study: optuna.Study, name: str) -> Reference:
    """An output of the best trial of a study.

    Raises:
        LookupError: there is none.
    """
    from flyteoptuna.study import results

    if len(study.directions) > 1:
        raise AttributeError(SEVERAL)
    best = results.best(study)
    if best is None:
        raise LookupError(f"No trial of study {study.study_name!r} is the best one, as none is complete and feasible.")
    kept = results.outputs(best)
    if name in kept:
        return reference(literal_of(kept[name]))
    cut = results.cut(best)
    why = f" Its report says: {cut}. Return it in a file, or choose a smaller `batch_size`." if cut else ""
    raise LookupError(f"{missing(f'The best trial, {best.number}, of study {study.study_name!r}', name, kept)}{why}")


def best(objective: Any, result: Any, study: Any) -> Best:
    """The outputs of the best trial, as promises of the workflow that has called the search, or as values.

    Args:
        objective: the objective.
        result: what the search has returned; None where none has been called.
        study: the study of that, or one to go on with.

    Raises:
        TypeError: there is none, or only a promise that is no search's.
    """

    def get(name: str) -> Any:
        if isinstance(result, StudyPromise):
            return result.best_output(name)
        return of_best(study, name).read(kept_types(objective)[name])

    if study is None:
        raise TypeError(
            "There is a best trial once a search has returned its study, and none has here: call the optimizer before "
            "`best`."
        )
    if isinstance(study, Promise) and not isinstance(result, StudyPromise):
        raise TypeError("In a workflow, `best` is of the search that it calls: call the optimizer before `best`.")
    return Best(objective, get)


def output(study: optuna.Study, names: Mapping[str, Any], used: str) -> list[Reference]:
    """What the last task of a search outputs beside the study, one for each of the names.

    Flyte wants a value for each. Where the best trial has none, one that is used is an error, and no other is missed.

    Raises:
        LookupError: an output that is used is missing.
    """
    made = []
    for name in names:
        try:
            made.append(of_best(study, name))
        except LookupError:
            if name in split(used):
                raise
            made.append(reference(Literal(scalar=Scalar(none_type=Void()))))
    return made


def promised_by(made: Any, variables: Mapping[str, str]) -> Callable[[str], Promise]:
    """What makes the promise of an output of the best trial, and tells the last task that it is used.

    Args:
        made: the promises of the last task of a search, in the workflow that is being compiled.
        variables: names of that task's outputs, by the names that the objective gives them.
    """

    def promise(name: str) -> Promise:
        found: Promise = getattr(made, variables[name])
        bindings = found.ref.node.bindings
        [position] = [index for index, binding in enumerate(bindings) if binding.var == USED]
        used = {*split(bindings[position].binding.scalar.primitive.string_value), name}
        # What a workflow uses is known once its body has run, and the node of the task is made before.
        text = Scalar(primitive=Primitive(string_value=joined(sorted(used))))
        bindings[position] = Binding(USED, BindingData(scalar=text))
        return found

    return promise
