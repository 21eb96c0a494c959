"""Writing `events.jsonl`: whole lines, one system call each, nothing buffered.

In: messages of the protocol. Out: lines in a file. A line that does not fit (full disk) is cut off again, so the file
always ends with a whole line; `WriteError` then ends the worker with an exit status of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os

from mobench_lang.protocol import Message

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class WriteError(Exception):
    """The events cannot be written; `code` is `full_disk` or `write_failed`."""

    def __init__(self, error: OSError, path: str) -> None:
        super().__init__(f"cannot write {path}: {error.strerror}")
        self.code = "full_disk" if error.errno in _FULL else "write_failed"


class Writer:
    """An open `events.jsonl`."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WriteError(error, path) from error
        self._size = 0

    def emit(self, message: Message) -> None:
        """Append one event; raises WriteError with the file cut back to whole lines."""
        rest = memoryview(message.model_dump_json(by_alias=True).encode() + b"\n")
        size = self._size + len(rest)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # /dev/full and pipes have no length
                os.ftruncate(self._fd, self._size)
            raise WriteError(error, self.path) from error
        self._size = size

    def close(self) -> None:
        """Bring the file to the disk and close it."""
        with contextlib.suppress(OSError):
            os.fsync(self._fd)
        os.close(self._fd)
