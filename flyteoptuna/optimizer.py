"""``Optimizer`` and ``optimize``, and every check of what a user passes to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, overload

from flytekit.core.base_task import Task
from flytekit.core.launch_plan import LaunchPlan
from flytekit.core.promise import Promise
from flytekit.core.workflow import WorkflowBase

from flyteoptuna.core import space
from flyteoptuna.core.annotations import check_input
from flyteoptuna.core.plan import at_least
from flyteoptuna.core.suggestions import SpaceError, is_suggestion
from flyteoptuna.flyte import objective as objectives
from flyteoptuna.flyte import promises
from flyteoptuna.flyte.scoped import Scoped
from flyteoptuna.search import graph, local_run
from flyteoptuna.search.request import Request
from flyteoptuna.search.worker import refuse_while_loading


def _count(name: str, value: Any, least: int = 1, *, optional: bool = False) -> None:
    if isinstance(value, Promise):
        promises.check(name, value, "int", optional=optional)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"`{name}` must be {'a positive' if least else 'a non-negative'} int or a promise of one, "
            f"but got {value!r} ({type(value).__name__})."
        )
    else:
        at_least(name, value, least)


def _seconds(timeout: Any) -> Any:
    if isinstance(timeout, Promise):
        promises.check("timeout", timeout, "float", optional=True)
    if timeout is None or isinstance(timeout, Promise):
        return timeout
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(
            f"`timeout` must be seconds, a timedelta or a promise of seconds, but got {timeout!r} "
            f"({type(timeout).__name__})."
        )
    at_least("timeout", timeout, 0)
    return float(timeout)


def _callback(function: Any) -> Any:
    """The callback, if a driver pod can find it and knows the types of its inputs."""
    name = getattr(function, "__qualname__", repr(function))
    parameters = inspect.signature(function).parameters
    if "trial" not in parameters:
        raise TypeError(
            f"`objective` must be a @task, or a callback with a parameter named `trial`, but {name} takes "
            f"({', '.join(parameters)})."
        )
    if "<" in name or not hasattr(function, "__module__"):
        raise ValueError(f"A callback must be a function at the top of a module, for pods to find it, but got {name}.")
    types = objectives.input_types(function)
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"Each parameter of a callback must have a name, but {name} takes `{parameter}`.")
        if parameter.name != "trial" and parameter.name not in types:
            raise TypeError(
                f"Each parameter of a callback must have a type, but `{parameter.name}` of {name} has none."
            )
    return function


def _origin(objective: Any) -> Any:
    entity = isinstance(objective, (Task, WorkflowBase, LaunchPlan))
    if inspect.isfunction(objective) and not entity:
        return _callback(objective)
    return objectives.check_objective(objective)


def _task(task: Any, objective: Any) -> Any:
    if task is None:
        return None
    if objectives.is_task(objective):
        raise TypeError(f"`task` says what a callback calls, but `objective` is the task {objective.name} itself.")
    return objectives.check_objective(task)


class Optimizer(Scoped):
    """A search over the inputs of an objective. Call it like the objective, with suggestions for some inputs.

    In a workflow the call returns a promise of the ``optuna.Study``, which ``study`` then is as well. In ordinary
    Python it runs the search, and returns the study itself.

    Args:
        objective: a plain task that returns a float, or a tuple of floats for several directions; or a callback with a
            parameter ``trial``, which makes the inputs with the trial's ``suggest_...`` methods and returns what its
            call of such a task returns. A callback runs in a driver pod, gets plain values, and must not change data
            that it hands on.
        concurrency: trials that run at once; at least 1, an int or a promise of one.
        n_trials: trials in all; at least 1, an int or a promise of one.
        study: the study to go on with, or a promise of one. Default: a new one that minimises every value.
        batch_size: trials of a generation, which are asked together; at least 1, an int or a promise of one. Default:
            ``concurrency``. In a larger batch the slots are filled again as trials end, but the trials know less of
            each other.
        timeout: seconds or a ``timedelta`` from the first generation's start, after which no batch is asked; a float,
            a promise of one, or None (the default) for no limit.
        callbacks: called after each tell, in trial order, with the study and the finished trial, as those of
            ``optuna.Study.optimize``; they may call ``study.stop()``. They run in driver pods, by cloudpickle.
        max_failures: most trials that may fail before the search ends in an error; at least 0, an int, a promise of
            one, or None (the default) for no limit.
        avoid_duplicates: ask a trial again, a bounded number of times, where its point has been run or is running,
            and end the search when a discrete space is exhausted. Default: False.
        task: the task that a callback calls. Default: the one that its code names; only where that names several, or
            calls one by a function of yours, it has to be said.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: a number is out of range, or the study's directions do not fit the objective.
    """

    SETTINGS = (
        "concurrency",
        "n_trials",
        "study",
        "batch_size",
        "timeout",
        "callbacks",
        "max_failures",
        "avoid_duplicates",
    )
    objective: Any
    task: Any

    def __init__(
        self,
        objective: Any,
        concurrency: Any = 1,
        n_trials: Any = 1,
        study: Any = None,
        *,
        batch_size: Any = None,
        timeout: Any = None,
        callbacks: Sequence[Callable[..., None]] = (),
        max_failures: Any = None,
        avoid_duplicates: bool = False,
        task: Any = None,
    ) -> None:
        object.__setattr__(self, "objective", _origin(objective))
        object.__setattr__(self, "task", _task(task, self.objective))
        self._made_with(
            concurrency=concurrency,
            n_trials=n_trials,
            given=study,
            batch_size=batch_size,
            timeout=timeout,
            callbacks=callbacks,
            max_failures=max_failures,
            avoid_duplicates=avoid_duplicates,
        )
        self._check()

    @property
    def study(self) -> Any:
        """What the latest call returned; before it, the study to go on with.

        Each call is a search of its own, which goes on with the study that was set, not with the latest result. To go
        on with that, set it: ``optimizer.study = optimizer.study``.
        """
        result = self._get("result")
        return self._get("given") if result is None else result

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "study":
            self._set("given", value)
            self._set("result", None)
        else:
            super().__setattr__(name, value)

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Run the search over ``inputs``; in a workflow, a promise of the study, elsewhere the study itself.

        Raises:
            TypeError: an input is unknown, missing or given twice.
            SpaceError: a suggestion is in the wrong place, or does not fit the type of its input.
        """
        refuse_while_loading()
        self._check()
        objective = self._mapped()
        bound = self._bind(args, inputs)
        varied = {name: value for name, value in bound.items() if space.has_suggestion(value)}
        fixed = {name: value for name, value in bound.items() if name not in varied}
        self._check_space(varied, fixed)
        request = Request(
            origin=self.objective,
            objective=objective,
            varied=varied,
            fixed=fixed,
            study=self._get("given"),
            counts={
                "n_trials": self.n_trials,
                "concurrency": self.concurrency,
                "batch_size": self.concurrency if self.batch_size is None else self.batch_size,
                "timeout": _seconds(self.timeout),
                "max_failures": self.max_failures,
                "avoid_duplicates": self.avoid_duplicates,
            },
            callbacks=self.callbacks,
            directions=("minimize",) * objectives.arity(objective),
        )
        result = local_run.run(request) if local_run.is_local() else graph.nodes(request)
        self._set("result", result)
        return result

    def _mapped(self) -> Any:
        """The task to map."""
        if objectives.is_task(self.objective):
            return self.objective
        known = [self.task] if self.task is not None else objectives.named(self.objective)
        if len(known) == 1:
            return objectives.check_objective(known[0])
        called = f"it names {', '.join(task.name for task in known)}" if known else "it names no task"
        raise TypeError(
            f"A callback must call one task, which has to be known before it is run, but of "
            f"{self.objective.__qualname__} {called}. Say which one it calls: `task=...`."
        )

    def _check(self) -> None:
        _count("concurrency", self.concurrency)
        _count("n_trials", self.n_trials)
        if self.batch_size is not None:
            _count("batch_size", self.batch_size)
        if self.max_failures is not None:
            _count("max_failures", self.max_failures, least=0, optional=True)
        _seconds(self.timeout)
        if not isinstance(self.avoid_duplicates, bool):
            raise TypeError(f"`avoid_duplicates` must be a bool, but got {self.avoid_duplicates!r}.")
        if not isinstance(self.callbacks, (list, tuple)):
            raise TypeError(f"`callbacks` must be a list of callables, but got {self.callbacks!r}.")
        for callback in self.callbacks:
            if not callable(callback):
                raise TypeError(f"`callbacks` must be callables, but got {callback!r} ({type(callback).__name__}).")
        if self._get("given") is not None:
            self._check_study(self._get("given"))

    def _check_study(self, study: Any) -> None:
        import optuna

        if isinstance(study, Promise):
            promises.check("study", study, promises.STUDY, optional=True)
            return
        if not isinstance(study, optuna.Study):
            raise TypeError(f"`study` must be an optuna.Study, but got {study!r} ({type(study).__name__}).")
        # What a callback calls may not be defined yet where the callback is decorated.
        known = objectives.named(self.objective) if self.task is None else [self.task]
        wanted = objectives.arity(known[0]) if len(known) == 1 else None
        if wanted is not None and len(study.directions) != wanted:
            raise ValueError(
                f"`study` must have as many directions as the objective has values, but it has "
                f"{len(study.directions)} and {known[0].name} returns {wanted}."
            )

    def _bind(self, args: Sequence[Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        known = objectives.input_types(self.objective)
        name = self.objective.name if objectives.is_task(self.objective) else self.objective.__qualname__
        if len(args) > len(known):
            raise TypeError(f"{name} takes {len(known)} inputs, but got {len(args)} positional ones.")
        positional = dict(zip(known, args, strict=False))
        for key in inputs:
            if key in positional:
                raise TypeError(f"Input `{key}` of {name} was given twice.")
            if key not in known:
                raise TypeError(f"{name} has no input `{key}`; it has: {', '.join(known) or 'none'}.")
        return objectives.completed(self.objective, name, known, {**positional, **inputs})

    def _check_space(self, varied: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        types = objectives.input_types(self.objective)
        for name, value in (*varied.items(), *fixed.items()):
            if not isinstance(value, Promise):
                check_input(value, types[name], name)
        if not objectives.is_task(self.objective):
            for name in varied:
                raise SpaceError(
                    f"A callback suggests by its trial, and its inputs are fixed, but `{name}` holds a suggestion."
                )
            return
        if not varied:
            raise SpaceError("At least one input must hold a suggestion, but none does.")
        seen: set[str] = set()
        for name, value in varied.items():
            for path, leaf in space.leaves(value, name):
                if promises.anywhere(leaf):
                    raise SpaceError(f"A promise cannot stand beside suggestions, but `{path}` is or holds one.")
                if is_suggestion(leaf) and path in seen:
                    raise SpaceError(f"Each suggestion must have a name of its own, but two are named `{path}`.")
                seen.add(path)


@overload
def optimize(objective: Callable[..., Any]) -> Optimizer: ...
@overload
def optimize(
    objective: None = None,
    *,
    concurrency: Any = ...,
    n_trials: Any = ...,
    study: Any = ...,
    batch_size: Any = ...,
    timeout: Any = ...,
    callbacks: Sequence[Callable[..., None]] = ...,
    max_failures: Any = ...,
    avoid_duplicates: bool = ...,
    task: Any = ...,
) -> Callable[[Any], Optimizer]: ...
def optimize(objective: Any = None, **settings: Any) -> Any:
    """Make an :class:`Optimizer` of a task or a callback, with and without parentheses.

    Takes the arguments of :class:`Optimizer`, of which ``concurrency`` and ``n_trials`` are 1 by default. All of them
    may be set as attributes, to values or promises; what the body of a workflow sets holds in that body.
    """

    def make(decorated: Any) -> Optimizer:
        return Optimizer(decorated, **settings)

    return make if objective is None else make(objective)
