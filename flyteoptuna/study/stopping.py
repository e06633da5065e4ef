"""When a search ends: stopped, out of time, nothing left to ask, or too many failures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.space import suggestions
from flyteoptuna.core.suggestions import Category, Suggestion, n_values
from flyteoptuna.core.trial.report import ERROR_ATTRIBUTE
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study.ask import point
from flyteoptuna.study.system_attrs import FINISHED, own, started

MIN_TRIALS_TO_GIVE_UP = 10
"""A search whose first trials all failed ends once there are this many of them."""


class SearchFailedError(RuntimeError):
    """A search that ended because of its failures, or in which nothing completed; quotes the first cause."""


def over(study: SearchStudy, *, timeout: float | None = None, now: float | None = None) -> str:
    """Why a search is to ask no further batch; empty where it is to go on."""
    if study.stopped:
        return "stopped"
    passed = (time.time() if now is None else now) - started(study)
    if timeout is not None and passed >= timeout:
        return f"its timeout of {timeout:g} s has passed"
    return ""


def exhausted(study: optuna.Study, inputs: Mapping[str, Any] | None = None) -> bool:
    """Whether there is nothing left to ask: no point of a grid, none of a space.

    Points of other grids and of other spaces, which a study that is gone on with may hold, do not count.

    Args:
        study: the study.
        inputs: the inputs with their suggestions, where each point is to be asked once.
    """
    sampler = study.sampler
    if isinstance(sampler, optuna.samplers.GridSampler):
        # Private, because the public `is_exhausted` takes the points that run for open ones.
        attrs = [t.system_attrs for t in study.get_trials(deepcopy=False) if "grid_id" in t.system_attrs]
        own = [a["grid_id"] for a in attrs if sampler._same_search_space(a["search_space"])]
        return len(set(own)) >= len(sampler._all_grids)
    space = dict(suggestions(inputs or {}))
    points = math.prod(map(n_values, space.values())) if space else math.inf
    if points == math.inf:
        return False
    return len({point(t) for t in study.get_trials(deepcopy=False) if _within(t.params, space)}) >= points


def _within(params: Mapping[str, Any], space: Mapping[str, Suggestion]) -> bool:
    return params.keys() == space.keys() and all(_suggests(space[name], params[name]) for name in space)


def _suggests(suggestion: Suggestion, value: Any) -> bool:
    """Whether a suggestion of finitely many values may suggest one."""
    if isinstance(suggestion, Category):
        return any(type(choice) is type(value) and repr(choice) == repr(value) for choice in suggestion.choices)
    if isinstance(value, (bool, str, type(None))) or not suggestion.low <= value <= suggestion.high:
        return False
    steps = (value - suggestion.low) / (suggestion.step or 1)
    return bool(abs(steps - round(steps)) < 1e-6)


def check_failures(study: optuna.Study, *, last: bool, max_failures: int | None = None) -> None:
    """Raise where a search has failed.

    Args:
        study: the study.
        last: whether no further trial is asked.
        max_failures: most trials of the search that may fail.

    Raises:
        SearchFailedError: more trials failed than allowed; or the first ten or more did, and none did not; or it is
            the last call and no trial completed. Quotes the first causes.
    """
    failed = own(study, TrialState.FAIL)
    if not failed and not last:
        return
    finished = own(study, *FINISHED)
    completed = any(t.state == TrialState.COMPLETE for t in (finished or study.get_trials(deepcopy=False)))
    if max_failures is not None and len(failed) > max_failures:
        what = f"`max_failures={max_failures}` was exceeded: {len(failed)} of {len(finished)} trials failed."
    elif len(failed) == len(finished) >= MIN_TRIALS_TO_GIVE_UP:
        what = f"All of the first {len(finished)} trials failed."
    elif last and not finished and not completed:
        what = "No trial was asked: its study was stopped, its sampler was exhausted, or the timeout had passed."
    elif last and not completed:
        rest = " and the others were pruned" if len(failed) < len(finished) else ""
        what = f"No trial completed: of {len(finished)}, {len(failed)} failed{rest}."
    else:
        return
    raise SearchFailedError("\n".join([what, *_causes(failed)]))


def _causes(failed: Sequence[FrozenTrial], most: int = 3) -> Iterator[str]:
    seen: set[str] = set()
    for trial in failed:
        cause = str(trial.user_attrs.get(ERROR_ATTRIBUTE, "no reason is known"))
        head = cause.splitlines()[0] if cause else ""
        if head not in seen and len(seen) < most:
            # The first cause is quoted whole, for it is the likeliest to be the cause of the others.
            yield f"Trial {trial.number}: {cause if not seen else head}"
            seen.add(head)
