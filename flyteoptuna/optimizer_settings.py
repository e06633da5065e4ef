"""Check the settings of an ``Optimizer``. An error states the rule, the value, and what to write instead."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from flytekit.core.promise import Promise

from flyteoptuna.flyte import promises
from flyteoptuna.flyte.types.study_attributes import STUDY_TAG
from flyteoptuna.study.settings import check_at_least, check_direction_count
from flyteoptuna.values.did_you_mean import accepts_keywords, did_you_mean, join_names, value_and_type
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.numbers import MAX_INT
from flyteoptuna.values.text import safe_repr

_F = TypeVar("_F", bound=Callable[..., Any])

# Types of tasks of which a plugin runs the command in several pods: PyTorch and elastic jobs of several nodes, MPI and
# Horovod, TensorFlow.
SEVERAL_PODS = ("pytorch", "mpi", "tensorflow")
# Settings of a new study; they replace a study made by `optuna.create_study`.
NEW_STUDY_SETTINGS = ("direction", "directions", "sampler", "pruner")

_IN_A_STUDY = "is of a study: pass study=optuna.create_study({0}=...)"
# Arguments of Optuna and Flyte that an `Optimizer` does not have, and what to write instead.
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


def unknown_setting(name: str, known: Sequence[str], of: str) -> str:
    """Error message for an unknown setting of the class ``of``."""
    if name in ELSEWHERE:
        return f"`{name}` {ELSEWHERE[name]}."
    return f"{of} has no setting `{name}`; it has: {join_names(known)}.{did_you_mean(name, known)}"


def accepts_settings(*known: str) -> Callable[[_F], _F]:
    """Decorator: raise a ``TypeError`` that suggests what to write, for any keyword argument that is not known."""
    return accepts_keywords(known, lambda name: unknown_setting(name, known, "Optimizer"))


def check_count(name: str, value: Any, least: int = 1) -> Any:
    """Check an int of at least ``least``, or a promise of an int.

    Raises:
        TypeError: it is of another type.
        ValueError: it is too small, or exceeds Flyte's ints.
    """
    value = plain_scalar(value)
    if isinstance(value, Promise):
        promises.check_promise_type(name, value, "int", optional=name == "max_failures")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"`{name}` must be {'a positive' if least else 'a non-negative'} int or a promise of one, but got "
            f"{value_and_type(value)}."
        )
    check_at_least(name, value, least)
    if value > MAX_INT:
        raise ValueError(
            f"`{name} <= {MAX_INT}` must hold, for Flyte's ints have 64 bits, but got {value_and_type(value)}."
        )
    return value


def check_timeout(timeout: Any) -> Any:
    """Check a timeout and convert it to seconds; None for no limit. A promise is unchanged.

    Raises:
        TypeError: it is of another type.
        ValueError: it is negative.
    """
    timeout = plain_scalar(timeout)
    if isinstance(timeout, Promise):
        promises.check_promise_type("timeout", timeout, "float", optional=True)
    if timeout is None or isinstance(timeout, Promise):
        return timeout
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(
            f"`timeout` must be seconds, a timedelta or a promise of seconds, but got {value_and_type(timeout)}."
        )
    check_at_least("timeout", timeout, 0)
    # An infinite or enormous timeout is no limit either.
    return float(timeout) if timeout < MAX_INT else None


def check_flag(name: str, value: Any) -> Any:
    """Check a bool, or a promise of one.

    Raises:
        TypeError: it is of another type, such as "no" or 1.
    """
    value = plain_scalar(value)
    if isinstance(value, Promise):
        promises.check_promise_type(name, value, "bool")
    elif not isinstance(value, bool):
        raise TypeError(f"`{name}` must be a bool or a promise of one, but got {value_and_type(value)}.")
    return value


def check_reuse_pods(value: Any, batch_size: Any) -> bool:
    """Check ``reuse_pods``, which cannot be a promise because it decides the shape of the graph.

    Raises:
        TypeError: it is not a bool.
        ValueError: ``batch_size`` is set too.
    """
    value = plain_scalar(value)
    if not isinstance(value, bool):
        raise TypeError(f"`reuse_pods` must be a bool, but got {value_and_type(value)}.")
    if value and batch_size is not None:
        raise ValueError(
            f"With `reuse_pods` there are no batches, but got batch_size={batch_size!r}: `concurrency` is the "
            "number of pods."
        )
    return value


def check_reusable(objective: Any) -> None:
    """Check that one pod can run several trials of an objective.

    Raises:
        ValueError: it is cached, or its plugin starts several pods.
    """
    if objective.metadata.cache:
        raise ValueError(
            f"With `reuse_pods` there is no pod for each trial, and nothing to cache, but {objective.name} has "
            "`cache=True`."
        )
    if objective.task_type in SEVERAL_PODS:
        raise ValueError(
            f"With `reuse_pods` each worker is one pod, but the plugin of {objective.name} starts several pods for a "
            f"task, of type {objective.task_type!r}: leave `reuse_pods` out."
        )


def check_callbacks(given: Any) -> list[Callable[..., None]]:
    """Check a list of Optuna's callbacks.

    Raises:
        TypeError: it is not a list, or one cannot be called with a study and a trial, or is async.
    """
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"`callbacks` must be a list of callables, but got {value_and_type(given)}.")
    for callback in given:
        if isinstance(callback, (Promise, type)) or not callable(callback):
            raise TypeError(f"`callbacks` must be callables, but got {value_and_type(callback)}.")
        if inspect.iscoroutinefunction(callback) or not _takes_two(callback):
            raise TypeError(
                "`callbacks` must be called as `callback(study, trial)`, and not be async, but got "
                f"{value_and_type(callback)}."
            )
    return [*given]


def _takes_two(callback: Callable[..., None]) -> bool:
    try:
        inspect.signature(callback).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        # Some callables written in C have no signature.
        return True
    return True


def check_directions(direction: Any, given: Any) -> tuple[str, ...] | None:
    """Check ``direction`` and ``directions``, and merge them; None where neither is given.

    Raises:
        TypeError: both are given, or one is of another type.
        ValueError: a string is not a direction.
    """
    if direction is not None and given is not None:
        raise TypeError(f"`direction` and `directions` must not both be given, but got {direction!r} and {given!r}.")
    if direction is None and given is None:
        return None
    if given is None:
        return (_direction("direction", direction),)
    if isinstance(given, (str, Promise)) or not isinstance(given, (list, tuple)) or not given:
        raise TypeError(
            f"`directions` must be a list of directions, as ['minimize', 'maximize'], but got {value_and_type(given)}."
        )
    return tuple(_direction("directions", each) for each in given)


def _direction(name: str, value: Any) -> str:
    # Optuna's enum by name, because optuna need not be imported.
    word = value.name.lower() if type(value).__name__ == "StudyDirection" else value
    if not isinstance(word, str) or isinstance(word, Promise):
        raise TypeError(f"`{name}` must be 'minimize' or 'maximize', but got {value_and_type(value)}.")
    if word not in ("minimize", "maximize"):
        near = did_you_mean(word.lower()[:3] + "imize", ("minimize", "maximize"))
        raise ValueError(f"`{name}` must be 'minimize' or 'maximize', but got {value_and_type(value)}.{near}")
    return word


def new_study_directions(
    objective: str, arity: int, given: tuple[str, ...] | None, *, continued: bool
) -> tuple[str, ...]:
    """Directions of a new study, one for each value of the objective.

    Args:
        objective: name of the objective.
        arity: number of its values.
        given: directions from ``check_directions``; None for the default, ``minimize``.
        continued: whether the search continues a study, which has directions already.

    Raises:
        TypeError: the objective returns several values, and no directions are given.
        ValueError: the number of directions differs from the number of values.
    """
    if given is None:
        if arity > 1 and not continued:
            example = ["minimize"] * arity
            raise TypeError(
                f"`directions` must be given where an objective returns several values, but {objective} returns "
                f"{arity} and there are none: write directions={example}, or study=."
            )
        return ("minimize",) * arity
    check_direction_count("directions", given, arity, objective)
    return given


def check_strategy(name: str, value: Any) -> Any:
    """Check a sampler or a pruner; None for the default.

    Raises:
        TypeError: it is not an instance of Optuna's base class.
    """
    if value is None:
        return None
    import optuna

    kind: type = {"sampler": optuna.samplers.BaseSampler, "pruner": optuna.pruners.BasePruner}[name]
    if isinstance(value, type) and issubclass(value, kind):
        raise TypeError(f"`{name}` must be an object, but got the class itself: write {value.__name__}(...).")
    if not isinstance(value, kind):
        raise TypeError(
            f"`{name}` must be one of optuna.{name}s, as a {kind.__name__}, but got {value_and_type(value)}."
        )
    return value


def check_study(given: Any, wanted: int | None, objective: str) -> Any:
    """Check a study to continue, or a promise of one; None for a new study.

    Args:
        given: the argument ``study``.
        wanted: number of the objective's values; None where it is not known yet.
        objective: name of the objective.

    Raises:
        TypeError: it is of another type.
        ValueError: its number of directions differs from the number of values.
    """
    if given is None:
        return None
    if isinstance(given, Promise):
        promises.check_promise_type("study", given, STUDY_TAG, optional=True)
        return given
    import optuna

    if not isinstance(given, optuna.Study):
        path = isinstance(given, str) or hasattr(given, "__fspath__")
        hint = " Load it: study=flyteoptuna.load_study(..., trusted=True)." if path else ""
        raise TypeError(f"`study` must be an optuna.Study, but got {value_and_type(given)}.{hint}")
    if wanted is not None:
        check_direction_count("study", given.directions, wanted, objective)
    return given


# Minimum duration of a generation, seconds: with pods of its own, and without.
PODS_TAKE, TRIALS_TAKE = 3.0, 0.001


def trial_limit(n_trials: Any, timeout: Any, batch: Any, *, pods: bool, given: Any = None) -> Any:
    """Maximum number of trials; with only a timeout, an upper bound of what fits into it.

    Args:
        n_trials: number of trials, or None for as many as run before the timeout.
        timeout: seconds, a promise of them, or None for no limit.
        batch: number of trials of a generation, or a promise of it.
        pods: whether each generation starts pods.
        given: the argument ``timeout``, which may be too long to be a limit.

    Raises:
        TypeError: neither limit is given, or the number of generations depends on a promise.
    """
    if n_trials is not None:
        return n_trials
    if timeout is None and given is not None:
        raise TypeError(
            f"`n_trials` must be given where the timeout is no limit, but got n_trials=None and timeout="
            f"{safe_repr(given)}: write n_trials=..., or fewer seconds."
        )
    if timeout is None:
        raise TypeError("`n_trials` or a `timeout` must be given: one says how many trials, the other for how long.")
    if isinstance(timeout, Promise) or isinstance(batch, Promise):
        raise TypeError(
            "`n_trials` must be given where `timeout`, `concurrency` or `batch_size` is a promise: without it, the "
            "generations are counted where the search is written."
        )
    generations = 1 + math.ceil(timeout / (PODS_TAKE if pods else TRIALS_TAKE))
    return min(MAX_INT, batch * generations)
