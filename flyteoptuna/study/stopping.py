"""End of a search: stopped, timeout, exhausted space, or too many failures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.errors import SearchFailedError
from flyteoptuna.internals.optuna_internals import is_grid_exhausted
from flyteoptuna.space.space import iter_suggestions
from flyteoptuna.space.suggestions import Suggestion, can_suggest, count_values
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.ask import params_key
from flyteoptuna.study.results import failure_key, failure_reason
from flyteoptuna.study.system_attrs import FINISHED, require_search_mark, search_trials

# Number of failed trials after which a search without any other outcome ends.
MIN_TRIALS_TO_GIVE_UP = 10


def stop_or_timeout_reason(study: SearchStudy, *, timeout: float | None = None, now: float | None = None) -> str:
    """Reason why a search asks no further trial; empty while it goes on. ``timeout`` counts seconds from its start."""
    if study.stopped:
        return "stopped"
    passed = (time.time() if now is None else now) - require_search_mark(study).start
    if timeout is not None and passed >= timeout:
        return f"its timeout of {timeout:g} s has passed"
    return ""


def is_exhausted(study: optuna.Study, inputs: Mapping[str, Any] | None = None) -> bool:
    """Test whether each point of the sampler's grid, or of the space of ``inputs``, has been asked.

    Points of other grids and spaces, from earlier searches, do not count.
    """
    sampler = study.sampler
    if isinstance(sampler, optuna.samplers.GridSampler):
        return is_grid_exhausted(sampler, study.get_trials(deepcopy=False))
    space = dict(iter_suggestions(inputs or {}))
    points = math.prod(map(count_values, space.values())) if space else math.inf
    if points == math.inf:
        return False
    return len({params_key(t) for t in study.get_trials(deepcopy=False) if _is_in_space(t.params, space)}) >= points


def _is_in_space(params: Mapping[str, Any], space: Mapping[str, Suggestion]) -> bool:
    return params.keys() == space.keys() and all(can_suggest(space[name], params[name]) for name in space)


def check_failures(study: optuna.Study, *, last: bool, max_failures: int | None = None) -> None:
    """Raise if a search has failed; ``last`` says whether no further trial is asked.

    Raises:
        SearchFailedError: more trials failed than allowed; or all of the first ``MIN_TRIALS_TO_GIVE_UP`` or more
            failed; or ``last`` is set and no trial completed. Quotes the first causes.
    """
    failed = search_trials(study, TrialState.FAIL)
    if not failed and not last:
        return
    finished = search_trials(study, *FINISHED)
    completed = any(t.state == TrialState.COMPLETE for t in (finished or study.get_trials(deepcopy=False)))
    if max_failures is not None and len(failed) > max_failures:
        share = f"{len(failed)} of {len(finished)}" if len(failed) < len(finished) else f"all {len(failed)}"
        reason = f"`max_failures={max_failures}` was exceeded: {share} trials failed."
    elif len(failed) == len(finished) >= MIN_TRIALS_TO_GIVE_UP:
        reason = f"All of the first {len(finished)} trials failed."
    elif last and not finished and not completed:
        reason = "No trial was asked: its study was stopped, its sampler was exhausted, or the timeout had passed."
    elif last and not completed:
        reason = f"No trial completed: {_describe_outcomes(len(failed), len(finished) - len(failed))}."
    else:
        return
    raise SearchFailedError("\n".join([reason, *_quote_causes(failed)]))


def _describe_outcomes(n_failed: int, n_pruned: int) -> str:
    """Numbers of failed and pruned trials in words: ``all 8 failed``, ``1 failed and 7 were pruned``."""
    total, were = n_failed + n_pruned, "was" if n_pruned == 1 else "were"
    if n_failed and n_pruned:
        return f"{n_failed} failed and {n_pruned} {were} pruned"
    return f"{'the only one' if total == 1 else f'all {total}'} {f'{were} pruned' if n_pruned else 'failed'}"


def _quote_causes(failed: Sequence[FrozenTrial], most: int = 3) -> Iterator[str]:
    seen: set[str] = set()
    for trial in failed:
        cause = failure_reason(trial)
        head = cause.partition("\n")[0]
        key = failure_key(head, trial.number)
        if key not in seen and len(seen) < most:
            # The first cause is quoted whole, because it is likely to be the cause of the others.
            yield f"Trial {trial.number}: {cause if not seen else head}"
            seen.add(key)
