"""Trials that hang in what they have started, until their timeout."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, current_trial, suggest

X = suggest.float(0, 1)
PATIENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"


@fl.task(timeout=timedelta(seconds=8))
def hanging(x: float, folder: str) -> float:
    number = current_trial().number
    Path(folder, f"{number}-{os.getpid()}").touch()
    if number == 1:
        # What a trial has changed does not keep its process from ending.
        sys.stdout, sys.argv[:] = None, []
        sys.stderr.close()
        os.chdir("/")
        subprocess.run([sys.executable, "-c", PATIENT], cwd=folder, check=True)
    return x


@fl.workflow
def hangs(folder: str) -> optuna.Study:
    return Optimizer(hanging, 1, 3, reuse_pods=True)(x=X, folder=folder)
