"""A target for tests: a folder of this machine, reached through a shell, over a link that is cut when files say so.

In the device's folder: `cuts`, how many more times the link is cut while a launch is waited for; `away`, and the device
is not found; `forgets`, and a device that is found again has lost its launches. `log` gets a line per session.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from mobench_targets.shell.session import ShellSession

from mobench_lang.ir import Entity
from mobench_lang.plugins import DeviceError
from tests.support.shell_link import FakeKind, LocalLink, tools


class CutLink(LocalLink):
    """A link that dies while a launch is waited for."""

    async def hold(self, command: str) -> int:
        cuts = self.home / "cuts"
        if cuts.exists() and (left := int(cuts.read_text())) > 0:
            cuts.write_text(str(left - 1))
            self.cut()
        return await super().hold(command)


class ShellBox:
    name = "shellbox"

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> ShellSession:
        home = Path(str(device.get("home")))
        if (home / "away").exists():
            raise DeviceError("not_found", "no such device; plug it in")
        with (home / "log").open("a") as log:
            log.write("open\n")
        root = home / "root"
        if (home / "forgets").exists():
            (home / "forgets").unlink()
            shutil.rmtree(root / "hosted")
        env = {"FAKE_READY": os.environ["FAKE_READY"]} if "FAKE_READY" in os.environ else {}
        link = CutLink(home, tools(str(device.get("shell") or "dash"), home / "bin"), env)
        return ShellSession(link, FakeKind(str(root), identity=str(home), platform="host"), scripts)

    def discover(self) -> list[dict[str, Any]]:
        return []


target = ShellBox()
