"""A study as HTML: a light page while the search runs, the full report at its end."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from flyteoptuna.core.plain_values import duration, plural
from flyteoptuna.show.page import charts, elements, figures, params, trials
from flyteoptuna.show.page.axis import number, thin
from flyteoptuna.show.page.cost import Cost, cost, seconds
from flyteoptuna.show.page.summary import STATES, Summary, summary
from flyteoptuna.study.results import reasons

MOST_DOTS = 1500
"""Dots of the charts by trial number, or of the Pareto front, together."""

MOST_VALUES = 6

MOST_PARAMS = 20

MOST_REASONS = 20

MOST_ON_FRONT = 10


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
    progress = elements.tile(head, f"{done:,} of {n_trials:,}", "trials finished", bar)
    return elements.wrap(
        _head(results, progress)
        + elements.section("Trials by state", _states(results) or elements.note("There are no trials yet."))
        + figures.outcome(results, MOST_DOTS)
        + _best(results)
        + figures.curves(results, 30, 20)
        + _failures(results)
    )


def full(study: optuna.Study) -> str:
    """The report of a search: the light page and what its parameters did, its slots, and a table of all trials.

    A part that cannot be made for this study is replaced by a line that says why.

    Args:
        study: the study, of any size: charts show at most some thousand trials, and the table's data is limited too.

    Returns:
        An HTML fragment in ASCII with a script, readable offline and without the script.
    """
    results = summary(study)
    done = sum(t.state.is_finished() for t in results.trials)
    progress = elements.tile("Trials finished", f"{done:,} of {len(results.trials):,}", _states(results))
    spent = cost(study, results.trials)
    with params.quiet():
        learned = _part("Parameters", lambda: params.parameters(results))
    table, data = trials.table(results)
    page = (
        _head(results, progress, spent)
        + figures.outcome(results, MOST_DOTS)
        + _best(results)
        + learned
        + _part("Learning curves", lambda: figures.curves(results, 150, 60))
        + _part("Slots", lambda: figures.slots(spent))
        + _failures(results)
        + table
    )
    return elements.wrap(page, data)


def document(study: optuna.Study) -> str:
    """The report of a search as a whole HTML document, in ASCII; see :func:`full`."""
    return elements.document(full(study), elements.text(_title(study), 80))


def _part(title: str, make: Callable[[], str]) -> str:
    try:
        return make()
    except Exception as error:
        # The page itself stands without it.
        why = elements.text(f"{type(error).__name__}: {error}", 200)
        return elements.section(title, elements.note(f"Not drawn: {why.rstrip('.')}."))


def _head(results: Summary, progress: str, spent: Cost | None = None) -> str:
    goals = ", ".join(
        f"{'maximize' if up else 'minimize'} <bdi>{name}</bdi>"
        for name, up in zip(results.labels[:MOST_VALUES], results.maximize, strict=False)
    )
    more = f" and {len(results.names) - MOST_VALUES} more" if len(results.names) > MOST_VALUES else ""
    # What a search costs, in each trial's times, is for the report at its end.
    costs, when = ("", "") if spent is None else (_cost_tiles(spent), _when(spent))
    tiles = progress + _best_tile(results) + costs
    said = elements.note(" \N{MIDDLE DOT} ".join(filter(None, [goals + more, when])))
    return f'<h2>{elements.path(_title(results.study), 80)}</h2>{said}<div class="tiles">{tiles}</div>'


def _title(study: optuna.Study) -> str:
    """The name of a study, or what is in its place: optuna's own begins like this."""
    return "Search" if study.study_name.startswith("no-name-") else study.study_name


def _when(spent: Cost) -> str:
    """From when to when its trials ran."""
    if not spent.trials:
        return ""
    starts = [run.trial.datetime_start for run in spent.runs if run.trial.datetime_start]
    ends = [run.trial.datetime_complete for run in spent.runs if run.trial.datetime_complete]
    first, last = min(starts, key=seconds), max(ends, key=seconds)
    same = first.date() == last.date()
    return f"{first:%Y-%m-%d %H:%M} to {last:{'%H:%M' if same else '%Y-%m-%d %H:%M'}}"


