"""An objective whose reports are not as they must be. A trial's pod loads this module, and no optuna for it."""

import sys
from typing import Any

import flytekit as fl

from flyteoptuna import current_trial
from flyteoptuna.trial.report import TrialReport

REPORTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "values of None": ("FAIL", "`values` must be a list, but got None", {"values": None}),
    "values of complex numbers": ("FAIL", r"`values\[0\]` must be a number", {"values": [1j]}),
    "values too large": ("FAIL", "in the range of floats", {"values": [10**400]}),
    "no values": ("FAIL", "at least one number where the trial is COMPLETE", {"values": []}),
    "two values": ("FAIL", r"has 1 direction\(s\)", {"values": [1.0, 2.0]}),
    "a state": ("FAIL", "`state` must be one of", {"state": "DONE"}),
    "start at NaN": ("FAIL", "`start` must be seconds", {"start": float("nan")}),
    "end late": ("FAIL", "`end` must be seconds", {"end": 1e300}),
    "steps alone": ("FAIL", "as many different steps", {"steps": [0, 1]}),
    "a step of 64 bits": ("FAIL", "must be a step", {"steps": [2**63], "intermediate": [1.0]}),
    "half a JSON": ("FAIL", "`user_attrs` must be JSON", {"user_attrs": '{"a": '}),
    "the library's attributes": ("FAIL", "begin with `flyteoptuna:`", {"user_attrs": '{"flyteoptuna:error": "x"}'}),
    "the library's marks": ("FAIL", "begin with `flyteoptuna:`", {"system_attrs": '{"flyteoptuna:trial": {}}'}),
    "constraints of text": ("FAIL", "must be a number", {"system_attrs": '{"constraints:c": "x"}'}),
    "a pruner": ("FAIL", "`pruner` must be text", {"pruner": 3}),
    "no pruner": ("COMPLETE", "", {"pruner": "no pickle"}),
    "an error of bytes": ("FAIL", "`error` must be text", {"error": b"no"}),
    "one field more": ("FAIL", "without unknown fields, but got 'more'", {"more": 3}),
    "another's key": ("FAIL", "sent no report", {"key": "another"}),
    "another's number": ("FAIL", "sent no report", {"trial": 10**6}),
    "the first one's number": ("FAIL", "sent no report", {"trial": 0}),
}
"""How a trial ends, what is found in its reason, and the fields of the report that it sends."""


def twist(fields: dict[str, Any]) -> None:
    """Let the report of the running trial have these fields, whatever is written into it."""
    frame: Any = sys._getframe()
    while not isinstance(report := getattr(frame.f_locals.get("call"), "report", None), TrialReport):
        frame = frame.f_back

    def setter(self: Any, name: str, value: Any) -> None:
        self.__dict__[name] = fields.get(name, value)

    report.__dict__.update(fields)
    report.__class__ = type("Twisted", (TrialReport,), {"__setattr__": setter})


@fl.task
def bear(kind: str, x: float, n: int, choice: str) -> float:
    if kind in REPORTS:
        twist(REPORTS[kind][2])
    elif kind.startswith("prune"):
        current_trial().report(x, 0)
        if current_trial().should_prune():
            from optuna import TrialPruned

            raise TrialPruned
    return x + n
