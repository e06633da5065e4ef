"""Cells of a table: formulas, types and JSON."""

import csv
import io
import json

import optuna
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from optuna.trial import create_trial
from study_files import QUICK

from flyteoptuna import ExportError, export
from flyteoptuna.load.table_cells import encode_column, escape_formulas

SIGNS = ["=1+1", "+1", "-cmd", "@sum", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]
BEFORE = [
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\ufeff",
    "\xa0",
    "\u3000",
    "\u200b",
    "\u2060",
    '"',
    "'",
    "''",
    ";",
    "|",
    ",",
]
BEFORE += [
    "\ufeff ",
    ' "',
    "a;",
    "a; ",
    "a;\ufeff",
    'a;"',
    "a\t",
    "a\n",
    "a\r\n ",
    "a|",
    "1;2;",
    '";"',
    "\0",
    "\x0b",
    "\u201c",
]
# Readers of CSV: by the separator of the table, and by others, which cells may hold.
SEPARATORS = [",", ";", "\t", "|"]


def cells_of(text, separator):
    """The cells that a spreadsheet makes of a text, without what it passes over."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [cell.strip('\ufeff\u200b\u2060\0 \t\r\n\x0b\xa0\u3000"\u201c') for line in lines for cell in line]


def separators(text):
    """The separators for which a text is safe: a tab or a line break at its beginning only has the apostrophe."""
    blank = text[: len(text) - len(text.lstrip())]
    return SEPARATORS[: 1 if set(blank) & set("\t\r\n\x0b") else None]


def is_formula(cell):
    try:
        float(cell)
    except ValueError:
        return cell.startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))
    return False


def table(tmp_path, text, extra=None):
    """The text of a table whose names and values are all the same text, and its trial."""
    study = optuna.create_study()
    space = {text: optuna.distributions.CategoricalDistribution([text, "b"])}
    attrs = {text: text, "number": -1.5, "list": [-1, text], "either": [1], **(extra or {})}
    study.add_trial(create_trial(value=-2.0, params={text: text}, distributions=space, user_attrs=attrs))
    study.add_trial(create_trial(value=-3.0, user_attrs={"either": text}))
    export(study, tmp_path / "t.csv", overwrite=True)
    return (tmp_path / "t.csv").read_text("utf-8")


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", BEFORE, ids=ascii)
def test_no_text_is_a_formula(before, sign, tmp_path):
    """In no cell and no column's name, by whatever separator it is read; numbers stay numbers, and JSON stays JSON."""
    text = f"{before}{sign}"
    written = table(tmp_path, text)
    for separator in separators(text):
        assert not [cell for cell in cells_of(written, separator) if is_formula(cell)]
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame["value"].tolist() == [-2.0, -3.0] and frame["user_attrs_number"][0] == -1.5
    assert json.loads(frame["user_attrs_list"][0]) == [-1, text]
    assert [json.loads(cell) for cell in frame["user_attrs_either"]] == [[1], text]


@QUICK
@given(text=st.text(st.sampled_from("=+-@;|,\t\r\n \"'a1\ufeff\uff1d\\"), max_size=8))
@example("a;=1")
def test_no_text_of_signs_and_separators_is_a_formula(text):
    """Whatever their order."""
    for separator in separators(text):
        row = io.StringIO(newline="")
        csv.writer(row, quoting=csv.QUOTE_ALL).writerow(
            [0, escape_formulas(text), encode_column([text, []], typed=False)[0]]
        )
        assert not [cell for cell in cells_of(row.getvalue(), separator) if is_formula(cell)]
    assert json.loads(encode_column([text, []], typed=False)[0]) == text


@pytest.mark.parametrize(
    "text", ["", "a", "a=b", "x - y", "1;2", "lr=0.1, x=-1", "a;b", "(-1)", "'quoted'", "[-1]", "é", "1e-5"]
)
def test_plain_text_is_unchanged(text):
    """A sign inside of it is none at the beginning of a cell."""
    assert escape_formulas(text) == text


@pytest.mark.parametrize(
    "cells",
    [
        [1, "a"],
        [1, 2**70],
        [2**63],
        [-(2**70), None],
        [10**400, 1],
        [True, "x"],
        [{"a": 1}, 2, None],
        [float("nan"), "x", None],
        [1, 2.5],
    ],
    ids=repr,
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_any_column_is_written(cells, ending, tmp_path):
    """Types that a table cannot mix or hold are JSON."""
    study = optuna.create_study()
    for cell in cells:
        study.add_trial(create_trial(value=1.0, user_attrs={"a": cell}))
    export(study, tmp_path / f"t.{ending}")
    read = pd.read_csv if ending == "csv" else pd.read_parquet
    assert len(read(tmp_path / f"t.{ending}")["user_attrs_a"]) == len(cells)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_text_that_no_table_can_hold_is_named(ending, tmp_path):
    """By its trial."""
    study = optuna.create_study()
    for cell in ("a", "\ud800"):
        study.add_trial(create_trial(value=1.0, user_attrs={"a": cell}))
    with pytest.raises(ExportError, match=r"UnicodeEncodeError: .* \(trial 1\)"):
        export(study, tmp_path / f"t.{ending}")


def test_a_trial_that_a_database_refuses_is_named(tmp_path):
    """As one whose parameter is of another kind than that of an earlier trial."""
    study = optuna.create_study()
    for kind in (optuna.distributions.FloatDistribution(0, 1), optuna.distributions.CategoricalDistribution([0.5])):
        study.add_trial(create_trial(value=1.0, params={"x": 0.5}, distributions={"x": kind}))
    with pytest.raises(ExportError, match=r"ValueError: .* \(trial 1\)"):
        export(study, f"sqlite:///{tmp_path}/t.db")
    export(study, tmp_path / "t.log")
