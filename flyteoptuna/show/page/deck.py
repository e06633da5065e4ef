"""A study as HTML: a light page while the search runs, the full report at its end."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.show.page import charts, elements
from flyteoptuna.show.page.axis import number, thin
from flyteoptuna.show.page.plots import drawn, plotted, quiet
from flyteoptuna.show.page.summary import Summary, summary
from flyteoptuna.study.results import reasons

MOST_DOTS = 1500
"""Dots drawn on the light page, all its charts together."""

MOST_CHARTS = 6

MOST_PARAMS = 20

MOST_REASONS = 20

MOST_ON_FRONT = 10

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


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
    results = summary(study)
    done = sum(t.state.is_finished() for t in results.trials[first:])
    parts = [("complete", min(done, n_trials)), ("left", max(n_trials - done, 0))]
    bar = charts.bar(parts, label=f"{done} of {n_trials} trials finished")
    head = f"Generation {generation} of {generations}"
    return elements.wrap(_page(results, elements.tile(head, f"{done:,} of {n_trials:,}", "trials finished", bar)))


def full(study: optuna.Study) -> str:
    """The report of a finished search: the light page and Optuna's plots, readable offline.

    A plot that cannot be made for this study is replaced by a line that says why. Without plotly, the light page.

    Args:
        study: the study; more than ``MOST_PLOTTED`` of its trials are thinned in the plots.

    Returns:
        An HTML fragment, with one copy of plotly's script in it.
    """
    results = summary(study)
    done = sum(t.state.is_finished() for t in results.trials)
    page = _page(results, elements.tile("Search", f"{done:,}", f"of {len(results.trials):,} trials finished"))
    try:
        from plotly import io as _  # noqa: F401
    except ImportError:
        how = "<code>pip install 'flyteoptuna[plots]'</code>"
        return elements.wrap(page + elements.note(f"For the plots, install plotly where the search finishes: {how}."))
    try:
        with quiet():
            plots = drawn(plotted(results), len(results.trials))
    except Exception as error:
        # The page itself stands without them.
        plots = elements.ascii_only(elements.note(f"The plots could not be made: {elements.text(error, 200)}"))
    return elements.wrap(page, plots)


def _page(results: Summary, progress: str) -> str:
    goals = ", ".join(
        f"{'maximize' if up else 'minimize'} {elements.text(name, 40)}"
        for name, up in zip(results.names[:MOST_CHARTS], results.maximize, strict=False)
    )
    more = f" and {len(results.names) - MOST_CHARTS} more" if len(results.names) > MOST_CHARTS else ""
    front = results.front() if len(results.names) > 1 else results.improvements[0][-1:]
    return "".join(
        [
            f"<h2>{elements.text(results.study.study_name, 80)}</h2>{elements.note(goals + more)}",
            f'<div class="tiles">{progress}{_best_tile(results, front)}</div>',
            _states(results),
            _charts(results, front),
            _front(results, front) if len(results.names) > 1 else _best(front),
            _failures(results),
        ]
    )


def _best_tile(results: Summary, front: Sequence[FrozenTrial]) -> str:
    if not front:
        nothing = "no trial satisfies the constraints" if results.infeasible else "no trial has completed"
        return elements.tile("Best so far", "-", nothing)
    if len(results.names) > 1:
        return elements.tile("Best so far", f"{len(front):,}", f"Pareto-optimal trial{'s' * (len(front) > 1)}")
    value, found = number(front[0].values[0]), f"trial {front[0].number}"
    return elements.tile(f"Best {elements.text(results.names[0], 40)}", value, found)


def _states(results: Summary) -> str:
    states = [t.state for t in results.trials]
    present = [(name, states.count(state)) for state, name in _STATES.items() if state in states]
    if not present:
        return elements.section("Trials by state", elements.note("There are no trials yet."))
    key = "".join(f'<li><i class="{name}"></i>{n:,} {name}</li>' for name, n in present)
    unfit = len(results.infeasible)
    note = elements.note(f"{unfit:,} complete trials violate a constraint.") if unfit else ""
    bar = charts.bar(present, label=", ".join(f"{n} {name}" for name, n in present))
    return elements.section("Trials by state", bar, f'<ul class="key">{key}</ul>', note)


def _charts(results: Summary, front: Sequence[FrozenTrial]) -> str:
    if not results.feasible and not results.infeasible:
        return ""
    names = [elements.text(name, 40) for name in results.names]
    worse = [results.worse(i) for i in range(len(names))]
    if len(names) == 2:
        points = [[(t.values[0], t.values[1]) for t in ts] for ts in (results.feasible, results.infeasible, front)]
        return elements.section("Pareto front", charts.scatter(names, points, worse, MOST_DOTS))
    drawn_charts = []
    for i, name in enumerate(names[:MOST_CHARTS]):
        kinds = (results.feasible, results.infeasible, results.improvements[i])
        points = [[(t.number, t.values[i]) for t in ts] for ts in kinds]
        drawn_charts.append(charts.history(name, points, results.trials[-1].number, worse[i], MOST_DOTS // len(names)))
    note = elements.note(f"Of {len(names)} objectives, the first {MOST_CHARTS}.") if len(names) > MOST_CHARTS else ""
    return elements.section("Best so far", f'<div class="charts">{"".join(drawn_charts)}</div>', note)


def _best(best: Sequence[FrozenTrial]) -> str:
    params = best[0].params if best else {}
    if not params:
        return ""
    rows = [[("name", elements.text(k, 40)), ("", elements.text(v, 60))] for k, v in list(params.items())[:MOST_PARAMS]]
    more = len(params) - MOST_PARAMS
    note = elements.note(f"and {more:,} more parameters") if more > 0 else ""
    return elements.section(
        f"Parameters of trial {best[0].number}, the best", elements.table(["parameter", "value"], rows), note
    )


def _front(results: Summary, front: Sequence[FrozenTrial]) -> str:
    if not front:
        return ""
    rows = []
    for trial in thin(front, MOST_ON_FRONT):
        values = [("n", number(v)) for v in trial.values[:MOST_CHARTS]]
        params = ", ".join(f"{k[:40]}={elements.plain(v)[:60]}" for k, v in list(trial.params.items())[:MOST_PARAMS])
        rows.append([("n", str(trial.number)), *values, ("reason", elements.text(params, 100))])
    head = ["trial", *(elements.text(name, 40) for name in results.names[:MOST_CHARTS]), "parameters"]
    note = (
        elements.note(f"{len(rows)} of {len(front):,}, evenly spread along the front") if len(front) > len(rows) else ""
    )
    return elements.section("Pareto-optimal trials", elements.table(head, rows), note)


def _failures(results: Summary) -> str:
    groups = reasons((t for t in reversed(results.trials) if t.state == TrialState.FAIL), most=1000)
    if not groups:
        return ""
    rows = []
    for reason, numbers in groups[:MOST_REASONS]:
        latest = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        rows.append([("reason", elements.text(reason, 160)), ("n", f"{len(numbers):,}"), ("few", latest)])
    more = len(groups) - len(rows)
    note = elements.note(f"and {more:,} earlier reasons") if more > 0 else ""
    return elements.section(
        "Failed trials, the latest first", elements.table(["reason", "trials", "numbers"], rows), note
    )
