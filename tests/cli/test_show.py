"""`flyteoptuna show`: what a study holds."""

import os

import optuna
import pytest
from command_line import run
from mixed_study import mixed
from optuna.trial import TrialState, create_trial

from flyteoptuna import StudyFormatError, load_study
from flyteoptuna.trial.report import ERROR_ATTRIBUTE


def test_show_a_study_with_trials_of_every_state(saved):
    """The best trials come first, with few digits; failures that differ in their number alone are one line."""
    text = run("show", saved(mixed()), "--best", 2)
    assert "mixed: minimize\n14 trials: 6 complete, 3 pruned, 3 failed, 1 running, 1 waiting\n" in text
    assert "2026-01-02 03:04:05 to 2026-01-02 03:15:22 (11.3 min)" in text
    assert "The best 2 of 6 complete trials:" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["trial", "value", "x", "rate", "n.layers", "kind", "took"] in lines
    assert ["0", "0", "0.333333", "1e-05", "1", "tree", "0", "ms"] in lines
    assert ["3", "0.1", "0.166667", "4e-05", "4", "True", "3.08", "min"] in lines
    assert "     3  1, 5, 9  ValueError: trial 1 [bold]\ufffd[31m is bad" in text.splitlines()
    assert "\x1b" not in text and "Traceback" not in text


def test_show_the_best_of_a_study_that_maximises(saved):
    """The largest value is the best."""
    lines = [line.split() for line in run("show", saved(mixed(["maximize"])), "--best", 1).splitlines()]
    assert [line[:2] for line in lines if line[:1] == ["11"]] == [["11", "0.366667"]]


def test_show_the_pareto_front(saved):
    """Of several directions those that no other trial beats, under the names of the metrics."""
    study = mixed(["minimize", "maximize"])
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", ["loss", "accuracy"])
    text = run("show", saved(study), "--best", 4)
    assert "mixed: minimize loss, maximize accuracy" in text
    assert "4 of the 6 trials on the Pareto front:" in text
    assert ["trial", "loss", "accuracy"] in [line.split()[:3] for line in text.splitlines()]


def test_values_without_names_are_called_as_optuna_calls_them(saved, tmp_path):
    """On the terminal and on the page alike."""
    path = saved(mixed(["minimize", "maximize"]))
    assert "mixed: minimize value 0, maximize value 1\n" in run("show", path)
    run("report", path, "--to", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "minimize <bdi>value 0</bdi>, maximize <bdi>value 1</bdi>" in page and "objective" not in page


def test_show_trials_that_violate_constraints_last_or_not_at_all(saved):
    """A trial is only the best if its constraints hold."""
    study = optuna.create_study()
    for value, excess in [(1.0, 1.0), (2.0, -1.0)]:
        study.add_trial(create_trial(value=value, system_attrs={"constraints": [excess]}))
    text = run("show", saved(study))
    assert "The best 1 of 2 complete trials; 1 violates a constraint:" in text
    assert text.splitlines()[-1].split()[:2] == ["1", "2"]


def test_show_a_study_without_complete_trials(saved):
    """It says so."""
    study = optuna.create_study(study_name="empty")
    assert run("show", saved(study)) == "empty: minimize\n0 trials\n\nNo trial is complete.\n"


@pytest.mark.parametrize("complete", [False, True])
def test_show_the_tracebacks_of_a_study_in_which_all_failed(saved, complete):
    """Of one trial of each reason, whose floats differ from trial to trial; control characters are replaced."""
    study = optuna.create_study(study_name="s")
    reasons = [f"ValueError: at {x}\n\nTraceback:\n  File \x1b" for x in ("0.25", "-1.5e-07")] + [
        "KeyError: 404",
        "KeyError: 500",
    ]
    for reason in reasons:
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={ERROR_ATTRIBUTE: reason}))
    if complete:
        study.add_trial(create_trial(value=1.0))
    text = run("show", saved(study))
    assert "2 0, 1 ValueError: at 0.25" in [" ".join(line.split()) for line in text.splitlines()]
    assert text.count("KeyError") == 2
    assert ("Trial 0: ValueError: at 0.25\n\nTraceback:\n  File \ufffd\n" in text) == (not complete)
    assert text.count("Traceback") == (not complete)


def test_show_unpickles_nothing(saved, tmp_path):
    """A sampler that would run code when it is unpickled does not run it; a trusted load does."""
    sprung = tmp_path / "sprung"

    class Trap(optuna.samplers.RandomSampler):
        def __reduce__(self):
            return os.mkdir, (str(sprung),)

    path = saved(optuna.create_study(sampler=Trap()))
    run("show", path)
    load_study(path)
    assert not sprung.exists()
    with pytest.raises(StudyFormatError):
        load_study(path, trusted=True)
    assert sprung.exists()


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("{dir}/absent", 1, "There is no file {dir}/absent"),
        ("{dir}", 1, "There is no journal in the folder {dir}"),
        ("{dir}/text", 1, "{dir}/text: Not a study file: "),
        ("nosuch://bucket/study", 1, "nosuch://bucket/study cannot be read: ValueError: Protocol not known: nosuch"),
        ("flyte://project/domain", 2, "`flyte://project/domain` is no execution: expected flyte://PROJECT/DOMAIN/EXEC"),
        ("flyte://p/d/e/out#n0", 2, "`flyte://p/d/e/out#n0` is no execution"),
    ],
)
def test_what_is_no_study(tmp_path, source, code, message):
    """One line says what is there instead."""
    (tmp_path / "text").write_text("text")
    error = run("show", source.format(dir=tmp_path), code=code)
    assert error.startswith(f"Error: {message.format(dir=tmp_path)}") and len(error.splitlines()) == 1
