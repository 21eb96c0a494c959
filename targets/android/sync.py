"""The sync service: files to and from a device in frames of 64 KiB.

In: a connected socket that speaks sync. Out: files. Blocking. Guarantee: the device's own words come with a failure;
sizes are 64 bits where the device can say them.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from mobench_lang.plugins import DeviceError

FRAME = 64 * 1024
BURST = 8
"""Frames per system call."""

HEADER = struct.Struct("<4sI")
STAT_V2 = struct.Struct("<IQQIIIIQqqq")
LONGEST = 1024
"""Bytes of a path that the service takes."""


class Sync:
    """One session of the sync service on a socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def _request(self, operation: bytes, path: bytes) -> None:
        if len(path) > LONGEST:
            raise DeviceError("path_too_long", f"adb takes paths of up to {LONGEST} bytes; this one has {len(path)}")
        self._socket.sendall(HEADER.pack(operation, len(path)) + path)

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        self._into(memoryview(data))
        return bytes(data)

    def _into(self, view: memoryview) -> None:
        while view:
            got = self._socket.recv_into(view)
            if not got:
                raise EOFError("the connection ended amid a file")
            view = view[got:]

    def size(self, path: bytes, *, new: bool) -> int | None:
        """The size of a file; None without one. Devices without `stat_v2` say its last 32 bits only."""
        self._request(b"STA2" if new else b"STAT", path)
        if not new:
            _, mode, size, _ = struct.unpack("<4sIII", self._exactly(16))
            return int(size) if mode else None
        self._exactly(4)
        fields = STAT_V2.unpack(self._exactly(STAT_V2.size))
        return None if fields[0] else int(fields[7])

    def send(self, file: FileIO, path: bytes, mode: int, progress: Callable[[int], None] | None) -> int:
        """Send a file's content; the bytes that went over. Raises DeviceError with the device's reason."""
        self._request(b"SEND", b"%s,%d" % (path, 0o100000 | mode))
        buffer = bytearray(BURST * (HEADER.size + FRAME))
        view = memoryview(buffer)
        for index in range(BURST):
            HEADER.pack_into(buffer, index * (HEADER.size + FRAME), b"DATA", FRAME)
        sent = 0
        try:
            while filled := self._fill(file, view):
                self._socket.sendall(view[: filled + HEADER.size * -(-filled // FRAME)])
                sent += filled
                if progress is not None:
                    progress(sent)
                if filled % FRAME:
                    break
                if select.select([self._socket], [], [], 0)[0]:  # nothing but a FAIL can come now
                    self._verdict("push_failed")
            mtime = int(os.fstat(file.fileno()).st_mtime) & 0xFFFFFFFF
            self._socket.sendall(HEADER.pack(b"DONE", mtime))
        except (BrokenPipeError, ConnectionResetError):
            self._verdict("push_failed")  # the reason may have come before the end
            raise
        self._verdict("push_failed")
        return sent

    def _fill(self, file: FileIO, view: memoryview) -> int:
        """Fill the frames of a burst from a file; its bytes. The last frame that got any says how many."""
        filled = 0
        for index in range(BURST):
            start = index * (HEADER.size + FRAME)
            got = 0
            while got < FRAME and (
                more := file.readinto(view[start + HEADER.size + got : start + HEADER.size + FRAME])
            ):
                got += more
            if got < FRAME:
                if got:
                    HEADER.pack_into(view, start, b"DATA", got)
                return filled + got
            filled += got
        return filled

    def _verdict(self, code: str) -> None:
        operation, size = HEADER.unpack(self._exactly(HEADER.size))
        if operation == b"FAIL":
            raise _failed(code, self._exactly(size))
        if operation != b"OKAY":
            raise EOFError(f"the device answered {operation!r}")

    def receive(self, path: bytes, file: BinaryIO) -> int:
        """Write a file of the device into `file`; its bytes. Raises DeviceError with the device's reason."""
        self._request(b"RECV", path)
        buffer = memoryview(bytearray(FRAME))
        received = 0
        while True:
            operation, size = HEADER.unpack(self._exactly(HEADER.size))
            if operation == b"DATA" and size <= FRAME:
                self._into(buffer[:size])
                file.write(buffer[:size])
                received += size
            elif operation == b"DONE":
                return received
            elif operation == b"FAIL":
                raise _failed("pull_failed", self._exactly(size))
            else:
                raise EOFError(f"the device answered {operation!r}")


def _failed(code: str, said: bytes) -> DeviceError:
    text = said.decode("utf-8", "replace").strip()
    if "no space left" in text.lower():
        return DeviceError("no_space", f"the device has no room left: {text}")
    return DeviceError(code, f"the device refuses: {text}")


def open_new(path: Path) -> BinaryIO:
    """A new file for writing beside others: raises FileExistsError where the name is taken."""
    return path.open("xb")
