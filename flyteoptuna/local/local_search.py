"""First and last steps of a local search: resolve promises, make the study, log and return the result."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.promise import Promise, translate_inputs_to_literals
from flytekit.core.type_engine import TypeEngine
from flytekit.models.interface import Variable

from flyteoptuna.flyte.objective import input_types, origin_signature, stored_output_types
from flyteoptuna.flyte.promises import StudyPromise, copy_promises, promise_value
from flyteoptuna.flyte.references import Reference, make_reference
from flyteoptuna.flyte.workflow_scope import current_scope
from flyteoptuna.local.study_file import StudyFile
from flyteoptuna.local.worker_pool import worker_count
from flyteoptuna.logs import logger
from flyteoptuna.search.best_outputs import INPUT_PREFIX, PREFIX, best_input, best_output
from flyteoptuna.search.request import SearchRequest
from flyteoptuna.storage.local_studies import StudyLink
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.trial.current_trial import current_trial
from flyteoptuna.values.text import plural

if TYPE_CHECKING:
    from flyteoptuna.storage.search_study import SearchStudy


class LocalSearch(NamedTuple):
    """A begun local search: its request, study, settings and fixed inputs."""

    request: SearchRequest
    study: SearchStudy
    settings: SearchSettings
    fixed: dict[str, Reference]  # inputs that all trials share


def begin_local_search(request: SearchRequest) -> LocalSearch:
    """Begin a search: replace each promise by its value, and make or copy the study."""
    from flyteoptuna.search.generation import begin_search

    types = input_types(request.origin)
    settings = request.settings({name: _setting_value(name, value) for name, value in request.counts.items()})
    fixed = {name: _to_literal(name, value, types[name]) for name, value in request.fixed.items()}
    given = None if request.study is None else _copy_given_study(request.study)
    study = begin_search(
        given,
        settings,
        request.directions,
        request.strategies,
        random.SystemRandom().getrandbits(31),
        batches=not request.reuse_pods,
        objective=origin_signature(request.origin),
        workers=worker_count(settings.slots),
    )
    return LocalSearch(request, study, settings, fixed)


def link_study(path: str | os.PathLike[str]) -> StudyLink:
    """Let ``latest`` find the study of a search, unless the search is inside a trial of another."""
    try:
        inside = current_trial().number >= 0
    except RuntimeError:
        # Several trials run in this process.
        inside = True
    return StudyLink(None if inside else path)


def _copy_given_study(study: Any) -> SearchStudy | None:
    # The caller's study stays as it is.
    import optuna

    from flyteoptuna.flyte.study_type import serialise_given_study
    from flyteoptuna.storage.file_format import restore_study

    if not isinstance(study, Promise):
        return restore_study(serialise_given_study(study))
    copy: SearchStudy | None = _to_literal("study", study, optuna.Study | None).read(optuna.Study | None)
    return copy


def _setting_value(name: str, value: Any) -> Any:
    if not isinstance(value, Promise):
        return value
    setting = promise_value(value)
    # A struct holds a whole float as an int.
    return float(setting) if name == "timeout" and setting is not None else setting


def _to_literal(name: str, value: Any, python_type: Any) -> Reference:
    # Flytekit resolves promises, their fields and their items, in lists and dictionaries too.
    variable = Variable(TypeEngine.to_literal_type(python_type), "")
    ctx = FlyteContextManager.current_context()
    literals = translate_inputs_to_literals(ctx, {name: copy_promises(value)}, {name: variable}, {name: python_type})
    return make_reference(literals[name])


def end_local_search(file: StudyFile, search: LocalSearch) -> Any:
    """Log the end of a search and return its result.

    Returns:
        A promise of the study in a workflow's body, else the study.
    """
    request, study = search.request, file.study
    for line in (_end_line(search, study), _best_line(study), file.location_line()):
        if line:
            logger.info("%s", line)
    if current_scope() is None:
        study.file = None if file.error else str(file.path)
        return study
    types = stored_output_types(request.objective)
    best, inputs = None, None
    if len(request.directions) == 1:
        best = functools.partial(_output_promise, study, types)
        inputs = functools.partial(_input_promise, study, request.objective.python_interface.inputs)
    return StudyPromise("study", file.literal(), None, request.param_types, best, None, request.mapped, inputs)


def _output_promise(study: SearchStudy, types: Mapping[str, Any], name: str) -> Promise:
    return Promise(f"{PREFIX}{name}", best_output(study, name, types[name]).literal)


def _input_promise(study: SearchStudy, types: Mapping[str, Any], name: str) -> Promise:
    return Promise(f"{INPUT_PREFIX}{name}", best_input(study, name, types[name]).literal)


def _end_line(search: LocalSearch, study: SearchStudy) -> str:
    from flyteoptuna.search.generation import reason_to_stop_early
    from flyteoptuna.study.system_attrs import search_trials

    n_asked, settings = len(search_trials(study)), search.settings
    if n_asked >= settings.n_trials:
        trials = "its one trial has run" if n_asked == 1 else f"all of its {n_asked:,} trials have run"
        return f"The search has ended: {trials}."
    of = "" if search.request.open_ended else f" of {settings.n_trials}"
    return f"The search has ended after {n_asked}{of} trials: {reason_to_stop_early(study, settings)}."


def _best_line(study: SearchStudy) -> str:
    from flyteoptuna.study.progress import format_params, format_values
    from flyteoptuna.study.results import best_trial

    if len(study.directions) > 1:
        return f"On the Pareto front: {plural(len(study.best_trials), 'trial')}."
    best = best_trial(study)
    if best is None:
        return ""
    return f"The best is trial {best.number}: {format_values(best.values)} with {format_params(best.params)}."
