"""Processes that a dead host left running.

In: a state file, written before each launch. Out: nothing of that launch runs any more. Guarantee: only processes
that are provably of that launch are ended: they carry its random token in their environment, or they are the recorded
pid with the recorded start time in the same boot.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from mobench_lang.execute.process import start_time

TOKEN = "MOBENCH_LAUNCH"  # noqa: S105 - the name of a variable
PROC = Path("/proc")


def boot_id() -> str:
    """Which boot of this machine this is."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def remember(path: Path, token: str, pids: tuple[int, ...] = ()) -> None:
    """Note a launch, before it is made (its token) and after (its pids). Raises OSError."""
    state = {"token": token, "boot": boot_id(), "processes": [[pid, start_time(pid)] for pid in pids]}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(state))
    part.replace(path)


def end_leftovers(path: Path) -> list[int]:
    """End what the noted launch left; the pids that were ended. The note is removed."""
    try:
        state = json.loads(path.read_text())
        token, boot, processes = str(state["token"]), state["boot"], state["processes"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)  # a torn note was never followed by a launch
        return []
    ended: list[int] = []
    if boot == boot_id():
        known = {pid for pid, started in processes if started is not None and start_time(pid) == started}
        ended = sorted(known | _with_token(token))
        for pid in ended:
            _kill(pid)
        deadline = time.monotonic() + 5
        while any(_alive(pid) for pid in ended) and time.monotonic() < deadline:
            time.sleep(0.01)
    path.unlink(missing_ok=True)
    return ended


def _with_token(token: str) -> set[int]:
    mark = f"{TOKEN}={token}".encode()
    found = set()
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:
                continue  # another user's, or gone
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _alive(pid: int) -> bool:
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] != b"Z"
