"""The sampler: GP-BUCB for most trials, univariate TPE for the rest."""

from __future__ import annotations

import functools
import math
import secrets
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from flyteoptuna.internals.optuna_internals import constraint_values, enqueued_params
from flyteoptuna.sampler.columns import Array, Column, coordinates_of, encode_points
from flyteoptuna.sampler.gaussian_process import Posterior, fit_scales, warp_values

# Told trials before the process is used: `n_startup_trials` of Optuna's samplers.
STARTUP = 10
# One trial in so many is univariate TPE's, which finds its way where the process cannot: many local minima.
TPE_EVERY = 4
# Deviations above the mean that make the upper confidence bound: as in the Vizier paper.
BOUND = 1.8
# Maximum numbers of trials: told ones that the process knows, those that its scales are fitted to, running ones, and
# those whose parameters make the space. They bound the time of an ask to about 0.2 seconds.
MOST_TOLD, MOST_FITTED, MOST_RUNNING, MOST_RECENT = 400, 200, 200, 1_000
# Numbers of candidates, as in the prototype: from everywhere, around the best trials, and around the best candidates.
EVERYWHERE, AROUND, REFINED, BEST_TRIALS, BEST_CANDIDATES = 600, 600, 300, 10, 8
# Standard deviations of steps from the best trials, and from the best candidates of each refinement, as shares of a
# range; and the probability of another choice.
FAR, NEAR, OTHER_CHOICE = 0.3, (0.15, 0.06), 0.2


