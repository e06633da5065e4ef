"""Texts in JSON that UTF-8 cannot hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.values.json_values import escape_surrogates

TEXTS = [
    "\ud800",
    "a\udc80b",
    "\U0001f600",
    "\ud83d\ud83d\ude00",
    "\\ud800",
    "\\\ud800",
    "\n\ud800A",
    "\ude00\ud83d",
    '"\udfff"',
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("upper", [False, True])
def test_half_a_pair_becomes_its_escape(text, upper):
    """Whole pairs and the text of an escape stay, in small and in capital letters."""
    encoded = json.dumps({text: [text]})
    written = escape_surrogates(encoded.replace("\\ud", "\\uD") if upper else encoded)
    [(key, [value])] = json.loads(written).items()
    assert key.lower() == value.lower() == whole(text).lower()
    assert key.encode()


def whole(text):
    """The text of JSON, in which two halves that follow one another are one character."""
    return json.loads(json.dumps(text)).encode("utf-8", "backslashreplace").decode()


@given(st.text(st.characters() | st.sampled_from('\ud800\udbff\udc00\udfff\\u"n')))
def test_any_text_can_be_encoded_afterwards(text):
    """And text without halves is unchanged."""
    read = json.loads(escape_surrogates(json.dumps(text)))
    assert read == whole(text) and (read == text or not text.isprintable())
