"""Worker processes: what they are to a trial, when they start, and how they end."""

import os
import signal
import sys

import containers
import optuna
import pytest
from local_searches import python, searched

from flyteoptuna import Optimizer, suggest
from flyteoptuna.local import worker_pool, worker_process
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.trial import interrupts


def states(study):
    return [t.state.name for t in study.trials]


def test_a_trial_finds_what_there_is_now(flows, monkeypatch, tmp_path):
    """Variables, folder and path are those of the search that a process works for, and not those of its start."""
    looking = flows("flow_of_surroundings").looking
    processes = set()
    for word in ("first", "second"):
        folder = tmp_path / word
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("FLYTEOPTUNA_TEST", word)
        monkeypatch.syspath_prepend(f"/of/{word}")
        study = searched(looking, monkeypatch, "2")
        for trial in study.trials:
            assert trial.user_attrs["folder"] == str(folder)
            assert trial.user_attrs["variable"] == word
            assert f"/of/{word}" in trial.user_attrs["path"]
        processes |= {t.user_attrs["process"] for t in study.trials}
    monkeypatch.delenv("FLYTEOPTUNA_TEST")
    study = searched(looking, monkeypatch, "2")
    assert {t.user_attrs["variable"] for t in study.trials} == {""}
    processes |= {t.user_attrs["process"] for t in study.trials}
    # The same two were used throughout.
    assert len(processes) <= 2 and os.getpid() not in processes


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_trial_starts_processes(flows, monkeypatch, method):
    """As a data loader does, and a pool."""
    monkeypatch.setenv(WORKERS, "2")
    study = Optimizer(flows("flow_of_surroundings").starting, 2, 2)(x=suggest.float(0, 1), method=method)
    assert [(t.value, t.user_attrs) for t in study.trials] == [(2.0, {})] * 2


def test_a_worker_that_dies_costs_its_own_trial(flows, monkeypatch, tmp_path):
    """No trial is run twice, and the others run on beside it."""
    notes = tmp_path / "notes"
    study = searched(flows("flow_of_surroundings").noting, monkeypatch, "3", notes=str(notes), deadly=1)
    assert states(study) == ["COMPLETE", "FAIL", *["COMPLETE"] * 4]
    assert sorted(map(int, notes.read_text().split())) == list(range(6))


def test_workers_start_beside_a_long_first_trial(flows, monkeypatch, tmp_path):
    """It runs here, and the others, for which it waits, in processes; each of them once."""
    monkeypatch.delenv(WORKERS)
    monkeypatch.setattr(worker_pool.os, "cpu_count", lambda: 2)
    study = Optimizer(flows("flow_of_surroundings").long_first, 4, 4)(x=suggest.float(0, 1), notes=str(tmp_path))
    assert states(study) == ["COMPLETE"] * 4
    found = {int(file.name): int(file.read_text()) for file in tmp_path.iterdir()}
    assert found.pop(0) == os.getpid()
    assert os.getpid() not in found.values()


@pytest.mark.parametrize(("start", "here"), [(float("inf"), True), (-1.0, False)])
def test_workers_start_where_they_pay(flows, monkeypatch, start, here):
    """And where they never do, none is started."""
    monkeypatch.delenv(WORKERS)
    monkeypatch.setattr(worker_pool.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(worker_pool, "START_SECONDS", start)
    started = []
    monkeypatch.setattr(worker_pool, "acquire", lambda: started.append(1) or worker_process.acquire())
    study = Optimizer(flows("flow_of_surroundings").looking, 2, 8)(x=suggest.float(0, 1))
    assert states(study) == ["COMPLETE"] * 8
    assert len(started) == (0 if here else 2)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 10.0])
