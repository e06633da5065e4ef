"""The light page of a study: small, safe, readable offline, and made of any study."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from optuna.trial import create_trial
from pages import SEARCH, Outline, failed, hostile, make, studies

from flyteoptuna.page import pages


@pytest.mark.parametrize("objectives", [1, 2, 4])
def test_a_light_page_is_small_for_any_study(objectives):
    """20,000 trials that all improve, with names, values and reasons of a megabyte: less than 100 kB."""
    study = hostile(["minimize"] * objectives, trials=20_000 if objectives < 3 else 5_000)
    assert len(pages.running_page(study, **SEARCH).encode()) < 100_000


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_light_page_has_no_scripts_and_asks_for_nothing(objectives):
    """Text of the user's stays text: no tag, attribute or address comes of it."""
    page = pages.running_page(hostile(["minimize"] * objectives), **SEARCH)
    outline = Outline(page)
    assert not outline.open
    assert not {"script", "img", "link", "iframe", "object"} & set(outline.seen)
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in {"src", "href"}]
    assert "<script>alert(1)</script>" in outline.text
    assert not re.search(r"url\(|@import|javascript:", page)


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize"], ["minimize"] * 4])
def test_a_light_page_is_well_formed(directions):
    """An XML parser reads the page; it is ASCII, so that no encoding can break it."""
    page = pages.running_page(hostile(directions), **SEARCH)
    assert page.isascii()
    assert len(ElementTree.fromstring(page).findall(".//svg[@role='img']")) > 2


def test_progress_counts_the_trials_of_this_search():
    """Earlier trials and running ones are not among the finished."""
    study = make([1.0, 2.0, None, 3.0])
    study.ask()
    text = Outline(pages.running_page(study, generation=1, generations=3, n_trials=9, first=2)).text
    assert "Generation 1 of 3" in text
    assert "2 of 9" in text


def test_the_best_trial_is_shown_with_its_parameters():
    """In the direction of the study, under the name of its metric."""
    study = make([0.25, 0.75, 0.5], ["maximize"], ["accuracy"])
    text = Outline(pages.running_page(study, **SEARCH)).text
    assert "Best accuracy0.75trial 1" in text
    assert "x0.333333" in text


def test_a_trial_that_violates_a_constraint_is_not_the_best():
    """In both formats of optuna's."""
    study = make([5.0])
    for attrs in ({"constraints": (0.0, 1.0)}, {"constraints:memory": 2.0}):
        study.add_trial(create_trial(value=1.0, system_attrs=attrs))
    text = Outline(pages.running_page(study, **SEARCH)).text
    assert "Best value5trial 0" in text
    assert "2 complete trials violate a constraint" in text


def test_pareto_optimal_trials_are_those_of_optuna():
    """For two and three objectives, with ties and infinities."""
    for k in (2, 3):
        values = [[float((i * 7 + j * 5) % 11) for j in range(k)] for i in range(40)]
        values += [[math.inf] * k, values[0], [-math.inf] + [9.0] * (k - 1)]
        study = make(values, ["minimize", "maximize", "minimize"][:k])
        text = Outline(pages.running_page(study, **SEARCH)).text
        assert f"Best so far{len(study.best_trials)}Pareto-optimal" in text


def test_failures_are_grouped_by_their_reason():
    """The latest first; a trial's own number in it makes no difference, nor what follows the first line."""
    study = make([None])
    study.add_trials([failed("ValueError: no\n\nTraceback 1"), failed("ValueError: no\n\nTraceback 2")])
    study.add_trials(failed(f"Trial {n} (generation {n}) sent no report") for n in (3, 4))
    rows = re.findall(r"<tr>(.*?)</tr>", pages.running_page(study, **SEARCH).partition("Failed trials")[2])
    cells = [re.findall(r"<td[^>]*>(?:<details.*?<summary>)?(.*?)<", row) for row in rows[1:]]
    assert cells == [
        ["Trial 4 (generation 4) sent no report", "2", "4, 3"],
        ["ValueError: no", "2", "2, 1"],
        ["no reason is known", "1", "0"],
    ]


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("page", [lambda study: pages.running_page(study, **SEARCH), pages.report_page])
def test_a_failure_has_the_traceback_of_a_trial(page, complete):
    """Escaped, of one trial of each reason; first on the page and open, if no trial is complete."""
    study = make([1.0] if complete else [None])
    whole = "ValueError: at {0}\n\nTraceback (most recent call last):\n  File '<a & b>', line 3\n    raise\nValueError"
    study.add_trials([failed(whole.format(x)) for x in ("0.25", "-1.5e-07", "3.5")] + [failed("KeyError: 1\n\nlast")])
    text = page(study)
    blocks = re.findall(r"<pre>(.*?)</pre>", text)
    assert blocks == [
        "Trial 4: KeyError: 1&#10;&#10;last",
        "Trial 3: ValueError: at 3.5&#10;&#10;Traceback (most recent call last):"
        "&#10;  File &#x27;&lt;a &amp; b&gt;&#x27;, line 3&#10;    raise&#10;ValueError",
    ]
    assert text.count('<details open="open">') == (not complete)
    titles = re.findall(r"<h3>(.*?)</h3>", text)
    assert (titles[0] == "Failed trials, the latest first") == (not complete)


def test_a_long_traceback_is_cut_at_its_start():
    """Its last lines say most."""
    study = make([])
    study.add_trial(failed("E: no\n\n" + "\n".join(map(str, range(5000)))))
    [block] = re.findall(r"<pre>(.*?)</pre>", pages.report_page(study))
    assert block.endswith("&#10;4998&#10;4999") and block.startswith("Trial 0: &#8230;")


def test_outliers_do_not_flatten_a_chart():
    """A diverged trial is drawn at the edge, and the page says so."""
    study = make([float(i % 10) for i in range(50)] + [1e9, math.inf])
    text = Outline(pages.running_page(study, **SEARCH)).text
    assert "2 of 52 trials lie outside" in text


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(study=studies())
def test_any_study_has_a_light_page(study):
    """All states, directions, infinities and magnitudes."""
    ElementTree.fromstring(pages.running_page(study, **SEARCH))
