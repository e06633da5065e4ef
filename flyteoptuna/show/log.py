"""What a search says of itself while it runs: a line a generation, and in a local run a line a trial, or a bar."""

from __future__ import annotations

import datetime as dt
import html
import importlib
import logging
import reprlib
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from flyteoptuna.core.plain_values import duration, plural

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT, TIME = "[%(levelname).1s %(asctime)s] %(message)s", "%H:%M:%S"
"""The date would leave little of a line of 80 columns."""


# It takes no type at run time before Python 3.11.
class _ToStderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what is standard error when it writes, as a bar takes its place and a test replaces it."""

    @property
    def stream(self) -> TextIO:
        """Standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def _made() -> logging.Logger:
    # As optuna's own logger: it speaks without being configured, and to its own handler alone.
    made = logging.getLogger("flyteoptuna")
    if not made.handlers:
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter(FORMAT, TIME))
        made.addHandler(handler)
        # One that was set before this was imported stays.
        made.setLevel(made.level or logging.INFO)
        made.propagate = False
    return made


logger = _made()
"""The library's logger. ``logging.getLogger("flyteoptuna").setLevel(...)`` makes it say less or more."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 40


def assignments(params: Mapping[str, Any], most: int = 12) -> str:
    """Parameters in a line: ``x=0.5, kind='tree'``; long values are cut, and more than ``most`` are counted."""
    shown = [
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={_SHORT.repr(value)}"
        for name, value in list(params.items())[:most]
    ]
    return ", ".join([*shown, *([f"and {len(params) - most} more"] if len(params) > most else [])])


def numbers(values: Sequence[float] | None) -> str:
    """The values of a trial in a line."""
    return ", ".join(f"{value:.6g}" for value in values or ())


def _reason(why: str) -> str:
    return textwrap.shorten(why.partition("\n")[0].rstrip("."), 200, placeholder=" ...")


def trial_line(
    number: int, state: str, values: Sequence[float] | None, params: Mapping[str, Any], took: float, why: str
) -> str:
    """What has become of a trial, in a line; see :meth:`Narration.trial`."""
    said = numbers(values) if state == "COMPLETE" else {"FAIL": "failed"}.get(state, state.lower())
    result = ", ".join(filter(None, (said, _reason(why))))
    return f"Trial {number}: {result}; {assignments(params)} ({duration(took)})"


class Bar(Protocol):
    """Something that shows how far a search is."""

    def show(self, finished: int, text: str) -> None:
        """Show how many trials have finished, and what else there is to say."""

    def close(self) -> None:
        """End, and leave the terminal or the notebook as it was."""


class TerminalBar:
    """A bar in a terminal, of 80 columns at most. One that is not closed hides the cursor.

    Args:
        total: trials of the search; None where that is not known.
    """

    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        # What trials print is to stay where it goes to, which may be a file.
        self._bar = Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty())
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def show(self, finished: int, text: str) -> None:
        """Show how many trials have finished, the text, and an estimate of the time left."""
        self._bar.update(self._task, completed=finished, description=text, refresh=True)

    def close(self) -> None:
        """End the bar."""
        self._bar.stop()


class NotebookBar:
    """A bar in a notebook, which needs nothing but IPython.

    Args:
        total: trials of the search; None where that is not known.
    """

    def __init__(self, total: int | None) -> None:
        self._total, self._start = total, time.monotonic()
        self._handle: Any = None
        self.show(0, "")

    def show(self, finished: int, text: str) -> None:
        """Show how many trials have finished, the text, and an estimate of the time left."""
        total, passed = self._total, time.monotonic() - self._start
        ahead = (total or 0) - finished
        seconds = round(passed / finished * ahead) if finished and ahead > 0 else None
        left = "" if seconds is None else f"about {dt.timedelta(seconds=seconds)} left"
        line = ", ".join(filter(None, (f"{finished}/{total or '?'} trials", text, left)))
        known = f' value="{finished}" max="{total}"' if total else ""
        bundle = {"text/plain": line, "text/html": f"<progress{known}></progress> {html.escape(line)}"}
        if self._handle is None:
            # No dependency: whoever has a notebook has IPython.
            display = importlib.import_module("IPython.display").display
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def close(self) -> None:
        """Leave the bar as it is."""


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


_shown: list[Bar] = []


def _bar(total: int | None) -> Bar | None:
    # A search in a trial, or in another thread, has lines beside the bar that there is.
    if _shown or not logger.isEnabledFor(logging.INFO):
        return None
    if _in_notebook():
        return NotebookBar(total)
    return TerminalBar(total) if sys.stderr.isatty() else None


class Narration:
    """What a local run says: lines, or a bar where a terminal or a notebook shows one. A context manager.

    Args:
        n_trials: trials of the search; None where that is not known.
        concurrency: trials that run at once.
    """

    def __init__(self, n_trials: int | None, concurrency: int) -> None:
        self._n_trials, self._concurrency = n_trials, concurrency
        self._bar: Bar | None = None
        self._finished, self._failed, self._best = 0, 0, ""
        self._reasons: set[str] = set()

    def __enter__(self) -> Self:
        how_long = "until its timeout" if self._n_trials is None else f"of {plural(self._n_trials, 'trial')}"
        logger.info("A search %s, %d at once, begins.", how_long, self._concurrency)
        self._bar = _bar(self._n_trials)
        if self._bar is not None:
            _shown.append(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            _shown.remove(self._bar)
            self._bar.close()
            self._bar = None

    def trial(
        self,
        number: int,
        state: str,
        values: Sequence[float] | None,
        params: Mapping[str, Any],
        took: float,
        why: str,
    ) -> None:
        """Say that a trial has ended.

        Args:
            number: its number.
            state: the name of its state.
            values: its values, if it is complete.
            params: its parameters.
            took: its seconds.
            why: why it failed or was pruned.
        """
        self._finished += 1
        self._failed += state == "FAIL"
        line, reason = trial_line(number, state, values, params, took, why), _reason(why)
        if self._bar is None:
            logger.info("%s", line)
            return
        if state == "FAIL" and reason not in self._reasons and len(self._reasons) < 5:
            # A bar has no room for why, so each reason is said once.
            self._reasons.add(reason)
            logger.info("%s", line)
        self._show()

    def best(self, text: str) -> None:
        """Say what is the best result so far."""
        self._best = text
        self._show()

    def _show(self) -> None:
        if self._bar is not None:
            failed = f"{self._failed} failed" if self._failed else ""
            self._bar.show(self._finished, ", ".join(filter(None, (self._best, failed))))
