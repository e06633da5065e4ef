"""The settings of an ``Optimizer``, each checked: an error says the rule, the value, and what to write instead."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from flytekit.core.promise import Promise

from flyteoptuna.core.plain_values import plain
from flyteoptuna.core.plan import at_least
from flyteoptuna.core.refusal_words import got, listed, meant
from flyteoptuna.flyte import promises
from flyteoptuna.flyte.types.study_attributes import STUDY

Made = TypeVar("Made", bound=Callable[..., Any])

MOST = 2**63 - 1
"""Flyte's greatest int."""

OF_A_NEW_STUDY = ("direction", "directions", "sampler", "pruner")
"""The settings that are the short form of a study."""

_IN_A_STUDY = "is of a study: pass study=optuna.create_study({0}=...)"
ELSEWHERE = {
    "study_name": _IN_A_STUDY.format("study_name"),
    "load_if_exists": "is of a study: pass study=optuna.load_study(...)",
    "storage": "is not needed, for Flyte carries the study; `flyteoptuna export` writes it to a database",
    "n_jobs": "is called `concurrency` here",
    "max_workers": "is called `concurrency` here",
    "delay": "is not needed: a batch starts at once, `concurrency` trials at a time",
    "catch": "is not needed: whatever a trial raises fails that trial alone, and `max_failures` says how many may",
    "gc_after_trial": "is not needed: each trial runs in a pod of its own",
    "show_progress_bar": "is not needed: a terminal shows a bar, and a pod its deck",
    "metrics": "is of a study: pass study= after study.set_metric_names([...])",
    "metric_names": "is of a study: pass study= after study.set_metric_names([...])",
    "seed": "is of a sampler: pass sampler=optuna.samplers.TPESampler(seed=...)",
    "func": "is called `objective` here",
    "fn": "is called `objective` here",
    "n_startup_trials": "is of a sampler: pass sampler=optuna.samplers.TPESampler(n_startup_trials=...)",
    "retries": "is of the objective: @task(retries=...)",
    "cache": "is of the objective: @task(cache=...)",
    "requests": "is of the objective: @task(requests=...)",
    "limits": "is of the objective: @task(limits=...)",
    "container_image": "is of the objective: @task(container_image=...)",
    "max_trials": "is called `n_trials` here",
    "trials": "is called `n_trials` here",
}
"""What Optuna and Flyte have elsewhere, and what is written here."""


def unknown(name: str, known: Sequence[str], of: str) -> str:
    """What is wrong with a setting that there is none of."""
    if name in ELSEWHERE:
        return f"`{name}` {ELSEWHERE[name]}."
    return f"{of} has no setting `{name}`; it has: {listed(known)}.{meant(name, known)}"


def settings_of(*known: str) -> Callable[[Made], Made]:
    """Make a function refuse what is passed by a keyword that is not known, in words that say what is."""

    def decorate(function: Made) -> Made:
        @functools.wraps(function)
        def checked(*args: Any, **settings: Any) -> Any:
            for name in settings:
                if name not in known:
                    raise TypeError(unknown(name, known, "Optimizer"))
            return function(*args, **settings)

        return cast("Made", checked)

    return decorate


def count(name: str, value: Any, least: int = 1) -> Any:
    """A count, or a promise of one.

    Raises:
        TypeError: it is of another type.
        ValueError: it is too small, or more than Flyte's ints hold.
    """
    value = plain(value)
    if isinstance(value, Promise):
        promises.check(name, value, "int", optional=name == "max_failures")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"`{name}` must be {'a positive' if least else 'a non-negative'} int or a promise of one, but got "
            f"{got(value)}."
        )
    at_least(name, value, least)
    if value > MOST:
        raise ValueError(f"`{name} <= {MOST}` must hold, for Flyte's ints have 64 bits, but got {got(value)}.")
    return value


def seconds(timeout: Any) -> Any:
    """A timeout in seconds, or a promise of one; None for no limit.

    Raises:
        TypeError: it is of another type.
        ValueError: it is negative.
    """
    timeout = plain(timeout)
    if isinstance(timeout, Promise):
        promises.check("timeout", timeout, "float", optional=True)
    if timeout is None or isinstance(timeout, Promise):
        return timeout
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"`timeout` must be seconds, a timedelta or a promise of seconds, but got {got(timeout)}.")
    at_least("timeout", timeout, 0)
    # Beyond what a float holds there is no limit either.
    return float(timeout) if timeout < MOST else None


def flag(name: str, value: Any) -> Any:
    """A bool, or a promise of one.

    Raises:
        TypeError: it is of another type, as "no" and 1 are.
    """
    value = plain(value)
    if isinstance(value, Promise):
        promises.check(name, value, "bool")
    elif not isinstance(value, bool):
        raise TypeError(f"`{name}` must be a bool or a promise of one, but got {got(value)}.")
    return value


