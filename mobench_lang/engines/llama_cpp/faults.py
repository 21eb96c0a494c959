"""What can go wrong in the worker, as stable codes.

In: nothing. Out: `WorkerError`, the one exception that the worker turns into an `error` event, and the exit statuses.
Every code stands in docs/protocol.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_BAD_JOB: Final = 2
EXIT_CANNOT_WRITE: Final = 3

_NO_MEMORY = re.compile(
    r"(failed|unable) to allocate|out of memory|bad_alloc|cannot allocate|alloc_buffer: .*fail|ENOMEM|mmap failed",
    re.IGNORECASE,
)


class WorkerError(Exception):
    """A fault with a stable code and a sentence that says what happened and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def from_log(code: str, message: str, log: Iterable[str]) -> WorkerError:
    """A fault that the library only explains in its log: `out_of_memory` if a line says so, else `code`."""
    lines = [line.strip() for line in log]
    for line in reversed(lines):
        if _NO_MEMORY.search(line):
            return WorkerError("out_of_memory", f"{message}: {line}")
    return WorkerError(code, f"{message}: {lines[-1]}" if lines else message)
