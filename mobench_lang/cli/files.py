"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mobench_lang.cli.failing import Failure


def replace_text(path: Path, text: str) -> None:
    """Replace the content of a file, keeping its permissions; line endings stand as in `text`. Raises Failure."""
    try:
        real = path.resolve()
        descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            mode = real.stat().st_mode & 0o7777 if real.exists() else 0o644
            Path(name).chmod(mode)
            Path(name).replace(real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}; it is as it was") from error
