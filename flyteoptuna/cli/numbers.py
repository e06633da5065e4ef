"""Types of numbers on the command line."""

from __future__ import annotations

import math
from typing import Any

import click

from flyteoptuna.values.numbers import MAX_INT

# A positive int of Flyte.
COUNT = click.IntRange(1, MAX_INT)


class _Seconds(click.FloatRange):
    """Seconds from 0.1 to a day. NaN, which click takes for any range, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not in the range {self.min}<=x<={self.max}.", param, ctx)
        return seconds


SECONDS = _Seconds(0.1, 86_400)
