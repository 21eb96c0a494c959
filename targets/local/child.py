"""One child process: started in a session of its own, waited for by the event loop, ended with everything it started.

In: an argument vector. Out: its exit status and the last of its output. Guarantee: after `reap` nothing in its process
group is left, and its pid was never signalled after it could have become another process's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from mobench_targets.local.tail import Tail


class Child:
    """A running process. `output` keeps the tail of stdout and stderr; with a file as `stdout`, that of stderr alone.
    `feed` gives it a stdin."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        output: bool = False,
        stdout: Path | None = None,
        feed: bool = False,
    ) -> None:
        """Start it. Raises OSError."""
        with nullcontext() if stdout is None else stdout.open("wb") as file:
            said = subprocess.PIPE if output else subprocess.DEVNULL
            self._process = subprocess.Popen(
                list(argv),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=said if file is None else file,
                stderr=subprocess.STDOUT if output and file is None else said,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.exited: int | None = None
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        # The pid stays reserved until `reap`: the descriptor only tells, it does not collect.
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._tail: Tail | None = None
        told = self._process.stdout or self._process.stderr
        if told is not None:
            self._tail = Tail(told.fileno())
            self._loop.add_reader(self._tail.fd, self._on_output)

    def _on_exit(self) -> None:
        self.exited = time.monotonic_ns()
        self._loop.remove_reader(self._pidfd)
        self._gone.set()

    def _on_output(self) -> None:
        if self._tail is not None and not self._tail.read():
            self._loop.remove_reader(self._tail.fd)

    def tell(self, text: str) -> None:
        """Write to its stdin."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(text.encode())
                self._process.stdin.flush()

    def hang_up(self) -> None:
        """Close its stdin."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    async def gone(self, within_s: float) -> bool:
        """Whether it ended within a time."""
        try:
            await asyncio.wait_for(self._gone.wait(), within_s)
        except TimeoutError:
            return self._gone.is_set()
        return True

    async def end(self, grace_s: float) -> None:
        """End it and its group: politely, then not."""
        if grace_s > 0 and not self._gone.is_set():
            self._signal(signal.SIGTERM)
            await self.gone(grace_s)
        if not self._gone.is_set():
            self._signal(signal.SIGKILL)
            await self._gone.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def reap(self) -> tuple[int, bytes]:
        """Collect it once it is gone: exit status (negative: signal) and the last of its output."""
        # First what it left running in its group, while the group's number is still reserved by the dead leader.
        self._signal(signal.SIGKILL)
        status = self._process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        output = b""
        if self._tail is not None:
            self._tail.read()
            self._loop.remove_reader(self._tail.fd)
            output = self._tail.bytes()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        return status, output
