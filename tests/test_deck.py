"""The pages of a study: small, safe, readable offline, and made of any study."""

import json
import math
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from xml.etree import ElementTree

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from flyteoptuna.core.report import ERROR_ATTRIBUTE
from flyteoptuna.show.page import axis as axes
from flyteoptuna.show.page import deck, plots

HOSTILE = (
    "</style></svg><script>alert(1)</script><img src='http://evil.example/x.png' onerror=\"a()\">&\x00\u202e\ud800"
)
PLOTLY = "plotly.js v"
SEARCH = {"generation": 2, "generations": 5, "n_trials": 50}


class Outline(HTMLParser):
    """The tags of a page, which are to be closed in order; and its text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.attributes, self.text = [], [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def make(values=(), directions=("minimize",), names=None, params=None):
    """A study whose trials completed with the given values, or failed where that is None."""
    study = optuna.create_study(directions=list(directions))
    if names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(names)
    for i, value in enumerate(values):
        x = {"x": i / len(values)} if params is None else params(i)
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if value is None else TrialState.COMPLETE,
                values=value if value is None or isinstance(value, list) else [value],
                params=x,
                distributions={name: FloatDistribution(0, 1) for name in x},
            )
        )
    return study


def failed(reason):
    """A trial that failed for a reason."""
    return create_trial(state=TrialState.FAIL, user_attrs={ERROR_ATTRIBUTE: reason})


def hostile(directions=("minimize",), trials=20):
    """A study whose every text is hostile and long."""
    huge = "\U0001f600" + HOSTILE + "&" * 1_000_000
    study = make(directions=directions, names=[f"{i}{HOSTILE}" * 9 for i in range(len(directions))])
    params = {f"{i}{HOSTILE * 20}": huge for i in range(30)}
    rich = {"params": params, "distributions": dict.fromkeys(params, CategoricalDistribution([huge]))}
    for i in range(trials):
        # Every trial is better than the one before, and all are Pareto-optimal where there are several objectives.
        values = [float(-i), float(i), *[float(i % 7)] * 9][: len(directions)]
        study.add_trial(create_trial(values=values, **(rich if i in (trials // 2, trials - 1) else {})))
    study.add_trials(failed(f"{letter} {huge}") for letter in "abcdefghijklmnopqrstuvwxyz")
    return study


@pytest.fixture
def without_plotly(monkeypatch):
    """Plotly, as if it were not installed."""
    monkeypatch.setitem(sys.modules, "plotly", None)


@pytest.mark.parametrize("objectives", [1, 2, 4])
def test_a_light_page_is_small_for_any_study(objectives):
    """20,000 trials that all improve, with names, values and reasons of a megabyte: less than 100 kB."""
    study = hostile(["minimize"] * objectives, trials=20_000 if objectives < 3 else 5_000)
    assert len(deck.light(study, **SEARCH).encode()) < 100_000


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_light_page_has_no_scripts_and_asks_for_nothing(objectives):
    """Text of the user's stays text: no tag, attribute or address comes of it."""
    page = deck.light(hostile(["minimize"] * objectives), **SEARCH)
    outline = Outline(page)
    assert not outline.open
    assert not {"script", "img", "link", "iframe", "object"} & set(outline.seen)
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in {"src", "href"}]
    assert "<script>alert(1)</script>" in outline.text
    assert not re.search(r"url\(|@import|javascript:", page)


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize"], ["minimize"] * 4])
def test_a_light_page_is_well_formed(directions):
    """An XML parser reads the page; it is ASCII, so that no encoding can break it."""
    page = deck.light(hostile(directions), **SEARCH)
    assert page.isascii()
    assert len(ElementTree.fromstring(page).findall(".//svg[@role='img']")) > 2


def test_progress_counts_the_trials_of_this_search():
    """Earlier trials and running ones are not among the finished."""
    study = make([1.0, 2.0, None, 3.0])
    study.ask()
    text = Outline(deck.light(study, generation=1, generations=3, n_trials=9, first=2)).text
    assert "Generation 1 of 3" in text
    assert "2 of 9" in text


