"""The journal: what was acknowledged is there, whatever the crash left behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.execute.errors import StoreError
from mobench_lang.execute.journal import Journal, read_journal

KINDS = st.sampled_from(["start", "end", "note"])
TEXT = st.text(max_size=12)
FIELDS = st.dictionaries(st.sampled_from(["device", "message", "detail"]), TEXT, max_size=3)


def written(path: Path, records: list[tuple[str, dict[str, str]]]) -> list[int]:
    """Write a journal; the size of the file after each record."""
    journal, sizes = Journal(path), [0]
    for kind, fields in records:
        journal.append(kind, **fields)
        sizes.append(path.stat().st_size)
    journal.close()
    return sizes


def told(path: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(r["kind"], {k: v for k, v in r.items() if k not in ("kind", "t", "seq")}) for r in read_journal(path)]


@settings(max_examples=40, deadline=None)
@given(records=st.lists(st.tuples(KINDS, FIELDS), min_size=1, max_size=4), data=st.data())
def test_every_prefix_is_readable_and_loses_only_the_torn_record(
    records: list[tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "journal.jsonl"
        sizes = written(path, records)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        kept = sum(size <= cut for size in sizes) - 1
        assert told(path) == records[:kept]
        # The next writer goes on behind the last whole record.
        journal = Journal(path)
        assert journal.cut == cut - sizes[kept]
        journal.append("note", message="after")
        journal.close()
        assert told(path) == [*records[:kept], ("note", {"message": "after"})]
        assert [r["seq"] for r in read_journal(path)] == list(range(kept + 1))


@settings(max_examples=40, deadline=None)
@given(tail=st.binary(max_size=40))
def test_whatever_stands_behind_the_last_record_is_no_record(tail: bytes) -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "journal.jsonl"
        written(path, [("note", {"message": "kept"})])
        # Blocks of zeros are what some file systems leave after a power cut; a line end makes a "whole" line of them.
        with path.open("ab") as file:
            file.write(tail.replace(b"\n", b"") + b"\0")
        assert told(path) == [("note", {"message": "kept"})]
        Journal(path).close()
        assert told(path) == [("note", {"message": "kept"})]


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path, [("note", {"message": "one"}), ("note", {"message": "two"})])
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first.replace(b"{", b"[") + second)
    with pytest.raises(StoreError, match=r"journal\.jsonl is damaged in line 1"):
        list(read_journal(path))
    with pytest.raises(StoreError, match="damaged in line 1"):
        Journal(path)


def test_a_line_end_inside_a_text_does_not_end_a_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    hostile = {"message": 'a\nb\r\u2028\x00"$(reboot)`\x1b[2J'}
    written(path, [("note", hostile)])
    assert told(path) == [("note", hostile)]
    assert path.read_bytes().count(b"\n") == 1


FULL = """
import resource, sys
from pathlib import Path
from mobench_lang.execute.errors import StoreFullError
from mobench_lang.execute.journal import Journal, read_journal
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
journal = Journal(path)
count = 0
try:
    while True:
        journal.append("note", message="x" * 40)
        count += 1
except StoreFullError as error:
    assert "make room" in str(error), error
assert len(list(read_journal(path))) == count > 1
assert path.stat().st_size == sum(map(len, path.read_bytes().splitlines(keepends=True)))
assert path.read_bytes().endswith(b"\\n")
print("kept", count)
"""


def test_a_full_disk_loses_no_record(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "journal.jsonl"], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("kept"), done.stderr
