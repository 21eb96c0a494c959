"""The sync service: stat, list, push and pull, in both versions of the protocol.

In: a stream, the folder that is the phone's root, a `Storage` that says what fits. Out: replies as adbd gives them.
Guarantee: a path never leads out of the root, whatever links lie on its way; a broken-off push leaves no partial file.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mobench_targets.android.virtual.wire import Stream

CHUNK = 64 * 1024
LENGTH = struct.Struct("<I")
STAT_V1 = struct.Struct("<III")
STAT_V2 = struct.Struct("<IQQIIIIQqqq")
LINKS = 40


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the files are, and what the phone thinks of writing: `reserve(n)` is False where n bytes no longer fit,
    `pushed(n)` and `pulled(n)` are told of every n bytes of a push or pull; `shortened()` is True for a pull that is to
    end halfway as if it were whole."""

    root: Callable[[], str]
    reserve: Callable[[int], bool]
    pushed: Callable[[int], None]
    pulled: Callable[[int], None]
    shortened: Callable[[], bool]


class RefusedError(Exception):
    """What the FAIL of a sync request says."""


def inside(root: str, path: str, *, follow: bool = True) -> str:
    """The host's path of a path on the phone: links are followed here, so that absolute ones stay in the root.

    Raises OSError(ELOOP).
    """
    done: list[str] = []
    left = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            del done[-1:]
            continue
        here = "/".join([root, *done, part])
        if (left or follow) and os.path.islink(here):  # noqa: PTH114  # plain strings: names may not be UTF-8
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(here)  # noqa: PTH115
            if target.startswith("/"):
                done.clear()
            left.extend(p for p in reversed(target.split("/")) if p not in {"", "."})
        else:
            done.append(part)
    return "/".join([root, *done])


def _old_stat(path: str, *, follow: bool = False) -> bytes:
    try:
        found = os.stat(path) if follow else os.lstat(path)  # noqa: PTH116
    except OSError:
        return STAT_V1.pack(0, 0, 0)
    return STAT_V1.pack(found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime) & 0xFFFFFFFF)


def _new_stat(path: str) -> bytes:
    try:
        s = os.lstat(path)
    except OSError as error:
        return STAT_V2.pack(error.errno or errno.EIO, *[0] * 10)
    owner = (2000, 2000)
    times = (int(s.st_atime), int(s.st_mtime), int(s.st_ctime))
    return STAT_V2.pack(0, s.st_dev, s.st_ino, s.st_mode, s.st_nlink, *owner, s.st_size, *times)


async def serve(stream: Stream, storage: Storage) -> None:
    """Answer requests until QUIT."""
    while True:
        operation, size = struct.unpack("<4sI", await stream.exactly(8))
        if operation == b"QUIT":
            return
        try:
            if size > 1024:
                raise RefusedError("path too long")
            path = os.fsdecode(await stream.exactly(size))
            await _answer(stream, storage, operation, path)
        except RefusedError as error:
            text = str(error).encode("utf-8", "surrogateescape")
            await stream.write(b"FAIL" + LENGTH.pack(len(text)) + text)
            if operation not in {b"SEND", b"SND2", b"RECV", b"RCV2"}:
                return


async def _answer(stream: Stream, storage: Storage, operation: bytes, path: str) -> None:
    root = storage.root()
    match operation:
        case b"STAT":
            await stream.write(b"STAT" + _old_stat(inside(root, path, follow=False)))
        case b"STA2" | b"LST2":
            await stream.write(operation + _new_stat(_found(root, path, follow=operation == b"STA2")))
        case b"LIST" | b"LIS2":
            await stream.write(_listing(_found(root, path), new=operation == b"LIS2"))
        case b"SEND":
            name, _, mode = path.rpartition(",")
            await _receive(stream, storage, name, int(mode) if mode.isdigit() else 0o644)
        case b"SND2":
            _, mode, flags = struct.unpack("<4sII", await stream.exactly(12))
            if flags & 0x7FFFFFFF:
                raise RefusedError("compression is not offered")
            await _receive(stream, storage, path, mode)
        case b"RECV" | b"RCV2":
            if operation == b"RCV2":
                await stream.exactly(8)
            await _send(stream, storage, _found(root, path))
        case _:
            raise RefusedError(f"unknown command {operation!r}")


