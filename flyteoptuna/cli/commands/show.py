"""``flyteoptuna show``: the results of a study."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import click

from flyteoptuna.cli.loading import STUDY_HELP, study_argument
from flyteoptuna.cli.running import load_with_failure
from flyteoptuna.cli.tables import fits_terminal, new_table, print_parts, short_text, table_cell, truncate
from flyteoptuna.values.text import format_duration, plural

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial
    from rich.table import Table


# Maximum length of a failure reason or a location, characters.
MAX_REASON = 1000
# Maximum number of parameters or outputs of a trial, and of columns for parameters.
MAX_PARAM_COLUMNS = 50
# Maximum number of failure reasons.
MAX_REASONS = 20
# Maximum number of tracebacks, and of characters of one, if no trial is complete.
MAX_TRACEBACKS, MAX_TRACEBACK = 3, 4000
# Maximum number of trial numbers for one failure reason.
MAX_NUMBERS = 8


@click.command(
    short_help="The results of a study: best trials, counts, failures.", help=f"The results of a study.\n\n{STUDY_HELP}"
)
@study_argument
@click.option("--best", type=click.IntRange(1), metavar="N", default=5, show_default=True, help="Most trials to show.")
def show(study: str, best: int) -> None:
    """Show the results of a study."""
    loaded, failure = load_with_failure(study)
    trials = loaded.get_trials(deepcopy=False)
    print_parts(*map(table_cell, [*_heading_lines(loaded, trials), *filter(None, [failure])]))
    _print_best(loaded, trials, best)
    if (failures := failure_table(trials)) is not None:
        print_parts("", failures)
    if not any(trial.state.name == "COMPLETE" for trial in trials):
        _print_tracebacks(trials)


def _heading_lines(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[str]:
    from flyteoptuna.storage.study_summary import count_states
    from flyteoptuna.study.results import value_names

    states = count_states(trials)
    directions = [d.name.lower() for d in study.directions]
    goals = [f"{d} {short_text(name)}" for d, name in zip(directions, value_names(study), strict=True)]
    goal = directions[0] if len(directions) == 1 else ", ".join(goals)
    lines = [f"{short_text(study.study_name)}: {goal}"]
    lines.append(f"{plural(len(trials), 'trial')}{f': {states}' if states else ''}")
    starts = [t.datetime_start for t in trials if t.datetime_start]
    ends = [t.datetime_complete for t in trials if t.datetime_complete]
    if starts and ends:
        # Times with and without a time zone cannot be compared.
        with suppress(TypeError):
            start, end = min(starts), max(ends)
            duration = format_duration((end - start).total_seconds())
            lines.append(f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} ({duration})")
    return lines


def _print_best(study: optuna.Study, trials: Sequence[FrozenTrial], limit: int) -> None:
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    from flyteoptuna.study import results

    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    feasible = [t for t in complete if results.is_feasible(t)]
    if not feasible:
        print_parts("", f"No trial {'satisfies the constraints' if complete else 'is complete'}.")
        return
    if len(study.directions) == 1:
        sign = -1.0 if study.directions[0] == StudyDirection.MAXIMIZE else 1.0
        best = sorted(feasible, key=lambda t: (sign * t.values[0], t.number))
        title = f"The best {min(limit, len(best))} of {len(complete)} complete trials"
    else:
        best = study.best_trials
        title = f"{min(limit, len(best))} of the {plural(len(best), 'trial')} on the Pareto front"
    if len(feasible) < len(complete):
        infeasible = len(complete) - len(feasible)
        title += f"; {infeasible} violate{'s' * (infeasible == 1)} a constraint"
    names = list(dict.fromkeys(name for t in best[:limit] for name in t.params))
    table = _trial_table(study, best[:limit], names) if len(names) <= MAX_PARAM_COLUMNS else None
    if table is None or not fits_terminal(table):
        table = _trial_table(study, best[:limit], None)
    print_parts("", f"{title}:", table)
    _print_outputs(best[:limit])


def _trial_table(study: optuna.Study, trials: Sequence[FrozenTrial], names: Sequence[str] | None) -> Table:
    """A table of trials, with a column for each of the parameters in ``names``, or with one for all."""
    from flyteoptuna.study.results import value_names

    labels = ["params"] if names is None else [f">{short_text(name)}" for name in names]
    table = new_table(">trial", *(f">{short_text(name)}" for name in value_names(study)), *labels, ">took")
    for trial in trials:
        if names is None:
            items = islice(trial.params.items(), MAX_PARAM_COLUMNS)
            first = [f"{short_text(name)}={short_text(value)}" for name, value in items]
            params = [", ".join([*first, "..."] if len(first) < len(trial.params) else first)]
        else:
            params = [short_text(trial.params[name]) if name in trial.params else "" for name in names]
        cells = [str(trial.number), *map(short_text, trial.values), *params, _format_trial_duration(trial)]
        table.add_row(*map(table_cell, cells))
    return table


def _print_outputs(trials: Sequence[FrozenTrial]) -> None:
    """Print the locations of the outputs of trials."""
    from flyteoptuna.flyte.outputs import output_locations

    table = new_table(">trial", "output", "where it is")
    for trial in trials:
        for name, location in islice(output_locations(trial).items(), MAX_PARAM_COLUMNS):
            table.add_row(*map(table_cell, [str(trial.number), short_text(name), truncate(location, MAX_REASON)]))
    if table.rows:
        print_parts("", table)


def _format_trial_duration(trial: FrozenTrial) -> str:
    from flyteoptuna.study.results import trial_duration

    duration = trial_duration(trial)
    return "" if duration is None else format_duration(duration.total_seconds())


def _print_tracebacks(trials: Sequence[FrozenTrial]) -> None:
    """Print the traceback of the first trial of each of the first failure reasons."""
    from optuna.trial import TrialState

    from flyteoptuna.study import results

    failed = {t.number: t for t in trials if t.state == TrialState.FAIL}
    for _, numbers in results.group_failures(failed.values(), MAX_REASON)[:MAX_TRACEBACKS]:
        first, *lines = results.failure_reason(failed[numbers[0]])[:MAX_TRACEBACK].splitlines()
        if lines:
            print_parts("", *map(table_cell, [f"Trial {numbers[0]}: {truncate(first, MAX_REASON)}", *lines]))


def failure_table(trials: Sequence[FrozenTrial]) -> Table | None:
    """A table of failure reasons and their trials; None if no trial has failed."""
    from optuna.trial import TrialState

    from flyteoptuna.study import results

    groups = results.group_failures((t for t in trials if t.state == TrialState.FAIL), MAX_REASON)
    if not groups:
        return None
    table = new_table(">failed", "trials", "reason (of the first)")
    for reason, numbers in sorted(groups, key=lambda group: -len(group[1]))[:MAX_REASONS]:
        shown_numbers = ", ".join(map(str, numbers[:MAX_NUMBERS])) + (", ..." if len(numbers) > MAX_NUMBERS else "")
        table.add_row(str(len(numbers)), shown_numbers, table_cell(truncate(reason, MAX_REASON)))
    if len(groups) > MAX_REASONS:
        table.add_row("", "...", f"and {plural(len(groups) - MAX_REASONS, 'other reason')}")
    return table
