"""Checks of the fields of a study's JSON, each of which names the place that is wrong."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from flyteoptuna.storage import file_limits
from flyteoptuna.storage.write_trials import NUMBER

_OWN = "flyteoptuna:"

_SEARCH, _TRIAL, _OUTPUTS = (f"{_OWN}{name}" for name in ("search", "trial", "outputs"))

_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("count", "n_trials", "generations", "concurrency", "search", "generation", "knew", "attempt"), (int,)
    ),
    **dict.fromkeys(("key", "state", "error", "worker"), (str,)),
    **dict.fromkeys(("cached", "beyond"), (bool,)),
    **dict.fromkeys(("start", "timeout"), (int, float)),
}
"""Types of what this package notes on a study and on its trials, by name."""

_NEEDED = {_SEARCH: {"count", "start"}, _TRIAL: {"search"}}
"""What a note has to hold, by its attribute."""


class Misfit(Exception):
    """A field that is not as it must be; its place is told from where it was checked."""

    def __init__(self, where: str, expected: str, found: Any) -> None:
        super().__init__(where, expected, found)
        self.where, self.expected, self.found = where, expected, found


def refuse(where: str, expected: str, found: Any) -> NoReturn:
    """Raise :class:`Misfit`."""
    raise Misfit(where, expected, found)


def below(where: str, value: Any, end: int) -> int:
    """The value, if it is an integer from 0 to ``end``, exclusive."""
    if type(value) is not int or not 0 <= value < end:
        refuse(where, f"an integer from 0 to {end - 1}", value)
    return value


def numbers(where: str, found: Any, *, nan: bool = True) -> list[float]:
    """The value, if it is a list of numbers; without NaN unless that is allowed."""
    if type(found) is not list or not set(map(type, found)) <= NUMBER:
        refuse(where, "a list of numbers", found)
    try:
        has_nan = any(map(math.isnan, found))
    except OverflowError:
        refuse(where, "a list of numbers within the range of floats", found)
    if has_nan and not nan:
        refuse(where, "a list without NaN", found)
    return found


def attributes(where: str, found: Any, *, system: bool = False) -> dict[str, Any]:
    """The value, if it is an object that optuna, and all that reads attributes, can go through.

    Args:
        where: its place.
        found: the value.
        system: whether they are those that optuna and this package keep for themselves, which are of known types.
    """
    if type(found) is not dict:
        refuse(where, "an object", found)
    if not found:
        return found
    if file_limits.too_deep(found):
        refuse(where, f"at most {file_limits.MAX_DEPTH} lists and objects inside each other", "deeper ones")
    if system:
        for key, value in found.items():
            if key.startswith(_OWN):
                _note(where, key, value)
            elif key == "constraints" and value is not None:
                _constraints(f"{where}.{key}", value if type(value) is list else [None])
            elif key.startswith("constraints:"):
                _constraints(f"{where}[{key!r}]", [value])
    return found


def _note(where: str, key: str, found: Any) -> None:
    # Places are told where they are wrong, for there are many trials.
    needed: set[str] = _NEEDED.get(key, set())
    if type(found) is not dict or not needed <= found.keys():
        refuse(f"{where}[{key!r}]", f"an object{' of ' * bool(needed)}{', '.join(sorted(needed))}", found)
    # The names of outputs are those of the user's objective.
    types = dict.fromkeys(found, (str,)) if key == _OUTPUTS else _TYPES if needed else {}
    for name, value in found.items():
        wanted = types.get(name)
        if wanted is not None and type(value) not in wanted:
            kinds = " or ".join(sorted(kind.__name__ for kind in wanted))
            refuse(f"{where}[{key!r}].{name}", f"of type {kinds}", value)


def _constraints(where: str, found: list[Any]) -> None:
    if not set(map(type, found)) <= {*NUMBER, bool}:
        refuse(where, "numbers", found)
