"""How a launch ended, from what the device wrote down.

In: the lines of `state`, the runner's `guard.out` (where it watched), the last of `stderr.log`. Out: an `Outcome`. Only
the process is judged: what the events say is the core's.
"""

from __future__ import annotations

import json
import signal
from typing import Any

from mobench_targets.shell.standing import spent

from mobench_lang.plugins import DeviceError, Outcome

_OUT_OF_MEMORY = ("std::bad_alloc", "MemoryError", "Cannot allocate memory", "failed to allocate")
_TEXTS = {
    "timeout": "ended when its time was over",
    "too_hot": "ended because the device was too hot",
    "cancelled": "ended on request",
}


def read_state(text: str) -> dict[str, str]:
    """The lines of a state file; empty for a torn one."""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return pairs if pairs.get("whole") == "1" else {}


def outcome(state: dict[str, str], guard: str, log: str) -> Outcome:
    """The outcome of a launch that is over. Raises DeviceError where there never was one."""
    watched = _guard(guard)
    reason = state.get("reason", "")
    spawned, exited = watched.get("spawned"), watched.get("exited")
    last = log.strip().rsplit("\n", 1)[-1][-300:]
    if reason == "rebooted":
        return Outcome("failed", "lost_device", "the device started anew during the launch")
    if watched:
        if watched["reason"] == "not_started":
            raise DeviceError("start_failed", f"the engine cannot be started: {watched.get('detail', '')}")
        why, detail = _watched(watched, last)
        exit_ = _exit(watched)
    else:
        why, detail = _unwatched(state, last)
        exit_ = _status(state)
    if reason in _TEXTS and why in ("", "crashed"):
        why, detail = reason, detail if reason == why else _TEXTS[reason]
    slept = watched.get("slept_ns", _seconds(state.get("slept")))
    return Outcome("failed" if why else "ok", why, detail, spawned, exited, slept, spent(state.get("cpu", "")), exit_)


def _seconds(text: str | None) -> int | None:
    return int(text) * 1_000_000_000 if text is not None and text.isdigit() else None


def _guard(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("reason"), str) else {}


def _watched(guard: dict[str, Any], last: str) -> tuple[str, str]:
    reason, detail = guard["reason"], str(guard.get("detail", ""))
    if reason == "too_hot":
        heats = [limit for limit in guard.get("limits", ()) if limit.get("reason") == reason]
        value = heats[0].get("value") if heats else None
        return reason, detail if value is None else f"{value / 1000:.1f} °C, {detail}"
    if reason:
        return reason, detail
    return _why(_exit(guard) or 0, last, oom=bool(guard.get("oom_kills")))


def _exit(guard: dict[str, Any]) -> int | None:
    """The exit status that the guard saw; negative: a signal."""
    number, status = guard.get("signal"), guard.get("status")
    return -int(number) if number is not None else None if status is None else int(status)


def _status(state: dict[str, str]) -> int | None:
    """The exit status that the shell saw; negative: a signal."""
    text = state.get("status", "")
    if not text.isdigit():
        return None
    return 128 - int(text) if int(text) > 128 else int(text)


def _unwatched(state: dict[str, str], last: str) -> tuple[str, str]:
    oom = state.get("ooms_before", "0") != state.get("ooms_after", state.get("ooms_before", "0"))
    if state.get("state") != "over":
        return "crashed", "the device did not write down how the launch ended; is its storage full?"
    status = _status(state)
    if state.get("reason") == "killed" or status is None:
        if oom:
            return "out_of_memory", "killed by the kernel: out of memory"
        return "crashed", "the launch was killed on the device by somebody else; its log says why, if anything does"
    return _why(status, last, oom=oom)


def _why(status: int, last: str, *, oom: bool) -> tuple[str, str]:
    """Reason and detail for an exit status (negative: a signal)."""
    if status == 0:
        return "", ""
    if status == -signal.SIGKILL and oom:
        return "out_of_memory", "killed by the kernel: out of memory"
    if any(mark in last for mark in _OUT_OF_MEMORY):
        return "out_of_memory", last
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
    else:
        name = f"exit status {status}"
    return "crashed", f"{name}: {last}" if last else name
