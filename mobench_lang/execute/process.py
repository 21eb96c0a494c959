"""Processes of this host, told apart beyond their number: a pid comes back, a pid with its start time does not."""

from __future__ import annotations

from pathlib import Path


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat); None where that is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in parentheses, which may hold blanks and parentheses itself.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return int(fields[19])