@pytest.mark.parametrize("left", [1, 20, 10_000, float("inf")])
def test_what_workers_gain(monkeypatch, flows, seconds, left):
    """A share of what the trials that are left would take one after another."""
    monkeypatch.setenv(WORKERS, "4")
    task = flows("flow_of_surroundings").looking
    pool = worker_pool.TrialPool(task, task, 8, left)
    assert pool._estimated_saving() == 0.0
    monkeypatch.setattr(worker_pool.time, "monotonic", lambda: 100.0 + seconds)
    pool._trial_start = 100.0
    if seconds:
        assert pool._estimated_saving() == pytest.approx(seconds * left * 0.75)


LEAVING = """
import sys
import flytekit as fl
from flyteoptuna import Optimizer, suggest, current_trial
import os

@fl.task
def objective(x: float) -> float:
    current_trial().set_user_attr("process", os.getpid())
    return OFFSET

OFFSET = 3.0
START
"""
SEARCH = """
study = Optimizer(objective, 2, 4)(x=suggest.float(0, 1))
print("best", study.best_value, "here", os.getpid() in {t.user_attrs["process"] for t in study.trials})
"""


def script(tmp_path, text, *, count="2"):
    (tmp_path / "script.py").write_text(text)
    return python(tmp_path, "script.py", count=count)


@pytest.mark.parametrize("more", ["", ", reuse_pods=True"], ids=["batches", "reused"])
@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (f"{SEARCH}", "put that under `__name__ == '__main__'`"),
        (f"if __name__ != '__main__':\n    sys.exit(2)\n{SEARCH}", "SystemExit: 2"),
        (f"if __name__ != '__main__':\n    os._exit(2)\n{SEARCH}", "the process died"),
        (f"if __name__ != '__main__':\n    raise KeyboardInterrupt\n{SEARCH}", "KeyboardInterrupt"),
        (f"if __name__ == '__main__':\n    exec({SEARCH!r})\nelse:\n    del objective", "AttributeError"),
    ],
)
def test_what_cannot_be_loaded_by_name_goes_by_value(tmp_path, start, reason, more):
    """One warning says why, and the trials run in worker processes all the same."""
    made = script(tmp_path, LEAVING.replace("START", start.replace("2, 4", f"2, 4{more}")))
    assert "best 3.0 here False" in made.stdout, made.stderr
    assert made.stderr.count("by value, for they cannot load it") == 1
    assert reason in made.stderr


@pytest.mark.parametrize("more", ["", ", reuse_pods=True"], ids=["batches", "reused"])
def test_what_can_be_sent_in_no_way_runs_here(tmp_path, more):
    """The warning says so, once."""
    lock = "import threading\nOFFSET = threading.Lock()\nfloat_of = lambda lock: 4.0\n"
    text = LEAVING.replace("return OFFSET", "return float_of(OFFSET)").replace(
        "START", lock + SEARCH.replace("2, 4", f"2, 4{more}")
    )
    made = script(tmp_path, text)
    assert "best 4.0 here True" in made.stdout, made.stderr
    assert made.stderr.count("one after another") == 1 and "pickle" in made.stderr


DECORATED = """
from flytekit.core.utils import ClassDecorator

class plus(ClassDecorator):
    def execute(self, *args, **kwargs):
        return self.task_function(*args, **kwargs) + 1

    def get_extra_config(self):
        return {}

"""


@pytest.mark.parametrize("decorators", ["@plus\n", "@plus\n@plus\n"])
@pytest.mark.parametrize("count", ["1", "2"])
def test_class_decorators_in_a_script(tmp_path, decorators, count):
    """Of an objective, one or several."""
    text = LEAVING.replace("@fl.task\n", f"{DECORATED}@fl.task\n{decorators}")
    search = "Optimizer(objective, 2, 4)(x=suggest.float(0, 1))"
    guarded = f"if __name__ == '__main__':\n    print({search}.best_value == objective(x=0.5) > 3.0)"
    made = script(tmp_path, text.replace("START", guarded), count=count)
    assert made.stdout == "True\n", made.stderr
    assert "[W" not in made.stderr


