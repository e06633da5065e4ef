"""``Optimizer`` and ``optimize``, and every check of what a user passes to them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

import optuna
from flytekit.core.promise import Promise
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.task import ReferenceTask

from flyteoptuna import graph, space


def _count(name: str, value: Any) -> Any:
    if isinstance(value, Promise):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"`{name}` must be a positive int or a promise of one, but got {value!r} ({type(value).__name__})."
        )
    if value < 1:
        raise ValueError(f"`{name} >= 1` must hold, but got {name}={value}.")
    return value


def _objective(objective: Any) -> PythonFunctionTask[Any]:
    plain = isinstance(objective, PythonFunctionTask) and not isinstance(objective, ReferenceTask)
    if not plain or objective.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        raise TypeError(
            f"`objective` must be a plain @task, but got {objective!r} ({type(objective).__name__}): workflows, launch "
            "plans, dynamic, eager and reference tasks cannot be mapped."
        )
    outputs = list(objective.python_interface.outputs.values())
    if not outputs or any(kind is not float for kind in outputs):
        raise TypeError(
            f"`objective` must return a float or a tuple of floats, but {objective.name} returns {outputs}."
        )
    if graph.TRIAL in objective.python_interface.inputs:
        raise ValueError(f"An objective must not have an input named `{graph.TRIAL}`, but {objective.name} has.")
    return objective


class Optimizer:
    """A search over the inputs of an objective. Call it like the objective, with suggestions for some inputs.

    Args:
        objective: a plain task that returns a float.
        concurrency: trials of a batch, all of which run at once; at least 1, an int or a promise of one.
        n_trials: trials in all; at least 1, an int or a promise of one.
        study: the study to go on with, or a promise of one. Default: a new one that minimises.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: a count is below 1, or the study's directions do not fit the objective.
    """

    def __init__(self, objective: Any, concurrency: Any, n_trials: Any, study: Any = None) -> None:
        self.objective = _objective(objective)
        self.concurrency = concurrency
        self.n_trials = n_trials
        self._study = study
        self._check()

    def _check(self) -> None:
        _count("concurrency", self.concurrency)
        _count("n_trials", self.n_trials)
        study = self._study
        if study is None or isinstance(study, Promise):
            return
        if not isinstance(study, optuna.Study):
            raise TypeError(f"`study` must be an optuna.Study, but got {study!r} ({type(study).__name__}).")
        wanted = graph.arity(self.objective)
        if len(study.directions) != wanted:
            raise ValueError(
                f"`study` must have as many directions as the objective has values, but it has "
                f"{len(study.directions)} and {self.objective.name} returns {wanted}."
            )

    @property
    def study(self) -> Any:
        """What the call returned last; before it, the study to go on with."""
        return self._study

    @study.setter
    def study(self, study: Any) -> None:
        self._study = study

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Run the search over ``inputs``; in a workflow, a promise of the study, elsewhere the study itself."""
        self._check()
        bound = self._bind(args, inputs)
        varied = {name: value for name, value in bound.items() if space.has_suggestion(value)}
        fixed = {name: value for name, value in bound.items() if name not in varied}
        self._check_leaves(varied, fixed)
        search = graph.Search(
            objective=self.objective,
            mapped=tuple(varied),
            fixed=tuple(fixed),
            continued=self._study is not None,
            directions=("minimize",) * graph.arity(self.objective),
        )
        given = {} if self._study is None else {"study": self._study}
        counts = {"n_trials": self.n_trials, "batch": self.concurrency, "space": space.dumps(varied)}
        progress = search.search(**counts, **{f"in_{name}": value for name, value in fixed.items()}, **given)
        self._study = search.finish(study=progress.study, reports=progress.reports)
        return self._study

    def _bind(self, args: Sequence[Any], inputs: dict[str, Any]) -> dict[str, Any]:
        known = self.objective.python_interface.inputs_with_defaults
        if len(args) > len(known):
            raise TypeError(f"{self.objective.name} takes {len(known)} inputs, but got {len(args)} positional ones.")
        positional = dict(zip(known, args, strict=False))
        for name in inputs:
            if name in positional:
                raise TypeError(f"Input `{name}` of {self.objective.name} was given twice.")
            if name not in known:
                raise TypeError(f"{self.objective.name} has no input `{name}`; it has: {', '.join(known)}.")
        given = {**positional, **inputs}
        missing = [name for name, (_, default) in known.items() if name not in given and default is None]
        if missing:
            raise TypeError(f"Inputs of {self.objective.name} are missing: {', '.join(missing)}.")
        return {name: given.get(name, default) for name, (_, default) in known.items()}

    def _check_leaves(self, varied: dict[str, Any], fixed: dict[str, Any]) -> None:
        if not varied:
            raise space.SpaceError("At least one input must hold a suggestion, but none does.")
        seen: set[str] = set()
        for name, value in varied.items():
            for path, leaf in space.leaves(value, name):
                if isinstance(leaf, Promise):
                    raise space.SpaceError(
                        f"A promise cannot stand beside suggestions in a dictionary, but `{path}` is one."
                    )
                if space.is_suggestion(leaf) and path in seen:
                    raise space.SpaceError(f"Each suggestion must have a name of its own, but two are named `{path}`.")
                seen.add(path)


@overload
def optimize(objective: PythonFunctionTask[Any]) -> Optimizer: ...
@overload
def optimize(
    objective: None = None, *, concurrency: Any = ..., n_trials: Any = ..., study: Any = ...
) -> Callable[[Any], Optimizer]: ...
def optimize(objective: Any = None, *, concurrency: Any = 1, n_trials: Any = 1, study: Any = None) -> Any:
    """Make an :class:`Optimizer` of a task, with and without parentheses.

    ``concurrency``, ``n_trials`` and ``study`` may be set on it in the workflow body.
    """
    make = functools.partial(Optimizer, concurrency=concurrency, n_trials=n_trials, study=study)
    return make if objective is None else make(objective)
