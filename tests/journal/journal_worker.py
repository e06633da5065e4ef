"""A process that asks and tells over a journal, and prints which trials it had and what it saw in the end."""

import hashlib
import json
import random
import sys
import time
from pathlib import Path

import fsspec
import optuna
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from flyteoptuna.journal.backend import JournalObjectBackend

sys.path.append(str(Path(__file__).parents[1]))
from journals import FLOAT, together

url, given = sys.argv[1], json.loads(sys.argv[2])
optuna.logging.set_verbosity(optuna.logging.WARNING)
fs = fsspec.filesystem(url.partition("://")[0], **given["storage_options"]) if "storage_options" in given else None
backend = JournalObjectBackend(url, fs=fs, poll=given.get("poll", 0.1))
study = optuna.load_study(study_name="s", storage=JournalStorage(backend), sampler=optuna.samplers.RandomSampler())
numbers = []
for _ in range(given["trials"]):
    trial = study.ask()
    numbers.append(trial.number)
    if given.get("one_entry", True):
        x, known = random.random(), trial._trial_id
        with together(backend) as record:
            record.set_trial_param(known, "x", x, FLOAT)
            record.set_trial_user_attr(known, "number", trial.number)
        with together(backend) as record:
            record.set_trial_intermediate_value(known, 0, x)
            record.set_trial_state_values(known, TrialState.COMPLETE, [x])
    else:
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("number", trial.number)
        trial.report(x, 0)
        study.tell(trial, x)
states = (TrialState.COMPLETE,)
while len(trials := study.get_trials(states=states)) < given["total"]:
    time.sleep(0.1)
digest = hashlib.sha256(repr(trials).encode()).hexdigest()
sys.stdout.write(json.dumps({"numbers": numbers, "digest": digest}) + "\n")
