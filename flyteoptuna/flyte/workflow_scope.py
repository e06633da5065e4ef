"""Settings scoped to one run of a workflow's body.

Flytekit runs a body once to compile it and once for each local run. Its context does not tell these runs apart: a
conditional replaces the compilation state, a subworkflow inherits ``in_a_condition``, and the body of a task in a local
run has the execution mode of the workflow. On import, this module therefore wraps the public methods of flytekit that
run a body, and keeps the present run in a context variable.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, ClassVar, TypeVar

import wrapt
from flytekit.core import base_task, condition, workflow
from flytekit.core.context_manager import ExecutionState, FlyteContext, FlyteContextManager, flyte_context_Var
from flytekit.core.python_function_task import EagerAsyncPythonFunctionTask

from flyteoptuna.values.did_you_mean import did_you_mean, join_names
from flyteoptuna.values.tracebacks import public

T = TypeVar("T")


class _Scope:
    """One run of a workflow's body, with the contexts of the conditionals in it."""

    def __init__(self) -> None:
        self.conditionals: list[FlyteContext] = []


_scope: ContextVar[_Scope | None] = ContextVar("flyteoptuna_workflow_scope", default=None)
_eager: ContextVar[bool] = ContextVar("flyteoptuna_eager_task", default=False)


@contextmanager
def _enter(scope: _Scope | None, *, eager: bool = False) -> Iterator[None]:
    token, eager_token = _scope.set(scope), _eager.set(eager)
    try:
        yield
    finally:
        _scope.reset(token)
        _eager.reset(eager_token)


# A dynamic task runs its body by the same two methods, of a workflow that flytekit makes for it.
@wrapt.patch_function_wrapper(workflow, "PythonFunctionWorkflow.compile")
@wrapt.patch_function_wrapper(workflow, "PythonFunctionWorkflow.execute")
@public
def _run_workflow(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    __tracebackhide__ = _rich_traceback_omit = True
    _refuse_async_search(instance.function)
    with _enter(_Scope()):
        return wrapped(*args, **kwargs)


@wrapt.patch_function_wrapper(base_task, "PythonTask.dispatch_execute")
def _run_task(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    __tracebackhide__ = _rich_traceback_omit = True
    with _enter(None, eager=isinstance(instance, EagerAsyncPythonFunctionTask)):
        return wrapped(*args, **kwargs)


@wrapt.patch_function_wrapper(condition, "ConditionalSection.__init__")
def _open_conditional(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    scope = _scope.get()
    if scope is not None:
        scope.conditionals.append(FlyteContextManager.current_context())


def _refuse_async_search(body: Callable[..., Any]) -> None:
    """Raise a ``TypeError`` for the body of a workflow with a search that is a coroutine function.

    Flytekit calls the body and does not await it, so the search would never begin.
    """
    function = inspect.unwrap(body)
    if not inspect.iscoroutinefunction(function):
        return
    names = inspect.getclosurevars(function)
    if any(map(_is_of_searches, (*names.globals.values(), *names.nonlocals.values()))):
        raise TypeError(
            f"A workflow must be a plain function, whose body Flyte runs to find its tasks and searches, but got "
            f"`async def {function.__name__}`: write `@workflow` and `def`, and drop each `await`."
        )


def _is_of_searches(value: Any) -> bool:
    """Test whether a value is an optimizer, or is defined in this package."""
    home = getattr(value, "__name__" if inspect.ismodule(value) else "__module__", None)
    return isinstance(value, ScopedSettings) or str(home).partition(".")[0] == __package__.partition(".")[0]


def current_scope() -> object | None:
    """Identity of the present run of a workflow's body; None elsewhere, and in the body of a task."""
    return _scope.get()


def in_eager_task() -> bool:
    """Test whether this is the body of an eager task, and not that of a task or workflow that it calls."""
    return _eager.get()


def in_conditional() -> bool:
    """Test whether the present run of a body is between ``conditional(...)`` and the end of its last branch."""
    # Flytekit pushes a context when a conditional begins, and pops it after the last branch.
    scope = _scope.get()
    return scope is not None and any(
        opened is conditional for opened in flyte_context_Var.get() for conditional in scope.conditionals
    )


@contextmanager
def outside_workflows() -> Iterator[None]:
    """Leave the present run of a workflow's body, as the body of a task does."""
    with _enter(None):
        yield


@contextmanager
def task_context() -> Iterator[None]:
    """Enter a context like that of a task: calls of tasks run at once and return values, not promises."""
    ctx = FlyteContextManager.current_context()
    state = ctx.execution_state or ctx.new_execution_state()
    # Without a mode, as outside of any workflow: in flytekit's local modes a call returns a promise.
    state = ExecutionState(state.working_dir, engine_dir=state.engine_dir, user_space_params=state.user_space_params)
    with FlyteContextManager.with_context(ctx.with_execution_state(state)), outside_workflows():
        yield


def in_own_context(function: Callable[[], T]) -> T:
    """Call a function with a private copy of flytekit's context stack, which ``copy_context`` alone would share."""

    def call() -> T:
        FlyteContextManager.current_context()
        flyte_context_Var.set([*flyte_context_Var.get()])
        return function()

    return copy_context().run(call)


@public
class ScopedSettings:
    """An object whose settings, when set in a workflow's body, hold in that run of the body alone.

    A module's object serves several workflows, and a value set in a body may be a promise of that run. Elsewhere the
    object has the settings that it was made with, or that were set outside of any body.
    """

    _SETTINGS: ClassVar[tuple[str, ...]] = ()
    _MADE_WITH: ClassVar[tuple[str, ...]] = ()
    """Names of the arguments that cannot be set afterwards."""
    _held: dict[str, Any]
    _within: dict[str, tuple[Any, Any]]

    def _made_with(self, **settings: Any) -> None:
        object.__setattr__(self, "_held", settings)
        object.__setattr__(self, "_within", {})

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        if name in self._MADE_WITH:
            raise AttributeError(f"`{name}` cannot be set afterwards: make another {kind}.")
        if name not in self._SETTINGS:
            hint = did_you_mean(name, self._SETTINGS)
            raise AttributeError(f"{kind} has no setting `{name}`; it has: {join_names(self._SETTINGS)}.{hint}")
        self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        scope = current_scope()
        if scope is None:
            self._within.pop(name, None)
            self._held[name] = value
        else:
            self._within[name] = (scope, value)

    def __getattr__(self, name: str) -> Any:
        if name not in self._SETTINGS:
            raise AttributeError(f"{type(self).__name__} has no attribute `{name}`.{self._hint(name)}")
        return self._get(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._SETTINGS})

    def _hint(self, name: str) -> str:
        """Suggest the attribute that an unknown name may stand for."""
        return did_you_mean(name, (*self._SETTINGS, *self._MADE_WITH))

    def _get(self, name: str) -> Any:
        scope, value = self._within.get(name, (None, None))
        return value if scope is not None and scope is current_scope() else self._held.get(name)
