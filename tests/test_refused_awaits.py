"""An `await` that moving from the eager plugin has left over is refused before the search, and not after it."""

import asyncio

import flytekit as fl
import pytest

import flyteoptuna
from flyteoptuna import Optimizer, suggest

ran = []


@fl.task
def noting(x: float) -> float:
    ran.append(x)
    return x


optimizer = Optimizer(noting, 1, 3)


async def bare():
    await optimizer(x=suggest.float(0, 1))


async def assigned():
    study = await optimizer(x=suggest.float(0, 1))
    return study.best_value


async def with_dictionary():
    inputs = {"x": suggest.float(0, 1)}
    return await optimizer(**inputs)


async def in_comprehension():
    return [await optimizer(x=suggest.float(0, 1)) for _ in range(2)]


async def in_expression():
    return len((await optimizer(x=suggest.float(0, 1))).trials)


async def generating():
    yield await optimizer(x=suggest.float(0, 1))


async def of_a_generator():
    return [study async for study in generating()]


@fl.eager
async def eager() -> float:
    await optimizer(x=suggest.float(0, 1))
    return 0.0


@pytest.mark.parametrize(
    "awaiting", [bare, assigned, with_dictionary, in_comprehension, in_expression, of_a_generator, eager]
)
def test_a_search_that_is_awaited_does_not_begin(awaiting):
    """The message says what to write."""
    ran.clear()
    with pytest.raises(TypeError, match=r"cannot be awaited, .* `await optimizer\(...\)`. Drop .* `@workflow`"):
        asyncio.run(awaiting())
    assert ran == []


@fl.workflow
async def workflow() -> float:
    study = await Optimizer(noting, 1, 3)(x=suggest.float(0, 1))
    return study.best_value


@fl.workflow
async def without_await() -> float:
    return optimizer(x=suggest.float(0, 1)).best_value


@fl.workflow
async def by_module() -> float:
    return (await flyteoptuna.Optimizer(noting, 1, 3)(x=flyteoptuna.suggest.float(0, 1))).best_value


def nested():
    inner = Optimizer(noting, 1, 3)

    @fl.workflow
    async def of_a_closure() -> float:
        await inner(x=suggest.float(0, 1))
        return inner.study.best_value

    return of_a_closure


@fl.eager
async def eager_without_await() -> float:
    return optimizer(x=suggest.float(0, 1)).best_value


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", [lambda: workflow, lambda: without_await, lambda: by_module, nested])
def test_a_workflow_with_a_search_is_no_coroutine(make):
    """Flytekit would call its body and never await it; one error, and no warning of that kind."""
    ran.clear()
    for begin in (make(), make().compile):
        with pytest.raises(
            TypeError, match=r"must be a plain function, .* got `async def .*`: write `@workflow` and `def`"
        ):
            begin()
    assert ran == []


def test_an_async_workflow_without_a_search_is_flytekits():
    """Whose error it stays."""

    @fl.workflow
    async def other() -> float:
        return 0.0

    with pytest.raises(Exception, match="coroutine"):
        other()


def test_an_eager_task_does_not_search_in_its_own_pod():
    """It may call a workflow or a task that does."""

    @fl.workflow
    def searching() -> float:
        return optimizer(x=suggest.float(0, 1)).best_value

    @fl.task
    def in_one_pod() -> float:
        return optimizer(x=suggest.float(0, 1)).best_value

    @fl.eager
    async def calling() -> float:
        return max(await asyncio.to_thread(searching), await asyncio.to_thread(in_one_pod))

    ran.clear()
    with pytest.raises(TypeError, match="got a call in an eager task: write `@workflow` and `def`"):
        asyncio.run(eager_without_await())
    assert ran == []
    assert 0 <= asyncio.run(calling()) <= 1


async def not_awaited():
    study = optimizer(x=suggest.float(0, 1))
    await asyncio.sleep(0)
    return study


async def in_a_thread():
    return await asyncio.to_thread(lambda: optimizer(x=suggest.float(0, 1)))


async def in_a_function():
    await asyncio.gather(asyncio.to_thread(optimizer, x=suggest.float(0, 1)), asyncio.sleep(0))
    return optimizer.study


@pytest.mark.parametrize("calling", [not_awaited, in_a_thread, in_a_function])
def test_a_coroutine_may_run_a_search(calling):
    """By a call of its own, or in a thread that it waits for."""
    assert len(asyncio.run(calling()).trials) == 3
