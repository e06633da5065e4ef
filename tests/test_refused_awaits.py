"""An `await` that moving from the eager plugin has left over is refused before the search, and not after it."""

import asyncio

import flytekit as fl
import pytest

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
