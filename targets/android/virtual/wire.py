"""The device's end of the adb protocol: packets, and the streams that they carry.

In: a connected socket as asyncio streams, a `Device` that answers services. Out: `Connection.run`, which returns when
the host is gone. Guarantee: a WRTE is acknowledged when its bytes were consumed, so a slow reader slows the host down.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

CNXN, OPEN, OKAY, WRTE, CLSE, AUTH = (
    int.from_bytes(word, "little") for word in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"AUTH")
)
NAMES = {CNXN: "CNXN", OPEN: "OPEN", OKAY: "OKAY", WRTE: "WRTE", CLSE: "CLSE", AUTH: "AUTH"}
HEADER = struct.Struct("<6I")
VERSION = 0x01000001
MAX_DATA = 1 << 20
OLD_VERSION, OLD_MAX_DATA = 0x01000000, 4096
"""What daemons before Android 7 spoke: checksums and small packets."""


class GoneError(Exception):
    """The stream was closed by the other side, or the host is gone."""


class Device(Protocol):
    """What a connection asks of the phone."""

    old: bool

    def banner(self) -> bytes:
        """What CNXN says of the device."""

    def authorized(self) -> bool:
        """Whether the host's key is accepted."""

    async def arrived(self, size: int) -> bool:
        """Bytes came in: delay them as the link would; False cuts the connection."""

    def frame(self, direction: str, command: str, size: int) -> None:
        """A packet went by."""

    async def serve(self, stream: Stream, service: bytes) -> bool:
        """Answer an opened service until it is over; False refuses it. Calls `stream.accept()` first if it does not."""


class Stream:
    """One stream: bytes in both directions."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self._connection = connection
        self.local, self.remote = local, remote
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._buffer = bytearray()
        self._read = 0
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._order = asyncio.Lock()
        self.closed = False

    async def accept(self) -> None:
        """Say that the service is there."""
        await self._connection.send(OKAY, self.local, self.remote)

    async def _fill(self) -> None:
        if self.closed and self._arrived.empty():
            raise GoneError
        data = await self._arrived.get()
        if data is None:
            self.closed = True
            raise GoneError
        if self._read:
            del self._buffer[: self._read]
            self._read = 0
        self._buffer += data
        await self._connection.send(OKAY, self.local, self.remote)

    async def exactly(self, size: int) -> bytes:
        """The next `size` bytes. Raises GoneError if they do not come."""
        while len(self._buffer) - self._read < size:
            await self._fill()
        data = bytes(memoryview(self._buffer)[self._read : self._read + size])
        self._read += size
        return data

    async def some(self) -> bytes:
        """Whatever comes next."""
        if len(self._buffer) == self._read:
            await self._fill()
        data = bytes(memoryview(self._buffer)[self._read :])
        self._read = len(self._buffer)
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes, each packet after the one before it was acknowledged."""
        async with self._order:
            for start in range(0, len(data), self._connection.max_data):
                await self._may_write.wait()
                if self.closed:
                    raise GoneError
                self._may_write.clear()
                await self._connection.send(
                    WRTE, self.local, self.remote, data[start : start + self._connection.max_data]
                )

    async def close(self) -> None:
        """Say that the stream is over."""
        if self._connection.streams.pop(self.local, None) is not None:
            self.closed = True
            with suppress(GoneError):
                await self._connection.send(CLSE, self.local, self.remote)

    def acknowledged(self, remote: int) -> None:
        """The other side consumed a packet."""
        self.remote = remote
        self._may_write.set()

    def feed(self, data: bytes | None) -> None:
        """Bytes of the other side; None is the end."""
        if data is None:
            self.closed = True
            self._may_write.set()
        self._arrived.put_nowait(data)


class Connection:
    """One host that is connected, with its streams."""

    def __init__(self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device, self._reader, self._writer = device, reader, writer
        self.streams: dict[int, Stream] = {}
        self.max_data = OLD_MAX_DATA
        self._checksums = True
        self._next = 1
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Send one packet."""
        checksum = sum(data) & 0xFFFFFFFF if self._checksums else 0
        try:
            self._writer.write(HEADER.pack(command, first, second, len(data), checksum, command ^ 0xFFFFFFFF) + data)
            self._device.frame("out", NAMES[command], len(data))
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise GoneError from error

    def cut(self) -> None:
        """Break the connection, as a pulled cable does."""
        self._writer.transport.abort()

    async def run(self) -> None:
        """Serve the host until it is gone."""
        try:
            while await self._packet():
                pass
        except (asyncio.IncompleteReadError, ConnectionError, GoneError):
            pass  # the usual end: a host does not say good-bye
        finally:
            for stream in list(self.streams.values()):
                stream.feed(None)
            self.streams.clear()
            self._writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _packet(self) -> bool:
        command, first, second, size, _, magic = HEADER.unpack(await self._reader.readexactly(HEADER.size))
        if magic != command ^ 0xFFFFFFFF or command not in NAMES or size > MAX_DATA:
            return False
        data = await self._reader.readexactly(size) if size else b""
        self._device.frame("in", NAMES[command], size)
        if not await self._device.arrived(size):
            return False
        if command == CNXN:
            await self._greet(first, second)
        elif command == AUTH:  # the host offers a signature or its key
            if self._device.authorized():
                await self._banner()
        elif command == OPEN:
            self._open(first, data)
        elif command == CLSE:
            if stream := self.streams.pop(second, None):
                stream.feed(None)
                await self.send(CLSE, second, first)
        elif stream := self.streams.get(second):
            if command == OKAY:
                stream.acknowledged(first)
            else:
                stream.feed(data)
        return True

    async def _greet(self, version: int, max_data: int) -> None:
        self.max_data = OLD_MAX_DATA if self._device.old else min(max_data, MAX_DATA)
        self._checksums = self._device.old or version < VERSION
        if self._device.authorized():
            await self._banner()
        else:
            await self.send(AUTH, 1, 0, os.urandom(20))

    async def _banner(self) -> None:
        old = self._device.old
        await self.send(CNXN, OLD_VERSION if old else VERSION, OLD_MAX_DATA if old else MAX_DATA, self._device.banner())

    def _open(self, remote: int, service: bytes) -> None:
        stream = self.streams[self._next] = Stream(self, self._next, remote)
        self._next += 1
        self.spawn(self._serve(stream, service.rstrip(b"\0")))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something as long as the connection lasts, and wait for it at its end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        done: Callable[[asyncio.Task[None]], None] = self._tasks.discard
        task.add_done_callback(done)

    async def _serve(self, stream: Stream, service: bytes) -> None:
        try:
            if not await self._device.serve(stream, service):
                self.streams.pop(stream.local, None)
                await self.send(CLSE, 0, stream.remote)  # local id 0: refused
        except GoneError:
            pass  # the host lost interest
        finally:
            await stream.close()