def test_the_best_trial_is_shown_with_its_parameters():
    """In the direction of the study, under the name of its metric."""
    study = make([0.25, 0.75, 0.5], ["maximize"], ["accuracy"])
    text = Outline(deck.light(study, **SEARCH)).text
    assert "Best accuracy0.75trial 1" in text
    assert "x0.333333" in text


def test_a_trial_that_violates_a_constraint_is_not_the_best():
    """In both formats of optuna's."""
    study = make([5.0])
    for attrs in ({"constraints": (0.0, 1.0)}, {"constraints:memory": 2.0}):
        study.add_trial(create_trial(value=1.0, system_attrs=attrs))
    text = Outline(deck.light(study, **SEARCH)).text
    assert "Best value5trial 0" in text
    assert "2 complete trials violate a constraint" in text


def test_pareto_optimal_trials_are_those_of_optuna():
    """For two and three objectives, with ties and infinities."""
    for k in (2, 3):
        values = [[float((i * 7 + j * 5) % 11) for j in range(k)] for i in range(40)]
        values += [[math.inf] * k, values[0], [-math.inf] + [9.0] * (k - 1)]
        study = make(values, ["minimize", "maximize", "minimize"][:k])
        text = Outline(deck.light(study, **SEARCH)).text
        assert f"Best so far{len(study.best_trials)}Pareto-optimal" in text


def test_failures_are_grouped_by_their_reason():
    """The latest first; a trial's own number in it makes no difference, nor what follows the first line."""
    study = make([None])
    study.add_trials([failed("ValueError: no\n\nTraceback 1"), failed("ValueError: no\n\nTraceback 2")])
    study.add_trials(failed(f"Trial {n} (generation {n}) sent no report") for n in (3, 4))
    rows = re.findall(r"<tr>(.*?)</tr>", deck.light(study, **SEARCH).partition("Failed trials")[2])
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows[1:]]
    assert cells == [
        ["Trial 4 (generation 4) sent no report", "2", "4, 3"],
        ["ValueError: no", "2", "2, 1"],
        ["no reason is known", "1", "0"],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234567, "0.123457"), (12.0, "12"), (1.5e-7, "1.5e-7"), (-math.inf, "-inf"), (2e300, "2e300")],
)
def test_numbers_have_six_significant_digits(value, text):
    """And no zeros that say nothing."""
    assert axes.number(value) == text


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1), worse=st.sampled_from([-1, 0, 1]), whole=st.booleans())
def test_an_axis_shows_its_best_value(values, worse, whole):
    """Whatever the magnitudes: ticks increase, their labels differ, and all of it lies inside."""
    axis = axes.axis(values, worse=worse, whole=whole)
    ticks = [value for value, _ in axis.ticks]
    assert math.isfinite(axis.low) and math.isfinite(axis.high) and axis.low < axis.high
    assert ticks == sorted(set(ticks)) and len(ticks) <= 12
    assert len({label for _, label in axis.ticks}) == len(ticks)
    assert all(0 <= axis.at(value) <= 1 for value in [*values, *ticks])
    finite = [value for value in values if math.isfinite(value)]
    if finite and worse:
        assert axis.shows(min(finite) if worse > 0 else max(finite))


def test_outliers_do_not_flatten_a_chart():
    """A diverged trial is drawn at the edge, and the page says so."""
    study = make([float(i % 10) for i in range(50)] + [1e9, math.inf])
    text = Outline(deck.light(study, **SEARCH)).text
    assert "2 of 52 trials lie outside" in text


def test_a_full_report_has_one_copy_of_plotly():
    """Every plot is drawn, and nothing is loaded."""
    page = deck.full(make([i * i / 9 % 1 for i in range(20)], params=lambda i: {"x": i / 20, "y": i % 3 / 3}))
    assert page.count(PLOTLY) == 1
    assert page.count("Plotly.newPlot(  ") == page.count('class="plotly-graph-div"') == 5
    assert "Not drawn" not in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)


def test_text_of_the_user_stays_text_in_a_full_report():
    """In what plotly is given, too."""
    page = deck.full(hostile(trials=4))
    assert "<script>alert" not in page
    assert "<img" not in page.replace('"<img', "")


