"""The command line: what a search would run, what a study holds, and a study for other tools."""

from __future__ import annotations

import inspect
import io
import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna import compiled
from flyteoptuna import plan as plans
from flyteoptuna.export import writer

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial
    from rich.console import Console
    from rich.table import Table

STUDY_HELP = """STUDY is a path, a URL (s3://bucket/..., file://..., any that fsspec knows), or an execution of the
cluster that Flyte's configuration names: flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT after it where the workflow
outputs several studies, or #NODE for the study of one node. Of an execution that still runs, or has failed, it is the
study as it stands. Nothing is unpickled."""
NUMBERS = (
    ">trials",
    ">at once",
    ">batch",
    ">generations",
    ">span pods",
    ">driver pods",
    ">trial pods",
    ">depth",
    ">widest",
)
WIDE = 100_000
"""Columns of what is no terminal."""
MOST_NUMBERS = 8
"""Most numbers of trials that one line of failures names."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flyteoptuna", message="flyteoptuna %(version)s")
def main() -> None:
    """Hyperparameter searches as plain Flyte workflows: plan them, and look at their studies.

    \b
    What would this search run?
      flyteoptuna plan workflows/train.py:train --n-trials 200 --concurrency 16
    How did it go, or how is it going?
      flyteoptuna show flyte://flytesnacks/development/f3a1c9d27e5b84d0
    Look at it in optuna-dashboard, or in pandas:
      flyteoptuna export s3://bucket/study --to sqlite:///study.db
      flyteoptuna export s3://bucket/study --to trials.csv
    """


@main.command(short_help="What a search would run: generations, pods, nesting.")
@click.argument("workflow", metavar="MODULE:WORKFLOW")
@click.option(
    "--n-trials", "--n_trials", type=click.IntRange(1), metavar="N", help="Trials, instead of the workflow's number."
)
@click.option(
    "--concurrency", type=click.IntRange(1), metavar="N", help="Trials at once, instead of the workflow's number."
)
@click.option(
    "--batch-size",
    "--batch_size",
    type=click.IntRange(1),
    metavar="N",
    help="Trials of a generation.  [default: the concurrency]",
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of the workflow. Repeatable.")
def plan(workflow: str, inputs: tuple[str, ...], **given: int | None) -> None:
    """The generations, pods and nesting that a workflow's searches lead to, without running anything.

    MODULE is pkg.module or path/to/file.py. The numbers are those of the workflow and of the defaults of its inputs;
    options replace them, for every search. What ends a search early (a timeout, a callback) makes them fewer. Searches
    that a dynamic or an eager task makes while it runs are not seen.

    Driver pods are those of the search, its spans, its generations and the finish. Depth is the number of dynamic nodes
    inside each other, and widest is the most nodes in one of them.

    \b
      flyteoptuna plan train.py:main --n-trials 500
      flyteoptuna plan pkg.train:main --input n_trials=500 --batch-size 32
    """
    found = compiled.workflow(workflow)
    searches = list(compiled.searches(getattr(found, "workflow", found), compiled.options(found, inputs)))
    if not searches:
        raise click.ClickException(f"There is no search in {workflow}.")
    rows: list[list[str]] = []
    problems: list[str] = []
    for objective, node, bound in searches:
        counts = compiled.counts(bound, given)
        problems += compiled.problems(node, counts)
        rows.append([objective, node, *_planned(counts)])
    _print_rows(("objective", "node", *NUMBERS), rows)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(1)


def _planned(counts: Mapping[str, Any]) -> list[str]:
    trials, at_once, batch = (counts[name] for name in compiled.COUNTS)
    known = ["?" if isinstance(value, compiled.Unknown) else str(value) for value in (trials, at_once, batch)]
    if not all(isinstance(value, int) and value >= 1 for value in (trials, batch)):
        return [*known, *"?" * 6]
    of = plans.shape(trials, batch)
    return [*known, *map(str, (of.generations, of.spans, of.drivers, trials, of.depth, of.widest))]


@main.command(
    short_help="The results of a study: best trials, counts, failures.", help=f"The results of a study.\n\n{STUDY_HELP}"
)
@click.argument("study", metavar="STUDY")
@click.option("--best", type=click.IntRange(1), metavar="N", default=5, show_default=True, help="Most trials to show.")
def show(study: str, best: int) -> None:
    """The results of a study."""
    found = _load(study)
    trials = found.get_trials(deepcopy=False)
    _print(_text(_heading(found, trials)))
    _print_best(found, trials, best)
    _print_failures(trials)


def _load(source: str) -> optuna.Study:
    from flyteoptuna import stored, study_file

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return stored.load_study(source)
    except study_file.StudyFormatError as error:
        raise click.ClickException(f"{source}: {compiled.first(error)}") from error
    except stored.StudyNotFoundError as error:
        raise click.ClickException(compiled.first(error)) from error
    except ValueError as error:
        raise compiled.UsageError(compiled.first(error)) from error


def _heading(study: optuna.Study, trials: Sequence[FrozenTrial]) -> str:
    from optuna.trial import TrialState

    order = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
    counts = [(sum(t.state == state for t in trials), state.name.lower()) for state in order]
    states = ", ".join(f"{count} {name.replace('fail', 'failed')}" for count, name in counts if count)
    directions = [d.name.lower() for d in study.directions]
    goal = (
        directions[0]
        if len(directions) == 1
        else ", ".join(map(" ".join, zip(directions, _values(study), strict=True)))
    )
    lines = [f"{study.study_name}: {goal}", f"{_plural(len(trials), 'trial')}{f': {states}' if states else ''}"]
    starts = [t.datetime_start for t in trials if t.datetime_start]
    ends = [t.datetime_complete for t in trials if t.datetime_complete]
    if starts and ends:
        lines.append(
            f"{min(starts):%Y-%m-%d %H:%M:%S} to {max(ends):%Y-%m-%d %H:%M:%S} ({_time(max(ends) - min(starts))})"
        )
    return "\n".join(lines)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _values(study: optuna.Study) -> list[str]:
    count = len(study.directions)
    return list(study.metric_names or (["value"] if count == 1 else [f"value {i}" for i in range(count)]))


def _print_best(study: optuna.Study, trials: Sequence[FrozenTrial], most: int) -> None:
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    from flyteoptuna import results

    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    feasible = [t for t in complete if results.feasible(t)]
    if not feasible:
        _print("", f"No trial {'satisfies the constraints' if complete else 'is complete'}.")
        return
    if len(study.directions) == 1:
        sign = -1.0 if study.directions[0] == StudyDirection.MAXIMIZE else 1.0
        chosen = sorted(feasible, key=lambda t: (sign * t.values[0], t.number))
        title = f"The best {min(most, len(chosen))} of {len(complete)} complete trials"
    else:
        chosen = study.best_trials
        title = f"{min(most, len(chosen))} of the {_plural(len(chosen), 'trial')} on the Pareto front"
    if len(feasible) < len(complete):
        title += f"; {len(complete) - len(feasible)} violate a constraint"
    names = list(dict.fromkeys(name for t in chosen[:most] for name in t.params))
    tables = [_best(study, chosen[:most], columns) for columns in (names, None)]
    _print("", f"{title}:", next((t for t in tables if _fits(t)), tables[-1]))


def _best(study: optuna.Study, trials: Sequence[FrozenTrial], names: Sequence[str] | None) -> Table:
    """A table of trials, with a column for each parameter, or one for all."""
    labels = ["params"] if names is None else [f">{_clean(name)}" for name in names]
    table = _table(">trial", *(f">{_clean(name)}" for name in _values(study)), *labels, ">took")
    for trial in trials:
        took = _time(trial.duration) if trial.duration is not None else ""
        if names is None:
            params = [", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())]
        else:
            params = [_short(trial.params[name]) if name in trial.params else "" for name in names]
        table.add_row(*map(_text, [str(trial.number), *map(_short, trial.values), *params, took]))
    return table


def _print_failures(trials: Sequence[FrozenTrial]) -> None:
    from optuna.trial import TrialState

    from flyteoptuna import results

    groups = results.reasons(t for t in trials if t.state == TrialState.FAIL)
    if not groups:
        return
    table = _table(">failed", "trials", "reason (of the first)")
    for reason, numbers in sorted(groups, key=lambda group: -len(group[1])):
        named = ", ".join(map(str, numbers[:MOST_NUMBERS])) + (", ..." if len(numbers) > MOST_NUMBERS else "")
        table.add_row(str(len(numbers)), named, _text(reason))
    _print("", table)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _time(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds >= 0.005 else "<0.01 s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@main.command(
    short_help="A study for optuna-dashboard, pandas or Optuna.",
    help=inspect.cleandoc("""Write a study where other tools read it.

    Every trial is kept, with its number, state, values, parameters, times, attributes and intermediate values.

    \b
    --to sqlite:///study.db   a database of Optuna's, also mysql:// and postgresql://
    --to study.log            a journal file of Optuna's; ten times as fast
    --to trials.csv           a table; lists and dictionaries in it are JSON
    --to trials.parquet       the same; needs pyarrow

    optuna-dashboard opens the first two, and optuna.load_study a database.

    """)
    + f"\n\n{STUDY_HELP}",
)
@click.argument("study", metavar="STUDY")
@click.option("--to", "target", required=True, metavar="TARGET", help="Where to write, and as what.")
@click.option("--name", help="Name of the study in a database or a journal.  [default: the study's own]")
@click.option("--overwrite", is_flag=True, help="Replace the file, or the study of that name in the database.")
def export(study: str, target: str, name: str | None, overwrite: bool) -> None:
    """Write a study where other tools read it."""
    write = writer(target)
    found = _load(study)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            shown = write(found, target, name or found.study_name, overwrite)
    except click.ClickException:
        raise
    except Exception as error:
        # Databases, drivers and file systems have exceptions of their own.
        raise click.ClickException(f"The study cannot be written there: {compiled.line(error)}") from error
    click.echo(f"{_plural(len(found.get_trials(deepcopy=False)), 'trial')} of {found.study_name} written to {shown}")


def _table(*headers: str) -> Table:
    """A table; headers that begin with ``>`` are those of columns of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, show_edge=False)
    for header in headers:
        number = header.startswith(">")
        table.add_column(_text(header.lstrip(">")), justify="right" if number else "left", overflow="fold")
    return table


