"""The settings of an optimizer, in the body of a workflow and outside."""

import asyncio
import contextvars
import inspect
import threading

import flytekit as fl
import optuna
import pytest
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.models.literals import LiteralMap

from flyteoptuna import optimize
from flyteoptuna.flyte.workflow_scope import current_scope, in_conditional, in_own_context, task_context

SEEN = []


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


def see(name):
    """Note where a body runs: the names of the notes come in the order of the runs."""
    SEEN.append((name, current_scope(), in_conditional()))


def names():
    return [name for name, _, _ in SEEN]


def scopes(*wanted):
    return [scope for name, scope, _ in SEEN if name in wanted]


@fl.task
async def awaited(x: float) -> float:
    return x


@optimize(concurrency=2, n_trials=1)
def tuned(trial: optuna.Trial):
    return awaited(trial.suggest_int("x", 0, 9))


@fl.workflow
def settled(n_trials: int = 5) -> tuple[int, int]:
    tuned.n_trials = n_trials
    first = tuned()
    tuned.study, tuned.n_trials = first, 2
    return first.n_trials, tuned().n_trials


@fl.workflow
def unsettled() -> int:
    return tuned().n_trials


def test_what_a_workflows_body_sets_holds_in_that_body():
    """Another workflow of the same optimizer has what it was made with; and an int suits a float."""
    assert tuple(settled()) == (5, 7)
    assert unsettled() == 1
    tuned.n_trials = 3
    assert unsettled() == 3
    assert len(tuned().trials) == 3
    tuned.study, tuned.n_trials = None, 1
    with pytest.raises(AttributeError, match="Optimizer has no setting `n_trial`; it has: concurrency, n_trials"):
        tuned.n_trial = 4


@fl.task
def task(x: int = 0) -> int:
    see("task")
    return x


@fl.task
async def async_task(x: int = 0) -> int:
    see("task")
    await asyncio.sleep(0)
    see("task")
    return x


@fl.task
def task_that_searches(x: int = 0) -> int:
    see("task")
    return len(tuned().trials)


@fl.task
def task_that_runs_a_workflow(x: int = 0) -> int:
    see("task")
    see_workflow("inner")(x=x)
    see("task")
    return x


@fl.eager
async def eager_task(x: int = 0) -> int:
    see("task")
    result = await async_task(x=x)
    see("task")
    return result


@fl.dynamic
def dynamic_task(x: int = 0) -> int:
    see("dynamic")
    result = task(x=x)
    see("dynamic")
    return result


async def finish(coroutine):
    return await coroutine


def see_workflow(name, call=task):
    """A workflow that notes its scope around a call."""

    def body(x: int = 0) -> int:
        see(name)
        result = call(x=x)
        if inspect.iscoroutine(result):
            result = asyncio.run(finish(result))
        see(name)
        return result

    body.__name__ = name
    return fl.workflow(body)


@pytest.mark.parametrize(
    "call",
    [task, async_task, task_that_searches, task_that_runs_a_workflow, eager_task, dynamic_task, see_workflow("inner")],
    ids=lambda entity: entity.name.rpartition(".")[2],
)
def test_a_body_has_one_scope_a_run_and_a_task_none(call):
    """Compiled once, run twice, with anything called in between; a body in the body is a run of its own."""
    outer = see_workflow("outer", call)
    assert outer() == outer() == (1 if call is task_that_searches else 0)
    runs = scopes("outer")
    assert len(runs) == 6
    assert runs[::2] == runs[1::2]
    assert len(set(runs)) == 3
    assert None not in runs
    assert set(scopes("task")) <= {None}
    inner = scopes("inner", "dynamic")
    assert None not in inner
    assert not set(inner) & set(runs)
    assert inner[::2] == inner[1::2]
    assert not any(conditional for _, _, conditional in SEEN)
    assert current_scope() is None


def test_a_workflow_that_is_compiled_again_has_another_scope():
    """As its promises are others."""
    workflow = see_workflow("outer")
    workflow.compile()
    workflow.compile()
    workflow.compiled = False
    workflow.compile()
    assert len(scopes("outer")) == 4
    assert len({*scopes("outer")}) == 2


@pytest.mark.parametrize(
    "mode", [ExecutionState.Mode.TASK_EXECUTION, ExecutionState.Mode.LOCAL_TASK_EXECUTION], ids=lambda mode: mode.name
)
def test_a_dynamic_tasks_body_has_a_scope_compiled_in_a_pod_and_locally(mode):
    """As any workflow that flytekit makes while it runs."""
    ctx = FlyteContextManager.current_context()
    state = ctx.new_execution_state().with_params(mode=mode)
    settings = SerializationSettings(ImageConfig.auto_default_image(), "p", "d", "v")
    builder = ctx.with_execution_state(state).with_serialization_settings(settings)
    with FlyteContextManager.with_context(builder) as ctx:
        dynamic_task.dispatch_execute(ctx, LiteralMap({}))
    first, second = scopes("dynamic")
    assert first is second is not None


