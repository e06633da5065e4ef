"""The charts of a search: its history or its Pareto front, learning curves, and how its slots were used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial

from flyteoptuna.show.page import elements
from flyteoptuna.show.page.axis import Axis, axis, thin
from flyteoptuna.show.page.charts import Layer, Points, chart
from flyteoptuna.show.page.cost import Cost
from flyteoptuna.show.page.summary import STATES, Summary

MOST_CHARTS = 6
"""Objectives with a chart of their own."""

_SECONDS = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"), (0.001, "milliseconds"))


def outcome(results: Summary, most: int) -> str:
    """What was reached: the history of each objective, or the values of two; ``most`` dots in all."""
    if not results.feasible and not results.infeasible:
        return ""
    if len(results.names) == 2:
        return elements.section("Pareto front", _front(results, (0, 1), most))
    count = min(len(results.names), MOST_CHARTS)
    drawn = "".join(_history(results, i, most // count) for i in range(count))
    more = f"Of {len(results.names)} objectives, the first {count}." if count < len(results.names) else ""
    return elements.section("Best so far", f'<div class="charts">{drawn}</div>', elements.note(more))


def _history(results: Summary, objective: int, most: int) -> str:
    def places(trials: Sequence[FrozenTrial]) -> list[tuple[float, float]]:
        return [(t.number, t.values[objective]) for t in trials]

    name, steps, last = results.labels[objective], results.improvements[objective], results.trials[-1].number
    line: list[tuple[float, float]] = []
    for number, value in places(thin(steps, most // 4)):
        line += [(number, line[-1][1]), (number, value)] if line else [(number, value)]
    line += [(last, line[-1][1])] if line else []
    feasible, infeasible = places(results.feasible), places(results.infeasible)
    x = axis([0, last], whole=True, ticks=5)
    values, latest = [value for _, value in [*feasible, *infeasible]], [t.values[objective] for t in steps[-1:]]
    y = axis(values, worse=results.worse(objective), keep=latest)
    drawn = [_dots("infeasible", results.infeasible, places, most // 4), _dots("dots", results.feasible, places, most)]
    drawn += [Layer("line", line, line=True), _dots("best", steps[-1:], places, 1)]
    said = _about(x, y, feasible, infeasible, most)
    return _figure(x, y, drawn, f"{name} by trial number", f"; the line is the best so far.{said}")


def _front(results: Summary, pair: tuple[int, int], most: int) -> str:
    def places(trials: Sequence[FrozenTrial]) -> list[tuple[float, float]]:
        return [(t.values[pair[0]], t.values[pair[1]]) for t in trials]

    best = thin(results.best, most // 4)
    line: list[tuple[float, float]] = []
    for a, b in places(best):
        # Between two optima, what is known to be reachable is the worse of both.
        if line:
            line.append((a, line[-1][1]) if results.worse(pair[0]) > 0 else (line[-1][0], b))
        line.append((a, b))
    shown = places([*results.feasible, *results.infeasible])
    x, y = (
        axis([p[i] for p in shown], worse=results.worse(pair[i]), keep=[p[i] for p in places(best)], ticks=4)
        for i in (0, 1)
    )
    drawn = [_dots("infeasible", results.infeasible, places, most // 4), _dots("dots", results.feasible, places, most)]
    drawn += [Layer("line", line, line=True), _dots("best", best, places, len(best))]
    said = _about(x, y, places(results.feasible), places(results.infeasible), most)
    label = f"{results.labels[pair[1]]} (upwards) against {results.labels[pair[0]]}"
    return _figure(x, y, drawn, label, f"; the line is the Pareto front.{said}", 300)


def _dots(style: str, trials: Sequence[FrozenTrial], places: Callable[..., Points], most: int) -> Layer:
    few = thin(trials, most)
    return Layer(style, places(few), trials=[t.number for t in few])


def _about(x: Axis, y: Axis, feasible: Points, infeasible: Points, most: int) -> str:
    every = [*feasible, *infeasible]
    hidden = len(every) - sum([x.shows(a) and y.shows(b) for a, b in every])
    said = " The grey dots violate a constraint." if infeasible else ""
    said += f" {hidden:,} of {len(every):,} trials lie outside and are drawn at the edge." if hidden else ""
    thinned = len(feasible) > most or len(infeasible) > most // 4
    return said + (" The dots are an even sample of the trials." if thinned else "")


def _figure(x: Axis, y: Axis, layers: Sequence[Layer], label: str, about: str, height: int = 220) -> str:
    return f"<figure>{chart(x, y, layers, label=label, height=height)}<figcaption>{label}{about}</figcaption></figure>"


def curves(results: Summary, most_lines: int, most_points: int) -> str:
    """What trials reported while they ran, by step: the best ones', and an even sample of the others'."""
    reported = [t for t in results.trials if any(map(math.isfinite, t.intermediate_values.values()))]
    if not reported:
        return ""
    best = {t.number for t in results.best[:1]}
    shown = thin([t for t in reported if t.number not in best], most_lines)
    chosen = [*shown, *(t for t in reported if t.number in best)]
    lines = [(t, _curve(t, most_points)) for t in chosen]
    worse = 0 if results.several else results.worse(0)
    ends = [line[-1][1] for _, line in lines]
    x = axis([step for _, line in lines for step, _ in line], whole=True, ticks=5)
    y = axis([value for _, line in lines for _, value in line], worse=worse, keep=ends if len(ends) < 3 else ())
    # The few over the many: what completed lies below what was pruned, and the best above all.
    order = list(STATES)
    layers: list[Layer] = []
    for trial, line in sorted(lines, key=lambda item: (item[0].number in best, -order.index(item[0].state) % 5)):
        style = "best-curve" if trial.number in best else f"curve {STATES[trial.state]}"
        layers.append(Layer(style, line, line=len(line) > 1, trials=[trial.number]))
    states = [name for state, name in STATES.items() if any(t.state == state and t.number not in best for t in chosen)]
    key = "".join(f'<li><i class="{name}"></i>{name}</li>' for name in states)
    key += '<li><i class="best-key"></i>the best</li>' if best & {t.number for t in chosen} else ""
    about = "The values that trials reported, by step."
    if len(chosen) < len(reported):
        about += f" {len(chosen):,} of {len(reported):,} trials, an even sample."
    drawn = chart(x, y, layers, label="reported values by step", height=240)
    figure = f'<figure>{drawn}<figcaption>{about}<ul class="key">{key}</ul></figcaption></figure>'
    return elements.section("Learning curves", figure)


def _curve(trial: FrozenTrial, most: int) -> Points:
    steps = sorted((step, value) for step, value in trial.intermediate_values.items() if math.isfinite(value))
    return thin(steps, most)


def slots(spent: Cost) -> str:
    """When each slot ran which trial."""
    if not spent.wall:
        return ""
    size, unit = next(((size, unit) for size, unit in _SECONDS if spent.wall >= 2 * size), _SECONDS[-1])
    count = max(run.slot for run in spent.runs) + 1
    height = min(18 * count, 320)
    layers = []
    for state, style in STATES.items():
        runs = [run for run in spent.runs if run.trial.state == state]
        layers.append(
            Layer(
                f"run {style}",
                [(run.start / size, -run.slot) for run in runs],
                trials=[run.trial.number for run in runs],
                ends=[run.end / size for run in runs],
                width=max(height / count - (4 if count < 40 else 0), 1),
            )
        )
    x = axis([0, spent.wall / size], ticks=5)
    x = Axis(0, spent.wall / size, tuple(tick for tick in x.ticks if 0 <= tick[0] <= spent.wall / size))
    y = Axis(-count + 0.5, 0.5, ())
    drawn = chart(x, y, layers, label="trials in each slot over time", height=height)
    return elements.section(
        "Slots", f"<figure>{drawn}<figcaption>Each row is a slot, each bar a trial, by {unit}.</figcaption></figure>"
    )
