"""The trials in the JSON of a study: each field is checked, and named where it is wrong."""

import math

import pytest
from study_files import change, example, refuses, rewritten

from flyteoptuna.storage.file_format import dump_study, read_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]
MALFORMED = {
    "trial of no object": (change("trials", 3, to=[]), r"`trials\[3\]` must be an object"),
    "trial with more": (change("trials", 3, "more", to=1), r"`trials\[3\]` must be an object of"),
    "state": (change("trials", 3, "state", to="LOST"), r"`trials\[3\]\.state` must be one of .*, but got 'LOST'"),
    "state of no string": (change("trials", 3, "state", to={}), r"`trials\[3\]\.state`"),
    "complete without values": (lambda r: r["trials"][0].pop("values"), r"`trials\[0\]\.values` must be there"),
    "wrong arity": (change("trials", 0, "values", to=[1.0]), r"`trials\[0\]\.values` must be 2 numbers"),
    "NaN of a complete trial": (change("trials", 0, "values", to=[math.nan, 1]), "must be a list without NaN"),
    "a boolean value": (
        change("trials", 0, "values", to=[True, 1]),
        r"`trials\[0\]\.values` must be a list of numbers",
    ),
    "a huge value": (change("trials", 0, "values", to=[10**400, 1]), "within the range of floats"),
    "null values": (change("trials", 0, "values", to=None), r"`trials\[0\]\.values`"),
    "params of no space": (lambda r: r["trials"][3].pop("space"), r"`trials\[3\]\.space` must be"),
    "a space of no params": (lambda r: r["trials"][3].pop("params"), r"`trials\[3\]\.params` must be"),
    "a negative space": (change("trials", 3, "space", to=-1), r"`trials\[3\]\.space` must be an integer from 0 to 0"),
    "too few params": (change("trials", 3, "params", to=[1]), r"`trials\[3\]\.params` must be 4 numbers"),
    "NaN as a param": (change("trials", 3, "params", 0, to=math.nan), r"`trials\[3\]\.params` must be a list without"),
    "a huge param": (change("trials", 3, "params", 0, to=10**400), "within the range of floats"),
    "a huge param in a range without an end": (
        lambda r: (
            change("distributions", 0, "attributes", "high", to=math.inf)(r),
            change("trials", 3, "params", 0, to=10**400)(r),
        ),
        r"`trials\[3\]\.params` must be a list of numbers within the range of floats",
    ),
    "a negative choice": (change("trials", 3, "params", 3, to=-1), r"`trials\[3\]\.params\[3\]` must be an integer"),
    "a choice too far": (change("trials", 3, "params", 3, to=7), r"from 0 to 6, but got 7"),
    "a string as param": (change("trials", 3, "params", 0, to="1"), r"`trials\[3\]\.params`"),
    "start": (change("trials", 3, "start", to="yesterday"), r"`trials\[3\]\.start` must be a time in ISO 8601"),
    "complete": (change("trials", 3, "complete", to=7), r"`trials\[3\]\.complete` must be a time"),
    "attributes": (change("trials", 3, "user_attrs", to=[]), r"`trials\[3\]\.user_attrs` must be an object"),
    "system attributes": (change("trials", 3, "system_attrs", to="a"), r"`trials\[3\]\.system_attrs`"),
    "intermediate": (change("trials", 1, "intermediate", to=[[1]]), r"`trials\[1\]\.intermediate` must be"),
    "steps": (change("trials", 1, "intermediate", 0, to=[0.5, 1, 2]), r"intermediate\[0\]` must be a list of integers"),
    "huge steps": (change("trials", 1, "intermediate", 0, to=[2**70, 1, 2]), "a list of integers of 64 bits"),
    "steps twice": (change("trials", 1, "intermediate", 0, to=[1, 1, 2]), "as many different steps as values"),
    "more values than steps": (change("trials", 1, "intermediate", 0, to=[1, 2]), "as many different steps"),
    "the same id": (change("trials", 1, "id", to=0), "no two trials may have the same id"),
    "a negative id": (change("trials", 1, "id", to=-3), r"`trials\[1\]\.id`"),
    "space of no list": (change("spaces", 0, to=3), r"`spaces\[0\]` must be a list"),
    "space of a name twice": (change("spaces", 0, to=[["x", 0], ["x", 0]]), r"`spaces\[0\]\[1\]` must be a new name"),
    "space beyond the table": (change("spaces", 0, to=[["x", 4]]), r"`spaces\[0\]\[0\]\[1\]` must be an integer"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_field_is_refused_and_named(name):
    """The message says where it is, what was expected and what was found."""
    apply, message = MALFORMED[name]
    data = dump_study(example())
    read_study(data)
    refuses(rewritten(data, apply), message)
