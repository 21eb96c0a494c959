"""How wide a table may be."""

from __future__ import annotations

import shutil
import sys


def width() -> int | None:
    """Columns of the terminal that standard output is; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
