"""What the parameters did: how important each is, the values over it, and the trials across all of them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, create_trial

from flyteoptuna.core.optuna_log import log_of
from flyteoptuna.show.page import elements
from flyteoptuna.show.page.axis import Axis, axis, category_axis, log_axis, thin
from flyteoptuna.show.page.charts import Layer, chart, percent
from flyteoptuna.show.page.summary import Summary

MOST_WEIGHED = 1000
"""Trials from which importances are estimated."""

MOST_OBJECTIVES = 4

MOST_SLICES = 12
"""Parameters with a chart of their own."""

MOST_DOTS = 400
"""Dots of such a chart."""

MOST_ACROSS = 8
"""Parameters of parallel coordinates."""

MOST_LINES = 300
"""Trials of parallel coordinates, each a line."""


class _Param(NamedTuple):
    """A parameter's axis; where each of its values stands on it."""

    name: str
    axis: Axis
    places: dict[int, float]


def parameters(results: Summary) -> str:
    """The section of each objective; a line that says why not where nothing can be said."""
    parts = []
    for objective in range(min(len(results.names), MOST_OBJECTIVES)):
        title = f"Parameters and {results.labels[objective]}" if results.several else "Parameters"
        parts.append(elements.section(title, _of_objective(results, objective)))
        if not any(t.params for t in results.trials):
            break
    return "".join(parts)


def _of_objective(results: Summary, objective: int) -> str:
    trials = [t for t in [*results.feasible, *results.infeasible] if math.isfinite(t.values[objective])]
    trials.sort(key=lambda t: t.number)
    values = {t.number: t.values[objective] for t in trials}
    names = list(dict.fromkeys(name for t in trials for name in t.params))
    if not names:
        why = "the trials have no parameters" if trials else "no trial has completed with finite values"
        return elements.note(f"Not drawn: {why}.")
    weights = _importances(results, trials, objective) if len(names) > 1 else {}
    names.sort(key=lambda name: -weights.get(name, -1.0))
    worse = results.worse(objective)
    y = axis(list(values.values()), worse=worse, keep=[min(values.values(), key=lambda v: v * worse)], ticks=4)
    styles = {t.number: "infeasible" for t in results.infeasible} | {t.number: "best" for t in results.best}
    params = [_param(name, trials) for name in names[:MOST_SLICES]]
    cards = "".join(_slice(p, y, values, styles, weights.get(p.name), results.labels[objective]) for p in params)
    said = [f"Each dot is a trial: {results.labels[objective]}, upwards, by the parameter."]
    said.append(f"The {len(params)} of {len(names)} that matter most." if len(names) > len(params) else "")
    said.append("The bars are Optuna's estimate of how much each parameter decides (PED-ANOVA)." if weights else "")
    across = _across(results, params[:MOST_ACROSS], y, values, objective) if len(params) > 1 else ""
    return elements.note(" ".join(filter(None, said))) + f'<div class="slices">{cards}</div>{across}'


def _importances(results: Summary, trials: Sequence[FrozenTrial], objective: int) -> dict[str, float]:
    """Each parameter's share in what decides an objective; empty where it cannot be told."""
    study = optuna.create_study()
    study.add_trials(
        create_trial(
            value=t.values[objective] * results.worse(objective), params=t.params, distributions=t.distributions
        )
        for t in thin(trials, MOST_WEIGHED)
    )
    try:
        # Of optuna's evaluators, the one that needs no further package.
        return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    except Exception:
        # It refuses studies of one trial, of one value, of parameters that no two trials share, and says so variously.
        return {}


