"""The virtual Monsoon of a virtual phone, from a test: `fault(folder, unplugged=True)`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def fault(phone: Path, **what: Any) -> None:
    """Let something befall the meter of the phone in this folder; nothing mends it."""
    part = phone / "meter.json.part"
    part.write_text(json.dumps(what))
    part.rename(phone / "meter.json")


def unit(phone: Path) -> dict[str, Any]:
    """How the meter stands."""
    return dict(json.loads((phone / "meter-unit.json").read_text()))
