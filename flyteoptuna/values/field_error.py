"""An invalid field of a file or a report: the error names the field, the rule and the value."""

from __future__ import annotations

from typing import Any

from flyteoptuna.values.did_you_mean import value_and_type


class FieldError(Exception):
    """The field at ``where``, such as ``values[0]``, must be ``expected``, such as "a number", but is ``found``."""

    def __init__(self, where: str, expected: str, found: Any) -> None:
        super().__init__(where, expected, found)
        self.where, self.expected, self.found = where, expected, found

    def __str__(self) -> str:
        return f"`{self.where}` must be {self.expected}, but got {value_and_type(self.found)}."


def check_field(valid: bool, where: str, expected: str, found: Any) -> None:
    """Raise a ``FieldError`` unless the field is valid."""
    if not valid:
        raise FieldError(where, expected, found)
