"""``pyflyte run ... --study SOURCE``: an input of the type ``optuna.Study``, by what ``load_study`` takes."""

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
    """The study that is stored at a path, at a URL or in an execution. It is loaded to go on with, which unpickles."""

    name = "study: a path, a URL or flyte://PROJECT/DOMAIN/EXECUTION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The study, where a source is given; a study, as a default is, stays one."""
        if not isinstance(value, str):
            return value
        from flyteoptuna.show.load import SCHEME, load_study

        try:
            # The cluster that the other options of the command name.
            remote = ctx.obj.remote_instance() if ctx is not None and value.startswith(SCHEME) else None
            return load_study(value, trusted=True, remote=remote)
        except Exception as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from error


def _takes_study(python_type: Any) -> bool:
    optuna = sys.modules.get("optuna")
    return optuna is not None and optuna.Study in (python_type, *typing.get_args(python_type))


def _option(made: Callable[..., click.Option], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    def option(
        ctx: Any, flyte_ctx: Any, input_name: str, literal_var: Any, python_type: Any, default_val: Any, required: bool
    ) -> click.Option:
        if not _takes_study(python_type):
            return made(ctx, flyte_ctx, input_name, literal_var, python_type, default_val, required)
        # Without a default here, flytekit takes the one of the workflow.
        study = made(ctx, flyte_ctx, input_name, literal_var, python_type, None, required)
        study.type = StudyParamType()
        if default_val is not None:
            study.help = f"{study.help or ''} [default: {_described(default_val)}]".strip()
        return study

    return option(*args, **kwargs)


def _described(study: optuna.Study | Any) -> str:
    trials = getattr(study, "trials", None)
    return "a study" if trials is None else f"a study of {len(trials)} trials"


def install(run: ModuleType) -> None:
    """Let ``pyflyte run`` read studies. Flytekit makes JSON of whatever is a struct, and has no hook for a type's own.

    Args:
        run: flytekit's module of the command, of which ``to_click_option`` makes the options of a workflow.
    """
    wrapt.wrap_function_wrapper(run, "to_click_option", _option)