LAZY = """
import sys
from flytekit.lazy_import.lazy_module import lazy_module
from flyteoptuna.local import worker_process

lazy_module("later")
worker_process._module_file_times()
print("later is loaded:", "LOADED" in object.__getattribute__(sys.modules["later"], "__dict__"))
import later
print(later.LOADED, later.__file__ in worker_process._module_file_times())
"""


@pytest.mark.parametrize("odd", [None, object(), 3])
def test_what_stands_among_the_modules_and_is_none_is_left_alone(odd, monkeypatch):
    """As the libraries of cffi, which have no attributes of their own."""
    monkeypatch.setitem(sys.modules, "odd", odd)
    assert containers.__file__ in worker_process._module_file_times()


def test_what_is_loaded_lazily_is_not_loaded_by_a_thread_of_the_librarys(tmp_path):
    """The main thread, which may be about to use it, would find half a module."""
    (tmp_path / "later.py").write_text("LOADED = True")
    assert script(tmp_path, LAZY).stdout == "later is loaded: False\nTrue True\n"


NOTING = """
import signal, sys
if any("popen_loky" in each for each in sys.orig_argv):
    with open({notes!r}, "a") as notes:
        print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []), file=notes)
"""
MASKED = """
import signal
import subprocess
import sys
import flytekit as fl
from flyteoptuna import Optimizer, suggest

LOOK = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"

@fl.task
def objective(x: float) -> float:
    started = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True)
    return float(started.stdout == "True\\n") + 2 * (signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

if __name__ == "__main__":
    print([t.value for t in Optimizer(objective, 2, 2)(x=suggest.float(0, 1)).trials])
"""


def test_ctrl_c_does_not_reach_a_worker_that_starts(tmp_path, monkeypatch):
    """Which would write where Python was just then; trials, and what they start, are as they would be elsewhere."""
    notes = tmp_path / "notes"
    (tmp_path / "sitecustomize.py").write_text(NOTING.format(notes=str(notes)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    made = script(tmp_path, MASKED)
    assert made.stdout == "[0.0, 0.0]\n", made.stderr
    assert set(notes.read_text().split()) == {"True"}


def test_a_handler_of_the_users_own_stays(flows, monkeypatch):
    """While trials run here, and afterwards; flytekit's gives way to Python's while a search runs, and returns."""
    before = signal.getsignal(signal.SIGINT)
    seen = []
    flow = flows("flow_of_surroundings")
    monkeypatch.setattr(flow.looking, "_task_function", lambda x: seen.append(signal.getsignal(signal.SIGINT)) or x)
    # One that an earlier search has made would run what the task was then.
    trial_task.cache_clear()
    workers_of = monkeypatch.setenv

    def of_the_user(number, frame):
        raise RuntimeError

    def main_signal_handler(number, frame):
        raise SystemExit

    main_signal_handler.__qualname__ = "FlyteContextManager.initialize.<locals>.main_signal_handler"
    try:
        for handler in (of_the_user, main_signal_handler):
            signal.signal(signal.SIGINT, handler)
            workers_of(WORKERS, "1")
            searched(flow.looking, monkeypatch, "1")
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
        trial_task.cache_clear()
    assert seen == [*[of_the_user] * 6, *[interrupts.handle_interrupt] * 6]


def test_two_searches_at_once(flows, monkeypatch):
    """In threads, each with its own processes, and each returns its own study."""
    import asyncio

    looking = flows("flow_of_surroundings").looking
    monkeypatch.setenv(WORKERS, "2")

    def search(name):
        study = optuna.create_study(study_name=name)
        return Optimizer(looking, 2, 4, study=study)(x=suggest.float(0, 1))

    async def both():
        return await asyncio.gather(*[asyncio.to_thread(search, name) for name in ("one", "two")])

    one, two = asyncio.run(both())
    assert (one.study_name, two.study_name) == ("one", "two")
    assert states(one) == states(two) == ["COMPLETE"] * 4
