"""``flyteoptuna watch``: a search while it runs."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna.cli.commands.show import failures
from flyteoptuna.cli.errors import Failure
from flyteoptuna.cli.running import Look, look
from flyteoptuna.cli.study_source import STUDY_HELP
from flyteoptuna.cli.tables import MOST_CHARACTERS, cut, new_table, short, text, write
from flyteoptuna.core.plain_values import plural
from flyteoptuna.core.trial import interrupts

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

MOST_RUNNING = 20
"""Most running trials that are shown."""


@click.command(
    short_help="A running search, live in the terminal.",
    help=inspect.cleandoc("""Follow a search while it runs: progress, best trial, running trials, failures.

    It looks again every few seconds, and ends when the search has, or at Ctrl-C, which does nothing to the search.
    Where standard output is no terminal, it writes a line at each change. It exits with 1 where the execution has
    failed or been aborted.

    \b
      flyteoptuna watch flyte://flytesnacks/development/f3a1c9d27e5b84d0
      flyteoptuna watch search.study --every 1       a local run, from another terminal
      flyteoptuna watch flyte://... > progress.log   lines

    """)
    + f"\n\n{STUDY_HELP}",
)
@click.argument("study", metavar="STUDY")
@click.option(
    "--every", type=click.FloatRange(0.1), metavar="SECONDS", default=5, show_default=True, help="Between two looks."
)
def watch(study: str, every: float) -> None:
    """Follow a search while it runs."""
    found = look(study)
    from flyteoptuna.search.local.local_run import interruptible

    show = _live if sys.stdout.isatty() else _lines
    with interruptible(), suppress(KeyboardInterrupt), show() as update:
        while True:
            update(found)
            if found.ended:
                break
            time.sleep(every)
            found = look(study, found)
            interrupts.check()
    if sys.stdout.isatty():
        write(*map(_shown, _parts(found)))
    if found.phase in {"FAILED", "ABORTED", "TIMED_OUT"}:
        raise Failure(f"{study} has {found.phase.lower().replace('_', ' ')}.")


@contextmanager
def _live() -> Iterator[Callable[[Look], None]]:
    """Shows what was found in place of what was found before."""
    from rich.console import Console, Group
    from rich.live import Live

    with Live(console=Console(highlight=False), transient=True, auto_refresh=False) as live:

        def update(found: Look) -> None:
            live.update(Group(*map(_shown, _parts(found))), refresh=True)

        yield update


def _shown(part: Any) -> Any:
    return text(part) if isinstance(part, str) else part


@contextmanager
def _lines() -> Iterator[Callable[[Look], None]]:
    """Writes a line where what was found has changed."""
    before = [""]

    def update(found: Look) -> None:
        line = f"{_heading(found)}{f'; {found.problem}' if found.problem else ''}"
        if line != before[0]:
            write(text(line))
            sys.stdout.flush()
        before[0] = line

    yield update


def _heading(found: Look) -> str:
    """How far the search is, in a line."""
    phase = f"{found.phase}: " if found.phase else ""
    if found.study is None:
        return f"{phase}no study yet"
    running = f", {len(_running(found.study))} running"
    if found.progress is None:
        return f"{phase}{plural(len(found.study.get_trials(deepcopy=False)), 'trial')}{running}"
    said = str(found.progress)
    counts, comma, rest = said.partition(" trials")
    return f"{phase}{counts}{comma}{running}{rest}"


def _parts(found: Look) -> Iterator[Any]:
    """What a terminal shows: text, a bar and tables."""
    if found.study is not None:
        yield short(found.study.study_name)
    yield _heading(found)
    if found.progress is not None:
        from rich.progress_bar import ProgressBar

        yield ProgressBar(total=max(found.progress.n_trials, 1), completed=found.progress.finished, width=60)
    if found.problem:
        yield f"The last look failed: {found.problem}"
    if found.study is None:
        return
    for table in (_best(found.study), _now(found.study), failures(found.study.get_trials(deepcopy=False))):
        if table is not None:
            yield ""
            yield table


def _best(study: optuna.Study) -> Any:
    from flyteoptuna.study import results

    trial = results.best(study) if len(study.directions) == 1 else None
    if trial is None:
        return None
    table = new_table(">best", ">value", "parameters")
    table.add_row(str(trial.number), short(trial.value), text(_params(trial)))
    return table


def _running(study: optuna.Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _now(study: optuna.Study) -> Any:
    trials = _running(study)
    if not trials:
        return None
    table = new_table(">running", "since", "parameters")
    for trial in trials[:MOST_RUNNING]:
        # The time of the machine that asked it, whose zone is not known.
        since = f"{trial.datetime_start:%H:%M:%S}" if trial.datetime_start is not None else ""
        table.add_row(str(trial.number), since, text(_params(trial)))
    if len(trials) > MOST_RUNNING:
        table.add_row("...", "", f"and {len(trials) - MOST_RUNNING} more")
    return table


def _params(trial: FrozenTrial) -> str:
    reported = max(trial.intermediate_values.items(), default=None)
    said = ", ".join(f"{short(name)}={short(value)}" for name, value in list(trial.params.items())[:50])
    return cut(said, MOST_CHARACTERS) + (f"  (step {reported[0]}: {short(reported[1])})" if reported else "")
