"""HTML pages of a study: a small one while the search runs, and the full report at its end."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from flyteoptuna.page import figures, params, trials
from flyteoptuna.page.axis import downsample, format_number
from flyteoptuna.page.cost import Cost, epoch_seconds, search_cost
from flyteoptuna.page.elements import (
    escape_block,
    escape_text,
    format_value,
    name_html,
    note_html,
    page_document,
    page_fragment,
    pairs_html,
    section,
    table_html,
    tile,
)
from flyteoptuna.page.summary import Summary, summarise_study
from flyteoptuna.page.svg import stacked_bar
from flyteoptuna.storage.study_summary import STATE_NAMES
from flyteoptuna.study.results import failure_reason, group_failures
from flyteoptuna.values.text import exception_line, format_duration, plural

# Maximum number of dots in all charts by trial number together, or in that of the Pareto front.
MAX_DOTS = 1500
# Maximum number of objectives in the heading and in a row.
MAX_VALUES = 6
# Maximum number of parameters, or of outputs, of a trial.
MAX_PARAMS = 20
# Maximum number of failure reasons.
MAX_REASONS = 20
# Maximum number of tracebacks on the page of a running search, and in a report.
MAX_RUNNING_TRACEBACKS, MAX_TRACEBACKS = 5, MAX_REASONS
# Maximum length of a traceback, characters.
MAX_TRACEBACK = 4000
# Maximum number of Pareto-optimal trials.
MAX_FRONT_ROWS = 10


def running_page(study: optuna.Study, *, generation: int, generations: int, n_trials: int, first: int = 0) -> str:
    """The page of a running search: less than 100 kB, without scripts, readable offline.

    Args:
        study: the study.
        generation: the latest generation, counted from 1.
        generations: the number of generations of the search.
        n_trials: the number of trials of the search.
        first: number of the first trial of the search. Earlier trials belong to earlier searches.

    Returns:
        An ASCII HTML fragment for the body of a page.
    """
    results = summarise_study(study)
    done = sum(t.state.is_finished() for t in results.trials[first:])
    parts = [("complete", min(done, n_trials)), ("left", max(n_trials - done, 0))]
    bar = stacked_bar(parts, label=f"{done} of {n_trials} trials finished")
    head = f"Generation {generation} of {generations}"
    progress = tile(head, f"{done:,} of {n_trials:,}", "trials finished", bar)
    failures = _failure_table(results, MAX_RUNNING_TRACEBACKS)
    return page_fragment(
        _page_head(results, progress)
        + ("" if results.complete else failures)
        + section("Trials by state", _state_counts(results) or note_html("There are no trials yet."))
        + figures.outcome_figures(results, MAX_DOTS)
        + _best_trials(results)
        + figures.learning_curves(results, 30, 20)
        + (failures if results.complete else "")
    )


def report_page(study: optuna.Study) -> str:
    """The report of a search: outcome, parameters, learning curves, slots, failures, and a table of all trials.

    If a section cannot be drawn, a line that gives the reason replaces it.

    Args:
        study: the study, of any size. Large charts and tables show a sample of the trials.

    Returns:
        An ASCII HTML fragment with a script, readable offline, and without the script too.
    """
    results = summarise_study(study)
    done = sum(t.state.is_finished() for t in results.trials)
    progress = tile("Trials finished", f"{done:,} of {len(results.trials):,}", _state_counts(results))
    cost = search_cost(study, results.trials)
    with params.silence_optuna():
        parameter_section = _section_or_error("Parameters", lambda: params.parameter_charts(results))
    table, data = trials.trials_table(results)
    failures = _failure_table(results, MAX_TRACEBACKS)
    page = (
        _page_head(results, progress, cost)
        + ("" if results.complete else failures)
        + figures.outcome_figures(results, MAX_DOTS)
        + _best_trials(results)
        + parameter_section
        + _section_or_error("Learning curves", lambda: figures.learning_curves(results, 150, 60))
        + _section_or_error("Slots", lambda: figures.slot_figure(cost))
        + (failures if results.complete else "")
        + table
    )
    return page_fragment(page, data)


def report_document(study: optuna.Study) -> str:
    """The report of a search as a complete HTML document, in ASCII; see ``report_page``."""
    return page_document(report_page(study), escape_text(_study_title(study), 80))


def _section_or_error(title: str, make: Callable[[], str]) -> str:
    try:
        return make()
    except Exception as error:
        # An error in one section must not lose the page.
        reason = escape_text(exception_line(error), 200)
        return section(title, note_html(f"Not drawn: {reason.rstrip('.')}."))


def _page_head(results: Summary, progress: str, cost: Cost | None = None) -> str:
    goals = ", ".join(
        f"{'maximize' if up else 'minimize'} <bdi>{name}</bdi>"
        for name, up in zip(results.labels[:MAX_VALUES], results.maximize, strict=False)
    )
    more = f" and {len(results.names) - MAX_VALUES} more" if len(results.names) > MAX_VALUES else ""
    costs, when = ("", "") if cost is None else (_cost_tiles(cost), _time_range(cost))
    tiles = progress + _best_tile(results) + costs
    note = note_html(" \N{MIDDLE DOT} ".join(filter(None, [goals + more, when])))
    return f'<h2>{name_html(_study_title(results.study), 80)}</h2>{note}<div class="tiles">{tiles}</div>'


def _study_title(study: optuna.Study) -> str:
    """The name of a study, but not one that Optuna has generated."""
    return "Search" if study.study_name.startswith("no-name-") else study.study_name


def _time_range(cost: Cost) -> str:
    """Start and end of the trials."""
    if not cost.trial_seconds:
        return ""
    starts = [run.trial.datetime_start for run in cost.runs if run.trial.datetime_start]
    ends = [run.trial.datetime_complete for run in cost.runs if run.trial.datetime_complete]
    first, last = min(starts, key=epoch_seconds), max(ends, key=epoch_seconds)
    same = first.date() == last.date()
    return f"{first:%Y-%m-%d %H:%M} to {last:{'%H:%M' if same else '%Y-%m-%d %H:%M'}}"


def _best_tile(results: Summary) -> str:
    best = results.best
    if not best:
        nothing = "no trial satisfies the constraints" if results.infeasible else "no trial has completed"
        return tile("Best so far", "-", nothing)
    if results.multi_objective:
        return tile("Best so far", f"{len(best):,}", f"Pareto-optimal trial{'s' * (len(best) > 1)}")
    return tile(f"Best {results.labels[0]}", format_number(best[0].values[0]), f"trial {best[0].number}")


def _cost_tiles(cost: Cost) -> str:
    if not cost.trial_seconds:
        return ""
    count = plural(len(cost.runs), "trial")
    wall_time = format_duration(cost.wall_seconds)
    took = tile("Trial time", format_duration(cost.trial_seconds), f"of {count}, in {wall_time}")
    parts = [("complete", cost.trial_seconds), ("left", cost.idle_seconds)]
    bar = stacked_bar(parts, label="share of the slots' time that was used")
    waited = f"slots waited {format_duration(cost.idle_seconds)} in all" if cost.idle_seconds else "no slot waited"
    if cost.slots < cost.concurrency:
        waited += f"; of {cost.concurrency} at once, this machine ran {cost.slots}"
    used = f"{_format_slots(cost.mean_concurrency)} of {cost.slots}"
    return took + tile("Slots used, on average", used, waited, bar)


def _format_slots(count: float) -> str:
    """A mean number of slots: ``7.2``, or ``0.031`` if the time between short trials dominates."""
    return format_number(round(count, 1) if count >= 1 else float(f"{count:.2g}"))


def _state_counts(results: Summary) -> str:
    states = [t.state for t in results.trials]
    present = [(name, states.count(state)) for state, name in STATE_NAMES.items() if state in states]
    if not present:
        return ""
    key = "".join(f'<li><i class="{name}"></i>{n:,} {name}</li>' for name, n in present)
    infeasible = len(results.infeasible)
    verb = "trial violates" if infeasible == 1 else "trials violate"
    note = note_html(f"{infeasible:,} complete {verb} a constraint." if infeasible else "")
    bar = stacked_bar(present, label=", ".join(f"{n} {name}" for name, n in present))
    return f'{bar}<ul class="key">{key}</ul>{note}'


def _best_trials(results: Summary) -> str:
    if results.multi_objective:
        return _front_table(results)
    if not results.best:
        return ""
    trial_params = results.best[0].params
    outputs = [(name_html(k, 60), v) for k, v in list(trials.output_links(results.best[0]).items())[:MAX_PARAMS]]
    rows = [(name_html(k, 60), escape_text(v, 60)) for k, v in list(trial_params.items())[:MAX_PARAMS]]
    more = len(trial_params) - MAX_PARAMS
    note = note_html(f"and {plural(more, 'more parameter')}" if more > 0 else "")
    best = f"of trial {results.best[0].number}, the best"
    params = section(f"Parameters {best}", pairs_html(rows), note) if rows else ""
    return params + (section(f"Outputs {best}", pairs_html(outputs)) if outputs else "")


def _front_table(results: Summary) -> str:
    if not results.best:
        return ""
    rows = []
    for trial in downsample(results.best, MAX_FRONT_ROWS):
        values = [("n", format_number(v)) for v in trial.values[:MAX_VALUES]]
        first_params = list(trial.params.items())[:MAX_PARAMS]
        trial_params = ", ".join(f"{k[:40]}={format_value(v)[:60]}" for k, v in first_params)
        rows.append([("n", str(trial.number)), *values, ("reason", escape_text(trial_params, 100))])
    head, total = ["trial", *results.labels[:MAX_VALUES], "parameters"], len(results.best)
    more = f"{len(rows)} of {total:,}, evenly spread along the front" if total > len(rows) else ""
    return section("Pareto-optimal trials", table_html(head, rows), note_html(more))


def _failure_table(results: Summary, max_tracebacks: int) -> str:
    failed = {t.number: t for t in reversed(results.trials) if t.state == TrialState.FAIL}
    groups = group_failures(failed.values(), most=1000)
    if not groups:
        return ""
    rows = []
    for position, (reason, numbers) in enumerate(groups[:MAX_REASONS]):
        latest = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        text = escape_text(reason, 160)
        whole = failure_reason(failed[numbers[0]])
        if "\n" in whole and position < max_tracebacks:
            # Where nothing else is to be seen, it is open.
            opened = ' open="open"' * (not results.complete and position == 0)
            block = escape_block(whole, MAX_TRACEBACK)
            text = f"<details{opened}><summary>{text}</summary><pre>Trial {numbers[0]}: {block}</pre></details>"
        rows.append([("reason", text), ("n", f"{len(numbers):,}"), ("few", latest)])
    more = len(groups) - len(rows)
    note = note_html(f"and {plural(more, 'earlier reason')}" if more > 0 else "")
    head = ["reason", "trials", "numbers"]
    return section("Failed trials, the latest first", table_html(head, rows), note)
