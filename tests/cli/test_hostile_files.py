"""Files from anywhere: a command prints what they hold, or refuses them in one line, and nothing in them steers it."""

import copy
import json
import random
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mixed_study import mixed
from study_files import QUICK, example, members, rewritten, zipped

from flyteoptuna.cli.main import main
from flyteoptuna.errors import StudyFormatError
from flyteoptuna.storage.file_format import dump_study, restore_study

HOSTILE = [
    *(None, True, -1, 0, 0.5, 1e308, -1e308, float("nan"), float("inf"), 2**63, 10**400, "", [], {}, [[]], {"a": [1]}),
    *("=1+1", "\x1b[31m", "\u202eabc", "\ud800", "\0", "a\nb", "x" * 3000, "COMPLETE", "2024-01-01T00:00:00+05:00"),
    *("2024-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", list(range(40)), ["a", None]),
]
TARGETS = ("t.csv", "t.log", "t.parquet", "sqlite:///{}/t.db")
FILES = [dump_study(mixed()), dump_study(mixed(["minimize", "maximize"])), dump_study(example())]


def places(value, path=()):
    """The paths of all values in a JSON."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def changed(record, chance):
    """A JSON with a few of its values replaced, removed, copied or renamed."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        *path, last = chance.choice([path for path in places(record) if path])
        owner = record
        for key in path:
            owner = owner[key]
        action = chance.random()
        if action < 0.15:
            del owner[last]
        elif action < 0.3 and isinstance(owner, list):
            owner.insert(last, copy.deepcopy(owner[last]))
        elif action < 0.3:
            owner[chance.choice([v for v in HOSTILE if isinstance(v, str)])] = owner.pop(last)
        elif action < 0.5:
            owner[last] = json.loads(
                json.dumps(chance.choice(list(owner.values() if isinstance(owner, dict) else owner)))
            )
        else:
            owner[last] = copy.deepcopy(chance.choice(HOSTILE))
    return record


def damaged(data, chance):
    """Bytes of which some are replaced, left out or put in."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(len(found))
        found[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(found)


def mutant(seed):
    """A study's file with its values, its JSON or its zip changed."""
    chance = random.Random(seed)
    data, kind = chance.choice(FILES), chance.random()
    if kind > 0.9:
        return damaged(data, chance)
    parts = members(data)
    if kind > 0.75:
        text = damaged(parts["study.json"], chance)
    else:
        text = json.dumps(changed(json.loads(parts["study.json"]), chance))
    return zipped({**parts, "study.json": text})


def command(*args):
    """A command's output, which neither a traceback nor a control character may be in."""
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exception is None or isinstance(result.exception, SystemExit), (args, result.exc_info)
    assert result.exit_code in (0, 1) and (result.exit_code == 0) == (result.stderr == ""), result.output
    assert len(result.stderr.splitlines()) <= 1
    assert all(c.isprintable() or c == "\n" for c in result.output), result.output
    return result


def attempt(data, target):
    """Show and export a file; whether it was read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.study"
        path.write_bytes(data)
        shown = command("show", path)
        target = target.format(folder) if "://" in target else f"{folder}/{target}"
        command("report", path, "--to", f"{folder}/page.html")
        Path(folder, "page.html").unlink(missing_ok=True)
        exported = command("export", path, "--to", target)
        left = sorted(p.name for p in Path(folder).iterdir())
        assert left == ["one.study", *([target.rpartition("/")[2]] if exported.exit_code == 0 else [])]
        assert exported.exit_code == shown.exit_code
    return shown.exit_code == 0


@QUICK
@given(seed=st.integers(0, 2**64), target=st.sampled_from(TARGETS))
def test_any_mutant_of_a_file_is_printed_or_refused(seed, target):
    """In its values, in its JSON and in its zip: no traceback, no control character, no half export."""
    attempt(mutant(seed), target)


def test_many_mutants_are_read():
    """The mutants are not all refused by the first check."""
    seeds = range(40)
    read_ones = sum(attempt(mutant(seed), "t.csv") for seed in seeds)
    assert 0 < read_ones < len(seeds)


NOTES = {
    "flyteoptuna:search": ["x", [1], {}, {"count": 1}, {"count": "1", "start": 0.0}, {"count": 1, "start": "now"}],
    "flyteoptuna:trial": ["x", [], {}, {"search": [1]}, {"search": 1, "generation": "a"}, {"search": 1, "timeout": []}],
}


@pytest.mark.parametrize(("key", "note"), [(key, note) for key in NOTES for note in NOTES[key]])
def test_what_the_library_notes_is_of_its_own_kind(key, note):
    """A search that goes on, and a page, do with a note what it is made for."""

    def change(record):
        for owner in [record, *record["trials"]][:: 1 if key.endswith("trial") else 1000]:
            owner.setdefault("system_attrs", {})[key] = note

    with pytest.raises(StudyFormatError, match=f"{key}.*must be"):
        restore_study(rewritten(FILES[0], change))


TIMES = [
    *("2024-01-01T00:00:00+05:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"),
]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("fields", [("start",), ("complete",), ("start", "complete")])
@pytest.mark.parametrize("step", [1, 1000])
def test_any_time_is_shown(time, fields, step):
    """In a time zone or in none, of years that no clock knows; of all trials, or of one of them."""

    def change(record):
        for row in [row for row in record["trials"] if "complete" in row][::step]:
            row.update(dict.fromkeys(fields, time))

    assert attempt(rewritten(FILES[0], change), "t.csv")


@pytest.mark.parametrize("name", ["\0", "\x1b]0;x\7", "\u202e", "x" * 1_000_000, "\ud800", ""])
def test_any_name_is_shown_in_a_short_line(name):
    """By all commands, and in little time."""
    assert attempt(rewritten(FILES[0], lambda record: record.update(name=name)), "t.csv")
