"""`exec`: a build folder in, a run folder out.

In: a build, the folder of runs, options, a callback for progress. Out: `RunResult`; the run folder is the truth.
Guarantee: resume is the default and never runs or records a trial twice; on the first interrupt running launches are
ended, devices restored and the run can be resumed; on the second the process ends at once and the next `exec` clears
up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from mobench_lang.execute.errors import UsageError
from mobench_lang.execute.execution import Execution
from mobench_lang.execute.load import load
from mobench_lang.execute.options import Options, Report, RunResult

__all__ = ["Options", "RunResult", "execute", "execute_sync"]


async def execute(
    build: Path, runs: Path, options: Options, report: Report, stop: asyncio.Event | None = None
) -> RunResult:
    """Run a build, or resume it. Setting `stop` ends it cleanly. Raises ExecError (with its exit status)."""
    if sys.platform == "win32":
        raise UsageError("exec needs Linux or macOS; on Windows, run it in WSL")
    _check_labels(options.labels)
    loaded = load(build)
    try:
        return await Execution(loaded, runs, options, report, stop or asyncio.Event()).run()
    finally:
        loaded.close()


def execute_sync(build: Path, runs: Path, options: Options, report: Report) -> RunResult:
    """`execute` for a command line: the first SIGINT or SIGTERM stops cleanly, the second ends the process at once."""

    async def main() -> RunResult:
        stop = asyncio.Event()

        def interrupt() -> None:
            if stop.is_set():
                # What is left running or changed is found by its state file and put right by the next exec.
                shown = b"\x1b[?25h" if os.isatty(2) else b""  # a live table had hidden the cursor
                os.write(2, shown + b"\nended at once; the next exec ends what is left and restores the devices\n")
                os._exit(130)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        return await execute(build, runs, options, report, stop)

    return asyncio.run(main())


def _check_labels(labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        try:
            f"{key}{value}".encode()
        except UnicodeEncodeError:
            raise UsageError(f"the label {key!r} is not text in UTF-8") from None
        if not key:
            raise UsageError("a label needs a name: --label NAME=VALUE")