def test_a_plot_that_cannot_be_made_says_why():
    """In its place."""
    text = deck.full(make([None, None]))
    assert text.count("Not drawn: no trial has completed with finite values.") == 4
    assert "Not drawn: the trials have one parameter." in deck.full(make([1.0, 2.0]))
    assert "Not drawn: the trials have no parameters." in deck.full(make([1.0, 2.0], params=lambda i: {}))
    several = deck.full(make([1.0], params=lambda i: {"x": 0.5, "y": 0.5}))
    assert "Not drawn: one trial has completed, and it takes two." in several


def test_a_plot_that_raises_says_so(monkeypatch):
    """The others are drawn."""

    def broken(*args, **kwargs):
        raise TypeError("<b>broken</b>")

    monkeypatch.setattr(optuna.visualization, "plot_timeline", broken)
    page = deck.full(make([1.0, 2.0]))
    assert "Not drawn: TypeError: &lt;b&gt;broken&lt;/b&gt;." in page
    assert page.count(PLOTLY) == 1


def test_a_large_study_is_thinned_in_its_plots():
    """The best trial and the last are among those plotted, under their own numbers, and the page says so."""
    count = plots.MOST_PLOTTED + 501
    page = deck.full(make([abs(i - 1001) + 0.5 for i in range(count)]))
    assert f"The plots show {plots.MOST_PLOTTED:,} of {count:,} trials" in page
    history = page.partition("<h3>History")[2].partition("<h3>Timeline")[0]
    start = history.index("[{", history.index("Plotly.newPlot(  "))
    dots, best, _ = json.JSONDecoder().raw_decode(history[start:])[0]
    assert {0, 1001, count - 1} <= set(dots["x"])
    assert best["x"] == sorted(best["x"])


def test_without_plotly_a_full_report_is_the_light_page(without_plotly):
    """With how to get the plots."""
    page = deck.full(make([1.0, 2.0]))
    assert "pip install 'flyteoptuna[plots]'" in page
    assert "<script" not in page
    assert "Best value" in page


def test_importing_the_module_does_not_import_plotly():
    """A driver between generations does not pay for it."""
    code = "import sys, flyteoptuna.show.page.deck; print('plotly' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "False"


DISTRIBUTIONS = {
    "x": FloatDistribution(1e-9, 1, log=True),
    "n": IntDistribution(1, 9),
    "c": CategoricalDistribution(["<b>", "a" * 99, "a" * 98, None, 1, True]),
}
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "x": st.floats(1e-9, 1),
        "n": st.integers(1, 9),
        "c": st.sampled_from(DISTRIBUTIONS["c"].choices),
    },
)
VALUES = st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0, math.inf])


@st.composite
def studies(draw):
    """Small studies of every shape."""
    directions = draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=1, max_size=4))
    study = make(directions=directions, names=draw(st.none() | st.just([f"<i>{i}" for i in range(len(directions))])))
    for state in draw(st.lists(st.sampled_from(TrialState), max_size=14)):
        complete = state == TrialState.COMPLETE
        params = draw(PARAMS)
        trial = create_trial(
            state=state,
            values=[draw(VALUES) for _ in directions] if complete else None,
            params=params,
            distributions={name: DISTRIBUTIONS[name] for name in params},
            user_attrs=draw(st.sampled_from([{}, {ERROR_ATTRIBUTE: None}, {ERROR_ATTRIBUTE: "no\nno"}])),
            system_attrs=draw(st.sampled_from([{}, {}, {"constraints": (1.0,)}, {"constraints:a": -1.0}])),
        )
        trial.datetime_start = draw(st.sampled_from([None, trial.datetime_start]))
        study.add_trial(trial) if trial.datetime_start or state == TrialState.WAITING else None
    return study


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(study=studies())
def test_any_study_has_a_light_page(study):
    """All states, directions, infinities and magnitudes."""
    ElementTree.fromstring(deck.light(study, **SEARCH))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(study=studies())
def test_any_study_has_a_full_report(study):
    """Nothing raises, and what is drawn needs one copy of plotly."""
    page = deck.full(study)
    assert "The plots could not be made" not in page
    assert page.count(PLOTLY) == min(1, page.count('class="plotly-graph-div"'))
