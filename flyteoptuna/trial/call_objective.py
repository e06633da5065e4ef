"""One call of the objective: its result or its exception becomes a report."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from flyteoptuna.trial import interrupts
from flyteoptuna.trial.current_trial import ActiveTrial, activate
from flyteoptuna.trial.report import TrialReport, fill_report
from flyteoptuna.values.did_you_mean import join_names, value_and_type
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.text import exception_line, safe_repr
from flyteoptuna.values.tracebacks import format_traceback

# Kinds of an objective's outputs: a value of the trial, a user attribute, or an output stored with the trial.
VALUE, NUMBER, STORED = "value", "number", "kept"


def _refuse_storing(name: str, value: Any) -> bytes:
    raise TypeError(f"There is no place to keep the output `{name}` in.")


class ObjectiveOutputs(NamedTuple):
    """Outputs of an objective."""

    kinds: Mapping[str, str]  # VALUE, NUMBER or STORED for each output, by name and in order
    serialise: Callable[[str, Any], bytes] = _refuse_storing  # of the name and the value of a STORED output


class InvalidResultError(Exception):
    """The objective returned something other than its declared outputs."""


def check_result(result: Any, kinds: Mapping[str, str]) -> tuple[list[float], dict[str, Any], dict[str, Any]]:
    """Check an objective's result and split it into values, numbers and stored outputs.

    Exceptions of the result's own methods pass.
    """
    items = list(itertools.islice(result, len(kinds) + 1)) if isinstance(result, (tuple, list)) else [result]
    if len(items) != len(kinds):
        only = {*kinds.values()} == {VALUE}
        expected = f"{len(kinds)} value(s)" if only else f"{len(kinds)} outputs ({join_names(kinds)})"
        count = f"more than {len(kinds)}" if len(items) > len(kinds) else str(len(items))
        raise InvalidResultError(f"The objective must return {expected}, but it returned {count}: {safe_repr(result)}")
    values, numbers, stored = list[float](), dict[str, Any](), dict[str, Any]()
    for item, (name, kind) in zip(items, kinds.items(), strict=True):
        if kind == VALUE:
            try:
                if isinstance(item, (str, bytes, bool)):
                    raise TypeError
                values.append(float(item))
            except (TypeError, ValueError, OverflowError):
                rule = "The objective must return floats, but it returned"
                raise InvalidResultError(f"{rule} {value_and_type(item)}.") from None
            if math.isnan(values[-1]):
                raise InvalidResultError("The objective returned nan, which is no value to compare trials by.")
        elif kind == NUMBER:
            numbers[name] = plain_scalar(item)
            if not isinstance(numbers[name], (int, float)):
                raise InvalidResultError(
                    f"The output `{name}` must be a number, but the objective returned {value_and_type(item)}."
                )
        else:
            stored[name] = item
    return values, numbers, stored


def outcome_of_exception(error: BaseException) -> tuple[str, str]:
    """Trial state, FAIL or PRUNED, and reason for an exception of the objective."""
    # TrialPruned cannot have been raised unless optuna has been imported.
    exceptions = sys.modules.get("optuna.exceptions")
    if exceptions is not None and issubclass(type(error), exceptions.TrialPruned):
        is_plain = type(error) is exceptions.TrialPruned
        line = exception_line(error)
        # The state says it already.
        return "PRUNED", line.removeprefix("TrialPruned").removeprefix(": ") if is_plain else line
    return "FAIL", f"{exception_line(error)}\n\n{format_traceback(error)}".rstrip()


@contextmanager
def record_trial(
    report: TrialReport,
    active: ActiveTrial,
    limit: int,
    passes: tuple[type[BaseException], ...] = (),
    outcome: Callable[[BaseException], tuple[str, str]] = outcome_of_exception,
) -> Iterator[Callable[[Any, ObjectiveOutputs], None]]:
    """Run the body as one call of the objective, and fill ``report``.

    The body passes the result to the yielded function.

    ``current_trial()`` returns ``active`` in the body. No exception leaves the body except Ctrl-C, which ends the
    search, and those in ``passes``. ``limit`` is as in ``fill_report``; ``outcome`` returns the trial's state and the
    reason for an exception.
    """

    def record_result(result: Any, outputs: ObjectiveOutputs) -> None:
        try:
            values, numbers, stored = check_result(result, outputs.kinds)
        except InvalidResultError as error:
            report.discard_result("FAIL", str(error))
            return
        for name, number in numbers.items():
            active.set_user_attr(name, number)
        report.outputs = {name: outputs.serialise(name, value) for name, value in stored.items()}
        report.state, report.values = "COMPLETE", values

    through: tuple[type[BaseException], ...] = (KeyboardInterrupt, *passes)
    interrupts.raise_pending_interrupt()
    report.start = time.time()
    try:
        with activate(active):
            yield record_result
    except through:
        raise
    except BaseException as error:
        report.discard_result(*outcome(error))
    finally:
        report.end = time.time()
    try:
        fill_report(report, active, limit)
    except Exception as error:
        report.discard_result(*outcome_of_exception(error))
