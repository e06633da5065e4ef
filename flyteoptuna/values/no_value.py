"""Objects whose value is not known yet: every operator raises, and the error says where the value can be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


class NoValue:
    """Base class of objects without a value: arithmetic, comparison, conversion and iteration raise a ``TypeError``.

    Python's defaults would mislead: any object is true, for example, and other errors name neither cause nor cure.
    """

    def _stands_for(self) -> str:
        """A sentence without its full stop: what the object is, and where the value can be used."""
        raise NotImplementedError

    def __format__(self, spec: str) -> str:
        # Printing is allowed.
        if spec:
            raise TypeError(f"{self._stands_for()}, but got a format, `{spec}`.")
        return str(self)


def _by_name(pairs: str) -> dict[str, str]:
    words = pairs.split()
    return dict(zip(words[::2], words[1::2], strict=True))


# Order comparisons: the symbols by Python's names.
ORDER_OPERATORS = _by_name("lt < le <= gt > ge >=")
_FUNCTIONS = {name: f"{name}()" for name in ["bool", "int", "float", "complex", "index", "abs", "round", "len", "iter"]}
_UNARY = _by_name("neg - pos + invert ~ getitem [] setitem [] contains in")
_BINARY = _by_name(
    "add + sub - mul * matmul @ truediv / floordiv // mod % divmod divmod() pow ** lshift << rshift >> and & or | xor ^"
)


def refuse_operator(symbol: str) -> Callable[..., NoReturn]:
    """A method that raises a ``TypeError`` naming an operator by its symbol."""

    def refuse(self: NoValue, *others: Any, **more: Any) -> NoReturn:
        raise TypeError(f"{self._stands_for()}, but got `{symbol}`.")

    return refuse


for _name, _symbol in (_FUNCTIONS | ORDER_OPERATORS | _UNARY | _BINARY).items():
    setattr(NoValue, f"__{_name}__", refuse_operator(_symbol))
for _name, _symbol in _BINARY.items():
    setattr(NoValue, f"__r{_name}__", refuse_operator(_symbol))
