"""A phone's session: what `ShellSession` does, and the power of the USB port that the phone hangs on.

In: a link, what is particular to phones, the port if there is one. Out: a session. Guarantee: the port has its power
back before the phone is asked for anything, so also where the phone never answers again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobench_targets.android import power
from mobench_targets.android.kind import PhoneKind
from mobench_targets.shell.session import ShellSession
from mobench_targets.shell.transport import Transport

from mobench_lang.plugins import DeviceError


class PhoneSession(ShellSession):
    """The session of one phone."""

    def __init__(self, link: Transport, kind: PhoneKind, scripts: Path, scratch: Path) -> None:
        super().__init__(link, kind, scripts)
        self._port, self._scratch = kind.port, scratch

    async def facts(self) -> dict[str, Any]:
        """What the phone is; a phone that does not say gets the power back that a dead process took."""
        try:
            facts = await super().facts()
        except DeviceError as error:
            raise await explained(error, self._scratch) from error
        if self._port is not None:
            self._port.phone = str(facts["identity"])
        return facts

    async def restore(self) -> None:
        """Power first, then what `ShellSession` puts back. What fails of either is said."""
        failed: DeviceError | None = None
        try:
            if self._port is not None:
                await self._port.back()
            await power.sweep(self._scratch)
        except DeviceError as error:
            failed = error
        try:
            await super().restore()
        except DeviceError as error:
            raise DeviceError(error.code, f"{failed}; {error}") if failed else error from None
        if failed is not None:
            raise failed


async def explained(error: DeviceError, scratch: Path) -> DeviceError:
    """The error of a phone that cannot be used, once every port that a dead process left off has its power again: the
    phone's battery may be empty."""
    try:
        put = await power.sweep(scratch)
    except DeviceError as also:
        return DeviceError(error.code, f"{error}; {also}")
    if not put:
        return error
    ports = ", ".join(put)
    return DeviceError(
        error.code,
        f"{error} (an exec that died had left the USB port {ports} off; it is on again: let the phone charge)",
    )
