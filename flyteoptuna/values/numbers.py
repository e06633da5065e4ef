"""Numbers that users pass, within the ranges of floats and of Flyte's ints."""

from __future__ import annotations

import sys
from typing import Any

from flyteoptuna.values.did_you_mean import value_and_type

# Range of Flyte's ints, which have 64 bits.
MIN_INT, MAX_INT = -(2**63), 2**63 - 1


def to_float(name: str, value: Any) -> float:
    """Convert an argument to a float, like Python's ``float``.

    Raises:
        TypeError: it is not a number.
        ValueError: it is an int or a fraction beyond the range of floats.
    """
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"`{name}` must be within the range of floats, at most {sys.float_info.max:.3g}, but got "
            f"{value_and_type(value)}."
        ) from None
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be a number, but got {value_and_type(value)}.") from None
