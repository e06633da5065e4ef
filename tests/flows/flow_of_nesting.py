"""An objective that calls other tasks and workflows, which run in its own process."""

import asyncio
from collections.abc import Callable

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@fl.task
def twice(x: float) -> float:
    return x * 2


@fl.task
def named(x: float) -> tuple[float, str]:
    return x, "name"


@fl.task
def nothing(x: float) -> None:
    pass


@fl.workflow
def chained(x: float) -> float:
    return twice(x=twice(x=x))


@fl.dynamic
def dynamic(x: float) -> float:
    return twice(x=x)


@fl.task
async def later(x: float) -> float:
    return twice(x=x)


CALLS: dict[str, Callable[[float], float]] = {
    "a task": lambda x: twice(x=x) + 1.0,
    "by position": lambda x: twice(x),
    "an async task": lambda x: asyncio.run(later(x=x)),
    "a task of a task": lambda x: twice(x=twice(x=x)),
    "a tuple": lambda x: named(x=x)[0],
    "nothing": lambda x: 1.0 if nothing(x=x) is None else 0.0,
    "a workflow": lambda x: chained(x=x),
    "a dynamic": lambda x: dynamic(x=x),
    "a map": lambda x: sum(fl.map_task(twice)(x=[x, x])),
    "a launch plan": lambda x: fl.LaunchPlan.get_or_create(chained)(x=x),
    "a search": lambda x: x + len(Optimizer(twice, 1, 2)(x=suggest.float(0, 1)).trials),
}


@fl.task
def calling(x: float, call: str) -> float:
    return CALLS[call](x)


@fl.task
def start() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.GridSampler({"call": [*CALLS]}, seed=1))


@fl.workflow
def calls() -> optuna.Study:
    study = start()
    return Optimizer(calling, 3, len(CALLS), study=study)(x=0.5, call=suggest.category([*CALLS]))
