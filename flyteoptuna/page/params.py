"""Charts of the parameters: importances, slices, and parallel coordinates."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, create_trial

from flyteoptuna.logs import optuna_log_level
from flyteoptuna.page.axis import Axis, category_axis, downsample, linear_axis, log_axis, value_axis
from flyteoptuna.page.elements import escape_text, longest_word, name_html, note_html, section, shorten
from flyteoptuna.page.summary import Summary
from flyteoptuna.page.svg import Layer, chart, dot_layers, log_note, outside_note, percent

# Maximum number of trials for the estimate of importances.
MAX_IMPORTANCE_TRIALS = 1000
# Maximum number of objectives that have a section.
MAX_OBJECTIVES = 4
# Maximum number of parameters that have a chart, per objective.
MAX_SLICES = 12
# Maximum number of dots of such a chart, by style.
MAX_SLICE_DOTS = 400
# Maximum number of parameters in parallel coordinates.
MAX_COORDINATES = 8
# Maximum number of trials in parallel coordinates, each a line.
MAX_COORDINATE_LINES = 300


class _ParamAxis(NamedTuple):
    """The axis of a parameter, and the position on it by trial number."""

    name: str
    axis: Axis
    positions: dict[int, float]


def parameter_charts(results: Summary) -> str:
    """The section of each objective; a line with the reason if it cannot be drawn."""
    parts = []
    for objective in range(min(len(results.names), MAX_OBJECTIVES)):
        title = f"Parameters and {results.labels[objective]}" if results.multi_objective else "Parameters"
        parts.append(section(title, _objective_charts(results, objective)))
        if not any(t.params for t in results.trials):
            break
    return "".join(parts)


def _objective_charts(results: Summary, objective: int) -> str:
    trials = [t for t in [*results.feasible, *results.infeasible] if math.isfinite(t.values[objective])]
    trials.sort(key=lambda t: t.number)
    values = {t.number: t.values[objective] for t in trials}
    names = list(dict.fromkeys(name for t in trials for name in t.params))
    if not names:
        reason = "the trials have no parameters" if trials else "no trial has completed with finite values"
        return note_html(f"Not drawn: {reason}.")
    weights = _importances(results, trials, objective) if len(names) > 1 else {}
    names.sort(key=lambda name: -weights.get(name, -1.0))
    worse = results.loss_sign(objective)
    y = value_axis(list(values.values()), worse=worse, ticks=4)
    styles = {t.number: "infeasible" for t in results.infeasible} | {t.number: "best" for t in results.best}
    params = [_param_axis(name, trials) for name in names[:MAX_SLICES]]
    charts = "".join(_slice_chart(p, y, values, styles, weights.get(p.name), results.labels[objective]) for p in params)
    notes = [f"Each dot is a trial: {results.labels[objective]}, upwards, by the parameter."]
    notes.append(outside_note(sum(not y.contains(v) for v in values.values()), len(values)).strip())
    notes.append(log_note({results.labels[objective]: y}).strip())
    notes.append(f"The {len(params)} of {len(names)} that matter most." if len(names) > len(params) else "")
    notes.append("The bars are Optuna's estimate of how much each parameter decides (PED-ANOVA)." if weights else "")
    columns = params[:MAX_COORDINATES]
    coordinates = _parallel_coordinates(results, columns, y, values, objective) if len(params) > 1 else ""
    return note_html(" ".join(filter(None, notes))) + f'<div class="slices">{charts}</div>{coordinates}'


def _importances(results: Summary, trials: Sequence[FrozenTrial], objective: int) -> dict[str, float]:
    """Importance of each parameter for an objective, between 0 and 1; empty if Optuna cannot estimate it."""
    study = optuna.create_study()
    sign = results.loss_sign(objective)
    for t in downsample(trials, MAX_IMPORTANCE_TRIALS):
        value = t.values[objective] * sign
        study.add_trial(create_trial(value=value, params=t.params, distributions=t.distributions))
    try:
        # The only evaluator of Optuna that needs no further package.
        return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    except Exception:
        # It refuses one trial, equal values, or parameters without a common trial, by several types of errors.
        return {}


@contextmanager
def silence_optuna() -> Iterator[None]:
    """Suppress the log messages and warnings of Optuna in the body."""
    with optuna_log_level(logging.CRITICAL), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _param_axis(name: str, trials: Sequence[FrozenTrial]) -> _ParamAxis:
    with_param = [t for t in trials if name in t.params]
    values: dict[int, Any] = {t.number: t.params[name] for t in with_param}
    distributions = [t.distributions[name] for t in with_param]
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values.values()) and not any(
        hasattr(d, "choices") for d in distributions
    ):
        positions = {number: float(value) for number, value in values.items()}
        if any(getattr(d, "log", False) for d in distributions):
            return _ParamAxis(name, log_axis(list(positions.values())), positions)
        whole = all(isinstance(v, int) for v in values.values())
        return _ParamAxis(name, linear_axis(list(positions.values()), whole=whole, ticks=4), positions)
    # Optuna lets no parameter change its choices, so the last distribution has them all.
    choices = {_choice_key(choice): choice for choice in [*getattr(distributions[-1], "choices", ()), *values.values()]}
    order = {key: float(position) for position, key in enumerate(choices)}
    labels = [shorten(choice, max(3, 30 // len(order))) for choice in choices.values()]
    return _ParamAxis(name, category_axis(labels), {number: order[_choice_key(v)] for number, v in values.items()})


def _choice_key(value: object) -> tuple[type, object]:
    # `True` and `1` are equal, but may both be choices.
    return type(value), value


def _slice_chart(
    p: _ParamAxis, y: Axis, values: dict[int, float], styles: dict[int, str], weight: float | None, name: str
) -> str:
    layers: list[Layer] = []
    for style, limit in (("infeasible", MAX_SLICE_DOTS // 4), ("dots", MAX_SLICE_DOTS), ("best", MAX_SLICE_DOTS // 4)):
        chosen = downsample([n for n in p.positions if styles.get(n, "dots") == style], limit)
        points = [(p.positions[n] + _jitter(p.axis, n), values[n]) for n in chosen]
        layers += dot_layers(style, points, chosen, p.axis, y)
    svg = chart(p.axis, y, layers, label=f"{name} against {escape_text(p.name, 60)}", height=150)
    share = ""
    if weight is not None:
        share = f'<span class="muted">{weight:.0%}</span><i class="share" style="width:{100 * weight:.1f}%"></i>'
    return f"<figure><h4>{name_html(p.name, 60)} {share}</h4>{svg}</figure>"


def _jitter(param_axis: Axis, number: int) -> float:
    """A shift that separates the trials of one category."""
    categories = param_axis.low == -0.5 and not param_axis.log
    return (number * 0.618034 % 1 - 0.5) * 0.5 if categories else 0.0


def _parallel_coordinates(
    results: Summary, params: Sequence[_ParamAxis], y: Axis, values: dict[int, float], objective: int
) -> str:
    """A chart in which each trial is a line across its parameters to its value."""
    best = {t.number for t in results.best}
    name, worse = results.labels[objective], results.loss_sign(objective)
    ordered = downsample(sorted(values, key=lambda n: (values[n] * worse, n not in best)), MAX_COORDINATE_LINES)
    columns = [*params, _ParamAxis(name, y, values)]
    x, share = Axis(-0.5, len(columns) - 0.5, ()), Axis(0, 1, ())
    top = "front-line" if results.multi_objective else "best-line"
    layers = []
    for rank, number in reversed(list(enumerate(ordered))):
        style = f"across {top}" if number in best else f"across q{4 * rank // len(ordered)}"
        points = [(i, c.axis.position(c.positions[number])) for i, c in enumerate(columns) if number in c.positions]
        layers.append(Layer(style, points, line=True, trials=[number]))
    layers.sort(key=lambda layer: layer.style.endswith(top))
    marks = []
    for i, column in enumerate(columns):
        at = percent((i + 0.5) / len(columns))
        marks.append(f'<line class="axis" x1="{at}" x2="{at}" y1="0" y2="100%"/>')
        for value, tick in column.axis.ticks:
            y_at = percent(1 - column.axis.position(value))
            marks.append(f'<text class="on" x="{at}" dx="6" dy=".35em" y="{y_at}">{escape_text(tick, 12)}</text>')
    svg = chart(x, share, layers, label="the trials across their parameters", height=260, overlay="".join(marks))
    heads = "".join(f"<span>{name_html(p.name, 40)}</span>" for p in params) + f"<span>{name}</span>"
    about = "Each line is a trial, from its parameters to its value; the better, the stronger."
    if not all(map(y.contains, values.values())):
        about += " A value outside is at the end of its axis."
    if len(ordered) < len(values):
        about += f" {len(ordered):,} of {len(values):,} trials, an even sample of the values."
    width = min(max(96, *(24 + 8 * longest_word(p.name, 40) for p in columns)), 200) * len(columns)
    inner = f'<div style="min-width:{width}px"><div class="heads">{heads}</div>{svg}</div>'
    return f'<figure><div class="box">{inner}</div><figcaption>{about}</figcaption></figure>'
