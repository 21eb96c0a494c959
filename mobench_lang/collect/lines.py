"""JSON Lines, read tolerantly.

In: the bytes of a file that a process may have been writing when it died. Out: the complete lines, and whether the last
one was torn. Guarantee: nothing before a torn tail is lost; a missing file is an empty one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def whole_lines(path: Path) -> tuple[list[bytes], bool]:
    """The lines that end in a newline, without blank ones, and True if something stood after the last newline."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return [], False
    lines = data.split(b"\n")
    tail = lines.pop()
    # A power loss can leave a block of zeros where the tail should be; some file systems extend before they write.
    return [line for line in lines if line.strip(b" \t\r\0")], bool(tail.strip(b" \t\r\0"))


def read_objects(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The JSON objects of a file in order, and True if a line could not be read (a torn tail or a broken line)."""
    lines, damaged = whole_lines(path)
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:  # JSONDecodeError and UnicodeDecodeError
            damaged = True
            continue
        if isinstance(value, dict):
            found.append(value)
        else:
            damaged = True
    return found, damaged


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if the file is missing or does not hold one."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