def _print_rows(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where the terminal is too narrow for it, one with its rows as columns."""
    table = _table(*headers)
    for row in rows:
        table.add_row(*map(_text, row))
    if not _fits(table):
        names, *others = zip(*rows, strict=True)
        table = _table(headers[0], *(f">{name}" for name in names))
        for header, cells in zip(headers[1:], others, strict=True):
            table.add_row(header.lstrip(">"), *map(_text, cells))
    _print(table)


def _text(value: str) -> Any:
    from rich.text import Text

    return Text(_clean(value))


def _clean(value: str) -> str:
    # A study may come from anywhere, and what it holds must not steer the terminal.
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in value)


def _fits(table: Table) -> bool:
    console = _console()
    return console.measure(table, options=console.options.update(width=WIDE)).maximum <= console.width


def _console() -> Console:
    from rich.console import Console

    return (
        Console(highlight=False) if sys.stdout.isatty() else Console(file=io.StringIO(), width=WIDE, color_system=None)
    )


def _print(*parts: Any) -> None:
    """Print text and tables; where standard output is no terminal, a row a line, however long."""
    console = _console()
    for part in parts:
        console.print(part, markup=False)
    if isinstance(console.file, io.StringIO):
        for line in console.file.getvalue().splitlines():
            click.echo(line.rstrip())


if __name__ == "__main__":
    main(prog_name="flyteoptuna")
