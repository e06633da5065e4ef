"""Paths that users give."""

from __future__ import annotations

import os

from flyteoptuna.values.did_you_mean import value_and_type


def path_text(name: str, value: object, description: str) -> str:
    """Text of a path, which is the argument ``name`` of a public function.

    ``description`` says what it must be, for messages.

    Raises:
        TypeError: the argument is not a path.
        ValueError: it is empty.
    """
    wrong = f"`{name}` must be {description}, but got {value_and_type(value)}."
    if not isinstance(value, (str, os.PathLike)) or not isinstance(text := os.fspath(value), str):
        raise TypeError(wrong)
    if not text.strip():
        raise ValueError(wrong)
    return text
