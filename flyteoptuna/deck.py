"""A study as HTML: a light page while the search runs, the full report at its end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna import svg
from flyteoptuna.results import feasible, reasons

MOST_DOTS = 1500
"""Dots drawn on the light page, all its charts together."""
MOST_CHARTS = 6
MOST_PARAMS = 20
MOST_REASONS = 20
MOST_ON_FRONT = 10
MOST_PLOTTED = 2000
"""Trials in the plots of the full report."""
MOST_PLOTTED_LINES = 400
"""Trials in parallel coordinates, where each is a line of its own."""
MOST_PLOTTED_PARAMS = 8
MOST_PLOTTED_OBJECTIVES = 4

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class _Results:
    """What the pages show of a study: its trials, and its feasible and infeasible complete ones."""

    study: optuna.Study
    trials: list[FrozenTrial]
    names: list[str]
    maximize: list[bool]
    feasible: list[FrozenTrial]
    infeasible: list[FrozenTrial]

    def worse(self, objective: int) -> int:
        """1 where a higher value is worse, else -1."""
        return -1 if self.maximize[objective] else 1

    @cached_property
    def improvements(self) -> list[list[FrozenTrial]]:
        """By objective, the trials that were the best when they came, the best of all last."""
        return [self._improvements(objective) for objective in range(len(self.maximize))]

    def _improvements(self, objective: int) -> list[FrozenTrial]:
        found: list[FrozenTrial] = []
        worse, least = self.worse(objective), math.inf
        for trial in self.feasible:
            loss = trial.values[objective] * worse
            if not found or loss < least:
                found.append(trial)
                least = loss
        return found

    def front(self) -> list[FrozenTrial]:
        """The Pareto-optimal trials, by their first objective."""
        if not self.feasible:
            return []
        losses = np.array([t.values for t in self.feasible]) * [self.worse(i) for i in range(len(self.maximize))]
        chosen = [t for t, optimal in zip(self.feasible, svg.pareto(losses), strict=True) if optimal]
        return sorted(chosen, key=lambda t: (t.values[0], t.number))


def _results(study: optuna.Study) -> _Results:
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    maximize = [d == StudyDirection.MAXIMIZE for d in study.directions]
    fit: list[FrozenTrial] = []
    unfit: list[FrozenTrial] = []
    for trial in complete:
        (fit if feasible(trial) else unfit).append(trial)
    return _Results(study, trials, _names(study), maximize, fit, unfit)


def light(study: optuna.Study, *, generation: int, generations: int, n_trials: int, first: int = 0) -> str:
    """A page of a search that runs: less than 100 kB, without scripts, readable offline.

    Args:
        study: the study.
        generation: the generation that was asked last, counted from 1.
        generations: the number of generations of the search.
        n_trials: the number of trials of the search.
        first: number of the first trial of the search; earlier ones were in the study before.

    Returns:
        An HTML fragment in ASCII, to stand in the body of a page.
    """
    results = _results(study)
    done = sum(t.state.is_finished() for t in results.trials[first:])
    parts = [("complete", min(done, n_trials)), ("left", max(n_trials - done, 0))]
    bar = svg.bar(parts, label=f"{done} of {n_trials} trials finished")
    head = f"Generation {generation} of {generations}"
    return svg.wrap(_page(results, svg.tile(head, f"{done:,} of {n_trials:,}", "trials finished", bar)))


def full(study: optuna.Study) -> str:
    """The report of a finished search: the light page and Optuna's plots, readable offline.

    A plot that cannot be made for this study is replaced by a line that says why. Without plotly, the light page.

    Args:
        study: the study; more than ``MOST_PLOTTED`` of its trials are thinned in the plots.

    Returns:
        An HTML fragment, with one copy of plotly's script in it.
    """
    results = _results(study)
    done = sum(t.state.is_finished() for t in results.trials)
    page = _page(results, svg.tile("Search", f"{done:,}", f"of {len(results.trials):,} trials finished"))
    try:
        from plotly import io as _  # noqa: F401
    except ImportError:
        how = "<code>pip install 'flyteoptuna[plots]'</code>"
        return svg.wrap(page + svg.note(f"For the plots, install plotly where the search finishes: {how}."))
    try:
        with _quiet():
            plots = _plots(_plotted(results), len(results.trials))
    except Exception as error:
        # The page itself stands without them.
        plots = svg.ascii_only(svg.note(f"The plots could not be made: {svg.text(error, 200)}"))
    return svg.wrap(page, plots)


def _page(results: _Results, progress: str) -> str:
    goals = ", ".join(
        f"{'maximize' if up else 'minimize'} {svg.text(name, 40)}"
        for name, up in zip(results.names[:MOST_CHARTS], results.maximize, strict=False)
    )
    more = f" and {len(results.names) - MOST_CHARTS} more" if len(results.names) > MOST_CHARTS else ""
    front = results.front() if len(results.names) > 1 else results.improvements[0][-1:]
    return "".join(
        [
            f"<h2>{svg.text(results.study.study_name, 80)}</h2>{svg.note(goals + more)}",
            f'<div class="tiles">{progress}{_best_tile(results, front)}</div>',
            _states(results),
            _charts(results, front),
            _front(results, front) if len(results.names) > 1 else _best(front),
            _failures(results),
        ]
    )


def _best_tile(results: _Results, front: Sequence[FrozenTrial]) -> str:
    if not front:
        nothing = "no trial satisfies the constraints" if results.infeasible else "no trial has completed"
        return svg.tile("Best so far", "-", nothing)
    if len(results.names) > 1:
        return svg.tile("Best so far", f"{len(front):,}", f"Pareto-optimal trial{'s' * (len(front) > 1)}")
    value, found = svg.number(front[0].values[0]), f"trial {front[0].number}"
    return svg.tile(f"Best {svg.text(results.names[0], 40)}", value, found)


def _states(results: _Results) -> str:
    states = [t.state for t in results.trials]
    present = [(name, states.count(state)) for state, name in _STATES.items() if state in states]
    if not present:
        return svg.section("Trials by state", svg.note("There are no trials yet."))
    key = "".join(f'<li><i class="{name}"></i>{n:,} {name}</li>' for name, n in present)
    unfit = len(results.infeasible)
    note = svg.note(f"{unfit:,} complete trials violate a constraint.") if unfit else ""
    bar = svg.bar(present, label=", ".join(f"{n} {name}" for name, n in present))
    return svg.section("Trials by state", bar, f'<ul class="key">{key}</ul>', note)


def _charts(results: _Results, front: Sequence[FrozenTrial]) -> str:
    if not results.feasible and not results.infeasible:
        return ""
    names = [svg.text(name, 40) for name in results.names]
    worse = [results.worse(i) for i in range(len(names))]
    if len(names) == 2:
        points = [[(t.values[0], t.values[1]) for t in ts] for ts in (results.feasible, results.infeasible, front)]
        return svg.section("Pareto front", svg.scatter(names, points, worse, MOST_DOTS))
    charts = []
    for i, name in enumerate(names[:MOST_CHARTS]):
        kinds = (results.feasible, results.infeasible, results.improvements[i])
        points = [[(t.number, t.values[i]) for t in ts] for ts in kinds]
        charts.append(svg.history(name, points, results.trials[-1].number, worse[i], MOST_DOTS // len(names)))
    note = svg.note(f"Of {len(names)} objectives, the first {MOST_CHARTS}.") if len(names) > MOST_CHARTS else ""
    return svg.section("Best so far", f'<div class="charts">{"".join(charts)}</div>', note)


def _best(best: Sequence[FrozenTrial]) -> str:
    params = best[0].params if best else {}
    if not params:
        return ""
    rows = [[("name", svg.text(k, 40)), ("", svg.text(v, 60))] for k, v in list(params.items())[:MOST_PARAMS]]
    more = len(params) - MOST_PARAMS
    note = svg.note(f"and {more:,} more parameters") if more > 0 else ""
    return svg.section(f"Parameters of trial {best[0].number}, the best", svg.table(["parameter", "value"], rows), note)


def _front(results: _Results, front: Sequence[FrozenTrial]) -> str:
    if not front:
        return ""
    rows = []
    for trial in svg.thin(front, MOST_ON_FRONT):
        values = [("n", svg.number(v)) for v in trial.values[:MOST_CHARTS]]
        params = ", ".join(f"{k[:40]}={svg.plain(v)[:60]}" for k, v in list(trial.params.items())[:MOST_PARAMS])
        rows.append([("n", str(trial.number)), *values, ("reason", svg.text(params, 100))])
    head = ["trial", *(svg.text(name, 40) for name in results.names[:MOST_CHARTS]), "parameters"]
    note = svg.note(f"{len(rows)} of {len(front):,}, evenly spread along the front") if len(front) > len(rows) else ""
    return svg.section("Pareto-optimal trials", svg.table(head, rows), note)


def _failures(results: _Results) -> str:
    groups = reasons((t for t in reversed(results.trials) if t.state == TrialState.FAIL), most=1000)
    if not groups:
        return ""
    rows = []
    for reason, numbers in groups[:MOST_REASONS]:
        latest = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        rows.append([("reason", svg.text(reason, 160)), ("n", f"{len(numbers):,}"), ("few", latest)])
    more = len(groups) - len(rows)
    note = svg.note(f"and {more:,} earlier reasons") if more > 0 else ""
    return svg.section("Failed trials, the latest first", svg.table(["reason", "trials", "numbers"], rows), note)


def _plots(study: optuna.Study, total: int) -> str:
    """Optuna's plots, as HTML; the first that can be made carries plotly's script."""
    parts: list[str] = []
    drawn = 0
    for title, why_not, make in _kinds(study):
        chart = ""
        try:
            figure = None if why_not else make()
            chart = svg.plotly(figure, drawn) if figure and figure.data else ""
        except Exception as error:
            why_not = f"{type(error).__name__}: {error}"
        drawn += bool(chart)
        lack = svg.note(f"Not drawn: {svg.text(why_not or 'there is nothing to show', 200).rstrip('.')}.")
        parts.append(svg.ascii_only(svg.section(title, "" if chart else lack)) + chart)
    n = len(study.get_trials(deepcopy=False))
    sample = f"The plots show {n:,} of {total:,} trials: the best ones and an even sample of the others."
    return (svg.note(sample) if n < total else "") + "".join(parts) + (svg.RESIZE if drawn else "")


def _kinds(study: optuna.Study) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Title of each plot, why it cannot be made (or nothing), and what makes it."""
    from optuna import visualization as plots

    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE and all(map(math.isfinite, t.values))]
    params = sorted({name for t in complete for name in t.params})
    none = "" if complete else "no trial has completed with finite values"
    bare = none or ("" if params else "the trials have no parameters")
    few = bare or ("the trials have one parameter" if len(params) == 1 else "")
    few = few or ("one trial has completed, and it takes two" if len(complete) == 1 else "")
    names = _names(study)
    of = [f": {name}" if len(names) > 1 else "" for name in names[:MOST_PLOTTED_OBJECTIVES]]
    usual = [_usual(study, complete, i) for i in range(len(of))]
    if len(names) in (2, 3):
        yield "Pareto front", none, partial(plots.plot_pareto_front, study)
    else:
        for i, (seen, without) in enumerate(usual):
            yield f"History{of[i]}{without}", none, partial(_history_plot, seen, i)
    yield "Timeline", "" if trials else "there are no trials", partial(plots.plot_timeline, study)
    yield "Parameter importances", few, partial(_importances_plot, study)
    shown = _most_important(study, params)
    cut = f", the {len(shown)} most important of {len(params)} parameters" if len(shown) < len(params) else ""
    most = f", at most {MOST_PLOTTED_LINES} trials" if len(complete) > MOST_PLOTTED_LINES else ""
    for i, (seen, without) in enumerate(usual):
        yield f"Parallel coordinates{of[i]}{most}{cut}{without}", bare, partial(_parallel_plot, seen, shown, i)
        slices = partial(plots.plot_slice, seen, shown, target=_target(study, i), target_name=names[i])
        yield f"Slices{of[i]}{cut}{without}", bare, slices


