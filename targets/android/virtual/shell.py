"""The shell and exec services: a command under the phone's shell, as adbd runs it.

In: a stream, the kind of service, a function that starts processes. Out: the command's streams and, in version 2 of the
protocol, its exit status. Guarantee: a host that goes away sends SIGHUP to the command's shell and to nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobench_targets.android.virtual.wire import GoneError, Stream

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
FRAME = struct.Struct("<BI")

Start = Callable[..., Awaitable[asyncio.subprocess.Process]]
"""Starts a command line (empty: an interactive shell) on the phone with the keywords of create_subprocess_exec."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a command is run: with version 2's frames, on a terminal."""

    framed: bool
    terminal: bool

    @classmethod
    def of(cls, service: str, command: bytes) -> Kind:
        """The kind that a service's name asks for, such as `shell,v2,raw`."""
        name, *options = service.split(",")
        terminal = name == "shell" and ("pty" in options or (not command and "raw" not in options))
        return cls("v2" in options, terminal)


def inner_pid(process: asyncio.subprocess.Process) -> int:
    """The process that a command's shell is: the child of what entered the phone, or that itself."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()[0])
    return process.pid


async def serve(stream: Stream, kind: Kind, command: bytes, start: Start) -> None:
    """Run a command until it has ended and closed its streams, or the host is gone."""
    if kind.terminal:
        await _on_terminal(stream, kind, command, start)
        return
    pipe = asyncio.subprocess.PIPE
    process = await start(command, stdin=pipe, stdout=pipe, stderr=pipe if kind.framed else asyncio.subprocess.STDOUT)
    assert process.stdout is not None  # noqa: S101  # what PIPE means
    stdin = process.stdin

    async def give(data: bytes | None) -> None:
        if stdin is None or stdin.is_closing():
            return
        with suppress(ConnectionError):
            if data is None:
                stdin.close()
            else:
                stdin.write(data)
                await stdin.drain()

    outputs = [_forward(stream, kind, process.stdout.read, STDOUT)]
    if process.stderr is not None:
        outputs.append(_forward(stream, kind, process.stderr.read, STDERR))
    await _run(stream, kind, process, outputs, give)


async def _on_terminal(stream: Stream, kind: Kind, command: bytes, start: Start) -> None:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    loop = asyncio.get_running_loop()
    try:
        process = await start(command, stdin=theirs, stdout=theirs, stderr=theirs)
    finally:
        os.close(theirs)

    async def read(size: int) -> bytes:
        ready = asyncio.Event()
        loop.add_reader(ours, ready.set)
        try:
            await ready.wait()
            return os.read(ours, size)
        except OSError:  # EIO: nobody holds the terminal any more
            return b""
        finally:
            loop.remove_reader(ours)

    async def give(data: bytes | None) -> None:
        with suppress(OSError):
            os.write(ours, b"\x04" if data is None else data)

    try:
        await _run(stream, kind, process, [_forward(stream, kind, read, STDOUT)], give)
    finally:
        os.close(ours)


async def _forward(stream: Stream, kind: Kind, read: Callable[[int], Awaitable[bytes]], ident: int) -> None:
    while data := await read(32768):
        await stream.write(FRAME.pack(ident, len(data)) + data if kind.framed else data)


async def _input(stream: Stream, kind: Kind, give: Callable[[bytes | None], Awaitable[None]]) -> None:
    """Hand the host's input on; ends with GoneError only."""
    while True:
        if not kind.framed:
            await give(await stream.some())
            continue
        ident, size = FRAME.unpack(await stream.exactly(FRAME.size))
        data = await stream.exactly(size)
        if ident == CLOSE_STDIN:
            await give(None)
        elif ident == STDIN:
            await give(data)


async def _run(
    stream: Stream,
    kind: Kind,
    process: asyncio.subprocess.Process,
    outputs: Sequence[Awaitable[None]],
    give: Callable[[bytes | None], Awaitable[None]],
) -> None:
    forwarding = asyncio.gather(*outputs, return_exceptions=True)
    feeding = asyncio.ensure_future(_input(stream, kind, give))
    try:
        both: set[asyncio.Future[Any]] = {forwarding, feeding}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not forwarding.done() or any(isinstance(end, GoneError) for end in forwarding.result()):
            with suppress(ProcessLookupError):
                os.kill(inner_pid(process), signal.SIGHUP)
            return
        status = await process.wait()
        if kind.framed:
            await stream.write(FRAME.pack(EXIT, 1) + bytes([status & 255 if status >= 0 else (128 - status) & 255]))
    finally:
        for task in (forwarding, feeding):
            task.cancel()
        await asyncio.gather(forwarding, feeding, return_exceptions=True)