class BatchSampler(BaseSampler):
    """A sampler for trials that run at the same time, in batches or one by one.

    It proposes the point with the highest upper confidence bound of a Gaussian process, whose mean comes from the told
    trials, and whose deviation knows the running ones as well: GP-BUCB of Desautels, Krause and Burdick (JMLR 2014).
    Optuna's univariate TPE suggests one trial in four, and all of them with several objectives or with constraints.

    Of pruned trials it learns that they are worse than all complete ones, and the later the better; of failed ones that
    they are mediocre. Where all parameters are discrete, it suggests a new point as long as it finds one.

    A suggestion depends on the seed, the number of the trial, and the trials of the study, and on nothing else. So a
    restored study goes on as the original would.

    Args:
        seed: from 0. Default: a random one.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.__setstate__({"seed": secrets.randbits(32) if seed is None else seed})

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self._seed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._seed: int = state["seed"]
        # The trial that was asked last, and how often it was asked again.
        self._asked: tuple[Any, int] = (None, 0)
        # Last arguments and result by function.
        self._results: dict[Callable[..., Any], tuple[tuple[Any, ...], Any]] = {}

    def reseed_rng(self) -> None:
        """Do nothing: copies of the sampler differ by the numbers of their trials."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters of recent trials, as they were last; none for a trial of TPE."""
        asked = study.study_name, trial.number
        self._asked = (asked, self._asked[1] + 1 if self._asked[0] == asked else 0)
        trials = study.get_trials(deepcopy=False)
        by_tpe = (
            len(study.directions) > 1
            or trial.number % TPE_EVERY == TPE_EVERY - 1
            or sum(t.state == TrialState.RUNNING for t in trials) > MOST_RUNNING
            or any(constraint_values(t) for t in trials)
        )
        space: dict[str, BaseDistribution] = {}
        for recent in [] if by_tpe else trials[-MOST_RECENT:]:
            space.update(recent.distributions)
        return {name: space[name] for name in sorted(space) if not space[name].single()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value by univariate TPE."""
        seed = int(self._rng(study, trial, zlib.crc32(param_name.encode())).integers(2**32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            tpe = TPESampler(seed=seed, multivariate=False, constant_liar=True)
        return tpe.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of all parameters of a space, of which the trial may use some."""
        if not search_space:
            return {}
        columns = {name: Column(distribution) for name, distribution in search_space.items()}
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        [fixed] = encode_points(columns, [enqueued_params(trial) or {}])
        candidates = _Candidates([*columns.values()], fixed, self._rng(study, trial))
        told = _rank(others, -1 if study.direction == StudyDirection.MAXIMIZE else 1)
        if len(told) < STARTUP:
            points = candidates.everywhere(STARTUP)
        else:
            # More threads would round differently.
            with _linear_algebra().limit(limits=1, user_api="blas"):
                points = self._propose(columns, candidates, trial.number, others, told)
        decoded = ({n: c.decode(u) for (n, c), u in zip(columns.items(), p, strict=True)} for p in points)
        if any(not column.discrete for column in columns.values()):
            return next(decoded)
        known = {_params_text(t.params, search_space) for t in others}
        first = next(decoded)
        return next((p for p in (first, *decoded) if _params_text(p, search_space) not in known), first)

    def _rng(self, study: optuna.Study, trial: FrozenTrial, *more: int) -> np.random.Generator:
        attempt = self._asked[1] if self._asked[0] == (study.study_name, trial.number) else 0
        return np.random.default_rng([self._seed, trial.number, attempt, *more])

    def _propose(
        self,
        columns: dict[str, Column],
        candidates: _Candidates,
        number: int,
        others: Sequence[FrozenTrial],
        told: list[tuple[tuple[float, ...], FrozenTrial]],
    ) -> Array:
        """Candidates by descending upper confidence bound."""
        running = [t for t in others if t.state == TrialState.RUNNING and t.params.keys() & columns.keys()]
        # The scales are fitted again when the number of trials has grown by a quarter at most. Until then they depend
        # on trials that have all finished.
        finished = max(min([number, *(t.number for t in running)]), len(told) // 2)
        finished -= finished % (1 << max(finished.bit_length() - 3, 0))
        early = [each for each in told if each[1].number < finished]
        used, fitted = _thin_out(told, MOST_TOLD), _thin_out(early if len(early) >= STARTUP // 2 else told, MOST_FITTED)
        points, at_fit, at_running = (
            encode_points(columns, trials)
            for trials in ([t.params for _, t in used], [t.params for _, t in fitted], [t.params for t in running])
        )
        conditional = np.atleast_1d(np.isnan(np.vstack([points, at_fit, at_running])).any(axis=0))
        coordinates = functools.partial(coordinates_of, [*columns.values()], conditional=conditional)
        (x, owners), (x_fit, _), (x_running, _) = map(coordinates, (points, at_fit, at_running))
        y, y_fit = (warp_values([key for key, _ in part]) for part in (used, fitted))
        scales = self._remembered(fit_scales, x_fit, owners, y_fit)
        posterior = self._remembered(Posterior, x, owners, y, scales).with_running(x_running)

        def upper_bound(candidates: Array) -> Array:
            mean, deviation = posterior.predict(coordinates(_with_absent(candidates, points, columns))[0])
            bound: Array = mean + BOUND * deviation
            return bound

        best = points[np.argsort(-y, kind="stable")[:BEST_TRIALS]]
        found = np.vstack([candidates.everywhere(EVERYWHERE), candidates.around(best, AROUND, FAR)])
        bounds = upper_bound(found)
        for deviation in NEAR:
            order = np.argsort(-bounds, kind="stable")
            refined = candidates.around(found[order[:BEST_CANDIDATES]], REFINED, deviation)
            found, bounds = np.vstack([found, refined]), np.append(bounds, upper_bound(refined))
        ordered: Array = found[np.argsort(-bounds, kind="stable")]
        return ordered

    def _remembered(self, function: Callable[..., Any], *args: Array) -> Any:
        """Result of a function, computed anew only for other arguments than the last."""
        before, result = self._results.get(function, ((), None))
        if len(before) != len(args) or not all(map(np.array_equal, before, args)):
            result = function(*args)
            self._results[function] = (args, result)
        return result


class _Candidates:
    """Random points of a space, all with the fixed numbers of a trial; NaN is not fixed."""

    def __init__(self, columns: Sequence[Column], fixed: Array, rng: np.random.Generator) -> None:
        self._columns, self._fixed, self._rng = columns, fixed, rng

    def everywhere(self, n: int) -> Array:
        """Uniform points."""
        return self._snap(self._rng.random((n, len(self._columns))))

    def around(self, centres: Array, n: int, deviation: float) -> Array:
        """Points near random centres; a parameter that a centre does not have is uniform."""
        rng, d = self._rng, len(self._columns)
        chosen, anywhere = centres[rng.integers(len(centres), size=n)], rng.random((n, d))
        moved = rng.random((n, d)) < max(2 / d, 0.5)
        steps = rng.standard_normal((n, d)) * deviation * 10 ** rng.uniform(-1, 0, (n, 1))
        points = np.abs(chosen + steps * moved)
        points = np.where(points > 1, 2 - points, points)
        choices = np.array([column.choices > 0 for column in self._columns])
        other = np.isnan(chosen) | choices & (rng.random((n, d)) < OTHER_CHOICE)
        return self._snap(np.where(other, anywhere, np.where(choices, chosen, points)))

    def _snap(self, points: Array) -> Array:
        points = np.where(np.isnan(self._fixed), points, self._fixed)
        return np.column_stack([column.snap(points[:, j]) for j, column in enumerate(self._columns)])


def _rank(trials: Sequence[FrozenTrial], sign: int) -> list[tuple[tuple[float, ...], FrozenTrial]]:
    """Finished trials in the order of their numbers, each with its sort key: less is better.

    The key of a pruned trial begins with 1; it is better the later it was pruned. A failed trial has the median of the
    complete ones, which leads away from points that always fail, and costs little for a pod that was lost.
    """

    def cost(value: float) -> float:
        return math.inf if math.isnan(value) else sign * value

    told: list[tuple[tuple[float, ...], FrozenTrial]] = []
    costs = sorted(cost(trial.values[0]) for trial in trials if trial.state == TrialState.COMPLETE)
    for trial in trials if costs else ():
        if trial.state == TrialState.COMPLETE:
            told.append(((0.0, cost(trial.values[0])), trial))
        elif trial.state == TrialState.PRUNED:
            step, value = max(trial.intermediate_values.items(), default=(-1, math.nan))
            told.append(((1.0, -step, cost(value)), trial))
        elif trial.state == TrialState.FAIL and trial.params:
            told.append(((0.0, costs[(len(costs) - 1) // 2]), trial))
    return told


def _thin_out(
    told: list[tuple[tuple[float, ...], FrozenTrial]], size: int
) -> list[tuple[tuple[float, ...], FrozenTrial]]:
    """The best half of ``size`` trials, and others spread over the whole search."""
    if len(told) <= size:
        return told
    order = sorted(range(len(told)), key=lambda i: told[i][0])
    rest = sorted(order[size // 2 :])
    spread = np.linspace(0, len(rest) - 1, size - size // 2).astype(int)
    return [told[i] for i in sorted([*order[: size // 2], *(rest[j] for j in spread)])]


def _with_absent(candidates: Array, points: Array, columns: dict[str, Column]) -> Array:
    """Candidates, each without the parameters that the nearest told point does not have."""
    if not np.isnan(points).any():
        return candidates
    never = np.zeros(len(columns), dtype=bool)
    a, b = (coordinates_of([*columns.values()], each, never)[0] for each in (candidates, points))
    nearest = np.argmin((b * b).sum(1)[None] - 2 * a @ b.T, axis=1)
    return np.where(np.isnan(points[nearest]), np.nan, candidates)


def _params_text(params: dict[str, Any], names: dict[str, BaseDistribution]) -> str:
    return repr([(name, params[name]) for name in names if name in params])


@functools.cache
def _linear_algebra() -> ThreadpoolController:
    """The libraries that numpy has loaded."""
    return ThreadpoolController()