def _names(study: optuna.Study) -> list[str]:
    default = ["value"] if len(study.directions) == 1 else [f"objective {i}" for i in range(len(study.directions))]
    return list(study.metric_names or default)


def _target(study: optuna.Study, objective: int) -> Callable[[FrozenTrial], float] | None:
    return (lambda trial: float(trial.values[objective])) if len(study.directions) > 1 else None


def _usual(study: optuna.Study, complete: Sequence[FrozenTrial], objective: int) -> tuple[optuna.Study, str]:
    """The study without the outliers of an objective, which would flatten the rest; and how many they were."""
    worse = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
    axis = svg.axis([t.values[objective] for t in complete], worse=worse)
    usual = [t for t in complete if axis.shows(t.values[objective])]
    out = len(complete) - len(usual)
    return _study(study, _names(study), usual), f", without {out} outlier{'s' * (out > 1)}" if out else ""


def _history_plot(study: optuna.Study, objective: int) -> Any:
    from optuna import visualization as plots

    # Optuna takes numbers for positions here, which they are not where trials were left out.
    trials = study.get_trials(deepcopy=False)
    dense = _study(study, _names(study), trials, numbered=False)
    target, name = _target(study, objective), _names(study)[objective]
    figure = plots.plot_optimization_history(dense, target=target, target_name=name)
    for trace in figure.data:
        trace.x = [trials[position].number for position in trace.x]
    return figure.update_traces(line_shape="hv", selector={"mode": "lines"})


