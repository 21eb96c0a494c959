"""What the shipped library declares, for those who forgot a `use`.

In: a name. Out: the file of the library that declares it, as `use` takes it, or None. Guarantee: reads the library's
own files only, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

_DECLARATION = re.compile(r"^(?:let|model|engine|device|workload|meter)\s+(\w+)", re.MULTILINE)


@cache
def declared() -> Mapping[str, str]:
    """Every name of the library with its file: `tiny` is in `std/models`."""
    folder = resources.files("mobench_specs").joinpath("std")
    return {
        name: f"std/{file.name.removesuffix('.bench')}"
        for file in sorted(folder.iterdir(), key=lambda f: f.name)
        if file.name.endswith(".bench")
        for name in _DECLARATION.findall(file.read_text("utf-8"))
    }
