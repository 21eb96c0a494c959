"""Commands on a device: version 2 of the shell protocol, and what takes its place where a device lacks it.

In: a connected socket, a command. Out: exit status and both outputs. Blocking. Guarantee: an end without an exit status
is EOFError, never success.
"""

from __future__ import annotations

import select
import shlex
import socket
import struct
from collections.abc import Iterator

from mobench_lang.plugins import DeviceError

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
FRAME = struct.Struct("<BI")
CHUNK = 64 * 1024
LONGEST = 60_000
OLD_LONGEST = 3_500
"""Bytes of a command: what the server's four hexadecimal digits and an old daemon's packets of 4096 bytes leave room
for."""


def service(command: str, *, framed: bool) -> bytes:
    """The service that runs a command. Raises DeviceError for what cannot be one."""
    raw = command.encode("utf-8", "surrogateescape")
    longest = LONGEST if framed else OLD_LONGEST
    if len(raw) > longest:
        raise DeviceError("command_too_long", f"a command for this device may have {longest} bytes, not {len(raw)}")
    if b"\0" in raw:
        raise DeviceError("bad_command", "a command may hold no NUL")
    return (b"shell,v2,raw:" if framed else b"exec:") + raw


def converse(connected: socket.socket, stdin: bytes) -> tuple[int, bytes, bytes]:
    """Feed a framed command its input and take its output, both as they go; its exit status and outputs."""
    out, err = bytearray(), bytearray()
    left = memoryview(b"".join([*_input(stdin), FRAME.pack(CLOSE_STDIN, 0)]))
    buffer = bytearray()
    while True:
        readable, writable, _ = select.select([connected], [connected] if left else [], [])
        if writable:
            left = left[connected.send(left[:CHUNK], socket.MSG_DONTWAIT) :]
        if not readable:
            continue
        data = connected.recv(4 * CHUNK)
        if not data:
            raise EOFError("the command's connection ended before the command")
        buffer += data
        while len(buffer) >= FRAME.size:
            ident, size = FRAME.unpack_from(buffer)
            if len(buffer) < FRAME.size + size:
                break
            part = bytes(memoryview(buffer)[FRAME.size : FRAME.size + size])
            del buffer[: FRAME.size + size]
            if ident == EXIT:
                return part[0], bytes(out), bytes(err)
            if ident in {STDOUT, STDERR}:
                (out if ident == STDOUT else err).extend(part)


def _input(stdin: bytes) -> Iterator[bytes]:
    for start in range(0, len(stdin), CHUNK):
        part = stdin[start : start + CHUNK]
        yield FRAME.pack(STDIN, len(part)) + part


def wrapped(command: str, token: str, stdin: str | None) -> str:
    """A command for a device that tells no exit status: both outputs and the status in one stream, with marks.

    The command is one word of the outer shell, so that whatever it holds (`exit`, an open quote, a here-document) ends
    inside. Its errors go through a file; its input, if any, comes from one.
    """
    errors = f"/data/local/tmp/.mobench-{token}"
    source = shlex.quote(stdin) if stdin is not None else "/dev/null"
    return (
        f"sh -c {shlex.quote(command)} <{source} 2>{errors}; r=$?; print; print -r -- {token}:$r; "
        f'while IFS= read -r l; do print -r -- "$l"; done <{errors}; print -rn -- "$l"; rm -f {errors}; print; '
        f"print -r -- {token}."
    )


def unwrapped(said: bytes, token: str) -> tuple[int, bytes, bytes]:
    """Exit status and outputs of what a wrapped command wrote. Raises EOFError if its end is missing."""
    middle, last = f"\n{token}:".encode(), f"\n{token}.\n".encode()
    out, found, rest = said.rpartition(middle)
    if not found or not rest.endswith(last):
        raise EOFError("the command's connection ended before the command")
    status, _, err = rest[: -len(last)].partition(b"\n")
    return int(status), out, err


def drain(connected: socket.socket) -> bytes:
    """Everything until the connection ends."""
    said = bytearray()
    while data := connected.recv(4 * CHUNK):
        said += data
    return bytes(said)
