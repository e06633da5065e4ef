"""Flytekit's context of a process, as its worker processes enter it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import cloudpickle
from flytekit.core.context_manager import ExecutionParameters, FlyteContextManager
from typing_extensions import Self

# Fields of a context, its state and its parameters that hold elsewhere; clients and stacks belong to their process, and
# checkpoints and decks to a call.
CONTEXT = ("file_access", "serialization_settings", "in_a_condition")
STATE = ("working_dir", "engine_dir", "branch_eval_mode")
PARAMS = (
    *("enable_deck", "execution_date", "execution_id", "logging", "output_metadata_prefix"),
    *("raw_output_prefix", "task_id", "working_dir"),
)


class CallerContext(NamedTuple):
    """Pickled fields of a context; those that cannot be pickled are left out."""

    context: dict[str, bytes]
    state: dict[str, bytes]
    params: dict[str, bytes]
    attrs: dict[str, bytes]  # of the parameters, added by plugins

    @classmethod
    def current(cls) -> Self:
        """Return the present context."""
        ctx = FlyteContextManager.current_context()
        state = ctx.execution_state or ctx.new_execution_state()
        params = vars(state.user_space_params.builder()) if state.user_space_params else {}
        return cls(
            _pickle_fields(vars(ctx), CONTEXT),
            _pickle_fields(vars(state), STATE),
            _pickle_fields(params, PARAMS),
            _pickle_fields(params.get("attrs", {}), params.get("attrs", ())),
        )

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Enter the context, in any mode of execution."""
        ctx = FlyteContextManager.current_context()
        context, state = ctx.new_builder(), (ctx.execution_state or ctx.new_execution_state()).with_params()
        params = ExecutionParameters.new_builder(state.user_space_params)
        for target, fields in ((context, self.context), (state, self.state), (params, self.params)):
            vars(target).update(_unpickle_fields(fields))
        params.attrs = _unpickle_fields(self.attrs)
        state.user_space_params = params.build()
        with FlyteContextManager.with_context(context.with_execution_state(state)):
            yield


def _pickle_fields(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, bytes]:
    pickled = {}
    for name in names:
        with suppress(Exception):
            pickled[name] = cloudpickle.dumps(fields[name])
    return pickled


def _unpickle_fields(pickled: Mapping[str, bytes]) -> dict[str, Any]:
    fields = {}
    for name, data in pickled.items():
        with suppress(Exception):
            fields[name] = cloudpickle.loads(data)
    return fields
