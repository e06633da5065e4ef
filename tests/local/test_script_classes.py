"""The classes of a script belong to it: they are the same in all of its processes, and what they hold is its own."""

from collections import Counter

import pytest
from local_searches import python

SCRIPT = """
import flytekit as fl
import optuna
from flyteoptuna import Optimizer, current_trial, suggest

class Noting(optuna.samplers.RandomSampler):
    drawn = []
    count = 0

    def sample_independent(self, study, trial, name, distribution):
        Noting.count += 1
        Noting.drawn.append(trial.number)
        return super().sample_independent(study, trial, name, distribution)

def within():
    class Judging(optuna.pruners.NopPruner):
        limit = 0.5

        def prune(self, study, trial):
            return trial.last_step == 1 and trial.number == 2 and Judging.limit == 0.5

    return Judging

class Calling:
    told = []

    def __call__(self, study, trial):
        Calling.told.append(trial.number)

@fl.task
def objective(x: float) -> float:
    for step in range(2):
        current_trial().report(x, step)
        if current_trial().should_prune():
            raise optuna.TrialPruned
    return x

if __name__ == "__main__":
    drawn, judging = Noting.drawn, within()
    search = {"sampler": Noting(seed=1), "pruner": judging(), "callbacks": [Calling()]}
    study = Optimizer(objective, 2, 4, **search)(x=suggest.float(0, 1))
    judging.limit = 0.25
    again = Optimizer(objective, 2, 2, study=study)(x=suggest.float(0, 1))
    print(Noting.count, drawn is Noting.drawn, drawn, Calling.told, judging.limit)
    print([t.state.name for t in again.trials])
    print(type(again.sampler) is Noting, type(again.pruner) is judging)
    print(study.file, again.file)
"""

AFTERWARDS = """
import sys
from flyteoptuna import load_study

first, second, *_ = studies = [load_study(path, trusted=True) for path in [*sys.argv[1:], sys.argv[1]]]
kind = type(first.sampler)
print(kind.count, kind.drawn, type(second.sampler) is kind, type(second.pruner).limit)
"""


def printed(tmp_path, code, *args, count):
    made = python(tmp_path, *(("-c", code, *args) if args else ("script.py",)), count=count)
    assert not made.returncode, made.stderr
    return made.stdout.splitlines()


@pytest.mark.parametrize("count", ["1", "2"])
def test_what_the_classes_of_a_script_hold_stays_the_scripts(tmp_path, count):
    """A search pickles and loads them, and puts nothing of an earlier time back; another process gets it all."""
    (tmp_path / "script.py").write_text(SCRIPT)
    numbers, states, same, files = printed(tmp_path, "", count=count)
    assert numbers == "6 True [0, 1, 2, 3, 4, 5] [0, 1, 2, 3] 0.25"
    assert states == str(["COMPLETE", "COMPLETE", "PRUNED", *["COMPLETE"] * 3])
    assert same == "True True"
    # Each file holds the classes as they were when it was written; the one that is loaded last has filled them.
    assert printed(tmp_path, AFTERWARDS, *files.split(), count=count) == ["4 [0, 1, 2, 3] True 0.5"]
    assert printed(tmp_path, AFTERWARDS, *reversed(files.split()), count=count) == ["6 [0, 1, 2, 3, 4, 5] True 0.25"]


