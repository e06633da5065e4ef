"""A study in a line, and as a small page for a notebook: name, direction, trials by state, best value, file."""

from __future__ import annotations

import html
import reprlib
from collections import Counter

import optuna
from optuna.trial import FrozenTrial, TrialState

_ORDER = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}

_MOST_ON_FRONT = 10_000
"""Most complete trials whose Pareto front is looked for: it may take the square of their number."""

_MOST_PARAMS = 50


def line(study: optuna.Study, file: str | None) -> str:
    """The study in a line."""
    parts = [_directions(study), _counts(study), _best(study)[0], f"in {_printable(file)}" if file else ""]
    return f"<{type(study).__name__} {_name(study)}: {', '.join(part for part in parts if part)}>"


def page(study: optuna.Study, file: str | None) -> str:
    """The study as HTML that needs nothing beside it."""
    best, trial = _best(study)
    rows = [("direction", _directions(study)), ("trials", _counts(study)), ("result", best)]
    if trial is not None:
        params = list(trial.params.items())
        rows += [(name, _value(value)) for name, value in params[:_MOST_PARAMS]]
        rows += [("...", f"{len(params) - _MOST_PARAMS} more")] if len(params) > _MOST_PARAMS else []
    rows += [("file", file)] if file else []
    cells = "".join(f"<tr><th>{_escaped(name)}</th><td>{_escaped(value)}</td></tr>" for name, value in rows)
    return f"<table><caption>{html.escape(_name(study))}</caption>{cells}</table>"


def _name(study: optuna.Study) -> str:
    shown = reprlib.Repr()
    shown.maxstring = 100
    return shown.repr(study.study_name)


def _directions(study: optuna.Study) -> str:
    names = [direction.name.lower() for direction in study.directions]
    return " and ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _counts(study: optuna.Study) -> str:
    trials = study.get_trials(deepcopy=False)
    found = Counter(trial.state for trial in trials)
    states = ", ".join(f"{found[state]} {name}" for state, name in _ORDER.items() if found[state])
    return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}{f' ({states})' if states else ''}"


def _best(study: optuna.Study) -> tuple[str, FrozenTrial | None]:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return "", None
    if len(study.directions) > 1:
        if len(complete) > _MOST_ON_FRONT:
            return "", None
        count = len(study.best_trials)
        return f"{count} on the Pareto front" if count else "none satisfies the constraints", None
    try:
        best = study.best_trial
    except ValueError:
        return "none satisfies the constraints", None
    return f"best {best.values[0]:.6g} (trial {best.number})", best


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _escaped(text: str) -> str:
    shown = _printable(text[:201])
    return html.escape(shown if len(shown) <= 200 else f"{shown[:197]}...")
