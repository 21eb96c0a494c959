"""The last bytes of what a process writes, without ever letting it wait for its reader for long."""

from __future__ import annotations

import os
from collections import deque

LIMIT = 1 << 20


class Tail:
    """Reads a pipe and keeps the last `limit` bytes."""

    def __init__(self, fd: int, limit: int = LIMIT) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.limit = limit
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0

    def read(self) -> bool:
        """Take what is there; False when the pipe has ended."""
        while True:
            try:
                part = os.read(self.fd, 65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not part:
                return False
            self._parts.append(part)
            self._size += len(part)
            while self._size - len(self._parts[0]) >= self.limit:
                gone = self._parts.popleft()
                self._size -= len(gone)
                self._dropped += len(gone)

    def bytes(self) -> bytes:
        """The last bytes; a first line says how many are missing."""
        data = b"".join(self._parts)
        dropped = self._dropped + max(0, len(data) - self.limit)
        note = f"[{dropped} bytes before this were not kept]\n".encode() if dropped else b""
        return note + data[-self.limit :]
