"""Optuna's plots of a study, made small enough for a page that is readable offline."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.show.page import elements
from flyteoptuna.show.page.axis import axis, thin
from flyteoptuna.show.page.summary import Summary, objective_names

MOST_PLOTTED = 2000
"""Trials in the plots of the full report."""

MOST_PLOTTED_LINES = 400
"""Trials in parallel coordinates, where each is a line of its own."""

MOST_PLOTTED_PARAMS = 8

MOST_PLOTTED_OBJECTIVES = 4


def drawn(study: optuna.Study, total: int) -> str:
    """Optuna's plots, as HTML; the first that can be made carries plotly's script."""
    parts: list[str] = []
    count = 0
    for title, why_not, make in _kinds(study):
        chart = ""
        try:
            figure = None if why_not else make()
            chart = plotly(figure, count) if figure and figure.data else ""
        except Exception as error:
            why_not = f"{type(error).__name__}: {error}"
        count += bool(chart)
        lack = elements.note(f"Not drawn: {elements.text(why_not or 'there is nothing to show', 200).rstrip('.')}.")
        parts.append(elements.ascii_only(elements.section(title, "" if chart else lack)) + chart)
    n = len(study.get_trials(deepcopy=False))
    sample = f"The plots show {n:,} of {total:,} trials: the best ones and an even sample of the others."
    return (elements.note(sample) if n < total else "") + "".join(parts) + (elements.RESIZE if count else "")


def _kinds(study: optuna.Study) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Title of each plot, why it cannot be made (or nothing), and what makes it."""
    from optuna import visualization as plots

    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state == TrialState.COMPLETE and all(map(math.isfinite, t.values))]
    params = sorted({name for t in complete for name in t.params})
    none = "" if complete else "no trial has completed with finite values"
    bare = none or ("" if params else "the trials have no parameters")
    few = bare or ("the trials have one parameter" if len(params) == 1 else "")
    few = few or ("one trial has completed, and it takes two" if len(complete) == 1 else "")
    names = objective_names(study)
    of = [f": {name}" if len(names) > 1 else "" for name in names[:MOST_PLOTTED_OBJECTIVES]]
    usual = [_usual(study, complete, i) for i in range(len(of))]
    if len(names) in (2, 3):
        yield "Pareto front", none, partial(plots.plot_pareto_front, study)
    else:
        for i, (seen, without) in enumerate(usual):
            yield f"History{of[i]}{without}", none, partial(_history_plot, seen, i)
    yield "Timeline", "" if trials else "there are no trials", partial(plots.plot_timeline, study)
    yield "Parameter importances", few, partial(_importances_plot, study)
    shown = _most_important(study, params)
    cut = f", the {len(shown)} most important of {len(params)} parameters" if len(shown) < len(params) else ""
    most = f", at most {MOST_PLOTTED_LINES} trials" if len(complete) > MOST_PLOTTED_LINES else ""
    for i, (seen, without) in enumerate(usual):
        yield f"Parallel coordinates{of[i]}{most}{cut}{without}", bare, partial(_parallel_plot, seen, shown, i)
        slices = partial(plots.plot_slice, seen, shown, target=_target(study, i), target_name=names[i])
        yield f"Slices{of[i]}{cut}{without}", bare, slices


def _target(study: optuna.Study, objective: int) -> Callable[[FrozenTrial], float] | None:
    return (lambda trial: float(trial.values[objective])) if len(study.directions) > 1 else None


def _usual(study: optuna.Study, complete: Sequence[FrozenTrial], objective: int) -> tuple[optuna.Study, str]:
    """The study without the outliers of an objective, which would flatten the rest; and how many they were."""
    worse = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
    usual_range = axis([t.values[objective] for t in complete], worse=worse)
    usual = [t for t in complete if usual_range.shows(t.values[objective])]
    out = len(complete) - len(usual)
    return _study(study, objective_names(study), usual), f", without {out} outlier{'s' * (out > 1)}" if out else ""


def _history_plot(study: optuna.Study, objective: int) -> Any:
    from optuna import visualization as plots

    # Optuna takes numbers for positions here, which they are not where trials were left out.
    trials = study.get_trials(deepcopy=False)
    dense = _study(study, objective_names(study), trials, numbered=False)
    target, name = _target(study, objective), objective_names(study)[objective]
    figure = plots.plot_optimization_history(dense, target=target, target_name=name)
    for trace in figure.data:
        trace.x = [trials[position].number for position in trace.x]
    return figure.update_traces(line_shape="hv", selector={"mode": "lines"})