def _best_tile(results: Summary) -> str:
    best = results.best
    if not best:
        nothing = "no trial satisfies the constraints" if results.infeasible else "no trial has completed"
        return elements.tile("Best so far", "-", nothing)
    if results.several:
        return elements.tile("Best so far", f"{len(best):,}", f"Pareto-optimal trial{'s' * (len(best) > 1)}")
    return elements.tile(f"Best {results.labels[0]}", number(best[0].values[0]), f"trial {best[0].number}")


def _cost_tiles(spent: Cost) -> str:
    if not spent.trials:
        return ""
    count = plural(len(spent.runs), "trial")
    took = elements.tile("Trial time", duration(spent.trials), f"of {count}, in {duration(spent.wall)}")
    bar = charts.bar(
        [("complete", spent.trials), ("left", spent.waited)], label="share of the slots' time that was used"
    )
    waited = f"slots waited {duration(spent.waited)} in all" if spent.waited else "no slot waited"
    used = elements.tile("Slots used, on average", f"{_share(spent.at_once)} of {spent.slots}", waited, bar)
    return took + used


def _share(count: float) -> str:
    """A number of slots: ``7.2``, or ``0.031`` where the time between short trials outweighs them."""
    return number(round(count, 1) if count >= 1 else float(f"{count:.2g}"))


def _states(results: Summary) -> str:
    states = [t.state for t in results.trials]
    present = [(name, states.count(state)) for state, name in STATES.items() if state in states]
    if not present:
        return ""
    key = "".join(f'<li><i class="{name}"></i>{n:,} {name}</li>' for name, n in present)
    unfit = len(results.infeasible)
    verb = "trial violates" if unfit == 1 else "trials violate"
    note = elements.note(f"{unfit:,} complete {verb} a constraint." if unfit else "")
    bar = charts.bar(present, label=", ".join(f"{n} {name}" for name, n in present))
    return f'{bar}<ul class="key">{key}</ul>{note}'


def _best(results: Summary) -> str:
    if results.several:
        return _front(results)
    if not results.best:
        return ""
    found = results.best[0].params
    kept = [(elements.path(k, 60), v) for k, v in list(trials.placed(results.best[0]).items())[:MOST_PARAMS]]
    rows = [(elements.path(k, 60), elements.text(v, 60)) for k, v in list(found.items())[:MOST_PARAMS]]
    more = len(found) - MOST_PARAMS
    note = elements.note(f"and {plural(more, 'more parameter')}" if more > 0 else "")
    best = f"of trial {results.best[0].number}, the best"
    params = elements.section(f"Parameters {best}", elements.pairs(rows), note) if rows else ""
    return params + (elements.section(f"Outputs {best}", elements.pairs(kept)) if kept else "")


def _front(results: Summary) -> str:
    if not results.best:
        return ""
    rows = []
    for trial in thin(results.best, MOST_ON_FRONT):
        values = [("n", number(v)) for v in trial.values[:MOST_VALUES]]
        found = ", ".join(f"{k[:40]}={elements.plain(v)[:60]}" for k, v in list(trial.params.items())[:MOST_PARAMS])
        rows.append([("n", str(trial.number)), *values, ("reason", elements.text(found, 100))])
    head = ["trial", *results.labels[:MOST_VALUES], "parameters"]
    more = (
        f"{len(rows)} of {len(results.best):,}, evenly spread along the front" if len(results.best) > len(rows) else ""
    )
    return elements.section("Pareto-optimal trials", elements.table(head, rows), elements.note(more))


def _failures(results: Summary) -> str:
    groups = reasons((t for t in reversed(results.trials) if t.state == TrialState.FAIL), most=1000)
    if not groups:
        return ""
    rows = []
    for reason, numbers in groups[:MOST_REASONS]:
        latest = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        rows.append([("reason", elements.text(reason, 160)), ("n", f"{len(numbers):,}"), ("few", latest)])
    more = len(groups) - len(rows)
    note = elements.note(f"and {plural(more, 'earlier reason')}" if more > 0 else "")
    head = ["reason", "trials", "numbers"]
    return elements.section("Failed trials, the latest first", elements.table(head, rows), note)
