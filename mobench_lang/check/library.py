"""Where the shipped library stands, and what it declares, for those who forgot a `use`.

In: a name. Out: the file of the library that declares it, as `use` takes it, or None. Guarantee: reads the library's
own files only, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import mobench_specs


def shipped() -> Path:
    """The folder of everything that is shipped with mobench for specs; it is installed as plain files."""
    return Path(mobench_specs.__path__[0])


@cache
def declared() -> Mapping[str, str]:
    """Every name of the library with its file: `tiny` is in `std/models`."""
    declaration = re.compile(r"^(?:let|model|engine|device|workload|meter)\s+(\w+)", re.MULTILINE)
    return {
        name: f"std/{file.stem}"
        for file in sorted((shipped() / "std").glob("*.bench"))
        for name in declaration.findall(file.read_text("utf-8"))
    }
