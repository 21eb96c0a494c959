"""The sampler: a small process that reads a few files at a steady rate beside the engine.

In: arguments `OUT HZ EVERY [NAME UNIT SCALE PATH]…`, then one line on stdin with the engine's pid. Out: `samples.jsonl`
(SampleHead, SampleRow…, SampleTail), in whole lines. It ends when stdin closes, and so also when its host dies.
Run as a file with `python -I -S`: standard library only, no mobench, so that it starts fast and stays small.

Channels of the process and the cores and energy counters are in each row; temperatures and clocks in every EVERY-th,
None in between. Files stay open and are read with pread; rows are written in chunks. What it cost is in the last
line.
"""

import gc
import json
import os
import select
import sys
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
ROWS_PER_WRITE = 32
OWN = (
    ("rss", "B", "/proc/PID/statm"),
    ("cpu_process", "ns", "/proc/PID/stat"),
    ("cpu_busy", "ns", "/proc/stat"),
    ("cpu_steal", "ns", "/proc/stat"),
)


def opened(path: str) -> int:
    """A descriptor of a file, -1 where it cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def resident(fd: int) -> str:
    """Resident bytes, from /proc/PID/statm."""
    try:
        pages = int(os.pread(fd, 128, 0).split(None, 2)[1])
    except (OSError, IndexError, ValueError):
        return "null"
    return str(pages * PAGE) if pages else "null"  # 0 pages: the process is ending


def spent(fd: int) -> str:
    """CPU time of a process in ns, from /proc/PID/stat."""
    try:
        data = os.pread(fd, 512, 0)
        fields = data[data.rindex(b")") + 2 :].split(None, 14)
        return str((int(fields[11]) + int(fields[12])) * TICK_NS)
    except (OSError, IndexError, ValueError):
        return "null"


def cores(fd: int) -> str:
    """Busy and stolen time of all cores in ns, from the first line of /proc/stat."""
    try:
        words = os.pread(fd, 160, 0).split(None, 9)
        busy = int(words[1]) + int(words[2]) + int(words[3]) + int(words[6]) + int(words[7])
        return f"{busy * TICK_NS},{int(words[8]) * TICK_NS}"
    except (OSError, IndexError, ValueError):
        return "null,null"


def number(fd: int, scale: int) -> str:
    """An integer in a file, scaled to its unit."""
    try:
        return str(int(os.pread(fd, 32, 0)) * scale)
    except (OSError, ValueError):
        return "null"


def write(fd: int, lines: list[str]) -> None:
    """Write whole lines."""
    data = "".join(lines).encode()
    while data:
        data = data[os.write(fd, data) :]


def main(out: str, hz: str, every: str, *channels: str) -> None:
    """Sample until stdin closes."""
    gc.disable()
    sensors = [channels[i : i + 4] for i in range(0, len(channels), 4)]
    energy = [s for s in sensors if s[1] == "µJ"]
    slow = [s for s in sensors if s[1] != "µJ"]
    files = [(opened(path), int(scale)) for _, _, scale, path in energy]
    slow_files = [(opened(path), int(scale)) for _, _, scale, path in slow]
    skipped = "".join(",null" for _ in slow)
    system = opened("/proc/stat")
    output = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    pid = sys.stdin.readline().strip()
    if not pid:
        return
    statm, stat = opened(f"/proc/{pid}/statm"), opened(f"/proc/{pid}/stat")
    head = {
        "e": "channels",
        "version": 1,
        "t": time.monotonic_ns(),
        "hz": float(hz),
        "channels": [c[0] for c in OWN] + [s[0] for s in (*energy, *slow)],
        "units": [c[1] for c in OWN] + [s[1] for s in (*energy, *slow)],
        "sources": [c[2].replace("PID", pid) for c in OWN] + [s[3] for s in (*energy, *slow)],
    }
    write(output, [json.dumps(head, separators=(",", ":")) + "\n"])
    poller = select.poll()
    poller.register(0, select.POLLIN | select.POLLHUP)
    period, n, rows = int(1e9 / float(hz)), int(every), 0
    lines: list[str] = []
    begin = due = time.monotonic_ns()
    spent_before = time.process_time_ns()
    over = False
    while True:
        now = time.monotonic_ns()
        row = f'{{"e":"s","t":{now},"v":[{resident(statm)},{spent(stat)},{cores(system)}'
        for fd, scale in files:
            row += "," + number(fd, scale)
        if rows % n == 0 or over:
            for fd, scale in slow_files:
                row += "," + number(fd, scale)
        else:
            row += skipped
        lines.append(row + "]}\n")
        rows += 1
        if len(lines) >= ROWS_PER_WRITE:
            write(output, lines)
            lines.clear()
        if over:
            break
        # A late row does not make the next one early: rates are bounded, and every row has its own stamp.
        due = max(due + period, now)
        # The last row has every channel: so the last window has readings on both sides.
        over = bool(poller.poll(max(0, (due - time.monotonic_ns() + 999_999) // 1_000_000)))
    end = time.monotonic_ns()
    cost = {
        "e": "cost",
        "t": end,
        "cpu_ns": time.process_time_ns() - spent_before,
        "wall_ns": end - begin,
        "rows": rows,
    }
    write(output, [*lines, json.dumps(cost, separators=(",", ":")) + "\n"])


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # all is written, and the host waits: taking the interpreter apart would cost it some milliseconds
