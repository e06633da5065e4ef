"""``flyteoptuna show``: what a study holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import click

from flyteoptuna.cli.study_source import STUDY_HELP, load
from flyteoptuna.cli.tables import cut, fits, new_table, short, text, write
from flyteoptuna.core.plain_values import duration, plural

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial
    from rich.table import Table


MOST_REASON = 1000
"""Most characters of a reason."""

MOST_COLUMNS = 50
"""Most parameters that are shown of a trial, and most of them in columns."""

MOST_GROUPS = 20
"""Most reasons of failures that are shown."""

MOST_NUMBERS = 8
"""Most numbers of trials that one line of failures names."""


@click.command(
    short_help="The results of a study: best trials, counts, failures.", help=f"The results of a study.\n\n{STUDY_HELP}"
)
@click.argument("study", metavar="STUDY")
@click.option("--best", type=click.IntRange(1), metavar="N", default=5, show_default=True, help="Most trials to show.")
def show(study: str, best: int) -> None:
    """The results of a study."""
    found = load(study)
    trials = found.get_trials(deepcopy=False)
    write(*map(text, _heading(found, trials)))
    _print_best(found, trials, best)
    _print_failures(trials)


def _heading(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[str]:
    from optuna.trial import TrialState

    from flyteoptuna.study.results import value_names

    order = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
    counts = [(sum(t.state == state for t in trials), state.name.lower()) for state in order]
    states = ", ".join(f"{count} {name.replace('fail', 'failed')}" for count, name in counts if count)
    directions = [d.name.lower() for d in study.directions]
    goal = (
        directions[0]
        if len(directions) == 1
        else ", ".join(map(" ".join, zip(directions, map(short, value_names(study)), strict=True)))
    )
    lines = [f"{short(study.study_name)}: {goal}", f"{plural(len(trials), 'trial')}{f': {states}' if states else ''}"]
    starts = [t.datetime_start for t in trials if t.datetime_start]
    ends = [t.datetime_complete for t in trials if t.datetime_complete]
    if starts and ends:
        # Times with and without a zone cannot be compared.
        with suppress(TypeError):
            start, end = min(starts), max(ends)
            lasted = duration((end - start).total_seconds())
            lines.append(f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} ({lasted})")
    return lines


def _print_best(study: optuna.Study, trials: Sequence[FrozenTrial], most: int) -> None:
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    from flyteoptuna.study import results

    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    feasible = [t for t in complete if results.feasible(t)]
    if not feasible:
        write("", f"No trial {'satisfies the constraints' if complete else 'is complete'}.")
        return
    if len(study.directions) == 1:
        sign = -1.0 if study.directions[0] == StudyDirection.MAXIMIZE else 1.0
        chosen = sorted(feasible, key=lambda t: (sign * t.values[0], t.number))
        title = f"The best {min(most, len(chosen))} of {len(complete)} complete trials"
    else:
        chosen = study.best_trials
        title = f"{min(most, len(chosen))} of the {plural(len(chosen), 'trial')} on the Pareto front"
    if len(feasible) < len(complete):
        unfit = len(complete) - len(feasible)
        title += f"; {unfit} violate{'s' * (unfit == 1)} a constraint"
    names = list(dict.fromkeys(name for t in chosen[:most] for name in t.params))
    table = _best(study, chosen[:most], names) if len(names) <= MOST_COLUMNS else None
    if table is None or not fits(table):
        table = _best(study, chosen[:most], None)
    write("", f"{title}:", table)
    _print_outputs(chosen[:most])


def _best(study: optuna.Study, trials: Sequence[FrozenTrial], names: Sequence[str] | None) -> Table:
    """A table of trials, with a column for each parameter, or one for all."""
    from flyteoptuna.study.results import value_names

    labels = ["params"] if names is None else [f">{short(name)}" for name in names]
    table = new_table(">trial", *(f">{short(name)}" for name in value_names(study)), *labels, ">took")
    for trial in trials:
        if names is None:
            few = [f"{short(name)}={short(value)}" for name, value in islice(trial.params.items(), MOST_COLUMNS)]
            params = [", ".join([*few, "..."] if len(few) < len(trial.params) else few)]
        else:
            params = [short(trial.params[name]) if name in trial.params else "" for name in names]
        table.add_row(*map(text, [str(trial.number), *map(short, trial.values), *params, _took(trial)]))
    return table


def _print_outputs(trials: Sequence[FrozenTrial]) -> None:
    """Where the outputs of trials are."""
    from flyteoptuna.flyte.outputs import outputs_of

    table = new_table(">trial", "output", "where it is")
    for trial in trials:
        for name, place in islice(outputs_of(trial).items(), MOST_COLUMNS):
            table.add_row(*map(text, [str(trial.number), short(name), cut(place, MOST_REASON)]))
    if table.rows:
        write("", table)


def _took(trial: FrozenTrial) -> str:
    from flyteoptuna.study.results import took

    found = took(trial)
    return "" if found is None else duration(found.total_seconds())


def _print_failures(trials: Sequence[FrozenTrial]) -> None:
    table = failures(trials)
    if table is not None:
        write("", table)


def failures(trials: Sequence[FrozenTrial]) -> Table | None:
    """A table of why trials have failed, equal reasons together; None where none has."""
    from optuna.trial import TrialState

    from flyteoptuna.study import results

    groups = results.reasons((t for t in trials if t.state == TrialState.FAIL), MOST_REASON)
    if not groups:
        return None
    table = new_table(">failed", "trials", "reason (of the first)")
    for reason, numbers in sorted(groups, key=lambda group: -len(group[1]))[:MOST_GROUPS]:
        named = ", ".join(map(str, numbers[:MOST_NUMBERS])) + (", ..." if len(numbers) > MOST_NUMBERS else "")
        table.add_row(str(len(numbers)), named, text(cut(reason, MOST_REASON)))
    if len(groups) > MOST_GROUPS:
        table.add_row("", "...", f"and {plural(len(groups) - MOST_GROUPS, 'other reason')}")
    return table
