"""The JSON of a study: each field is checked, named where it is wrong, and never trusted."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_files import PARTS, QUICK, change, example, members, refuses, rewritten, scalars, tolerant, zipped

from flyteoptuna.storage.file_format import dump_study, read_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]
MALFORMED = {
    "a newer format": (change("format", to=9), "format 9; this version, .*, reads formats up to 1: upgrade"),
    "format of no number": (change("format", to=True), "`format` must be an integer from 1 to 1, but got True"),
    "format zero": (change("format", to=0), "`format` must be"),
    "a field too many": (change("extra", to=1), r"unknown fields: \['extra'\]"),
    "no field": (lambda r: r.pop("trials"), "`trials` must be there, and a JSON list, but got None"),
    "a name of no string": (change("name", to=1), "`name` must be"),
    "study id": (change("study_id", to=-1), "`study_id` must be an integer from 0"),
    "huge study id": (change("study_id", to=10**300), "`study_id` must be an integer from 0"),
    "no directions": (change("directions", to=[]), "`directions` must be a list of at least one"),
    "direction": (change("directions", 1, to="UP"), r"`directions\[1\]` must be MINIMIZE or MAXIMIZE, but got 'UP'"),
    "direction of no string": (change("directions", 1, to=[]), r"`directions\[1\]` must be"),
    "declared": (change("declared", to={"x": 99}), r"`declared\['x'\]` must be an integer from 0 to 3, but got 99"),
    "unknown distribution": (change("distributions", 0, "name", to="Zeta"), r"`distributions\[0\]` must be an object"),
    "distribution of no object": (change("distributions", 0, to="x"), r"`distributions\[0\]` must be an object"),
    "attributes of one": (change("distributions", 0, "attributes", to={}), r"`distributions\[0\]\.attributes` must"),
    "a bound of no number": (change("distributions", 0, "attributes", "low", to="0"), r"attributes\.low` must be of"),
    "a NaN bound": (change("distributions", 0, "attributes", "low", to=math.nan), "NaN is no bound"),
    "low above high": (
        change("distributions", 0, "attributes", "low", to=9.0),
        r"`distributions\[0\]` is not a distribution: ValueError",
    ),
    "log of a negative": (
        change("distributions", 0, "attributes", "low", to=-1.0),
        r"`distributions\[0\]` is not a distribution: ValueError",
    ),
    "log of no boolean": (
        change("distributions", 0, "attributes", "log", to=1),
        r"attributes\.log` must be of type bool",
    ),
    "a negative step": (
        change("distributions", 2, "attributes", "step", to=-1),
        r"`distributions\[2\]` is not a distribution: ValueError",
    ),
    "a huge bound": (change("distributions", 2, "attributes", "high", to=10**400), "is not a distribution: Overflow"),
    "no choices": (change("distributions", 3, "attributes", "choices", to=[]), "choices` must be a list of null"),
    "a list as choice": (
        change("distributions", 3, "attributes", "choices", to=[[]]),
        "choices` must be a list of null",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_field_is_refused_and_named(name):
    """The message says where it is, what was expected and what was found."""
    apply, message = MALFORMED[name]
    data = dump_study(example())
    read_study(data)
    refuses(rewritten(data, apply), message)


def places(node, path=()):
    yield path
    if isinstance(node, (dict, list)):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(inner, (*path, key))


RECORD = json.loads(members(dump_study(example()))["study.json"])
odd = scalars | st.sampled_from([[], {}, [[]], -1, 10**400, 2**64, math.nan, math.inf, "", "x", [0], [None], {"a": 1}])


@settings(QUICK, max_examples=400)
@given(path=st.sampled_from(sorted(filter(None, places(RECORD)), key=repr)), value=odd)
def test_any_value_in_any_field_is_read_or_refused(path, value):
    """No value of any field raises anything but StudyFormatError, and what is read can be saved again."""
    tolerant(rewritten(zipped(PARTS), change(*path, to=value)))


@settings(QUICK, max_examples=100)
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_to_the_json_is_read_or_refused(edits):
    """Bytes changed in the JSON, in an otherwise sound file, raise nothing but StudyFormatError."""
    text = bytearray(PARTS["study.json"])
    for position, byte in edits:
        text[position % len(text)] = byte
    tolerant(zipped({**PARTS, "study.json": bytes(text)}))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'{"a":1' + b"0" * 5000 + b"}"]
)
def test_json_that_cannot_be_parsed_is_refused(text):
    """Truncated, deeply nested and undecodable JSON, and numbers of thousands of digits, are refused by name."""
    refuses(zipped({**PARTS, "study.json": text}), "study.json is not JSON that can be read")


@pytest.mark.parametrize("text", [b"[]", b"null", b"1e400", b'"a"', b"{}"])
def test_json_of_something_else_is_refused(text):
    """JSON that is not a study's is refused."""
    refuses(zipped({**PARTS, "study.json": text}), "`format` must be an integer from 1 to 1")


def test_json_that_would_fill_the_memory_is_refused():
    """A small file of very many empty lists is refused before it is parsed."""
    refuses(
        zipped({"study.json": b"[" + b"[]," * 21_000_000 + b"[]]"}),
        "study.json is too large: .* bytes become .*, where 100 for one are allowed",
    )
