"""``pyflyte run ... --study SOURCE``: the source of a study as the value of an ``optuna.Study`` input."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import wrapt

if TYPE_CHECKING:
    import optuna


class StudyParamType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A study at a path, at a URL or in an execution. It is loaded to be continued, which unpickles it."""

    name = "study: a path, a URL or flyte://PROJECT/DOMAIN/EXECUTION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Load a source; a study, such as a default, stays unchanged."""
        if not isinstance(value, str):
            return value
        from flyteoptuna.load.load_study import SCHEME, load_study

        try:
            # The cluster of the command's other options.
            remote = ctx.obj.remote_instance() if ctx is not None and value.startswith(SCHEME) else None
            return load_study(value, trusted=True, remote=remote)
        except Exception as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from error


def _is_study_type(python_type: Any) -> bool:
    optuna = sys.modules.get("optuna")
    return optuna is not None and optuna.Study in (python_type, *typing.get_args(python_type))


def _wrap_option(
    make_option: Callable[..., click.Option], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    def option(
        ctx: Any, flyte_ctx: Any, input_name: str, literal_var: Any, python_type: Any, default_val: Any, required: bool
    ) -> click.Option:
        if not _is_study_type(python_type):
            return make_option(ctx, flyte_ctx, input_name, literal_var, python_type, default_val, required)
        # Without a default here, flytekit uses that of the workflow.
        study = make_option(ctx, flyte_ctx, input_name, literal_var, python_type, None, required)
        study.type = StudyParamType()
        if default_val is not None:
            study.help = f"{study.help or ''} [default: {_describe_default(default_val)}]".strip()
        return study

    return option(*args, **kwargs)


def _describe_default(study: optuna.Study | Any) -> str:
    trials = getattr(study, "trials", None)
    return "a study" if trials is None else f"a study of {len(trials)} trials"


def install(run: ModuleType) -> None:
    """Let ``pyflyte run`` load studies.

    Flytekit reads every struct as JSON, and has no hook for the option of a type.

    Args:
        run: flytekit's module of the command, with ``to_click_option``.
    """
    wrapt.wrap_function_wrapper(run, "to_click_option", _wrap_option)