def reuse_pods(value: Any, batch_size: Any) -> bool:
    """Whether pods are to be reused, which is known where the search is written.

    Raises:
        TypeError: it is no bool.
        ValueError: there are batches.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise TypeError(f"`reuse_pods` must be a bool, but got {got(value)}.")
    if value and batch_size is not None:
        raise ValueError(
            f"With `reuse_pods` there are no batches, but got batch_size={batch_size!r}: `concurrency` is the "
            "number of pods."
        )
    return value


def callbacks(given: Any) -> list[Callable[..., None]]:
    """Optuna's callbacks.

    Raises:
        TypeError: there is no list of them.
    """
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"`callbacks` must be a list of callables, but got {got(given)}.")
    for callback in given:
        if isinstance(callback, (Promise, type)) or not callable(callback):
            raise TypeError(f"`callbacks` must be callables, but got {got(callback)}.")
        if inspect.iscoroutinefunction(callback) or not _takes_two(callback):
            raise TypeError(
                f"`callbacks` must be called as `callback(study, trial)`, and not be async, but got {got(callback)}."
            )
    return [*given]


def _takes_two(callback: Callable[..., None]) -> bool:
    try:
        inspect.signature(callback).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        # Some that are written in C do not tell.
        return True
    return True


def directions(direction: Any, given: Any) -> tuple[str, ...] | None:
    """The directions of a new study, from either of optuna's ways to say them; None where neither is used.

    Raises:
        TypeError: there are both, or one is no direction.
        ValueError: one is no direction.
    """
    if direction is not None and given is not None:
        raise TypeError(f"`direction` and `directions` must not both be given, but got {direction!r} and {given!r}.")
    if direction is None and given is None:
        return None
    if given is None:
        return (_direction("direction", direction),)
    if isinstance(given, (str, Promise)) or not isinstance(given, (list, tuple)) or not given:
        raise TypeError(
            f"`directions` must be a list of directions, as ['minimize', 'maximize'], but got {got(given)}."
        )
    return tuple(_direction("directions", each) for each in given)


def _direction(name: str, value: Any) -> str:
    # Of optuna's enum, which need not be imported.
    word = value.name.lower() if type(value).__name__ == "StudyDirection" else value
    if not isinstance(word, str) or isinstance(word, Promise):
        raise TypeError(f"`{name}` must be 'minimize' or 'maximize', but got {got(value)}.")
    if word not in ("minimize", "maximize"):
        near = meant(word.lower()[:3] + "imize", ("minimize", "maximize"))
        raise ValueError(f"`{name}` must be 'minimize' or 'maximize', but got {got(value)}.{near}")
    return word


def directions_for(objective: str, arity: int, given: tuple[str, ...] | None, *, continued: bool) -> tuple[str, ...]:
    """The directions of a new study, one for each value of an objective.

    Args:
        objective: the name of the objective.
        arity: number of its values.
        given: the directions that were given; None for none.
        continued: whether there is a study, which has its own.

    Raises:
        TypeError: an objective of several values has no directions.
        ValueError: there are more or fewer than values.
    """
    if given is None:
        if arity > 1 and not continued:
            example = ["minimize"] * arity
            raise TypeError(
                f"`directions` must be given where an objective returns several values, but {objective} returns "
                f"{arity} and there are none: write directions={example}, or study=."
            )
        return ("minimize",) * arity
    if len(given) != arity:
        raise ValueError(
            f"`directions` must be as many as the objective has values, but {objective} returns {arity} and got "
            f"{list(given)}."
        )
    return given


def strategy(name: str, value: Any) -> Any:
    """A sampler or a pruner of optuna.

    Raises:
        TypeError: it is none.
    """
    if value is None:
        return None
    import optuna

    kind: type = {"sampler": optuna.samplers.BaseSampler, "pruner": optuna.pruners.BasePruner}[name]
    if isinstance(value, type) and issubclass(value, kind):
        raise TypeError(f"`{name}` must be an object, but got the class itself: write {value.__name__}(...).")
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be one of optuna.{name}s, as a {kind.__name__}, but got {got(value)}.")
    return value


def study(given: Any, wanted: int | None, objective: str) -> Any:
    """A study to go on with, or a promise of one.

    Args:
        given: what was passed.
        wanted: the number of directions that it must have; None where that is not known.
        objective: the name of the objective.

    Raises:
        TypeError: it is of another type.
        ValueError: it has another number of directions.
    """
    if given is None:
        return None
    if isinstance(given, Promise):
        promises.check("study", given, STUDY, optional=True)
        return given
    import optuna

    if not isinstance(given, optuna.Study):
        path = isinstance(given, str) or hasattr(given, "__fspath__")
        hint = " Load it: study=flyteoptuna.load_study(..., trusted=True)." if path else ""
        raise TypeError(f"`study` must be an optuna.Study, but got {got(given)}.{hint}")
    if wanted is not None and len(given.directions) != wanted:
        raise ValueError(
            f"`study` must have as many directions as the objective has values, but it has "
            f"{len(given.directions)} and {objective} returns {wanted}."
        )
    return given


PODS_TAKE, TRIALS_TAKE = 3.0, 0.001
"""Seconds that no generation is shorter than: where Flyte starts pods for it, and where it starts none."""


def trials(n_trials: Any, timeout: Any, batch: Any, *, pods: bool) -> Any:
    """The trials of a search in all; where a timeout alone is given, more than can be run until then.

    Args:
        n_trials: what was given; None for until the timeout.
        timeout: seconds, a promise of them, or None for no limit.
        batch: trials of a generation, or a promise of them.
        pods: whether each generation is run by pods of its own.

    Raises:
        TypeError: nothing says how long the search is, or not before it runs.
    """
    if n_trials is not None:
        return n_trials
    if timeout is None:
        raise TypeError("`n_trials` or a `timeout` must be given: one says how many trials, the other for how long.")
    if isinstance(timeout, Promise) or isinstance(batch, Promise):
        raise TypeError(
            "`n_trials` must be given where `timeout`, `concurrency` or `batch_size` is a promise: without it, the "
            "generations are counted where the search is written."
        )
    generations = 1 + math.ceil(timeout / (PODS_TAKE if pods else TRIALS_TAKE))
    return min(MOST, batch * generations)
