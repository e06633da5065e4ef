"""The classes of a script belong to it: what they hold is the script's, and travels with what is saved."""

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
