"""Work on many small objects that all stay: the collector of cycles has nothing to find in them.

In: nothing. Out: a context in which it does not look, which halves the time that a large text takes. Guarantee: outside
it is as it was; reference counts free everything meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, if it was on."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
