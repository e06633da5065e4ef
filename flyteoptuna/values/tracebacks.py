"""Tracebacks without the frames of libraries: of this package's own errors, and of the failures of trials."""

from __future__ import annotations

import dis
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from flyteoptuna.errors import FlyteOptunaError
from flyteoptuna.values.text import exception_line, printable_text

# Environment variable that keeps all frames, if it is 1.
FULL_TRACEBACKS = "FLYTEOPTUNA_FULL_TRACEBACKS"
# Maximum number of frames of a traceback; the last ones are shown.
MAX_FRAMES = 50
# Maximum number of exceptions in a chain of causes; the last ones are shown.
MAX_CAUSES = 50

_PACKAGE = __name__.partition(".")[0]
# Packages that call a user's code, or that this package calls.
_LIBRARIES = {
    *sys.stdlib_module_names,
    *(_PACKAGE, "flytekit", "optuna", "click", "rich_click", "wrapt", "loky", "cloudpickle", "fsspec", "sqlalchemy"),
}
# Attribute of an exception that was shortened.
_SHORTENED = "_flyteoptuna_shortened"

_Entry = TypeVar("_Entry", bound=Callable[..., Any])
_Error = TypeVar("_Error", bound=BaseException)


def public(entry: _Entry) -> _Entry:
    """Decorator of a function or a class that users call: its refusals show the user's frames, and none of a library.

    A refusal is an error that this package raises itself. It stays the same object. Any other exception, such as one of
    the user's code, is unchanged.
    """
    if not inspect.isclass(entry):
        return _shortening(entry)
    for name, member in list(vars(entry).items()):
        if inspect.isfunction(member) and (not name.startswith("_") or name.endswith("__")):
            setattr(entry, name, _shortening(member))
        elif isinstance(member, property) and member.fget is not None:
            setattr(entry, name, property(_shortening(member.fget), member.fset, member.fdel, member.__doc__))
    return entry


def _shortening(function: _Entry) -> _Entry:
    @functools.wraps(function)
    def call_for_user(*args: Any, **kwargs: Any) -> Any:
        # Hide this frame from pytest and IPython, and from rich, by which flytekit prints tracebacks.
        __tracebackhide__ = _rich_traceback_omit = True
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not _is_refusal(error):
                raise
            refusal = _shorten(error)
        try:
            # Python shows this line.
            raise refusal  # set FLYTEOPTUNA_FULL_TRACEBACKS=1 to see all frames
        finally:
            # The traceback holds this frame.
            del refusal

    return cast("_Entry", call_for_user)


def _is_refusal(error: BaseException) -> bool:
    """Test whether this package has raised an error and not by a bug, and whether it is to be short."""
    if os.environ.get(FULL_TRACEBACKS) == "1":
        return False
    if issubclass(type(error), FlyteOptunaError) or _SHORTENED in _attribute(error, "__dict__"):
        return True
    trace = _trace(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and _package_of(trace) == _PACKAGE and _is_raise(trace)


def _is_raise(trace: TracebackType) -> bool:
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _shorten(error: _Error) -> _Error:
    """Drop the frames of libraries from a refusal, and the causes that have no others: its message names them."""
    cause = next((each for each in _causes(error) if _user_frames(_trace(each))), None)
    if cause is None or (cause is not error.__cause__ and cause is not error.__context__):
        # Without a cause, the context is hidden.
        error.__cause__ = cause
    setattr(error, _SHORTENED, True)
    return error.with_traceback(_user_frames(_trace(error)))


def _attribute(error: BaseException, name: str) -> Any:
    # Read from the base class, because a subclass may override its attributes with ones that raise.
    return BaseException.__dict__[name].__get__(error)


def _trace(error: BaseException) -> TracebackType | None:
    return cast("TracebackType | None", _attribute(error, "__traceback__"))


def _package_of(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _user_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of libraries; None if it has no others."""
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    kept = None
    for entry in reversed(entries):
        if _package_of(entry) not in _LIBRARIES:
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def format_traceback(error: BaseException) -> str:
    """Traceback of an exception and its latest causes, without the frames at the start that call the user's code.

    That of a refusal has the user's frames only, and is empty without any.
    """
    trace = _trace(_shorten(error) if _is_refusal(error) else error)
    chain, shown = _causes(error), trace
    if trace is None and not chain:
        return ""
    while shown is not None and _package_of(shown) in _LIBRARIES:
        shown = shown.tb_next
    trace = shown or trace
    try:
        if len(chain) > MAX_CAUSES:
            raise RecursionError
        full = traceback.TracebackException(type(error), error, trace, limit=-MAX_FRAMES, compact=True)
        return printable_text("".join(full.format()).rstrip())
    except KeyboardInterrupt:
        raise
    except BaseException:
        # The chain is long, or an attribute of an exception raises: show one line for each cause.
        lines = ["Traceback (most recent call last):\n", *traceback.format_tb(trace, limit=-MAX_FRAMES)]
        lines += [exception_line(error), *(f"\nfrom {exception_line(cause)}" for cause in chain)]
        return printable_text("".join(lines))


def _causes(error: BaseException) -> list[BaseException]:
    """Chain of causes as Python shows it, the latest first and at most one more than ``MAX_CAUSES``."""
    chain = [error]
    while len(chain) < MAX_CAUSES + 2:
        cause, context, hidden = (
            _attribute(chain[-1], name) for name in ("__cause__", "__context__", "__suppress_context__")
        )
        following = cause if cause is not None or hidden else context
        if following is None or any(following is link for link in chain):
            break
        chain.append(following)
    return chain[1:]
