"""A virtual USB hub, and the program that switches it: what `uhubctl` is to a hub that stands on a table.

In: `python -m mobench_targets.android.virtual.hub FOLDER [options of uhubctl]`. Out: what uhubctl 2.3 to 2.6 prints, by
the texts of `print_port_status` and `main` of its uhubctl.c; FOLDER/hub.json, and a line for each action in
FOLDER/hub.log. A virtual phone in that folder hangs on port `PORT`, and is charged while that lets current through.

`KINDS` are hubs as one finds them, most of which are of no use.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

LOCATION, PORT, PORTS = "1-1.4", 2, 4
KINDS = {
    "ppps": "switches single ports",
    "usb3": "does, and has a second half for USB 3",
    "ganged": "switches all ports at once, and says so",
    "nops": "switches none, and says so",
    "linked": "says that it switches single ports, and switches all off",
    "leaky": "switches the data of a port, and not its current",
    "stuck": "does nothing",
    "denied": "may not be opened by this user",
}
_POWER, _HIGHSPEED, _ENABLE, _CONNECT = 0x0100, 0x0400, 0x0002, 0x0001


def build(folder: Path, kind: str, device: str) -> None:
    """Put a hub into a folder, or exchange the one there; its ports stay as they are. `device` hangs on `PORT`."""
    before = read(folder)
    ports = before.get("ports") or {str(number): True for number in range(1, PORTS + 1)}
    _write(folder, {"kind": kind, "device": device, "ports": ports})


def read(folder: Path) -> dict[str, Any]:
    """The hub of a folder; empty without one."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / "hub.json").read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def feeds(folder: Path) -> bool:
    """Whether the phone in a folder is fed: by its port, or by a charger where there is no hub."""
    hub = read(folder)
    return not hub or hub["kind"] == "leaky" or bool(hub["ports"][str(PORT)])


def _write(folder: Path, hub: dict[str, Any]) -> None:
    new = folder / "hub.json.new"
    new.write_text(json.dumps(hub), "utf-8")
    new.replace(folder / "hub.json")


# ---------------------------------------------------------------- the program


def main(folder: Path, words: list[str]) -> int:
    """Be uhubctl before the hub of a folder."""
    parser = argparse.ArgumentParser("uhubctl", add_help=False)
    parser.add_argument("-l", dest="location", default="")
    parser.add_argument("-p", dest="port", type=int, default=0)
    parser.add_argument("-a", dest="action", choices=["on", "off"])
    parser.add_argument("-r", dest="repeat", type=int, default=1)
    parser.add_argument("-f", dest="force", action="store_true")
    asked = parser.parse_args(words)
    hub = read(folder)
    kind = hub.get("kind", "")
    if kind == "denied":
        sys.stderr.write(
            "There were permission problems while accessing USB.\nFollow https://git.io/JIB2Z for a fix!\n"
        )
    if kind == "denied" or not _meant(kind, asked):
        at = f" at location {asked.location}" if asked.location else ""
        sys.stderr.write(f"No compatible devices detected{at}!\nRun with -h to get usage info.\n")
        return 1
    for half in _halves(kind):
        _show("Current", half, hub, asked.port)
        if asked.action:
            with (folder / "hub.log").open("a", encoding="utf-8") as log:
                log.write(f"{half} port {asked.port} {asked.action}\n")
            _switch(folder, hub, asked.port, on=asked.action == "on")
            sys.stdout.write(f"Sent power {asked.action} request\n")
            _show("New", half, hub, asked.port)
    return 0


def _meant(kind: str, asked: argparse.Namespace) -> bool:
    if not kind or asked.location not in ("", *_halves(kind)):
        return False
    return bool(asked.force) or kind not in ("ganged", "nops")


def _halves(kind: str) -> tuple[str, ...]:
    return (LOCATION, f"2{LOCATION[1:]}") if kind == "usb3" else (LOCATION,)


def _switch(folder: Path, hub: dict[str, Any], port: int, *, on: bool) -> None:
    if hub["kind"] == "stuck":
        return
    for number in hub["ports"]:
        if (hub["kind"] == "linked" and not on) or int(number) == port or not port:
            hub["ports"][number] = on
    _write(folder, hub)


def _show(which: str, location: str, hub: dict[str, Any], only: int) -> None:
    ss = not location.startswith("1")
    how = hub["kind"] if hub["kind"] in ("ganged", "nops") else "ppps"
    about = f"2109:{'0813' if ss else '2813'} VIA Labs, Inc. USB{3 if ss else 2}.0 Hub"
    sys.stdout.write(
        f"{which} status for hub {location} [{about}, USB {'3.20' if ss else '2.10'}, {PORTS} ports, {how}]\n"
    )
    for name, on in hub["ports"].items():
        if only in (0, int(name)):
            words = _ss(on=on) if ss else _hs(on=on, device=hub["device"] if int(name) == PORT else "")
            sys.stdout.write(f"  Port {name}: {words}\n")


def _hs(*, on: bool, device: str) -> str:
    """A port of USB 2: its status, bit by bit."""
    if not on:
        return "0000 off"
    if not device:
        return f"{_POWER:04x} power"
    status = _POWER | _HIGHSPEED | _ENABLE | _CONNECT
    return f"{status:04x} power highspeed enable connect [{device}]"


def _ss(*, on: bool) -> str:
    """A port of USB 3, on which nothing hangs: phones of USB 2 are on the other half."""
    return "02a0 power 5gbps Rx.Detect" if on else "0080 off"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