@contextmanager
def quiet() -> Iterator[None]:
    """In the body, optuna says nothing."""
    with log_of(logging.CRITICAL), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _param(name: str, trials: Sequence[FrozenTrial]) -> _Param:
    having = [t for t in trials if name in t.params]
    values: dict[int, Any] = {t.number: t.params[name] for t in having}
    distributions = [t.distributions[name] for t in having]
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values.values()) and not any(
        hasattr(d, "choices") for d in distributions
    ):
        places = {number: float(value) for number, value in values.items()}
        if any(getattr(d, "log", False) for d in distributions):
            return _Param(name, log_axis(list(places.values())), places)
        whole = all(isinstance(v, int) for v in values.values())
        return _Param(name, axis(list(places.values()), whole=whole, ticks=4), places)
    # Optuna refuses other choices for a parameter than it had.
    choices = {_key(choice): choice for choice in [*getattr(distributions[-1], "choices", ()), *values.values()]}
    where = {key: place for place, key in enumerate(choices)}
    room = max(3, 30 // len(where))
    labels = [elements.short(choice, room) for choice in choices.values()]
    return _Param(name, category_axis(labels), {number: where[_key(value)] for number, value in values.items()})


def _key(value: object) -> tuple[type, object]:
    # `True` and `1` are two choices of one list.
    return type(value), value


def _slice(
    p: _Param, y: Axis, values: dict[int, float], styles: dict[int, str], weight: float | None, name: str
) -> str:
    layers = []
    for style, most in (("infeasible", MOST_DOTS // 4), ("dots", MOST_DOTS), ("best", MOST_DOTS // 4)):
        chosen = thin([n for n in p.places if styles.get(n, "dots") == style], most)
        points = [(p.places[n] + _jitter(p.axis, n), values[n]) for n in chosen]
        layers.append(Layer(style, points, trials=chosen))
    drawn = chart(p.axis, y, layers, label=f"{name} against {elements.text(p.name, 60)}", height=150)
    share = ""
    if weight is not None:
        share = f'<span class="muted">{weight:.0%}</span><i class="share" style="width:{100 * weight:.1f}%"></i>'
    return f"<figure><h4>{elements.path(p.name, 60)} {share}</h4>{drawn}</figure>"


def _jitter(of: Axis, number: int) -> float:
    """A shift by which trials of one category stand side by side."""
    categories = of.low == -0.5 and not of.log
    return (number * 0.618034 % 1 - 0.5) * 0.5 if categories else 0.0


def _across(results: Summary, params: Sequence[_Param], y: Axis, values: dict[int, float], objective: int) -> str:
    """Parallel coordinates: each trial is a line across its parameters to its value."""
    best = {t.number for t in results.best}
    name, worse = results.labels[objective], results.worse(objective)
    ordered = thin(sorted(values, key=lambda n: (values[n] * worse, n not in best)), MOST_LINES)
    columns = [*params, _Param(name, y, values)]
    x, share = Axis(-0.5, len(columns) - 0.5, ()), Axis(0, 1, ())
    top = "front-line" if results.several else "best-line"
    layers = []
    for place, number in reversed(list(enumerate(ordered))):
        style = f"across {top}" if number in best else f"across q{4 * place // len(ordered)}"
        points = [(i, c.axis.at(c.places[number])) for i, c in enumerate(columns) if number in c.places]
        layers.append(Layer(style, points, line=True, trials=[number]))
    layers.sort(key=lambda layer: layer.style.endswith(top))
    marks = []
    for i, column in enumerate(columns):
        at = percent((i + 0.5) / len(columns))
        marks.append(f'<line class="axis" x1="{at}" x2="{at}" y1="0" y2="100%"/>')
        for value, tick in column.axis.ticks:
            y_at = percent(1 - column.axis.at(value))
            marks.append(f'<text class="on" x="{at}" dx="6" dy=".35em" y="{y_at}">{elements.text(tick, 12)}</text>')
    drawn = chart(x, share, layers, label="the trials across their parameters", height=260, inside="".join(marks))
    heads = "".join(f"<span>{elements.path(p.name, 40)}</span>" for p in params) + f"<span>{name}</span>"
    about = "Each line is a trial, from its parameters to its value; the better, the stronger."
    if len(ordered) < len(values):
        about += f" {len(ordered):,} of {len(values):,} trials, an even sample of the values."
    room = min(max(96, *(24 + 8 * elements.widest(p.name, 40) for p in columns)), 200) * len(columns)
    inner = f'<div style="min-width:{room}px"><div class="heads">{heads}</div>{drawn}</div>'
    return f'<figure><div class="box">{inner}</div><figcaption>{about}</figcaption></figure>'
