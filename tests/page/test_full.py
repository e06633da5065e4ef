"""The report of a study: readable offline, with and without its script, and made of any study."""

import json
import math
import re
from datetime import datetime, timedelta

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from mixed_study import mixed
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from pages import HOSTILE, Outline, hostile, make, studies

from flyteoptuna.page import figures, pages, params, trials

START = datetime(2026, 1, 2, 3, 4, 5)


def data_of(page):
    """What the page's script reads."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def cells_of(page, name):
    """The cells of a column of the table, as the script reads them."""
    heads = re.findall(r"<th[^>]*>(.*?)</th>", page.partition('<table class="trials">')[2])
    data = data_of(page)
    [column] = [c for head, c in zip(heads, data["columns"], strict=True) if Outline(head).text.endswith(name)]
    return [data["texts"][cell[0]] if isinstance(cell, list) else cell for cell in column["cells"]]


def rows_of(page):
    """The rows of the table as HTML."""
    body = page.partition('<table class="trials">')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [Outline(cell).text for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in body.split("</tr>")[:-1]
    ]


def paths(page, style):
    """The paths of a class: the numbers of their trials."""
    found = re.findall(rf'<path class="{style}" d="[^"]*"(?: data-trials="([^"]*)")?', page)
    return [list(map(int, numbers.split())) for numbers in found]


def test_a_report_has_each_of_its_parts_once():
    """And one chart of the history."""
    page = pages.report_page(mixed(n_trials=40))
    heads = re.findall(r"<h3>(.*?)</h3>", page)
    assert heads == [
        "Best so far",
        "Parameters of trial 0, the best",
        "Parameters",
        "Learning curves",
        "Slots",
        "Failed trials, the latest first",
        "Trials",
    ]
    assert "Not drawn" not in page
    assert page.count(" by trial number;") == 1


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"], ["minimize"] * 4])
def test_a_report_asks_for_nothing_and_text_stays_text(directions):
    """No tag, attribute or address comes of what a study holds, and the only scripts are the page's own."""
    study = hostile(directions, trials=6)
    study.add_trial(create_trial(values=[0.0] * len(directions), user_attrs={HOSTILE: HOSTILE * 9, "n": [HOSTILE]}))
    page = pages.report_document(study)
    outline = Outline(page.removeprefix("<!DOCTYPE html>"))
    assert not outline.open
    assert page.isascii()
    assert outline.seen.count("script") == 2
    assert not {"img", "link", "iframe", "object"} & set(outline.seen)
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in {"src", "href"}]
    assert any("<script>alert(1)</script>" in text for text in data_of(page)["texts"])


def test_a_document_stands_alone():
    """With all that a browser wants to know before the body, under the study's name, or a word for a nameless one."""
    page = pages.report_document(optuna.create_study(study_name="</title><b>"))
    assert page.startswith('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>')
    assert "<title>&lt;/title&gt;&lt;b&gt;</title>" in page
    assert "<title>Search</title>" in pages.report_document(make([1.0]))


def test_what_cannot_be_shown_says_why():
    """In its place."""
    assert "Not drawn: no trial has completed with finite values." in pages.report_page(make([None, None]))
    assert "Not drawn: no trial has completed with finite values." in pages.report_page(make())
    assert "Not drawn: the trials have no parameters." in pages.report_page(make([1.0, 2.0], params=lambda i: {}))


def test_a_part_that_raises_says_so(monkeypatch):
    """The others are there."""

    def broken(*args):
        raise TypeError("<b>broken</b>")

    monkeypatch.setattr(figures, "learning_curves", broken)
    page = pages.report_page(make([1.0, 2.0]))
    assert "<h3>Learning curves</h3>" in page
    assert "Not drawn: TypeError: &lt;b&gt;broken&lt;/b&gt;." in page
    assert "<h3>Trials</h3>" in page


def test_the_table_holds_every_trial_the_best_first():
    """In the direction of the study; feasible ones first, then infeasible, pruned and failed ones."""
    study = make([0.5, 0.75, None, 0.25], ["maximize"])
    study.add_trial(create_trial(value=9.0, system_attrs={"constraints": (1.0,)}))
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={0: 5.0}))
    page = pages.report_page(study)
    assert cells_of(page, "trial") == [1, 0, 3, 4, 5, 2]
    assert cells_of(page, "state") == ["complete"] * 3 + ["infeasible", "pruned", "failed"]
    assert cells_of(page, "value") == [0.75, 0.5, 0.25, 9.0, None, None]
    assert data_of(page)["top"] == 1
    assert [row[0] for row in rows_of(page)] == ["1", "0", "3", "4", "5", "2"]


def test_the_pareto_optimal_trials_come_first():
    """And are those that stand out."""
    page = pages.report_page(make([[3.0, 3.0], [1.0, 2.0], [2.0, 1.0]], ["minimize"] * 2))
    assert cells_of(page, "trial") == [1, 2, 0]
    assert data_of(page)["top"] == 2