def test_the_tasks_of_a_map_have_no_scope():
    """In a local run they run in the map's process."""

    @fl.workflow
    def outer() -> list[int]:
        see("outer")
        mapped = fl.map_task(task)(x=[1, 2])
        see("outer")
        return mapped

    assert outer() == [1, 2]
    assert names() == ["outer", "outer", "outer", "task", "task", "outer"]
    assert scopes("task") == [None, None]


def test_a_launch_plan_runs_the_body_of_its_workflow():
    """Compiled in another workflow it is a node, and its body is not run."""
    plan = fl.LaunchPlan.get_or_create(see_workflow("inner"), "flyteoptuna-scope")
    outer = see_workflow("outer", plan)
    outer()
    assert len({*scopes("outer")}) == 2
    assert not {*scopes("outer")} & {*scopes("inner")}


def test_a_body_that_fails_leaves_no_scope():
    """Neither compiled nor run, nor a task's."""

    @fl.workflow
    def broken(x: int = 0) -> int:
        if current_scope() is not None:
            raise ValueError("no")
        return task(x=x)

    with pytest.raises(ValueError, match="no"):
        broken()
    assert current_scope() is None


def test_a_thread_shares_a_scope_only_by_a_copied_context():
    """As flytekit's own context."""
    found = {}

    @fl.workflow
    def outer(x: int = 0) -> int:
        def look(name):
            found[name] = current_scope()

        copied = contextvars.copy_context()
        for thread in (
            threading.Thread(target=look, args=("fresh",)),
            threading.Thread(target=copied.run, args=(look, "copied")),
        ):
            thread.start()
            thread.join()
        found["body"] = current_scope()
        found["own context"] = in_own_context(current_scope)
        found["awaited"] = asyncio.run(scope_of_coroutine())
        return task(x=x)

    outer.compile()
    assert found["fresh"] is None
    assert found["body"] is found["copied"] is found["own context"] is found["awaited"] is not None


async def scope_of_coroutine():
    await asyncio.sleep(0)
    return current_scope()


def test_a_task_context_has_no_scope():
    """Calls of tasks in it run at once."""

    @fl.workflow
    def outer(x: int = 0) -> int:
        result = task(x=1)
        with task_context():
            see("in context")
            if FlyteContextManager.current_context().compilation_state is None:
                assert task(x=1) == 1
        see("outer")
        return result

    assert outer() == 1
    assert {*scopes("in context")} == {None}
    assert None not in scopes("outer")


def branch(text, call=task, **inputs):
    """Note what stands in a branch, and call it."""
    see(text)
    return call(**inputs)


@pytest.mark.parametrize("x", [0, 1])
def test_a_conditional_lasts_from_its_name_to_its_last_branch(x):
    """A nested one ends before; a body in a branch is in none, but its own conditional is; one follows another."""

    @fl.workflow
    def inner(x: int) -> int:
        see("inner")
        result = fl.conditional("e").if_(x == 1).then(branch("in inner", x=2)).else_().then(branch("in inner", x=3))
        see("inner")
        return result

    @fl.workflow
    def outer(x: int) -> int:
        see("outer")
        c = fl.conditional("c").if_(x == 1)
        see("in outer")
        nested = fl.conditional("d").if_(x == 1).then(branch("in outer", x=4)).else_().then(branch("in outer", x=5))
        see("in outer")
        c = c.then(nested).elif_(x == 0).then(branch("in outer", inner, x=x))
        see("in outer")
        result = c.else_().fail("no")
        see("outer")
        fl.conditional("f").if_(x == 1).then(branch("in outer", x=6)).else_().then(branch("in outer", x=7))
        see("outer")
        return result

    assert outer(x=x) == (4 if x else 3)
    assert {conditional for name, _, conditional in SEEN if name.startswith("in ")} == {True}
    assert {conditional for name, _, conditional in SEEN if not name.startswith("in ")} == {False}
    assert len({*scopes("outer", "in outer")}) == 2


def test_a_conditional_that_fails_ends_with_its_body():
    """Flytekit drops its context with that of the body."""

    @fl.workflow
    def broken(x: int) -> int:
        see("broken")
        fl.conditional("c").if_(x == 1)
        see("in broken")
        if x is not None:
            raise ValueError("no")
        return task(x=x)

    with pytest.raises(ValueError, match="no"):
        broken.compile()
    assert [conditional for _, _, conditional in SEEN] == [False, True]
    assert not in_conditional()
    see_workflow("outer")()
    assert not any(conditional for _, _, conditional in SEEN[2:])
