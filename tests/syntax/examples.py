"""The specs that the project ships, as sources."""

from __future__ import annotations

from pathlib import Path

from mobench_lang.source import Source

ROOT = Path(__file__).parent.parent.parent
SPECS = [
    Source(str(path.relative_to(ROOT)), path.read_text("utf-8"), path)
    for folder in ("specs/examples", "specs/std")
    for path in sorted((ROOT / folder).glob("*.bench"))
]


def spec(name: str) -> Source:
    """An example by the name of its file."""
    return next(s for s in SPECS if s.name == f"specs/examples/{name}.bench")
