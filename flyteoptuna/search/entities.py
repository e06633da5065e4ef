"""What both kinds of search make their tasks of: the user's task, the names of its inputs, and how a search starts."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from flyteoptuna.flyte.objective import arity, find, input_types, kept_types, place
from flyteoptuna.flyte.promises import StudyPromise
from flyteoptuna.flyte.references import by_reference
from flyteoptuna.flyte.report_delivery import path_of
from flyteoptuna.flyte.resolver import joined, split
from flyteoptuna.flyte.types.study_attributes import ATTRIBUTES, OF_ONE_OBJECTIVE, PYTHON_TYPES, params_type
from flyteoptuna.search.best_outputs import PREFIX, output, promised_by
from flyteoptuna.search.driver_tasks import INPUT, named_tuple, variables
from flyteoptuna.search.request import Request


@dataclass(frozen=True)
class Entities:
    """The tasks of one search, each made when it is first asked for.

    Args:
        origin: the task to run, or a callback that calls it.
        objective: the task to run.
        mapped: names of the objective's inputs that differ from trial to trial: with a callback, all of them.
        fixed: names of the inputs of ``origin`` that are the same for every trial.
        start: what it starts from; see ``Request.start``.
        directions: directions of the study that is made where none is given; none where they are not known.
        params: the parameters that each trial has, and the names of their types; none where they are not known, and for
            the tasks that they make no difference to.
    """

    BUILDER: ClassVar[str]
    """The function that makes a task again in a container, for the resolver."""

    origin: Any
    objective: Any
    mapped: tuple[str, ...]
    fixed: tuple[str, ...]
    start: str
    directions: tuple[str, ...]
    params: tuple[tuple[str, str], ...] = ()

    @classmethod
    @functools.cache
    def of(cls, *args: Any) -> Any:
        """The tasks of a search with these arguments; one alone, for Flyte has one task a name."""
        return cls(*args)

    @classmethod
    def asked_for(cls, request: Request) -> Any:
        """The tasks of a search that was asked for."""
        names, directions = tuple(request.fixed), request.directions
        params = tuple((request.params or {}).items())
        return cls.of(request.origin, request.objective, request.mapped, names, request.start, directions, params)

    @classmethod
    def rebuilt(cls, role: str, *args: str) -> Any:
        """A task in a fresh process; the arguments are those that the resolver was given."""
        origin, objective = find(*args[:2]), find(*args[2:4])
        mapped, fixed, directions = map(split, args[4:7])
        params = tuple(parse_qsl("".join(args[8:]), keep_blank_values=True))
        return getattr(cls.of(origin, objective, mapped, fixed, args[7], directions, params), role)

    def _args(self, role: str) -> tuple[str, ...]:
        origin, objective = (place(task) for task in (self.origin, self.objective))
        lists = map(joined, (self.mapped, self.fixed, self.directions))
        params = (urlencode(self.params),) if self.params and role == "finish" else ()
        return (self.BUILDER, role, *origin, *objective, *lists, self.start, *params)

    def _name(self, role: str) -> str:
        return ".".join((*filter(None, place(self.origin)), role))

    @functools.cached_property
    def written(self) -> dict[str, Any]:
        """Types of the fixed inputs, by their names in a search, as the user has written them."""
        natives = input_types(self.origin)
        return {variable: natives[name] for name, variable in variables(INPUT, self.fixed).items()}

    @functools.cached_property
    def _fixed(self) -> dict[str, Any]:
        return {variable: by_reference(kind) for variable, kind in self.written.items()}

    def _own_names(self, fixed: dict[str, Any]) -> dict[str, Any]:
        """Fixed inputs by the names that the user has given them."""
        return {name: fixed[variable] for name, variable in variables(INPUT, self.fixed).items()}

    @functools.cached_property
    def _kept(self) -> dict[str, Any]:
        """Types of the outputs of the best trial, by their names; none where several objectives have no best one."""
        return kept_types(self.objective) if arity(self.objective) == 1 else {}

    @functools.cached_property
    def _attributes(self) -> dict[str, Any]:
        """Types of the study's attributes, by their names: outputs of their own, for a conditional takes no fields."""
        names = [name for name in ATTRIBUTES if arity(self.objective) == 1 or name not in OF_ONE_OBJECTIVE]
        special = {"best_params": params_type(dict(self.params))}
        return {name: by_reference(PYTHON_TYPES[name], special.get(name)) for name in names}

    @functools.cached_property
    def _finished(self) -> Any:
        """What the last task outputs."""
        import optuna

        kept = variables(PREFIX, self._kept)
        best = {kept[name]: by_reference(kind) for name, kind in self._kept.items()}
        return named_tuple("Finished", {"study": optuna.Study, **self._attributes, **best})

    def _output(self, study: Any, used: str) -> Any:
        """What the last task outputs.

        Raises:
            SearchFailedError: the workflow uses an output that the best trial does not have.
        """
        from flyteoptuna.flyte.study_type import HeldStudy, attribute_references
        from flyteoptuna.study.stopping import SearchFailedError

        known = attribute_references(study)
        try:
            return self._finished(study, *(known[name] for name in self._attributes), *output(study, self._kept, used))
        except LookupError as error:
            path = path_of(HeldStudy(study))
            raise SearchFailedError(f"{error}\nThe study as it stands: {path}") from None


def asked(request: Request) -> dict[str, Any]:
    """What the first task of a search is given, but for the fixed inputs."""
    study = {} if request.study is None else {"study": request.study}
    return {**request.counts, "space": request.space(), "callbacks": request.pickled, **study}


def fixed_inputs(request: Request) -> dict[str, Any]:
    """The fixed inputs by their names in a search."""
    names = variables(INPUT, request.fixed)
    return {names[name]: value for name, value in request.fixed.items()}


def promised(made: Any, request: Request) -> StudyPromise:
    """The promise of the study that the last task of a search outputs."""
    study, several = made.study, len(request.directions) > 1
    best = None if several else promised_by(made, variables(PREFIX, kept_types(request.objective)))
    return StudyPromise(
        study.var, study.ref, study._type, several, request.params, best, functools.partial(getattr, made)
    )
