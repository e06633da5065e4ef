"""A process that asks and tells over a journal, and prints which trials it had and what it saw in the end."""

import contextlib
import hashlib
import json
import sys
import time

import fsspec
import optuna
from optuna.storages import JournalStorage

from flyteoptuna.journal.backend import JournalObjectBackend

url, given = sys.argv[1], json.loads(sys.argv[2])
optuna.logging.set_verbosity(optuna.logging.WARNING)
fs = fsspec.filesystem(url.partition("://")[0], **given["storage_options"]) if "storage_options" in given else None
backend = JournalObjectBackend(url, fs=fs, poll=given.get("poll", 0.1))
study = optuna.load_study(study_name="s", storage=JournalStorage(backend), sampler=optuna.samplers.RandomSampler())
together = backend.together if given.get("together", True) else contextlib.nullcontext
numbers = []
for _ in range(given["trials"]):
    trial = study.ask()
    numbers.append(trial.number)
    with together():
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("number", trial.number)
    with together():
        trial.report(x, 0)
        study.tell(trial, x)
states = (optuna.trial.TrialState.COMPLETE,)
while len(trials := study.get_trials(states=states)) < given["total"]:
    time.sleep(0.1)
digest = hashlib.sha256(repr(trials).encode()).hexdigest()
sys.stdout.write(json.dumps({"numbers": numbers, "digest": digest}) + "\n")
