"""sha256 of large files, computed once.

In: a path. Out: its sha256. The digest is kept under the file's identity (path, size, mtime, ctime, inode), so a
file that was written to or replaced is read again. A file younger than two seconds is never remembered: it could
change again within the clock tick of its time stamps.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

_YOUNG_NS = 2_000_000_000


def user_cache() -> Path:
    """mobench's cache folder: MOBENCH_CACHE, else the user's (`~/.cache/mobench`)."""
    chosen = os.environ.get("MOBENCH_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("mobench")


def sha256(path: Path, cache: Path | None = None) -> str:
    """The digest of a file's bytes; raises OSError if it cannot be read."""
    real = path.resolve()
    with real.open("rb") as file:
        identity = _identity(real, file.fileno())
        record = (cache or user_cache()) / "digests" / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(record.read_bytes())
            if known["identity"] == identity:
                return str(known["sha256"])
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if identity == _identity(real, file.fileno()) and _settled(identity):
            _remember(record, {"identity": identity, "sha256": digest})
        return digest


def _identity(path: Path, descriptor: int) -> list[str | int]:
    stat = os.fstat(descriptor)
    return [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]


def _settled(identity: list[str | int]) -> bool:
    return time.time_ns() - max(int(identity[2]), int(identity[3])) > _YOUNG_NS


def _remember(record: Path, content: object) -> None:
    """A cache that cannot be written costs time, not correctness."""
    temporary = record.with_suffix(f".{os.getpid()}.tmp")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content))
        temporary.replace(record)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
