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


_CALLED = "bool int float complex len abs round reversed iter trunc floor ceil index".split()
_WRITTEN = dict(
    zip("neg pos invert lt le gt ge getitem setitem contains".split(), "- + ~ < <= > >= [] [] in".split(), strict=True)
)
_BETWEEN = dict(
    zip(
        "add sub mul matmul truediv floordiv mod pow divmod lshift rshift and or xor".split(),
        "+ - * @ / // % ** divmod() << >> & | ^".split(),
        strict=True,
    )
)


def refusing(symbol: str) -> Callable[..., NoReturn]:
    """A method that refuses an operation, as it is written."""

    def refuse(self: Valueless, *others: Any, **more: Any) -> NoReturn:
        raise TypeError(f"{self._stands_for()}, but got `{symbol}`.")

    return refuse


for _name, _symbol in ({name: f"{name}()" for name in _CALLED} | _WRITTEN | _BETWEEN).items():
    setattr(Valueless, f"__{_name}__", refusing(_symbol))
for _name, _symbol in _BETWEEN.items():
    setattr(Valueless, f"__r{_name}__", refusing(_symbol))
