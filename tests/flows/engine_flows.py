"""Plain Flyte flows that the tests of the engine run."""

import functools
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import flytekit as fl
from flytekit import SQLTask, kwtypes
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.error import FlyteError

CALLS: list[int] = []


@dataclass
class Shape:
    """A struct with what attributes may resolve to."""

    size: int
    ratio: float
    names: list[str]
    inner: dict[str, int]


@fl.task
def shape(size: int) -> Shape:
    return Shape(size, size / 2, ["a", "b"], {"k": size})


@fl.task
def shapes(size: int) -> tuple[list[Shape], dict[str, int]]:
    return [Shape(size, 0.5, [], {}), Shape(size + 1, 0.5, ["c"], {})], {"x": size}


@fl.task
def describe(size: int, ratio: float, names: list[str], inner: dict[str, int], one: int) -> str:
    return f"{size} {ratio} {names} {inner} {one}"


@fl.task
def gather(numbers: list[int], named: dict[str, int], maybe: int | None) -> str:
    return f"{numbers} {sorted(named.items())} {maybe}"


@fl.workflow
def bindings(size: int = 3) -> tuple[str, str]:
    s = shape(size=size)
    many, named = shapes(size=size)
    first = describe(size=s.size, ratio=s.ratio, names=s.names, inner=s.inner, one=many[1].size)
    return first, gather(numbers=[s.size, 7, named["x"]], named={"a": s.size, "b": 1}, maybe=size)


@fl.workflow
def missing_key(size: int) -> int:
    _, named = shapes(size=size)
    return add(x=named["y"], y=1)


@fl.task
def add(x: int, y: int) -> int:
    return x + y


@fl.task
def double(x: int) -> int:
    return 2 * x


@fl.dynamic
def countdown(total: int, left: int) -> int:
    if left == 0:
        return total
    return countdown(total=add(x=total, y=left), left=left - 1)


@fl.workflow
def nested(left: int) -> int:
    return double(x=countdown(total=0, left=left))


@fl.workflow
def inner(x: int) -> int:
    return add(x=double(x=x), y=1)


@fl.dynamic
def inner_twice(x: int) -> int:
    return inner(x=inner(x=x))


@fl.workflow
def subworkflows(x: int) -> tuple[int, int]:
    return inner(x=x), inner_twice(x=x)


@fl.task
def scaled(x: int, factors: list[int]) -> int:
    if x < 0:
        raise ValueError(f"negative: {x}")
    return x * sum(factors)


@fl.task
def show(values: list[int | None]) -> str:
    return str(values)


@fl.workflow
def mapped(xs: list[int]) -> str:
    factors = [1, 2]
    partial = functools.partial(scaled, factors=factors)
    return show(values=fl.map_task(partial, concurrency=2, min_success_ratio=0.1)(x=xs))


@fl.workflow
def mapped_serially(xs: list[int]) -> str:
    partial = functools.partial(scaled, factors=[1])
    return show(values=fl.map_task(partial, concurrency=1, min_success_ratio=0.5)(x=xs))


@fl.task
def meet(x: int, folder: str) -> int:
    """Return when as many pods as a pair have come since this one came, or the engine's patience ends."""
    came = len(os.listdir(folder))
    Path(folder, str(x)).touch()
    while len(os.listdir(folder)) < came + 2 - came % 2:
        time.sleep(0.05)
    return x


@fl.workflow
def meetings(folder: str) -> int:
    return add(x=meet(x=1, folder=folder), y=meet(x=2, folder=folder))


@fl.workflow
def mapped_meetings(xs: list[int], folder: str) -> list[int]:
    return fl.map_task(functools.partial(meet, folder=folder), concurrency=2)(x=xs)


@fl.task
def same(x: int) -> int:
    return x


@fl.workflow
def independent() -> int:
    return add(x=same(x=1), y=same(x=2))


@fl.task(retries=2)
def flaky(until: int) -> int:
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    if attempt < until:
        raise FlyteRecoverableException(f"attempt {attempt} failed")
    return attempt


@fl.workflow
def retried(until: int) -> int:
    return flaky(until=until)


@fl.task(retries=2)
def broken(x: int) -> int:
    if x:
        raise ValueError("this is broken")
    return x


@fl.workflow
def failing(x: int) -> int:
    return double(x=broken(x=x))


@fl.task(environment={"COLOUR": "blue"})
def inspect() -> dict[str, str]:
    CALLS.append(os.getpid())
    execution = fl.current_context().execution_id
    return {
        "calls": str(len(CALLS)),
        "module": str(Path(sys.modules[inspect.__module__].__file__).parent),
        "cwd": os.getcwd(),
        "colour": os.environ["COLOUR"],
        "task": os.environ["FLYTE_INTERNAL_TASK_NAME"],
        "execution": f"{execution.project}/{execution.domain}/{execution.name}",
        "random": str(random.random()),
        "pytest": str("pytest" in sys.modules),
    }


@fl.workflow
def inspected() -> tuple[dict[str, str], dict[str, str]]:
    return inspect(), inspect()


@fl.task(cache=True, cache_version="1", cache_ignore_input_vars=("note",))
def cached(x: int, note: str) -> int:
    if x < 0:
        raise ValueError("negative")
    return x * x


@fl.task
def uncached(x: int, note: str) -> int:
    return x * x


@fl.workflow
def squares(x: int, note: str) -> tuple[int, int]:
    return cached(x=x, note=note), uncached(x=x, note=note)


@fl.workflow
def cached_map(xs: list[int]) -> str:
    return show(values=fl.map_task(functools.partial(cached, note="n"), min_success_ratio=0.1)(x=xs))


