"""Names that people chose, as parts of paths.

In: any text. Out: a part of a path made of safe characters, the same for the same text and another for another.
"""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def slug(name: str) -> str:
    """A path part for a name: the name itself if it is safe, else its safe characters and a hash that keeps it
    unique."""
    safe = _UNSAFE.sub("-", name).strip(".-")[:48]
    if safe == name:
        return name
    return f"{safe or 'x'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
