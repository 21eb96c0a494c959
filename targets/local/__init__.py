"""The local target: this machine, if it runs Linux.

In: a `device` with `target = local`. Out: a session. What it is and can is in `manifest.toml`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mobench_targets.local import facts
from mobench_targets.local.session import LocalSession

from mobench_lang.ir import Entity
from mobench_lang.plugins import DeviceError, Finding


class LocalTarget:
    """The target plug-in."""

    name = "local"

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> LocalSession:  # noqa: ARG002
        """Open this machine; it needs no scripts. Raises DeviceError where it is not Linux."""
        if not sys.platform.startswith("linux"):
            raise DeviceError("unsupported", f"the local target needs Linux; this is {sys.platform}")
        if device.get("serial") is not None:
            raise DeviceError("bad_serial", f"{device.name} is this machine: it has no serial, leave --device out")
        return LocalSession(scratch)

    def discover(self) -> list[dict[str, Any]]:
        """This machine, if it can be measured on."""
        if not sys.platform.startswith("linux"):
            return []
        found = facts.facts()
        return [{"name": "local", "target": self.name, "identity": found["identity"], "state": "ready", "facts": found}]

    def diagnose(self, where: Path) -> list[Finding]:
        """What stands in the way of trustworthy numbers on this machine."""
        from mobench_targets.local import doctor

        return doctor.findings(where) if sys.platform.startswith("linux") else []


target = LocalTarget()
