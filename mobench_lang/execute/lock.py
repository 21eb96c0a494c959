"""Locks between host processes: `flock`, which the kernel drops when its holder dies.

In: a file. Out: a held lock, or BusyError naming the process that holds it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from mobench_lang.execute.errors import BusyError, storing
from mobench_lang.execute.process import start_time


class FileLock:
    """A lock on a file; the file stays behind, its holder's pid and start time in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, what: str, *, wait: bool = False) -> None:
        """Take the lock. Raises BusyError (`what` names the locked thing) unless `wait`, StoreError if it cannot be
        made."""
        with storing(self.path):
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._take(wait=wait):
            holder = self._holder()
            self.release()
            raise BusyError(f"{what} is in use by another mobench exec{holder}; wait for it or end it")
        pid = os.getpid()
        with storing(self.path):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps({"pid": pid, "start_time": start_time(pid)}).encode() + b"\n", 0)

    def _take(self, *, wait: bool) -> bool:
        import fcntl  # not there on Windows, where a plan can be read but nothing be executed

        # `mobench status` holds a run's lock for a moment, shared, to see whether it is free.
        for pause in (0.0,) if wait else (0.02,) * 10:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                time.sleep(pause)
            else:
                return True
        return False

    def _holder(self) -> str:
        try:
            return f" (pid {int(json.loads(os.pread(self._fd, 200, 0))['pid'])})"
        except (ValueError, KeyError, TypeError, OSError):
            return ""  # its holder has not written its name yet

    def release(self) -> None:
        """Let go; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
