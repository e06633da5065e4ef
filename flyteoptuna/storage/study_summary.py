"""Summaries of a study for ``repr`` and for notebooks: name, directions, trials by state, best value, file."""

from __future__ import annotations

import html
import reprlib
from collections import Counter
from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

# Trial states in words, in the order in which they are listed.
STATE_NAMES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}

# Maximum number of complete trials for which the Pareto front is computed, which takes quadratic time.
_MAX_FRONT_TRIALS = 10_000
# Maximum number of parameters in the HTML.
_MAX_PARAMS = 50


def summary_line(study: optuna.Study, file: str | None) -> str:
    """Summary in one line."""
    where = f", in {_printable(file)}" if file else ""
    return f"<{type(study).__name__} {_name(study)}: {_directions(study)}, {describe_trials(study)}{where}>"


def describe_trials(study: optuna.Study) -> str:
    """Trials of a study in words: ``4 trials (3 complete, 1 failed), best 0.5 (trial 2)``."""
    return ", ".join(filter(None, (_counts(study), _describe_result(study)[0])))


def summary_html(study: optuna.Study, file: str | None) -> str:
    """Summary as an HTML table without external resources."""
    best, trial = _describe_result(study)
    rows = [("direction", _directions(study)), ("trials", _counts(study)), ("result", best)]
    if trial is not None:
        params = list(trial.params.items())
        rows += [(name, _value(value)) for name, value in params[:_MAX_PARAMS]]
        rows += [("...", f"{len(params) - _MAX_PARAMS} more")] if len(params) > _MAX_PARAMS else []
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


def count_states(trials: Iterable[FrozenTrial]) -> str:
    """Numbers of trials by state, ``3 complete, 1 failed``."""
    counts = Counter(trial.state for trial in trials)
    return ", ".join(f"{counts[state]} {name}" for state, name in STATE_NAMES.items() if counts[state])


def _counts(study: optuna.Study) -> str:
    trials = study.get_trials(deepcopy=False)
    states = count_states(trials)
    return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}{f' ({states})' if states else ''}"


def _describe_result(study: optuna.Study) -> tuple[str, FrozenTrial | None]:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return "", None
    if len(study.directions) > 1:
        if len(complete) > _MAX_FRONT_TRIALS:
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
