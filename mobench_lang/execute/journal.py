"""The journal: an append-only file of JSON lines, flushed to the disk record by record.

In: records (JSON objects). Out: the same records, in order, each with `seq` and `t` (UTC wall clock, ns).
Guarantee: a record that `append` returned for is on the disk. What a crash leaves behind the last whole line is not a
record: readers ignore it and the next writer cuts it off. Damage anywhere else is an error, never skipped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobench_lang.execute.errors import StoreError, store_error
from mobench_lang.execute.files import sync_folder

Record = dict[str, Any]


def read_journal(path: Path) -> Iterator[Record]:
    """The records of a journal, streamed; a torn tail is left out. Raises StoreError for damage before the tail."""
    for record, _ in _scan(path):
        yield record


def _scan(path: Path) -> Iterator[tuple[Record, int]]:
    """Each record with the offset behind it."""
    end, number = 0, 0
    try:
        with path.open("rb") as file:
            broken: int | None = None
            for number, line in enumerate(file, 1):
                if broken is not None:
                    raise StoreError(
                        f"{path} is damaged in line {broken}: it is not a record; restore the file from a copy"
                    )
                record = _parse(line)
                if record is None:
                    broken = number
                    continue
                end += len(line)
                yield record, end
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def _parse(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("kind"), str) else None


class Journal:
    """The writing end; there is one per run, under the run's lock."""

    def __init__(self, path: Path) -> None:
        """Open or create a journal and cut a torn tail off. Raises StoreError."""
        self.path = path
        self._seq = 0
        end = 0
        for record, after in _scan(path):
            end = after
            self._seq = int(record.get("seq", self._seq)) + 1
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._end = end
            self.cut = os.fstat(self._fd).st_size - end
            if self.cut:
                os.ftruncate(self._fd, end)
            os.fsync(self._fd)
            sync_folder(path.parent)
        except OSError as error:
            raise store_error(path, error) from error

    def append(self, kind: str, **fields: Any) -> Record:
        """Write one record and flush it. Raises StoreFullError or StoreError, and then the journal is as it was."""
        return self.append_all([{"kind": kind, **fields}])[0]

    def append_all(self, records: list[Record]) -> list[Record]:
        """Write records with one flush."""
        now = time.time_ns()
        whole = [{**record, "t": now, "seq": self._seq + number} for number, record in enumerate(records)]
        # ensure_ascii: labels may hold anything, and a record must stay one line for every reader of lines.
        data = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in whole).encode("ascii")
        try:
            at = self._end
            while at < self._end + len(data):
                at += os.pwrite(self._fd, data[at - self._end :], at)
            os.fsync(self._fd)
        except OSError as error:
            # The half-written record goes at once: on a full disk the next writer might be a reader only.
            os.ftruncate(self._fd, self._end)
            raise store_error(self.path, error) from error
        self._end = at
        self._seq += len(records)
        return whole

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
