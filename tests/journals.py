"""Journals over a store in memory, and what their readers see."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.study import StudyDirection

from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.study.shared.recorder import Recorder

FLOAT = FloatDistribution(0, 1)


def backend(store, kind=JournalObjectBackend, **kwargs):
    return kind("mem://j", fs=store, create=store.make, **{"poll": 0, **kwargs})


def opened(store, **kwargs):
    back = backend(store, **kwargs)
    return back, JournalStorage(back)


def started(store, **kwargs):
    """A backend, its storage, and the id of a trial that runs."""
    back, storage = opened(store, **kwargs)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    return back, storage, storage.create_new_trial(study)


@contextmanager
def together(back):
    """Write what is done to the storage in the body as one entry, as workers do."""
    recorder, since = Recorder("s", [StudyDirection.MINIMIZE]), back.n_records
    yield recorder.storage
    back.append_together(recorder.records, since)


def seen(storage, study=0):
    """All that a storage says of a study."""
    trials = [
        (
            t.number,
            t.state,
            t.values,
            t.params,
            t.distributions,
            t.user_attrs,
            t.intermediate_values,
            t.datetime_complete,
        )
        for t in storage.get_all_trials(study)
    ]
    return trials, storage.get_study_user_attrs(study)


def entries(store):
    return [
        json.loads(store.objects[f"mem://j/{name}"]) for name in sorted(names(store)) if not name.startswith("pack")
    ]


def names(store):
    return {path.rpartition("/")[2] for path in store.objects}


WORKER = Path(__file__).with_name("journal") / "journal_worker.py"


def run_workers(url, count, trials, **options):
    """Processes that ask and tell over one journal; the lines that each printed."""
    command = [sys.executable, str(WORKER), url, json.dumps({"trials": trials, "total": count * trials, **options})]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    printed = [worker.communicate(timeout=600)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * count
    return [json.loads(text.splitlines()[-1]) for text in printed]
