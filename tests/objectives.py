"""Objectives of all kinds, and what is searched over them."""

import flytekit as fl

from flyteoptuna import suggest

X = {"x": suggest.float(0, 1)}


@fl.task
def square(x: float, power: int = 2) -> float:
    return abs(x) ** power


@fl.task
def pair(params: dict[str, int | float | str], y: float) -> tuple[float, float]:
    return float(params["depth"]), y


def built(body):
    """Compile a workflow with a body."""

    def workflow() -> None:
        body()

    fl.workflow(workflow).compile()
