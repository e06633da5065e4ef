"""``Optimizer`` and ``optimize``: what a user calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from flyteoptuna import input_checks, setting_checks
from flyteoptuna.core import space
from flyteoptuna.flyte import objective as objectives
from flyteoptuna.flyte.promises import sure
from flyteoptuna.flyte.scoped_settings import Scoped
from flyteoptuna.flyte.types.study_attributes import ATTRIBUTES
from flyteoptuna.search import best_outputs
from flyteoptuna.search.local_or_graph import begin, check_place, is_local
from flyteoptuna.search.request import Request

if TYPE_CHECKING:
    import optuna

    from flyteoptuna.storage.memory import SearchStudy

    class FoundStudy(SearchStudy):
        """What a call returns, to a type checker: a study, or in a workflow a promise with what a study has there."""

        best_trial: Any  # in a workflow, the number
        best_trials: Any  # numbers


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
    *setting_checks.OF_A_NEW_STUDY,
)
_MADE_WITH = ("objective", "task")


class Optimizer(Scoped):
    """A search over the inputs of an objective. Call it like the objective, with suggestions for some inputs.

    In a workflow the call returns a promise of the ``optuna.Study``, which ``study`` then is as well. In ordinary
    Python it runs the search, and returns the study itself.

    Args:
        objective: a plain task that returns a float, or a tuple of floats for several directions; or a callback with a
            parameter ``trial``, which makes the inputs with the trial's ``suggest_...`` methods and returns what its
            call of such a task returns. A callback runs in a driver pod, gets plain values, and must not change data
            that it hands on. A task may return more, as a tuple or a ``NamedTuple``: its floats are the values, in
            their order, its ints and bools user attributes of the trial, and all else is kept with the trial by
            reference; see :attr:`best` and :func:`flyteoptuna.outputs`.
        concurrency: trials that run at once; at least 1, an int or a promise of one.
        n_trials: trials in all; at least 1, an int or a promise of one. None (the default) asks until the ``timeout``,
            one of which each search needs; both may be set later.
        study: the study to go on with, or a promise of one. Default: a new one. The last four arguments, which are of a
            new study, are refused beside one; beside a promise that may be of None they hold where it is.
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
        reuse_pods: start ``concurrency`` pods that run one trial after another, rather than a pod for each trial. No
            slot waits, and start-up is paid once a pod; but trials are asked as others end, so that a search is not
            reproducible. Without batches there is no ``batch_size``, and nothing is cached. Default: False.
        task: the task that a callback calls. Default: the one that its code names; only where that names several, or
            calls one by a function of yours, it has to be said.
        direction: of a new study, ``minimize`` or ``maximize``. Default: ``minimize``.
        directions: of a new study, one for each value of the objective; needed where it returns several.
        sampler: of a new study. Default: TPE with a constant liar.
        pruner: of a new study. Default: none.

    Raises:
        TypeError: an argument is unknown or of the wrong type.
        ValueError: a number is out of range, or the study's directions do not fit the objective.
    """

    _SETTINGS = _SETTINGS
    _MADE_WITH = _MADE_WITH
    objective: Any
    task: Any

    @setting_checks.settings_of(*_MADE_WITH, *_SETTINGS)
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
        object.__setattr__(self, "task", objectives.check_called(task, self.objective))
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
        self._checked()

    @property
    def study(self) -> FoundStudy:
        """What the latest call returned; before it, the study to go on with.

        Each call is a search of its own, which goes on with the study that was set, not with the latest result. To go
        on with that, set it: ``optimizer.study = optimizer.study``. A study that is set takes the place of the
        directions, the sampler and the pruner that were set before.
        """
        result = self._get("result")
        return self._get("given") if result is None else result  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        @study.setter
        def study(self, value: Any) -> None: ...

    @property
    def best(self) -> Any:
        """What the objective of the best trial returned beside its value: ``best.model``, by the output's own name.

        In a workflow each is a promise of the output's own type, for any task or as an output of the workflow; no pod
        makes it. Elsewhere it is the value. A best trial without the output, as one of an older study, is an error:
        in a workflow of the search's last task, and only where the workflow uses it.

        Raises:
            TypeError: no search has been run or continued, so that there is no best trial.
            AttributeError: the objective has no such output, or the study several objectives.
            LookupError: there is no best trial, or it has no such output.
        """
        result = self._get("result")
        study = setting_checks.study(self._get("given"), None, "") if result is None else result
        return best_outputs.best(self._mapped(), result, study)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "study":
            self._set("given", value)
            self._set("result", None)
            for short in setting_checks.OF_A_NEW_STUDY if value is not None and sure(value) else ():
                self._set(short, None)
        else:
            super().__setattr__(name, value)

    def __call__(self, *args: Any, **inputs: Any) -> FoundStudy:
        """Run the search over ``inputs``; in a workflow, a promise of the study, elsewhere the study itself.

        Raises:
            TypeError: an input is unknown, missing or given twice, there is neither ``n_trials`` nor a ``timeout``,
                there are no ``directions`` for several values, or the call is awaited.
            SpaceError: a suggestion is in the wrong place, or does not fit the type of its input.
        """
        check_place()
        input_checks.refuse_await(sys._getframe(1))
        local = is_local()
        result = begin(self._request(args, inputs, local=local), local=local)
        self._set("result", result)
        return result  # type: ignore[no-any-return]

    def _request(self, args: Sequence[Any], inputs: Mapping[str, Any], *, local: bool) -> Request:
        """What a call asks for, once all of it is checked."""
        settings = self._checked()
        objective = self._mapped()
        directions = self._directions(objective)
        counts, reuse = settings["counts"], settings["reuse_pods"]
        if reuse and objective.metadata.cache:
            raise ValueError(
                f"With `reuse_pods` there is no pod for each trial, and nothing to cache, but {objective.name} has "
                "`cache=True`."
            )
        open_ended = counts["n_trials"] is None
        counts["n_trials"] = setting_checks.trials(
            counts["n_trials"], counts["timeout"], counts["batch_size"], pods=not (local or reuse)
        )
        bound = input_checks.bound(self.objective, args, inputs, _SETTINGS)
        input_checks.check_space(self.objective, bound)
        return Request(
            origin=self.objective,
            objective=objective,
            varied={name: value for name, value in bound.items() if space.has_suggestion(value, name)},
            fixed={name: value for name, value in bound.items() if not space.has_suggestion(value, name)},
            directions=directions,
            open_ended=open_ended,
            **settings,
        )

    def _hint(self, name: str) -> str:
        if name in ("optimize", "run", "ask", "tell"):
            return " Call the optimizer itself, with the inputs of the objective."
        if name == "outputs":
            return " Those of the best trial are `best`, and those of any `flyteoptuna.outputs(study, number)`."
        if name in (*ATTRIBUTES, "trials", "directions", "user_attrs", "trials_dataframe"):
            return f" The study has it: optimizer.study.{name}."
        return super()._hint(name)

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

    def _checked(self) -> dict[str, Any]:
        """The settings that a search is asked for with, each checked."""
        concurrency = setting_checks.count("concurrency", self.concurrency)
        counts = {
            "n_trials": None if self.n_trials is None else setting_checks.count("n_trials", self.n_trials),
            "concurrency": concurrency,
            "batch_size": concurrency
            if self.batch_size is None
            else setting_checks.count("batch_size", self.batch_size),
            "timeout": setting_checks.seconds(self.timeout),
            "max_failures": None
            if self.max_failures is None
            else setting_checks.count("max_failures", self.max_failures, least=0),
            "avoid_duplicates": setting_checks.flag("avoid_duplicates", self.avoid_duplicates),
        }
        setting_checks.directions(self.direction, self.directions)
        known = self._known()
        given = self._get("given")
        short = [name for name in setting_checks.OF_A_NEW_STUDY if self._get(name) is not None]
        # Of a promise that may be of None, they are those of the study that is made then.
        if short and given is not None and sure(given):
            raise TypeError(
                f"`{short[0]}` is of a new study, and `study` has its own: give one of both, but got {short[0]}="
                f"{self._get(short[0])!r} and study={given!r}."
            )
        return {
            "counts": counts,
            "reuse_pods": setting_checks.reuse_pods(self.reuse_pods, self.batch_size),
            "callbacks": setting_checks.callbacks(self.callbacks),
            "study": setting_checks.study(
                given, objectives.arity(known) if known else None, known.name if known else ""
            ),
            "sampler": setting_checks.strategy("sampler", self.sampler),
            "pruner": setting_checks.strategy("pruner", self.pruner),
        }

    def _known(self) -> Any:
        """The task to map, or None: what a callback calls may not be defined yet where the callback is decorated."""
        known = objectives.named(self.objective) if self.task is None else [self.task]
        return known[0] if len(known) == 1 else None

    def _directions(self, objective: Any) -> tuple[str, ...]:
        """The directions of the study that is made where none is given, one for each value of the objective."""
        arity = objectives.arity(objective)
        given = setting_checks.directions(self.direction, self.directions)
        return setting_checks.directions_for(objective.name, arity, given, continued=self._get("given") is not None)


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
@setting_checks.settings_of(*_MADE_WITH, *_SETTINGS)
def optimize(objective: Any = None, **settings: Any) -> Any:
    """Make an :class:`Optimizer` of a task or a callback, with and without parentheses.

    Takes the arguments of :class:`Optimizer`. All of them may be set as attributes, to values or promises; what the
    body of a workflow sets holds in that body.
    """

    def make(decorated: Any) -> Optimizer:
        return Optimizer(decorated, **settings)

    return make if objective is None else make(objective)
