"""Tasks that both kinds of search share: their names, their loader arguments, the outputs of the last one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.promise import Promise

from flyteoptuna.errors import SearchFailedError, UntrustedError
from flyteoptuna.flyte.literal_hashes import restore_hashes
from flyteoptuna.flyte.objective import (
    import_location,
    import_origin,
    input_types,
    n_objective_values,
    stored_output_types,
)
from flyteoptuna.flyte.promises import StudyPromise, promise_literal_type
from flyteoptuna.flyte.references import by_reference, msgpack_fields
from flyteoptuna.flyte.report_transport import study_path
from flyteoptuna.flyte.resolver import decode_names, encode_names
from flyteoptuna.flyte.search_nodes import join_nodes
from flyteoptuna.flyte.types.study_attributes import ATTRIBUTES, OF_ONE_OBJECTIVE, PYTHON_TYPES, params_type
from flyteoptuna.internals.flytekit_internals import rename_map_task
from flyteoptuna.search.best_outputs import INPUT_MARK, INPUT_PREFIX, PREFIX, best_output_promises, finish_outputs
from flyteoptuna.search.driver_tasks import INPUT, output_tuple, variable_names
from flyteoptuna.search.request import SearchRequest

# Largest parallelism of a map in Flyte's messages.
MAX_PARALLELISM = 2**32 - 1


@dataclass(frozen=True)
class SearchTasks:
    """Tasks of one search, each built when it is first used."""

    REBUILD: ClassVar[str]
    """Function that rebuilds a task in a container, as ``module:function``."""

    origin: Any  # task to map, or callback that calls it
    objective: Any  # task to map
    mapped: tuple[str, ...]  # names of the objective's inputs that differ from trial to trial
    fixed: tuple[str, ...]  # names of the inputs of `origin` that all trials share
    start: str  # see `SearchRequest.start`
    directions: tuple[str, ...]  # of a new study; empty if unknown
    params: tuple[tuple[str, str], ...] = ()  # names of the parameters' types, for `finish`; empty if unknown

    @classmethod
    @functools.cache
    def of(cls, *args: Any) -> Any:
        """Return the cached tasks for these arguments: Flyte allows one task per name."""
        return cls(*args)

    @classmethod
    def for_request(cls, request: SearchRequest) -> Any:
        """Return the tasks of a requested search."""
        fixed, params = tuple(request.fixed), tuple((request.param_types or {}).items())
        return cls.of(
            request.origin, request.objective, request.mapped, fixed, request.start, request.directions, params
        )

    @classmethod
    def rebuild_task(cls, role: str, *args: str) -> Any:
        """Rebuild a task in another process, from the loader arguments after the name of the rebuilding function."""
        origin, objective = import_origin(*args[:2]), import_origin(*args[2:4])
        mapped, fixed, directions = map(decode_names, args[4:7])
        params = tuple(parse_qsl("".join(args[8:]), keep_blank_values=True))
        return getattr(cls.of(origin, objective, mapped, fixed, args[7], directions, params), role)

    def _loader_args(self, role: str) -> tuple[str, ...]:
        origin, objective = (import_location(task) for task in (self.origin, self.objective))
        lists = map(encode_names, (self.mapped, self.fixed, self.directions))
        params = (urlencode(self.params),) if self.params and role == "finish" else ()
        return (self.REBUILD, role, *origin, *objective, *lists, self.start, *params)

    def _task_name(self, role: str) -> str:
        return ".".join((*filter(None, import_location(self.origin)), role))

    @property
    def by_callback(self) -> bool:
        """Whether a callback makes the inputs; the fixed inputs are then those of the callback."""
        return self.origin is not self.objective

    @functools.cached_property
    def fixed_types(self) -> dict[str, Any]:
        """Types of the fixed inputs in the user's task, by their names in the search's tasks."""
        types = input_types(self.origin)
        return {variable: types[name] for name, variable in self.fixed_variables.items()}

    @functools.cached_property
    def fixed_variables(self) -> dict[str, str]:
        """Names of the fixed inputs in the search's tasks, by those in the user's task."""
        return variable_names(INPUT, self.fixed)

    @functools.cached_property
    def _fixed_references(self) -> dict[str, Any]:
        return {variable: by_reference(kind) for variable, kind in self.fixed_types.items()}

    def by_variable(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Fixed inputs by their names in the search's tasks."""
        return {variable: fixed[name] for name, variable in self.fixed_variables.items()}

    def _by_user_name(self, fixed: dict[str, Any], hashes: Mapping[str, Any] = {}) -> dict[str, Any]:
        """Fixed inputs by their names in the user's task, with the hashes that they had before they were bound."""
        return restore_hashes({name: fixed[variable] for name, variable in self.fixed_variables.items()}, hashes)

    @functools.cached_property
    def _stored_types(self) -> dict[str, Any]:
        """Types of the best trial's outputs, by name; empty with several objectives, which have no best trial."""
        return stored_output_types(self.objective) if n_objective_values(self.objective) == 1 else {}

    @functools.cached_property
    def _input_types(self) -> dict[str, Any]:
        """Types of the best trial's inputs that differ from trial to trial, by name; empty with several objectives."""
        types = self.objective.python_interface.inputs
        return {name: types[name] for name in self.mapped} if n_objective_values(self.objective) == 1 else {}

    @functools.cached_property
    def _attribute_types(self) -> dict[str, Any]:
        """Types of the study's attributes, by name.

        Each is an output of its own, because Flyte's conditionals cannot compare a field of a struct.
        """
        names = [name for name in ATTRIBUTES if n_objective_values(self.objective) == 1 or name not in OF_ONE_OBJECTIVE]
        literal_types = {"best_params": params_type(dict(self.params))}
        return {name: by_reference(PYTHON_TYPES[name], literal_types.get(name)) for name in names}

    @functools.cached_property
    def _finish_output(self) -> Any:
        """Output type of the last task."""
        import optuna

        best: dict[str, Any] = {}
        for prefix, types in ((PREFIX, self._stored_types), (INPUT_PREFIX, self._input_types)):
            best |= {variable: by_reference(types[name]) for name, variable in variable_names(prefix, types).items()}
        return output_tuple("Finished", {"study": by_reference(optuna.Study), **self._attribute_types, **best})

    def _finish_with(self, study: Any, used: str) -> Any:
        """Return the outputs of the last task: study, attributes, and outputs and inputs of the best trial.

        Raises:
            SearchFailedError: the workflow uses an output that the best trial does not have, or that is not trusted.
        """
        from flyteoptuna.flyte.study_type import StudyReference, attribute_references

        reference = StudyReference(study)
        try:
            outputs = finish_outputs(study, self._stored_types, self._input_types, used)
        except (LookupError, UntrustedError) as error:
            raise SearchFailedError(f"{error}\nThe study as it stands: {study_path(reference)}") from None
        attributes = attribute_references(msgpack_fields(reference.literal))
        return self._finish_output(reference, *(attributes[name] for name in self._attribute_types), *outputs)


