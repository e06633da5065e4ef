"""The words of a refusal: a value with its type, a name that may be meant, and objects that have no value yet."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120


def got(value: object) -> str:
    """A value and its type, however long or broken its ``repr`` is."""
    name = type(value).__name__
    try:
        return f"{_SHORT.repr(value)} ({name})"
    except Exception:
        # As of an int of more than 4300 digits.
        return f"a value without a repr ({name})"


def meant(name: object, known: Iterable[str]) -> str:
    """A sentence with the known name that is nearest to a wrong one; empty where none is near."""
    import difflib

    near = difflib.get_close_matches(str(name), [*known], n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names in a row, at most so many of them."""
    known = [*names]
    return (", ".join(known[:most]) + (", ..." if len(known) > most else "")) or "none"


class Words(str):
    """A message as it is, where a ``KeyError`` would show its ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Valueless:
    """An object without a value: arithmetic, comparing, converting and iterating are refused, and it says what it is.

    Python would else find some answer, as that any object is true, or an error that names neither cause nor cure.
    """

    def _stands_for(self) -> str:
        """A sentence without its end: what the object is, and where the value can be used."""
        raise NotImplementedError

    def __format__(self, spec: str) -> str:
        # To print it is no wrong use.
        if spec:
            raise TypeError(f"{self._stands_for()}, but got a format, `{spec}`.")
        return str(self)


ORDERING = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
"""What orders two values: Python's names, and how they are written."""
_CALLED = ["bool", "int", "float", "complex", "index", "abs", "round", "len", "iter"]
_WRITTEN = {
    "neg": "-",
    "pos": "+",
    "invert": "~",
    **ORDERING,
    "getitem": "[]",
    "setitem": "[]",
    "contains": "in",
}
_BETWEEN = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "matmul": "@",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "divmod": "divmod()",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "or": "|",
    "xor": "^",
}


def refusing(symbol: str) -> Callable[..., NoReturn]:
    """A method that refuses an operation, as it is written."""

    def refuse(self: Valueless, *others: Any, **more: Any) -> NoReturn:
        raise TypeError(f"{self._stands_for()}, but got `{symbol}`.")

    return refuse


for _name, _symbol in ({name: f"{name}()" for name in _CALLED} | _WRITTEN | _BETWEEN).items():
    setattr(Valueless, f"__{_name}__", refusing(_symbol))
for _name, _symbol in _BETWEEN.items():
    setattr(Valueless, f"__r{_name}__", refusing(_symbol))
