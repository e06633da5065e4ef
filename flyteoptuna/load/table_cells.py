"""Cells of a table: one type a column where the format needs it, and no text that a spreadsheet takes for a formula."""

from __future__ import annotations

import json
import re
from typing import Any

import optuna

from flyteoptuna.values.text import is_utf8

# Characters that spreadsheets pass over before a formula: blanks, invisible ones, quotes and separators.
_SKIPPED = (
    r"[\x00-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\"'`\u2018-\u201f,;|]*"
)
# Signs that begin a formula, also in full width.
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"[\t\r\n]|{_SKIPPED}{_SIGN}")
# A sign where a reader with another separator than the comma, or with none of our quotes, begins a cell.
_INNER_FORMULA = re.compile(rf"([;|\t\r\n]{_SKIPPED})({_SIGN})")
_JSON_FORMULA = re.compile(rf"(^\"{_SKIPPED}|[;|]{_SKIPPED})({_SIGN})")


def encode_column(cells: list[Any], *, typed: bool) -> list[Any]:
    """Cells of a column of objects: lists and dictionaries as JSON, and text without formulas.

    Args:
        cells: values, None or NaN for a missing one.
        typed: whether the table keeps types, as parquet does, rather than texts. A typed column cannot mix types.
    """
    known = [cell for cell in cells if cell is not None and cell == cell]
    types = set(map(type, known))
    mixed = len(types) > 1 or (int in types and not all(-(2**63) <= cell < 2**63 for cell in known))
    if types & {dict, list, tuple} or (typed and mixed):
        texts = [json.dumps(cell) if cell is not None and cell == cell else None for cell in cells]
        return texts if typed else [text and _JSON_FORMULA.sub(_escape_in_json, text) for text in texts]
    convert = printable if typed else escape_formulas
    return [convert(cell) if isinstance(cell, str) else cell for cell in cells]


def _escape_in_json(match: re.Match[str]) -> str:
    return f"{match[1]}\\u{ord(match[2]):04x}"


def escape_formulas(text: str) -> str:
    """Text that no spreadsheet reads as a formula: an apostrophe precedes the text, and each sign after a separator."""
    blank = text[: len(text) - len(text.lstrip())]
    escaped = blank + _INNER_FORMULA.sub(r"\1'\2", text[len(blank) :])
    return f"'{escaped}" if _FORMULA.match(text) else escaped


def printable(text: str) -> str:
    """Text that UTF-8 can hold: half of a surrogate pair becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def find_text_beyond_utf8(study: optuna.Study) -> str:
    """Describe the first trial with a text that UTF-8 cannot hold; empty for none."""
    for trial in study.get_trials(deepcopy=False):
        held = [trial.params, trial.user_attrs, trial.system_attrs]
        if not is_utf8(json.dumps(held, ensure_ascii=False, default=str)):
            return f"trial {trial.number}"
    return ""