def test_the_table_shows_all_that_a_trial_holds(monkeypatch):
    """Values at full precision, for their order; parameters, attributes, duration, outputs and errors."""
    monkeypatch.setattr(
        trials, "output_locations", lambda trial: {"model": f"s3://m/{trial.number}"} if trial.values else {}
    )
    study = mixed(n_trials=4)
    page = pages.report_page(study)
    assert '<a href="s3://m/0">s3://m/0</a>' in page
    by = {
        name: dict(zip(cells_of(page, "trial"), cells_of(page, name), strict=True))
        for name in ("kind", "error", "rate")
    }
    assert {k: v for k, v in by["kind"].items() if v is not None} == {0: "tree", 1: "None", 2: 3, 3: "True"}
    assert by["rate"][3] == 4e-5
    assert by["error"][1] == study.trials[1].user_attrs["flyteoptuna:error"].splitlines()[0].replace("\x1b", " ")
    assert sorted(filter(None, cells_of(page, "model"))) == ["s3://m/0", "s3://m/3"]
    assert sorted(cells_of(page, "value")[:2]) == sorted(t.value for t in study.trials if t.value is not None)
    assert sorted(filter(None, cells_of(page, "path"))) == [f"s3://{i}" for i in range(4)]
    seconds = dict(zip(cells_of(page, "trial"), cells_of(page, "seconds"), strict=True))
    took = {t.number: t.duration.total_seconds() for t in study.trials if t.duration is not None}
    assert {number: value for number, value in seconds.items() if value is not None} == pytest.approx(took, rel=1e-5)


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("s3://bucket/a b/model.joblib?x=1&y=2", "s3://bucket/a b/model.joblib?x=1&amp;y=2"),
        ("https://example.org/m", "https://example.org/m"),
        ("/tmp/a b#/model", "file:///tmp/a%20b%23/model"),
        ('s3://b/"onclick="alert(1)', "s3://b/&quot;onclick=&quot;alert(1)"),
        *(
            (text, "")
            for text in (
                "javascript:alert(1)",
                "JavaScript://x",
                "data:text/html,x",
                "model",
                "",
                " s3://b",
                "x\ns3://b",
            )
        ),
    ],
)
def test_what_an_output_links_to(place, target):
    """Where a browser can look, and nothing that it would run."""
    assert trials.link_target(place) == target


def test_a_column_is_there_only_if_it_holds_something():
    """No errors, no outputs, no attributes."""
    heads = re.findall(r"<th[^>]*>(.*?)</th>", pages.report_page(make([1.0])).partition('<table class="trials">')[2])
    assert [Outline(head).text for head in heads] == ["trial", "state", "value", "seconds", "parameterx"]


def test_without_the_script_the_best_hundred_can_be_read():
    """The rest is data."""
    page = pages.report_page(make([abs(i - 100.0) for i in range(150)]))
    assert [row[0] for row in rows_of(page)][:3] == ["100", "99", "101"]
    assert len(rows_of(page)) == 100
    assert "The first 100 of 150, the best first." in page
    assert len(cells_of(page, "trial")) == 150


def test_a_table_is_cut_where_it_would_be_too_large(monkeypatch):
    """The best trials are kept, most columns too, and the page says what is not there and where all of it is."""
    monkeypatch.setattr(trials, "MAX_DATA", 20_000)
    names = [f"p{i}" for i in range(100)]
    page = pages.report_page(
        make([abs(i - 250.0) for i in range(400)], params=lambda i: dict.fromkeys(names, (i + 1) / 401))
    )
    shown = cells_of(page, "trial")
    assert 100 <= len(shown) < 400
    assert (
        shown[:50] == [trial for trial, _ in sorted(((i, abs(i - 250)) for i in range(400)), key=lambda t: t[1])][:50]
    )
    assert f"{len(shown)} of 400 trials" in page
    assert "60 of 104 columns." in page
    assert "flyteoptuna export" in page


def test_ten_thousand_trials_fit_in_six_megabytes():
    """Reckoned from a tenth of them, each with ten parameters and three attributes, texts of which all differ."""
    study = make()
    study.add_trials(
        create_trial(
            value=1 / (i + 3),
            params=(x := {f"p{k}": (i * 37 % 1000 + k / 7) / 1100 for k in range(10)}),
            distributions={name: FloatDistribution(0, 1) for name in x},
            user_attrs={"path": f"s3://bucket/run/{i:032x}/model.pt", "loss": i / 7, "note": "ok"},
        )
        for i in range(1000)
    )
    charts, table = (
        len(pages.report_page(study)) - len(json.dumps(data_of(pages.report_page(study)))),
        trials.trials_table(pages.summarise_study(study)),
    )
    assert charts + 10 * len(table[1]) < 6_000_000


def test_charts_of_many_trials_are_thinned():
    """The best and the last trial are among those drawn, and the page says that it shows a sample."""
    count = pages.MAX_DOTS + 501
    page = pages.report_page(make([abs(i - 1001) + 0.5 for i in range(count)]))
    history, slice_ = paths(page, "dots")
    assert {0, count - 1} <= set(history) and len(history) <= pages.MAX_DOTS
    assert len(slice_) <= params.MAX_SLICE_DOTS
    assert paths(page, "best") == [[1001], [1001]]
    assert "The dots are an even sample of the trials." in page


