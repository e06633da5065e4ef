"""Whether a suggestion fits the type of its input, as an optimizer asks it."""

from enum import Enum
from typing import Annotated, Literal, Optional

import flytekit as fl
import pytest
from objectives import X, built, square

from flyteoptuna import Optimizer, SpaceError, suggest


class Kind(Enum):
    A = "a"


@fl.task
def typed(
    word: str = "a",
    flag: bool = False,
    maybe: Optional[int] = None,  # noqa: UP045
    mode: Literal["p", "q"] = "p",
    whole: Annotated[int, "units"] = 1,
    numbers: list[float] = [1.0],  # noqa: B006
    deep: dict[str, dict[str, int]] = {},  # noqa: B006
    kind: Kind = Kind.A,
) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Optimizer(square, 1, 1)(**X, power=suggest.float(1, 2)), r"`power` is of type int, but .*1.0 \(float"),
        (lambda: Optimizer(square, 1, 1)(x=suggest.category([1.0, "a"])), r"`x` is of type float, but .*'a' \(str"),
        (lambda: Optimizer(square, 1, 1)(x=suggest.category([True])), r"`x` is of type float, but .*True \(bool"),
        (lambda: Optimizer(typed, 1, 1)(word=suggest.integer(0, 1)), "`word` is of type str"),
        (lambda: Optimizer(typed, 1, 1)(mode=suggest.category(["p", "r"])), "`mode` is of type .*'r'"),
        (lambda: Optimizer(typed, 1, 1)(numbers=[suggest.float(0, 1)]), r"`numbers\[0\]` is in a list. Give the"),
        (lambda: Optimizer(typed, 1, 1)(numbers=suggest.float(0, 1)), r"`numbers` is of type list\[float\]"),
        (lambda: Optimizer(typed, 1, 1)(kind=suggest.category(["a"])), "`kind` is of type Kind"),
        (lambda: Optimizer(typed, 1, 1)(deep={"a": {"b": suggest.float(0, 1)}}), r"`deep.a.b` is of type int"),
        (lambda: Optimizer(typed, 1, 1)(deep={"a": {3: suggest.integer(0, 1)}}), "`deep.a` has 3"),
        (
            lambda: Optimizer(typed, 1, 1)(
                deep={"a.b": {"c": suggest.integer(0, 1)}, "a": {"b.c": suggest.integer(0, 1)}}
            ),
            "two are named `deep.a.b.c`",
        ),
    ],
)
def test_a_suggestion_that_does_not_fit_its_input_is_refused(make, match):
    """The type, the value and the path stand in the message, before anything runs."""
    with pytest.raises(SpaceError, match=match):
        make()


@pytest.mark.parametrize(
    "body",
    [
        lambda: Optimizer(typed, 1, 1)(
            word=suggest.category(["b"]),
            flag=suggest.category([True, False]),
            maybe=suggest.category([None, 3]),
            mode=suggest.category(["p", "q"]),
            whole=suggest.integer(3, 3),
            deep={"a": {"b": suggest.integer(0, 1), "c": 2}},
        ),
        lambda: Optimizer(square, 1, 1)(suggest.integer(1, 2), power=suggest.category([1, 2])),
    ],
)
def test_what_fits_is_taken(body):
    """Suggestions that fit the types of their inputs."""
    built(body)
