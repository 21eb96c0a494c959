"""The Android target: phones and tablets over adb.

In: a `device` with `target = android`. Out: a session. What it is and can is in `manifest.toml`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobench_lang.ir import Entity
from mobench_lang.packs import manifests
from mobench_lang.plugins import DeviceError, Finding

if TYPE_CHECKING:
    from mobench_targets.android.session import PhoneSession
    from mobench_targets.android.virtual.client import VirtualPhone


class AndroidTarget:
    """The target plug-in; adbutils is imported when a phone is looked for."""

    name = "android"

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> PhoneSession:
        """Open a phone, changing nothing on it. Raises DeviceError."""
        from mobench_targets.android import found
        from mobench_targets.android.kind import PhoneKind
        from mobench_targets.android.session import PhoneSession, explained
        from mobench_targets.android.transport import connect
        from mobench_targets.android.uhubctl import hub_port

        meter = _meter(device)
        port = device.get("hub_port")
        place = hub_port(str(port)) if port else None
        server = found.server(device.get("adb_port"))
        serial = device.get("serial")
        try:
            chosen = str(serial) if serial is not None else await asyncio.to_thread(found.only_one, server, device.name)
            link = await connect(server, chosen)
        except DeviceError as error:
            raise await explained(error, scratch) from error
        stand_in = str(device.get("virtual_hub") or "")
        power = None if place is None else await found.port_power(server, chosen, place, scratch, stand_in)
        return PhoneSession(link, PhoneKind(meter, power), scripts, scratch)

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

    def diagnose(self, where: Path) -> list[Finding]:
        """What stands in the way on every attached phone."""
        from mobench_targets.android import doctor

        return asyncio.run(doctor.findings(where))


def _meter(device: Entity) -> str | None:
    """The kind of meter that a spec asks for; DeviceError for one that nobody here reads."""
    meter = device.get("meter")
    if not isinstance(meter, Entity):
        return None
    kind = str(meter.get("kind"))
    if kind not in ("gauge", "rails") and kind not in manifests("meter"):
        raise DeviceError(
            "no_meter",
            f"the meter {meter.name} ({kind}) cannot be read: no pack for it is installed; leave `meter` out of "
            f"{device.name}",
        )
    return kind


target = AndroidTarget()
