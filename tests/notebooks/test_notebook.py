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
KINDS = """
import dataclasses, enum, os
from dataclasses import dataclass, field
from typing import Any, Generic, Optional, TypeVar
import flytekit as fl
from flyteoptuna import Optimizer, current_trial, suggest

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Config:
    depth: int
    name: str = "a"


@dataclass
class Factory:
    depth: int
    many: list[int] = field(default_factory=lambda: [1])


@dataclass(kw_only=True)
class KeywordOnly:
    depth: int
    name: str = "a"


@dataclass(frozen=True)
class Frozen:
    depth: int
    name: Optional[str] = None


@dataclass(slots=True)
class Slots:
    depth: int
    name: str = "a"


@dataclass
class Derived(Config):
    more: float = 1.0


@dataclass
class Nested:
    depth: int
    inner: Factory = field(default_factory=lambda: Factory(3))
    colour: Colour = Colour.RED


@dataclass
class Box(Generic[T]):
    depth: int
    content: Optional[int] = None


class Caching:
    known = {}

    def __init__(self, depth, absent=dataclasses.MISSING):
        self.depth, self.absent = depth, absent
        Caching.known[depth] = self


def adding(number, absent=dataclasses.MISSING):
    return lambda: number + (absent is dataclasses.MISSING)


DATACLASSES = [Config, Factory, KeywordOnly, Frozen, Slots, Derived, Nested, Box]


def fits(values):
    *configs, caching, function, colour = values
    checks = {kind.__name__: type(value) is kind and has_defaults(value) for kind, value in zip(DATACLASSES, configs)}
    checks["caching"] = type(caching) is Caching and caching.absent is dataclasses.MISSING
    return {**checks, "function": function() == 2, "colour": colour in list(Colour)}


def has_defaults(value):
    kind, missing = type(value), dataclasses.MISSING
    defaults = [default for f in dataclasses.fields(kind) for default in (f.default, f.default_factory)]
    copied = [default for default in defaults if type(default) is type(missing) and default is not missing]
    return not copied and dataclasses.replace(value) == value != kind(depth=4) == kind(depth=4)


@fl.task
def objective(
    x: float, config: Config, factory: Factory, keyword: KeywordOnly, frozen: Frozen, slots: Slots, derived: Derived,
    nested: Nested, box: Box, caching: Caching, function: Any, colour: Colour,
) -> tuple[float, Config, Factory, KeywordOnly, Frozen, Slots, Derived, Nested, Box, Caching, Any, Colour]:
    values = config, factory, keyword, frozen, slots, derived, nested, box, caching, function, colour
    current_trial().set_user_attr("fits", fits(values))
    current_trial().set_user_attr("process", os.getpid())
    return x, *values


optimizer = Optimizer(objective, 2, 2, reuse_pods=REUSE)
study = optimizer(
    x=suggest.float(0, 1), config={"depth": suggest.integer(1, 3)}, factory=Factory(1), keyword=KeywordOnly(depth=1),
    frozen={"depth": suggest.integer(1, 3)}, slots=Slots(1), derived=Derived(1), box=Box(1), caching=Caching(1),
    nested={"depth": 1, "inner": {"depth": suggest.integer(1, 3)}}, function=adding(1), colour=Colour.BLUE,
)
for trial in study.trials:
    print(trial.state.name, trial.user_attrs)
    assert trial.state.name == "COMPLETE" and all(trial.user_attrs["fits"].values())
    assert (trial.user_attrs["process"] != os.getpid()) == (WORKERS > 1)
found = fits([getattr(optimizer.best, f"o{n}") for n in range(1, 12)])
assert all(found.values()), found
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


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_classes_of_a_notebook_are_whole_in_all_processes(workers, reuse, tmp_path):
    """As inputs, with suggestions within, and as outputs: each kind of class has its defaults, and its members."""
    cell = KINDS.replace("REUSE", str(reuse)).replace("WORKERS", workers)
    assert "_MISSING_TYPE" not in shown(executed([cell], tmp_path, FLYTEOPTUNA_LOCAL_WORKERS=workers))


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
