"""The Android target: phones and tablets over adb.

In: a `device` with `target = android`. Out: a session. What it is and can is in `manifest.toml`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobench_lang.ir import Entity
from mobench_lang.plugins import DeviceError, Finding

if TYPE_CHECKING:
    from mobench_targets.android.virtual.client import VirtualPhone
    from mobench_targets.shell.session import ShellSession


class AndroidTarget:
    """The target plug-in; adbutils is imported when a phone is looked for."""

    name = "android"

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> ShellSession:  # noqa: ARG002 - all is on the phone
        """Open a phone, changing nothing on it. Raises DeviceError."""
        from mobench_targets.android import found
        from mobench_targets.android.kind import PhoneKind
        from mobench_targets.android.transport import connect
        from mobench_targets.shell.session import ShellSession

        meter = _meter(device)
        server = found.server(device.get("adb_port"))
        serial = device.get("serial")
        chosen = str(serial) if serial is not None else await asyncio.to_thread(found.only_one, server, device.name)
        return ShellSession(await connect(server, chosen), PhoneKind(meter), scripts)

    def discover(self) -> list[dict[str, Any]]:
        """What is attached."""
        from mobench_targets.android import found

        return asyncio.run(found.attached(found.server(None)))

    def profiles(self) -> list[dict[str, Any]]:
        """The virtual phones."""
        from mobench_targets.android.virtual import client

        return client.profiles()

    async def simulate(self, profile: str, scratch: Path) -> VirtualPhone:
        """Switch a virtual phone on, or take over the one that is. Raises DeviceError with what this host lacks."""
        from mobench_targets.android.virtual import client

        return await client.simulate(profile, scratch)

    def diagnose(self, where: Path) -> list[Finding]:  # noqa: ARG002 - nothing of it lies in a folder
        """What stands in the way on every attached phone."""
        from mobench_targets.android import doctor

        return asyncio.run(doctor.findings())


def _meter(device: Entity) -> str | None:
    """The kind of meter that a spec asks for; DeviceError for one that this version cannot read."""
    meter = device.get("meter")
    if not isinstance(meter, Entity):
        return None
    kind = str(meter.get("kind"))
    if kind not in ("gauge", "rails"):
        raise DeviceError(
            "no_meter",
            f"the meter {meter.name} ({kind}) cannot be read by this version; leave `meter` out of {device.name}",
        )
    return kind


target = AndroidTarget()
