"""Writing `events.jsonl`: whole lines, one system call each, nothing buffered.

In: messages of the protocol. Out: lines in a file. A line that does not fit (full disk) is cut off again, so the file
always ends with a whole line, an `error` and an `end` if there is room for those; `WriteError` then ends the worker
with an exit status of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from mobench_lang.protocol import End, Fault, Message

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
        try:
            self._append(message)
        except OSError as error:
            failed = WriteError(error, self.path)
            t = time.monotonic_ns()
            with contextlib.suppress(OSError):  # this may be shorter than what did not fit
                self._append(
                    Fault(t=t, code=failed.code, message=f"the events cannot be written: {error.strerror}"),
                    End(t=t, status="failed"),
                )
            raise failed from error

    def _append(self, *messages: Message) -> None:
        lines = b"".join(message.model_dump_json(by_alias=True).encode() + b"\n" for message in messages)
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            with contextlib.suppress(OSError):  # /dev/full and pipes have no length
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(lines)

    def close(self) -> None:
        """Bring the file to the disk and close it."""
        with contextlib.suppress(OSError):
            os.fsync(self._fd)
        os.close(self._fd)