def _parallel_plot(study: optuna.Study, params: list[str], objective: int) -> Any:
    from optuna import visualization as plots

    # Evenly spread over the values, so that the best are among them.
    ordered = sorted(study.get_trials(deepcopy=False), key=lambda t: t.values[objective])
    few = _study(study, objective_names(study), thin(ordered, MOST_PLOTTED_LINES))
    target, name = _target(study, objective), objective_names(study)[objective]
    return plots.plot_parallel_coordinate(few, params, target=target, target_name=name)


def _importances_plot(study: optuna.Study) -> Any:
    from optuna import visualization as plots

    # Of optuna's evaluators, the one that needs no further package.
    figure = plots.plot_param_importances(study, optuna.importance.PedAnovaImportanceEvaluator())
    return figure.update_xaxes(title=None).update_yaxes(title=None)


def _most_important(study: optuna.Study, params: list[str]) -> list[str]:
    if len(params) <= MOST_PLOTTED_PARAMS:
        return params
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    with suppress(ValueError, RuntimeError):
        params = list(optuna.importance.get_param_importances(study, evaluator=evaluator, target=_target(study, 0)))
    return sorted(params[:MOST_PLOTTED_PARAMS])


@contextmanager
def quiet() -> Iterator[None]:
    """In the body, optuna says nothing."""
    # Optuna logs a line for each trial that a plot leaves out.
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def plotted(results: Summary) -> optuna.Study:
    """A copy of the study for the plots: fewer trials, short and escaped names."""
    best = results.front() if len(results.names) > 1 else results.improvements[0]
    kept = {t.number for t in thin(best, MOST_PLOTTED // 4)}
    others = [t for t in results.trials if t.number not in kept]
    kept |= {t.number for t in thin(others, MOST_PLOTTED - len(kept))}
    chosen = [t for t in results.trials if t.number in kept]
    short = elements.Shortened()
    names = [elements.text(name, 40) for name in results.names]
    return _study(results.study, names, [_shortened(t, short) for t in chosen])


def _study(
    like: optuna.Study, names: Sequence[str], trials: Sequence[FrozenTrial], *, numbered: bool = True
) -> optuna.Study:
    study = optuna.create_study(directions=like.directions)
    study.set_metric_names(list(names))
    study.add_trials(trials)
    if numbered:
        # Adding has numbered them anew; an in-memory storage hands out its own records.
        for record, trial in zip(study.get_trials(deepcopy=False), trials, strict=True):
            record.number = trial.number
    return study


def _shortened(trial: FrozenTrial, short: elements.Shortened) -> FrozenTrial:
    def text(name: str, value: Any) -> Any:
        return short[f"of {name}", value] if isinstance(value, str) else value

    def distribution(name: str, of: BaseDistribution) -> BaseDistribution:
        return CategoricalDistribution([text(name, c) for c in of.choices]) if hasattr(of, "choices") else of

    made = copy(trial)
    made.params = {short["", k]: text(k, v) for k, v in trial.params.items()}
    made.distributions = {short["", k]: distribution(k, v) for k, v in trial.distributions.items()}
    made.system_attrs = {k: v for k, v in trial.system_attrs.items() if k.startswith("constraints")}
    made.user_attrs, made.intermediate_values = {}, {}
    return made


def plotly(figure: Any, index: int) -> str:
    """A figure of plotly's in a box of its own; the first, of index 0, carries plotly's script."""
    from plotly import io

    figure.update_layout(
        title=None,
        template="plotly_white",
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 12},
        margin={"l": 60, "r": 24, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    # The template's outline of bars would hide those of a timeline of many trials.
    figure.update_traces(marker_line_width=0, selector={"type": "bar"})
    # The labels of parallel coordinates stand on lines; before optuna 5, they belong to the trace.
    figure.update_annotations(bgcolor="rgba(255,255,255,0.8)", font={"color": "#1f2430", "size": 11}, borderpad=0)
    coordinates = getattr(figure.data[0], "dimensions", None) or figure.layout.xaxis.tickvals or ()
    bars = {str(trace.get("marker", {}).get("colorbar", "")) for trace in figure.to_dict()["data"]} - {""}
    width = max(240 * len(list(figure.select_xaxes())) + 90 * len(bars), 100 * len(coordinates))
    drawn = io.to_html(
        figure,
        config={"displayModeBar": False, "responsive": True},
        include_plotlyjs=index == 0,
        full_html=False,
        default_height="420px",
        div_id=f"flyteoptuna-plot-{index}",
    )
    return f'<div class="box"><div style="min-width:{width}px">{drawn}</div></div>'
