"""``flyteoptuna watch``: follow a running search."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna.cli.commands.show import failure_table
from flyteoptuna.cli.errors import CommandError
from flyteoptuna.cli.loading import STUDY_HELP, study_argument
from flyteoptuna.cli.numbers import SECONDS
from flyteoptuna.cli.running import Snapshot, take_snapshot
from flyteoptuna.cli.tables import MAX_TEXT, new_table, print_parts, short_text, table_cell, truncate
from flyteoptuna.streams import is_terminal
from flyteoptuna.trial import interrupts
from flyteoptuna.values.text import plural

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

# Maximum number of running trials.
MAX_RUNNING = 20


@click.command(
    short_help="A running search, live in the terminal.",
    help=inspect.cleandoc("""Follow a search while it runs: progress, best trial, running trials, failures.

    It looks again every few seconds, and ends when the search has, or the execution that it is of, or at Ctrl-C, which
    does nothing to the search.
    Where standard output is no terminal, it writes a line at each change. It exits with 1 where the search or the
    execution has failed or been aborted, and where no process runs a local search any more.

    \b
      flyteoptuna watch flyte://flytesnacks/development/f3a1c9d27e5b84d0
      flyteoptuna watch latest --every 1             a local run, from another terminal
      flyteoptuna watch flyte://... > progress.log   lines

    """)
    + f"\n\n{STUDY_HELP}",
)
@study_argument
@click.option("--every", type=SECONDS, metavar="SECONDS", default=5, show_default=True, help="Between two looks.")
def watch(study: str, every: float) -> None:
    """Follow a search while it runs."""
    snapshot = take_snapshot(study)
    show = _terminal_output if is_terminal(sys.stdout) else _line_output
    with interrupts.interruptible(), suppress(KeyboardInterrupt), show() as update:
        while True:
            update(snapshot)
            if snapshot.ended:
                break
            time.sleep(every)
            snapshot = take_snapshot(study, snapshot)
            interrupts.raise_pending_interrupt()
    if is_terminal(sys.stdout):
        print_parts(*map(_renderable, _terminal_parts(snapshot)))
    if snapshot.failure:
        raise CommandError(snapshot.failure)


@contextmanager
def _terminal_output() -> Iterator[Callable[[Snapshot], None]]:
    """Display each snapshot in place of the one before."""
    from rich.console import Console, Group
    from rich.live import Live

    with Live(console=Console(highlight=False), transient=True, auto_refresh=False) as live:

        def update(snapshot: Snapshot) -> None:
            live.update(Group(*map(_renderable, _terminal_parts(snapshot))), refresh=True)

        yield update


def _renderable(part: Any) -> Any:
    return table_cell(part) if isinstance(part, str) else part


@contextmanager
def _line_output() -> Iterator[Callable[[Snapshot], None]]:
    """Write a line when it differs from the one before."""
    previous = ""

    def update(snapshot: Snapshot) -> None:
        nonlocal previous
        line = f"{_progress_line(snapshot)}{f'; {snapshot.problem}' if snapshot.problem else ''}"
        if line != previous:
            print_parts(table_cell(line))
            sys.stdout.flush()
        previous = line

    yield update


def _progress_line(snapshot: Snapshot) -> str:
    """Progress of the search in one line."""
    phase = f"{snapshot.phase}: " if snapshot.phase else ""
    if snapshot.study is None:
        return f"{phase}no study yet"
    running = f", {len(_running_trials(snapshot.study))} running"
    if snapshot.progress is None:
        return f"{phase}{plural(len(snapshot.study.get_trials(deepcopy=False)), 'trial')}{running}"
    counts, comma, rest = str(snapshot.progress).partition(" trials")
    return f"{phase}{counts}{comma}{running}{rest}"


def _terminal_parts(snapshot: Snapshot) -> Iterator[Any]:
    """Text, progress bar and tables for a terminal."""
    if snapshot.study is not None:
        yield short_text(snapshot.study.study_name)
    yield _progress_line(snapshot)
    if snapshot.progress is not None:
        from rich.progress_bar import ProgressBar

        yield ProgressBar(total=max(snapshot.progress.n_trials, 1), completed=snapshot.progress.finished, width=60)
    if snapshot.problem:
        yield f"The last look failed: {snapshot.problem}"
    if snapshot.study is None:
        return
    failures = failure_table(snapshot.study.get_trials(deepcopy=False))
    for table in (_best_trial_table(snapshot.study), _running_table(snapshot.study), failures):
        if table is not None:
            yield ""
            yield table


def _best_trial_table(study: optuna.Study) -> Any:
    from flyteoptuna.study import results

    trial = results.best_trial(study) if len(study.directions) == 1 else None
    if trial is None:
        return None
    table = new_table(">best", ">value", "parameters")
    table.add_row(str(trial.number), short_text(trial.value), table_cell(_params_line(trial)))
    return table


def _running_trials(study: optuna.Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _running_table(study: optuna.Study) -> Any:
    trials = _running_trials(study)
    if not trials:
        return None
    table = new_table(">running", "since", "parameters")
    for trial in trials[:MAX_RUNNING]:
        # In the unknown time zone of the machine that started it.
        since = f"{trial.datetime_start:%H:%M:%S}" if trial.datetime_start is not None else ""
        table.add_row(str(trial.number), since, table_cell(_params_line(trial)))
    if len(trials) > MAX_RUNNING:
        table.add_row("...", "", f"and {len(trials) - MAX_RUNNING} more")
    return table


def _params_line(trial: FrozenTrial) -> str:
    latest = max(trial.intermediate_values.items(), default=None)
    params = ", ".join(f"{short_text(name)}={short_text(value)}" for name, value in list(trial.params.items())[:50])
    return truncate(params, MAX_TEXT) + (f"  (step {latest[0]}: {short_text(latest[1])})" if latest else "")