def reporting(reports):
    """A study whose trials reported values; each is a state and its values by step."""
    study = make()
    for state, values in reports:
        done = state == TrialState.COMPLETE
        study.add_trial(
            create_trial(state=state, value=values[-1] if done else None, intermediate_values=dict(enumerate(values)))
        )
    return study


def test_learning_curves_tell_pruned_trials_and_the_best_apart():
    """The best lies over the others; what is not finite is left out."""
    complete, pruned = TrialState.COMPLETE, TrialState.PRUNED
    page = pages.report_page(
        reporting([(complete, [3.0, 2.0]), (pruned, [9.0]), (complete, [3.0, 1.0]), (pruned, [math.nan, math.inf])])
    )
    assert paths(page, "curve complete") == [[0]]
    assert paths(page, "curve pruned") == [[1]]
    assert paths(page, "best-curve") == [[2]]
    assert page.index('class="best-curve"') > page.index('class="curve pruned"')


def test_learning_curves_are_thinned():
    """The best is among them, and the page says that it shows a sample."""
    page = pages.report_page(reporting([(TrialState.COMPLETE, [abs(i - 77.0)] * 500) for i in range(300)]))
    assert len(paths(page, "curve complete")) == 150
    assert paths(page, "best-curve") == [[77]]
    assert "151 of 300 trials, an even sample." in page
    assert max(d.count("L") for d in re.findall(r'<path class="curve complete" d="([^"]*)"', page)) < 60


def test_the_most_important_parameters_come_first():
    """As Optuna weighs them."""
    study = make([(i % 10) / 10 for i in range(60)], params=lambda i: {"idle": i * 7 % 13 / 13, "decides": i % 10 / 10})
    names = re.findall(r"<h4><bdi>(.*?)</bdi> <span class=\"muted\">(\d+)%", pages.report_page(study))
    assert [name for name, _ in names] == ["decides", "idle"]
    assert int(names[0][1]) > int(names[1][1])


def test_choices_that_python_holds_equal_are_told_apart():
    """`True` and `1` are two, as they are for Optuna."""
    choices = [None, True, 1, 1.5, "1"]
    study = make()
    for choice in choices:
        study.add_trial(
            create_trial(value=1, params={"c": choice}, distributions={"c": CategoricalDistribution(choices)})
        )
    slice_ = pages.report_page(study).partition("<h4>")[2].partition("</figure>")[0]
    assert re.findall(r'text-anchor="middle">(.*?)<', slice_) == ["None", "True", "1", "1.5", "1"]


def test_parameters_are_drawn_for_each_objective():
    """Under its name."""
    page = pages.report_page(make([[1.0, 2.0], [2.0, 1.0]], ["minimize", "maximize"], ["loss", "speed"]))
    assert "<h3>Parameters and loss</h3>" in page and "<h3>Parameters and speed</h3>" in page


def test_names_break_between_their_words():
    """A place to break after each dot and underscore, and nowhere else."""
    assert "model.<wbr/>max_<wbr/>depth" in pages.report_page(make([1.0], params=lambda i: {"model.max_depth": 0.5}))


def test_the_head_says_what_the_search_cost():
    """The trials' time, how many ran at once, and how long slots waited."""
    study = make([1.0, 2.0, 3.0])
    for trial, (start, end) in zip(
        study.get_trials(deepcopy=False), [(0, 3600), (0, 7200), (7200, 10800)], strict=True
    ):
        trial.datetime_start, trial.datetime_complete = START + timedelta(seconds=start), START + timedelta(seconds=end)
    text = Outline(pages.report_page(study)).text
    assert "Trial time4 hof 3 trials, in 3 h" in text
    assert "Slots used, on average1.3 of 2slots waited 2 h in all" in text
    assert "2026-01-02 03:04 to 06:04" in text


def test_short_trials_used_their_slot_for_a_part_of_the_time():
    """Which is not none, though the time between them, as of asking and telling, outweighs them."""
    study = make([1.0, 2.0])
    for trial, start in zip(study.get_trials(deepcopy=False), (0, 0.0315), strict=True):
        trial.datetime_start = START + timedelta(seconds=start)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=0.0005)
    text = Outline(pages.report_page(study)).text
    assert "Trial time1 msof 2 trials, in 32 ms" in text
    assert "Slots used, on average0.031 of 1slots waited 31 ms in all" in text


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(study=studies())
def test_any_study_has_a_report(study):
    """Nothing raises, tags are closed, and the table holds every trial."""
    page = pages.report_page(study)
    assert not Outline(page).open
    assert not re.search(r"Not drawn: \w+(Error|Exception|Warning):", page)
    if study.trials:
        assert sorted(cells_of(page, "trial")) == list(range(len(study.trials)))