def _found(root: str, path: str, *, follow: bool = True) -> str:
    try:
        return inside(root, path, follow=follow)
    except OSError:
        return f"{root}/.phone/loop"  # a loop of links reads as a path that is not there


def _listing(folder: str, *, new: bool) -> bytes:
    try:
        names = [".", "..", *os.listdir(folder)]  # noqa: PTH208
    except OSError:
        names = []
    out = bytearray()
    for name in names:
        raw, path = os.fsencode(name), f"{folder}/{name}"
        out += (b"DNT2" + _new_stat(path)) if new else (b"DENT" + _old_stat(path))
        out += LENGTH.pack(len(raw)) + raw
    return bytes(out) + b"DONE" + bytes(72 if new else 16)


def _allowed(path: str, bit: int) -> None:
    """As the owner of the phone's files may, and no more: the host's user may be root, whom no mode stops. Raises
    OSError."""
    if not os.stat(path).st_mode & bit:  # noqa: PTH116
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


async def _send(stream: Stream, storage: Storage, path: str) -> None:
    try:
        _allowed(path, stat.S_IRUSR)
        file = Path(path).open("rb")  # noqa: SIM115  # closed below; opening alone is what may fail
    except OSError as error:
        raise RefusedError(f"open failed: {error.strerror}") from error
    with file:
        left = os.fstat(file.fileno()).st_size // 2 if storage.shortened() else None
        try:
            while data := file.read(8 * CHUNK if left is None else min(8 * CHUNK, left)):
                storage.pulled(len(data))
                left = None if left is None else left - len(data)
                parts = (data[i : i + CHUNK] for i in range(0, len(data), CHUNK))
                await stream.write(b"".join(b"DATA" + LENGTH.pack(len(part)) + part for part in parts))
        except OSError as error:
            raise RefusedError(f"read failed: {error.strerror}") from error
    await stream.write(b"DONE" + LENGTH.pack(0))


async def _receive(stream: Stream, storage: Storage, name: str, mode: int) -> None:
    """Take a file in. An error is said at once, and the rest of the push is taken in and thrown away, as adbd does."""
    fault = ""
    file: BinaryIO | None = None
    target = bytearray()
    path = ""
    is_link = stat.S_ISLNK(mode)
    try:
        try:
            path = inside(storage.root(), name, follow=not is_link)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            _allowed(str(Path(path).parent), stat.S_IWUSR)
            file = None if is_link else Path(path).open("wb")  # noqa: SIM115
        except OSError as error:
            fault = f"couldn't create file: {error.strerror}"
            await _fail(stream, fault)
        while True:
            operation, size = struct.unpack("<4sI", await stream.exactly(8))
            if operation == b"DONE":
                break
            if operation != b"DATA" or size > CHUNK:
                raise RefusedError("invalid data message")
            data = await stream.exactly(size)
            storage.pushed(size)
            if fault:
                continue
            try:
                _take(storage, file, target, data)
            except OSError as error:
                fault = f"write failed: {error.strerror}"
                await _fail(stream, fault)
        if not fault:
            _finish(path, file, bytes(target), mode, size)
            file = None
    finally:
        if file is not None:
            file.close()
            Path(path).unlink(missing_ok=True)
    if not fault:
        await stream.write(b"OKAY" + LENGTH.pack(0))


async def _fail(stream: Stream, text: str) -> None:
    await stream.write(b"FAIL" + LENGTH.pack(len(text.encode())) + text.encode())


def _take(storage: Storage, file: BinaryIO | None, target: bytearray, data: bytes) -> None:
    if file is None:
        target += data
        return
    if not storage.reserve(len(data)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.write(data)


def _finish(path: str, file: BinaryIO | None, target: bytes, mode: int, mtime: int) -> None:
    if file is None:
        Path(path).unlink(missing_ok=True)
        os.symlink(os.fsdecode(target.rstrip(b"\0")), path)  # noqa: PTH211
        return
    file.close()
    Path(path).chmod(mode & 0o777)
    os.utime(path, (mtime, mtime))
