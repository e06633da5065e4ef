"""``Optimizer`` and ``optimize``: define a search, and start it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from flyteoptuna import optimizer_inputs, optimizer_settings
from flyteoptuna.flyte import objective as objectives
from flyteoptuna.flyte.promises import is_never_none
from flyteoptuna.flyte.split_objective import split_hint
from flyteoptuna.flyte.types.study_attributes import ATTRIBUTES
from flyteoptuna.flyte.workflow_scope import ScopedSettings
from flyteoptuna.local_or_graph import check_call_site, is_local, start_search
from flyteoptuna.search import best_outputs
from flyteoptuna.search.request import SearchRequest
from flyteoptuna.space import space
from flyteoptuna.values.tracebacks import public

if TYPE_CHECKING:
    import optuna

    from flyteoptuna.storage.search_study import SearchStudy

    class StudyOrPromise(SearchStudy):
        """Result of a search for type checkers: a study, or a promise with some of its attributes."""

        best_trial: Any  # in a workflow, the number of the trial
        best_trials: Any  # in a workflow, numbers


_SETTINGS = (
    "concurrency",
    "n_trials",
    "study",
    "batch_size",
    "timeout",
    "callbacks",
    "max_failures",
    "avoid_duplicates",
    "reuse_pods",
    *optimizer_settings.NEW_STUDY_SETTINGS,
)
_MADE_WITH = ("objective", "task")
# Attributes of a study in Python alone.
_OF_STUDIES = ("trials", "get_trials", "directions", "user_attrs", "trials_dataframe", "file")


@public
class Optimizer(ScopedSettings):
    """A hyperparameter search. Call it like the objective, with suggestions in place of some inputs.

    In a workflow, the call adds the search to the graph and returns a promise of the ``optuna.Study``. In plain Python,
    it runs the search and returns the study. ``study`` is the result afterwards. Every setting may be changed by
    assignment, ``optimizer.n_trials = 50``.

    Args:
        objective: a task that returns a float, or a tuple of floats for several directions; or a callback. A task may
            return further outputs: its floats are the trial's values, in order; its ints and bools become user
            attributes; every other output is stored with the trial (see ``best`` and ``flyteoptuna.outputs``). A
            callback has a parameter ``trial``, makes the inputs with the trial's ``suggest_...`` methods, calls a task
            with them, and returns the result of the call. It runs in a driver pod, gets plain values, and must not
            modify data that it passes on.
        concurrency: maximum number of trials that run at once; an int of at least 1, or a promise. Default: 1.
        n_trials: number of trials; an int of at least 1, or a promise. Default: None, as many as start before the
            ``timeout``. A search needs one of the two, at the latest when it is called.
        study: a study to continue, or a promise of one. Default: None, a new study. Excludes ``direction``,
            ``directions``, ``sampler`` and ``pruner``, except beside a promise that may be None: they apply if it is.
        batch_size: number of trials of a generation, which are asked together; an int of at least 1, or a promise.
            Default: ``concurrency``. In a larger batch, a slot that becomes free takes the next trial, but fewer
            results are known when a trial is asked.
        timeout: time from the start of the first generation after which no batch is asked; seconds, a ``timedelta``, a
            promise of seconds, or None (the default) for no limit.
        callbacks: functions of the study and the finished trial, called after each trial is told, in order, like those
            of ``optuna.Study.optimize``. They may call ``study.stop()``. They are pickled by cloudpickle, and copies of
            them run in driver pods; a local search calls copies too. Keep what they collect in the study, by
            ``study.set_user_attr``: the list that a callback of yours appends to stays empty. In batches, the state of
            an object whose ``__call__`` is the callback goes from one call to the next; with ``reuse_pods``, each
            worker has a copy of its own.
        max_failures: maximum number of failed trials; with more, the search fails. An int of at least 0, a promise, or
            None (the default) for no limit.
        avoid_duplicates: ask again until the point is new, a bounded number of times, and end the search once a
            discrete space is exhausted. A bool, or a promise. Default: False.
        reuse_pods: start ``concurrency`` pods that each run one trial after another, instead of a pod for each trial.
            Start-up is paid once a pod, and no slot waits for the rest of a batch; but the order of trials depends on
            their durations, so that a search is not reproducible. Excludes ``batch_size`` and cached objectives.
            Default: False.
        task: the task that a callback calls. Default: the task that its code names. Required where its code names
            several tasks, or none because it calls one through another function.
        direction: direction of a new study, ``minimize`` or ``maximize``. Default: ``minimize``.
        directions: directions of a new study, one for each value; required where the objective returns several.
        sampler: sampler of a new study. Default: TPE with a constant liar.
        pruner: pruner of a new study. Default: None, no pruning.

    Raises:
        TypeError: an argument is unknown or of the wrong type.
        ValueError: a number is out of range, or the study's directions do not match the objective's values.
    """

    _SETTINGS = _SETTINGS
    _MADE_WITH = _MADE_WITH
    objective: Any
    task: Any

    @optimizer_settings.accepts_settings(*_MADE_WITH, *_SETTINGS)
    def __init__(
        self,
        objective: Any,
        concurrency: Any = 1,
        n_trials: Any = None,
        study: Any = None,
        *,
        batch_size: Any = None,
        timeout: Any = None,
        callbacks: Sequence[Callable[..., None]] = (),
        max_failures: Any = None,
        avoid_duplicates: Any = False,
        reuse_pods: bool = False,
        task: Any = None,
        direction: str | optuna.study.StudyDirection | None = None,
        directions: Sequence[str | optuna.study.StudyDirection] | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        object.__setattr__(self, "objective", objectives.check_origin(objective))
        object.__setattr__(self, "task", objectives.check_called_task(task, self.objective))
        self._made_with(
            concurrency=concurrency,
            n_trials=n_trials,
            given=study,
            batch_size=batch_size,
            timeout=timeout,
            callbacks=callbacks,
            max_failures=max_failures,
            avoid_duplicates=avoid_duplicates,
            direction=direction,
            directions=directions,
            sampler=sampler,
            pruner=pruner,
            reuse_pods=reuse_pods,
        )
        self._checked_settings()

    @property
    def study(self) -> StudyOrPromise:
        """Result of the latest call; before the first call, the study to continue.

        Each call starts a search from the study that was assigned, not from the latest result. To continue with the
        result, assign it: ``optimizer.study = optimizer.study``. Assigning a study resets ``direction``,
        ``directions``, ``sampler`` and ``pruner``.
        """
        result = self._get("result")
        return self._get("given") if result is None else result  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        @study.setter
        def study(self, value: Any) -> None: ...

    @property
    def best(self) -> Any:
        """Stored outputs of the best trial, by name: ``optimizer.best.model``.

        In a workflow, each is a promise that you pass on or return; no extra pod runs. In plain Python, it is the
        value. The best trial may lack an output, in an older study for example: in a workflow, that fails the search's
        last task, and only if the workflow uses the output.

        Raises:
            TypeError: there is no study yet.
            AttributeError: the objective has no such output, or the study has several objectives.
            LookupError: there is no best trial, or it lacks the output.
            UntrustedError: it may be a pickle, and the best trial is from a study that was loaded without trust.
        """
        result = self._get("result")
        study = optimizer_settings.check_study(self._get("given"), None, "") if result is None else result
        return best_outputs.best_outputs(self._mapped_task(), result, study)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "study":
            self._set("given", value)
            self._set("result", None)
            for short in optimizer_settings.NEW_STUDY_SETTINGS if value is not None and is_never_none(value) else ():
                self._set(short, None)
        else:
            super().__setattr__(name, value)

    def __call__(self, *args: Any, **inputs: Any) -> StudyOrPromise:
        """Start the search; returns a promise of the study in a workflow, and the study itself in plain Python.

        Args:
            args: inputs of the objective by position.
            inputs: inputs of the objective by name: suggestions, dictionaries with suggestions as leaves, fixed values,
                or promises of fixed values.

        Raises:
            TypeError: an input is unknown, missing or given twice; both ``n_trials`` and ``timeout`` are None;
                ``directions`` are missing for several values; or the call is awaited.
            SpaceError: a suggestion is misplaced, or could suggest a value that its input does not allow.
        """
        optimizer_inputs.refuse_await(sys._getframe(2))  # above the frame of `public`
        check_call_site()
        local = is_local()
        result = start_search(self._request(args, inputs, local=local), local=local)
        self._set("result", result)
        return result  # type: ignore[no-any-return]

    def _request(self, args: Sequence[Any], inputs: Mapping[str, Any], *, local: bool) -> SearchRequest:
        settings = self._checked_settings()
        objective = self._mapped_task()
        directions = optimizer_settings.new_study_directions(
            objective.name,
            objectives.n_objective_values(objective),
            optimizer_settings.check_directions(self.direction, self.directions),
            continued=self._get("given") is not None,
        )
        counts, reuse = settings["counts"], settings["reuse_pods"]
        if reuse:
            optimizer_settings.check_reusable(objective)
        open_ended = counts["n_trials"] is None
        counts["n_trials"] = optimizer_settings.trial_limit(
            counts["n_trials"],
            counts["timeout"],
            counts["batch_size"],
            pods=not (local or reuse),
            given=self.timeout,
        )
        bound = optimizer_inputs.bind_inputs(self.objective, args, inputs, _SETTINGS)
        optimizer_inputs.check_suggestions(self.objective, bound)
        return SearchRequest(
            origin=self.objective,
            objective=objective,
            varied={name: value for name, value in bound.items() if space.contains_suggestion(value, name)},
            fixed={name: value for name, value in bound.items() if not space.contains_suggestion(value, name)},
            directions=directions,
            open_ended=open_ended,
            **settings,
        )

    def _hint(self, name: str) -> str:
        if name in ("optimize", "run", "ask", "tell"):
            return " Call the optimizer itself, with the inputs of the objective."
        if name == "outputs":
            return " Those of the best trial are `best`, and those of any `flyteoptuna.outputs(study, number)`."
        if name in (*ATTRIBUTES, *_OF_STUDIES):
            return self._study_hint(name)
        return super()._hint(name)

    def _study_hint(self, name: str) -> str:
        if self.study is None:
            return f" A study has it, once there is one: `study = optimizer(...)`, and then `study.{name}`."
        try:
            getattr(self.study, name)
        except AttributeError as error:
            return f" {error}"
        except Exception:
            # The study has no complete trial, or several objectives.
            return f" The study may have it: optimizer.study.{name}."
        return f" The study has it: optimizer.study.{name}."

    def _mapped_task(self) -> Any:
        if objectives.is_task(self.objective):
            return self.objective
        known = [self.task] if self.task is not None else objectives.called_tasks(self.objective)
        if len(known) == 1:
            return objectives.check_objective(known[0])
        called = f"names {', '.join(task.name for task in known)}" if known else "names no task"
        rule = f"A callback must call one task, but the code of {self.objective.__qualname__} {called}."
        # A callback that calls a task through another function looks like Optuna's own kind of objective.
        hint = "" if known else split_hint(self.objective)
        other = "If it calls one through another function, say which" if hint else "Say which one it calls"
        raise TypeError(f"{rule} {hint}{chr(10) if hint else ''}{other}: `task=...`.")

    def _checked_settings(self) -> dict[str, Any]:
        """Arguments of a ``SearchRequest``."""
        concurrency = optimizer_settings.check_count("concurrency", self.concurrency)
        counts = {
            "n_trials": None if self.n_trials is None else optimizer_settings.check_count("n_trials", self.n_trials),
            "concurrency": concurrency,
            "batch_size": concurrency
            if self.batch_size is None
            else optimizer_settings.check_count("batch_size", self.batch_size),
            "timeout": optimizer_settings.check_timeout(self.timeout),
            "max_failures": None
            if self.max_failures is None
            else optimizer_settings.check_count("max_failures", self.max_failures, least=0),
            "avoid_duplicates": optimizer_settings.check_flag("avoid_duplicates", self.avoid_duplicates),
        }
        optimizer_settings.check_directions(self.direction, self.directions)
        known = self._called_task()
        given = self._get("given")
        short = [name for name in optimizer_settings.NEW_STUDY_SETTINGS if self._get(name) is not None]
        # Beside a promise that may be None, they are for the study that is created in that case.
        if short and given is not None and is_never_none(given):
            raise TypeError(
                f"`{short[0]}` is of a new study, and `study` has its own: give one of both, but got {short[0]}="
                f"{self._get(short[0])!r} and study={given!r}."
            )
        return {
            "counts": counts,
            "reuse_pods": optimizer_settings.check_reuse_pods(self.reuse_pods, self.batch_size),
            "callbacks": optimizer_settings.check_callbacks(self.callbacks),
            "study": optimizer_settings.check_study(
                given, objectives.n_objective_values(known) if known else None, known.name if known else ""
            ),
            "sampler": optimizer_settings.check_strategy("sampler", self.sampler),
            "pruner": optimizer_settings.check_strategy("pruner", self.pruner),
        }

    def _called_task(self) -> Any:
        """The task to map, or None: where a callback is decorated, the task that it calls may not be defined yet."""
        known = objectives.called_tasks(self.objective) if self.task is None else [self.task]
        return known[0] if len(known) == 1 else None


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
    avoid_duplicates: Any = ...,
    reuse_pods: bool = ...,
    task: Any = ...,
    direction: str | optuna.study.StudyDirection | None = ...,
    directions: Sequence[str | optuna.study.StudyDirection] | None = ...,
    sampler: optuna.samplers.BaseSampler | None = ...,
    pruner: optuna.pruners.BasePruner | None = ...,
) -> Callable[[Any], Optimizer]: ...
@public
@optimizer_settings.accepts_settings(*_MADE_WITH, *_SETTINGS)
def optimize(objective: Any = None, **settings: Any) -> Any:
    """Decorator that turns a task or a callback into an ``Optimizer``, with or without parentheses.

    Takes the arguments of ``Optimizer``. All of them except ``objective`` and ``task`` may also be assigned later, as
    attributes. An assignment in the body of a workflow holds in that workflow only.
    """

    @public
    def make(decorated: Any) -> Optimizer:
        return Optimizer(decorated, **settings)

    return make if objective is None else make(objective)