@functools.cache
def map_task(task: Any, bound: tuple[str, ...], concurrency: int) -> ArrayNodeMapTask:
    """Return the map over a task, which succeeds even if every element is lost.

    Args:
        task: trial task or worker.
        bound: names of the inputs that all elements share.
        concurrency: maximum number of elements that run at once; 0 for all.
    """
    at_once = min(concurrency, MAX_PARALLELISM)
    mapped = ArrayNodeMapTask(task, concurrency=at_once, min_success_ratio=0.0, bound_inputs={*bound})
    # Flytekit names a map after its module and function, which two searches over one objective share.
    rename_map_task(mapped, task.name)
    return mapped


def search_inputs(request: SearchRequest) -> dict[str, Any]:
    """Inputs of the first task of a search, without the fixed inputs."""
    study = {} if request.study is None else {"study": request.study}
    return {**request.counts, "space": request.space_json(), "strategies": request.strategies, **study}


def study_promise(begun: Promise, outputs: Any, request: SearchRequest) -> StudyPromise:
    """Promise of the study.

    Args:
        begun: promise of an output of the first task.
        outputs: promises of the outputs of the last task.
        request: the search.
    """
    study = outputs.study
    join_nodes(begun, study)
    best, best_input = None, None
    if len(request.directions) == 1:
        best = best_output_promises(outputs, variable_names(PREFIX, stored_output_types(request.objective)))
        best_input = best_output_promises(outputs, variable_names(INPUT_PREFIX, request.mapped), INPUT_MARK)
    attribute = functools.partial(getattr, outputs)
    literal_type = promise_literal_type(study)
    return StudyPromise(
        study.var, study.ref, literal_type, request.param_types, best, attribute, request.mapped, best_input
    )
