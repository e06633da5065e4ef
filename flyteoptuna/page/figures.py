"""Charts of a search: history or Pareto front, learning curves, and use of the slots."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial

from flyteoptuna.page.axis import Axis, downsample, linear_axis, value_axis
from flyteoptuna.page.cost import Cost
from flyteoptuna.page.elements import note_html, section
from flyteoptuna.page.summary import Summary
from flyteoptuna.page.svg import Layer, Points, chart, dot_layers, log_note, outside_note
from flyteoptuna.storage.study_summary import STATE_NAMES

# Maximum number of objectives that have a chart.
MAX_OBJECTIVE_CHARTS = 6

_TIME_UNITS = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"), (0.001, "milliseconds"))


def outcome_figures(results: Summary, max_dots: int) -> str:
    """The history of each objective, or the Pareto front of two; at most ``max_dots`` dots in all."""
    if not results.feasible and not results.infeasible:
        return ""
    if len(results.names) == 2:
        return section("Pareto front", _front_chart(results, max_dots))
    count = min(len(results.names), MAX_OBJECTIVE_CHARTS)
    charts = "".join(_history_chart(results, i, max_dots // count) for i in range(count))
    more = f"Of {len(results.names)} objectives, the first {count}." if count < len(results.names) else ""
    return section("Best so far", f'<div class="charts">{charts}</div>', note_html(more))


def _history_chart(results: Summary, objective: int, max_dots: int) -> str:
    def to_points(trials: Sequence[FrozenTrial]) -> list[tuple[float, float]]:
        return [(t.number, t.values[objective]) for t in trials]

    name, steps, last = results.labels[objective], results.improvements[objective], results.trials[-1].number
    line: list[tuple[float, float]] = []
    for number, value in to_points(downsample(steps, max_dots // 4)):
        line += [(number, line[-1][1]), (number, value)] if line else [(number, value)]
    line += [(last, line[-1][1])] if line else []
    feasible, infeasible = to_points(results.feasible), to_points(results.infeasible)
    x = linear_axis([0, last], whole=True, ticks=5)
    y = value_axis([value for _, value in [*feasible, *infeasible]], worse=results.loss_sign(objective))
    layers = [
        *_trial_dots(results, to_points, max_dots, x, y),
        Layer("line", line, line=True),
        *_dot_layers("best", steps[-1:], to_points, 1, x, y),
    ]
    caption = _caption(x, y, feasible, infeasible, max_dots) + log_note({name: y})
    return _figure(x, y, layers, f"{name} by trial number", f"; the line is the best so far.{caption}")


def _front_chart(results: Summary, max_dots: int) -> str:
    def to_points(trials: Sequence[FrozenTrial]) -> list[tuple[float, float]]:
        return [(t.values[0], t.values[1]) for t in trials]

    best = downsample(results.best, max_dots // 4)
    line: list[tuple[float, float]] = []
    for a, b in to_points(best):
        # Between two optima, only the worse value of each objective is known to be reachable.
        if line:
            line.append((a, line[-1][1]) if results.loss_sign(0) > 0 else (line[-1][0], b))
        line.append((a, b))
    points = to_points([*results.feasible, *results.infeasible])
    x, y = (value_axis([p[i] for p in points], worse=results.loss_sign(i), ticks=4) for i in (0, 1))
    layers = [
        *_trial_dots(results, to_points, max_dots, x, y),
        Layer("line", line, line=True),
        *_dot_layers("best", best, to_points, len(best), x, y),
    ]
    caption = _caption(x, y, to_points(results.feasible), to_points(results.infeasible), max_dots)
    caption += log_note(dict(zip(results.labels, (x, y), strict=True)))
    label = f"{results.labels[1]} (upwards) against {results.labels[0]}"
    return _figure(x, y, layers, label, f"; the line is the Pareto front.{caption}", 300)


def _trial_dots(results: Summary, to_points: Callable[..., Points], max_dots: int, x: Axis, y: Axis) -> list[Layer]:
    infeasible = _dot_layers("infeasible", results.infeasible, to_points, max_dots // 4, x, y)
    return [*infeasible, *_dot_layers("dots", results.feasible, to_points, max_dots, x, y)]


def _dot_layers(
    style: str, trials: Sequence[FrozenTrial], to_points: Callable[..., Points], limit: int, x: Axis, y: Axis
) -> list[Layer]:
    sample = downsample(trials, limit)
    return dot_layers(style, to_points(sample), [t.number for t in sample], x, y)


def _caption(x: Axis, y: Axis, feasible: Points, infeasible: Points, max_dots: int) -> str:
    points = [*feasible, *infeasible]
    hidden = len(points) - sum([x.contains(a) and y.contains(b) for a, b in points])
    text = " The grey dots violate a constraint." if infeasible else ""
    text += outside_note(hidden, len(points))
    sampled = len(feasible) > max_dots or len(infeasible) > max_dots // 4
    return text + (" The dots are an even sample of the trials." if sampled else "")


def _figure(x: Axis, y: Axis, layers: Sequence[Layer], label: str, about: str, height: int = 220) -> str:
    return f"<figure>{chart(x, y, layers, label=label, height=height)}<figcaption>{label}{about}</figcaption></figure>"


def learning_curves(results: Summary, max_lines: int, max_points: int) -> str:
    """Intermediate values by step, of the best trial and an even sample of the others."""
    reported = [t for t in results.trials if any(map(math.isfinite, t.intermediate_values.values()))]
    if not reported:
        return ""
    best = {t.number for t in results.best[:1]}
    sample = downsample([t for t in reported if t.number not in best], max_lines)
    chosen = [*sample, *(t for t in reported if t.number in best)]
    lines = [(t, _curve(t, max_points)) for t in chosen]
    worse = 0 if results.multi_objective else results.loss_sign(0)
    x = linear_axis([step for _, line in lines for step, _ in line], whole=True, ticks=5)
    values = [value for _, line in lines for _, value in line]
    y = value_axis(values, worse=worse)
    # Drawn later means on top: complete trials first, pruned ones last, then the best.
    order = list(STATE_NAMES)
    layers: list[Layer] = []
    for trial, line in sorted(lines, key=lambda item: (item[0].number in best, -order.index(item[0].state) % 5)):
        style = "best-curve" if trial.number in best else f"curve {STATE_NAMES[trial.state]}"
        layers.append(Layer(style, line, line=len(line) > 1, trials=[trial.number]))
    states = {t.state for t in chosen if t.number not in best}
    names = [name for state, name in STATE_NAMES.items() if state in states]
    key = "".join(f'<li><i class="{name}"></i>{name}</li>' for name in names)
    key += '<li><i class="best-key"></i>the best</li>' if best & {t.number for t in chosen} else ""
    about = "The values that trials reported, by step."
    if len(chosen) < len(reported):
        about += f" {len(chosen):,} of {len(reported):,} trials, an even sample."
    if cut := sum(not all(y.contains(value) for _, value in line) for _, line in lines):
        about += f" {cut:,} of {len(lines):,} lines are cut at the edge."
    about += log_note({"the values": y})
    svg = chart(x, y, layers, label="reported values by step", height=240)
    caption = f'{about}<ul class="key">{key}</ul>'
    return section("Learning curves", f"<figure>{svg}<figcaption>{caption}</figcaption></figure>")


def _curve(trial: FrozenTrial, max_points: int) -> Points:
    steps = sorted((step, value) for step, value in trial.intermediate_values.items() if math.isfinite(value))
    return downsample(steps, max_points)


def slot_figure(cost: Cost) -> str:
    """A timeline of the trials in each slot."""
    if not cost.wall_seconds:
        return ""
    size, unit = next(((size, unit) for size, unit in _TIME_UNITS if cost.wall_seconds >= 2 * size), _TIME_UNITS[-1])
    count = max(run.slot for run in cost.runs) + 1
    height = min(18 * count, 320)
    stroke = max(height / count - (4 if count < 40 else 0), 1)
    layers = []
    for state, style in STATE_NAMES.items():
        runs = [run for run in cost.runs if run.trial.state == state]
        starts, ends = [(run.start / size, -run.slot) for run in runs], [run.end / size for run in runs]
        numbers = [run.trial.number for run in runs]
        layers.append(Layer(f"run {style}", starts, trials=numbers, ends=ends, width=stroke))
    x = linear_axis([0, cost.wall_seconds / size], ticks=5)
    x = Axis(0, cost.wall_seconds / size, tuple(tick for tick in x.ticks if 0 <= tick[0] <= cost.wall_seconds / size))
    y = Axis(-count + 0.5, 0.5, ())
    svg = chart(x, y, layers, label="trials in each slot over time", height=height)
    caption = f"Each row is a slot, each bar a trial, by {unit}."
    return section("Slots", f"<figure>{svg}<figcaption>{caption}</figcaption></figure>")
