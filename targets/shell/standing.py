"""What every kernel tells of how a device stands, as the core reads it: its clocks, and how busy its processors are.

In: lines as the device's files have them. Out: members of a state (`Session.state`). Guarantee: what cannot be read is
left out, never a guess; all arithmetic is done here, since the shell of a phone counts with 32 bits.
"""

from __future__ import annotations

import re

TICK_NS = 10_000_000
"""A clock tick of /proc/stat: USER_HZ is 100, fixed in the kernel's interface on ARM and x86."""


def clocks(uptime: str | None, date: str | None) -> dict[str, int]:
    """`t` from /proc/uptime (s since the device started, sleep included) and `wall_ns` from `date +%s`."""
    found: dict[str, int] = {}
    if (up := re.match(r"(\d+)(?:\.(\d{1,9}))?", uptime or "")) is not None:
        found["t"] = int(up[1]) * 1_000_000_000 + int((up[2] or "0").ljust(9, "0"))
    if date is not None and date.strip().isdigit():
        found["wall_ns"] = int(date) * 1_000_000_000
    return found


def processors(stat: str | None) -> dict[str, int]:
    """`busy_ns` and `steal_ns`, counters of all cores together, from the numbers of the line `cpu` of /proc/stat."""
    words = (stat or "").split()
    if len(words) < 8 or not all(word.isdigit() for word in words[:8]):
        return {}
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[:8])
    return {"busy_ns": (user + nice + system + irq + softirq) * TICK_NS, "steal_ns": steal * TICK_NS}


def spent(times: str) -> int | None:
    """CPU time in ns of `1m2.34s 0m0.50s`, what the shell's `times` says; None for another text."""
    total = 0
    found = re.findall(r"(\d+)m(\d+)(?:\.(\d{1,9}))?s", times)
    for minutes, seconds, fraction in found:
        total += (int(minutes) * 60 + int(seconds)) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
    return total if len(found) == 2 else None
