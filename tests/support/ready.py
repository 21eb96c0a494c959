"""Waiting for something to happen instead of for time to pass: a named pipe that a fake instrument writes to."""

from __future__ import annotations

import asyncio
import os
import select
from pathlib import Path

import pytest

PATIENCE_S = 60


class Ready:
    """The pipe FAKE_READY; each line is `who pid`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder / "ready.pipe"
        os.mkfifo(path)
        # Opened for both, so that neither end waits for the other and the pipe never ends.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""
        monkeypatch.setenv("FAKE_READY", str(path))

    def wait(self) -> tuple[str, int]:
        """The next line."""
        while b"\n" not in self._rest:
            if not select.select([self.fd], [], [], PATIENCE_S)[0]:
                raise TimeoutError("the instrument never became ready")
            self._rest += os.read(self.fd, 4096)
        line, _, self._rest = self._rest.partition(b"\n")
        who, pid = line.split()
        return who.decode(), int(pid)

    async def wait_async(self) -> tuple[str, int]:
        """The next line, without stopping the event loop."""
        return await asyncio.to_thread(self.wait)


def gone(pid: int) -> bool:
    """Whether a process ends within the test's patience; a zombie is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE_S)[0])
    finally:
        os.close(descriptor)
