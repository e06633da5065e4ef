"""The table of trials: the best rows as HTML, and all rows as data for the sorting script of the page."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.flyte.outputs import output_locations
from flyteoptuna.page.axis import downsample, format_number
from flyteoptuna.page.elements import escape_text, name_html, note_html, section, shorten, table_html
from flyteoptuna.page.summary import Summary
from flyteoptuna.storage.study_summary import STATE_NAMES
from flyteoptuna.study.results import trial_duration
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

# Maximum number of HTML rows.
MAX_ROWS = 100
# Maximum number of columns.
MAX_COLUMNS = 60
# Maximum size of the data of the rows, bytes.
MAX_DATA = 4_000_000
# Maximum length of the location of an output, characters.
MAX_LOCATION = 1000
# Maximum length of other text in a cell, characters.
MAX_CELL = 80
# Maximum length of an error in a cell, characters.
MAX_ERROR = 240


class Column(NamedTuple):
    """A column of the table: the kind of its values, its name, its value of a trial, and the maximum length of text."""

    kind: str
    name: str
    value: Callable[[FrozenTrial], Any]
    limit: int = MAX_CELL


def link_target(location: str) -> str:
    """The escaped URL of an output; empty if it is no known kind of location, because it might be a script."""
    if re.match(r"(https?|s3|gs|abfss?|file)://", location):
        return html.escape(location)
    return f"file://{quote(location)}" if location.startswith("/") else ""


def output_links(trial: FrozenTrial) -> dict[str, str]:
    """The outputs of a trial by name, as HTML, with a link if a browser can open it."""
    return {name: _location_html(location, MAX_LOCATION) for name, location in output_locations(trial).items()}


def _location_html(location: str, limit: int) -> str:
    text, target = escape_text(location, limit), link_target(location)
    return f'<a href="{target}">{text}</a>' if target else text


def state_name(trial: FrozenTrial, infeasible: set[int]) -> str:
    """The word for the state of a trial, given the numbers of infeasible ones."""
    return "infeasible" if trial.number in infeasible else STATE_NAMES[trial.state]


def trial_columns(results: Summary) -> tuple[list[Column], int]:
    """The columns to show, and how many there would be without the limit."""
    infeasible = {t.number for t in results.infeasible}
    columns = [Column("", "trial", lambda t: t.number), Column("state", "state", lambda t: state_name(t, infeasible))]
    columns += [Column("value", name, _value_getter(i)) for i, name in enumerate(results.names)]
    columns.append(Column("", "seconds", _duration_seconds))
    errors = [Column("error", "error", _error_line, MAX_ERROR)] if any(map(_error_line, results.trials)) else []
    named: list[Column] = [Column("parameter", name, _item_getter("params", name)) for name in results.params]
    attrs = dict.fromkeys(k for t in results.trials for k in t.user_attrs if k != ERROR_ATTRIBUTE)
    # Read once, because each is a protobuf message.
    locations = {t.number: output_locations(t) for t in results.trials}
    outputs = dict.fromkeys(k for outputs in locations.values() for k in outputs)
    named += [Column("output", name, _output_getter(locations, name), MAX_LOCATION) for name in outputs]
    named += [Column("attribute", name, _item_getter("user_attrs", name)) for name in attrs]
    # Errors are the last column, and stay if others do not fit.
    limit = max(MAX_COLUMNS - len(columns) - len(errors), 0)
    return [*columns[:MAX_COLUMNS], *named[:limit], *errors], len(columns) + len(named) + len(errors)


def _value_getter(objective: int) -> Callable[[FrozenTrial], Any]:
    # The value of a pruned trial is its last intermediate value.
    return lambda trial: trial.values[objective] if trial.state == TrialState.COMPLETE else None


def _duration_seconds(trial: FrozenTrial) -> float | None:
    duration = trial_duration(trial)
    return None if duration is None else duration.total_seconds()


def _error_line(trial: FrozenTrial) -> str | None:
    error = trial.user_attrs.get(ERROR_ATTRIBUTE)
    lines = str(error).strip()[: 4 * MAX_ERROR].splitlines() if error else []
    return lines[0] if lines else "no reason is known" if trial.state == TrialState.FAIL else None


_MISSING = object()


def _item_getter(attribute: str, name: str) -> Callable[[FrozenTrial], Any]:
    def item(trial: FrozenTrial) -> Any:
        value = getattr(trial, attribute).get(name, _MISSING)
        # None is a valid choice.
        return None if value is _MISSING else str(value) if value is None or isinstance(value, bool) else value

    return item


def _output_getter(locations: Mapping[int, Mapping[str, str]], name: str) -> Callable[[FrozenTrial], Any]:
    return lambda trial: locations[trial.number].get(name)


def trials_table(results: Summary) -> tuple[str, str]:
    """The section, and the data for the script as ASCII JSON; both empty if there are no trials."""
    if not results.trials:
        return "", ""
    columns, count = trial_columns(results)
    rows = results.ranked
    data, data_rows = _table_data(columns, rows, len(results.best))
    first_rows = [[column.value(trial) for column in columns] for trial in rows[:MAX_ROWS]]
    kinds = ["n" if all(_is_number(v) for v in values) else "t" for values in zip(*first_rows, strict=True)]
    html_rows = [[_cell(*cell) for cell in zip(columns, kinds, row, strict=True)] for row in first_rows]
    heads = [_column_head(column) for column in columns]
    notes = []
    if len(data_rows) < len(rows):
        notes.append(f"{len(data_rows):,} of {len(rows):,} trials: the best ones, and an even sample.")
    if len(columns) < count:
        notes.append(f"{len(columns)} of {count} columns.")
    if notes:
        notes.append("<code>flyteoptuna export</code> writes all of it.")
    best = ", the best first" if results.best else ""
    first = f"The first {MAX_ROWS} of {len(rows):,}{best}." if len(rows) > MAX_ROWS else f"All {len(rows):,}{best}."
    note, table = note_html(" ".join(notes)), table_html(heads, html_rows, "trials")
    return section("Trials", note, f'<p class="muted pager">{first}</p>', table), data


def _column_head(column: Column) -> str:
    kind = f"<small>{column.kind}</small>" if column.kind in {"parameter", "attribute", "output"} else ""
    return f"{kind}<span>{name_html(column.name, 60)}</span>"


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _cell(column: Column, kind: str, value: Any) -> tuple[str, str]:
    if column.kind == "state":
        return "state", f'<i class="{value}"></i>{value}'
    text = "" if value is None else escape_text(value, column.limit)
    text = _location_html(value, column.limit) if column.kind == "output" and value is not None else text
    return kind, f"<div>{text}</div>" if kind == "t" else text


def _table_data(columns: Sequence[Column], rows: Sequence[FrozenTrial], top: int) -> tuple[str, Sequence[FrozenTrial]]:
    """The rows as JSON of at most ``MAX_DATA`` bytes, and the trials in it."""
    sample: Sequence[FrozenTrial] = rows
    while True:
        data = _encode_rows(columns, sample, top)
        if len(data) <= MAX_DATA or len(sample) <= MAX_ROWS:
            return data, sample
        limit = max(int(len(sample) * MAX_DATA / len(data) * 0.95), MAX_ROWS)
        sample = [*sample[: MAX_ROWS // 2], *downsample(sample[MAX_ROWS // 2 :], limit - MAX_ROWS // 2)]


def _encode_rows(columns: Sequence[Column], rows: Iterable[FrozenTrial], top: int) -> str:
    texts: dict[str, int] = {}
    encoded: list[Mapping[str, Any]] = []
    for column in columns:
        precise = column.kind == "value"
        cells = [_encode_cell(column.value(trial), column.limit, texts, precise=precise) for trial in rows]
        encoded.append({"kind": column.kind, "cells": cells})
    data = {"top": top, "columns": encoded, "texts": list(texts)}
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def _encode_cell(value: Any, limit: int, texts: dict[str, int], *, precise: bool) -> Any:
    """A cell as JSON: a number, rounded unless ``precise``, or None as itself; others as their index in ``texts``."""
    if value is None:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return value if precise else float(f"{value:.6g}")
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    text = format_number(value) if isinstance(value, float) else shorten(value, limit)
    return [texts.setdefault(text, len(texts))]
