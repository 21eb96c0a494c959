"""The process that is a virtual phone: its adb daemon, an adb server of its own, a control port.

In: `python -m mobench_targets.android.virtual.daemon FOLDER PROFILE OPTIONS ADB`. Out: one line of JSON on standard
output when the phone is there (or why not), the same in FOLDER/phone.json. Guarantee: one daemon per folder; the adb
server listens on loopback on a port and with keys of its own and looks at no other device; when the owner is gone, the
phone stays on for `LINGER` seconds, so that a new `exec` finds it at work, then switches itself off.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mobench_targets.android.virtual import jail, profile, root
from mobench_targets.android.virtual.phone import Phone
from pydantic import ValidationError

from mobench_lang.plugins import DeviceError

LINGER = 600
AVOIDED = range(5555, 5586)
"""Ports that every adb server probes by itself."""


class Daemon:
    """A phone with its ports."""

    def __init__(self, folder: Path, phone: Phone, adb: str) -> None:
        self.folder, self.phone, self.adb = folder, phone, adb
        self.owner = 0
        self.owner_began = 0
        self.token = secrets.token_hex(16)
        self.off = asyncio.Event()
        self.server: asyncio.subprocess.Process | None = None
        self.ports: dict[str, int] = {}

    async def run(self, before: dict[str, Any]) -> None:
        """Switch the phone on, say so, and serve until it is switched off."""
        left = jail.Jail(*(int(before.get(key, 0)) for key in ("init", "began", "offset")))
        await self.phone.switch_on(left if left.init else None)
        device = await _listen(self.phone.connected, int(before.get("port", 0)), limit=4 << 20)
        control = await _listen(self._control, 0)
        self.ports = {"port": _port(device), "control": _port(control)}
        living = asyncio.create_task(self.phone.live())
        watching = asyncio.create_task(self._watch())
        try:
            await self._start_adb(int(before.get("adb_server", 0)))
            self._announce()
            ended = asyncio.create_task(self.off.wait())
            await asyncio.wait({ended, living, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in (living, watching):
                if task.done():
                    task.result()
        finally:
            for task in (living, watching):
                task.cancel()
            await asyncio.gather(living, watching, return_exceptions=True)
            self.phone.cut(3600)
            if self.server is not None and self.server.returncode is None:
                self.server.kill()
                await self.server.wait()
            self.phone.switch_off()
            (self.folder / "memory.json").write_text(json.dumps(self.phone.memory()), "utf-8")
            (self.folder / "phone.json").unlink(missing_ok=True)

    def _announce(self) -> None:
        here = self.phone.jail
        text = json.dumps(self._facts() | {"init": here.init, "began": here.began, "offset": here.offset})
        path = self.folder / "phone.json"
        new = path.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text, "utf-8")
        new.replace(path)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def _facts(self) -> dict[str, Any]:
        own = os.getpid()
        return {
            "pid": own,
            "pid_began": jail.started(own),
            "token": self.token,
            "serial": f"127.0.0.1:{self.ports['port']}",
            "server_pid": self.server.pid if self.server is not None else 0,
            "profile": self.phone.profile.name,
            **self.ports,
        }

    # ------------------------------------------------------------ the adb server

    async def _start_adb(self, wanted: int) -> None:
        """Start the server, wait until it listens, and make it know the phone."""
        port = wanted if wanted and _is_free(wanted) else _free_port()
        home = self.folder / "adb"
        home.mkdir(exist_ok=True)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "ANDROID_USER_HOME": str(home),
            "TMPDIR": str(home),
            # Neither USB nor the network nor emulators: this server knows the one phone.
            **dict.fromkeys(("ADB_USB", "ADB_MDNS", "ADB_EMU"), "0"),
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
        }
        with (home / "server.log").open("ab") as log:
            self.server = await asyncio.create_subprocess_exec(
                self.adb, "-L", f"tcp:localhost:{port}", "server", "nodaemon",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True,
            )  # fmt: skip
        self.ports["adb_server"] = port
        for _ in range(1000):
            with suppress(OSError):
                await _ask(port, f"host:connect:127.0.0.1:{self.ports['port']}")
                await self._met(port)
                return
            if self.server.returncode is not None:
                break
            await asyncio.sleep(0.01)
        raise DeviceError(
            "no_adb_server", f"the adb server of the virtual phone did not start; {home}/server.log says why"
        )

    async def _met(self, port: int) -> None:
        """Wait until the server knows how the phone stands, for a while: on a busy host that takes seconds."""
        for _ in range(500):
            _, tab, state = (await _ask(port, "host:devices")).decode("utf-8", "replace").strip().partition("\t")
            if tab and state not in ("connecting", "offline"):
                return
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------ the owner

    async def _watch(self) -> None:
        """End when the owner has been gone for long, or the phone's processes or the adb server are gone."""
        seen = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            if self.owner and jail.started(self.owner) == self.owner_began:
                seen = time.monotonic()
            elif time.monotonic() - seen > float(os.environ.get("MOBENCH_PHONE_LINGER", LINGER)):
                self.off.set()
            if not self.folder.is_dir():  # somebody removed it: there is nothing left to be a phone of
                self.off.set()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request per line; the first word of each is the token of phone.json."""
        try:
            while line := await reader.readline():
                token, _, request = line.partition(b" ")
                if not secrets.compare_digest(token, self.token.encode()):
                    return
                answer = await self._answer(json.loads(request))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # whoever asked is gone, or is no controller of ours
        finally:
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        phone = self.phone
        match request.pop("do"):
            case "own":
                self.owner = int(request["pid"])
                self.owner_began = jail.started(self.owner)
            case "set":
                try:
                    phone.choose(request)
                except ValidationError as error:
                    return {"error": str(error)}
            case "cut":
                phone.cut(float(request.get("refuse", 0)))
            case "reboot":
                await phone.reboot()
                self._announce()
            case "doze":
                await phone.doze(float(request["seconds"]))
            case "clock":
                phone.set_clock(int(request["seconds"]))
            case "hang":
                await phone.hang(float(request["seconds"]))
            case "stage":
                phone.stage = request["stage"]
                phone.cut()
            case "plug":
                phone.plug(bool(request["on"]))
            case "frames":
                found = list(phone.frames)
                phone.frames.clear()
                return {"frames": found}
            case "snapshot":
                return {"snapshot": root.snapshot(phone.root)}
            case "off":
                self.off.set()
            case other:
                return {"error": f"no such request: {other}"}
        return {}


async def _listen(handler: Any, wanted: int, **how: Any) -> asyncio.Server:
    """Listen on loopback: on the wanted port if it is free, else on one that the system picks."""
    for port in (wanted, 0):
        with suppress(OSError):
            server = await asyncio.start_server(handler, "127.0.0.1", port, **how)
            if _port(server) not in AVOIDED:
                return server
            server.close()
    return await asyncio.start_server(handler, "127.0.0.1", _free_port(), **how)


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    import socket

    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in AVOIDED:
            return port


async def _ask(port: int, service: str) -> bytes:
    """Ask an adb server something; its answer's text. Raises OSError if nobody listens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{len(service):04x}{service}".encode())
        return await reader.read()
    finally:
        writer.close()


async def main(folder: Path, name: str, chosen: str, adb: str) -> int:
    """Be the phone of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _refuse("busy", f"another process starts the virtual phone in {folder}")
        try:
            known = profile.load(name)
            memory = _read(folder / "memory.json")
            if memory.get("profile", name) != name:
                return _refuse(
                    "other_phone", f"{folder} holds the phone {memory['profile']!r}, not {name!r}; remove it"
                )
            memory.setdefault("serial", f"MB{secrets.token_hex(6).upper()}")
            (folder / "memory.json").write_text(json.dumps({"profile": name, **memory}), "utf-8")
            phone = Phone(folder, known, profile.options(chosen), root.host(), memory)
            daemon = Daemon(folder, phone, adb)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, daemon.off.set)
            await daemon.run(_read(folder / "phone.json"))
        except DeviceError as error:
            return _refuse(error.code, str(error))
    return 0


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _refuse(code: str, text: str) -> int:
    sys.stdout.write(json.dumps({"error": code, "text": text}) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:5])))
