"""The full report of a study, with plotly's plots or with the reason why there are none."""

import json
import re
import subprocess
import sys

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from pages import PLOTLY, hostile, make, studies

from flyteoptuna.show.page import deck, plots


@pytest.fixture
def without_plotly(monkeypatch):
    """Plotly, as if it were not installed."""
    monkeypatch.setitem(sys.modules, "plotly", None)


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


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(study=studies())
def test_any_study_has_a_full_report(study):
    """Nothing raises, and what is drawn needs one copy of plotly."""
    page = deck.full(study)
    assert "The plots could not be made" not in page
    assert page.count(PLOTLY) == min(1, page.count('class="plotly-graph-div"'))
