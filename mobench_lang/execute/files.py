"""Files that survive a crash: whole or not at all, and only where they belong.

In: paths inside the project and names that people chose. Out: files written beside their place and moved into it, and
path parts made of safe characters.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from mobench_lang.execute.errors import storing

_TEMPORARY = ".part"


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file whole: beside its place, flushed if `durable`, then moved. Raises StoreError."""
    temporary = path.with_name(path.name + _TEMPORARY)
    with storing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
            if durable:
                sync_folder(path.parent)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    _sync(folder)


async def sync_files(folder: Path) -> None:
    """Flush every file of a folder and its entries, so that a journal record about them may be written. Raises
    StoreError.

    All at once, in threads: the file system joins flushes that wait at the same time (5 files on ext4: 23 ms one by
    one, 1–4 ms together), and other devices are not held up.
    """
    with storing(folder):
        paths = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        await asyncio.gather(*(asyncio.to_thread(_sync, path) for path in (*paths, folder)))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
