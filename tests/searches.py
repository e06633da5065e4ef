"""Searches in one process, and what their trials would report."""

import optuna
from optuna.trial import TrialState

from flyteoptuna import BatchSampler, suggest
from flyteoptuna.space import space
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.study import system_attrs
from flyteoptuna.study.ask import ask_trial, draw_value
from flyteoptuna.study.samplers import create_default_study
from flyteoptuna.trial.report import TrialReport

LINE = {"x": suggest.float(0, 1)}
SAMPLERS = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3),
    "tpe-4": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3, multivariate=False),
    "tpe-5": lambda seed: optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=3, constant_liar=True, multivariate=True
    ),
    "batch": lambda seed: BatchSampler(seed=seed),
    "nsga": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=4),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=3),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed),
    "brute-force": lambda seed: optuna.samplers.BruteForceSampler(seed=seed),
    "grid": lambda seed: optuna.samplers.GridSampler(
        {"a": ["p", "q", "r"], "b": [0, 1, 3], "c": [0.0, 0.5, 1.0]}, seed=seed
    ),
}


def score(params, number):
    """A value that any parameters have; every fifth trial fails, every seventh is pruned."""
    if number % 5 == 4:
        return None, TrialState.FAIL
    if number % 7 == 6:
        return None, TrialState.PRUNED
    # Optuna itself gives a grid's 1 as an int where it was written as one, and as a float from a file.
    told = sorted((k, v if isinstance(v, str) or v is None else float(v)) for k, v in params.items())
    return float(len(repr(told)) % 17) + number % 3, TrialState.COMPLETE


def flat(inputs):
    def build(trial):
        return {k: space.substitute_suggestions(v, k, lambda n, s: draw_value(trial, n, s)) for k, v in inputs.items()}

    return build


def reloaded(study):
    return restore_study(dump_study(study))


def report_of(trial):
    value, state = score(trial.params, trial.number)
    report = TrialReport(trial.number, state=state.name, error="" if state == TrialState.COMPLETE else "no")
    if value is not None:
        report.values = [value]
    if state == TrialState.PRUNED:
        report.steps, report.intermediate = [3], [0.5]
    return report


def asked(study, count, build=None, generation=0):
    return [ask_trial(study, generation, build or flat(LINE)) for _ in range(count)]


def begun(batch=4, **kwargs):
    study = create_default_study(batch, seed=1, **kwargs)
    system_attrs.store_search_mark(study)
    return study