def _parallel_plot(study: optuna.Study, params: list[str], objective: int) -> Any:
    from optuna import visualization as plots

    # Evenly spread over the values, so that the best are among them.
    ordered = sorted(study.get_trials(deepcopy=False), key=lambda t: t.values[objective])
    thin = _study(study, _names(study), svg.thin(ordered, MOST_PLOTTED_LINES))
    target, name = _target(study, objective), _names(study)[objective]
    return plots.plot_parallel_coordinate(thin, params, target=target, target_name=name)


def _importances_plot(study: optuna.Study) -> Any:
    from optuna import visualization as plots

    # Of optuna's evaluators, the one that needs no further package.
    figure = plots.plot_param_importances(study, optuna.importance.PedAnovaImportanceEvaluator())
    return figure.update_xaxes(title=None).update_yaxes(title=None)


def _most_important(study: optuna.Study, params: list[str]) -> list[str]:
    if len(params) <= MOST_PLOTTED_PARAMS:
        return params
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    with suppress(ValueError, RuntimeError):
        params = list(optuna.importance.get_param_importances(study, evaluator=evaluator, target=_target(study, 0)))
    return sorted(params[:MOST_PLOTTED_PARAMS])


@contextmanager
def _quiet() -> Iterator[None]:
    # Optuna logs a line for each trial that a plot leaves out.
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _plotted(results: _Results) -> optuna.Study:
    """A copy of the study for the plots: fewer trials, short and escaped names."""
    best = results.front() if len(results.names) > 1 else results.improvements[0]
    kept = {t.number for t in svg.thin(best, MOST_PLOTTED // 4)}
    others = [t for t in results.trials if t.number not in kept]
    kept |= {t.number for t in svg.thin(others, MOST_PLOTTED - len(kept))}
    chosen = [t for t in results.trials if t.number in kept]
    short = svg.Shortened()
    names = [svg.text(name, 40) for name in results.names]
    return _study(results.study, names, [_shortened(t, short) for t in chosen])


def _study(
    like: optuna.Study, names: Sequence[str], trials: Sequence[FrozenTrial], *, numbered: bool = True
) -> optuna.Study:
    study = optuna.create_study(directions=like.directions)
    study.set_metric_names(list(names))
    study.add_trials(trials)
    if numbered:
        # Adding has numbered them anew; an in-memory storage hands out its own records.
        for record, trial in zip(study.get_trials(deepcopy=False), trials, strict=True):
            record.number = trial.number
    return study


def _shortened(trial: FrozenTrial, short: svg.Shortened) -> FrozenTrial:
    def text(name: str, value: Any) -> Any:
        return short[f"of {name}", value] if isinstance(value, str) else value

    def distribution(name: str, of: BaseDistribution) -> BaseDistribution:
        return CategoricalDistribution([text(name, c) for c in of.choices]) if hasattr(of, "choices") else of

    made = copy(trial)
    made.params = {short["", k]: text(k, v) for k, v in trial.params.items()}
    made.distributions = {short["", k]: distribution(k, v) for k, v in trial.distributions.items()}
    made.system_attrs = {k: v for k, v in trial.system_attrs.items() if k.startswith("constraints")}
    made.user_attrs, made.intermediate_values = {}, {}
    return made
