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
from flyteoptuna.flyte import report_transport
from flyteoptuna.flyte.objective import TRIAL
from flyteoptuna.flyte.references import Reference, make_reference, msgpack_fields, to_reference
from flyteoptuna.search.batches import driver
from flyteoptuna.search.trial_inputs import input_builder
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study import samplers, system_attrs
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.trial import marks
from flyteoptuna.trial.report import TrialReport


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
    made, rng, start = samplers.create_default_study(batch, seed), random.Random(seed), datetime(2024, 1, 1)
    system_attrs.store_search_mark(made)
    distribution = optuna.distributions.FloatDistribution(-5, 5)
    for number in range(finished):
        params = {name: rng.uniform(-5, 5) for name in objectives.SPACE}
        mark = marks.TrialMark(search=1, generation=number // batch, key=f"{rng.getrandbits(48):012x}")
        trial = optuna.trial.create_trial(
            params=params,
            distributions=dict.fromkeys(params, distribution),
            value=sum(v * v for v in params.values()),
            system_attrs={marks.TRIAL_ATTRIBUTE: mark.to_attribute()},
        )
        trial.datetime_start = start + timedelta(seconds=number)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=60)
        made.add_trial(trial)
    return made


def asked(finished: int, batch: int) -> tuple[Reference, Reference, list[TrialReport]]:
    """A study with ``finished`` trials and a batch that runs, what its map sent, and the same as reports."""
    settings = SearchSettings(10**6, batch, batch, space=objectives.settings(1, batch).space)
    build = input_builder(objectives.ten, objectives.ten, settings.space, {})
    start = to_reference(study(finished, batch), optuna.Study)
    made = driver.ask_in_pod(
        finished // batch, start, to_reference([], list[TrialReport]), settings, build, [*objectives.SPACE]
    )
    told = objectives.reports(running(made))
    return handed_on(made), to_reference(told, list[TrialReport | None]), told


def running(made: driver.AskedGeneration) -> list[tuple[int, str]]:
    """Number and key of each trial that a generation asked."""
    handles = [msgpack_fields(literal) for literal in made.lists[TRIAL].literal.collection.literals]
    return [(int(handle["number"]), handle["key"]) for handle in handles]


def handed_on(made: driver.AskedGeneration) -> Reference:
    """The study of a generation as another pod gets it, saved."""
    return make_reference(made.study.literal)


def file(study: Reference) -> Path:
    """A study's file."""
    return Path(str(report_transport.study_path(study)))


def read(study: Reference) -> Any:
    """The study itself."""
    return study.read(optuna.Study)
