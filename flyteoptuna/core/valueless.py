"""What stands for a value that is not known yet, and refuses to be computed with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


class Valueless:
    """An object without a value: arithmetic, comparing, converting and iterating are refused, and it says what it is.

    Python would else find some answer, as that any object is true, or an error that names neither cause nor cure.
    """

    def _stands_for(self) -> str:
        """A sentence without its end: what the object is, and where the value can be used."""
        raise NotImplementedError


_OPERATIONS = {
    **{f"__{name}__": f"{name}()" for name in ("bool", "int", "float", "complex", "len", "abs", "round", "reversed")},
    **{f"__{name}__": f"{name}()" for name in ("iter", "trunc", "floor", "ceil", "index")},
    **{"__neg__": "-", "__pos__": "+", "__invert__": "~"},
    **{"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="},
    **{"__getitem__": "[]", "__setitem__": "[]", "__contains__": "in"},
}
_BINARY = {
    **{"add": "+", "sub": "-", "mul": "*", "matmul": "@", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"},
    **{"divmod": "divmod()", "lshift": "<<", "rshift": ">>", "and": "&", "or": "|", "xor": "^"},
}


def refusing(symbol: str) -> Callable[..., NoReturn]:
    """A method that refuses an operation, as it is written."""

    def refuse(self: Valueless, *others: Any, **more: Any) -> NoReturn:
        raise TypeError(f"{self._stands_for()}, but got `{symbol}`.")

    return refuse


for _name, _symbol in _OPERATIONS.items():
    setattr(Valueless, _name, refusing(_symbol))
for _name, _symbol in _BINARY.items():
    for _side in ("", "r"):
        setattr(Valueless, f"__{_side}{_name}__", refusing(_symbol))
