"""Settings and studies that are fields and items of promises, and searches in bodies of every kind."""

import asyncio
from dataclasses import dataclass

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@dataclass
class Settings:
    n: int
    seconds: float
    limit: int | None = None


@fl.task
def objective(x: float, k: int = 1) -> float:
    return x * k


@fl.task
def settings() -> Settings:
    return Settings(3, 100, None)


@fl.task
def by_name() -> dict[str, list[int]]:
    return {"n": [7, 3]}


@fl.task
def several() -> tuple[int, optuna.Study]:
    return 3, optuna.create_study(study_name="given")


@fl.task
def listed() -> list[optuna.Study]:
    return [optuna.create_study(study_name="given")]


@fl.task
def perhaps(there: bool) -> optuna.Study | None:
    return optuna.create_study(study_name="given") if there else None


@fl.task
def named(study: optuna.Study) -> str:
    return f"{study.study_name} {len(study.trials)}"


def search(n_trials=3, study=None, k=1, **given):
    return Optimizer(objective, 2, n_trials, study=study, **given)(x=suggest.float(0, 1), k=k)


@fl.workflow
def of_a_field() -> str:
    made = settings()
    return named(study=search(made.n, batch_size=made.n, timeout=made.seconds, max_failures=made.limit, k=made.n))


@fl.workflow
def of_an_item() -> str:
    made = by_name()
    return named(study=search(made["n"][1], batch_size=made["n"][1], k=made["n"][0]))


@fl.workflow
def of_a_tuple() -> str:
    n, study = several()
    return named(study=search(n, study))


@fl.workflow
def of_a_list() -> str:
    return named(study=search(study=listed()[0]))


@fl.workflow
def of_perhaps(there: bool) -> str:
    return named(study=search(study=perhaps(there=there)))


@fl.workflow
def of_an_input(made: Settings, study: optuna.Study | None = None, limit: int | None = None) -> str:
    return named(study=search(made.n, study, timeout=made.seconds, max_failures=limit))


@fl.workflow
def of_another_search() -> str:
    first = search()
    return named(study=search(first.n_trials, first))


def kind() -> str:
    return type(search()).__name__


@fl.task
def in_a_task() -> str:
    return kind()


@fl.task
def in_a_map(i: int) -> str:
    return kind()


@fl.task
def in_a_thread() -> str:
    async def both() -> list[str]:
        return await asyncio.gather(asyncio.to_thread(kind), asyncio.to_thread(kind))

    return " ".join(asyncio.run(both()))


@fl.dynamic
def in_a_dynamic() -> tuple[str, list[str], float]:
    return in_a_task(), fl.map_task(in_a_map)(i=[1, 2]), search().best_value


@fl.workflow
def of_bodies() -> tuple[str, list[str], str, str, list[str], float, float]:
    first, second, third = in_a_dynamic()
    return in_a_task(), fl.map_task(in_a_map)(i=[1, 2]), in_a_thread(), first, second, third, search().best_value
