"""A search in a notebook: the example, the bar, and the processes that its trials run in."""

import re
from pathlib import Path

import nbformat
import pytest
from kernels import executed, shown

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
SEARCH = """
import flytekit as fl
import optuna
from flyteoptuna import Optimizer, suggest


@fl.task
def objective(x: float) -> float:
    if x > 0.5:
        raise ValueError("<too high>")
    return x


study = Optimizer(objective, 2, 8, sampler=optuna.samplers.RandomSampler(seed=1))(x=suggest.float(0, 1))

"""
MEETING = """
import os, time
import flytekit as fl
import optuna
from flyteoptuna import Optimizer, current_trial, optimize, suggest

OFFSET = 3.0


@fl.task
def meeting(x: float) -> float:
    trial = current_trial()
    trial.set_user_attr("process", os.getpid())
    open(f"begun-{trial.number}", "w").close()
    late = time.monotonic() + 3600
    while not all(os.path.exists(f"begun-{number}") for number in (0, 1)):
        assert time.monotonic() < late
        time.sleep(0.05)
    return x + OFFSET


@optimize(concurrency=2, n_trials=2, task=meeting, reuse_pods=True)
def called(trial: optuna.Trial, high: float):
    return meeting(x=trial.suggest_float("x", 0, high))


study = SEARCH
processes = {trial.user_attrs["process"] for trial in study.trials}
assert os.getpid() not in processes and len(processes) == 2, processes
assert study.best_value == study.best_params["x"] + OFFSET
"""
BARS = """
bars = []
publish = get_ipython().display_pub.publish
get_ipython().display_pub.publish = lambda data, *args, **kwargs: (bars.append(data), publish(data, *args, **kwargs))
"""


def test_the_quickstart_as_a_notebook_runs(tmp_path):
    """It shows the bar, the study as a small page, the study that went on, and leaves the report."""
    example = nbformat.read(EXAMPLE, as_version=4)
    nbformat.validate(example)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in example.cells)
    made = executed(example, tmp_path)
    text = shown(made)
    assert re.search(r"^20/20 trials, best \S+ \(trial \d+\)$", text, re.MULTILINE)
    assert "20 trials (20 complete)" in text and "40 trials (40 complete)" in text
    assert "<th>direction</th><td>minimize</td>" in shown(made, "text/html")
    assert "<!DOCTYPE html>" in (tmp_path / "report.html").read_text()[:20]


@pytest.mark.parametrize(
    "search",
    [
        "Optimizer(meeting, 2, 2)(x=suggest.float(0, 1))",
        "Optimizer(meeting, 2, 2, reuse_pods=True)(x=suggest.float(0, 1))",
        "called(high=1.0)",
    ],
    ids=["batch", "reused", "callback"],
)
def test_trials_of_a_notebook_run_beside_each_other(search, tmp_path):
    """In processes of their own: each waits for the other. What a cell defines is sent to them without a warning."""
    made = executed([MEETING.replace("SEARCH", search)], tmp_path, FLYTEOPTUNA_LOCAL_WORKERS="2")
    assert "[W " not in shown(made)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_bar_of_a_notebook(workers, tmp_path):
    """One bar, which counts each trial, has the best and an estimate, and whose HTML shows texts as they are."""
    made = executed([BARS, SEARCH, "bars"], tmp_path, FLYTEOPTUNA_LOCAL_WORKERS=workers)
    *_, last = made.cells
    bars = eval(last.outputs[0].data["text/plain"])
    assert [set(bar) for bar in bars] == [{"text/plain", "text/html"}] * len(bars)
    counts = [int(bar["text/plain"].partition("/")[0]) for bar in bars]
    assert sorted(set(counts)) == list(range(9)) and counts == sorted(counts)
    assert bars[0]["text/html"] == '<progress value="0" max="8"></progress> 0/8 trials'
    assert re.fullmatch(r"4/8 trials, .*about \d:\d\d:\d\d left", bars[counts.index(4)]["text/plain"])
    assert re.fullmatch(r"8/8 trials, best \S+ \(trial \d\), \d failed", bars[-1]["text/plain"])
    [output] = [output for output in made.cells[1].outputs if output.output_type == "display_data"]
    assert output.data["text/plain"] == bars[-1]["text/plain"]
    assert "ValueError: <too high>" in shown(made)
