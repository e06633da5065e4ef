"""Progress of a local search in the log: a line for each trial, or a bar in a terminal or a notebook."""

from __future__ import annotations

import datetime as dt
import html
import importlib
import logging
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from flyteoptuna.logs import logger
from flyteoptuna.streams import is_terminal, tolerant_stream
from flyteoptuna.study.progress import reason_line, trial_line
from flyteoptuna.values.text import plural

if TYPE_CHECKING:
    from typing_extensions import Self


class TerminalBar:
    """A bar of at most 80 columns in a terminal. Until it is closed, the cursor is hidden."""

    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        # A trial's standard output stays where it is redirected to, such as a file.
        # The terminal may be gone before the search ends.
        console = Console(file=tolerant_stream(sys.stderr))
        self._bar = Progress(*columns, console=console, redirect_stdout=is_terminal(sys.stdout))
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def show(self, n_finished: int, text: str) -> None:
        """Show the number of finished trials, a text, and an estimate of the time left."""
        self._bar.update(self._task, completed=n_finished, description=text, refresh=True)

    def close(self) -> None:
        """Stop the bar and show the cursor again."""
        self._bar.stop()


class NotebookBar:
    """A bar in a notebook, as HTML that IPython updates."""

    def __init__(self, total: int | None) -> None:
        self._total, self._start = total, time.monotonic()
        self._handle: Any = None
        self.show(0, "")

    def show(self, n_finished: int, text: str) -> None:
        """Show the number of finished trials, a text, and an estimate of the time left."""
        total, elapsed = self._total, time.monotonic() - self._start
        n_left = (total or 0) - n_finished
        seconds = round(elapsed / n_finished * n_left) if n_finished and n_left > 0 else None
        left = "" if seconds is None else f"about {dt.timedelta(seconds=seconds)} left"
        line = ", ".join(filter(None, (f"{n_finished}/{total or '?'} trials", text, left)))
        attributes = f' value="{n_finished}" max="{total}"' if total else ""
        bundle = {"text/plain": line, "text/html": f"<progress{attributes}></progress> {html.escape(line)}"}
        if self._handle is None:
            # No dependency: a notebook brings IPython.
            display = importlib.import_module("IPython.display").display
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def close(self) -> None:
        """Leave the bar in the notebook."""


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


Bar: TypeAlias = TerminalBar | NotebookBar

_open_bars: list[Bar] = []


def _make_bar(total: int | None) -> Bar | None:
    # A search inside a trial, or in another thread, logs lines beside the bar that is open.
    if _open_bars or not logger.isEnabledFor(logging.INFO):
        return None
    if _in_notebook():
        return NotebookBar(total)
    return TerminalBar(total) if is_terminal(sys.stderr) else None


class ProgressReporter:
    """Logs a line for each trial, or shows a bar in a terminal or a notebook. A context manager."""

    def __init__(self, n_trials: int | None, at_once: str, study: str) -> None:
        """Make a reporter of a search.

        Args:
            n_trials: number of trials; None if only the timeout ends the search.
            at_once: number of trials that run at once, in words.
            study: path under which the study can be read while the search runs.
        """
        self._n_trials, self._at_once, self._study = n_trials, at_once, study
        self._bar: Bar | None = None
        self._n_finished, self._n_failed, self._best = 0, 0, ""
        self._reasons: set[str] = set()

    def __enter__(self) -> Self:
        length = "until its timeout" if self._n_trials is None else f"of {plural(self._n_trials, 'trial')}"
        logger.info("A search %s begins, %s.", length, self._at_once)
        logger.info("Its study as it runs: flyteoptuna watch %s", shlex.quote(self._study))
        self._bar = _make_bar(self._n_trials)
        if self._bar is not None:
            _open_bars.append(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            _open_bars.remove(self._bar)
            self._bar.close()
            self._bar = None

    def report_trial(
        self,
        number: int,
        state: str,
        values: Sequence[float] | None,
        params: Mapping[str, Any],
        seconds: float,
        reason: str,
    ) -> None:
        """Report that a trial has ended."""
        self._n_finished += 1
        self._n_failed += state == "FAIL"
        line, reason = trial_line(number, state, values, params, seconds, reason), reason_line(reason)
        if self._bar is None:
            logger.info("%s", line)
            return
        if state == "FAIL" and reason not in self._reasons and len(self._reasons) < 5:
            # A bar has no room for reasons, so each is logged once.
            self._reasons.add(reason)
            logger.info("%s", line)
        self._show()

    def report_best(self, text: str) -> None:
        """Report the best result so far."""
        self._best = text
        self._show()

    def _show(self) -> None:
        if self._bar is not None:
            failed = f"{self._n_failed} failed" if self._n_failed else ""
            self._bar.show(self._n_finished, ", ".join(filter(None, (self._best, failed))))
