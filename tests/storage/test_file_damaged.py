"""A file that others have written or damaged: read or refused, and nothing in it is run."""

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_files import PARTS, QUICK, example, members, refuses, rewritten, tolerant, zipped

from flyteoptuna.errors import StudyFormatError
from flyteoptuna.storage.file_format import dump_study, read_study, restore_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]


class Mark:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_to_read_results_or_before_they_are_checked(tmp_path):
    """A pickle that leaves a mark does so in `loads` of a sound file alone."""
    mark = tmp_path / "mark"
    parts = members(dump_study(example()))
    parts |= {name: cloudpickle.dumps(Mark(mark)) for name in ("sampler.pickle", "pruner.pickle", "callbacks.pickle")}
    read_study(zipped(parts))
    for broken in (
        rewritten(zipped(parts), lambda r: r.update(trials=3)),
        rewritten(zipped(parts), lambda r: r["trials"][-1].update(state="LOST")),
        zipped(parts | {"study.json": b"{"}),
        zipped(parts | {"other": b""}),
    ):
        with pytest.raises(StudyFormatError):
            restore_study(broken)
    assert not mark.exists()
    with pytest.raises(StudyFormatError, match=r"sampler\.pickle holds a NoneType"):
        restore_study(zipped(parts))
    assert mark.exists()


@settings(QUICK, max_examples=300)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), stored=st.booleans()
)
def test_any_damage_to_a_file_is_read_or_refused(edits, stored):
    """Bytes changed anywhere raise nothing but StudyFormatError."""
    data = bytearray(
        zipped({"study.json": PARTS["study.json"]}, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    )
    for position, byte in edits:
        data[position % len(data)] = byte
    tolerant(bytes(data))


@QUICK
@given(cut=st.integers(0, 10**6), junk=st.binary(max_size=50))
def test_truncated_and_foreign_bytes_are_refused(cut, junk):
    """The start of a file, and bytes that are no file, are refused."""
    data = dump_study(example())
    refuses(data[: cut % len(data)], "Not a study file")
    refuses(junk, "Not a study file: .* bytes")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a.txt": b""}, "a zip without study.json"),
        ({**PARTS, "../../etc/passwd": b""}, r"unknown members, \['\.\./\.\./etc/passwd'\]"),
        ({**PARTS, "/study.json": b""}, "unknown members"),
        ([*PARTS.items(), ("study.json", b"{}")], "a member twice"),
    ],
)
def test_members_of_other_names_are_refused(parts, message):
    """A zip holds what `dumps` writes, each once, and nothing else."""
    refuses(zipped(parts), message)


def test_a_newer_format_is_told_before_its_members():
    """A file of a later version with other members is told to be of a newer format."""
    newer = {"study.json": json.dumps({"format": 2, "flyteoptuna": "9.1"}), "new": b""}
    refuses(zipped(newer), r"written by flyteoptuna 9\.1, in format 2; .* upgrade")


def test_other_compression_is_refused():
    """LZMA and bzip2 are refused before anything is decompressed."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refuses(zipped(PARTS, method), f"compressed by method {method}")


def test_an_encrypted_file_is_refused():
    """A member with the flag of encryption is refused."""
    data = bytearray(zipped({"study.json": PARTS["study.json"]}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    refuses(bytes(data), "study.json is encrypted")


def declaring(size, content):
    """A file whose JSON declares a size that is not its own."""
    data = bytearray(zipped({"study.json": content}))
    data[22:26] = data[data.rindex(b"PK\x01\x02") + 24 :][:4] = size.to_bytes(4, "little")
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = size.to_bytes(4, "little")
    return bytes(data)


def test_a_zip_bomb_is_refused_in_little_memory():
    """A member of a gigabyte, declared or not, is refused before it is inflated."""
    gigabyte = io.BytesIO()
    with zipfile.ZipFile(gigabyte, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("study.json", "w") as stream:
        for _ in range(1024):
            stream.write(b" " * (1 << 20))
    honest = gigabyte.getvalue()
    at = honest.rindex(b"PK\x01\x02") + 24
    liar = honest[:at] + (1000).to_bytes(4, "little") + honest[at + 4 :]
    tracemalloc.start()
    refuses(honest, r"study\.json is too large: 1073741824 bytes, where 268435456 are allowed")
    refuses(liar, "Not a study file")
    refuses(declaring(10**6, b"{}"), "study.json is damaged|Not a study file")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
