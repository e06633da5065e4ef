"""Searches with many finished trials, made without running them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.data_persistence import FileAccessProvider

from benchmarks import objectives
from flyteoptuna.core import plan
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.flyte import report_delivery
from flyteoptuna.flyte.objective import TRIAL
from flyteoptuna.flyte.references import Reference, refer, reference, unpacked
from flyteoptuna.search.batches import driver
from flyteoptuna.search.trial_inputs import builder
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study import sampler, system_attrs


@contextmanager
def bucket() -> Iterator[Path]:
    """A folder that stands for the object store of a cluster."""
    with TemporaryDirectory() as folder:
        access = FileAccessProvider(local_sandbox_dir=f"{folder}/local", raw_output_prefix=f"{folder}/raw")
        ctx = FlyteContextManager.current_context()
        with FlyteContextManager.with_context(ctx.with_file_access(access)):
            yield Path(folder) / "raw"


def study(finished: int, batch: int, seed: int = 1) -> SearchStudy:
    """A study of a search that has told ``finished`` trials of ten parameters."""
    made, rng, start = sampler.create(batch, seed), random.Random(seed), datetime(2024, 1, 1)
    system_attrs.begin(made)
    distribution = optuna.distributions.FloatDistribution(-5, 5)
    for number in range(finished):
        params = {name: rng.uniform(-5, 5) for name in objectives.SPACE}
        mark = {"search": 1, "generation": number // batch, "key": f"{rng.getrandbits(48):012x}"}
        trial = optuna.trial.create_trial(
            params=params,
            distributions=dict.fromkeys(params, distribution),
            value=sum(v * v for v in params.values()),
            system_attrs={system_attrs.TRIAL_ATTRIBUTE: mark},
        )
        trial.datetime_start = start + timedelta(seconds=number)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=60)
        made.add_trial(trial)
    return made


def asked(finished: int, batch: int) -> tuple[Reference, Reference, list[TrialReport]]:
    """A study with ``finished`` trials and a batch that runs, what its map sent, and the same as reports."""
    settings = plan.Settings(10**6, batch, batch, space=objectives.settings(1, batch).space)
    build = builder(objectives.ten, objectives.ten, settings.space, {})
    start = refer(study(finished, batch), optuna.Study)
    made = driver.ask(finished // batch, start, refer([], list[TrialReport]), settings, build, [*objectives.SPACE])
    told = objectives.reports(running(made))
    return handed_on(made), refer(told, list[TrialReport | None]), told


def running(made: driver.Asked) -> list[tuple[int, str]]:
    """Number and key of each trial that a generation asked."""
    handles = [unpacked(literal) for literal in made.lists[TRIAL].literal.collection.literals]
    return [(int(handle["number"]), handle["key"]) for handle in handles]


def handed_on(made: driver.Asked) -> Reference:
    """The study of a generation as another pod gets it, saved."""
    return reference(made.study.literal)


def file(study: Reference) -> Path:
    """A study's file."""
    return Path(str(report_delivery.path_of(study)))


def read(study: Reference) -> Any:
    """The study itself."""
    return study.read(optuna.Study)
