"""What moves on a virtual board: sensor files rewritten a hundred times a second, until stdin closes.

In: `trace.json`, a list of `[file, mean, swing, period in ns]`. Every file is a triangle of CLOCK_MONOTONIC around its
mean, so what a perfect meter would integrate is known: see `level`. Run as a file: standard library only.
"""

import json
import os
import select
import sys
import time

STEP_MS = 10


def level(mean: int, swing: int, period: int, t: int) -> int:
    """The value at a time in ns: from mean − swing at the beginning of a period to mean + swing in its middle."""
    phase = (t % period) * 4 // (period // 1000)  # of 4000
    return mean + swing * (phase - 1000 if phase < 2000 else 3000 - phase) // 1000


def main(trace: str) -> None:
    """Write until stdin closes."""
    with open(trace, encoding="utf-8") as file:  # noqa: PTH123 - without pathlib it starts in half the time
        moving = [(os.open(path, os.O_WRONLY), *numbers) for path, *numbers in json.load(file)]
    poller = select.poll()
    poller.register(0, select.POLLIN | select.POLLHUP)
    while not poller.poll(STEP_MS):
        t = time.monotonic_ns()
        for descriptor, mean, swing, period in moving:
            # Of one width: a reader between two writes never sees half of a number.
            os.pwrite(descriptor, b"%-11d\n" % level(mean, swing, period, t), 0)


if __name__ == "__main__":
    main(sys.argv[1])
