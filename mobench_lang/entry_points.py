"""Which entry points the installed distributions register.

In: a group. Out: its entry points, as `importlib.metadata` finds them. Guarantee: the same answer as that module gives
(tested); it is asked itself where distributions may lie anywhere but in folders of the path. A check needs two groups
and would spend a quarter of its time on importing the module and on its objects for everything that is installed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

INFORMATION = (".dist-info", ".egg-info")


class Point(NamedTuple):
    """`name = value` of a group; the value is `package.module:attribute`."""

    name: str
    value: str

    @property
    def module(self) -> str:
        """The module of the value."""
        return self.value.partition(":")[0].strip()

    @property
    def attribute(self) -> str:
        """What of the module: a name, or several with dots."""
        return self.value.partition(":")[2].partition("[")[0].strip()


def registered(group: str) -> list[Point]:
    """The entry points of a group, of each distribution that an import would find first."""
    if not _folders_only():
        from importlib import metadata

        return [Point(p.name, p.value) for p in metadata.entry_points(group=group)]
    return [point for text in _texts() for point in _points(text, group)]


def _folders_only() -> bool:
    """Whether every distribution is a folder in a folder of the path: neither archives nor eggs nor other finders."""
    finders = [f for f in sys.meta_path if hasattr(f, "find_distributions")]
    return finders == [PathFinder] and not any(p.lower().endswith(".egg") or Path(p).is_file() for p in sys.path)


def _texts() -> Iterator[str]:
    """The `entry_points.txt` of every distribution; the first of a name on the path hides those behind it."""
    seen: set[str] = set()
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                found = [(e.name.lower(), e.path) for e in entries]
        except OSError:
            continue
        for name, path in found:
            if not name.endswith(INFORMATION):
                continue
            distribution = re.sub(r"[-_.]+", "_", name.rpartition(".")[0].partition("-")[0])
            if distribution in seen:
                continue
            seen.add(distribution)
            with suppress(OSError):  # it has none
                yield Path(path, "entry_points.txt").read_text("utf-8", "replace")


def _points(text: str, group: str) -> Iterator[Point]:
    """The entries below `[group]`."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            inside = line.strip("[]") == group
        elif inside and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield Point(name.strip(), value.strip())
