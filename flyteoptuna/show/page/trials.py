"""The table of trials: the best rows as HTML, and all of them as data for the page's script, which sorts them."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.trial.report import ERROR_ATTRIBUTE
from flyteoptuna.flyte.outputs import outputs_of
from flyteoptuna.show.page import elements
from flyteoptuna.show.page.axis import number, thin
from flyteoptuna.show.page.summary import STATES, Summary
from flyteoptuna.study.results import took

MOST_ROWS = 100
"""Rows that are HTML; those that the script shows at a time."""

MOST_COLUMNS = 60

MOST_DATA = 4_000_000
"""Bytes of the rows as data."""

PLACE = 1000
"""Most characters of the place of an output, of which a cell shows as many as it has room for."""

CELL = 80
"""Most characters of a text in a cell."""

ERROR = 240
"""Most characters of an error in a cell."""


class Column(NamedTuple):
    """A column of the table: its kind, in a word for readers, its name, and what stands in it for a trial."""

    kind: str
    name: str
    of: Callable[[FrozenTrial], Any]
    limit: int = CELL


def link(place: str) -> str:
    """What a browser can open of where an output is, escaped; empty for anything else, as a script is."""
    if re.match(r"(https?|s3|gs|abfss?|file)://", place):
        return html.escape(place)
    return f"file://{quote(place)}" if place.startswith("/") else ""


def placed(trial: FrozenTrial) -> dict[str, str]:
    """The outputs of a trial as HTML, a link where a browser can open one, by their names."""
    return {name: _linked(place, PLACE) for name, place in outputs_of(trial).items()}


def _linked(place: str, limit: int) -> str:
    shown, target = elements.text(place, limit), link(place)
    return f'<a href="{target}">{shown}</a>' if target else shown


def state_of(results: Summary, trial: FrozenTrial, unfit: set[int]) -> str:
    """What became of a trial, in a word."""
    return "infeasible" if trial.number in unfit else STATES[trial.state]


def columns(results: Summary) -> tuple[list[Column], int]:
    """The columns of the table, and how many there would be."""
    unfit = {t.number for t in results.infeasible}
    found = [Column("", "trial", lambda t: t.number), Column("state", "state", lambda t: state_of(results, t, unfit))]
    found += [Column("value", name, _value(i)) for i, name in enumerate(results.names)]
    found.append(Column("", "seconds", _seconds))
    errors = [Column("error", "error", _error, ERROR)] if any(map(_error, results.trials)) else []
    named: list[Column] = [Column("parameter", name, _item("params", name)) for name in results.params]
    attrs = dict.fromkeys(k for t in results.trials for k in t.user_attrs if k != ERROR_ATTRIBUTE)
    # Read once: each is a message of protobuf's.
    places = {t.number: outputs_of(t) for t in results.trials}
    outputs = dict.fromkeys(k for found in places.values() for k in found)
    named += [Column("output", name, _output(places, name), PLACE) for name in outputs]
    named += [Column("attribute", name, _item("user_attrs", name)) for name in attrs]
    # Errors stand last, and before what there is no room for.
    room = max(MOST_COLUMNS - len(found) - len(errors), 0)
    return [*found[:MOST_COLUMNS], *named[:room], *errors], len(found) + len(named) + len(errors)


def _value(objective: int) -> Callable[[FrozenTrial], Any]:
    # That of a pruned trial is the last one it reported, and no result.
    return lambda trial: trial.values[objective] if trial.state == TrialState.COMPLETE else None


def _seconds(trial: FrozenTrial) -> float | None:
    duration = took(trial)
    return None if duration is None else duration.total_seconds()


def _error(trial: FrozenTrial) -> str | None:
    said = trial.user_attrs.get(ERROR_ATTRIBUTE)
    lines = str(said).strip()[: 4 * ERROR].splitlines() if said else []
    return lines[0] if lines else "no reason is known" if trial.state == TrialState.FAIL else None


_ABSENT = object()


def _item(where: str, name: str) -> Callable[[FrozenTrial], Any]:
    def item(trial: FrozenTrial) -> Any:
        value = getattr(trial, where).get(name, _ABSENT)
        # None is a choice like another.
        return None if value is _ABSENT else str(value) if value is None or isinstance(value, bool) else value

    return item


def _output(places: Mapping[int, Mapping[str, str]], name: str) -> Callable[[FrozenTrial], Any]:
    return lambda trial: places[trial.number].get(name)


def table(results: Summary) -> tuple[str, str]:
    """The section, and the data of its script as JSON in ASCII; nothing and nothing where there are no trials."""
    if not results.trials:
        return "", ""
    cols, count = columns(results)
    rows = results.ranked
    data, kept = _data(cols, rows, len(results.best))
    shown_rows = [[column.of(trial) for column in cols] for trial in rows[:MOST_ROWS]]
    kinds = ["n" if all(_is_number(v) for v in values) else "t" for values in zip(*shown_rows, strict=True)]
    html_rows = [[_cell(*each) for each in zip(cols, kinds, row, strict=True)] for row in shown_rows]
    heads = [_head(column) for column in cols]
    said = [
        f"{len(kept):,} of {len(rows):,} trials: the best ones, and an even sample." if len(kept) < len(rows) else ""
    ]
    said.append(f"{len(cols)} of {count} columns." if len(cols) < count else "")
    said.append("<code>flyteoptuna export</code> writes all of it." if any(said) else "")
    first = f"The first {MOST_ROWS} of {len(rows):,}, the best first." if len(rows) > MOST_ROWS else "The best first."
    note = elements.note(" ".join(filter(None, said)))
    shown = elements.table(heads, html_rows, "trials")
    return elements.section("Trials", note, f'<p class="muted pager">{first}</p>', shown), data


def _head(column: Column) -> str:
    kind = f"<small>{column.kind}</small>" if column.kind in {"parameter", "attribute", "output"} else ""
    return f"{kind}<span>{elements.path(column.name, 60)}</span>"


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _cell(column: Column, kind: str, value: Any) -> tuple[str, str]:
    if column.kind == "state":
        return "state", f'<i class="{value}"></i>{value}'
    shown = "" if value is None else elements.text(value, column.limit)
    shown = _linked(value, column.limit) if column.kind == "output" and value is not None else shown
    return kind, f"<div>{shown}</div>" if kind == "t" else shown


def _data(cols: Sequence[Column], rows: Sequence[FrozenTrial], top: int) -> tuple[str, Sequence[FrozenTrial]]:
    """The rows as JSON, as many as there is room for, and which they are."""
    kept: Sequence[FrozenTrial] = rows
    while True:
        data = _encoded(cols, kept, top)
        if len(data) <= MOST_DATA or len(kept) <= MOST_ROWS:
            return data, kept
        most = max(int(len(kept) * MOST_DATA / len(data) * 0.95), MOST_ROWS)
        kept = [*kept[: MOST_ROWS // 2], *thin(kept[MOST_ROWS // 2 :], most - MOST_ROWS // 2)]


def _encoded(cols: Sequence[Column], rows: Iterable[FrozenTrial], top: int) -> str:
    texts: dict[str, int] = {}
    encoded: list[Mapping[str, Any]] = []
    for column in cols:
        precise = column.kind == "value"
        cells = [_datum(column.of(trial), column.limit, texts, precise=precise) for trial in rows]
        encoded.append({"kind": column.kind, "cells": cells})
    data = {"top": top, "columns": encoded, "texts": list(texts)}
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def _datum(value: Any, limit: int, texts: dict[str, int], *, precise: bool) -> Any:
    """A number or null as it is; a text as a list of one, its place among the texts."""
    if value is None:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return value if precise else float(f"{value:.6g}")
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    shown = number(value) if isinstance(value, float) else elements.short(value, limit)
    return [texts.setdefault(shown, len(texts))]
