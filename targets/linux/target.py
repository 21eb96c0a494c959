"""The target plug-in that boards over SSH share.

In: a name, what is particular to its boards, and which virtual boards can stand for them. Out: a `Target` and
`Simulator`. Guarantee: importing this loads no SSH; opening a board changes nothing on it.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobench_targets.linux.board import Board
from mobench_targets.linux.docker import Docker
from mobench_targets.shell.session import ShellSession

from mobench_lang.ir import Entity
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError, Finding, Report, Work

if TYPE_CHECKING:
    from mobench_targets.linux.virtual import VirtualBoard

SETTINGS = ("power_mode",)
"""Device attributes that are conditions of that device alone."""
MISSING = "boards are reached by asyncssh, which is not installed: pip install 'mobench[ssh]'"

QEMU = "qemu-aarch64-static"

Kind = Callable[[Path, tuple[PlanSetting, ...], Docker | None], Board]


class BoardTarget:
    """The plug-in of one kind of board."""

    runtime = ""
    """The runtime of docker that containers of these boards need."""

    def __init__(self, name: str, kind: Kind, profiles: tuple[str, ...]) -> None:
        self.name = name
        self._kind, self._profiles = kind, profiles

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> ShellSession:  # noqa: ARG002
        """Connect. Raises DeviceError."""
        _require_ssh()
        from mobench_targets.linux.connect import address, connect

        settings = tuple(
            PlanSetting(name=name, value=value, optional=False)
            for name in SETTINGS
            if isinstance(value := device.get(name), str)
        )
        image = device.get("image")
        container = None if image is None else Docker(str(image), self.runtime)
        kind = self._kind(scripts, settings, container)
        return ShellSession(await connect(address(device)), kind, scripts, container=container)

    async def build_on(self, address: str, work: Work, before: str, out: Path, report: Report) -> str:
        """Let the board at `[USER@]HOST[:PORT]` compile a program; `before` is sh that tells the script what the board
        is. Raises DeviceError."""
        _require_ssh()
        from mobench_targets.linux.connect import connect, parse
        from mobench_targets.linux.workshop import Builder

        link = await connect(parse(address))
        try:
            return await Builder(link, work, before).run(out, report)
        finally:
            await link.close()

    def discover(self) -> list[dict[str, Any]]:
        """Nothing: boards are named by specs, and no network is searched."""
        return []

    def diagnose(self, where: Path) -> list[Finding]:  # noqa: ARG002
        """Whether boards can be reached from here."""
        found = [
            Finding("ssh", "ok", "asyncssh")
            if find_spec("asyncssh") is not None
            else Finding("ssh", "warn", "asyncssh is not installed", "pip install 'mobench[ssh]'")
        ]
        keys = Path.home() / ".ssh"
        if not any(keys.glob("id_*")) and not (keys / "config").exists():
            found.append(Finding("keys", "warn", f"no key in {keys}", "ssh-keygen, then ssh-copy-id USER@BOARD"))
        if shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
            found.append(Finding("virtual boards", "warn", "no sshd", "install the package openssh-server"))
        if platform.machine() not in ("aarch64", "arm64") and shutil.which(QEMU) is None:
            found.append(Finding("virtual boards", "warn", f"no {QEMU}", "install the package qemu-user-static"))
        return found

    def profiles(self) -> list[dict[str, Any]]:
        """The virtual boards."""
        from mobench_targets.linux.virtual import PROFILES

        return [
            {"name": name, "target": self.name, "summary": PROFILES[name].summary, "virtual": True}
            for name in self._profiles
        ]

    async def simulate(self, profile: str, scratch: Path) -> VirtualBoard:
        """Start a virtual board, or go on with the one of an earlier process. Raises DeviceError."""
        from mobench_targets.linux.virtual import VirtualBoard

        return await VirtualBoard.begin(profile, scratch)


def _require_ssh() -> None:
    if find_spec("asyncssh") is None:
        raise DeviceError("no_ssh", MISSING)
