"""Searches before, in and behind a conditional."""

from typing import NamedTuple

import flytekit as fl

from flyteoptuna import Optimizer, suggest


class Scored(NamedTuple):
    score: float
    name: str


@fl.task
def objective(x: float, kind: str, depth: int) -> Scored:
    return Scored(x + depth, f"{kind} of {depth}")


@fl.task
def say(text: str) -> str:
    return text


def search(concurrency=2):
    optimizer = Optimizer(objective, concurrency, 3)
    study = optimizer(x=suggest.float(0, 1), kind=suggest.category(["tree"]), depth=suggest.integer(2, 2))
    return optimizer, study


def choice(condition, then):
    return fl.conditional("choice").if_(condition).then(say(text=then)).else_().then(say(text="other"))


@fl.workflow
def by_value() -> str:
    _, study = search()
    return choice(study.best_value < 4.5, "good")


@fl.workflow
def by_value_that_is_not() -> str:
    _, study = search()
    return choice(study.best_value > 4.5, "good")


@fl.workflow
def by_two_attributes() -> str:
    _, study = search()
    return choice((study.best_value < 5) & (study.n_fail == 0) & (study.best_trial >= 0), study.best_params["kind"])


@fl.workflow
def by_count() -> str:
    _, study = search()
    return choice(study.n_fail == 0, "all well")


@fl.workflow
def by_output() -> str:
    optimizer, _ = search()
    return choice(optimizer.best.name == "tree of 2", optimizer.best.name)


@fl.workflow
def inside() -> str:
    optimizer, study = search()
    return (
        fl.conditional("outer")
        .if_(study.n_complete == 3)
        .then(
            fl.conditional("inner")
            .if_(optimizer.study.best_value < 4.5)
            .then(say(text=optimizer.best.name))
            .else_()
            .fail("none is good")
        )
        .else_()
        .then(say(text="failed"))
    )


@fl.workflow
def searched(concurrency: int) -> str:
    optimizer, _ = search(concurrency)
    return say(text=optimizer.best.name)


@fl.workflow
def of_a_branch(again: bool = True) -> str:
    return fl.conditional("again").if_(again.is_true()).then(searched(concurrency=2)).else_().then(say(text="no"))