DEFINING = """
FUTURE
import enum
import os
import pickle
import sys
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import flytekit as fl
import optuna
from flyteoptuna import Optimizer, current_trial, load_study, outputs, suggest

with open("runs", "a") as runs:
    print(os.getpid(), file=runs)
T = TypeVar("T")
noted = []

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Config:
    colour: Colour
    depth: int = 1

class Box(Generic[T]):
    limit = 0

    class Inner:
        pass

    def __init__(self, content):
        self.content = content

    def note(self):
        noted.append(self.content)

class WrongError(Exception):
    pass

class Sampler(optuna.samplers.RandomSampler):
    pass

def double(number):
    return 2 * number

class Callback:
    box = Box(1)

    def __call__(self, study, trial):
        same = isinstance(self.box, Box) and type(study.sampler) is Sampler and Box.limit == 3
        study.set_user_attr(str(trial.number), same)

def fits(number, box, boxes, anything, config, colour, function):
    return [
        isinstance(box, Box),
        isinstance(boxes[0], Box),
        isinstance(anything.content[0], Box.Inner),
        isinstance(anything.content[1], WrongError),
        type(config) is Config and type(config.colour) is Colour,
        colour in list(Colour),
        function(3) == 6,
    ]

Given = tuple[float, Box, list[Box], Any, Config, Colour, Any]

@fl.task
def objective(
    x: float, box: Box, boxes: list[Box], anything: Any, config: Config, colour: Colour, function: Any
) -> Given:
    before = len(noted)
    box.note()
    sent = [box, boxes, anything, config, colour, function]
    one = sys.modules["__main__"].Box is Box and pickle.loads(pickle.dumps(config)) == config
    checks = {
        "fits": fits(x, *sent),
        "one": one and (Box.__module__, Box.Inner.__module__, double.__module__) == ("__main__",) * 3,
        "state": Box.limit == 3 and len(noted) == before + 1,
    }
    for name, value in checks.items():
        current_trial().set_user_attr(name, value)
    current_trial().set_user_attr("process", os.getpid())
    return x, *sent

@fl.task
def use(box: Box, boxes: list[Box], anything: Any, config: Config, colour: Colour, function: Any) -> list[bool]:
    return fits(0, box, boxes, anything, config, colour, function)

def optimizer(reuse):
    return Optimizer(objective, 2, 3, reuse_pods=reuse, sampler=Sampler(seed=1), callbacks=[Callback()])

def inputs():
    return {
        "x": suggest.float(0, 1), "box": Box(1), "boxes": [Box(2)], "function": double, "config": Config(Colour.BLUE),
        "anything": Box([Box.Inner(), WrongError()]), "colour": suggest.category(list(Colour)),
    }

@fl.workflow
def searched(x: int = 0) -> list[bool]:
    search = optimizer(False)
    search(**inputs())
    return use(**{name: getattr(search.best, f"o{n}") for n, name in enumerate(NAMES, 1)})

NAMES = ["box", "boxes", "anything", "config", "colour", "function"]

def main():
    Box.limit, note = 3, Box.note
    for reuse in (False, True):
        search = optimizer(reuse)
        study = search(**inputs())
        for trial in study.trials:
            attributes = dict(trial.user_attrs)
            print(">", trial.state.name, attributes.pop("process") != os.getpid(), attributes)
        found = outputs(load_study(study.file, trusted=True), 1, types={"o4": Config, "o5": Colour})
        for values in (search.best, found):
            print(">", fits(0, *[getattr(values, f"o{n}") for n in range(1, 7)]))
        print(">", all(study.user_attrs.values()), type(study.sampler) is Sampler, Box.limit, Box.note is note)
        print(">", study.file)
    print(">", searched())

GUARD
    main()
"""
FITS = str([True] * 7)
TRIAL = f"COMPLETE True {{'fits': {FITS}, 'one': True, 'state': True}}"
ELSEWHERE = """
import sys
from flyteoptuna import load_study, outputs

for path in sys.argv[1:]:
    found = outputs(load_study(path, trusted=True), 0)
    print(type(found.o1) is type(found.o2[0]), found.o1.content, found.o6(3))
"""


@pytest.mark.parametrize(
    ("args", "guard", "future"),
    [
        (["elsewhere/script.py"], "if __name__ == '__main__':", ""),
        (["-m", "package.inner.script"], "if __name__ == '__main__':", "from __future__ import annotations"),
        # Its task is sent by value.
        (["script.py"], "if sys.argv[0].endswith('.py'):", "from __future__ import annotations"),
    ],
    ids=["script", "module", "unguarded"],
)
def test_a_class_of_a_script_is_one_class_in_all_processes(tmp_path, args, guard, future):
    """In inputs and outputs, for callbacks and samplers; and no process runs the script twice."""
    path = "package/inner/script.py" if args[0] == "-m" else args[0]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    for folder in ("package", "package/inner") if args[0] == "-m" else ():
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / path).write_text(DEFINING.replace("FUTURE", future).replace("GUARD", guard).lstrip())
    made = python(tmp_path, *args, count="2")
    assert not made.returncode, made.stderr
    # Flytekit warns on standard output.
    lines = [line[2:] for line in made.stdout.splitlines() if line.startswith("> ")]
    for kind in (lines[:7], lines[7:14]):
        assert kind[:6] == [*[TRIAL] * 3, FITS, FITS, "True True 3 True"], made.stderr
    assert lines[14:] == [FITS]
    times = Counter((tmp_path / "runs").read_text().split())
    # An import that was refused is tried again for the next search.
    assert set(times.values()) == {1} or guard != "if __name__ == '__main__':"
    # Another process, which has no such script, reads what was stored.
    assert printed(tmp_path, ELSEWHERE, lines[6], lines[13], count="1") == ["True 1 6"] * 2