@fl.task
def big(size: int) -> str:
    return "x" * size


@fl.task
def length(text: str) -> int:
    return len(text)


@fl.workflow
def large(size: int) -> int:
    return length(text=big(size=size))


@fl.task
def leaving() -> int:
    """Start a process and leave it behind; its number."""
    return subprocess.Popen(["sleep", "100000"]).pid


@fl.workflow
def left() -> int:
    return leaving()


@fl.dynamic
def skipping(x: int) -> int:
    first = double(x=x)
    second = double(x=first)
    return add(x=first, y=second)


@fl.workflow
def skips(x: int) -> int:
    return skipping(x=x)


@fl.workflow
def cached_and_not(xs: list[int]) -> tuple[str, str]:
    first = fl.map_task(functools.partial(cached, note="n"), concurrency=1)(x=xs)
    second = fl.map_task(double, concurrency=1)(x=xs)
    return show(values=first), show(values=second)


@fl.task
def sleep(seconds: int) -> int:
    time.sleep(seconds)
    return seconds


@fl.workflow
def sleeping(seconds: int) -> int:
    return sleep(seconds=seconds)


@fl.task
def lengths(one: str, two: str) -> int:
    return len(one) + len(two)


@fl.workflow
def large_together(size: int) -> int:
    return lengths(one=big(size=size), two=big(size=size))


@fl.dynamic
def large_constant(size: int) -> int:
    return length(text="x" * size)


@fl.workflow
def large_graph(size: int) -> int:
    return large_constant(size=size)


@fl.task(retries=1)
def checkpointed() -> str:
    checkpoint = fl.current_context().checkpoint
    before = checkpoint.read()
    if before is None:
        checkpoint.write(b"half done")
        raise FlyteRecoverableException("not yet")
    return before.decode()


@fl.workflow
def with_checkpoint() -> str:
    return checkpointed()


@fl.task
def asleep(x: int, seconds: int) -> int:
    os.write(1, b"asleep\n")
    time.sleep(seconds)
    return x


@fl.workflow
def sleepers(seconds: int) -> list[int | None]:
    return fl.map_task(functools.partial(asleep, seconds=seconds), concurrency=2)(x=[1, 2, 3, 4])


@fl.workflow
def branched(x: int) -> int:
    squared, small = multiply(x=x, y=x), below(x=x, y=5)
    made = (
        fl.conditional("outer")
        .if_((x > 10) | ((x > 7) & (squared != 64)))
        .then(double(x=squared))
        .elif_(small.is_true())
        .then(fl.conditional("inner").if_(x == 2).then(add(x=x, y=squared)).else_().fail("two alone is allowed"))
        .else_()
        .then(same(x=x))
    )
    return double(x=made)


@fl.task
def multiply(x: int, y: int) -> int:
    return x * y


@fl.task
def below(x: int, y: int) -> bool:
    return x < y


inner_plan = fl.LaunchPlan.get_or_create(inner, "engine_flows.inner")


@fl.workflow
def launched(x: int) -> int:
    return inner_plan(x=double(x=x))


@fl.workflow
def gated(x: int) -> None:
    fl.sleep(timedelta(seconds=1))


@fl.workflow
def gated_branch(x: int) -> int:
    return fl.conditional("c").if_(x == 1).then(fl.wait_for_input("n", timedelta(1), int)).else_().then(same(x=x))


query = SQLTask("query", "SELECT 1", task_type="query", inputs=kwtypes(x=int))
image = fl.ContainerTask("image", "alpine", ["echo"], inputs=kwtypes(x=int))


@fl.workflow
def queried(x: int) -> None:
    query(x=double(x=x))


@fl.workflow
def in_an_image(x: int) -> None:
    image(x=double(x=x))


@fl.task(timeout=timedelta(seconds=1), retries=1)
def hurried(seconds: int) -> int:
    return seconds


@fl.workflow
def hurries(seconds: int) -> int:
    return hurried(seconds=seconds)


@fl.task
def clean_up(x: int, err: FlyteError | None = None) -> None:
    sys.stdout.write(f"cleaned up after {x}: {err.message.splitlines()[-1].strip() if err else None}")


@fl.task
def clean_up_badly(x: int) -> None:
    raise KeyError(x)


@fl.workflow
def cleaning(x: int) -> None:
    clean_up(x=x)


@fl.workflow(on_failure=clean_up)
def cleaned(x: int) -> int:
    return broken(x=x)


@fl.workflow(failure_policy=fl.WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def patient(x: int) -> tuple[int, int]:
    return double(x=broken(x=x)), double(x=double(x=x))


@fl.workflow(on_failure=cleaning)
def cleaned_by_a_workflow(x: int) -> int:
    return broken(x=x)


@fl.workflow(on_failure=clean_up_badly)
def cleaned_badly(x: int) -> int:
    return broken(x=x)


@fl.workflow
def cleaned_inside(x: int) -> int:
    return cleaned(x=x)


@fl.workflow(on_failure=gated)
def cleaned_by_a_gate(x: int) -> int:
    return broken(x=x)


@fl.workflow
def cleaned_by_a_gate_inside(x: int) -> int:
    return cleaned_by_a_gate(x=x)


class Pair(NamedTuple):
    """Outputs with names of their own."""

    less: int
    more: int


@fl.workflow
def paired(x: int) -> Pair:
    return Pair(less=x, more=double(x=x))


@fl.workflow(on_failure=clean_up)
def not_cleaned(x: int) -> int:
    return double(x=x)
