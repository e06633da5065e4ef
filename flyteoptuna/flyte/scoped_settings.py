"""Settings that hold where they are set: in the run of a workflow's body that sets them, or for good outside of any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, ClassVar, TypeVar

from flytekit.core.context_manager import ExecutionState, FlyteContext, FlyteContextManager, flyte_context_Var

from flyteoptuna.core.refusal_words import listed, meant

T = TypeVar("T")

_BODIES = {
    "compile": True,
    "flyte_entity_call_handler": True,
    "dynamic_execute": True,
    "dispatch_execute": False,
    "as_task": False,
}
"""The functions that open a context before they run a body, and whether it is that of a workflow."""
_CONDITIONAL = "__init__"
"""What opens the context of a conditional, which stays open until its last branch."""


def _openers() -> Iterator[tuple[FlyteContext, str]]:
    """The open contexts, the latest one first, with the functions that have opened them."""
    for each in reversed(flyte_context_Var.get()):
        yield each, each.get_origin_stackframe_repr().partition("(")[2].partition(",")[0]


def scope() -> Any:
    """What stands for the present run of a workflow's body; None outside of any, as in the body of a task."""
    # The mode does not tell: in a task that a workflow calls, flytekit leaves it at that of the workflow.
    for each, opener in _openers():
        if opener in _BODIES:
            return each if _BODIES[opener] else None
    return None


def in_conditional() -> bool:
    """Whether the present run of a body is between ``conditional(...)`` and the end of its last branch."""
    for _, opener in _openers():
        if opener == _CONDITIONAL or opener in _BODIES:
            return opener == _CONDITIONAL
    return False


@contextmanager
def as_task() -> Iterator[None]:
    """In the body, what is called runs at once, as in a task; in a workflow's body a call makes a promise."""
    ctx = FlyteContextManager.current_context()
    state = ctx.execution_state or ctx.new_execution_state()
    # Without a mode, as outside of any workflow: flytekit's modes of a local run give what is called promises.
    state = ExecutionState(state.working_dir, engine_dir=state.engine_dir, user_space_params=state.user_space_params)
    with FlyteContextManager.with_context(ctx.with_execution_state(state)):
        yield


def apart(function: Callable[[], T]) -> T:
    """Call a function with a stack of Flyte's contexts of its own: threads share one where they copy a context."""

    def own() -> T:
        FlyteContextManager.current_context()
        flyte_context_Var.set([*flyte_context_Var.get()])
        return function()

    return copy_context().run(own)


class Scoped:
    """An object with settings.

    Flytekit runs a workflow's body more than once, and an object of a module serves several workflows. So what a body
    sets, a promise above all, holds in that run of that body, and elsewhere what the object was made with.
    """

    _SETTINGS: ClassVar[tuple[str, ...]] = ()
    _MADE_WITH: ClassVar[tuple[str, ...]] = ()
    """What cannot be set afterwards."""
    _held: dict[str, Any]
    _within: dict[str, tuple[Any, Any]]

    def _made_with(self, **settings: Any) -> None:
        object.__setattr__(self, "_held", settings)
        object.__setattr__(self, "_within", {})

    def __setattr__(self, name: str, value: Any) -> None:
        made = type(self).__name__
        if name in self._MADE_WITH:
            raise AttributeError(f"`{name}` cannot be set afterwards: make another {made}.")
        if name not in self._SETTINGS:
            raise AttributeError(
                f"{made} has no setting `{name}`; it has: {listed(self._SETTINGS)}.{meant(name, self._SETTINGS)}"
            )
        self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        here = scope()
        if here is None:
            self._within.pop(name, None)
            self._held[name] = value
        else:
            self._within[name] = (here, value)

    def __getattr__(self, name: str) -> Any:
        if name not in self._SETTINGS:
            raise AttributeError(f"{type(self).__name__} has no attribute `{name}`.{self._hint(name)}")
        return self._get(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._SETTINGS})

    def _hint(self, name: str) -> str:
        """What was meant by an attribute that there is none of."""
        return meant(name, (*self._SETTINGS, *self._MADE_WITH))

    def _get(self, name: str) -> Any:
        here, value = self._within.get(name, (None, None))
        return value if here is not None and here is scope() else self._held.get(name)
