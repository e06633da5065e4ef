"""Settings that hold where they are set: in the run of a workflow's body that sets them, or for good outside of any."""

from __future__ import annotations

from typing import Any, ClassVar

from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.core.refusals import listed, meant

# By name, for flytekit 1.15 has no mode of its own for the body of a dynamic.
_BODIES = ("LOCAL_WORKFLOW_EXECUTION", "LOCAL_DYNAMIC_TASK_EXECUTION")


def scope() -> Any:
    """What stands for the present run of a workflow's body; None outside of any."""
    ctx = FlyteContextManager.current_context()
    if ctx.compilation_state is not None:
        return ctx
    return ctx if ctx.execution_state is not None and getattr(ctx.execution_state.mode, "name", "") in _BODIES else None


class Scoped:
    """An object with settings.

    Flytekit runs a workflow's body more than once, and an object of a module serves several workflows. So what a body
    sets, a promise above all, holds in that run of that body, and elsewhere what the object was made with.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ()
    MADE_WITH: ClassVar[tuple[str, ...]] = ()
    """What cannot be set afterwards."""
    _held: dict[str, Any]
    _within: dict[str, tuple[Any, Any]]

    def _made_with(self, **settings: Any) -> None:
        object.__setattr__(self, "_held", settings)
        object.__setattr__(self, "_within", {})

    def __setattr__(self, name: str, value: Any) -> None:
        made = type(self).__name__
        if name in self.MADE_WITH:
            raise AttributeError(f"`{name}` cannot be set afterwards: make another {made}.")
        if name not in self.SETTINGS:
            raise AttributeError(
                f"{made} has no setting `{name}`; it has: {listed(self.SETTINGS)}.{meant(name, self.SETTINGS)}"
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
        if name not in self.SETTINGS:
            raise AttributeError(f"{type(self).__name__} has no attribute `{name}`.{self._hint(name)}")
        return self._get(name)

    def _hint(self, name: str) -> str:
        """What was meant by an attribute that there is none of."""
        return meant(name, (*self.SETTINGS, *self.MADE_WITH))

    def _get(self, name: str) -> Any:
        here, value = self._within.get(name, (None, None))
        return value if here is not None and here is scope() else self._held.get(name)
